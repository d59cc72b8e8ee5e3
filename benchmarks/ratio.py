"""Ratios of the times of one race: round by round, then their median and quartiles."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import median, quantiles

from benchmarks.race import Race


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as long ``ours`` took as ``theirs``; times are medians in milliseconds."""

    title: str
    ours: str
    theirs: str
    median: float
    low: float
    high: float
    ours_ms: float
    theirs_ms: float
    rounds: int
    aim: float | None = None


def against_each(race: Race) -> Iterator[Ratio]:
    """Yield a ratio for each of rnnspec's contestants and each opponent."""
    for ours in race.ours:
        for theirs in race.theirs:
            yield _ratio(race, ours, theirs)


def against_fastest(race: Race) -> Iterator[Ratio]:
    """Yield the ratio to the fastest opponent, whom to equal is the aim, then to the others."""
    (ours,) = race.ours
    fastest, *others = sorted(race.theirs, key=lambda name: median(race.theirs[name]))
    yield replace(_ratio(race, ours, fastest), aim=1.0)
    for theirs in others:
        yield _ratio(race, ours, theirs)


def _ratio(race: Race, ours: str, theirs: str) -> Ratio:
    mine, other = race.ours[ours], race.theirs[theirs]
    ratios = [a / b for a, b in zip(mine, other, strict=True)]
    low, middle, high = quantiles(ratios, n=4, method="inclusive")
    times = median(mine) * 1e3, median(other) * 1e3
    return Ratio(race.title, ours, theirs, middle, low, high, *times, len(ratios))
