"""PyTorch, a batch of one on one thread, where code around the layers shows most."""

from benchmarks.budget import Budget
from benchmarks.findings import Findings
from benchmarks.lane import Lane
from benchmarks.networks import FOUNDING, Case
from benchmarks.ratio import against_fastest
from benchmarks.rivals import run_race

_AIM = 1.02


def run(budget: Budget, findings: Findings) -> None:
    """Race the founding networks, trained and in inference."""
    networks = FOUNDING[:1] if budget.quick else FOUNDING
    cases = [Case(network, 1, t, single=True) for network in networks for t in (True, False)]
    cases += [Case(network, 1, single=True, deployed=True) for network in networks]
    with Lane("lanes.torch") as lane:
        for case, effort in budget.shared(cases):
            found = run_race(lane, case, effort)
            findings.add(found, against_fastest(found, _AIM))
