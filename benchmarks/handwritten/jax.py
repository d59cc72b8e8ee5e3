"""The networks in Flax, with nnx.RNN."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
from flax import nnx

from benchmarks.networks import DIM, UNITS, VOCABULARY

# The layers and the rate of each network.
STACKS = {"stacked_lstm": (3, 0.2), "three_lstm": (3, 0.0)}


class Stack(nnx.Module):  # type: ignore[misc]
    """LSTM layers over embedded tokens, with one mask per sequence before each of them."""

    def __init__(self, layers: int, rate: float) -> None:
        rngs = nnx.Rngs(0)
        self.embedding = nnx.Embed(VOCABULARY, DIM, rngs=rngs)
        self.dropouts = nnx.List(
            nnx.Dropout(rate, broadcast_dims=(1,), rngs=rngs) for _ in range(layers)
        )
        self.layers = nnx.List(
            nnx.RNN(nnx.OptimizedLSTMCell(DIM, UNITS, rngs=rngs)) for _ in range(layers)
        )
        self.dense = nnx.Linear(UNITS, 1, rngs=rngs)

    def __call__(self, x: jax.Array, *, logits: bool = False) -> jax.Array:
        x = self.embedding(x)
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
        self.embedding.embedding.set_value(jax.numpy.asarray(arrays["embedding_1.embeddings"]))
        take_arrays(self.layers, self.dense, arrays)


def take_arrays(layers: Iterable[Any], dense: Any, arrays: Mapping[str, Any]) -> None:
    """Write canonical arrays into LSTM layers and a dense layer."""
    values = {name: jax.numpy.asarray(array) for name, array in arrays.items()}
    for number, layer in enumerate(layers, 1):
        # The gates of nnx.OptimizedLSTMCell have the canonical order, and one bias.
        layer.cell.dense_i.kernel.set_value(values[f"lstm_{number}.kernel"])
        layer.cell.dense_h.kernel.set_value(values[f"lstm_{number}.recurrent_kernel"])
        layer.cell.dense_h.bias.set_value(values[f"lstm_{number}.bias"])
    dense.kernel.set_value(values["dense_1.kernel"])
    dense.bias.set_value(values["dense_1.bias"])
