"""What rounding costs: bounds that right models keep, and that are no wider than they must be."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from offered import require

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import BACKENDS, needs
from rnnspec.backends.slots import map_batch
from rnnspec.comparison import reference
from rnnspec.comparison.case import Case, run_forward
from rnnspec.comparison.levels import distance
from rnnspec.errors import UnsupportedError
from rnnspec.weights.initial import draw_scaled
from rnnspec_random.strategies import sample, spec_text, specs

AMPLIFYING = """\
version: 1
name: small_net
embedding: {name: my_layer_1, vocabulary: 3, dim: 5}
rnn:
- {type: gru, units: 5, bias: false, layer_norm: {epsilon: 1.0e-05}, residual: true}
- {type: gru, units: 4}
- {type: gru, units: 1, bidirectional: true, recurrent_activation: silu}
"""
PLAIN = """\
version: 1
name: plain
input: {features: 3, mask_value: 0}
rnn:
- {type: lstm, units: 8, layer_norm: true}
- {type: gru, units: 6, bidirectional: true}
head: {pooling: mean, hidden: [{units: 5, activation: elu}], units: 2, normalize: l2}
"""


def narrow(array: Any) -> Any:
    return array if array.dtype.kind == "i" else array.astype(np.float32)


def test_the_reference_keeps_float32() -> None:
    for drawn in sample(specs(), 40):
        case = Case.of(pipeline.reads(spec_text(drawn)), 0, "float32")
        arrays = {name: array.astype(np.float32) for name, array in case.arrays.items()}
        batch = map_batch(narrow, case.batch)
        found = reference.outputs(case.network, reference.run(case.network, arrays, batch), batch)
        assert {value.dtype for value in found.values()} == {np.dtype(np.float32)}


def test_right_models_keep_their_bounds_with_room(backend: str) -> None:
    chosen = require(backend, needs.dtype("float32"), needs.level("forward"))
    for drawn in sample(specs(), 8):
        with warnings.catch_warnings(action="ignore"):
            case = Case.of(pipeline.reads(spec_text(drawn)), 0, "float32")
            try:
                live = case.build(chosen)
            except UnsupportedError:
                continue
            case.reset(live)
            found = run_forward(live.generated, live.model, case)
        bounds, truth = case.bounds(chosen.function_error), case.outputs(case.truth)
        for name, value in found.items():
            assert distance(value, truth[name]) <= bounds[name] / 1.5, spec_text(drawn)


def test_bounds_of_a_small_network_are_below_a_constant_and_others_grow() -> None:
    case = Case.of(pipeline.reads(PLAIN), 0, "float32")
    for backend in BACKENDS.values():
        assert all(1e-8 < bound <= 1e-5 for bound in case.bounds(backend.function_error).values())
    network = pipeline.reads(AMPLIFYING).network
    given = Case.of(pipeline.reads(AMPLIFYING), 0, "float64")
    arrays = draw_scaled(network, 0)
    full = Case(
        given.program, 0, "float32", arrays, given.batch, batch_is_own=False, truth=given.truth
    )
    assert max(full.bounds(0.0).values()) > 1e-5
    # Parity makes the arrays smaller until rounding explains little.
    assert max(Case.of(given.program, 0, "float32").bounds(0.0).values()) <= 1e-5


def test_a_network_that_amplifies_rounding_is_judged_by_its_bound() -> None:
    require("onnx")
    report = rnnspec.parity(rnnspec.loads(AMPLIFYING), ["onnx"], level="forward", dtype="float32")
    assert report.equal, report.differences
    finding = report.specs[0].backends["onnx"].findings["forward"]
    assert finding.difference <= finding.allowed <= 1e-5
    said = report.as_dict()["specs"][0]["backends"]["onnx"]
    assert said["forward_tolerance"] == finding.allowed


@pytest.mark.parametrize("value", [0.0, 1e-6, 1.0, 1e6])
def test_the_least_bound_is_relative_to_the_values(value: float) -> None:
    from rnnspec.comparison.rounding import bound

    least = bound(np.full(3, value), "float32")
    assert np.isclose(least, 64 * 2.0**-24 * min(value, 1.0), rtol=1e-6)
    assert bound(np.full(3, value), "float64") == 1e-9
