"""How long a topic keeps its records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

Rule = tuple[int | None, int | None, bool, int | None]


@dataclass(frozen=True)
class Retention:
    """How long a topic keeps its records. What it no longer keeps is deleted from the oldest on, by appends and by ``Topic.expire``.

    A record may be deleted when it is older than ``max_age``, or when its partition holds more than ``max_bytes``; with
    ``keep_unhandled`` only after every consumer has handled it, and at once if that alone is set. A record that is older than
    ``unhandled_max_age`` does not wait for consumers. A fact that was appended once stays a duplicate.
    """

    max_age: timedelta | None = None
    max_bytes: int | None = None
    keep_unhandled: bool = False
    unhandled_max_age: timedelta | None = None

    def _rule(self) -> Rule:
        microsecond = timedelta(microseconds=1)
        ages = [None if age is None else age // microsecond for age in (self.max_age, self.unhandled_max_age)]
        names = ("max_age", "unhandled_max_age", "max_bytes")
        for name, value in zip(names, (*ages, self.max_bytes), strict=True):
            if value is not None and not 0 < value < 2**63:
                raise ValueError(f"{name} must be positive and below 2 to the 63rd, not {value}")
        if self.unhandled_max_age is not None and not self.keep_unhandled:
            raise ValueError("unhandled_max_age is of use only with keep_unhandled=True")
        if (ages[0], self.max_bytes, self.keep_unhandled) == (None, None, False):
            raise ValueError("retention keeps no record: set max_age, max_bytes or keep_unhandled")
        return ages[0], self.max_bytes, self.keep_unhandled, ages[1]
