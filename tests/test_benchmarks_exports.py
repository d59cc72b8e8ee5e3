"""The exports and the loops of cells that models are compared with are the same networks."""

from importlib.util import find_spec

import pytest

from benchmarks.lane import Lane
from benchmarks.names import LEGACY_EXPORT, OURS, PACKED, PICKED, PYTORCH, TF2ONNX
from benchmarks.networks import Case
from benchmarks.race import told
from benchmarks.suites.step import LANES
from rnnspec.backends import get

pytest.importorskip("torch")


def test_exports_of_a_padded_batch_are_equal() -> None:
    pytest.importorskip("onnxruntime")
    # 'prepare' checks that they are equal; this test, that all are there.
    with Lane("lanes.onnx") as lane:
        runs = lane.prepare(Case("stacked_lstm", 2, padded=True, single=True)).runs
    names = {OURS, LEGACY_EXPORT, PYTORCH, PACKED, PICKED}
    there = find_spec("tensorflow") and find_spec("tf2onnx")
    assert set(runs) == names | ({TF2ONNX} if there else set())


@pytest.mark.parametrize("framework", LANES)
def test_a_loop_of_cells_is_equal(framework: str) -> None:
    for name in LANES[framework]:
        pytest.importorskip(name)
    if "step" not in get(framework).forms:
        pytest.skip(f"{framework} has no step form")
    with Lane(f"steps.{framework}_cells") as lane:
        runs = lane.prepare(Case("stacked_lstm", 2, single=True, stepped=True)).runs
        assert len(runs) == 2
        assert OURS in runs
        assert all(told(run) > 0 for run in runs.values())
