"""Graphs of layers in Keras, PyTorch and JAX, which are equal to the reference in all forms."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from graphs import BARE, GRAPHS
from offered import import_later, require
from own_cells import BRANCHES, SETTINGS

from rnnspec import pipeline
from rnnspec.backends import get, refusals
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_batch
from rnnspec.comparison.case import Case
from rnnspec.comparison.compare import Comparison
from rnnspec.ir.forms import FORMS, Form
from rnnspec.weights.initial import draw_scaled

torch = import_later("torch")

STACKS = """\
version: 1
name: stacks
inputs:
  source: {embedding: {vocabulary: 7, dim: 3}}
  target: {embedding: {vocabulary: 6, dim: 4}}
stream: target
rnn:
  - {type: lstm, units: 3, layers: 2, name: encoder, of: source}
  - {type: lstm, units: 3, layers: 2, name: decoder, of: target, initial_state: {of: encoder}}
head: {pooling: none, units: 6}
"""
CELLS = """\
version: 1
name: cells
input: {features: 3, mask_value: 0}
cells:
  leaky:
    states: [h, s]
    equations:
      s: 0.9 * s + W_s @ x + b_s
      h: tanh(U_h @ h + s)
rnn:
  - {type: lstm, units: 3, bidirectional: true, initial_state: learned, name: zero}
  - {type: lstm, units: 3, bidirectional: true, initial_state: {of: zero}}
  - {type: leaky, units: 3, bidirectional: true, initial_state: learned, name: one}
  - {type: leaky, units: 3, bidirectional: true, initial_state: {of: one}, name: two}
  - {type: gru, units: 2, recurrent_dropout: 0.1, initial_state: learned, direction: backward}
  - {type: lstm, units: 2, recurrent_dropout: 0.1, bidirectional: true, merge: ave,
    initial_state: learned, name: three}
  - {type: concat, of: [three, three.cell, one.s]}
  - {type: simple, units: 2, activation: elu, bidirectional: true, initial_state: learned}
"""
# Each name is a variable of some method, too.
NAMES = """\
version: 1
name: names
inputs:
  first: {embedding: {vocabulary: 6, dim: 3}, length: 9}
  real: {features: 3, mask_value: 0, length: 9}
  last: {features: 3, per: sequence}
rnn:
  - {type: lstm, units: 3, of: first, activation: elu, initial_state: {h: last}, name: hidden}
  - {type: gru, units: 3, of: real, bidirectional: true, dropout: 0.1, initial_state: learned,
    name: back}
  - {type: conv, filters: 3, kernel_size: 4, stride: 2, padding: [2, 1], of: back, name: total}
  - {type: pool, pooling: {attention: {units: 3, query: last}}, of: total, name: scores}
  - {type: pool, pooling: {attention: {activation: tanh}}, of: first, name: share}
  - {type: pool, pooling: mean, of: total, name: mean}
  - {type: gru, units: 2, of: first, name: super}
  - {type: gru, units: 2, initial_state: {of: super}, name: steps}
  - {type: concat, of: [scores, mean, back.state, share, last, steps.state]}
heads:
  one: {pooling: none, units: 2, activation: sigmoid}
  two: {of: hidden, pooling: [last, max], units: 2, activation: softmax}
  three: {of: total, pooling: none, units: 1}
"""
EARLY = """\
version: 1
name: early
inputs:
  audio: {features: 2}
  prompt: {features: 2, mask_value: 0}
stream: audio
rnn:
  - {type: conv, filters: 2, kernel_size: 3, padding: causal, of: prompt}
  - {type: pool, pooling: [mean, {attention: {units: 2}}], name: asked}
  - {type: lstm, units: 4, bidirectional: true, of: conv_1, name: read}
  - {type: concat, of: [audio, asked, read.cell]}
  - {type: gru, units: 2}
head: {pooling: mean}
"""
POOLS = """\
version: 1
name: pools
inputs:
  real: {features: 3}
  padded: {features: 4, mask_value: 0}
rnn:
  - {type: pool, of: real, pooling: {attention: {}}, name: one}
  - {type: pool, of: padded, pooling: {attention: {}}, name: two}
  - {type: pool, of: padded, pooling: max, name: highest}
  - {type: gru, units: 2, of: real}
  - {type: gru, units: 3, of: padded}
  - {type: gru, units: 3, initial_state: {h: one}}
  - {type: lstm, units: 2, of: real}
  - {type: lstm, units: 2, of: real, initial_state: {c: lstm_1.cell}}
  - {type: concat, of: [one, two, highest, gru_1.state, gru_3.state, lstm_2.state]}
"""
"""Inputs that are pooled, with padding and without; a first state at the top of a stack alone, and
that of a cell alone, which another layer passes on."""
CORNERS = """\
version: 1
name: corners
inputs:
  real: {features: 3}
  padded: {features: 3, mask_value: 0}
rnn:
  - {type: activation, activation: linear, of: real, name: kept}
  - {type: max_pool, size: 4, stride: 1, padding: [3, 3], of: real, name: wider}
  - {type: simple, units: 3, layers: 2, of: padded, initial_state: given, name: stack}
  - {type: gru, units: 3, reset_after: false, layer_norm: true, of: real, name: first}
  - {type: gru, units: 3, of: padded, initial_state: {of: first}, name: second}
  - {type: gru, units: 3, of: real, dropout: 0.1, variational: false, residual: true,
    initial_state: learned, name: over}
  - {type: concat, of: [second.state, stack.state]}
heads:
  e: {of: over, pooling: mean}
  a: {of: kept, pooling: mean}
  b: {of: wider, pooling: none, units: 2}
  c: {of: first, units: 2}
  d: {of: concat_1, units: 2}
"""
"""A layer that changes nothing, padding of most of a window, states below the top of a stack.

A state that is learned stands between a dropout, where a residual starts, and its layer.
"""
ALL = (*GRAPHS, BARE, BRANCHES, SETTINGS, STACKS, CELLS, NAMES, EARLY, POOLS, CORNERS)


@cache
def program(text: str) -> pipeline.Program:
    return pipeline.reads(text)


@pytest.mark.parametrize("text", ALL, ids=lambda text: text.split()[3])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["keras", "torch", "jax"])
def test_equal_to_the_reference(name: str, form: Form, text: str) -> None:
    backend = require(name)
    if refused := refusals(backend, program(text).network, form):
        pytest.skip(refused[0].reason)
    case = Case.of(program(text), 0, "float64", None, form)
    comparison = Comparison(case, "gradients" if form == "training" else "forward")
    comparison.add(backend)
    assert comparison.report().differences == ()


@cache
def model(name: str, text: str, form: Form = "training") -> Any:
    generated = pipeline.generate(program(text), require(name), form)
    live = pipeline.instantiate(generated, "float64")
    generated.store.write(live, draw_scaled(program(text).network, 0))
    return live


def batch(text: str) -> Any:
    return draw_batch(program(text).network, np.random.default_rng(0), 5)


def tensors(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


UNEQUAL = """\
version: 1
name: unequal
inputs: {one: {features: 1}, other: {features: 1}}
rnn: [{type: add, of: [one, other]}, {type: gru, units: 2}]
"""


@pytest.mark.parametrize("form", ["training", "inference"])
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_unequal_steps_are_one_error(name: str, form: Form) -> None:
    # One step would be the same at each step of the other.
    arrays = {"one": np.zeros((2, 1, 1)), "other": np.zeros((2, 3, 1))}
    runtime = require(name).runtime
    message = r"expected as many steps in one as in other, received \(1, 3\)"
    with pytest.raises(ValueError, match=message):
        runtime.trace(model(name, UNEQUAL, form), [], arrays)


JOINS = {
    "sum": "[{type: gru, units: 3, of: one}, {type: add, of: [gru_1.state, other]}]",
    "steps": "[{type: gru, units: 3, of: one}, {type: multiply, of: [gru_1, other]}]",
    "state": "[{type: gru, units: 3, of: one, reset_after: false, initial_state: {h: other}}]",
    "memory": "[{type: repeat, of: other, steps: 2, name: two}, "
    "{type: gru, units: 3, of: one, attention: {over: two, score: dot}}]",
}


@pytest.mark.parametrize("form", ["training", "inference"])
@pytest.mark.parametrize("name", ["torch", "jax"])
@pytest.mark.parametrize("join", JOINS)
def test_unequal_batches_are_one_error(name: str, form: Form, join: str) -> None:
    # One sequence would be the same beside each of the other.
    inputs = "inputs: {one: {features: 3}, other: {features: 3, per: sequence}}"
    text = f"version: 1\nname: unequal\n{inputs}\nrnn: {JOINS[join]}\n"
    runtime = require(name).runtime
    message = r"expected as many sequences in each input, received \(3, 1\)"
    arrays = {"one": np.zeros((3, 2, 3)), "other": np.zeros((1, 3))}
    with pytest.raises(ValueError, match=message):
        runtime.trace(model(name, text, form), [], arrays)


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_first_chunk_that_is_too_short_is_refused(name: str) -> None:
    streamed = next(text for text in GRAPHS if "name: streamed" in text)
    arrays, runtime = batch(streamed), require(name).runtime
    audio, live = arrays.pop("audio"), model(name, streamed, "step")
    before = runtime.begin(live, arrays)
    with pytest.raises(
        ValueError, match="expected at least 4 steps in the first chunk, received 3"
    ):
        runtime.step(live, audio[:, :3], before)
    _, after = runtime.step(live, audio[:, :4], before)
    runtime.step(live, audio[:, 4:], after)


def test_mask_takes_the_inputs_by_name() -> None:
    joined = next(text for text in GRAPHS if "name: joined" in text)
    arrays = batch(joined)
    expected = reference.masks(program(joined).network, arrays)["dense_3"]
    assert not expected.all()
    actual = model("torch", joined).mask(**tensors(arrays))
    np.testing.assert_array_equal(actual.numpy(), expected)


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_outputs_with_unlike_padding_have_masks_by_name(name: str) -> None:
    arrays, network = batch(UNLIKE), program(UNLIKE).network
    masks = reference.masks(network, arrays)
    array = torch.from_numpy(arrays) if name == "torch" else arrays
    actual = model(name, UNLIKE).mask(array)
    expected = {output: masks[layer] for output, layer in network.outputs}
    assert {output: mask.tolist() for output, mask in actual.items()} == {
        output: mask.tolist() for output, mask in expected.items()
    }


UNLIKE = """\
version: 1
name: unlike
embedding: {vocabulary: 5, dim: 3, mask_zero: true}
rnn:
  - {type: gru, units: 3, name: each}
  - {type: conv, filters: 2, kernel_size: 3, name: fewer}
heads: {one: {of: each, pooling: none, units: 2}, two: {of: fewer, pooling: none, units: 2}}
"""


def test_stack_passes_its_states_on_as_they_are() -> None:
    text = pipeline.generate(program(STACKS), get("torch"), "inference").text
    _, forward = text.split("for a batch.")
    assert (
        forward.split('"""\n', 1)[1]
        == """\
        if source.shape[0] != target.shape[0]:
            sequences = source.shape[0], target.shape[0]
            raise ValueError(
                f"expected as many sequences in each input, received {sequences}"
            )
        source_embedding = self.source_embedding(source)
        target_embedding = self.target_embedding(target)
        _, (encoder_1_h, encoder_1_c) = self.encoder_1(source_embedding)
        x, _ = self.decoder_1(target_embedding, (encoder_1_h, encoder_1_c))
        x = self.dense_1(x)
        return x
"""
    )
    assert "nn.LSTM(4, 3, num_layers=2, batch_first=True)" in text


# PyTorch warns about its own deprecated TorchScript, and about arrays of its own layers.
IGNORED = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@IGNORED
@pytest.mark.parametrize("text", ALL, ids=lambda text: text.split()[3])
def test_torchscript_takes_the_source(text: str) -> None:
    torch.jit.script(model("torch", text, "inference"))


@IGNORED
@pytest.mark.parametrize("text", [STACKS, NAMES], ids=["stacks", "names"])
def test_torch_exports_the_source(text: str) -> None:
    eager, drawn = model("torch", text, "inference"), batch(text)
    positional = () if isinstance(drawn, dict) else (torch.from_numpy(drawn),)
    named = tensors(drawn) if isinstance(drawn, dict) else {}
    exported = torch.export.export(eager, positional, named).module()
    with torch.no_grad():
        expected = eager(*positional, **named)
        torch.testing.assert_close(exported(*positional, **named), expected, rtol=0.0, atol=1e-12)
