"""What PyTorch's modules take an argument for when it is not given; a test holds it to PyTorch."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from rnnspec.backends.base import Name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.backends.base import Expression

_RECURRENT: dict[str, Expression] = {
    "num_layers": 1,
    "bias": True,
    "batch_first": False,
    "dropout": 0.0,
    "bidirectional": False,
}
_STEPWISE: dict[str, Expression] = {
    "bias": True,
    "activation": Name("torch.tanh"),
    "dropout": 0.0,
    "recurrent_dropout": 0.0,
    "return_sequences": True,
}
_GATED: dict[str, Expression] = {**_STEPWISE, "recurrent_activation": Name("torch.sigmoid")}

DEFAULTS: Mapping[str, Mapping[str, Expression]] = MappingProxyType(
    {
        "nn.RNN": {**_RECURRENT, "nonlinearity": "tanh"},
        "nn.LSTM": _RECURRENT,
        "nn.GRU": _RECURRENT,
        "nn.Linear": {"bias": True},
    }
)
"""PyTorch's own."""

OWN_DEFAULTS: Mapping[str, Mapping[str, Expression]] = MappingProxyType(
    {
        "StepwiseRNN": _STEPWISE,
        "StepwiseLSTM": _GATED,
        "StepwiseGRU": _GATED,
        "StepwiseResetFirstGRU": _GATED,
        "Masked": {"return_sequences": True},
        "Bidirectional": {"dropout": 0.0, "return_sequences": True},
        "MaskedBidirectional": {"dropout": 0.0, "return_sequences": True},
    }
)
"""Those of the classes in the templates' parts."""
