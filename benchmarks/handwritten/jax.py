"""The networks in Flax, as an expert would write them by hand with nnx.RNN."""

from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx

VOCABULARY, DIM, UNITS = 10_000, 32, 32
# The layers and the rate of each network.
_STACKS = {"stacked_lstm": (3, 0.2), "three_lstm": (3, 0.0)}


class Stack(nnx.Module):  # type: ignore[misc]
    """LSTM layers over embedded tokens, with one mask per sequence before each of them."""

    def __init__(self, layers: int, rate: float, *, rngs: nnx.Rngs) -> None:
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

    def take(self, arrays: Mapping[str, Any]) -> None:
        """Write canonical arrays into the model."""
        self.embedding.embedding.set_value(arrays["embedding_1.embeddings"])
        for number, layer in enumerate(self.layers, 1):
            # The gates of nnx.OptimizedLSTMCell have the canonical order, and one bias.
            layer.cell.dense_i.kernel.set_value(arrays[f"lstm_{number}.kernel"])
            layer.cell.dense_h.kernel.set_value(arrays[f"lstm_{number}.recurrent_kernel"])
            layer.cell.dense_h.bias.set_value(arrays[f"lstm_{number}.bias"])
        self.dense.kernel.set_value(arrays["dense_1.kernel"])
        self.dense.bias.set_value(arrays["dense_1.bias"])


def stack(network: str) -> Stack | None:
    """Return the model of a network, None if it is no stack of LSTM layers."""
    if network not in _STACKS:
        return None
    layers, rate = _STACKS[network]
    return Stack(layers, rate, rngs=nnx.Rngs(0))
