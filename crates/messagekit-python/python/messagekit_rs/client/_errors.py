"""The exceptions of requests, one class for each answer that a program may want to tell apart."""

from __future__ import annotations

from typing import Any


class ClientError(Exception):
    """The server refused a request, or did not answer it.

    ``code`` is the server's word, such as ``NOT_FOUND``; ``status`` is that of HTTP, or ``None`` without an answer. The text has neither
    payloads nor the token.
    """

    def __init__(self, text: str, code: str, status: int | None = None):
        super().__init__(text)
        self.code = code
        self.status = status

    def __str__(self) -> str:
        number = "" if self.status is None else f"{self.status} "
        return f"{self.args[0]} ({number}{self.code})"


class BadRequestError(ClientError):
    """The request has a value that the server does not take. ``details`` shows where a statement cannot be read."""

    details: str | None = None


class UnauthorizedError(ClientError):
    """The server does not know the token."""


class ForbiddenError(ClientError):
    """The role of the token does not allow it."""


class NotFoundError(ClientError):
    """There is no such topic, partition or database."""


class ClaimLostError(ClientError):
    """The claim does not hold these records any more: they come again, here or elsewhere."""


class DuplicateError(ClientError):
    """The topic has a record with the same dedup fields: ``existing`` is its id."""

    existing: int | None = None


class OutOfRangeError(ClientError):
    """The partition does not have this offset: its first record is ``earliest``, and the next one will be ``next``."""

    partition: int | None = None
    earliest: int | None = None
    next: int | None = None


class InvalidRecordError(ClientError):
    """The record does not fit the schema of the topic."""


class UnavailableError(ClientError):
    """There is no answer, or one that may be another the next time. What the request should do may be done or not."""


_BY_CODE: dict[str, type[ClientError]] = {
    "CLAIM_LOST": ClaimLostError,
    "DUPLICATE": DuplicateError,
    "INVALID_RECORD": InvalidRecordError,
    "OFFSET_OUT_OF_RANGE": OutOfRangeError,
}

_BY_STATUS: dict[int, type[ClientError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    **dict.fromkeys((408, 429, 500, 502, 503, 504), UnavailableError),
}


def error_of(status: int, answer: dict[str, Any]) -> ClientError:
    """Return the exception for an answer that is none of success."""
    more = answer.get("error")
    # Statements are answered with an object, all else with a text and a code beside it.
    of_statement = more if isinstance(more, dict) else {}
    text = of_statement.get("message", more if isinstance(more, str) else "the server refused the request")
    code = str(of_statement.get("code", answer.get("code", "UNKNOWN")))
    error = _BY_CODE.get(code, _BY_STATUS.get(status, ClientError))(text, code, status)
    if isinstance(error, BadRequestError):
        error.details = of_statement.get("details")
    if isinstance(error, DuplicateError):
        error.existing = answer.get("existing_id")
    if isinstance(error, OutOfRangeError):
        error.partition, error.earliest, error.next = (answer.get(n) for n in ("partition_id", "earliest", "next"))
    return error
