"""Ratios of the samples of a race, per round, with their median and quartiles."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import median, quantiles

from benchmarks.race import Race


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


def against_each(race: Race, aims: Mapping[str, float] | None = None) -> Iterator[Ratio]:
    """Yield a ratio for each contestant of rnnspec and each opponent, with its aim by name."""
    for ours in race.ours:
        for theirs in race.theirs:
            yield replace(_ratio(race, ours, theirs), aim=(aims or {}).get(theirs))


def against_fastest(race: Race, aim: float = 1.0, beside: Collection[str] = ()) -> Iterator[Ratio]:
    """Yield the ratio to the fastest opponent, which has the aim, then to the others.

    Opponents in ``beside`` do not do quite the same work: they are shown without an aim.
    """
    (ours,) = race.ours
    # The aim is for the fastest code that does the same work; to beat slower code is no merit.
    order = sorted(race.theirs, key=lambda name: (name in beside, median(race.theirs[name])))
    for place, theirs in enumerate(order):
        its_aim = aim if place == 0 and theirs not in beside else None
        yield replace(_ratio(race, ours, theirs), aim=its_aim)


def spread(samples: list[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    if len(samples) < 2:
        return samples[0], samples[0], samples[0]
    # Inclusive: with few rounds, the other method extrapolates beyond the samples.
    low, middle, high = quantiles(samples, n=4, method="inclusive")
    return low, middle, high


def _ratio(race: Race, ours: str, theirs: str) -> Ratio:
    mine, other = race.ours[ours], race.theirs[theirs]
    # Per round, because the two of a round share its noise.
    low, middle, high = spread([a / b for a, b in zip(mine, other, strict=True)])
    medians = median(mine), median(other)
    return Ratio(race.title, ours, theirs, middle, low, high, *medians, race.unit, len(mine))
