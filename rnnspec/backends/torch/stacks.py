"""Runs of equal recurrent layers that one module of several levels computes.

A backend that has such modules runs this pass over its own copy of the network, and says which
layers a level can be. Nothing is merged in the list of layers: names, shapes and canonical arrays
stay, and each layer of a run is told its level.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rnnspec.ir.nodes import Dropout, Layer, Network, Recurrent, Residual, Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def mark_stacks(network: Network, able: Callable[[Recurrent], bool]) -> Network:
    """Return ``network`` with the layers of each run of two or more told that they are one stack.

    Args:
        network: what lowering made.
        able: tells whether a layer can be a level of a stack at all.
    """
    skipped = {layer.start for layer in network.layers if isinstance(layer, Residual)}
    layers = list(network.layers)
    for run in _runs(network.layers, able, skipped):
        levels = run[:: 2 if isinstance(layers[run[1]], Dropout) else 1]
        between = layers[run[1]]
        rate = between.rate if isinstance(between, Dropout) else 0.0
        name = layers[run[0]].name
        for index in run:
            layer = layers[index]
            if isinstance(layer, Recurrent):
                stack = Stack(
                    name=name, level=levels.index(index), levels=len(levels), dropout=rate
                )
                layers[index] = replace(layer, stack=stack)
            elif isinstance(layer, Dropout):
                layers[index] = replace(layer, stack=name)
    return replace(network, layers=tuple(layers))


def _runs(
    layers: tuple[Layer, ...], able: Callable[[Recurrent], bool], skipped: set[str]
) -> Iterator[list[int]]:
    """Yield the indexes of each run, from its first level to its last, dropout between included."""
    start = 0
    while start < len(layers):
        run = [start]
        while following := _following(layers, run, able, skipped):
            run += following
        if len(run) > 1:
            yield run
        start = run[-1] + 1


def _following(
    layers: tuple[Layer, ...],
    run: list[int],
    able: Callable[[Recurrent], bool],
    skipped: set[str],
) -> list[int]:
    """Return the indexes of the dropout, if any, and of the layer that carry a run on."""
    last, between = run[-1], layers[run[1]] if len(run) > 1 else None
    upper = layers[last]
    dropped = last + 1 < len(layers) and isinstance(layers[last + 1], Dropout)
    following = [last + 1, last + 2] if dropped else [last + 1]
    if following[-1] >= len(layers):
        return []
    lower = layers[following[-1]]
    if not isinstance(upper, Recurrent) or not isinstance(lower, Recurrent):
        return []
    if not (able(upper) and able(lower) and _continues(upper, lower)):
        return []
    # What enters a level, or the dropout before it, is nowhere to be had for a residual.
    if not skipped.isdisjoint(layers[index].name for index in following):
        return []
    if between is not None and _rate(between) != _rate(layers[following[0]]):
        return []
    return following


def _rate(layer: Layer) -> float:
    return layer.rate if isinstance(layer, Dropout) else 0.0


_ALIKE = (
    *("cell", "units", "merge", "bias", "masked"),
    *("kernel_initializer", "recurrent_initializer", "bias_initializer"),
)


def _continues(upper: Recurrent, lower: Recurrent) -> bool:
    """Tell whether ``lower`` computes what another level of ``upper``'s module would."""
    alike = all(getattr(upper, field) == getattr(lower, field) for field in _ALIKE)
    # One mask a sequence stands between no two levels; an order of its own has each direction.
    plain = lower.dropout == 0.0 and (upper.merge is None or upper.dropout == 0.0)
    joined = upper.merge is None or (upper.merge == "concat" and not upper.masked)
    return alike and plain and joined and upper.return_sequences
