"""A worker of a group."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, TypeVar

from ._attempts import Attempts, Handler, OnError, OnFailed, OnRetry, Outcome
from ._backoff import Backoff
from ._claim import Claim
from ._client import Client
from ._errors import ClaimLostError, UnavailableError
from ._message import Message
from ._stop import Stop, StopRequested

log = logging.getLogger("messagekit_rs.client")

T = TypeVar("T")

# Pauses while the server does not answer.
_AWAY = Backoff(0.2, 10.0, 2.0)

# How long handled records of a claim may be unacknowledged while others of it are handled.
_ACK_EVERY = 1.0


class Consumer:
    """Claims records of a topic for a group, calls a handler for each, and acknowledges what was handled.

    A record is handled at least once: one whose acknowledgement is lost comes again, with the same ``event_id``. Any number of consumers
    of a group share its records. A context manager.

    ``start`` is where a group begins that has not read the topic: ``"earliest"``, ``"latest"`` or an offset. A request claims ``limit``
    records for ``lease_seconds``, which are extended while a handler runs, and waits for at most ``wait_seconds`` while there are none.
    ``on_deleted`` says where a group goes on whose next records were deleted: ``"earliest"``, ``"latest"``, or ``"fail"``, which ends
    the run with an ``OutOfRangeError``.

    A handler that raises is called ``max_attempts`` times for a delivery, with pauses by ``backoff`` (first, longest, factor) in seconds.
    ``on_error(message, error, attempt)`` is called after each failure, ``on_retry(message, error, attempt, pause)`` before each pause, and
    ``on_failed(message, error)`` after the last failure. The record is then given back and comes again, until the server has counted ten
    deliveries and keeps it as a failed message. If ``on_failed`` does not raise and ``ack_on_failed`` is true, it is acknowledged instead.

    While the server does not answer, requests are repeated, for ``give_up_after`` seconds or without end. ``stop`` is a function that is
    asked often, and ends the run when it returns true.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        topic: str,
        group: str,
        start: Literal["earliest", "latest"] | int = "earliest",
        limit: int = 100,
        lease_seconds: int = 60,
        wait_seconds: int = 20,
        database: str | None = None,
        on_deleted: Literal["earliest", "latest", "fail"] = "earliest",
        max_attempts: int = 3,
        backoff: tuple[float, float, float] = (0.3, 5.0, 2.0),
        on_retry: OnRetry | None = None,
        on_error: OnError | None = None,
        on_failed: OnFailed | None = None,
        ack_on_failed: bool = True,
        give_up_after: float | None = None,
        stop: Callable[[], bool] | None = None,
        context: ssl.SSLContext | None = None,
    ):
        if not group.strip():
            raise ValueError("group is empty: records would be read and not claimed")
        self._client = Client(url, token, database, context=context)
        self._topic, self._group, self._lease = topic, group, lease_seconds
        self._request: dict[str, Any] = {
            "topic_id": topic,
            "group_id": group,
            "start": _start(start),
            "limit": limit,
            "lease_seconds": lease_seconds,
            "timeout_seconds": wait_seconds,
            "on_deleted": on_deleted,
        }
        self._attempts = Attempts(max_attempts, Backoff(*backoff), on_retry, on_error, on_failed, ack_on_failed)
        self._give_up_after = give_up_after
        self._stop = Stop(stop)

    @property
    def client(self) -> Client:
        """The client that it uses, for single requests from a handler."""
        return self._client

    def run(self, handler: Handler) -> int:
        """Handle records until the consumer is stopped, and return how many were handled.

        An exception of the handler is a failure of the record; what is none of ``Exception``, such as ``KeyboardInterrupt``, ends the run.
        Raises ``ClientError`` when the server refuses a request, as for a token or a topic that it does not know.
        """
        handled = 0
        try:
            with self._stop.open():
                while not self._stop.is_set():
                    claim = self._claim()
                    if claim is not None:
                        handled += self._handle(claim, handler)
        finally:
            self._client.close()
        return handled

    def stop(self) -> None:
        """End the run after the current record. What was not begun is given back. Threads and signal handlers may call it."""
        self._stop.set()

    def close(self) -> None:
        """Stop, and close the connection."""
        self.stop()
        self._client.close()

    def _claim(self) -> Claim | None:
        """Return the next records, or ``None`` if none have come or the run is to stop."""
        try:
            answer = self._patiently(self._consume)
        except StopRequested:
            return None
        for gap in answer.get("deleted", []):
            first, last, partition = gap["from"], gap["to"] - 1, gap["partition_id"]
            text = "group %s has missed offsets %d to %d of partition %d of %s: they were deleted"
            log.warning(text, self._group, first, last, partition, self._topic)
        return Claim(self._client, self._group, self._lease, answer) if answer["messages"] else None

    def _consume(self) -> dict[str, Any]:
        if self._stop.is_set():
            raise StopRequested
        return self._client.consume(self._request, self._stop)

    def _handle(self, claim: Claim, handler: Handler) -> int:
        """Handle the records of a claim in their order, and return how many were handled."""
        with claim.extended():
            try:
                return self._handle_each(claim, handler)
            except BaseException:
                # The caller is leaving: it waits for no server.
                self._stop.set()
                raise
            finally:
                self._settle(claim, claim.acknowledge)
                if self._stop.is_set():
                    self._settle(claim, claim.release)
                if claim.is_lost and claim.has_open:
                    log.warning("a claim of group %s on %s was lost: its records come again", self._group, self._topic)

    def _handle_each(self, claim: Claim, handler: Handler) -> int:
        handled, acknowledged_at = 0, time.monotonic()
        for message in claim.messages:
            if self._stop.is_set() or claim.is_lost:
                break
            handled += self._handle_one(claim, message, handler)
            if time.monotonic() - acknowledged_at >= _ACK_EVERY:
                self._settle(claim, claim.acknowledge)
                acknowledged_at = time.monotonic()
        return handled

    def _handle_one(self, claim: Claim, message: Message, handler: Handler) -> bool:
        """Call the handler, and return whether the record was handled."""
        try:
            outcome, error = self._attempts.run(handler, message, self._stop)
        except BaseException as ended:
            # It counts as an attempt: the record may be why.
            self._stop.set()
            self._give_back(claim, message, 0, ended)
            raise
        if outcome is Outcome.HANDLED:
            claim.handled(message)
            return True
        delay = 0 if outcome is Outcome.STOPPED else self._attempts.backoff.delay(message.attempt)
        self._give_back(claim, message, delay, error)
        return False

    def _give_back(self, claim: Claim, message: Message, delay: int, error: BaseException | None) -> None:
        text = f"{type(error).__name__}: {error}"
        self._settle(claim, lambda: claim.give_back(message, delay, text))

    def _settle(self, claim: Claim, call: Callable[[], None]) -> None:
        """Tell the server what became of records. What it does not hear or take comes again."""
        try:
            self._patiently(call)
        except ClaimLostError:
            claim.lose()
        except StopRequested:
            log.warning("the server does not answer: records of group %s on %s come again", self._group, self._topic)

    def _patiently(self, call: Callable[[], T]) -> T:
        """Repeat a request until it is answered. Raises ``StopRequested`` if it was not, and the run was to stop before its last try."""
        failures, since = 0, 0.0
        while True:
            is_last = self._stop.is_set()
            try:
                answer = call()
            except UnavailableError as error:
                if is_last:
                    raise StopRequested from None
                failures += 1
                since = since if failures > 1 else time.monotonic()
                if self._give_up_after is not None and time.monotonic() - since >= self._give_up_after:
                    raise
                pause = _AWAY.jittered(failures)
                log.warning("%s; again in %.1f s", error, pause)
                self._stop.wait(pause)
            else:
                if failures > 0:
                    log.info("the server answers again")
                return answer

    def __enter__(self) -> Consumer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Consumer({self._client!r}, topic={self._topic!r}, group={self._group!r})"


def _start(start: str | int) -> str | dict[str, int]:
    if isinstance(start, int) and not isinstance(start, bool) and start >= 0:
        return {"Offset": start}
    if start in ("earliest", "latest"):
        return str(start).capitalize()
    raise ValueError('start is none of "earliest", "latest" and an offset from 0')
