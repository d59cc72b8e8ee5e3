"""What PyTorch's modules take an argument for when it is not given; a test holds it to PyTorch."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.backends.base import Literal

_RECURRENT: dict[str, Literal] = {"bias": True, "batch_first": False, "bidirectional": False}

DEFAULTS: Mapping[str, Mapping[str, Literal]] = MappingProxyType(
    {
        "nn.RNN": _RECURRENT,
        "nn.LSTM": _RECURRENT,
        "nn.GRU": _RECURRENT,
        "nn.Linear": {"bias": True},
    }
)
