"""The rows of a picture: every layer, or one row of dots for many layers that are alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from rnnspec.errors import UsageError
from rnnspec.ir.nodes import Dropout, Layer, LayerNorm, Network, Recurrent, Residual

MOST_ALIKE = 6
"""The longest run of equal blocks that is drawn in full."""
MOST_ROWS = 60
"""The largest number of rows of a picture."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """Layers that are alike, in the middle of a run: dots stand for them."""

    layers: tuple[Layer, ...]


Row = Layer | Hidden
Block = tuple[Layer, ...]


def rows(network: Network) -> list[Row]:
    """Return the rows from the input upwards.

    Raises:
        UsageError: there are too many for a picture.
    """
    found: list[Row] = []
    for _, run in groupby(_blocks(network.layers), _content):
        found += _rows_to_show(list(run))
    if len(found) > MOST_ROWS:
        raise UsageError(
            f"{network.name} has {len(found)} rows to draw, expected at most {MOST_ROWS}; "
            "'rnnspec summary' prints them as a table"
        )
    return found


def _rows_to_show(run: Sequence[Block]) -> list[Row]:
    """Return the layers of equal blocks, or of the first and the last with dots between them."""
    if len(run) <= MOST_ALIKE:
        return [layer for block in run for layer in block]
    inner = tuple(layer for block in run[1:-1] for layer in block)
    return [*run[0], Hidden(inner), *run[-1]]


def _blocks(layers: Sequence[Layer]) -> Iterator[Block]:
    """Yield each layer with the dropout before it, its layer norm and its residual."""
    block: list[Layer] = []
    for layer in layers:
        belongs = isinstance(layer, LayerNorm | Residual)
        if not belongs and any(not isinstance(each, Dropout) for each in block):
            yield tuple(block)
            block = []
        block.append(layer)
    if block:
        yield tuple(block)


def _content(block: Block) -> list[Layer]:
    """Return what blocks that are alike have in common."""
    return [_anonymous(layer) for layer in block]


def _anonymous(layer: Layer) -> Layer:
    match layer:
        case Recurrent():
            return replace(layer, name="", input=(), return_sequences=True)
        case Residual():
            return replace(layer, name="", input=(), start="")
        case _:
            return replace(layer, name="", input=())
