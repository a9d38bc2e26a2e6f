"""Single requests about topics."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import quote

from ._connection import Connection
from ._stop import Stop


@dataclass(frozen=True)
class Appended:
    """What became of a record: its id, or that of the record with the same dedup fields."""

    id: int
    duplicate: bool


@dataclass(frozen=True)
class LatestOffset:
    """The end of a partition. ``last_offset`` is ``None`` before its first record."""

    topic: str
    partition: int
    last_offset: int | None
    next_offset: int


@dataclass(frozen=True)
class SqlResult:
    """What a statement has answered: rows, or in ``message`` what was done."""

    schema: list[dict[str, Any]]
    rows: list[list[Any]]
    row_count: int
    message: str | None = None


class Client:
    """Requests about the topics of a server, one at a time. Nothing is retried.

    ``database`` is the server's name of the database, if it serves several. A context manager; threads may share it.
    """

    def __init__(self, url: str, token: str, database: str | None = None, *, context: ssl.SSLContext | None = None):
        self._settings = (url, token, database, context)
        self._connection = Connection(url, token, context)
        self._query = "" if database is None else f"?database={quote(database, safe='')}"

    def append(self, topic: str, data: Mapping[str, Any], if_new: bool = False) -> Appended:
        """Append a record. Known dedup fields are a ``DuplicateError``, or with ``if_new`` no error.

        After an ``UnavailableError`` the record may be there: repeat it with ``if_new`` if the topic has dedup fields.
        """
        answer = self._post("append", {"topic_id": topic, "data": dict(data), "if_new": if_new})
        return Appended(answer["id"], answer["duplicate"])

    def append_all(self, topic: str, records: Iterable[Mapping[str, Any]], if_new: bool = False) -> list[Appended]:
        """Append up to 1,000 records together: all, or none."""
        body = {"topic_id": topic, "records": [dict(record) for record in records], "if_new": if_new}
        return [Appended(record["id"], record["duplicate"]) for record in self._post("append", body)["records"]]

    def latest_offsets(self, topic: str, partitions: Iterable[int] = (0,)) -> list[LatestOffset]:
        """Return the ends of partitions, in order. One that is not there has no record."""
        wanted = [{"topic_id": topic, "partition_id": partition} for partition in partitions]
        return [
            LatestOffset(end["topic_id"], end["partition_id"], end["last_offset"], end["next_offset"])
            for end in self._post("latest-offsets", {"partitions": wanted})["offsets"]
        ]

    def sql(self, statement: str) -> list[SqlResult]:
        """Run a statement, or several with semicolons between them, and return what each has answered."""
        answer = self._connection.post(f"/v1/api/sql{self._query}", {"sql": statement})
        return [
            SqlResult(result["schema"], result["rows"], result["row_count"], result.get("message"))
            for result in answer["results"]
        ]

    def consume(self, body: Mapping[str, Any], stop: Stop | None = None) -> dict[str, Any]:
        """Send ``/v1/api/topics/consume`` with these fields, and return the answer as it is."""
        return self._post("consume", body, wait=body.get("timeout_seconds", 0), stop=stop)

    def ack(self, **body: Any) -> dict[str, Any]:
        """Send ``/v1/api/topics/ack`` with these fields."""
        return self._post("ack", body)

    def nack(self, **body: Any) -> dict[str, Any]:
        """Send ``/v1/api/topics/nack`` with these fields."""
        return self._post("nack", body)

    def extend(self, **body: Any) -> dict[str, Any]:
        """Send ``/v1/api/topics/extend`` with these fields."""
        return self._post("extend", body)

    def again(self) -> Client:
        """Return another client of the same server, with a connection of its own."""
        url, token, database, context = self._settings
        return Client(url, token, database, context=context)

    def close(self) -> None:
        """Close the connection; the next request would open it again."""
        self._connection.close()

    def _post(self, name: str, body: Mapping[str, Any], *, wait: float = 0.0, stop: Stop | None = None) -> dict[str, Any]:
        return self._connection.post(f"/v1/api/topics/{name}{self._query}", dict(body), wait=wait, stop=stop)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._connection.address!r})"
