"""Interleaved rounds: every contestant runs once per round, so that noise affects all of them."""

import gc
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

# The seconds after which two rounds are enough.
_LONG = 30.0

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

    def spent(self, rounds: int, began: float) -> bool:
        """Return whether a race is over: after ``most`` rounds, or after a pair when time is up."""
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


def told(run: Run) -> float:
    """Return the result of ``run``: the time or the memory of another process."""
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
    """Measure all contestants in interleaved rounds, after warm-up rounds that do not count."""
    log(f"{title}: {len(ours) + len(theirs)} contestants")
    everyone = [*ours.items(), *theirs.items()]
    for _ in range(warmups):
        _round(everyone, measure)
    # Objects alive now stay alive, so collections during the rounds can skip them.
    gc.collect()
    gc.freeze()
    rounds = _rounds(everyone, effort, measure)
    log(f"{title}: {len(rounds)} rounds")
    return Race(title, _by_name(ours, rounds), _by_name(theirs, rounds), unit)


def log(text: str) -> None:
    """Print progress to standard error."""
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
    """Return the order of a round: rotated every second round, and reversed in between."""
    # A contestant may profit from what the one before it left in the caches, so no one stays first.
    first = number // 2 % len(everyone)
    rotated = [*everyone[first:], *everyone[:first]]
    return rotated[::-1] if number % 2 else rotated


def _round(everyone: Sequence[tuple[str, Run]], measure: Measure) -> dict[str, float]:
    return {name: measure(run) for name, run in everyone}


def _by_name(names: Mapping[str, Run], rounds: list[dict[str, float]]) -> dict[str, list[float]]:
    return {name: [each[name] for each in rounds] for name in names}
