"""The part of a network that acts in inference."""

from __future__ import annotations

from dataclasses import replace

from rnnspec.ir.nodes import Dropout, Layer, Network, Recurrent, Residual


def for_inference(network: Network) -> Network:
    """Return ``network`` without dropout, which does nothing in inference.

    The other layers, their names and their arrays stay as they are.
    """
    kept, begins = list[Layer](), dict[str, str]()
    waiting = list[str]()
    for layer in network.layers:
        waiting.append(layer.name)
        if not isinstance(layer, Dropout):
            # A residual that starts at a dropout starts at the layer after it.
            begins |= dict.fromkeys(waiting, layer.name)
            waiting.clear()
            kept.append(_plain(layer, begins))
    return replace(network, layers=tuple(kept))


def _plain(layer: Layer, begins: dict[str, str]) -> Layer:
    if isinstance(layer, Recurrent):
        return replace(layer, dropout=0.0, recurrent_dropout=0.0)
    if isinstance(layer, Residual):
        return replace(layer, start=begins.get(layer.start, layer.start))
    return layer
