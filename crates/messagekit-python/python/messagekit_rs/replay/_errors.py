"""The exception of a reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from ._kafka import native_errors


class ReplayError(RuntimeError):
    """A reader that cannot be opened, or a log that does not answer.

    ``kind`` says what went wrong, for example ``"NotFound"``. If ``is_transient``, call again: no record that was read is lost.
    """

    def __init__(self, text: str, kind: str = "Other", is_transient: bool = False):
        super().__init__(text)
        self.kind = kind
        self.is_transient = is_transient


@contextmanager
def translated() -> Iterator[None]:
    """Raise a ``ReplayError`` for errors of a log."""
    try:
        yield
    except native_errors() as error:
        kind, text, more = error.args
        # The user has never seen the other one.
        raise ReplayError(text, kind, json.loads(more).get("is_transient", False)) from None
