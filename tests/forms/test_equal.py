"""Source for inference computes what source for training computes in inference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import ROOT, in_turn
from mutation import source_edited
from offered import require, require_all

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import needs
from rnnspec.comparison.case import Case, run_forward
from rnnspec.comparison.levels import distance
from rnnspec.comparison.random import compare_random
from rnnspec.ir.forms import for_inference
from rnnspec.ir.nodes import Residual

if TYPE_CHECKING:
    from rnnspec.ir.forms import Form

BOTH = needs.form("training"), needs.form("inference"), needs.dtype("float64")

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


def computes_the_same(
    program: pipeline.Program, backend: str, forms: tuple[Form, ...] = ("inference",)
) -> None:
    """Compare forms with the reference; their arrays are read back by the spec alone.

    tests/test_gallery.py compares the gallery in the form for training.
    """
    chosen = require(backend, program)
    for form in forms:
        case = Case.of(program, 3, "float64", form=form)
        live = case.build(chosen)
        case.reset(live)
        truth = case.outputs(case.truth)
        for name, output in run_forward(live.generated, live.model, case).items():
            assert distance(output, truth[name]) < 1e-12, name
        arrays = rnnspec.read_weights(live.model, program.spec)
        assert list(arrays) == list(case.arrays)
        for name, array in case.arrays.items():
            np.testing.assert_array_equal(arrays[name], array)


# Every other network is compared in step form.
@in_turn(0, *BOTH)
def test_every_kind_of_network_computes_the_same(covering_spec: Path, backend: str) -> None:
    computes_the_same(pipeline.read(covering_spec), backend)


@pytest.mark.needs(*BOTH)
def test_so_does_a_network_with_everything(backend: str) -> None:
    program = pipeline.read(ROOT / "tests" / "goldens" / "everything" / "spec.yaml")
    computes_the_same(program, backend, ("training", "inference"))


@pytest.mark.needs(*BOTH)
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
        ("dialogue_policy_lstm", ("where(mask, step, step + ", "where(~mask, step, step + ")),
        ("dialogue_policy_lstm", ("(count - 1)", "(count - 2)")),
    ],
)
def test_a_fault_in_the_source_is_found(name: str, edit: tuple[str, str]) -> None:
    require("torch", needs.form("inference"))
    with source_edited("torch", [edit]):
        report = rnnspec.parity(ROOT / "specs" / f"{name}.yaml", ["torch"], form="inference")
    assert [difference.quantity for difference in report.differences] == ["output"]


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
