"""Graphs of layers in PyTorch and JAX: what does not fit, masks by name, and what exports."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from graphs import ALL, JOINED, NAMES, STACKS, STREAMED
from offered import import_later, require

from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_batch
from rnnspec.ir.forms import Form
from rnnspec.weights.initial import draw_scaled

torch = import_later("torch")


@cache
def program(text: str) -> pipeline.Program:
    return pipeline.reads(text)


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
    arrays, runtime = batch(STREAMED), require(name).runtime
    audio, live = arrays.pop("audio"), model(name, STREAMED, "step")
    before = runtime.begin(live, arrays)
    with pytest.raises(
        ValueError, match="expected at least 4 steps in the first chunk, received 3"
    ):
        runtime.step(live, audio[:, :3], before)
    _, after = runtime.step(live, audio[:, :4], before)
    runtime.step(live, audio[:, 4:], after)


def test_mask_takes_the_inputs_by_name() -> None:
    arrays = batch(JOINED)
    expected = reference.masks(program(JOINED).network, arrays)["dense_3"]
    assert not expected.all()
    actual = model("torch", JOINED).mask(**tensors(arrays))
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
