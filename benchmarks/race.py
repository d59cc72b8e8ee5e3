"""Interleaved rounds: every contestant runs once a round, so that a noisy moment hits them all."""

import gc
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_LONG = 30.0

Run = Callable[[], object]
Measure = Callable[[Run], float]


@dataclass(frozen=True, slots=True)
class Effort:
    """How long a race goes on: for ``seconds``, but never under ``least`` or over ``most`` rounds.

    Two rounds are enough where they took half a minute. ``least`` is even, so that both orders
    are run equally often at any length.
    """

    seconds: float
    least: int
    most: int

    def spent(self, rounds: int, began: float) -> bool:
        """Return whether this was enough: ``most``, or time is up after whole pairs of rounds."""
        if rounds >= self.most:
            return True
        if rounds < 2 or rounds % 2:
            return False
        took = time.perf_counter() - began
        return took >= self.seconds and (rounds >= self.least or took >= _LONG)


@dataclass(frozen=True, slots=True)
class Race:
    """What was measured of each contestant, by round: rnnspec's side and its opponents'."""

    title: str
    ours: dict[str, list[float]]
    theirs: dict[str, list[float]]
    unit: str = "ms"
    """In which the samples are shown; those in ``ms`` are held in seconds."""


def seconds(run: Run) -> float:
    """Return how long ``run`` takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def told(run: Run) -> float:
    """Return what ``run`` says itself: the time or the memory of another process."""
    found = run()
    assert isinstance(found, float)
    return found


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
    """Measure all contestants in interleaved rounds, after some that do not count."""
    say(f"{title}: {len(ours) + len(theirs)} contestants")
    everyone = [*ours.items(), *theirs.items()]
    for _ in range(warmups):
        _round(everyone, measure)
    gc.collect()
    gc.freeze()
    rounds = _rounds(everyone, effort, measure)
    say(f"{title}: {len(rounds)} rounds")
    return Race(title, _by_name(ours, rounds), _by_name(theirs, rounds), unit)


def say(text: str) -> None:
    """Report progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def _rounds(
    everyone: Sequence[tuple[str, Run]], effort: Effort, measure: Measure
) -> list[dict[str, float]]:
    began = time.perf_counter()
    rounds: list[dict[str, float]] = []
    while not effort.spent(len(rounds), began):
        rounds.append(_round(_order(everyone, len(rounds)), measure))
    return rounds


def _order(everyone: Sequence[tuple[str, Run]], number: int) -> list[tuple[str, Run]]:
    """Return who goes when: another one first every second round, and each order both ways."""
    first = number // 2 % len(everyone)
    turned = [*everyone[first:], *everyone[:first]]
    return turned[::-1] if number % 2 else turned


def _round(everyone: Sequence[tuple[str, Run]], measure: Measure) -> dict[str, float]:
    return {name: measure(run) for name, run in everyone}


def _by_name(names: Mapping[str, Run], rounds: list[dict[str, float]]) -> dict[str, list[float]]:
    return {name: [each[name] for each in rounds] for name in names}
