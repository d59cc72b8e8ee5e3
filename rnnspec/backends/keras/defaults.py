"""The default arguments of Keras's layers.

An argument equal to its default is left out of the source. A test compares the table with the
signatures of the installed Keras.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.source.code import Literal

_CELL: dict[str, Literal] = {
    "activation": "tanh",
    "use_bias": True,
    "kernel_initializer": "glorot_uniform",
    "recurrent_initializer": "orthogonal",
    "bias_initializer": "zeros",
    "dropout": 0.0,
    "recurrent_dropout": 0.0,
}
_GATED_CELL: dict[str, Literal] = {**_CELL, "recurrent_activation": "sigmoid"}
_LAYER: dict[str, Literal] = {"return_state": False, "go_backwards": False}
_EMBEDDING: dict[str, Literal] = {
    "embeddings_initializer": "uniform",
    "trainable": True,
    "mask_zero": False,
}
_DENSE: dict[str, Literal] = {
    "activation": None,
    "use_bias": True,
    "kernel_initializer": "glorot_uniform",
    "bias_initializer": "zeros",
}
_NORM: dict[str, Literal] = {"scale": True, "center": True}
_POOLING: dict[str, Literal] = {"strides": None, "padding": "valid"}

# Of norms, frameworks differ in epsilon and momentum, so both are always written. So is the slope
# of LeakyReLU.
DEFAULTS: Mapping[str, Mapping[str, Literal]] = MappingProxyType(
    {
        "LayerNormalization": _NORM,
        "BatchNormalization": _NORM,
        "Embedding": _EMBEDDING,
        "ReversibleEmbedding": _EMBEDDING,
        "SimpleRNN": _LAYER | _CELL,
        "SimpleRNNCell": _CELL,
        "LSTM": {**_LAYER, **_GATED_CELL, "unit_forget_bias": True},
        "LSTMCell": {**_GATED_CELL, "unit_forget_bias": True},
        "GRU": {**_LAYER, **_GATED_CELL, "reset_after": True},
        "GRUCell": {**_GATED_CELL, "reset_after": True},
        "Bidirectional": {"merge_mode": "concat"},
        "Attention": {"use_scale": False, "score_mode": "dot", "dropout": 0.0},
        "Dense": _DENSE,
        "EinsumDense": {name: _DENSE[name] for name in ("kernel_initializer", "bias_initializer")},
        "Conv1D": {**_DENSE, "strides": 1, "padding": "valid", "dilation_rate": 1},
        "MaxPooling1D": _POOLING,
        "AveragePooling1D": _POOLING,
    }
)
