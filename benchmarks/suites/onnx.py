"""The ONNX file of a spec against PyTorch's own export of the same network, and PyTorch itself."""

from benchmarks.budget import Budget
from benchmarks.findings import Findings
from benchmarks.lane import Lane
from benchmarks.names import LEGACY_EXPORT
from benchmarks.networks import Case
from benchmarks.ratio import against_each
from benchmarks.rivals import run_race


def run(budget: Budget, findings: Findings) -> None:
    """Race the founding stack in inference, with one sequence and with a batch."""
    cases = [Case("stacked_lstm", size, single=True) for size in (1, 32)]
    with Lane("onnx_lane") as lane:
        for case, effort in budget.shared(cases):
            found = run_race(lane, case, effort)
            findings.add(found, against_each(found, {LEGACY_EXPORT: 1.05}))
