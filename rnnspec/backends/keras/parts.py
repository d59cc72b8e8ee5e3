"""The functions above ``build_model`` that a network needs, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.expressions import Part
from rnnspec.backends.keras.layers import pools_masked
from rnnspec.ir.activations import layer_activations
from rnnspec.ir.nodes import Normalize, Pooling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Network


def parts(network: Network, form: Form, *, sets_forget_bias: bool) -> Iterator[Part]:
    """Yield the parts of a network's source."""
    if sets_forget_bias:
        yield _part("set_forget_bias")
    if any("legacy_hard_sigmoid" in layer_activations(layer) for layer in network.layers):
        yield _part("legacy_hard_sigmoid")
    for layer in network.layers:
        if isinstance(layer, Pooling):
            yield from _pooling(layer, form)
        if isinstance(layer, Normalize):
            yield _part("l2_normalized")


def _pooling(layer: Pooling, form: Form) -> Iterator[Part]:
    if form == "step" and layer.statistic != "last_step":
        yield _part("running_sum")
        yield _part(f"running_{layer.statistic}", masked="yes" if layer.masked else "")
    elif pools_masked(layer):
        yield _part(f"masked_{layer.statistic}")


def _part(name: str, /, **values: str) -> Part:
    return Part(f"keras/parts/{name}.py.j2", tuple(values.items()))
