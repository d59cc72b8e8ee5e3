"""The layout of a network, row by row from the input upwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from math import ceil
from typing import assert_never

from rnnspec.drawing import words
from rnnspec.drawing.layout.cells import draw_both_ways, draw_one_way
from rnnspec.drawing.layout.drawing import (
    SPACE,
    Drawing,
    Port,
    box,
    dots,
    fits,
    label,
    pill,
    variable,
)
from rnnspec.drawing.layout.grid import Column, Hidden, axes, rows
from rnnspec.drawing.options import Options
from rnnspec.drawing.scene import DARK, PALETTES, Box, Disc, Line, Role, Scene, Shape
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
    TokenInput,
)

_MARGIN = 16.0


@dataclass(frozen=True, slots=True)
class _Node:
    """The node of a layer in each column: its half height and width, and the gap below it.

    One that is ``everywhere`` stands at padded steps too, where no arrow reaches it.
    """

    half: float
    half_width: float
    gap: float
    draw: Callable[[Column, float], tuple[Shape, ...]]
    everywhere: bool = False


_DENSE = _Node(
    15, 42, 44,
    lambda column, y: box(column.x, y, "Dense", "padding" if column.padded else "head"),
    everywhere=True,
)  # fmt: skip
_NORM = _Node(
    9, 42, 32,
    lambda column, y: (
        Box(x=column.x, y=y, width=84, height=18, radius=5, role="plain"),
        label(column.x, y, "norm", "plain", 11),
    ),
)  # fmt: skip
_DIVISION = _Node(13, 42, 40, lambda column, y: pill(column.x, y, "÷ norm"))
_SUM = _Node(
    10, 10, 33,
    lambda column, y: (
        Disc(x=column.x, y=y, radius=10, role="plain"),
        label(column.x, y, "+", "plain", 15),
    ),
)  # fmt: skip
_DOTS = _Node(14, 4, 30, lambda column, y: tuple(dots(column.x, y, upright=True)))


def scene(network: Network, options: Options) -> Scene:
    """Return the picture of a network.

    Raises:
        UsageError: it has too many rows for a picture.
    """
    labels, folded = options.labels == "full", options.form == "folded"
    drawing = Drawing(network, axes(network, options), labels=labels, folded=folded)
    _draw_input(drawing)
    for row in rows(network):
        if isinstance(row, Hidden):
            _draw_hidden(drawing, row)
        else:
            drawing.begin(row.name)
            _draw_layer(drawing, row)
    _draw_result(drawing)
    bottom = drawing.canvas.bounds()[3] + 24
    if any(isinstance(layer, Recurrent) and layer.merge is not None for layer in network.layers):
        drawing.write_legend(bottom + 19)
    drawing.write_margin(words.total(network), bottom)
    left, top, right, low = drawing.canvas.bounds()
    form = "one column for all time steps" if folded else "unrolled over time"
    return Scene(
        x=left - _MARGIN,
        y=top - _MARGIN,
        # Whole pixels: the last row and column of a PNG would be half transparent.
        width=ceil(right - left + 2 * _MARGIN),
        height=ceil(low - top + 2 * _MARGIN),
        title=network.name,
        description=words.description(network, f"A recurrent network, {form}"),
        palette=PALETTES[options.theme],
        dark=DARK if options.theme == "auto" else None,
        has_ground=options.background == "white",
        parts=drawing.canvas.parts,
    )


def _draw_layer(drawing: Drawing, layer: Layer) -> None:
    match layer:
        case Embedding():
            _draw_embedding(drawing, layer)
        case Recurrent(merge=None):
            draw_one_way(drawing, layer)
        case Recurrent():
            draw_both_ways(drawing, layer)
        case Repeat():
            _draw_repeat(drawing, layer)
        case LayerNorm():
            _draw_nodes(drawing, layer.name, words.entry(layer), _NORM)
        case Normalize():
            _draw_nodes(drawing, layer.name, words.entry(layer), _DIVISION)
        case Residual():
            _draw_residual(drawing, layer)
        case Dropout():
            # A layer of its own: the arrows through its row are dashed.
            drawing.floor = drawing.place(10, 16, words.entry(layer)) - 10
            drawing.drop(layer)
        case Pooling():
            _draw_pooling(drawing, layer)
        case Dense():
            _draw_nodes(drawing, layer.name, words.entry(layer), _DENSE)
        case _:
            assert_never(layer)


def _draw_input(drawing: Drawing) -> None:
    """Draw a token or a vector of features at each step."""
    node, first = drawing.network.input, drawing.network.layers[0]
    tokens = isinstance(node, TokenInput)
    # Wide enough for two straight arrows to the two directions.
    wide = isinstance(first, Recurrent) and first.merge is not None and not drawing.folded
    half = 19.0 if tokens else 17.0
    y = drawing.place(half, 0.0, words.input_entry(node))
    ports: list[Port | None] = []
    for column in drawing.columns:
        width = max(_circle_width(column), 0.0 if tokens else 84.0 if wide else 40.0)
        shapes = _variable(column, y, "x", width, is_round=tokens)
        name = drawing.canvas.node("input", column, *shapes)
        # Padded tokens have an embedding; padded vectors go nowhere.
        goes = tokens or not column.padded
        ports.append(Port(column.x, y - half, name, width / 2) if goes else None)
    _draw_ellipsis(drawing, "input", y)
    drawing.complete_row(ports, y - half)


def _circle_width(column: Column) -> float:
    """Return the width of the circle around a variable; wider than 38, it is a pill."""
    index = "" if column.padded else column.step
    return 38.0 if len(index) < 3 else 22 + 7.5 * len(index)


def _variable(
    column: Column, y: float, letter: str, width: float, *, is_round: bool
) -> tuple[Shape, ...]:
    """Return the input or the result at one step."""
    role: Role = "padding" if column.padded else "plain"
    x, dashed = column.x, column.padded
    frame: Shape = Disc(x=x, y=y, radius=19, role=role, dashed=dashed)
    if not is_round or width != 38.0:
        high, radius = (38.0, 19.0) if is_round else (34.0, 5.0)
        frame = Box(x=x, y=y, width=width, height=high, radius=radius, role=role, dashed=dashed)
    if column.padded:
        return frame, label(x, y, "pad", "grey")
    return frame, *variable((x, y), letter, column.step, 18)


def _draw_embedding(drawing: Drawing, layer: Embedding) -> None:
    """Draw the embedding at each step."""
    y = drawing.place(15, 40, words.entry(layer))
    ports = []
    for column, port in zip(drawing.columns, drawing.ports, strict=True):
        hollow = column.padded and layer.masked
        shapes = box(column.x, y, "Embedding", "padding" if hollow else "embedding")
        name = drawing.canvas.node(layer.name, column, *shapes)
        if port and hollow:
            points = ((column.x, port.y - SPACE), (column.x, y + 15 + SPACE))
            arrow = Line(points=points, role="padding")
            drawing.canvas.edge(port.node, name, arrow)
        elif port:
            drawing.rise(port, name, (column.x, y + 15))
        ports.append(None if hollow else Port(column.x, y - 15, name, 42))
    drawing.write_notes(layer.name, y + 15)
    _draw_ellipsis(drawing, layer.name, y)
    drawing.complete_row(ports, y - 15)


def _draw_residual(drawing: Drawing, layer: Residual) -> None:
    """Draw a sum at each step, and the way round the layers between."""
    route = drawing.route
    y = _draw_nodes(drawing, layer.name, words.entry(layer), _SUM)
    for start, column in zip(drawing.branches[layer.start], drawing.columns, strict=True):
        if start is not None and start.via is not None:
            right = column.x + route
            points = ((start.x, start.via), (right, start.via), (right, y), (column.x + 11.5, y))
            line = Line(points=points, cased=True)
            drawing.canvas.edge(start.node, column.name(layer.name), line, kind="residual")
    drawing.route = 0.0


def _draw_pooling(drawing: Drawing, layer: Pooling) -> None:
    """Draw a statistic over the steps, which no arrow from a padded or unused step reaches."""
    y = drawing.place(13, 44, words.entry(layer))
    if layer.statistic == "last_step":
        unused: list[Port | None] = [None] * (len(drawing.ports) - 1)
        drawing.complete_row([*unused, *drawing.ports[-1:]], drawing.top)
        drawing.columns = drawing.columns[-1:]
    first, last = drawing.columns[0], drawing.columns[-1]
    wide, x = last.x - first.x + 84, (first.x + last.x) / 2
    long, short = words.kind(layer), layer.statistic.replace("_", " ")
    content = next((text for text in (long, long[:19]) if fits(text, wide)), short)
    name = drawing.canvas.node(layer.name, Column(x, ""), *pill(x, y, content, wide))
    _rise_all(drawing, layer, name, y + 13)
    drawing.to_vector(x, Port(x, y - 13, name, wide / 2), y - 13)


def _draw_repeat(drawing: Drawing, layer: Repeat) -> None:
    """Draw the repeat of a vector across the width, and go on with a new time axis."""
    y = drawing.place(13, 48, words.entry(layer))
    drawing.axes.pop(0)
    axis = drawing.axes[0]
    below = [port.x for port in drawing.ports if port]
    edges = [*below, *(column.x for column in axis.columns)]
    left, right = min(edges) - 50, max(edges) + 50
    x, wide = (left + right) / 2, right - left
    shapes = pill(x, y, f"repeat × {layer.steps:,}", wide)
    name = drawing.canvas.node(layer.name, Column(x, ""), *shapes)
    _rise_all(drawing, layer, name, y + 13)
    drawing.axis, drawing.columns = axis, axis.columns
    drawing.complete_row([Port(column.x, y - 13, name, 50) for column in axis.columns], y - 13)


def _rise_all(drawing: Drawing, layer: Layer, name: str, bottom: float) -> None:
    for port in drawing.ports:
        if port:
            drawing.rise(port, name, (port.x, bottom))
    drawing.write_notes(layer.name, bottom)


def _draw_hidden(drawing: Drawing, hidden: Hidden) -> None:
    """Draw dots for layers that are alike; the dropout before the first of them is drawn."""
    dropouts = list(takewhile(lambda layer: isinstance(layer, Dropout), hidden.layers))
    for layer in (*dropouts, hidden.layers[len(dropouts)]):
        if isinstance(layer, Dropout | Recurrent):
            drawing.drop(layer)
    name = f"{hidden.layers[0].name}..{hidden.layers[-1].name}"
    _draw_nodes(drawing, name, words.hidden_entry(hidden.layers), _DOTS, ellipsis=False)


def _draw_result(drawing: Drawing) -> None:
    """Draw the result: one vector, or one at each step."""
    y = drawing.place(19, 38, words.Entry(drawing.network.name))
    for column, port in zip(drawing.columns, drawing.ports, strict=True):
        shapes = _variable(column, y, "ŷ", _circle_width(column), is_round=True)
        name = drawing.canvas.node("output", column, *shapes)
        if port:
            drawing.rise(port, name, (column.x, y + 19))
    drawing.write_notes("output", y + 19)
    _draw_ellipsis(drawing, "output", y)


def _draw_nodes(
    drawing: Drawing, layer: str, entry: words.Entry, node: _Node, *, ellipsis: bool = True
) -> float:
    """Draw a node for each arrow, go on above them, and return their height."""
    y = drawing.place(node.half, node.gap, entry)
    ports: list[Port | None] = []
    for column, port in zip(drawing.columns, drawing.ports, strict=True):
        if port is None and not (node.everywhere and column.padded):
            ports.append(None)
            continue
        name = drawing.canvas.node(layer, column, *node.draw(column, y))
        if port:
            drawing.rise(port, name, (column.x, y + node.half))
        ports.append(port and Port(column.x, y - node.half, name, node.half_width))
    drawing.write_notes(layer, y + node.half)
    if ellipsis:
        _draw_ellipsis(drawing, layer, y)
    drawing.complete_row(ports, y - node.half)
    return y


def _draw_ellipsis(drawing: Drawing, layer: str, y: float) -> None:
    """Draw dots for the steps that are left out."""
    if drawing.axis and drawing.axis.dots is not None:
        drawing.canvas.marks(layer, *dots(drawing.axis.dots, y))
