"""Calls of a user's function by the native part, which keeps its exceptions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ._errors import Details, NativeError, exception_of
from ._model import Model, described

if TYPE_CHECKING:
    from ._topic import Topic


class Calls:
    """The calls of a function for records of a topic; it returns the outputs for the native part."""

    def __init__(self, topic: Topic[Any], function: Callable[[Any], list[Any]], target: Model | None):
        self._topic = topic
        self._function = function
        self._target = target
        self.exceptions: dict[int, Exception] = {}
        self.stopped: BaseException | None = None
        # Called with the id of each record before the function is.
        self.on_call: Callable[[int], None] | None = None

    def answer(self, id: int, text: str) -> tuple[str, list[str]]:
        """Call the function, and return the outputs as JSON, or why there are none."""
        try:
            if self.on_call is not None:
                self.on_call(id)
            self._topic._heard({})
            outputs = self._function(self._topic._model.load(text))
            if self._target is None:
                return "outputs", []
            return "outputs", [self._target.text(output) for output in outputs]
        except Exception as error:
            self.exceptions[id] = error
            return "failed", [described(error)]
        except BaseException as error:
            self.stopped = error
            return "stopped", [type(error).__name__]

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise the function's own exception for a call that it has ended."""
        failed: BaseException | None = None
        try:
            yield
        except NativeError as error:
            own = self.stopped or next(iter(self.exceptions.values()), None)
            failed = own or exception_of(Details.of(error))
        if failed is not None:
            raise failed
