"""ONNX files that rnnspec wrote, read by their graphs alone, as those of other tools are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from importing.onnx_graphs import check_reading, draw, steps_of, write_own
from offered import import_later

from rnnspec import pipeline
from rnnspec.comparison import reference
from rnnspec.errors import ModelError
from rnnspec.importing.run import take
from rnnspec.ir.nodes import Attention, EquationCell, Formula, Join

onnx = import_later("onnx")
import_later("onnxruntime")

TOKENS = "embedding: {vocabulary: 7, dim: 3, mask_zero: true}\nrnn:\n"
NUMBERS = "input: {features: 3, mask_value: -1.5}\nrnn:\n"
SPECS = {
    "one feature with a mask": "input: {features: 1, mask_value: 0}\nrnn: {type: gru, units: 1, "
    "residual: true}\n",
    "both directions multiplied": NUMBERS
    + "- {type: gru, units: 2, bidirectional: true, merge: mul}\n"
    "- {type: lstm, units: 3, bidirectional: true, merge: mul}\nhead: {units: 2}\n",
    "directions of one unit": TOKENS
    + "- {type: lstm, units: 1, bidirectional: true, layer_norm: true}\n"
    "- {type: simple, units: 1, bidirectional: true, merge: sum}\nhead: {pooling: none}\n",
    "residuals and a mean behind a mask": NUMBERS
    + "- {type: lstm, units: 3, layers: 2, residual: true}\n"
    "head: {pooling: [mean, max, min, sum], units: 2}\n",
    "windows behind a mask": NUMBERS + "- {type: conv, filters: 4, kernel_size: 3, padding: same}\n"
    "- {type: lstm, units: 4}\n- {type: conv, filters: 3, kernel_size: 2, stride: 2}\n"
    "- {type: max_pool, size: 2, stride: 1}\n- {type: average_pool, size: 2, padding: same}\n"
    "- {type: gru, units: 2}\nhead: {pooling: mean}\n",
    "a mean of single steps behind a mask": TOKENS
    + "- {type: average_pool, size: 1}\n- {type: gru, units: 2}\n",
    "a vector as one step": "input: {features: 2}\nrnn:\n- {type: gru, units: 3}\n"
    "- {type: repeat, steps: 1}\n- {type: conv, filters: 3, kernel_size: 1}\n"
    "- {type: lstm, units: 3, residual: true}\nhead: {pooling: none, units: 1}\n",
    "one of last steps": "input: {features: 2}\nrnn: {type: gru, units: 3}\n"
    "head: {pooling: {last_steps: 1}, hidden: [{units: 2, activation: tanh}], units: 2}\n",
    "norms of one feature": "input: {features: 2, length: 4}\nrnn:\n"
    "- {type: simple, units: 1, layer_norm: true}\n- {type: dense, units: 1, activation: selu}\n"
    "head: {pooling: flatten, hidden: [{units: 1, activation: elu}], normalize: l2}\n",
    "one token": "input: {length: 1}\nembedding: {vocabulary: 4, dim: 2}\n"
    "rnn: {type: gru, units: 2, bidirectional: true}\n",
    "step by step": TOKENS
    + "- {type: lstm, units: 3, recurrent_activation: softplus, bidirectional: true, merge: ave}\n"
    "- {type: gru, units: 3, recurrent_activation: silu, bidirectional: true, merge: concat}\n"
    "- {type: gru, units: 2, activation: softplus, reset_after: false, bias: false}\n"
    "- {type: simple, units: 2, activation: softplus, bidirectional: true, merge: mul}\n"
    "head: {pooling: mean}\n",
    "step by step without a mask": "input: {features: 2}\nrnn:\n"
    "- {type: gru, units: 3, activation: silu, bias: false}\n"
    "- {type: lstm, units: 2, recurrent_activation: softplus, bidirectional: true, merge: sum}\n",
}
TWO = (
    "inputs:\n  source: {features: 3, mask_value: 0}\n  target: {features: 2%s}\n"
    "stream: target\nrnn:\n"
)
MASKED = TWO % ", mask_value: 0"
TWO %= ""
ENCODER = "- {type: gru, units: 4, of: source, bidirectional: true, name: encoder}\n"
SPECS |= {
    "attention behind a decoder": TWO
    + ENCODER
    + "- {type: gru, units: 8, of: target, name: decoder, initial_state: {h: encoder.state}}\n"
    "- {type: attention, of: decoder, over: encoder, score: scaled_dot, name: one}\n"
    "- {type: attention, of: decoder, over: encoder, score: additive, units: 3, name: two}\n"
    "- {type: concat, of: [decoder, one, two]}\nhead: {pooling: none, units: 2}\n",
    "attention before the cell": MASKED
    + ENCODER
    + "- {type: gru, units: 5, of: target, name: decoder, "
    "attention: {over: encoder, score: additive, units: 3}}\n"
    "- {type: concat, of: [decoder, decoder.context]}\nhead: {pooling: none, units: 2}\n",
    "attention before the cell, backward": TWO
    + ENCODER
    + "- {type: lstm, units: 8, of: target, name: decoder, direction: backward, "
    "initial_state: {h: encoder.state}, attention: {over: encoder, score: scaled_dot}}\n"
    "head: {of: decoder.context, pooling: none, units: 2}\n",
    "attention before a reset before the product": TWO
    + ENCODER
    + "- {type: gru, units: 5, of: target, reset_after: false, bias: false, "
    "attention: {over: encoder, score: general}}\nhead: {pooling: none, units: 2}\n",
    "attention of a simple cell": TWO
    + ENCODER
    + "- {type: simple, units: 5, of: target, attention: {over: encoder, score: general}}\n"
    "head: {pooling: mean, units: 2}\n",
}


def without_spec(folder: Path, text: str) -> tuple[Path, dict[str, Any]]:
    """Write a file of a spec without what rnnspec adds to its graph; return its arrays, too."""
    path = folder / "net.onnx"
    arrays = write_own(path, text)
    proto = onnx.load_model(path)
    del proto.metadata_props[:]
    path.write_bytes(proto.SerializeToString())
    return path, arrays


def check_own_graph(folder: Path, text: str) -> None:
    """Check that a graph without its spec is read as a network with the same results."""
    path, arrays = without_spec(folder, text)
    program, taken = pipeline.reads(text), check_reading(path)
    batch = draw(program.network, (5, steps_of(program.network) or 11), np.random.default_rng(1))
    own = batch
    if program.network.named_inputs:
        names = taken.imported.inputs
        own = {
            network_input.name: batch[names[network_input.name]]
            for network_input in taken.program.network.inputs
        }
    received, expected = (
        reference.run(network, {name: one.astype("f8") for name, one in several.items()}, values)
        for network, several, values in (
            (taken.program.network, taken.arrays, own),
            (program.network, arrays, batch),
        )
    )
    np.testing.assert_allclose(received.output, expected.output, atol=1e-5)


@cases("text", SPECS)
def test_a_graph_without_its_spec(tmp_path: Path, text: str) -> None:
    check_own_graph(tmp_path, f"version: 1\nname: net\n{text}")


FORMULAS_READ = ("inference_esim_bilstm", "inference_max_bilstm", "sentence_similarity_lstm")
"""Networks whose formulas are sums, differences and products of layers, which are read."""


def test_every_kind_of_network(tmp_path: Path, covering_spec: Path) -> None:
    """It comes back from its file exactly, and from the graph alone as one that is equal."""
    text, path = covering_spec.read_text("utf-8"), tmp_path / "net.onnx"
    arrays, taken = write_own(path, text), take(path)
    assert (taken.text, taken.imported.guesses, taken.imported.inferred) == (text, (), ())
    assert list(taken.arrays) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(taken.arrays[name], array)
    layers = taken.program.network.layers
    if any(isinstance(getattr(layer, "cell", None), EquationCell) for layer in layers):
        # Its equations are in the spec only.
        with pytest.raises(ModelError, match="Scan is a loop, and not read"):
            check_own_graph(tmp_path, text)
    elif covering_spec.stem not in FORMULAS_READ and any(
        isinstance(layer, Join) and isinstance(layer.how, Formula) for layer in layers
    ):
        # What it computes has no other words.
        with pytest.raises(ModelError, match=r"Add changes the numbers of|does not support "):
            check_own_graph(tmp_path, text)
    elif any(isinstance(layer, Attention) and layer.gives != "context" for layer in layers):
        # A graph has the weights of a pointer, but no reader for them.
        with pytest.raises(ModelError, match="received the weights of the steps"):
            check_own_graph(tmp_path, text)
    else:
        check_own_graph(tmp_path, text)
