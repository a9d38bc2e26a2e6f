"""Topics to read, and where each begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


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


class Need(NamedTuple):
    """What a policy needs besides the name of its topic."""

    field: str
    type: type


POLICIES: dict[str, Need | None] = {
    "latest": None,
    "earliest": None,
    "relative_time": Need("time_ms", int),
    "absolute_time": Need("time_ms", int),
    "offset": Need("offset", int),
    "start_of_day": Need("timezone", str),
    "committed": Need("consumer", str),
}


def validate_source_topic(topic: SourceTopic | Mapping[str, Any]) -> None:
    """Check a topic, as ``ConsumerManager`` does.

    Raises ``KeyError`` for a dictionary without a name or a policy, ``ValueError`` for an unknown policy and for one without what it
    needs, and ``TypeError`` for values of other types.
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
    name, policy = known["name"], known["policy"]
    for field, value in (("name", name), ("policy", policy)):
        if not isinstance(value, str):
            raise TypeError(f"'{field}' of a topic must be a str, not {type(value).__name__}")
    if policy not in POLICIES:
        raise ValueError(f"unknown policy: '{policy}'. Expected: {', '.join(POLICIES)}")
    need = POLICIES[policy]
    if need is not None:
        value = known[need.field]
        if value is None:
            raise ValueError(f"{policy} policy requires '{need.field}'")
        if not isinstance(value, need.type) or isinstance(value, bool):
            raise TypeError(f"'{need.field}' of {name!r} must be an {need.type.__name__}, not {type(value).__name__}")
    return known
