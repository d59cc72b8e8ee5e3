"""The step form of each backend, one step at a time, against a loop of cells in that framework."""

from importlib.util import find_spec

from benchmarks.budget import Budget
from benchmarks.findings import Findings
from benchmarks.lane import Lane
from benchmarks.names import OURS
from benchmarks.networks import Case
from benchmarks.race import Effort, Run, race, told
from benchmarks.ratio import against_each
from benchmarks.steps.loop import STEPS
from rnnspec.backends import get

_CASE = Case("stacked_lstm", 1, single=True, stepped=True)
# The lane of each backend, and the packages that it needs.
LANES = {
    "torch": ("torch",),
    "jax": ("flax",),
    "onnx": ("onnxruntime", "torch"),
    "keras": ("keras", "tensorflow"),
}


def run(budget: Budget, findings: Findings) -> None:
    """Race the founding stack in step form on every backend."""
    lanes = dict(list(LANES.items())[:1]) if budget.quick else LANES
    for (backend, needed), effort in budget.shared(list(lanes.items())):
        if "step" not in get(backend).forms:
            findings.notes.append(f"step: {backend} has no step form")
        elif missing := [each for each in needed if not find_spec(each)]:
            findings.notes.append(f"step: {', '.join(missing)} is not installed")
        else:
            _race(backend, effort, findings)


def _race(backend: str, effort: Effort, findings: Findings) -> None:
    with Lane(f"steps.{backend}_cells") as lane:
        theirs = dict(lane.prepare(_CASE).runs)
        ours = {OURS: theirs.pop(OURS)}
        title = f"{_CASE.title}, {get(backend).title}"
        found = race(title, ours, theirs, effort, warmups=1, measure=_a_step, unit="µs")
        findings.add(found, against_each(found, dict.fromkeys(theirs, 1.0)))


def _a_step(run: Run) -> float:
    """Return the microseconds of one step."""
    return told(run) / STEPS * 1e6
