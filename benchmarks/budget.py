"""The seconds that a suite may take, shared out among its races."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from benchmarks.race import Effort, say

_ROUNDS = 0.6  # of a share; the rest is for building and warming up
_LATE = 1.2
_T = TypeVar("_T")


@dataclass(slots=True)
class Budget:
    """Seconds from now. When they are spent, a race has its fewest rounds; later none is begun."""

    seconds: float
    quick: bool
    began: float = field(default_factory=time.perf_counter)
    left_out: int = 0

    @property
    def spent(self) -> float:
        """Return the seconds since it began."""
        return time.perf_counter() - self.began

    def effort(self, races: int) -> Effort:
        """Return the effort of the next race, of ``races`` that are still to come."""
        share = max(0.0, (self.seconds - self.spent) / races * _ROUNDS)
        return Effort(share, 2, 20) if self.quick else Effort(share, 4, 200)

    def shared(self, items: Sequence[_T], after: int = 0) -> Iterator[tuple[_T, Effort]]:
        """Yield each item with its effort, while there is time; ``after`` more races follow."""
        for place, item in enumerate(items):
            if self.spent > self.seconds * _LATE:
                self.left_out += len(items) - place
                say(f"time is up: {len(items) - place} left out")
                return
            yield item, self.effort(len(items) - place + after)
