"""A bar on a terminal that says how far a run is."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from ._calls import Calls
    from ._topic import Topic

_WIDTH = 30
_EVERY = 0.1


class Progress:
    """The records of one topic in a run: those that were new at its begin, and those that it has reached."""

    def __init__(self, name: str, records: int, out: TextIO):
        self._name, self._records, self._out = name, records, out
        self._reached, self._last, self._drawn_at = 0, 0, 0.0

    @staticmethod
    @contextmanager
    def over(topic: Topic[Any], calls: list[Calls], *, wanted: bool) -> Iterator[None]:
        """Draw the progress of some calls, if it is wanted and standard error is a terminal."""
        out = sys.stderr
        records = topic.count("new") if wanted and out is not None and out.isatty() else 0
        if records == 0:
            yield
            return
        progress = Progress(topic.name, records, out)
        for one in calls:
            one.on_call = progress.reach
        try:
            yield
        finally:
            progress.draw()
            out.write("\n")
            out.flush()

    def reach(self, id: int) -> None:
        """Note that a record is being worked on. Several arms may say so of one."""
        if id == self._last:
            return
        self._last, self._reached = id, self._reached + 1
        if time.monotonic() - self._drawn_at >= _EVERY:
            self.draw()

    def draw(self) -> None:
        """Draw the bar over itself. Another process may append meanwhile, so it may not be full, or have been too short."""
        records = max(self._records, self._reached)
        full = _WIDTH * self._reached // records
        self._out.write(f"\r{self._name} [{'#' * full}{' ' * (_WIDTH - full)}] {self._reached} of {records}")
        self._out.flush()
        self._drawn_at = time.monotonic()
