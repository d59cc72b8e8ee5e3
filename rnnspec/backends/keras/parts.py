"""The functions above ``build_model`` that a network needs, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.expressions import Part
from rnnspec.backends.keras.forms import pools_masked
from rnnspec.ir.activations import layer_activations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.ir.nodes import Network


def parts(network: Network, *, sets_forget_bias: bool) -> Iterator[Part]:
    """Yield the parts of a network's source."""
    if sets_forget_bias:
        yield _part("set_forget_bias")
    if any("legacy_hard_sigmoid" in layer_activations(layer) for layer in network.layers):
        yield _part("legacy_hard_sigmoid")
    for layer in network.layers:
        if pools_masked(layer):
            yield _part(f"masked_{layer.statistic}")


def _part(name: str) -> Part:
    return Part(f"keras/parts/{name}.py.j2")
