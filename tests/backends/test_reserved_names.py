from __future__ import annotations

import re

import pytest
from pydantic_core import PydanticCustomError

import rnnspec
from rnnspec.backends import get, reserved_names
from rnnspec.ir import forms
from rnnspec.pipeline import program
from rnnspec.spec.names import check_layer_name


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
def test_no_layer_can_be_called_what_keras_calls_an_operation(entrance: str, pooling: str) -> None:
    pytest.importorskip("keras")
    rnn = "{type: lstm, units: 4, layers: 2, residual: true, layer_norm: true}"
    start, end = (
        f"version: 1\nname: net\n{entrance}\nrnn: [",
        f"{rnn}]\nhead: {{pooling: {pooling}}}",
    )
    spec = rnnspec.loads(start + end)
    whole = rnnspec.loads(f"{start}{{type: instance_norm}}, {end}")
    layers = {layer.name for layer in rnnspec.summary(whole).layers}
    models = [rnnspec.build(whole, "keras"), rnnspec.build(spec, "keras", form="step")]
    states = {state.name for state in forms.states(program(spec).network)}
    there = {each.name for model in models for each in model.operations} - layers - states
    assert there
    for name in there:
        with pytest.raises(PydanticCustomError):
            check_layer_name(name, reserved_names())
