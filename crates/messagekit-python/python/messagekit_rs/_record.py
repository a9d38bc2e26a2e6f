"""A record of a topic."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from ._topic import Topic

ModelT = TypeVar("ModelT")

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Record(Generic[ModelT]):
    """A record of a topic, as its consumer sees it.

    ``id`` counts from 1 over the whole file, in the order of the appends. ``status`` is ``new``, ``handled`` or ``dead``. The hashes are
    SHA-256 over canonical JSON, of the data and of its dedup fields.
    """

    id: int
    topic: str
    created_at: datetime
    handled_at: datetime | None
    status: str
    payload_hash: str
    dedup_hash: str | None
    data: ModelT
    partition: int = 0
    offset: int = 0
    _of: Topic[Any] | None = field(default=None, repr=False, compare=False)

    def ack(self) -> None:
        """Note that the record was handled, now; a second call notes the new time."""
        if self._of is None:
            raise RuntimeError("record belongs to no topic: take it from an iteration with records=True")
        self._of.set_handled(record=self)


def moment(micros: int | None) -> datetime | None:
    """Return the time of microseconds since 1970."""
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)
