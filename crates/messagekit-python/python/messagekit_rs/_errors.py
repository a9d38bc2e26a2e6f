"""The exceptions, and which of them an error of the file becomes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ._native import NativeError


class MinikafkaError(Exception):
    """The base of the exceptions of topics and pipelines."""


class SchemaMismatchError(MinikafkaError):
    """The topic of the file has another schema or another rule than the program's."""


class DuplicateMessageError(MinikafkaError):
    """The topic has a record with the same dedup fields: ``existing`` is its id."""

    def __init__(self, text: str, existing: int | None = None):
        super().__init__(text)
        self.existing = existing


@dataclass(frozen=True)
class FanOutFailure:
    """A record on which one arm of a graph failed."""

    record_id: int
    source: str
    target: str | None
    exception: BaseException


class FanOutError(MinikafkaError):
    """Arms failed in a run with the strategy ``best_effort``: ``failures`` lists them. What succeeded is kept."""

    def __init__(self, failures: list[FanOutFailure]):
        self.failures: list[FanOutFailure] = list(failures)
        lines = [f"{len(self.failures)} sibling failure(s) during best_effort run"]
        for failure in self.failures:
            arm = failure.source if failure.target is None else f"{failure.source} -> {failure.target}"
            exception = failure.exception
            lines.append(f"  record={failure.record_id} {arm}: {type(exception).__name__}: {exception}")
        super().__init__("\n".join(lines))


@dataclass(frozen=True)
class Details:
    """An error of the file: its kind, its text, and what it says besides."""

    kind: str
    text: str
    more: dict

    @staticmethod
    def of(error: NativeError) -> Details:
        kind, text, more = error.args
        return Details(kind, text, json.loads(more))


def exception_of(details: Details) -> Exception:
    """Return the exception that a caller expects for an error of the file."""
    kind, text = details.kind, details.text
    if kind == "Duplicate":
        return DuplicateMessageError(f"duplicate message: {text}", details.more["duplicate"]["existing"])
    if kind == "SchemaMismatch":
        return SchemaMismatchError(text)
    if kind == "Closed" and "replaced" in text:
        return sqlite3.DatabaseError(text)
    if kind == "Closed":
        return sqlite3.ProgrammingError("Cannot operate on a closed database.")
    if kind == "NotFound":
        return KeyError(text)
    if kind in ("InvalidEvent", "InvalidConfiguration", "TooLarge"):
        return ValueError(text)
    if kind in ("Unavailable", "Conflict", "OutcomeUnknown", "TransactionTimeout"):
        return sqlite3.OperationalError(text)
    if kind in ("Corrupt", "Schema", "Other"):
        return sqlite3.DatabaseError(text)
    return MinikafkaError(text)


@contextmanager
def translated() -> Iterator[None]:
    """Raise the exceptions of this package for errors of the file."""
    try:
        yield
    except NativeError as error:
        # The user has never seen the other one.
        raise exception_of(Details.of(error)) from None
