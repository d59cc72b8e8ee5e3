"""Functional models of Keras: the network computes what the model does, padding included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.comparison import reference
from rnnspec.errors import ModelError
from rnnspec.importing.run import take

keras = import_later("keras")
of, ops = import_later("keras.layers"), import_later("keras.ops")

STEPS, FEATURES, VOCABULARY = 6, 3, 9
Make = Callable[[Any], Any]
# Padding on the right, left, inside, none and nothing else.
REAL = np.array(
    [[1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1], [1, 0, 1, 0, 0, 1], [1, 1, 1, 1, 1, 1], [0] * STEPS],
    dtype=bool,
)


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(before)
    keras.config.set_dtype_policy(before)


def sequence(**words: Any) -> Any:
    return of.LSTM(FEATURES, return_sequences=True, **words)


def call(layer: Any, x: Any) -> Any:
    """Call a layer that each test makes for itself."""
    return layer(x)


def call_twice(layer: Any, x: Any) -> Any:
    return layer(layer(x))


def hidden(layer: Any, x: Any) -> Any:
    """Return the hidden state that a layer returns beside its output."""
    return layer(x)[1]


def added(x: Any) -> Any:
    return x + sequence()(x)


def pooled_twice(x: Any) -> Any:
    return of.Concatenate()([of.GlobalMaxPooling1D()(x), x[:, -1]])


def inner(make: Make, x: Any) -> Any:
    """Call a model that is itself a layer."""
    start = keras.Input(x.shape[1:])
    return keras.Model(start, make(start))(x)


def added_by_layer(x: Any) -> Any:
    return of.Add()([x, sequence()(x)])


def given_mask(x: Any, layer: Any, before: Make = added) -> Any:
    """Call a layer with the mask that an operation before it has dropped."""
    mask = ops.not_equal(x._keras_history.operation.input, 0)
    return layer(before(x), mask=mask)


def added_again(x: Any, y: Any) -> Any:
    """Add, by a layer, what has no mask to what has one."""
    return of.Add()([y, given_mask(x, sequence(), lambda _: y)])


def cell(kind: str, units: int = 4, **words: Any) -> Any:
    return getattr(of, f"{kind}Cell")(units, **words)


ANY: dict[str, Make] = {
    "h into a dense layer": lambda x: of.Dense(2)(hidden(of.LSTM(4, return_state=True), x)),
    "h beside sequences": lambda x: of.Dense(2)(
        hidden(of.GRU(4, return_state=True, return_sequences=True), x)
    ),
    "h, with zeros at padding": lambda x: hidden(
        of.SimpleRNN(4, return_state=True, return_sequences=True, zero_output_for_mask=True), x
    ),
    "h beside the output": lambda x: hidden(
        of.LSTM(4, return_state=True, zero_output_for_mask=True), x
    ),
    "the cell state": lambda x: of.LSTM(4, return_state=True)(x)[2],
    "the cell state of a cell": lambda x: of.Dense(2)(
        of.RNN(cell("LSTM"), return_state=True)(x)[2]
    ),
    "both states": lambda x: of.Dense(2)(of.Concatenate()(of.LSTM(4, return_state=True)(x)[1:])),
    "both directions": lambda x: of.Concatenate()(of.Bidirectional(of.GRU(4), merge_mode=None)(x)),
    "the cell states of both directions": lambda x: of.Concatenate()(
        of.Bidirectional(of.LSTM(4, return_state=True))(x)[2::2]
    ),
    "a cell of LSTM": lambda x: call(of.RNN(cell("LSTM")), x),
    "a cell of GRU": lambda x: call(
        of.RNN(cell("GRU", reset_after=False), return_sequences=True), x
    ),
    "a simple cell": lambda x: call(of.RNN(cell("SimpleRNN", use_bias=False)), x),
    "h of a cell": lambda x: hidden(of.RNN(cell("LSTM"), return_state=True), x),
    "a stack of cells": lambda x: of.Dense(2)(
        of.RNN([cell("LSTM"), cell("GRU", 5, use_bias=False), cell("LSTM", 2)])(x)
    ),
    "sequences of a stack": lambda x: of.LSTM(2)(
        of.RNN([cell("SimpleRNN"), cell("SimpleRNN", 2)], return_sequences=True)(x)
    ),
    "the last step": lambda x: sequence()(x)[:, -1, :],
    "the last step of a norm": lambda x: of.Dense(2)(of.LayerNormalization()(sequence()(x))[:, -1]),
    "the last step of a dense layer": lambda x: of.Dense(4)(
        of.Dropout(0.5)(of.Dense(2, activation="relu")(sequence()(x)))
    )[:, -1],
    "sum inside a model": lambda x: of.GRU(4)(inner(added_by_layer, sequence()(x))),
    "sum by a layer": lambda x: of.GRU(4)(added_by_layer(x)),
    "a pooling behind a dense layer": lambda x: of.GlobalAveragePooling1D()(
        of.Dense(4)(of.Dense(3, use_bias=False)(sequence()(x)))
    ),
    "an activation behind a sum": lambda x: of.GRU(4)(of.LeakyReLU(0.25)(added_by_layer(x))),
    "norms at each step": lambda x: of.GRU(4)(
        of.BatchNormalization()(of.Dense(3, activation="relu")(of.BatchNormalization()(x)))
    ),
    "sequences side by side": lambda x: of.GRU(4)(of.Concatenate()([sequence()(x), x])),
    "sum at each step": lambda x: of.Dense(4)(added(x)),
}

ONLY_MASKED: dict[str, Make] = {
    "sum by an operator, with the mask again": lambda x: given_mask(x, of.GRU(4)),
    "sum by an operator, the mean with the mask": lambda x: given_mask(
        x, of.GlobalAveragePooling1D()
    ),
}

UNMASKED: dict[str, Make] = {
    "sum by an operator": lambda x: of.GRU(4)(added(x)),
    "sum by a function": lambda x: of.GRU(4)(ops.add(sequence()(x), x)),
    "a stack of one": lambda x: call(of.RNN([cell("SimpleRNN")]), x),
    "zeros at no padding": lambda x: call(of.LSTM(4, zero_output_for_mask=True), x),
    "softmax": lambda x: ops.softmax(of.Dense(4)(sequence()(x))),
    "softmax by a layer": lambda x: of.Softmax()(of.Dense(4)(sequence()(x))),
    "the last step of both directions": lambda x: of.Dense(2)(
        of.LayerNormalization()(of.Bidirectional(sequence())(x))[:, -1]
    ),
    "the last step of a sum": lambda x: of.Dense(2)(added_by_layer(x))[:, -1],
    "windows": lambda x: of.GRU(4)(of.MaxPooling1D(2)(of.Conv1D(4, 3, padding="same")(x))),
    "the last steps": lambda x: of.Dense(2)(sequence()(x)[:, -3:, :]),
    "a vector of all steps": lambda x: of.Dense(2)(of.Reshape((-1,))(sequence()(x))),
    "two poolings": lambda x: pooled_twice(sequence()(x)),
    "mean": lambda x: of.Dense(2)(ops.mean(sequence()(x), axis=1)),
    "maximum": lambda x: ops.max(sequence()(x), axis=-2),
    "minimum": lambda x: ops.min(sequence()(x), axis=1),
}


def masks(x: Any) -> Any:
    """Make a mask of another layer's output, in a model inside the model."""

    def make(start: Any) -> Any:
        return sequence()(start, mask=ops.any(ops.not_equal(start, 0.0), axis=-1))

    return inner(make, x)


ALWAYS: dict[str, tuple[Make, str]] = {
    "a state of a stack": (
        lambda x: of.RNN([cell("GRU"), cell("GRU")], return_state=True)(x)[1],
        "rnn.*: its output 1 is used; rnnspec passes on the first, that of the last cell",
    ),
    "a state of one direction": (
        lambda x: of.Dense(2)(of.Bidirectional(of.GRU(4, return_state=True))(x)[1]),
        r"dense\S*: reads one direction; rnnspec supports both side by side, as Concatenate does",
    ),
    "one direction": (
        lambda x: of.Bidirectional(of.GRU(4), merge_mode=None)(x)[1],
        r"bidirectional\S*: reads one direction; rnnspec supports both side by side",
    ),
    "attention with several heads": (
        lambda x: of.MultiHeadAttention(2, 3)(x, x),
        r"cannot carry over a layer [^\n]*: rnnspec does not support attention with several heads",
    ),
    "a sum with itself": (
        lambda x: of.Add()([sequence()(x)] * 2),
        r"add\S*: reads the output of lstm\S* 2 times; expected it once",
    ),
    "a batch norm called twice": (
        lambda x: sequence()(call_twice(of.BatchNormalization(), x)),
        r"batch\S*: called 2 times, with the same weights; rnnspec does not support that",
    ),
    "another step": (
        lambda x: sequence()(x)[:, -2],
        r"get_item\S*: expected the last step, \[:, -1\], received ",
    ),
    "a mean of features": (
        lambda x: ops.mean(sequence()(x), axis=(1, 2)),
        r"mean\S*.axis: expected 1 \(the steps\), received",
    ),
    "another operation": (
        lambda x: of.LSTM(4)(x) - 1.0,
        r"subtract\S*: cannot carry over the operation keras.ops.subtract: rnnspec supports",
    ),
}

DROPPED = "has no mask, since Keras drops it at the operation"
LAST = "reads the last step, which is padding in a shorter sequence"
MASKED: dict[str, tuple[Make, str]] = {
    "sum by an operator": (lambda x: of.GRU(4)(added(x)), f"gru.*: {DROPPED} add"),
    "sum by a function": (
        lambda x: of.Bidirectional(of.GRU(4))(ops.add(sequence()(x), x)),
        f"bidirectional.*: {DROPPED} add",
    ),
    "sum, then the mean": (lambda x: of.GlobalAveragePooling1D()(added(x)), f"global.*: {DROPPED}"),
    "sum of a sum": (
        lambda x: of.GRU(4)(added_again(x, added(x))),
        f"gru.*: {DROPPED}",
    ),
    "softmax": (
        lambda x: of.GlobalAveragePooling1D()(ops.softmax(of.Dense(4)(sequence()(x)))),
        f"global.*: {DROPPED} softmax",
    ),
    "zeros at the last step": (
        lambda x: call(of.LSTM(4, zero_output_for_mask=True), x),
        "zero_output_for_mask: expected False, received True; the output of a sequence that ends",
    ),
    "the last step of zeros": (lambda x: sequence(zero_output_for_mask=True)(x)[:, -1], LAST),
    "the last step of both directions": (
        lambda x: of.Bidirectional(sequence())(x)[:, -1],
        LAST,
    ),
    "the last step of a sum": (lambda x: added_by_layer(x)[:, -1], LAST),
    "mean": (lambda x: ops.mean(sequence()(x), axis=1), "mean.*: the mean of Keras counts padding"),
    "maximum": (lambda x: ops.max(sequence()(x), axis=1), "max.*: the maximum of Keras counts pad"),
    "minimum": (lambda x: ops.min(sequence()(x), axis=1), "min.*: the minimum of Keras counts pad"),
    "a convolution of states that are held": (
        lambda x: of.Conv1D(2, 3)(sequence()(x)),
        "conv1d.*: reads padding, since Keras has no mask here",
    ),
    "a maximum of windows": (
        lambda x: of.MaxPooling1D(2)(sequence()(x)),
        "max_pooling1d.*: counts padding, since Keras has no mask here",
    ),
    "a layer behind a convolution": (
        lambda x: of.GRU(4)(of.Conv1D(2, 3, padding="same")(of.Bidirectional(sequence())(x))),
        "gru.*: has no mask, since Keras drops it at conv1d",
    ),
    "a mask of another layer": (
        lambda x: of.GRU(4)(masks(x)),
        "has a mask that is made from the output of another layer",
    ),
}


def model_of(make: Make, *, masked: bool) -> Any:
    start = keras.Input((STEPS,))
    x = of.Embedding(VOCABULARY, FEATURES, mask_zero=masked)(start)
    model = keras.Model(start, make(x))
    rng = np.random.default_rng(1)
    drawn = [rng.normal(0.0, 0.5, np.shape(weight)) for weight in model.get_weights()]
    # Some vectors are variances.
    model.set_weights([np.abs(each) if each.ndim == 1 else each for each in drawn])
    return model


def check_equal(model: Any, batch: Any, *, padded: bool) -> rnnspec.models.foreign.Model:
    """Compare the network with the model on a batch, but for what the output has at padding."""
    found = rnnspec.from_keras(model, name="net")
    arrays = {name: np.asarray(array, np.float64) for name, array in found.arrays.items()}
    output = reference.run(pipeline.program(found.spec).network, arrays, batch).output
    wanted = np.asarray(model(batch))
    assert output.shape == wanted.shape
    if padded and wanted.ndim == 3:
        output, wanted = output[REAL], wanted[REAL]
    if padded and any(isinstance(layer, of.GlobalAveragePooling1D) for layer in model.layers):
        output, wanted = output[:-1], wanted[:-1]
    np.testing.assert_allclose(output, wanted, atol=1e-12)
    return found


TOKENS = np.where(REAL, np.random.default_rng(0).integers(1, VOCABULARY, REAL.shape), 0)


@pytest.mark.filterwarnings("ignore:.*destroy the mask")
@pytest.mark.parametrize("name", [*ANY, *ONLY_MASKED, *UNMASKED])
def test_the_network_computes_what_the_model_does(name: str) -> None:
    masked = name not in UNMASKED
    model = model_of((ANY | ONLY_MASKED | UNMASKED)[name], masked=masked)
    found = check_equal(model, TOKENS, padded=masked)
    assert masked or not any("zero_output_for_mask" in each for each in found.left_out)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_an_operation_in_a_file(tmp_path: Path, suffix: str) -> None:
    # An HDF5 file does not say that the sum is none of keras.layers.
    for name, masked in (("dropped", True), ("none", False)):
        path = tmp_path / f"{name}{suffix}"
        model_of(UNMASKED["sum by an operator"], masked=masked).save(path)
    assert take(tmp_path / f"none{suffix}").program.network.layers
    with pytest.raises(ModelError, match=f"gru.*: {DROPPED} add"):
        take(tmp_path / f"dropped{suffix}")


@pytest.mark.filterwarnings("ignore:.*destroy the mask")
def test_layers_that_are_read_as_keeping_the_mask_or_dropping_it() -> None:
    keeping = [
        *(of.Dense(3), of.Activation("relu"), of.ReLU(), of.LeakyReLU(0.1), of.ELU()),
        *(of.Dropout(0.5), of.SpatialDropout1D(0.5), of.GaussianDropout(0.1), of.AlphaDropout(0.1)),
        *(of.GaussianNoise(0.1), of.ActivityRegularization(), of.Identity()),
        *(of.LayerNormalization(), of.BatchNormalization(), of.TimeDistributed(of.Dense(2))),
        *(sequence(), of.Bidirectional(sequence())),
        of.RNN(cell("GRU"), return_sequences=True),
    ]
    dropping = [
        *(of.Conv1D(2, 3), of.MaxPooling1D(2), of.AveragePooling1D(2), of.ZeroPadding1D(1)),
        *(of.Flatten(), of.Reshape((-1,))),
    ]
    x = of.Embedding(VOCABULARY, FEATURES, mask_zero=True)(keras.Input((STEPS,)))
    masks = {layer: getattr(layer(x), "_keras_mask", None) for layer in (*keeping, *dropping)}
    assert [layer for layer, mask in masks.items() if mask is not None] == keeping


def test_the_value_of_padding_is_that_of_float32() -> None:
    start = keras.Input((STEPS, FEATURES))
    model = keras.Model(start, of.LSTM(4)(of.Masking(0.1)(start)))
    batch = np.random.default_rng(2).normal(size=(*REAL.shape, FEATURES))
    batch[~REAL] = np.float32(0.1)
    found = check_equal(model, batch, padded=True)
    assert "mask_value: 0.10000000149011612" in found.spec.document.text


@cases(("make", "wanted"), ALWAYS)
def test_what_the_language_lacks(make: Make, wanted: str) -> None:
    with pytest.raises(ModelError, match=wanted):
        rnnspec.from_keras(model_of(make, masked=False))


@pytest.mark.filterwarnings("ignore:.*destroy the mask")
@cases(("make", "wanted"), MASKED)
def test_a_mask_that_the_language_would_read_otherwise(make: Make, wanted: str) -> None:
    with pytest.raises(ModelError, match=wanted):
        rnnspec.from_keras(model_of(make, masked=True))
