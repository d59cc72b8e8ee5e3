"""The networks in Keras."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from benchmarks.networks import (
    CELLS,
    DIM,
    FEW_STEPS,
    FEW_WORDS,
    SEQUENTIAL,
    STEPS,
    UNITS,
    VOCABULARY,
)

DEPTH, RATE = 3, 0.2
Array = NDArray[Any]
Arrays = dict[str, Array]


def stacked_lstm(*, padded: bool) -> keras.Model:
    """Return the textbook model, with one layer after another."""
    between = (layers.LSTM(UNITS, return_sequences=True, dropout=RATE) for _ in range(DEPTH - 1))
    return _model([*between, layers.LSTM(UNITS, dropout=RATE)], padded=padded)


def stacked_cells(*, padded: bool) -> keras.Model:
    """Return the model with a single loop over time for all three cells."""
    cells = [layers.LSTMCell(UNITS, dropout=RATE) for _ in range(DEPTH)]
    return _model([layers.RNN(cells)], padded=padded)


def standard_rnn(*, padded: bool) -> keras.Model:
    """Return the model with a simple recurrent layer."""
    return _model([layers.SimpleRNN(UNITS)], padded=padded)


def bidirectional_lstm(*, padded: bool) -> keras.Model:
    """Return the model with a bidirectional layer."""
    return _model([layers.Bidirectional(layers.LSTM(UNITS, dropout=RATE))], padded=padded)


def _model(recurrent: Iterable[keras.Layer], *, padded: bool) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((STEPS,), dtype="int32"),
            # A mask costs time in every layer, so only padded batches get one.
            layers.Embedding(VOCABULARY, DIM, mask_zero=padded),
            *recurrent,
            layers.Dense(1, activation="sigmoid"),
        ]
    )


MODELS: dict[str, dict[str, Callable[..., keras.Model]]] = {
    "stacked_lstm": {SEQUENTIAL: stacked_lstm, CELLS: stacked_cells},
    "standard_rnn": {SEQUENTIAL: standard_rnn},
    "bidirectional_lstm": {SEQUENTIAL: bidirectional_lstm},
}


class TiedOutput(layers.Layer):  # type: ignore[misc]
    """An output layer with the matrix of an embedding."""

    def __init__(self, embedding: keras.Layer) -> None:
        super().__init__()
        self.embedding = embedding
        self.bias = self.add_weight(shape=(FEW_WORDS,), initializer="zeros")

    def call(self, x: Any) -> Any:
        """Return the logits."""
        return ops.matmul(x, ops.transpose(self.embedding.embeddings)) + self.bias


def _mean(x: Any, real: Any) -> Any:
    if real is None:
        return layers.GlobalAveragePooling1D()(x)
    # GlobalAveragePooling1D takes a mask, and would return nan for padding alone.
    return layers.GlobalAveragePooling1D()(x, mask=ops.squeeze(real, -1))


def _fill(x: Any, real: Any, value: float) -> Any:
    """Return ``x`` with another value at padded steps."""
    return x if real is None else ops.where(real, x, value)


def conv_norm_pool(x: Any, real: Any, _: Any) -> Any:
    """Return the output of a convolution, a batch norm and a pool before a bidirectional layer."""
    mask: Any = None if real is None else ops.squeeze(real, -1)
    x = layers.Conv1D(UNITS, 5, padding="same", activation="relu")(_fill(x, real, 0))
    x = layers.BatchNormalization(momentum=0.99, epsilon=1e-3)(x, mask=mask)
    x = layers.MaxPooling1D(2)(_fill(x, real, -1e9))
    if real is not None:
        # A window is padding if its last step is.
        mask = mask[:, 1::2]
    return layers.Dense(1)(layers.Bidirectional(layers.LSTM(UNITS))(x, mask=mask))


def attention(x: Any, real: Any, _: Any) -> Any:
    """Return the output of the mean of the steps, weighted by a softmax of their scores."""
    x = layers.LSTM(UNITS, return_sequences=True)(x)
    scores = layers.Dense(UNITS, activation="tanh")(x)
    scores = layers.Dense(1, use_bias=False)(scores)
    weights = layers.Softmax(axis=1)(_fill(scores, real, -1e9))
    return layers.Dense(1)(ops.sum(weights * x, axis=1))


def poolings(x: Any, real: Any, _: Any) -> Any:
    """Return the output of the mean, the maximum and the final states of a bidirectional layer."""
    layer = layers.Bidirectional(layers.LSTM(UNITS, return_sequences=True, return_state=True))
    x, ahead, _, back, _ = layer(x)
    highest = layers.GlobalMaxPooling1D()(_fill(x, real, -1e9))
    return layers.Dense(1)(layers.Concatenate()([_mean(x, real), highest, ahead, back]))


def tied_output(x: Any, _: Any, embedding: keras.Layer) -> Any:
    """Return the output of a language model with one matrix."""
    return TiedOutput(embedding)(layers.LSTM(UNITS, return_sequences=True)(x))


def two_heads(x: Any, real: Any, _: Any) -> Any:
    """Return a tag for each step and a topic for the whole sequence."""
    x = layers.LSTM(UNITS, return_sequences=True)(x)
    return {"tags": layers.Dense(9)(x), "topic": layers.Dense(5)(_mean(x, real))}


def concat_join(x: Any, *_: Any) -> Any:
    """Return the output of a layer over the vectors and the outputs of the first one."""
    first = layers.LSTM(UNITS, return_sequences=True)(x)
    return layers.Dense(1)(layers.LSTM(UNITS)(layers.Concatenate()([x, first])))


def dense_layer_norm(x: Any, *_: Any) -> Any:
    """Return the output of a dense layer and a layer norm before the recurrent layer."""
    x = layers.LeakyReLU(0.1)(layers.Dense(UNITS)(x))
    return layers.Dense(1)(layers.LSTM(UNITS)(layers.LayerNormalization(epsilon=1e-3)(x)))


_AROUND = (
    conv_norm_pool, attention, poolings, tied_output, two_heads, concat_join, dense_layer_norm
)  # fmt: skip


def around(network: str, *, padded: bool) -> keras.Model:
    """Return a network with layers around the recurrent ones; padding is token 0."""
    build = {build.__name__: build for build in _AROUND}[network]
    inputs = keras.Input((FEW_STEPS,), dtype="int32")
    embedding = layers.Embedding(FEW_WORDS, DIM, mask_zero=padded)
    real = ops.expand_dims(ops.not_equal(inputs, 0), -1) if padded else None
    return keras.Model(inputs, build(embedding(inputs), real, embedding))


class Cells(keras.Model):  # type: ignore[misc]
    """The founding stack as cells, for one step at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = layers.Embedding(VOCABULARY, DIM)
        self.cells = [layers.LSTMCell(UNITS) for _ in range(DEPTH)]
        self.head = layers.Dense(1, activation="sigmoid")

    def call(self, inputs: tuple[Any, Any]) -> tuple[Any, Any]:
        """Return the output for tokens (batch,), and the new states."""
        tokens, states = inputs
        x, after = self.embedding(tokens), []
        for cell, state in zip(self.cells, states, strict=True):
            x, new = cell(x, state)
            after.append(new)
        return self.head(x), after


class PeepholeLSTMCell(layers.Layer):  # type: ignore[misc]
    """An LSTM with peepholes, whose gates are one product."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.units = units
        self.state_size = [units, units]

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Make the arrays."""
        self.kernel = self.add_weight(shape=(input_shape[-1], 4 * self.units))
        self.recurrent_kernel = self.add_weight(shape=(self.units, 4 * self.units))
        self.bias = self.add_weight(shape=(4 * self.units,))
        self.p_i = self.add_weight(shape=(self.units,))
        self.p_f = self.add_weight(shape=(self.units,))
        self.p_o = self.add_weight(shape=(self.units,))

    def call(self, inputs: Any, states: Any) -> Any:
        """Return the output and the states after a step."""
        h, c = states
        z = ops.matmul(inputs, self.kernel)
        z = z + ops.matmul(h, self.recurrent_kernel) + self.bias
        i, f, g, o = ops.split(z, 4, axis=-1)
        i = ops.sigmoid(i + self.p_i * c)
        f = ops.sigmoid(f + self.p_f * c)
        c = f * c + i * ops.tanh(g)
        o = ops.sigmoid(o + self.p_o * c)
        h = o * ops.tanh(c)
        return h, [h, c]

    @staticmethod
    def joined(arrays: Arrays) -> list[Array]:
        """Return the arrays of the cell, given the parameters of the equations."""
        parts = [
            np.concatenate([arrays[f"{name}_{gate}"] for gate in "ifgo"], -1) for name in "WUb"
        ]
        return [*parts, *(arrays[f"p_{gate}"] for gate in "ifo")]


class MGUCell(layers.Layer):  # type: ignore[misc]
    """A minimal gated unit."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.units = units
        self.state_size = units

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Make the arrays."""
        self.kernel = self.add_weight(shape=(input_shape[-1], 2 * self.units))
        self.gate_kernel = self.add_weight(shape=(self.units, self.units))
        self.candidate_kernel = self.add_weight(shape=(self.units, self.units))
        self.bias = self.add_weight(shape=(2 * self.units,))

    def call(self, inputs: Any, states: Any) -> Any:
        """Return the output and the state after a step."""
        h = states[0]
        f, n = ops.split(ops.matmul(inputs, self.kernel) + self.bias, 2, axis=-1)
        f = ops.sigmoid(f + ops.matmul(h, self.gate_kernel))
        n = ops.tanh(n + ops.matmul(f * h, self.candidate_kernel))
        h = (1 - f) * h + f * n
        return h, [h]

    @staticmethod
    def joined(arrays: Arrays) -> list[Array]:
        """Return the arrays of the cell, given the parameters of the equations."""
        kernel, bias = (np.concatenate([arrays[f"{n}_f"], arrays[f"{n}_n"]], -1) for n in "Wb")
        return [kernel, arrays["U_f"], arrays["U_n"], bias]


class CoRNNCell(layers.Layer):  # type: ignore[misc]
    """Coupled oscillators."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.units = units
        self.state_size = [units, units]

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Make the arrays."""
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units))
        self.place_kernel = self.add_weight(shape=(self.units, self.units))
        self.speed_kernel = self.add_weight(shape=(self.units, self.units))
        self.bias = self.add_weight(shape=(self.units,))

    def call(self, inputs: Any, states: Any) -> Any:
        """Return the output and the states after a step."""
        y, z = states
        force = ops.matmul(inputs, self.kernel) + self.bias
        force = force + ops.matmul(y, self.place_kernel)
        force = ops.tanh(force + ops.matmul(z, self.speed_kernel))
        z = z + 0.042 * (force - 2.7 * y - 4.7 * z)
        y = y + 0.042 * z
        return y, [y, z]

    @staticmethod
    def joined(arrays: Arrays) -> list[Array]:
        """Return the arrays of the cell, given the parameters of the equations."""
        return [arrays[name] for name in ("V", "W", "U", "b")]


CELLS_BY_EQUATION: dict[str, Callable[[int], layers.Layer]] = {
    "peephole_lstm": lambda units: layers.RNN(PeepholeLSTMCell(units)),
    "mgu": lambda units: layers.RNN(MGUCell(units)),
    "cornn": lambda units: layers.RNN(CoRNNCell(units)),
}
"""The cells of ``benchmarks.cells``, as a person writes them."""
