"""The default arguments of PyTorch's modules; a test compares them with PyTorch."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.backends.expressions import Expression

_RECURRENT: dict[str, Expression] = {
    "num_layers": 1,
    "bias": True,
    "batch_first": False,
    "dropout": 0.0,
    "bidirectional": False,
}

# nn.LayerNorm is missing on purpose: frameworks differ in epsilon, so it is always written.
DEFAULTS: Mapping[str, Mapping[str, Expression]] = MappingProxyType(
    {
        "nn.RNN": {**_RECURRENT, "nonlinearity": "tanh"},
        "nn.LSTM": _RECURRENT,
        "nn.GRU": _RECURRENT,
        "nn.Linear": {"bias": True},
    }
)
