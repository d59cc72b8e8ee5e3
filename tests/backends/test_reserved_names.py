from __future__ import annotations

import re

import pytest
from cases import cases
from nasty_names import graph
from offered import require, require_source

import rnnspec
from rnnspec.backends import get
from rnnspec.ir import forms
from rnnspec.pipeline import program


def public(module: object) -> set[str]:
    return {name for name in dir(module) if re.fullmatch("[a-z][a-z0-9_]*", name)}


def test_no_layer_can_hide_an_attribute_of_a_module() -> None:
    torch = pytest.importorskip("torch")
    assert public(torch.nn.Module()) <= get("torch").reserved_names.in_framework


def test_no_layer_can_hide_an_attribute_of_a_module_of_flax() -> None:
    nnx = pytest.importorskip("flax.nnx")
    assert public(nnx.Module()) <= get("jax").reserved_names.in_framework


@pytest.mark.parametrize("pooling", ["mean", "max", "none"])
@pytest.mark.parametrize(
    "entrance",
    ["input: {features: 4, mask_value: 0}", "embedding: {vocabulary: 9, dim: 4, mask_zero: true}"],
)
def test_a_layer_has_another_name_than_an_operation_of_keras(entrance: str, pooling: str) -> None:
    pytest.importorskip("keras")
    start, end = f"version: 1\nname: net\n{entrance}\n", f"head: {{pooling: {pooling}}}"
    rnn = "rnn: {type: lstm, units: 4, layers: 2, residual: true, layer_norm: true}\n"
    # With a mask, and without it.
    norms = "[{type: instance_norm}, {type: gru, units: 4}, {type: repeat, steps: 2}"
    normed = f"rnn: {norms}, {{type: instance_norm}}, {{type: gru, units: 4}}]\n"
    specs = [rnnspec.loads(start + text + end) for text in (rnn, normed)]
    layers = {layer.name for spec in specs for layer in rnnspec.summary(spec).layers}
    models = [rnnspec.build(spec, "keras") for spec in specs]
    models.append(rnnspec.build(specs[0], "keras", form="step"))
    states = {state.name for state in forms.states(program(specs[0]).network)}
    there = {operation.name for model in models for operation in model.operations} - layers - states
    assert there
    for name in there:
        assert get("keras").reserved_names.attribute(name) != name


@cases("form", ["inference", "step"])
def test_layers_inputs_and_states_may_have_the_names_of_the_source(backend: str, form: str) -> None:
    spec = rnnspec.loads(graph(form))
    dtype = require(backend, spec).dtypes[0]
    assert rnnspec.parity(spec, [backend], level="forward", dtype=dtype, form=form).equal


@cases("setting", ["class_", "defaults", "function", "super", "self"])
def test_a_setting_may_have_the_name_of_an_argument_of_ours(backend: str, setting: str) -> None:
    spec = rnnspec.loads(SETTING.format(setting))
    source = rnnspec.codegen(spec, require_source(backend, spec).name)
    # A parameter would hide the builtin.
    assert not re.search(r"\bsuper: int", source) or "super()" not in source


SETTING = """\
version: 1
name: net
input: {{features: 3}}
cells:
  mine:
    states: [h, m]
    equations: {{m: tanh(W @ x + V @ m), h: tanh(U @ m + R @ h)}}
    settings: {{{0}: 4}}
    sizes: {{m: {0}}}
rnn: {{type: mine, units: 5}}
"""
