"""Cells without a fused layer in PyTorch: the loop of rnnspec against handwritten loops."""

from benchmarks.budget import Budget
from benchmarks.findings import Findings
from benchmarks.lane import Lane
from benchmarks.networks import Case
from benchmarks.ratio import against_fastest
from benchmarks.rivals import run_race

_AIM = 1.05
_NETWORKS = ("recurrent_dropout", "reset_before", "hard_gates")


def run(budget: Budget, findings: Findings) -> None:
    """Race each kind of cell in training and, unless quick, in inference."""
    ways = (True,) if budget.quick else (True, False)
    cases = [Case(network, training=training) for network in _NETWORKS for training in ways]
    with Lane("lanes.torch") as lane:
        for case, effort in budget.shared(cases):
            found = run_race(lane, case, effort)
            findings.add(found, against_fastest(found, _AIM))
