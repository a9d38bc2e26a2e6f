"""Topics to read, and where each begins."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import _native


@dataclass
class SourceTopic:
    """A topic and where it begins: at its end, unless another policy is named."""

    name: str
    policy: str = "latest"
    time_ms: int | None = None
    offset: int | None = None
    timezone: str | None = None
    consumer: str | None = None

    @staticmethod
    def from_latest(name: str) -> SourceTopic:
        """Begin behind the last records."""
        return SourceTopic(name=name, policy="latest")

    @staticmethod
    def from_earliest(name: str) -> SourceTopic:
        """Begin at the first records that are kept."""
        return SourceTopic(name=name, policy="earliest")

    @staticmethod
    def from_relative_time(name: str, time_ms: int) -> SourceTopic:
        """Begin at the first records that are no older than so many milliseconds."""
        return SourceTopic(name=name, policy="relative_time", time_ms=time_ms)

    @staticmethod
    def from_absolute_time(name: str, time_ms: int) -> SourceTopic:
        """Begin at the first records of a time or later, in milliseconds since 1970."""
        return SourceTopic(name=name, policy="absolute_time", time_ms=time_ms)

    @staticmethod
    def from_offset(name: str, offset: int) -> SourceTopic:
        """Begin at an offset of every partition. One that has no such offset is an error."""
        return SourceTopic(name=name, policy="offset", offset=offset)

    @staticmethod
    def from_start_of_day(name: str, timezone: str = "UTC") -> SourceTopic:
        """Begin at the first records of today, as the day begins in a time zone such as ``"Europe/Berlin"``."""
        return SourceTopic(name=name, policy="start_of_day", timezone=timezone)

    @staticmethod
    def from_committed(name: str, consumer: str) -> SourceTopic:
        """Begin at what a consumer reads next, and at the first records of partitions in which it has no position."""
        return SourceTopic(name=name, policy="committed", consumer=consumer)


# What each policy needs besides the name of its topic.
NEEDS: dict[str, str | None] = {
    "latest": None,
    "earliest": None,
    "relative_time": "time_ms",
    "absolute_time": "time_ms",
    "offset": "offset",
    "start_of_day": "timezone",
    "committed": "consumer",
}


def validate_source_topic(topic: SourceTopic | Mapping[str, Any]) -> None:
    """Check a topic, as ``ConsumerManager`` does.

    Raises ``KeyError`` for a dictionary without a name or a policy, ``ValueError`` for an unknown policy or time zone and for a policy
    without what it needs, ``TypeError`` for values of other types, and ``OverflowError`` for numbers beyond 64 bits.
    """
    checked(topic)


def checked(topic: SourceTopic | Mapping[str, Any]) -> dict[str, Any]:
    """Return the topic as the native part reads it."""
    known: dict[str, Any] = dict.fromkeys(("time_ms", "offset", "timezone", "consumer"))
    if isinstance(topic, Mapping):
        for key in ("name", "policy"):
            if key not in topic:
                raise KeyError(f"missing '{key}' key")
        known |= topic
    else:
        known |= {"name": topic.name, "policy": topic.policy, "time_ms": topic.time_ms}
        known |= {field: getattr(topic, field, None) for field in ("offset", "timezone", "consumer")}
    for field in ("name", "policy", "timezone", "consumer"):
        known[field] = text(known[field], field, optional=field not in ("name", "policy"))
    for field in ("time_ms", "offset"):
        known[field] = None if known[field] is None else integer(known[field], field)
    policy = known["policy"]
    if policy not in NEEDS:
        raise ValueError(f"unknown policy: '{policy}'. Expected: {', '.join(NEEDS)}")
    need = NEEDS[policy]
    if need is not None and known[need] is None:
        raise ValueError(f"{policy} policy requires '{need}'")
    if need == "timezone" and not _native.is_time_zone(known[need]):
        raise ValueError(f"unknown time zone: {known[need]!r}. Write it as Europe/Berlin or UTC")
    return known


def text(value: Any, field: str, optional: bool = False) -> str | None:
    """Return a text that can be written as UTF-8."""
    if value is None and optional:
        return None
    if not isinstance(value, str):
        raise TypeError(f"'{field}' of a topic must be a str, not {type(value).__name__}")
    value.encode()
    return value


def integer(value: Any, field: str) -> int:
    """Return an integer of 64 bits, also of one that numpy or pandas has."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"'{field}' must be an int, not {type(value).__name__}")
    number = operator.index(value)
    if not -(2**63) <= number < 2**63:
        raise OverflowError(f"'{field}' is beyond 64 bits")
    return number
