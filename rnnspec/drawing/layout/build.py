"""The layout of a network, from the input upwards."""

from __future__ import annotations

from typing import assert_never

from rnnspec.drawing import words
from rnnspec.drawing.layout import axes, boxes, margin
from rnnspec.drawing.layout.both import draw_both
from rnnspec.drawing.layout.cells import draw_cells
from rnnspec.drawing.layout.drawing import Drawing
from rnnspec.drawing.layout.rows import Hidden, Row, rows
from rnnspec.drawing.options import Options
from rnnspec.drawing.palettes import PALETTES
from rnnspec.drawing.scene import Scene
from rnnspec.ir.nodes import (
    Dense,
    Dropout,
    Embedding,
    Layer,
    LayerNorm,
    Network,
    Normalize,
    Pooling,
    Recurrent,
    Repeat,
    Residual,
)

_MARGIN = 20.0


def scene(network: Network, options: Options) -> Scene:
    """Return the picture of a network.

    Raises:
        UsageError: it has too many rows for a picture.
    """
    shown = rows(network)
    full = options.labels == "full"
    drawing = _begun(network, options, _left(network, shown) if full else 0.0)
    boxes.draw_input(drawing)
    bottom = drawing.canvas.bounds()[3] + 24
    for row in shown:
        _draw(drawing, row)
    boxes.draw_result(drawing)
    margin.write_total(drawing.canvas, words.total(network), bottom)
    left, top, right, low = drawing.canvas.bounds()
    form = "one column for all time steps" if drawing.folded else "unrolled over time"
    return Scene(
        x=left - _MARGIN,
        y=top - _MARGIN,
        width=right - left + 2 * _MARGIN,
        height=low - top + 2 * _MARGIN,
        title=network.name,
        description=words.description(network, f"A recurrent network, {form}"),
        palette=PALETTES[options.theme],
        white=options.background == "white",
        parts=drawing.canvas.parts,
    )


def _begun(network: Network, options: Options, left: float) -> Drawing:
    """Return the empty drawing, with its columns to the right of the margin."""
    is_folded = options.form == "folded"
    both = any(isinstance(each, Recurrent) and each.merge is not None for each in network.layers)
    if is_folded:
        found = axes.folded(network, left + (160 if both else 70))
    else:
        found = axes.axes(network, options, left + (110 if both else 94))
    return Drawing(network, found, labels=options.labels == "full", folded=is_folded)


def _left(network: Network, shown: list[Row]) -> float:
    """Return the right edge of the margin."""
    entries = [
        words.hidden_entry(row.layers) if isinstance(row, Hidden) else words.entry(row)
        for row in shown
    ]
    given = words.input_entry(network.input)
    return margin.LEFT + margin.widest([given, *entries], words.total(network)) + 16


def _draw(drawing: Drawing, row: Row) -> None:
    if isinstance(row, Hidden):
        boxes.draw_hidden(drawing, row)
    else:
        drawing.begin(row.name)
        _draw_layer(drawing, row)


def _draw_layer(drawing: Drawing, row: Layer) -> None:
    match row:
        case Embedding():
            boxes.draw_embedding(drawing, row)
        case Recurrent(merge=None):
            draw_cells(drawing, row)
        case Recurrent():
            draw_both(drawing, row)
        case Repeat():
            boxes.draw_repeat(drawing, row)
        case LayerNorm():
            boxes.draw_norm(drawing, row)
        case Normalize():
            boxes.draw_unit(drawing, row)
        case Residual():
            boxes.draw_residual(drawing, row)
        case Dropout():
            boxes.draw_dropout(drawing, row)
        case Pooling():
            boxes.draw_pooling(drawing, row)
        case Dense():
            boxes.draw_dense(drawing, row)
        case _:
            assert_never(row)
