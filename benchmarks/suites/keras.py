"""Keras on TensorFlow: generated code against handwritten code, and XLA."""

from benchmarks.budget import Budget
from benchmarks.findings import Findings
from benchmarks.lane import Lane
from benchmarks.names import CELLS, OURS, XLA
from benchmarks.networks import FOUNDING, Case
from benchmarks.race import race, told
from benchmarks.ratio import against_fastest


def run(budget: Budget, findings: Findings) -> None:
    """Race each founding network in training and in inference."""
    networks = FOUNDING[:1] if budget.quick else FOUNDING
    cases = [
        Case(network, training=t, compiled=True) for network in networks for t in (True, False)
    ]
    with Lane("lanes.keras", "tensorflow") as lane:
        for case, effort in budget.shared(cases):
            theirs = dict(lane.prepare(case).runs)
            ours = {OURS: theirs.pop(OURS)}
            title = f"{case.title}, Keras"
            found = race(title, ours, theirs, effort, warmups=1, measure=told)
            findings.add(found, against_fastest(found, beside=(XLA, CELLS)))
