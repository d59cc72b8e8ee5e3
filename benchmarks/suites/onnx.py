"""The ONNX file of a spec against the exports of PyTorch and Keras, and PyTorch itself."""

from importlib.util import find_spec

from benchmarks.budget import Budget
from benchmarks.findings import Findings
from benchmarks.lane import Lane
from benchmarks.names import LEGACY_EXPORT, PACKED, PICKED, PYTORCH, STOCK, TF2ONNX
from benchmarks.networks import Case
from benchmarks.ratio import against_each
from benchmarks.rivals import run_race

_EXPORTS = dict.fromkeys((LEGACY_EXPORT, TF2ONNX), 1.0)
_PLAIN = dict.fromkeys((PYTORCH, STOCK), 0.5)
_PADDED = dict.fromkeys((PYTORCH, PACKED, PICKED), 0.75)


def run(budget: Budget, findings: Findings) -> None:
    """Race the founding stack in inference, with one sequence and with a batch."""
    paddings = (False,) if budget.quick else (False, True)
    cases = [
        Case("stacked_lstm", size, single=True, padded=padded)
        for padded in paddings
        for size in (1, 32)
    ]
    if not find_spec("tensorflow") or not find_spec("tf2onnx"):
        findings.notes.append("onnx: no rows for tf2onnx, which needs tensorflow and tf2onnx")
    with Lane("lanes.onnx") as lane:
        for case, effort in budget.shared(cases):
            found = run_race(lane, case, effort)
            findings.add(
                found, against_each(found, _EXPORTS | (_PADDED if case.padded else _PLAIN))
            )
