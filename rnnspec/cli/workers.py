"""Compare specs in this process, or in several that each import the frameworks once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from rnnspec.backends import get
from rnnspec.cli.frameworks import import_quietly
from rnnspec.comparison.random import compare_in_order
from rnnspec.comparison.run import Task
from rnnspec.machine.processes import MOST, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rnnspec.backends import Backend
    from rnnspec.comparison.random import Comparer, Outcome
    from rnnspec.comparison.report import SpecParity
    from rnnspec.comparison.run import Prepared


def jobs_for(cases: int, asked: int | None) -> int | None:
    """Return the number of processes to start, or None to compare all in this one.

    This one would grow with each case, so that it would run out of memory in the end.
    """
    return 1 if asked is None and cases > MOST else asked


@dataclass(frozen=True, slots=True)
class Processes:
    """The number of processes to start, the backends that each imports, and a progress bar.

    Without a number, this process compares all specs, one after another.
    """

    jobs: int | None
    backends: Sequence[Backend]
    step: Callable[[str], None]

    def report(self, ready: Prepared) -> list[SpecParity]:
        """Return the results of comparing given specs."""
        if not self.jobs:
            self._import()
            return list(ready.compare(ready.tasks, self.step))
        work = Work(Task.compare, self._prepare, lambda task: task.source)
        return work.share(ready.tasks, self.jobs, self._start())

    def outcomes(self, comparer: Comparer, texts: Sequence[str]) -> list[Outcome]:
        """Return the outcomes of random specs, up to the first that differs."""
        items = list(enumerate(texts))
        if not self.jobs or not items:
            self._import()
            return compare_in_order(self.step, comparer, texts)
        work = Work(partial(_outcome, comparer), self._prepare, _name_of_random, _differs)
        outcomes = work.share(items, self.jobs, self._start())
        if _differs(outcomes[-1]):
            # It is made smaller in this process.
            self._import()
        return outcomes

    def _import(self) -> None:
        self.step("importing the frameworks")
        import_quietly(self.backends)

    @property
    def _prepare(self) -> Callable[[], None]:
        return partial(_import_named, [backend.name for backend in self.backends])

    def _start(self) -> Callable[[str], None]:
        self.step("starting processes")
        self.step("importing the frameworks")
        return self.step


def _import_named(names: Sequence[str]) -> None:
    import_quietly(map(get, names))


def _outcome(comparer: Comparer, item: tuple[int, str]) -> Outcome:
    return comparer(item[1])


def _name_of_random(item: tuple[int, str]) -> str:
    return f"random spec {item[0] + 1}"


def _differs(outcome: Outcome) -> bool:
    return outcome.error is not None
