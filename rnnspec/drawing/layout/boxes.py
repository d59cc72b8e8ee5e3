"""Every row but the recurrent ones: input, embedding, norm, sum, pooling, repeat, dense, result."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile

from rnnspec.drawing import words
from rnnspec.drawing.layout.axes import Column
from rnnspec.drawing.layout.canvas import (
    box,
    circle_width,
    dots,
    fits,
    label,
    pill,
    straight,
    variable,
)
from rnnspec.drawing.layout.drawing import Drawing, Port
from rnnspec.drawing.layout.rows import Hidden
from rnnspec.drawing.scene import Box, Disc, Line, Role, Shape
from rnnspec.ir.nodes import (
    Dense,
    Dropout,
    Embedding,
    Layer,
    LayerNorm,
    Normalize,
    Pooling,
    Recurrent,
    Repeat,
    Residual,
    TokenInput,
)

Draw = Callable[[Column], tuple[Shape, ...]]


def draw_input(drawing: Drawing) -> None:
    """Draw a token or a vector of features at each step."""
    given, first = drawing.network.input, drawing.network.layers[0]
    tokens = isinstance(given, TokenInput)
    # Wide enough for two straight arrows to the two directions.
    wide = isinstance(first, Recurrent) and first.merge is not None and not drawing.folded
    half = 19.0 if tokens else 17.0
    y = drawing.place(half, 0.0, words.input_entry(given))
    ports: list[Port | None] = []
    for column in drawing.columns:
        index = "" if column.padded else column.step
        width = max(circle_width(index), 0.0 if tokens else 84.0 if wide else 40.0)
        shapes = (_frame(column, y, width, round_=tokens), *_content(column, y, "x"))
        name = drawing.canvas.node("input", column, *shapes)
        # Padded tokens have an embedding; padded vectors go nowhere.
        goes = tokens or not column.padded
        ports.append(Port(column.x, y - half, name, width / 2) if goes else None)
    _ellipsis(drawing, "input", y)
    drawing.raised(ports, y - half)


def _frame(column: Column, y: float, width: float, *, round_: bool) -> Shape:
    role: Role = "padding" if column.padded else "plain"
    if round_ and width == 38.0:
        return Disc(x=column.x, y=y, radius=19, role=role, dashed=column.padded)
    high, radius = (38.0, 19.0) if round_ else (34.0, 5.0)
    return Box(
        x=column.x, y=y, width=width, height=high, radius=radius, role=role, dashed=column.padded
    )


def _content(column: Column, y: float, letter: str) -> tuple[Shape, ...]:
    if column.padded:
        return (label(column.x, y, "pad", "grey"),)
    return variable((column.x, y), letter, column.step, 18)


def draw_embedding(drawing: Drawing, layer: Embedding) -> None:
    """Draw the embedding at each step."""
    y = drawing.place(15, 40, words.entry(layer))
    ports = []
    for column, port in zip(drawing.columns, drawing.ports, strict=True):
        hollow = column.padded and layer.masked
        shapes = box(column.x, y, "Embedding", "padding" if hollow else "embedding")
        name = drawing.canvas.node(layer.name, column, *shapes)
        if port and hollow:
            arrow = straight((column.x, port.y), (column.x, y + 15), "padding")
            drawing.canvas.edge(port.node, name, arrow)
        elif port:
            drawing.rise(port, name, (column.x, y + 15))
        ports.append(None if hollow else Port(column.x, y - 15, name, 42))
    drawing.arrived(layer.name, y + 15)
    _ellipsis(drawing, layer.name, y)
    drawing.raised(ports, y - 15)


def draw_norm(drawing: Drawing, layer: LayerNorm) -> None:
    """Draw a layer norm as a slab on each step."""
    y = drawing.place(9, 32, words.entry(layer))

    def shapes(column: Column) -> tuple[Shape, ...]:
        frame = Box(x=column.x, y=y, width=84, height=18, radius=5, role="plain")
        return frame, label(column.x, y, "norm", "plain", 11)

    _boxes(drawing, layer, y, 9, 42, shapes)


def draw_unit(drawing: Drawing, layer: Normalize) -> None:
    """Draw the division of a vector by its norm as a pill: it has no weights."""
    y = drawing.place(13, 40, words.entry(layer))

    def shapes(column: Column) -> tuple[Shape, ...]:
        return pill(column.x, y, "÷ norm", 84)

    _boxes(drawing, layer, y, 13, 42, shapes)


def draw_residual(drawing: Drawing, layer: Residual) -> None:
    """Draw a sum at each step, and the way round the layers between."""
    y = drawing.place(10, 33, words.entry(layer))

    def shapes(column: Column) -> tuple[Shape, ...]:
        return Disc(x=column.x, y=y, radius=10, role="plain"), label(column.x, y, "+", "plain", 15)

    starts = drawing.residuals(layer.start)
    route = drawing.route
    _boxes(drawing, layer, y, 10, 10, shapes)
    for start, column in zip(starts, drawing.columns, strict=True):
        if start is not None and start.via is not None:
            right = column.x + route
            points = ((start.x, start.via), (right, start.via), (right, y), (column.x + 11.5, y))
            drawing.canvas.edge(
                start.node,
                column.name(layer.name),
                Line(points=points, cased=True),
                kind="residual",
            )
    drawing.route = 0.0


def draw_dense(drawing: Drawing, layer: Dense) -> None:
    """Draw a dense layer, on a vector or at each step."""
    y = drawing.place(15, 44, words.entry(layer))

    def shapes(column: Column) -> tuple[Shape, ...]:
        return box(column.x, y, "Dense", "padding" if column.padded else "head")

    _boxes(drawing, layer, y, 15, 42, shapes)
    _hollow(drawing, layer.name, shapes)


def _hollow(drawing: Drawing, name: str, shapes: Draw) -> None:
    """Draw the nodes at padded steps, which no arrow reaches."""
    for column in drawing.columns:
        if column.padded:
            drawing.canvas.node(name, column, *shapes(column))


def draw_dropout(drawing: Drawing, layer: Dropout) -> None:
    """Draw a dropout that is a layer of its own: the arrows through its row are dashed."""
    y = drawing.place(10, 16, words.entry(layer))
    drawing.floor = y - 10
    _drop(drawing, layer)


def _drop(drawing: Drawing, layer: Dropout) -> None:
    sequence = len(layer.input) == 2
    drawing.drop(layer.rate, f"dropout {layer.rate:g}{', fresh at each step' if sequence else ''}")


def draw_pooling(drawing: Drawing, layer: Pooling) -> None:
    """Draw a statistic over the steps, which no arrow from a padded or unused step reaches."""
    y = drawing.place(13, 44, words.entry(layer))
    if layer.statistic == "last_step":
        unused: list[Port | None] = [None] * (len(drawing.ports) - 1)
        drawing.raised([*unused, *drawing.ports[-1:]], drawing.top)
        drawing.columns = drawing.columns[-1:]
    first, last = drawing.columns[0], drawing.columns[-1]
    wide, x = last.x - first.x + 84, (first.x + last.x) / 2
    long = words.kind(layer)
    content = next(
        filter(lambda text: fits(text, wide), (long, long[:19])), layer.statistic.replace("_", " ")
    )
    vector = Column(x, "")
    name = drawing.canvas.node(layer.name, vector, *pill(x, y, content, wide))
    _rise_all(drawing, name, y + 13)
    drawing.arrived(layer.name, y + 13)
    drawing.to_vector(x, Port(x, y - 13, name, wide / 2), y - 13)


def draw_repeat(drawing: Drawing, layer: Repeat) -> None:
    """Draw the repeat of a vector across the width, and go on with a new time axis."""
    y = drawing.place(13, 48, words.entry(layer))
    drawing.axes.pop(0)
    axis = drawing.axes[0]
    below = [port.x for port in drawing.ports if port]
    edges = [*below, *(column.x for column in axis.columns)]
    left, right = min(edges) - 50, max(edges) + 50
    x, wide = (left + right) / 2, right - left
    vector = Column(x, "")
    shapes = pill(x, y, f"repeat × {layer.steps:,}", wide)
    name = drawing.canvas.node(layer.name, vector, *shapes)
    _rise_all(drawing, name, y + 13)
    drawing.arrived(layer.name, y + 13)
    drawing.axis, drawing.columns = axis, axis.columns
    drawing.raised([Port(column.x, y - 13, name, 50) for column in axis.columns], y - 13)


def _rise_all(drawing: Drawing, name: str, bottom: float) -> None:
    for port in drawing.ports:
        if port:
            drawing.rise(port, name, (port.x, bottom))


def draw_hidden(drawing: Drawing, hidden: Hidden) -> None:
    """Draw dots for layers that are alike; the dropout before the first of them is drawn."""
    dropouts = list(takewhile(lambda layer: isinstance(layer, Dropout), hidden.layers))
    for layer in (*dropouts, hidden.layers[len(dropouts)]):
        if isinstance(layer, Dropout):
            _drop(drawing, layer)
        elif isinstance(layer, Recurrent) and layer.dropout:
            drawing.drop(layer.dropout, f"dropout {layer.dropout:g}")
    y = drawing.place(14, 30, words.hidden_entry(hidden.layers))
    name = f"{hidden.layers[0].name}..{hidden.layers[-1].name}"
    ports: list[Port | None] = []
    for column, port in zip(drawing.columns, drawing.ports, strict=True):
        if port is None:
            ports.append(None)
            continue
        node = drawing.canvas.node(name, column, *dots(column.x, y, upright=True))
        drawing.rise(port, node, (column.x, y + 14))
        ports.append(Port(column.x, y - 14, node, 4))
    drawing.arrived(name, y + 14)
    drawing.raised(ports, y - 14)


def draw_result(drawing: Drawing) -> None:
    """Draw the result: one vector, or one at each step."""
    y = drawing.place(19, 38, None)

    def shapes(column: Column) -> tuple[Shape, ...]:
        width = circle_width("" if column.padded else column.step)
        return _frame(column, y, width, round_=True), *_content(column, y, "ŷ")

    bottom = y + 19
    for column, port in zip(drawing.columns, drawing.ports, strict=True):
        name = drawing.canvas.node("output", column, *shapes(column))
        if port:
            drawing.rise(port, name, (column.x, bottom))
    drawing.arrived("output", bottom)
    _ellipsis(drawing, "output", y)


def _boxes(  # noqa: PLR0913, PLR0917 - the size of a node
    drawing: Drawing, layer: Layer, y: float, half: float, wide: float, shapes: Draw
) -> None:
    """Draw a node for each arrow, and go on above them."""
    ports: list[Port | None] = []
    for column, port in zip(drawing.columns, drawing.ports, strict=True):
        if port is None:
            ports.append(None)
            continue
        name = drawing.canvas.node(layer.name, column, *shapes(column))
        drawing.rise(port, name, (column.x, y + half))
        ports.append(Port(column.x, y - half, name, wide))
    drawing.arrived(layer.name, y + half)
    _ellipsis(drawing, layer.name, y)
    drawing.raised(ports, y - half)


def _ellipsis(drawing: Drawing, layer: str, y: float) -> None:
    """Draw dots for the steps that are left out."""
    if drawing.axis and drawing.axis.dots is not None:
        drawing.canvas.marks(layer, *dots(drawing.axis.dots, y))
