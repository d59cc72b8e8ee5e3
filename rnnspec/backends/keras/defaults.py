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

_RECURRENT: dict[str, Literal] = {
    "return_state": False,
    "activation": "tanh",
    "use_bias": True,
    "kernel_initializer": "glorot_uniform",
    "recurrent_initializer": "orthogonal",
    "bias_initializer": "zeros",
    "dropout": 0.0,
    "recurrent_dropout": 0.0,
}
_GATED: dict[str, Literal] = {**_RECURRENT, "recurrent_activation": "sigmoid"}

# LayerNormalization is missing on purpose: frameworks differ in epsilon, so it is always written.
DEFAULTS: Mapping[str, Mapping[str, Literal]] = MappingProxyType(
    {
        "Embedding": {"embeddings_initializer": "uniform", "trainable": True, "mask_zero": False},
        "SimpleRNN": _RECURRENT,
        "LSTM": {**_GATED, "unit_forget_bias": True},
        "GRU": {**_GATED, "reset_after": True},
        "Bidirectional": {"merge_mode": "concat"},
        "Dense": {
            "activation": None,
            "use_bias": True,
            "kernel_initializer": "glorot_uniform",
            "bias_initializer": "zeros",
        },
    }
)
