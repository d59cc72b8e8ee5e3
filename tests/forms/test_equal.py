"""Source for inference computes what source for training computes in inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from mutation import source_edited
from offered import require, require_all

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import needs
from rnnspec.comparison.batch import draw_batch
from rnnspec.comparison.levels import distance
from rnnspec.comparison.random import compare_random
from rnnspec.comparison.reference import padding_mask
from rnnspec.ir.forms import for_inference
from rnnspec.ir.nodes import Residual
from rnnspec.weights.initial import draw_scaled

BOTH = needs.form("training"), needs.form("inference")

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:(?s).*softmax over axis -1:UserWarning"),
]

SKIPPED = """\
version: 1
name: skipped
input: {features: 3}
initializers: {forget_bias: 0.0}
rnn:
  - {type: lstm, units: 4}
  - {type: lstm, units: 4, dropout: 0.5, variational: false, residual: true, layers: 2}
  - {type: gru, units: 4, bidirectional: true, dropout: 0.5, recurrent_dropout: 0.5}
head: {units: 2}
"""


def computes_the_same(program: pipeline.Program, backend: str) -> None:
    """Compare the two forms with the same arrays, which are read back by the spec alone."""
    chosen = require(backend, *BOTH, needs.dtype("float64"), program)
    network, found = program.network, list[Any]()
    arrays = draw_scaled(network, 3)
    batch = draw_batch(network.input, np.random.default_rng(3))
    kept = padding_mask(network.input, batch) if network.pads else slice(None)
    for form in ("training", "inference"):
        generated = pipeline.generate(program, chosen, form)
        model = pipeline.instantiate(generated, "float64")
        generated.store.write(model, arrays)
        found.append(chosen.runtime.trace(model, [network.layers[-1].name], batch).output[kept])
        again = rnnspec.read_weights(model, program.spec)
        assert list(again) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(again[name], array)
    assert distance(found[0], found[1]) < 1e-12


def test_every_kind_of_network_computes_the_same(covering_spec: Path, backend: str) -> None:
    computes_the_same(pipeline.read(covering_spec), backend)


@pytest.mark.parametrize("name", ["everything", "padded", "plain_numbers"])
def test_so_do_other_specs(name: str, backend: str) -> None:
    computes_the_same(pipeline.read(ROOT / "tests" / "goldens" / name / "spec.yaml"), backend)


def test_a_residual_over_dropout_starts_after_it(backend: str) -> None:
    program = pipeline.reads(SKIPPED)
    starts = [x.start for x in for_inference(program.network).layers if isinstance(x, Residual)]
    assert starts == ["lstm_2", "lstm_3"]
    computes_the_same(program, backend)


def test_random_specs_are_equal_for_inference() -> None:
    require_all(needs.form("inference"), needs.level("forward"))
    found = compare_random(6, 5, form="inference")
    assert found.equal, f"{found.error}\n{found.spec}"
    assert list(found.largest) == ["forward"]
    assert found.largest["forward"] < 1e-12


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("stacked_lstm", ("x = state[-1]", "x = state[0]")),
        ("dialogue_policy_lstm", ("(~mask).int()", "mask.int()")),
        ("dialogue_policy_lstm", ("(count - 1)", "(count - 2)")),
    ],
)
def test_a_fault_in_the_source_is_found(name: str, edit: tuple[str, str]) -> None:
    require("torch", needs.form("inference"))
    with source_edited("torch", [edit]):
        report = rnnspec.parity(ROOT / "specs" / f"{name}.yaml", ["torch"], form="inference")
    assert [each.quantity for each in report.differences] == ["output"]


def test_a_report_tells_the_form() -> None:
    names = require_all(needs.form("inference"), needs.level("forward"))
    report = rnnspec.parity(rnnspec.loads(SKIPPED), form="inference")
    assert report.equal
    assert report.as_dict()["form"] == "inference"
    (spec,) = report.as_dict()["specs"]
    assert {each["form"] for each in spec["backends"].values()} == {"inference"}
    assert "compared up to forward in float64, source for inference" in report._repr_html_()
    if "torch" in names:
        # Zeros in second biases are not parameters of the spec.
        assert spec["backends"]["torch"]["parameters"] == spec["parameters"]
