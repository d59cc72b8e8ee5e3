from __future__ import annotations

import ast
import builtins
import keyword
import re
import sys
from contextlib import suppress
from importlib import metadata
from typing import TYPE_CHECKING

import pytest
from cases import cases
from graphs import GRAPHS, TO_RAISE
from offered import shipped
from pydantic_core import PydanticCustomError

import rnnspec
from rnnspec import loads
from rnnspec.backends import get, reserved_names
from rnnspec.errors import SpecError, UnsupportedError
from rnnspec.pipeline import program
from rnnspec.spec import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rnnspec.ir.forms import Form


def check_network_name(name: str) -> str:
    return names.check_network_name(name, reserved_names())


def check_layer_name(name: str) -> str:
    return names.check_layer_name(name)


HOSTILE = [
    "", "x'); import os", 'x"""', "x\n", "x y", "x-y", "x.y", "../x", "{{x}}", "{x}", "_x", "1x",
    "X", "ｌstm", "ﬁ", "é", "\u0441", "x\u200b", "x\u0301", "a" * 65, "9" * 10_000, "__init__",
]  # fmt: skip
KEYWORDS = [word for word in keyword.kwlist if word.islower()] + ["match", "case", "type"]


@cases("name", [*HOSTILE, *KEYWORDS])
def test_hostile_names_and_keywords_are_refused(name: str) -> None:
    for check in (check_network_name, check_layer_name):
        with pytest.raises(PydanticCustomError):
            check(name)


@cases("name", [*HOSTILE, "class", "open"])
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


@cases("name", ["a", "net", "stacked_lstm", "x1_", "a" * 64, "lstm", "sentiment"])
def test_good_names(name: str) -> None:
    assert check_network_name(name) == name
    assert check_layer_name(name) == name


@cases(
    "name",
    ["json", "print", "value_error", "torch", "keras", "numpy", "nn", "layers", "build_model",
     "single_bias_lstm", "single_bias_rnn", "variational_dropout", "masked", "safetensors"],
)  # fmt: skip
def test_networks_shadow_nothing(name: str) -> None:
    with pytest.raises(PydanticCustomError):
        check_network_name(name)


def test_networks_shadow_no_module_of_python() -> None:
    for name in filter(str.islower, sys.stdlib_module_names):
        with pytest.raises(PydanticCustomError):
            check_network_name(name)


def test_the_lists_hold_all_that_the_running_python_has() -> None:
    assert possible([*keyword.kwlist, *keyword.softkwlist]) <= names.KEYWORDS
    assert possible(sys.stdlib_module_names) <= names.STANDARD_LIBRARY
    assert possible(each.lower() for each in dir(builtins)) <= names.BUILTINS


@cases("name", ["asynchat", "imp", "distutils", "compression", "annotationlib"])
def test_a_module_of_another_python_is_taken_on_this_one_too(name: str) -> None:
    with pytest.raises(PydanticCustomError, match="standard library"):
        check_network_name(name)


def possible(names: Iterable[str]) -> set[str]:
    return {name for name in names if re.fullmatch("[a-z][a-z0-9_]*", name)}


def required(distribution: str, met: set[str]) -> set[str]:
    """Return the installed distributions that one requires, including itself."""
    name = re.sub(r"[-_.]+", "-", distribution).lower()
    if name not in met:
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            return met
        met.add(name)
        for requirement in requirements:
            if "extra ==" not in requirement and (match := re.match(r"[\w.-]+", requirement)):
                required(match.group(), met)
    return met


def test_networks_shadow_no_package_that_a_framework_requires() -> None:
    met: set[str] = set()
    for framework in ("numpy", "torch", "tensorflow", "jax", "flax", "keras"):
        required(framework, met)
    needed = {
        name
        for name, owners in metadata.packages_distributions().items()
        if any(re.sub(r"[-_.]+", "-", owner).lower() in met for owner in owners)
    }
    assert possible(needed) <= names.PACKAGES


@cases(
    ("name", "what"),
    [
        ("typing_extensions", "is the name of a package"),
        ("absl", "is the name of a package"),
        ("optree", "is the name of a package"),
        ("sitecustomize", "is a file that Python, pip or pytest runs automatically"),
        ("conftest", "is a file that Python, pip or pytest runs automatically"),
        ("setup", "is a file that Python, pip or pytest runs automatically"),
        ("con", "is a device name on Windows, where no file can have it"),
        ("lpt9", "is a device name on Windows, where no file can have it"),
        ("none", "has the spelling of Python's None"),
        ("true", "has the spelling of Python's True"),
        ("none_", "has the spelling of a Python builtin"),
        ("windows_error", "has the spelling of a Python builtin"),
    ],
)
def test_says_why_a_name_is_taken(name: str, what: str) -> None:
    with pytest.raises(PydanticCustomError, match=f"'{name}' {what};"):
        check_network_name(name)


def sources(backend: str) -> Iterator[str]:
    """Yield code with every class and function that the source of a backend may define."""
    cells = ("simple", "lstm", "gru", "gru, reset_after: false")
    layers = ", ".join(
        f"{{type: {cell}, units: 4, dropout: 0.1, {words}, bias: {bias}}}"
        for cell in cells
        for words in ("activation: hard_sigmoid", "recurrent_dropout: 0.1")
        for bias in ("true", "false")
    )
    rnn = (
        f"[{{type: instance_norm}}, {{type: simple, units: 4}}, {{type: lstm, units: 4}}, {layers}]"
    )
    start = "version: 1\nname: net\ninput: {features: 3, mask_value: 0}\n"
    end = "initializers: {forget_bias: 2}"
    texts = [
        f"{start}rnn: {rnn}\n{end}\n",
        f"version: 1\nname: net\ninput: {{features: 3}}\nrnn: {rnn}\n{end}\n",
        *(
            f"{start}rnn: {{type: gru, units: 1}}\nhead: {{pooling: {statistic}}}\n"
            for statistic in ("mean", "max")
        ),
    ]
    for text in texts:
        with suppress(UnsupportedError):
            yield rnnspec.codegen(rnnspec.loads(text), backend)


def definitions(backend: str) -> set[str]:
    return {
        node.name
        for source in sources(backend)
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name != "Net"
    }


def attributes(source: str) -> set[str]:
    """Return the names of the methods and the attributes of the class of the network."""
    return {
        node.name if isinstance(node, ast.FunctionDef) else node.attr
        for network in ast.parse(source).body
        if isinstance(network, ast.ClassDef) and network.name == "Net"
        for node in ast.walk(network)
        if isinstance(node, ast.FunctionDef)
        or (isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "self")
    }


@cases("form", ["training", "inference", "step"])
def test_layers_shadow_nothing_in_the_class_of_any_form(backend: str, form: Form) -> None:
    if get(backend).ending != ".py" or form not in get(backend).forms:
        pytest.skip(f"{backend} writes no class in this form")
    checked = set[str]()
    for text in (*TO_RAISE.values(), *GRAPHS):
        spec = rnnspec.loads(re.sub("(?<=\nname: ).*", "net", text))
        own = tuple(layer.name for layer in program(spec).network.layers)
        with suppress(UnsupportedError):
            # Arrays and cells of a layer have its name.
            checked |= {
                name
                for name in possible(attributes(rnnspec.codegen(spec, backend, form=form)))
                if not name.startswith(own)
            }
    assert "begin" in checked or form != "step" or backend == "keras"
    for name in checked:
        assert get(backend).reserved_names.attribute(name) != name


def test_networks_shadow_nothing_that_generated_code_defines(backend: str) -> None:
    if get(backend).ending != ".py":
        pytest.skip(f"the source of {backend} is not Python")
    own = {name.replace("_", "") for name in get(backend).reserved_names.in_source}
    for name in definitions(backend):
        assert name.replace("_", "").lower() in own
        with pytest.raises(PydanticCustomError):
            check_network_name(name.lower())


def test_the_sources_have_many_definitions() -> None:
    python = [each.name for each in shipped() if each.ending == ".py"]
    assert len(set().union(*map(definitions, python))) >= 75


@cases("name", ["where", "max_1", "cast_12", "not_equal", "true_divide_3", "get_item_2"])
def test_inputs_are_not_called_what_keras_calls_its_operations(name: str) -> None:
    with pytest.raises(PydanticCustomError, match="Keras"):
        names.check_input_name(name, reserved_names())
    assert check_layer_name(name) == name


def test_no_two_names_become_one_in_the_source() -> None:
    stems = ("half", "requires_grad", "state", "max_1", "self")
    layers = [stem + end for stem in stems for end in ("", "_", "__")]
    for own in reserved_names():
        for rename in (own.attribute, own.parameter):
            assert len({rename(name) for name in layers}) == len(layers)
    torch = get("torch").reserved_names
    assert torch.attribute("half_") == "half__"
    assert torch.attribute("requires_grad") == "requires_grad"
    assert torch.parameter("torch") == "torch_"
