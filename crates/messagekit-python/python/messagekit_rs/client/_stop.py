"""What ends a run: a request to stop, from another thread or a signal handler, that also ends a wait."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# How often a function of the caller is asked during a wait.
_EVERY = 0.25


class StopRequested(Exception):
    """A wait for the server has ended because the run is to stop."""


class Stop:
    """A request to stop.

    It takes no lock: a signal handler may interrupt the thread that waits at any point, and a lock that this thread holds would never be
    free. A pair of sockets wakes the wait.
    """

    def __init__(self, asked: Callable[[], bool] | None = None):
        self._asked, self._is_set = asked, False
        self._pair: tuple[socket.socket, socket.socket] | None = None

    @contextmanager
    def open(self) -> Iterator[None]:
        """Let waits be ended, until the block ends."""
        reader, writer = self._pair = socket.socketpair()
        writer.setblocking(False)
        try:
            yield
        finally:
            self._pair = None
            reader.close()
            writer.close()

    def set(self) -> None:
        self._is_set = True
        pair = self._pair
        if pair is not None:
            try:
                pair[1].send(b"s")
            except OSError:
                # It has one already, or the run has ended meanwhile.
                pass

    def is_set(self) -> bool:
        if not self._is_set and self._asked is not None and self._asked():
            self._is_set = True
        return self._is_set

    def wait(self, seconds: float) -> bool:
        """Wait, and return whether the run is to stop."""
        self._select(None, seconds)
        return self.is_set()

    def wait_for(self, sock: socket.socket, seconds: float) -> None:
        """Wait until there is something to read.

        Raises ``StopRequested`` when the run is to stop first, and ``TimeoutError`` when the time is over.
        """
        if not self._select(sock, seconds):
            if self.is_set():
                raise StopRequested
            raise TimeoutError("timed out")

    def _select(self, sock: socket.socket | None, seconds: float) -> bool:
        """Return whether the socket has something, after at most so long, or when the run is to stop."""
        until = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            if self._pair is not None:
                selector.register(self._pair[0], selectors.EVENT_READ)
            if sock is not None:
                selector.register(sock, selectors.EVENT_READ)
            while True:
                left = max(until - time.monotonic(), 0)
                ready = selector.select(left if self._asked is None else min(left, _EVERY))
                if any(key.fileobj is sock for key, _ in ready):
                    return True
                if self.is_set() or time.monotonic() >= until:
                    return False
