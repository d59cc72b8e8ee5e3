"""Three equal layers in PyTorch, which rnnspec puts into one module."""

from benchmarks.budget import Budget
from benchmarks.findings import Findings
from benchmarks.lane import Lane
from benchmarks.networks import Case
from benchmarks.ratio import against_each
from benchmarks.rivals import run_race


def run(budget: Budget, findings: Findings) -> None:
    """Race one module against three, and against a handwritten one."""
    with Lane("lanes.torch") as lane:
        for races, training in ((2, True), (1, False)):
            case = Case("three_lstm", training=training)
            found = run_race(lane, case, budget.effort(races))
            findings.add(
                found, against_each(found, {"batch first": 1.0, "one module of 3 layers": 1.0})
            )
