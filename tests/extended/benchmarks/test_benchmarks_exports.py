"""The exports and the loops of cells that models are compared with are the same networks."""

from importlib.util import find_spec

import pytest
from offered import import_later

from benchmarks.networks import (
    LEGACY_EXPORT,
    OURS,
    PACKED,
    PICKED,
    PYTORCH,
    TF2ONNX,
    Case,
)
from benchmarks.processes import Lane
from benchmarks.race import result

import_later("torch")


def test_exports_of_a_padded_batch_are_equal() -> None:
    pytest.importorskip("onnxruntime")
    # 'prepare' checks that they are equal; this test, that all are there.
    with Lane("onnx") as lane:
        runs = lane.prepare(Case("stacked_lstm", 2, padded=True, single=True)).runs
    names = {OURS, LEGACY_EXPORT, PYTORCH, PACKED, PICKED}
    there = find_spec("tensorflow") and find_spec("tf2onnx")
    assert set(runs) == names | ({TF2ONNX} if there else set())


def test_a_loop_of_cells_is_equal() -> None:
    with Lane("torch") as lane:
        runs = lane.prepare(Case("stacked_lstm", 2, single=True, stepped=True)).runs
        assert len(runs) == 2
        assert OURS in runs
        assert all(result(run) > 0 for run in runs.values())
