"""A field that is added to a node changes the source of a backend or is refused, never ignored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import MISSING, field, fields, is_dataclass, make_dataclass, replace
from functools import cache
from textwrap import dedent
from typing import Any

import pytest
from cases import cases
from graphs import GRAPHS

from rnnspec import pipeline
from rnnspec.backends import BACKENDS, refusals
from rnnspec.backends.jax import emit as jax
from rnnspec.backends.keras import emit as keras
from rnnspec.backends.onnx import emit as onnx
from rnnspec.backends.onnx import slots as onnx_slots
from rnnspec.backends.onnx import verbs as onnx_verbs
from rnnspec.backends.torch import emit as torch
from rnnspec.backends.torch import plan
from rnnspec.errors import GenerationError
from rnnspec.ir import cells, core, initializers, nodes
from rnnspec.ir import expand as recipes
from rnnspec.ir.fields import Fields
from rnnspec.ir.forms import Form
from rnnspec.source import composed, layers

WHOLE = """\
version: 1
name: whole
input: {length: 24, features: 4, mask_value: 2.0}
rnn:
  - {type: conv, filters: 4, kernel_size: 2, padding: causal, activation: {leaky_relu: 0.1}}
  - {type: max_pool, size: 2}
  - {type: batch_norm}
  - {type: instance_norm}
  - {type: dropout, rate: 0.5}
  - {type: activation, activation: {clipped_relu: 2}}
  - {type: gru, units: 4, residual: true, layer_norm: true, layers: 2, name: two}
  - {type: simple, units: 4, bidirectional: true, name: one}
  - {type: concat, of: [one, two_2]}
  - {type: lstm, units: 3}
heads:
  last: {pooling: [last, {attention: {units: 2}}], units: 2}
  vector: {pooling: mean, normalize: l2}
initializers: {kernel: {normal: 0.5}, recurrent: {uniform: 0.25}, bias: ones}
"""
OTHERS = """\
version: 1
name: others
embedding: {vocabulary: 6, dim: 2, trainable: false, weights: v.txt, words: w.txt}
rnn:
  - {type: lstm, units: 2}
  - {type: repeat, steps: 3}
  - {type: instance_norm}
  - {type: lstm, units: 2}
heads: {flat: {pooling: flatten, units: 2}, steps: {pooling: {last_steps: 2}}}
initializers: {kernel: he_uniform, recurrent: lecun_uniform}
"""
CHUNKS = """\
version: 1
name: chunks
input: {features: 4, mask_value: 2.0}
rnn:
  - {type: conv, filters: 4, kernel_size: 2, padding: causal}
  - {type: gru, units: 4, layers: 2, residual: true, layer_norm: true}
  - {type: lstm, units: 4}
  - {type: batch_norm}
head: {pooling: mean, units: 2}
"""
PLAIN = "version: 1\nname: plain\ninput: {features: 2}\nrnn: {type: simple, units: 2}\nhead: {}\n"
CELL = """\
version: 1
name: cell
input: {features: 2}
cells:
  mine:
    states: [h, c]
    equations:
      z: where(W @ x + b > 0, tanh(U.T @ h), 0.5 * h)
      h: softmax(split(concat(z, c), 1, 2))
      c: z * c
rnn: {type: mine, units: 2}
"""
STACK = "version: 1\nname: net\ninput: {features: 2}\nrnn: {type: lstm, units: 2, layers: 3}\n"
PROGRAMS = [pipeline.reads(text, text) for text in (WHOLE, OTHERS, CHUNKS, PLAIN, CELL, *GRAPHS)]

BASES = (nodes.Node, nodes.ComposedNode, nodes.Joined)
# A port follows from its layer.
DERIVED = (*BASES, nodes.Port, nodes.Learned)
KINDS: list[Any] = [
    kind
    for module in (nodes, initializers)
    for kind in vars(module).values()
    if is_dataclass(kind) and kind.__module__ == module.__name__ and kind not in DERIVED
]
GROWN: dict[Any, Any] = {
    kind: make_dataclass(
        kind.__name__, [("gain", float, field(default=0.0))], bases=(kind,), frozen=True
    )
    for kind in KINDS
}
"""A class with one more field for each class of nodes."""


def grow(value: Any, kind: type, gain: float) -> Any:
    """Return a network in which all nodes of a kind have one more field."""
    if isinstance(value, tuple):
        return tuple(grow(item, kind, gain) for item in value)
    if not is_dataclass(value):
        return value
    values = {each.name: grow(getattr(value, each.name), kind, gain) for each in fields(value)}
    own: Any = type(value)
    return GROWN[kind](**values, gain=gain) if own is kind else own(**values)


@cache
def write(text: str, backend: str, form: Form) -> str | None:
    """Return the source of a spec, or None if the backend refuses it."""
    program, record = pipeline.reads(text, text), BACKENDS[backend]
    if refusals(record, program.network, form):
        return None
    return pipeline.generate(program, record, form).text


@cases("kind", {kind.__name__: kind for kind in KINDS})
def test_a_field_that_no_source_is_written_from_is_refused(kind: type, backend: str) -> None:
    record = BACKENDS[backend]
    for form in record.forms:
        for program in PROGRAMS:
            grown = grow(program.network, kind, 0.5)
            if grown == program.network or write(program.source, backend, form) is None:
                continue
            keys = {refusal.key for refusal in refusals(record, grown, form)}
            is_in_form = kind is not nodes.Dropout or form == "training"
            assert any(key.endswith("gain") for key in keys) == is_in_form, (form, program.source)
            break


def test_a_field_with_its_neutral_value_changes_no_source(backend: str) -> None:
    record = BACKENDS[backend]
    kinds = [kind for kind in KINDS if kind.__module__ != initializers.__name__]
    for form in record.forms:
        for program in PROGRAMS:
            grown = program.network
            for kind in kinds:  # initializers are compared with each other
                grown = grow(grown, kind, 0.0)
            if source := write(program.source, backend, form):
                text = pipeline.generate(replace(program, network=grown), record, form).text
                assert text == source


ESSENTIAL = """\
Node: name input
LeakyRelu: slope
ClippedRelu: limit
TokenInput: steps vocabulary mask_zero
NumericInput: steps features mask_value
VectorInput: name features state
LabelInput: name vocabulary
Pretrained: weights words
Embedding: vocabulary dim masked trainable initializer pretrained
SimpleRNN: activation
LSTM: activation recurrent_activation forget_bias
GRU: activation recurrent_activation reset_after
EquationCell: name equations initializers sizes
StepAttention: over keys width size projects additive scale masked
Recurrent: cell units merge bias dropout recurrent_dropout masked return_sequences
Recurrent: kernel_initializer recurrent_initializer bias_initializer
Dropout: rate
Pooling: statistic masked
Dense: units activation bias kernel_initializer bias_initializer
Attention: masked over keys memory additive scale kernel_initializer
InstanceNorm: masked epsilon
LearnedFormula: how initializers
AttentionPooling: units activation masked kernel_initializer bias_initializer
LastSteps: count
Window: size stride dilation padding
Conv: filters window activation bias masked kernel_initializer bias_initializer
WindowPooling: statistic window masked
BatchNorm: epsilon momentum masked
Activate: activation
Joined: of inputs
Join: how
Formula: names equations
Repeat: steps
LayerNorm: epsilon
Residual: start
Network: name description inputs layers
Uniform: limit
Normal: stddev
Constant: value
"""
"""The fields without a default."""


def test_a_field_of_each_kind_is_asked_for() -> None:
    """Each kind of node is in a network above, and each of its fields without a default known.

    What has no default is taken for written by every source, so a field that is added to a class
    needs one: its neutral value.
    """
    networks = [program.network for program in PROGRAMS]
    for kind in KINDS:
        assert any(grow(network, kind, 0.0) != network for network in networks), kind
    essential = {
        (kind.__name__, each.name)
        for kind in (*KINDS, *BASES)
        for each in fields(kind)
        if each.default is MISSING and each.name in kind.__annotations__
    }
    rows = (row.split(": ") for row in ESSENTIAL.splitlines())
    assert essential == {(kind, name) for kind, names in rows for name in names.split()}


@pytest.mark.parametrize("kind", [nodes.Recurrent, nodes.LSTM], ids=lambda kind: kind.__name__)
def test_an_idiom_does_not_swallow_a_field(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shorter than the source of each layer is written only if it lists the field too."""
    program = pipeline.reads(STACK)
    grown = replace(program, network=grow(program.network, kind, 0.5))
    listed = Fields(f"{kind.__name__}.gain")

    def source(backend: str) -> str:
        return pipeline.generate(grown, BACKENDS[backend], "inference").text

    monkeypatch.setitem(torch._FIELDS, "inference", listed)
    monkeypatch.setattr(torch, "_CELL_FIELDS", listed)
    assert "nn.LSTM(" not in source("torch")
    for module in (plan, torch):
        monkeypatch.setattr(module, "FUSED", listed)
    assert source("torch").count("nn.LSTM(") == 3
    monkeypatch.setattr(plan, "STACKED", listed)
    assert "num_layers=3" in source("torch")

    monkeypatch.setitem(keras._FIELDS, "inference", listed)
    assert "keras.Sequential" not in source("keras")
    monkeypatch.setattr(keras, "_SEQUENTIAL", listed)
    assert "keras.Sequential" in source("keras")

    monkeypatch.setattr(cells, "FIELDS", listed)
    assert "Scan" in source("onnx")
    monkeypatch.setattr(onnx_slots, "_OPERATOR", listed)
    assert "Scan" not in source("onnx")


def test_a_field_that_a_recipe_is_written_from_is_in_the_source_that_is_written_from_recipes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (layers, onnx):
        monkeypatch.setattr(module, "FIELDS", Fields("Node.source Repeat.gain"))
    network = grow(pipeline.reads(OTHERS).network, nodes.Repeat, 0.5)
    refused = [name for name in BACKENDS if refusals(BACKENDS[name], network)]
    assert not {"torch", "jax", "onnx"} & set(refused)
    assert {"keras", "c"} <= set(refused)


PICK = core.Pick("last", recipes.X, recipes.MASK)


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("torch", nodes.Repeat, core.Embed(recipes.X, core.Param("repeat_1", "table"))),
        ("jax", nodes.Repeat, core.Embed(recipes.X, core.Param("repeat_1", "table"))),
        ("onnx", nodes.Repeat, PICK),
        ("onnx", nodes.Conv, recipes.X * core.Param("conv_1", "bias")),
    ],
)
def test_an_expression_of_a_recipe_without_source_is_one_error(
    name: str, kind: type, value: core.Expression, monkeypatch: pytest.MonkeyPatch
) -> None:
    def expand(layer: nodes.Layer, form: Form) -> Iterator[core.Result]:
        own = iter([core.Result("x", value)])
        return own if isinstance(layer, kind) else recipes.expand(layer, form)

    monkeypatch.setattr(layers, "expand", expand)
    monkeypatch.setattr(onnx_verbs, "expand", expand)
    program = pipeline.reads(OTHERS if kind is nodes.Repeat else WHOLE)
    with pytest.raises(GenerationError, match=f"the verb {type(value).__name__} is not supported"):
        pipeline.generate(program, BACKENDS[name], "inference")


def test_layers_that_differ_in_more_than_arguments_are_of_no_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(composed, "composed_class", lambda _: "Norm")
    monkeypatch.setattr("rnnspec.source.closed.undefined_names", lambda *_: [])
    text = """\
    version: 1
    name: net
    input: {features: 2, mask_value: 0}
    rnn:
    - {type: instance_norm}
    - {type: gru, units: 2}
    - {type: repeat, steps: 2}
    - {type: %s, units: 2}
    - {type: lstm, units: 2}
    """

    def source(text: str) -> str:
        return pipeline.generate(pipeline.reads(dedent(text)), BACKENDS["torch"]).text

    assert "class Norm(" in source(text % "lstm")
    with pytest.raises(GenerationError, match="instance_norm_2: Norm has no argument"):
        source(text.replace("%s, units: 2", "instance_norm"))


def test_each_value_in_a_graph_has_a_name_of_its_own_in_a_value_of_its_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def expand(layer: nodes.Layer, form: Form) -> Iterator[core.Result]:
        quotient = core.Result("x", recipes.X / (recipes.X / (recipes.X / recipes.SKIP)) + 1.5)
        is_sum = isinstance(layer, nodes.Residual)
        return iter([quotient]) if is_sum else recipes.expand(layer, form)

    monkeypatch.setattr(onnx_verbs, "expand", expand)
    source = pipeline.generate(pipeline.reads(WHOLE), BACKENDS["onnx"], "inference").text
    names = re.findall(r"^  (\w+) = Div", source, re.MULTILINE)
    assert len(names) == len(set(names)) == 11


@pytest.mark.parametrize("kind", [nodes.Recurrent, nodes.LSTM], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_layers_that_differ_in_a_field_do_not_share_a_class(
    name: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (torch, jax):
        monkeypatch.setattr(module, "_CELL_FIELDS", Fields(f"{kind.__name__}.gain"))
    stepwise = STACK.replace("units: 2", "units: 2, activation: softsign")
    program = pipeline.reads(stepwise)

    def refused(*gains: float) -> set[str]:
        grown = map(grow, program.network.layers, (kind,) * 3, gains)
        network = replace(program.network, layers=tuple(grown))
        return {refusal.layer for refusal in refusals(BACKENDS[name], network, "inference")}

    assert refused(0.5, 0.5, 0.5) == set()
    assert refused(0.5, 0.5, 0.25) == {"lstm_3"}


HEAD = "{pooling: none, units: 6, tied: true}"


def test_tied_layers_that_differ_do_not_share_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "version: 1\nname: net\nembedding: {vocabulary: 6, dim: 2}\nrnn: {type: gru, units: 2}\n"
    program = pipeline.reads(f"{text}heads: {{one: {HEAD}, two: {HEAD}}}\n")
    *others, one, two = program.network.layers
    assert isinstance(two, nodes.Dense)
    for module in (torch, jax):
        names = module._FIELDS["training"].names
        monkeypatch.setitem(module._FIELDS, "training", Fields(f"{names} Dense.gain"))

    def refused(one: nodes.Layer, two: nodes.Layer) -> list[list[str]]:
        network = replace(program.network, layers=(*others, one, two))
        found = [refusals(BACKENDS[name], network, "training") for name in ("torch", "jax")]
        return [[f"{refusal.layer}.{refusal.key}" for refusal in each] for each in found]

    assert refused(one, two) == [[], []]
    other = replace(two, bias_initializer=initializers.Constant(2.0))
    assert refused(one, other) == [[], ["dense_2.bias_initializer.value"]]
    grown = [grow(one, nodes.Dense, 0.5), grow(two, nodes.Dense, 0.25)]
    assert refused(*grown) == [["dense_2.gain"], ["dense_2.gain"]]


def test_a_final_state_is_not_taken_from_an_operator_with_a_field_that_it_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "version: 1\nname: net\ninput: {features: 2}\nrnn: {type: gru, units: 2}\n"
    program = pipeline.reads(f"{text}head: {{pooling: [last, mean]}}\n")
    network = grow(program.network, nodes.Recurrent, 0.5)
    listed = Fields("Recurrent.gain Node.source")
    monkeypatch.setattr(onnx_slots, "_OPERATOR", listed)
    assert [refusal.key for refusal in refusals(BACKENDS["onnx"], network)] == ["gain"]
    monkeypatch.setattr(onnx, "_FINAL_STATE", listed)
    assert not refusals(BACKENDS["onnx"], network)
