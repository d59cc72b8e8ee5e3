"""Layers that share the arrays of another one: one module, called once more."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from graphs import SIAMESE
from offered import require, require_source, shipped

from rnnspec import pipeline
from rnnspec.backends import get, refusals
from rnnspec.comparison.case import Case
from rnnspec.comparison.compare import Comparison
from rnnspec.ir.params import counts, named_params

DIRECTIONS = """\
version: 1
name: one_set
input: {features: 3, mask_value: 0.0}
cells: {li_gru: {from: li_gru}}
rnn:
- {type: li_gru, name: ahead, units: 4, of: input}
- {type: li_gru, name: back, shares: ahead, direction: backward, of: input}
- {type: concat, of: [ahead, back]}
- {type: lstm, name: ending, units: 3, direction: backward}
- {type: lstm, name: forth, shares: ending, direction: forward, of: concat_1}
- {type: lstm, name: again, shares: ending, of: concat_1}
- {type: concat, of: [ending.state, forth.state, again.cell]}
- {type: add, of: [forth, ending, again]}
heads: {one: {of: concat_2, units: 2, pooling: none}, two: {of: add_1, pooling: mean}}
"""
CONVOLVED = """\
version: 1
name: convolved
inputs: {past: {features: 3}, now: {features: 3}}
stream: now
rnn:
- {type: conv, name: before, filters: 4, kernel_size: 3, padding: causal, of: past}
- {type: gru, name: encoder, units: 4}
- {type: conv, name: after, shares: before, of: now}
- {type: gru, units: 4, initial_state: {of: encoder}}
"""
SAME = """\
version: 1
name: strided
inputs: {a: {features: 3, length: 6}, b: {features: 3, length: 9}}
rnn:
- {type: conv, name: one, filters: 4, kernel_size: 3, stride: 2, padding: same, of: a}
- {type: instance_norm, name: normed}
- {type: gru, name: first, units: 4}
- {type: conv, name: other, shares: one, of: b}
- {type: instance_norm, shares: normed}
- {type: gru, shares: first, name: second}
- {type: concat, of: [first.state, second.state]}
head: {units: 2, pooling: none}
"""
OTHERS = [backend.name for backend in shipped() if backend.name != "keras"]


def differences(name: str, text: str) -> tuple[object, ...]:
    backend, program = require(name), pipeline.reads(text)
    form = backend.forms[0]
    case = replace(Case.of(program, 0, backend.dtypes[0]), form=form)
    comparison = Comparison(case, "gradients" if form == "training" else "forward")
    comparison.add(backend)
    return comparison.report().differences


@pytest.mark.parametrize("name", OTHERS)
def test_one_set_of_arrays_may_read_in_both_directions(name: str) -> None:
    assert differences(name, DIRECTIONS) == ()


def test_keras_has_one_direction_for_a_layer() -> None:
    network = pipeline.reads(DIRECTIONS).network
    refused = {(e.layer, e.key) for e in refusals(get("keras"), network, "training")}
    assert refused == {("back", "direction"), ("forth", "direction")}


@pytest.mark.parametrize("name", [backend.name for backend in shipped()])
def test_a_convolution_has_windows_of_each_length(name: str) -> None:
    assert differences(name, SAME) == ()


def test_a_module_of_flax_has_one_padding() -> None:
    network = pipeline.reads(CONVOLVED).network
    (refused,) = refusals(get("jax"), network, "step")
    assert (refused.layer, refused.key) == ("after", "shares")
    assert not refusals(get("jax"), network, "training")
    assert not refusals(get("torch"), network, "step")


def test_arrays_are_counted_once() -> None:
    network = pipeline.reads(SIAMESE).network
    names = [name for name, _, _ in named_params(network)]
    assert len(names) == len(set(names))
    assert not any(name.startswith(("second.", "db.", "hypothesis")) for name in names)
    assert counts(network).total == 483


CALLS = {
    "torch": r"self\.first = ([\s\S]*self\.first\b){4}",
    "jax": r"self\.first = ([\s\S]*self\.first\.){4}",
    "keras": r"first_layer = keras\.layers\.Bidirectional([\s\S]*first_layer\(){2}",
    "onnx": r"float\[2, 16, 5\] first_W,([\s\S]*first_W, first_R, first_B){2}",
    "c": r"siamese_first_forward_kernel\[80\] =([\s\S]*siamese_first_forward_kernel,){2}",
}


@pytest.mark.parametrize("name", CALLS)
def test_source_has_one_module_that_is_called_twice(name: str) -> None:
    backend = require_source(name)
    text = pipeline.generate(pipeline.reads(SIAMESE), backend, backend.forms[0]).text
    assert re.search(CALLS[name], text), text
    assert "second_W" not in text
    assert "self.second" not in text
    assert "second_forward_kernel" not in text
