"""Interleaved rounds: every contestant runs once a round, so that a noisy moment hits them all."""

import gc
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Run = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Effort:
    """How long a race goes on: for ``seconds``, but never under ``least`` or over ``most`` rounds.

    ``least`` is even, so that both orders are run equally often at any length.
    """

    seconds: float
    least: int
    most: int

    def spent(self, rounds: int, began: float) -> bool:
        """Return whether this was enough; only after whole pairs of rounds."""
        if rounds < self.least or rounds % 2:
            return False
        return rounds >= self.most or time.perf_counter() - began >= self.seconds


@dataclass(frozen=True, slots=True)
class Race:
    """The seconds each contestant took, by round: rnnspec's side and its opponents'."""

    title: str
    ours: dict[str, list[float]]
    theirs: dict[str, list[float]]


def race(
    title: str,
    ours: Mapping[str, Run],
    theirs: Mapping[str, Run],
    effort: Effort,
    warmups: int = 3,
) -> Race:
    """Time all contestants in interleaved rounds, after some that do not count."""
    say(f"{title}: warming up {len(ours) + len(theirs)} contestants")
    everyone = [*ours.items(), *theirs.items()]
    for _ in range(warmups):
        _round(everyone)
    gc.collect()
    gc.freeze()
    rounds = _rounds(everyone, effort)
    say(f"{title}: {len(rounds)} rounds")
    return Race(title, _by_name(ours, rounds), _by_name(theirs, rounds))


def say(text: str) -> None:
    """Report progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def _rounds(everyone: Sequence[tuple[str, Run]], effort: Effort) -> list[dict[str, float]]:
    began = time.perf_counter()
    rounds: list[dict[str, float]] = []
    while not effort.spent(len(rounds), began):
        rounds.append(_round(_order(everyone, len(rounds))))
    return rounds


def _order(everyone: Sequence[tuple[str, Run]], number: int) -> list[tuple[str, Run]]:
    """Return who goes when: another one first every second round, and each order both ways."""
    first = number // 2 % len(everyone)
    turned = [*everyone[first:], *everyone[:first]]
    return turned[::-1] if number % 2 else turned


def _round(everyone: Sequence[tuple[str, Run]]) -> dict[str, float]:
    return {name: _seconds(run) for name, run in everyone}


def _seconds(run: Run) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _by_name(names: Mapping[str, Run], rounds: list[dict[str, float]]) -> dict[str, list[float]]:
    return {name: [each[name] for each in rounds] for name in names}
