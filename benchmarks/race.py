"""Races: every contestant runs once per round, so that noise affects all of them.

A race becomes ratios; a budget limits the races of a suite, and findings hold their results.
"""

import gc
import math
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import linear_regression, median, quantiles
from typing import Any, TypeVar

# The seconds after which two rounds are enough.
_LONG = 30.0
# The part of a share for rounds; the rest is for building and warming up.
_ROUNDS = 0.6
# A race may start until the limit is exceeded by this factor.
_LATE = 1.2
# Below a thirtieth of the largest size, constant costs hide the growth.
_TAIL = 30
_T = TypeVar("_T")

Run = Callable[[], object]
Measure = Callable[[Run], float]


@dataclass(frozen=True, slots=True)
class Effort:
    """The length of a race: ``seconds``, but at least ``least`` and at most ``most`` rounds.

    Two rounds are enough if they took half a minute. ``least`` is even, so that both orders run
    equally often at any length.
    """

    seconds: float
    least: int
    most: int

    def is_spent(self, rounds: int, began: float) -> bool:
        """True if a race is over: after ``most`` rounds, or after a pair when time is up."""
        if rounds >= self.most:
            return True
        if rounds < 2 or rounds % 2:
            return False
        took = time.perf_counter() - began
        return took >= self.seconds and (rounds >= self.least or took >= _LONG)


@dataclass(frozen=True, slots=True)
class Race:
    """The samples of each contestant by round, for rnnspec and its opponents."""

    title: str
    ours: dict[str, list[float]]
    theirs: dict[str, list[float]]
    unit: str = "ms"
    """The unit in which samples are printed; those in ``ms`` are stored in seconds."""


def seconds(run: Run) -> float:
    """Return the duration of ``run``."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def result(run: Run) -> float:
    """Return the result of ``run``: the time or the memory of another process."""
    number = run()
    assert isinstance(number, float)
    return number


def race(  # noqa: PLR0913 - each with a name
    title: str,
    ours: Mapping[str, Run],
    theirs: Mapping[str, Run],
    effort: Effort,
    *,
    warmups: int = 3,
    measure: Measure = seconds,
    unit: str = "ms",
) -> Race:
    """Measure all contestants in interleaved rounds, after warm-up rounds that do not count.

    Their order rotates every second round and is reversed in between, because one may profit from
    what the one before it left in the caches.
    """
    contestants = [*ours.items(), *theirs.items()]
    log(f"{title}: {len(contestants)} contestants")
    for _ in range(warmups):
        for _, run in contestants:
            measure(run)
    # Objects alive now stay alive, so collections during the rounds can skip them.
    gc.collect()
    gc.freeze()
    began = time.perf_counter()
    rounds: list[dict[str, float]] = []
    while not effort.is_spent(len(rounds), began):
        first = len(rounds) // 2 % len(contestants)
        order = [*contestants[first:], *contestants[:first]]
        if len(rounds) % 2:
            order.reverse()
        rounds.append({name: measure(run) for name, run in order})
    log(f"{title}: {len(rounds)} rounds")
    mine, other = ({name: [r[name] for r in rounds] for name in side} for side in (ours, theirs))
    return Race(title, mine, other, unit)


def log(text: str) -> None:
    """Print progress to standard error."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Ratio:
    """The cost of ``ours`` divided by that of ``theirs``; ``aim`` is the largest ratio wanted."""

    title: str
    ours: str
    theirs: str
    median: float
    low: float
    high: float
    ours_median: float
    theirs_median: float
    unit: str
    rounds: int
    aim: float | None = None


def ratios(race: Race, aims: Mapping[str, float] | None = None) -> Iterator[Ratio]:
    """Yield a ratio for each contestant of rnnspec and each opponent, with its aim by name."""
    for ours, mine in race.ours.items():
        for theirs, other in race.theirs.items():
            # Per round, because the two of a round share its noise.
            low, middle, high = spread([a / b for a, b in zip(mine, other, strict=True)])
            medians = median(mine), median(other)
            aim = (aims or {}).get(theirs)
            yield Ratio(
                race.title, ours, theirs, middle, low, high, *medians, race.unit, len(mine), aim
            )


def ratios_by_speed(race: Race, aim: float = 1.0, beside: Collection[str] = ()) -> list[Ratio]:
    """Return the ratio to the fastest opponent, which has the aim, then to the others.

    Opponents in ``beside`` do not do quite the same work: they are shown without an aim.
    """
    # The aim is for the fastest code that does the same work; to beat slower code is no merit.
    first, *others = sorted(ratios(race), key=lambda r: (r.theirs in beside, r.theirs_median))
    return [first if first.theirs in beside else replace(first, aim=aim), *others]


def spread(samples: list[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    if len(samples) < 2:
        return samples[0], samples[0], samples[0]
    # Inclusive: with few rounds, the other method extrapolates beyond the samples.
    low, middle, high = quantiles(samples, n=4, method="inclusive")
    return low, middle, high


@dataclass(frozen=True, slots=True)
class Curve:
    """Seconds and peak bytes by size, in ascending order."""

    name: str
    title: str
    sizes: list[int]
    seconds: list[float]
    peak: list[float]

    @property
    def exponents(self) -> tuple[float, float]:
        """The exponents of time and memory; 1 is linear."""
        return exponent(self.sizes, self.seconds), exponent(self.sizes, self.peak)


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Return the least-squares slope of the logarithms over the larger sizes."""
    pairs = zip(sizes, values, strict=True)
    tail = [(math.log(n), math.log(v)) for n, v in pairs if n * _TAIL >= sizes[-1]]
    # A power law is a straight line on logarithmic axes, and its slope is the exponent.
    slope: float = linear_regression(*zip(*tail, strict=True)).slope
    return slope


Runs = Mapping[str, Run]
Aims = Mapping[str, float] | Callable[[Race], Iterable[Ratio]] | None
"""The aim of each opponent by name, or the function that makes the ratios of a race."""


@dataclass(slots=True)
class Findings:
    """Races, their ratios, curves and notes."""

    races: list[Race] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Budget:
    """A limit in seconds for the races of a suite, and what was found.

    Once it is spent, races run the fewest rounds, and then none starts.
    """

    seconds: float
    quick: bool
    findings: Findings = field(default_factory=Findings)
    began: float = field(default_factory=time.perf_counter)
    left_out: int = 0

    def effort(self, races: int) -> Effort:
        """Return the effort of the next race, with ``races`` left including it."""
        # Recomputed before each race, so that a slow race shortens those after it.
        spent = time.perf_counter() - self.began
        share = max(0.0, (self.seconds - spent) / races * _ROUNDS)
        # Even numbers of rounds: see Effort.
        return Effort(share, 2, 20) if self.quick else Effort(share, 4, 200)

    def race(
        self,
        title: str,
        ours: Runs,
        theirs: Runs,
        effort: Effort,
        aims: Aims = None,
        **options: Any,
    ) -> Race:
        """Run a race, and add it to the findings."""
        return self.add(race(title, ours, theirs, effort, **options), aims)

    def add(self, race: Race, aims: Aims = None) -> Race:
        """Add a race to the findings, and return it."""
        self.findings.races.append(race)
        self.findings.ratios += aims(race) if callable(aims) else ratios(race, aims)
        return race

    def shared(self, items: Sequence[_T], after: int = 0) -> Iterator[tuple[_T, Effort]]:
        """Yield each item with its effort while there is time; ``after`` more races follow."""
        for place, item in enumerate(items):
            if time.perf_counter() - self.began > self.seconds * _LATE:
                self.left_out += len(items) - place
                log(f"time is up: {len(items) - place} left out")
                return
            yield item, self.effort(len(items) - place + after)
