"""Growing pauses."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

# The longest delay of a record that is given back: an hour.
_MAX_DELAY = 3600


@dataclass(frozen=True)
class Backoff:
    """Pauses from ``first`` to ``longest`` seconds, each ``factor`` times the one before."""

    first: float
    longest: float
    factor: float

    def __post_init__(self) -> None:
        if not (0 <= self.first <= self.longest < math.inf and 1 <= self.factor < math.inf):
            raise ValueError("backoff is not (first, longest, factor) with 0 <= first <= longest and factor >= 1")

    def pause(self, failures: int) -> float:
        """Return the pause after so many failures, from 1."""
        return _grown(self.first, self.factor, failures, self.longest)

    def jittered(self, failures: int) -> float:
        """Return a pause that differs from those of others, so that they do not come all at once."""
        return self.pause(failures) * random.uniform(0.5, 1.0)

    def delay(self, attempt: int) -> int:
        """Return for how many seconds a record is given back that has failed in this attempt: from the longest pause on."""
        return math.ceil(_grown(self.longest, self.factor, attempt, max(self.longest, _MAX_DELAY)))


def _grown(first: float, factor: float, failures: int, longest: float) -> float:
    # A power of a large number of failures would overflow.
    return min(first * factor ** min(failures - 1, 64), longest)
