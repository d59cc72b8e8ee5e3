"""The networks in Flax, with nnx.RNN."""

from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx

from benchmarks.networks import DIM, UNITS, VOCABULARY

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
