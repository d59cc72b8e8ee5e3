"""The part of a network that acts in inference."""

from __future__ import annotations

from dataclasses import replace

from rnnspec.ir.nodes import Dropout, Layer, Network, Recurrent


def for_inference(network: Network) -> Network:
    """Return ``network`` without dropout, which does nothing in inference.

    The other layers, their names and their arrays stay as they are.
    """
    kept = (layer for layer in network.layers if not isinstance(layer, Dropout))
    return replace(network, layers=tuple(map(_without_dropout, kept)))


def _without_dropout(layer: Layer) -> Layer:
    if isinstance(layer, Recurrent):
        return replace(layer, dropout=0.0, recurrent_dropout=0.0)
    return layer
