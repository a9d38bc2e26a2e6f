"""A record as a handler gets it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Message:
    """A record of a topic, claimed for a group.

    ``op`` is ``Insert``, ``Update``, ``Delete`` or ``Truncate``. ``user`` is the one that changed the row, if the writer has said so.
    ``event_id`` is the same whenever the event comes again, so effects that are kept under it happen once. ``attempt`` counts the
    deliveries to the group, from 1.
    """

    topic: str
    partition: int
    offset: int
    group: str
    key: str | None
    payload: bytes = field(repr=False)
    timestamp: datetime
    user: str | None
    op: str
    event_id: str | None
    event_type: str | None
    attempt: int
    headers: Mapping[str, str] = field(repr=False)

    @cached_property
    def data(self) -> Any:
        """The payload as JSON. Raises ``ValueError`` if it is none."""
        return json.loads(self.payload)

    @property
    def run_key(self) -> str:
        """The name of this record for this group: ``group:topic:partition:offset``."""
        return f"{self.group}:{self.topic}:{self.partition}:{self.offset}"

    @staticmethod
    def of(group: str, answer: Mapping[str, Any]) -> Message:
        """Return the message of an answer of the server."""
        return Message(
            topic=answer["topic_id"],
            partition=answer["partition_id"],
            offset=answer["offset"],
            group=group,
            key=answer.get("key"),
            payload=base64.b64decode(answer["payload"]),
            timestamp=_EPOCH + timedelta(milliseconds=answer["timestamp_ms"]),
            user=answer.get("user"),
            op=answer["op"],
            event_id=answer.get("event_id"),
            event_type=answer.get("event_type"),
            attempt=answer.get("attempt", 1),
            headers=answer.get("headers", {}),
        )
