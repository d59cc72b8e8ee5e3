"""PyTorch, three equal layers: rnnspec makes one module of them."""

from benchmarks.budget import Budget
from benchmarks.findings import Findings
from benchmarks.lane import Lane
from benchmarks.networks import Case
from benchmarks.ratio import against_each
from benchmarks.rivals import raced


def run(budget: Budget, findings: Findings) -> None:
    """Race one module against three, and against one written by hand."""
    with Lane("torch_lane") as lane:
        for races, training in ((2, True), (1, False)):
            case = Case("three_lstm", training=training)
            found = raced(lane, case, budget.effort(races))
            findings.add(
                found, against_each(found, {"batch first": 1.0, "one module of 3 layers": 1.0})
            )
