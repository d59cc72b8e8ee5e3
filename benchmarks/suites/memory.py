"""Peak memory of building a model, of a training step, and of reading a large file of vectors."""

import json
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from benchmarks import vectors_file
from benchmarks.budget import Budget
from benchmarks.cold import output
from benchmarks.findings import Findings
from benchmarks.names import OURS
from benchmarks.race import Effort, Race, Run, log, race, told
from benchmarks.ratio import against_each

_BY_HAND = "by hand"
_WHOLE, _NEEDED = "a dictionary of the whole file", "a loop that keeps the rows needed"
# Peaks hardly vary, so two rounds are enough.
_ONCE, _TWICE = Effort(0, 1, 1), Effort(0, 2, 2)
_FULL, _QUICK = 2_000_000_000, 50_000_000
Taken = dict[str, list[float]]


def run(budget: Budget, findings: Findings) -> None:
    """Race the peaks of processes and, for the file of vectors, their times."""
    for work in _frameworks(quick=budget.quick):
        ours, theirs = {OURS: _peak(work)}, {_BY_HAND: _peak(f"{work}-by-hand")}
        title = f"peak of {work.replace('-', ', ')}"
        found = race(title, ours, theirs, _TWICE, warmups=0, measure=told, unit="MB")
        findings.add(found, against_each(found))
    with tempfile.TemporaryDirectory() as folder:
        for found in _vectors(Path(folder), _QUICK if budget.quick else _FULL):
            findings.add(found, against_each(found))


def _frameworks(*, quick: bool) -> Iterator[str]:
    if find_spec("torch"):
        yield from () if quick else ("torch-build",)
        yield "torch-step"
    if find_spec("tensorflow") and not quick:
        yield from ("keras-build", "keras-step")


def _vectors(folder: Path, size: int) -> Iterator[Race]:
    """Yield a race of peaks, and one of the times of the same processes."""
    log(f"writing {size / 1e6:,.0f} MB of vectors")
    vectors_file.write(folder, size)
    taken: Taken = {}
    ours = {"rnnspec": _peak("vectors", folder, taken)}
    theirs = {
        _WHOLE: _peak("vectors-whole", folder, taken),
        _NEEDED: _peak("vectors-wanted", folder, taken),
    }
    effort = _TWICE if size == _QUICK else _ONCE  # the full size takes a minute
    title = f"vectors of {size / 1e6:,.0f} MB"
    yield race(f"peak of {title}", ours, theirs, effort, warmups=0, measure=told, unit="MB")
    mine, other = taken["vectors"], (taken["vectors-whole"], taken["vectors-wanted"])
    yield Race(f"time of {title}", {"rnnspec": mine}, dict(zip(theirs, other, strict=True)))


def _peak(work: str, folder: Path | None = None, taken: Taken | None = None) -> Run:
    """Return a run that returns megabytes, and adds its seconds to ``taken``."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.memory_work",
        work,
        *([str(folder)] if folder else []),
    ]

    def run() -> float:
        # Frameworks may print before the answer.
        answer = json.loads(output(*command, KERAS_BACKEND="tensorflow").splitlines()[-1])
        if taken is not None:
            taken.setdefault(work, []).append(answer["seconds"])
        return float(answer["megabytes"])

    return run
