"""The time limit of a suite, divided among its races."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from benchmarks.race import Effort, log

# The part of a share for rounds; the rest is for building and warming up.
_ROUNDS = 0.6
# A race may start until the limit is exceeded by this factor.
_LATE = 1.2
_T = TypeVar("_T")


@dataclass(slots=True)
class Budget:
    """A limit in seconds. Once it is spent, races run the fewest rounds, and then none starts."""

    seconds: float
    quick: bool
    began: float = field(default_factory=time.perf_counter)
    left_out: int = 0

    @property
    def spent(self) -> float:
        """The seconds since the start."""
        return time.perf_counter() - self.began

    def effort(self, races: int) -> Effort:
        """Return the effort of the next race, with ``races`` left including it."""
        # Recomputed before each race, so that a slow race shortens those after it.
        share = max(0.0, (self.seconds - self.spent) / races * _ROUNDS)
        # Even numbers of rounds: see Effort.
        return Effort(share, 2, 20) if self.quick else Effort(share, 4, 200)

    def shared(self, items: Sequence[_T], after: int = 0) -> Iterator[tuple[_T, Effort]]:
        """Yield each item with its effort while there is time; ``after`` more races follow."""
        for place, item in enumerate(items):
            if self.spent > self.seconds * _LATE:
                self.left_out += len(items) - place
                log(f"time is up: {len(items) - place} left out")
                return
            yield item, self.effort(len(items) - place + after)
