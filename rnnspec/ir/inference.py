"""The part of a network that acts in inference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rnnspec.ir.nodes import Dropout, Layer, Network, Recurrent, Residual


def for_inference(network: Network) -> Network:
    """Return ``network`` without dropout, which does nothing in inference.

    The other layers, their names and their arrays stay as they are.
    """
    # A residual may start at a dropout, whose input is then that of the layer after it.
    start, starts = "", dict[str, str]()
    for layer in reversed(network.layers):
        start = start if isinstance(layer, Dropout) else layer.name
        starts[layer.name] = start
    kept = (layer for layer in network.layers if not isinstance(layer, Dropout))
    return replace(network, layers=tuple(_without_dropout(each, starts) for each in kept))


def _without_dropout(layer: Layer, starts: Mapping[str, str]) -> Layer:
    if isinstance(layer, Residual):
        return replace(layer, start=starts[layer.start])
    if isinstance(layer, Recurrent):
        return replace(layer, dropout=0.0, recurrent_dropout=0.0)
    return layer
