"""Runs of equal recurrent layers that one multi-layer module computes.

The list of layers stays as it is: names, shapes and canonical arrays do not change. Each layer of
a run becomes a ``StackedLayer``, which knows its place in the module. For inference and in step
form, a layer alone is a run too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from rnnspec.ir.nodes import LSTM, Dropout, Layer, Network, Recurrent, Residual

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The place of a layer in a multi-layer module with ``dropout`` between its layers.

    ``index`` counts from 0 at the bottom, ``size`` is the number of layers, and ``name`` is the
    name of the module, which is that of its bottom layer.
    """

    name: str
    index: int
    size: int
    dropout: float

    @property
    def is_top(self) -> bool:
        """True if the output of the layer is the output of the module."""
        return self.index == self.size - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedLayer(Recurrent):
    """A recurrent layer inside a multi-layer module."""

    stack: Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class StockLayer(StackedLayer):
    """A recurrent layer for inference, which PyTorch's own classes compute, with both biases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SteppedLayer(StockLayer):
    """A recurrent layer in step form, whose module returns its outputs and its last states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedDropout(Dropout):
    """A dropout that a multi-layer module applies itself, between two of its layers."""


def stack_of(layer: Layer) -> Stack | None:
    """Return the place of a layer in a multi-layer module, or None if it is a module itself."""
    return layer.stack if isinstance(layer, StackedLayer) else None


def mark_stacks(network: Network, able: Callable[[Recurrent], bool]) -> Network:
    """Return ``network`` with the layers of each run of two or more marked as one stack.

    Args:
        network: a lowered network.
        able: decides whether a layer can be part of a stack at all.
    """
    runs = (run for run in _runs(network, able, _drawn_alike) if len(run) > 1)
    return _marked(network, runs, StackedLayer)


def mark_stock(
    network: Network, able: Callable[[Recurrent], bool], kind: type[StockLayer] = StockLayer
) -> Network:
    """Return ``network``, which has no dropout, with each recurrent layer marked as stock.

    Args:
        network: a lowered network.
        able: decides whether a layer can be part of a stack of several layers.
        kind: the class to mark it with.
    """
    runs = (run for run in _runs(network, able, _alike) if _is_recurrent(network, run))
    return _marked(network, runs, kind)


def _is_recurrent(network: Network, run: list[int]) -> bool:
    return isinstance(network.layers[run[0]], Recurrent)


def _marked(network: Network, runs: Iterable[list[int]], kind: type[StackedLayer]) -> Network:
    layers = list(network.layers)
    for run in runs:
        for index, layer in zip(run, _stacked([layers[index] for index in run], kind), strict=True):
            layers[index] = layer
    return replace(network, layers=tuple(layers))


def _stacked(run: list[Layer], kind: type[StackedLayer]) -> Iterator[Layer]:
    """Yield the layers of a run with their places in it."""
    size = sum(isinstance(layer, Recurrent) for layer in run)
    rate = max((layer.rate for layer in run if isinstance(layer, Dropout)), default=0.0)
    index = 0
    for layer in run:
        # Not asdict, which would turn the cell and the initializers into dicts too.
        values = {field.name: getattr(layer, field.name) for field in fields(layer)}
        if isinstance(layer, Recurrent):
            stack = Stack(name=run[0].name, index=index, size=size, dropout=rate)
            yield kind(**values, stack=stack)
            index += 1
        else:
            yield StackedDropout(**values)


Alike = Callable[[Recurrent, Recurrent], bool]


def _runs(network: Network, able: Callable[[Recurrent], bool], alike: Alike) -> Iterator[list[int]]:
    """Yield the indexes of each run from bottom to top, including the dropout between layers.

    A layer that no other one continues is a run of its own.
    """
    layers = network.layers
    skipped = {layer.start for layer in layers if isinstance(layer, Residual)}

    def fit(upper: Recurrent, lower: Recurrent) -> bool:
        return able(upper) and able(lower) and alike(upper, lower) and _continues(upper, lower)

    start = 0
    while start < len(layers):
        run = [start]
        while following := _following(layers, run, fit, skipped):
            run += following
        yield run
        start = run[-1] + 1


def _following(
    layers: tuple[Layer, ...], run: list[int], fit: Alike, skipped: set[str]
) -> list[int]:
    """Return the indexes of the next layer of a run and the dropout before it, empty at its end."""
    # The second entry of a run shows whether there is dropout between its layers. ``upper`` comes
    # first in the spec, and ``lower`` takes its output.
    last, between = run[-1], layers[run[1]] if len(run) > 1 else None
    upper = layers[last]
    dropped = last + 1 < len(layers) and isinstance(layers[last + 1], Dropout)
    following = [last + 1, last + 2] if dropped else [last + 1]
    if following[-1] >= len(layers):
        return []
    lower = layers[following[-1]]
    if not isinstance(upper, Recurrent) or not isinstance(lower, Recurrent):
        return []
    if not fit(upper, lower):
        return []
    # A residual cannot start inside a fused stack, whose inner inputs are not accessible.
    if not skipped.isdisjoint(layers[index].name for index in following):
        return []
    # A module has one dropout rate for all the places between its layers.
    if between is not None and _rate(between) != _rate(layers[following[0]]):
        return []
    return following


def _rate(layer: Layer) -> float:
    return layer.rate if isinstance(layer, Dropout) else 0.0


_OWN = ("name", "input", "return_sequences", "dropout")
"""Fields that may differ in a module: ``_continues`` checks what PyTorch can honour of them."""
_INITIAL = ("kernel_initializer", "recurrent_initializer", "bias_initializer", "cell")
"""Fields with initial weights, of which a cell has only the forget bias."""


def _alike(upper: Recurrent, lower: Recurrent) -> bool:
    """Return true if the two layers have the same settings, except for their initial weights."""
    cells = [
        replace(layer.cell, forget_bias=0.0) if isinstance(layer.cell, LSTM) else layer.cell
        for layer in (upper, lower)
    ]
    return cells[0] == cells[1] and _equal_but(_OWN + _INITIAL, upper, lower)


def _drawn_alike(upper: Recurrent, lower: Recurrent) -> bool:
    """Return true if the two layers have the same settings, and initial weights drawn alike."""
    return _equal_but(_OWN, upper, lower)


def _equal_but(names: tuple[str, ...], upper: Recurrent, lower: Recurrent) -> bool:
    """Return true if every other field is equal, those of the future included."""
    return replace(lower, **{name: getattr(upper, name) for name in names}) == upper


def _continues(upper: Recurrent, lower: Recurrent) -> bool:
    """Return true if ``lower`` can be one more layer in the module of ``upper``, if it is alike."""
    # A fused stack has no per-sequence dropout between its layers, and with padding each direction
    # has its own order.
    plain = lower.dropout == 0.0 and (upper.merge is None or upper.dropout == 0.0)
    # Inside a module, the next layer gets both directions concatenated.
    joined = upper.merge is None or (upper.merge == "concat" and not upper.masked)
    return plain and joined and upper.return_sequences
