"""The networks in Flax, with nnx.RNN, and cells as functions around jax.lax.scan."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from benchmarks.networks import DIM, FEW_WORDS, UNITS, VOCABULARY

# The layers and the rate of each network.
STACKS = {"stacked_lstm": (3, 0.2), "three_lstm": (3, 0.0)}


class Stack(nnx.Module):  # type: ignore[misc]
    """LSTM layers over embedded tokens, with one mask per sequence before each of them.

    Without a ``vocabulary`` the inputs are features.
    """

    def __init__(
        self,
        layers: int,
        rate: float,
        dim: int = DIM,
        units: int = UNITS,
        vocabulary: int = VOCABULARY,
    ) -> None:
        rngs, widths = nnx.Rngs(0), [dim, *[units] * (layers - 1)]
        self.embedding: Any = nnx.Embed(vocabulary, dim, rngs=rngs) if vocabulary else None
        self.dropouts = nnx.List(
            nnx.Dropout(rate, broadcast_dims=(1,), rngs=rngs) for _ in range(layers)
        )
        self.layers = nnx.List(
            nnx.RNN(nnx.OptimizedLSTMCell(width, units, rngs=rngs)) for width in widths
        )
        self.dense = nnx.Linear(units, 1, rngs=rngs)

    def __call__(self, x: jax.Array, *, logits: bool = False) -> jax.Array:
        x = self.embedding(x) if self.embedding else x
        for dropout, layer in zip(self.dropouts, self.layers, strict=True):
            x = layer(dropout(x))
        x = self.dense(x[:, -1])
        return x if logits else jax.nn.sigmoid(x)

    def step(self, tokens: jax.Array, states: Any) -> Any:
        """Return the output for tokens (batch,), and the new states."""
        x, after = self.embedding(tokens), []
        for layer, state in zip(self.layers, states, strict=True):
            new, x = layer.cell(state, x)
            after.append(new)
        return jax.nn.sigmoid(self.dense(x)), after

    def take(self, arrays: Mapping[str, Any]) -> None:
        """Write canonical arrays into the model."""
        values = {name: jax.numpy.asarray(array) for name, array in arrays.items()}
        if self.embedding:
            self.embedding.embedding.set_value(values["embedding_1.embeddings"])
        for number, layer in enumerate(self.layers, 1):
            # The gates of nnx.OptimizedLSTMCell have the canonical order, and one bias.
            layer.cell.dense_i.kernel.set_value(values[f"lstm_{number}.kernel"])
            layer.cell.dense_h.kernel.set_value(values[f"lstm_{number}.recurrent_kernel"])
            layer.cell.dense_h.bias.set_value(values[f"lstm_{number}.bias"])
        self.dense.kernel.set_value(values["dense_1.kernel"])
        self.dense.bias.set_value(values["dense_1.bias"])


class Around(nnx.Module):  # type: ignore[misc]
    """A network with layers around the recurrent ones; padding is on the right, with token 0."""

    def __init__(self, *, padded: bool) -> None:
        self.padded = padded
        self.rngs = nnx.Rngs(0)
        self.embedding_1 = nnx.Embed(FEW_WORDS, DIM, rngs=self.rngs)

    def linear(self, features: int, units: int, *, use_bias: bool = True) -> nnx.Linear:
        """Return a dense layer."""
        return nnx.Linear(features, units, use_bias=use_bias, rngs=self.rngs)

    def lstm(self, features: int) -> nnx.RNN:
        """Return a recurrent layer, which returns its final state too."""
        cell = nnx.OptimizedLSTMCell(features, UNITS, rngs=self.rngs)
        return nnx.RNN(cell, return_carry=True)

    def both(self, features: int) -> nnx.Bidirectional:
        """Return a bidirectional layer, which returns its final states too."""
        pair = self.lstm(features), self.lstm(features)
        return nnx.Bidirectional(*pair, return_carry=True, rngs=self.rngs)

    def read(self, tokens: jax.Array) -> tuple[jax.Array, jax.Array | None]:
        """Return the vectors of tokens, and True at real steps, (batch, steps, 1), if padded."""
        return self.embedding_1(tokens), jnp.expand_dims(tokens != 0, -1) if self.padded else None

    @staticmethod
    def run(layer: Any, x: jax.Array, real: jax.Array | None) -> tuple[jax.Array, jax.Array]:
        """Return the outputs of a layer, and its final states side by side."""
        lengths = None if real is None else real.sum(axis=(1, 2))
        carry, x = layer(x, seq_lengths=lengths)
        if isinstance(layer, nnx.Bidirectional):
            (_, ahead), (_, back) = carry
            return x, jnp.concatenate([ahead, back], axis=-1)
        return x, carry[1]

    @staticmethod
    def mean(x: jax.Array, real: jax.Array | None) -> jax.Array:
        """Return the mean of the real steps."""
        return x.mean(axis=1, where=real)

    def take(self, arrays: Mapping[str, Any]) -> None:
        """Write canonical arrays into the model."""
        values = {name: jnp.asarray(array) for name, array in arrays.items()}
        for name, value in values.items():
            layer, *place, array = name.split(".")
            module = getattr(self, layer)
            if place:
                module = module.forward_rnn if place == ["forward"] else module.backward_rnn
            if isinstance(module, nnx.RNN):
                # The gates of nnx.OptimizedLSTMCell have the canonical order, and one bias.
                module = module.cell.dense_i if array == "kernel" else module.cell.dense_h
                array = array.removeprefix("recurrent_")
            names = {"embeddings": "embedding", "gamma": "scale", "beta": "bias"}
            names |= {"moving_mean": "mean", "moving_variance": "var"}
            getattr(module, names.get(array, array)).set_value(value)


class ConvNormPool(Around):
    """A convolution, a batch norm and a pool before a bidirectional layer."""

    def __init__(self, *, padded: bool) -> None:
        super().__init__(padded=padded)
        self.conv_1 = nnx.Conv(DIM, UNITS, kernel_size=5, rngs=self.rngs)
        self.batch_norm_1 = nnx.BatchNorm(UNITS, momentum=0.99, epsilon=1e-3, rngs=self.rngs)
        self.bidirectional_1 = self.both(UNITS)
        self.dense_1 = self.linear(2 * UNITS, 1)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x, real = self.read(tokens)
        x = jax.nn.relu(self.conv_1(x if real is None else x * real))
        x = self.batch_norm_1(x, mask=real)
        if real is not None:
            x, real = jnp.where(real, x, -jnp.inf), real[:, 1::2]
        x = nnx.max_pool(x, (2,), strides=(2,))
        if real is not None:
            # A window is padding if its last step is.
            x = jnp.where(real, x, 0)
        return self.dense_1(self.run(self.bidirectional_1, x, real)[1])


class AttentionPooling(Around):
    """The mean of the steps, weighted by a softmax of their scores."""

    def __init__(self, *, padded: bool) -> None:
        super().__init__(padded=padded)
        self.lstm_1 = self.lstm(DIM)
        self.hidden = self.linear(UNITS, UNITS)
        self.query = self.linear(UNITS, 1, use_bias=False)
        self.dense_1 = self.linear(UNITS, 1)

    @property
    def attention_pooling_1(self) -> Any:
        """The canonical arrays of the pooling."""
        parts = {"kernel": self.hidden.kernel, "bias": self.hidden.bias}
        return SimpleNamespace(**parts, query=self.query.kernel)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x, real = self.read(tokens)
        x, _ = self.run(self.lstm_1, x, real)
        scores = self.query(jnp.tanh(self.hidden(x)))
        return self.dense_1((jax.nn.softmax(scores, axis=1, where=real) * x).sum(axis=1))


class ListOfPoolings(Around):
    """The mean, the maximum and the final states of a bidirectional layer, side by side."""

    def __init__(self, *, padded: bool) -> None:
        super().__init__(padded=padded)
        self.bidirectional_1 = self.both(DIM)
        self.dense_1 = self.linear(6 * UNITS, 1)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x, real = self.read(tokens)
        x, state = self.run(self.bidirectional_1, x, real)
        highest = x.max(axis=1, where=real, initial=-jnp.inf)
        return self.dense_1(jnp.concatenate([self.mean(x, real), highest, state], axis=-1))


class TiedOutput(Around):
    """A language model with one matrix for the embedding and the output."""

    def __init__(self, *, padded: bool) -> None:
        super().__init__(padded=padded)
        self.lstm_1 = self.lstm(DIM)
        self.dense_1 = nnx.Dict(bias=nnx.Param(jnp.zeros(FEW_WORDS)))

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x, _ = self.run(self.lstm_1, *self.read(tokens))
        return self.embedding_1.attend(x) + self.dense_1.bias[...]


class TwoHeads(Around):
    """A tag for each step and a topic for the whole sequence."""

    def __init__(self, *, padded: bool) -> None:
        super().__init__(padded=padded)
        self.lstm_1 = self.lstm(DIM)
        self.dense_1, self.dense_2 = self.linear(UNITS, 9), self.linear(UNITS, 5)

    def __call__(self, tokens: jax.Array) -> dict[str, jax.Array]:
        x, real = self.read(tokens)
        x, _ = self.run(self.lstm_1, x, real)
        return {"tags": self.dense_1(x), "topic": self.dense_2(self.mean(x, real))}


class ConcatJoin(Around):
    """A second layer over the vectors and the outputs of the first one."""

    def __init__(self, *, padded: bool) -> None:
        super().__init__(padded=padded)
        self.lstm_1, self.lstm_2 = self.lstm(DIM), self.lstm(DIM + UNITS)
        self.dense_1 = self.linear(UNITS, 1)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        vectors, real = self.read(tokens)
        x, _ = self.run(self.lstm_1, vectors, real)
        x = jnp.concatenate([vectors, x], axis=-1)
        return self.dense_1(self.run(self.lstm_2, x, real)[1])


class DenseLayerNorm(Around):
    """A dense layer with a leaky relu and a layer norm before the recurrent layer."""

    def __init__(self, *, padded: bool) -> None:
        super().__init__(padded=padded)
        self.dense_1 = self.linear(DIM, UNITS)
        self.layer_normalization_1 = nnx.LayerNorm(UNITS, epsilon=1e-3, rngs=self.rngs)
        self.lstm_1 = self.lstm(UNITS)
        self.dense_2 = self.linear(UNITS, 1)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x, real = self.read(tokens)
        x = self.layer_normalization_1(jax.nn.leaky_relu(self.dense_1(x), 0.1))
        return self.dense_2(self.run(self.lstm_1, x, real)[1])


AROUND: dict[str, type[Around]] = {
    "conv_norm_pool": ConvNormPool,
    "attention": AttentionPooling,
    "poolings": ListOfPoolings,
    "tied_output": TiedOutput,
    "two_heads": TwoHeads,
    "concat_join": ConcatJoin,
    "dense_layer_norm": DenseLayerNorm,
}


Arrays = Mapping[str, jax.Array]


def join(arrays: Arrays, letter: str, parts: str) -> jax.Array:
    """Return arrays beside each other, as rows take them from the right."""
    return jnp.concatenate([arrays[f"{letter}_{part}"] for part in parts]).T


def join_peephole_lstm(arrays: Arrays) -> Arrays:
    """Return what the function by hand takes, given the parameters of the equations."""
    joined = {letter: join(arrays, letter, "ifgo") for letter in "WUb"}
    return joined | {name: arrays[name] for name in ("p_i", "p_f", "p_o")}


def peephole_lstm(arrays: Arrays, x: jax.Array) -> jax.Array:
    """Return the last output of the LSTM of Gers, Schraudolph and Schmidhuber (2002)."""

    def step(state: tuple[jax.Array, jax.Array], now: jax.Array) -> Any:
        h, c = state
        i, f, g, o = jnp.split(now + h @ arrays["U"], 4, axis=-1)
        i = jax.nn.sigmoid(i + arrays["p_i"] * c)
        f = jax.nn.sigmoid(f + arrays["p_f"] * c)
        c = f * c + i * jnp.tanh(g)
        h = jax.nn.sigmoid(o + arrays["p_o"] * c) * jnp.tanh(c)
        return (h, c), None

    zeros = jnp.zeros((len(x), len(arrays["U"])))
    (h, _), _ = jax.lax.scan(step, (zeros, zeros), x.swapaxes(0, 1) @ arrays["W"] + arrays["b"])
    return h


def join_mgu(arrays: Arrays) -> Arrays:
    """Return what the function by hand takes, given the parameters of the equations."""
    recurrent = {name: arrays[name].T for name in ("U_f", "U_n")}
    return recurrent | {letter: join(arrays, letter, "fn") for letter in "Wb"}


def mgu(arrays: Arrays, x: jax.Array) -> jax.Array:
    """Return the last output of the minimal gated unit of Zhou et al. (2016)."""

    def step(h: jax.Array, now: jax.Array) -> tuple[jax.Array, None]:
        f, n = jnp.split(now, 2, axis=-1)
        f = jax.nn.sigmoid(f + h @ arrays["U_f"])
        n = jnp.tanh(n + (f * h) @ arrays["U_n"])
        return (1 - f) * h + f * n, None

    zeros = jnp.zeros((len(x), len(arrays["U_f"])))
    return jax.lax.scan(step, zeros, x.swapaxes(0, 1) @ arrays["W"] + arrays["b"])[0]


def join_cornn(arrays: Arrays) -> Arrays:
    """Return what the function by hand takes, given the parameters of the equations."""
    return {name: array.T for name, array in arrays.items()}


def cornn(arrays: Arrays, x: jax.Array) -> jax.Array:
    """Return the last output of the coupled oscillators of Rusch and Mishra (2021)."""

    def step(state: tuple[jax.Array, jax.Array], now: jax.Array) -> Any:
        y, z = state
        force = jnp.tanh(y @ arrays["W"] + z @ arrays["U"] + now)
        z = z + 0.042 * (force - 2.7 * y - 4.7 * z)
        y = y + 0.042 * z
        return (y, z), None

    zeros = jnp.zeros((len(x), len(arrays["b"])))
    (y, _), _ = jax.lax.scan(step, (zeros, zeros), x.swapaxes(0, 1) @ arrays["V"] + arrays["b"])
    return y


CELLS_BY_EQUATION: dict[
    str, tuple[Callable[[Arrays], Arrays], Callable[[Arrays, jax.Array], jax.Array]]
] = {
    "peephole_lstm": (join_peephole_lstm, peephole_lstm),
    "mgu": (join_mgu, mgu),
    "cornn": (join_cornn, cornn),
}
"""For each cell the arrays of a function by hand, made of the parameters, and the function."""
