"""The loop that draws fresh weights reaches every array of the module."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.ir.initializers import Constant
from rnnspec.ir.nodes import Dense, Recurrent

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array

import_later("torch")

CELLS = ("simple", "lstm", "gru", "gru, reset_after: false")
WORDS = ("", ", recurrent_dropout: 0.1", ", activation: hard_sigmoid")
WAYS = ("units: 4", "units: 2, bidirectional: true", "units: 4, layer_norm: true, layers: 2")
LAYERS = [
    f"{{type: {cell}{words}, bias: {bias}, {WAYS[number % len(WAYS)]}}}"
    for cell in CELLS
    for words in WORDS
    for number, bias in enumerate(("true", "false", "true"))
]
START = """\
version: 1
name: net
embedding: {vocabulary: 5, dim: 4%s}
rnn: [%s]
head: {hidden: [{units: 3}], units: 2, bias: false}
initializers: {kernel: {constant: 2}, recurrent: {constant: 3}, bias: {constant: 4},
  forget_bias: 5, embedding: {constant: 6}}
"""


def expected(name: str, array: Array) -> Array:
    """Return the initial values of the array with that name."""
    kind = name.rpartition(".")[2]
    values = {"kernel": 2, "recurrent_kernel": 3, "bias": 4, "recurrent_bias": 4}
    wanted = np.full(array.shape, {**values, "embeddings": 6, "gamma": 1, "beta": 0}[kind], float)
    if kind == "bias" and name.startswith(("lstm", "both_lstm")):
        wanted.reshape(4, -1)[1] = 5
    return wanted


@pytest.mark.parametrize("mask", ["", ", mask_zero: true"])
def test_each_array_of_each_class_starts_from_its_own(mask: str) -> None:
    named = ", ".join(
        layer.replace("{", f"{{name: both_{layer.split()[1].strip(',')}_{number}, ")
        if "bidirectional" in layer
        else layer
        for number, layer in enumerate(LAYERS)
    )
    model = rnnspec.build(rnnspec.loads(START % (mask, named)), "torch")
    arrays = rnnspec.read_weights(model)
    assert len(arrays) > 100
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected(name, array), err_msg=name)


def test_a_layer_may_be_drawn_unlike_the_others_of_its_class() -> None:
    text = "version: 1\nname: net\ninput: {features: 3}\nrnn: {type: lstm, units: 4, layers: 3}\n"
    program = pipeline.reads(text + "head: {hidden: [{units: 4}], units: 4}\n")
    network = program.network
    odd = {"lstm_2", "dense_2"}
    layers = tuple(
        replace(layer, kernel_initializer=Constant(0.5))
        if isinstance(layer, Recurrent | Dense) and layer.name in odd
        else layer
        for layer in network.layers
    )
    changed = replace(program, network=replace(network, layers=layers))
    model = pipeline.instantiate(pipeline.generate(changed, get("torch")))
    for name, array in rnnspec.read_weights(model).items():
        layer, _, kind = name.partition(".")
        if kind == "kernel":
            assert (array == 0.5).all() == (layer in odd), name
