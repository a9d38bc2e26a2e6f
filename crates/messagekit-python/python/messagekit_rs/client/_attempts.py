"""Calls of a handler for one record, until one succeeds or all have failed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from ._backoff import Backoff
from ._message import Message
from ._stop import Stop

log = logging.getLogger("messagekit_rs.client")

Handler = Callable[[Message], object]
# What is called before a further attempt: the record, the error, the number of the attempt that failed, the pause.
OnRetry = Callable[[Message, Exception, int, float], object]
# What is called after each failed attempt.
OnError = Callable[[Message, Exception, int], object]
# What is called after the last one.
OnFailed = Callable[[Message, Exception], object]


class Outcome(Enum):
    """What became of a record here."""

    HANDLED = auto()
    FAILED = auto()
    STOPPED = auto()


@dataclass(frozen=True)
class Attempts:
    """The rules by which a record is tried again in this process."""

    most: int
    backoff: Backoff
    on_retry: OnRetry | None
    on_error: OnError | None
    on_failed: OnFailed | None
    ack_on_failed: bool

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError(f"max_attempts is at least 1, not {self.most}")

    def run(self, handler: Handler, message: Message, stop: Stop) -> tuple[Outcome, Exception | None]:
        """Call the handler, and return what became of the record, with the last error."""
        for attempt in range(1, self.most + 1):
            try:
                handler(message)
            except Exception as error:
                # The text of the error may quote the record.
                log.warning("attempt %d at %s failed: %s", attempt, message.run_key, type(error).__name__)
                failed = error
            else:
                return Outcome.HANDLED, None
            _call("on_error", self.on_error, message, failed, attempt)
            if attempt == self.most:
                return self._finally(message, failed)
            pause = self.backoff.pause(attempt)
            _call("on_retry", self.on_retry, message, failed, attempt, pause)
            if stop.wait(pause):
                return Outcome.STOPPED, failed
        raise AssertionError("there is at least one attempt")

    def _finally(self, message: Message, error: Exception) -> tuple[Outcome, Exception]:
        is_noted = self.on_failed is not None and _call("on_failed", self.on_failed, message, error)
        return (Outcome.HANDLED if is_noted and self.ack_on_failed else Outcome.FAILED), error


def _call(name: str, hook: Callable[..., object] | None, *arguments: object) -> bool:
    """Call a hook, and return whether it succeeded. Its error is logged and ends nothing."""
    if hook is None:
        return False
    try:
        hook(*arguments)
    except Exception as error:
        log.error("%s has failed: %s", name, type(error).__name__)
        return False
    return True
