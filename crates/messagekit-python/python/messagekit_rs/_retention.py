"""How long a topic keeps its records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

Rule = tuple[int | None, int | None, bool]


@dataclass(frozen=True)
class Retention:
    """How long a topic keeps its records. What it no longer keeps is deleted from the oldest on, by appends and by ``Topic.expire``.

    A record may be deleted when it is older than ``max_age``, or when its partition holds more than ``max_bytes``; with
    ``keep_unhandled`` only after every consumer has handled it, and at once if that alone is set. A fact that was appended once stays a
    duplicate.
    """

    max_age: timedelta | None = None
    max_bytes: int | None = None
    keep_unhandled: bool = False

    def _rule(self) -> Rule:
        age = None if self.max_age is None else self.max_age // timedelta(microseconds=1)
        for name, value in (("max_age", age), ("max_bytes", self.max_bytes)):
            if value is not None and not 0 < value < 2**63:
                raise ValueError(f"{name} must be positive and below 2 to the 63rd, not {value}")
        if (age, self.max_bytes, self.keep_unhandled) == (None, None, False):
            raise ValueError("retention keeps no record: set max_age, max_bytes or keep_unhandled")
        return age, self.max_bytes, self.keep_unhandled
