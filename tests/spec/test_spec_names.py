from __future__ import annotations

import keyword
import sys

import pytest
from pydantic_core import PydanticCustomError

from rnnspec.errors import SpecError
from rnnspec.spec.load import loads
from rnnspec.spec.names import check_layer_name, check_network_name

HOSTILE = [
    "", "x'); import os", 'x"""', "x\n", "x y", "x-y", "x.y", "../x", "{{x}}", "{x}", "_x", "1x",
    "X", "ｌstm", "ﬁ", "é", "\u0441", "x\u200b", "x\u0301", "a" * 65, "9" * 10_000, "__init__",
]  # fmt: skip
KEYWORDS = [word for word in keyword.kwlist if word.islower()] + ["match", "case", "type"]


@pytest.mark.parametrize("check", [check_network_name, check_layer_name])
@pytest.mark.parametrize("name", [*HOSTILE, *KEYWORDS])
def test_hostile_names_and_keywords_are_refused(check: object, name: str) -> None:
    assert callable(check)
    with pytest.raises(PydanticCustomError):
        check(name)


@pytest.mark.parametrize("name", [*HOSTILE, "class", "open"])
def test_a_refused_name_is_an_error_with_a_place(name: str) -> None:
    text = (
        f"version: 1\nname: {_quoted(name)}\ninput: {{features: 1}}\nrnn: {{type: gru, units: 1}}"
    )
    with pytest.raises(SpecError) as caught:
        loads(text)
    (problem,) = caught.value.problems
    assert problem.where == "name"
    assert problem.span is not None
    assert problem.span.line == 2
    assert len(problem.message) < 300


def _quoted(name: str) -> str:
    return '"' + "".join(f"\\U{ord(c):08x}" for c in name) + '"'


@pytest.mark.parametrize("name", ["a", "net", "stacked_lstm", "x1_", "a" * 64, "lstm", "sentiment"])
def test_good_names(name: str) -> None:
    assert check_network_name(name) == name
    assert check_layer_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["json", "print", "value_error", "torch", "keras", "numpy", "nn", "layers", "build_model",
     "single_bias_lstm", "single_bias_rnn", "variational_dropout", "bidirectional", "safetensors"],
)  # fmt: skip
def test_networks_shadow_nothing(name: str) -> None:
    with pytest.raises(PydanticCustomError):
        check_network_name(name)


def test_networks_shadow_no_module_of_python() -> None:
    for name in filter(str.islower, sys.stdlib_module_names):
        with pytest.raises(PydanticCustomError):
            check_network_name(name)


@pytest.mark.parametrize("name", ["self", "logits", "forward", "reset_parameters", "train", "half"])
def test_layers_hide_nothing(name: str) -> None:
    with pytest.raises(PydanticCustomError):
        check_layer_name(name)


@pytest.mark.parametrize("name", ["json", "print", "torch", "dense_1", "encoder"])
def test_layers_may_be_called_what_modules_may_not(name: str) -> None:
    assert check_layer_name(name) == name
