"""One connection to a server, which is kept between requests."""

from __future__ import annotations

import http.client
import json
import select
import ssl
import threading
import time
from typing import Any
from urllib.parse import urlsplit

from ._errors import UnavailableError, error_of
from ._stop import Stop

# The server closes a connection after 10 seconds without a request.
_IDLE = 5.0

# How long a server may take for an answer beyond the wait that it was asked for.
_ANSWER = 35.0

_MAX_ANSWER = 256 << 20


class Connection:
    """A connection that is opened by the first request, and again when it has broken. Requests of several threads wait for each other."""

    def __init__(self, url: str, token: str, context: ssl.SSLContext | None = None):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError("url is not like http://host:port or https://host:port")
        # http.client would name the token in its error.
        if not token or not all("!" <= character <= "~" for character in token):
            raise ValueError("token is empty, or has a character that none has")
        port = parts.port
        address, path = (parts.hostname, port), parts.path.rstrip("/")
        self.address, self._path = parts.netloc + path, path
        if parts.scheme == "https":
            self._http: http.client.HTTPConnection = http.client.HTTPSConnection(*address, timeout=_ANSWER, context=context)
        else:
            self._http = http.client.HTTPConnection(*address, timeout=_ANSWER)
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        self._lock = threading.Lock()
        self._used_at = 0.0

    def post(self, path: str, body: dict[str, Any], *, wait: float = 0.0, stop: Stop | None = None) -> dict[str, Any]:
        """Send a request, and return the object that answers it.

        ``wait`` is how long the server was asked to wait. Raises ``ClientError``, and ``StopRequested`` if the run is to stop first.
        """
        data = json.dumps(body, allow_nan=False).encode()
        with self._lock:
            status, answer = self._exchange(self._path + path, data, wait + _ANSWER, stop)
        try:
            value = json.loads(answer)
        except ValueError:
            value = None
        if status == 200 and isinstance(value, dict):
            return value
        if status == 200:
            raise UnavailableError("the answer is no JSON object: is this the server?", "NO_ANSWER", status)
        raise error_of(status, value if isinstance(value, dict) else {})

    def _exchange(self, path: str, data: bytes, within: float, stop: Stop | None) -> tuple[int, bytes]:
        done = False
        try:
            self._renew()
            self._http.request("POST", path, data, self._headers)
            if stop is not None and self._http.sock is not None:
                stop.wait_for(self._http.sock, within)
            response = self._http.getresponse()
            answer = response.read(_MAX_ANSWER)
            if not response.isclosed():
                raise http.client.HTTPException("the answer is too long")
            done, self._used_at = True, time.monotonic()
            return response.status, answer
        except (OSError, http.client.HTTPException) as error:
            # Only the kind of an error of the protocol: it may quote what was read.
            why = error.strerror or str(error) if isinstance(error, OSError) else type(error).__name__
            raise UnavailableError(f"no answer from {self.address}: {why}", "NO_ANSWER") from None
        finally:
            # What is half read would be the answer to the next request.
            if not done:
                self._http.close()

    def _renew(self) -> None:
        """Close a connection that the server has closed, or is about to."""
        sock = self._http.sock
        if sock is None:
            return
        is_stale = time.monotonic() - self._used_at > _IDLE
        if is_stale or select.select([sock], [], [], 0)[0]:
            self._http.close()

    def close(self) -> None:
        with self._lock:
            self._http.close()
