"""The default arguments of Flax's modules; a test compares them with Flax."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.backends.expressions import Expression

# nnx.LayerNorm is missing on purpose: its variance and epsilon are always written.
DEFAULTS: Mapping[str, Mapping[str, Expression]] = MappingProxyType(
    {"nnx.Linear": {"use_bias": True}}
)
