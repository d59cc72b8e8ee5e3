"""The layout of a network, row by row from the input upwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from math import ceil

from rnnspec.drawing import words
from rnnspec.drawing.attending import DrawnMemory, fold_projections
from rnnspec.drawing.layout.cells import draw_both_ways, draw_one_way
from rnnspec.drawing.layout.drawing import (
    DETAIL_SIZE,
    LINE_HEIGHT,
    NAME_SIZE,
    SPACE,
    Drawing,
    Outlet,
    box,
    circle_width,
    dots,
    label,
    pill,
    variable_node,
    wrap,
)
from rnnspec.drawing.layout.grid import (
    Column,
    OmittedLayers,
    Poolings,
    Row,
    SideOutput,
    axes,
    named_results,
    reads,
    rows,
    split_heads,
)
from rnnspec.drawing.layout.heads import draw_heads, draw_inner_result, draw_result
from rnnspec.drawing.layout.stack import (
    draw_append,
    draw_attention,
    draw_fan,
    draw_join,
    draw_memory,
    draw_pooling,
    draw_poolings,
    draw_spread,
    draw_windows,
)
from rnnspec.drawing.looks import Look, count_words, look
from rnnspec.drawing.options import Options
from rnnspec.drawing.scene import (
    DARK,
    PALETTES,
    Box,
    Disc,
    FormulaBlock,
    Polyline,
    Scene,
    Shape,
    Text,
)
from rnnspec.drawing.typeset import break_lines
from rnnspec.ir.nodes import (
    Append,
    Attention,
    AttentionPooling,
    Conv,
    Dropout,
    Embedding,
    Flatten,
    Input,
    Joined,
    LabelInput,
    Layer,
    Network,
    NumericInput,
    Pooling,
    Recurrent,
    Residual,
    TokenInput,
    VectorInput,
    WindowPooling,
    is_along_memory,
)

_MARGIN = 16.0
_FORMULA_WIDTH, _MOST_ROWS = 480.0, 40
"""The least width at which equations are broken, and the rows of equations in a picture."""


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


_SIZES = {"box": (15, 42, 44), "slab": (9, 42, 32), "pill": (13, 42, 40), "sum": (10, 10, 33)}
"""The half height and width of the node of a layer, and the gap below it, by its shape."""


def _node(layer: Layer) -> _Node:
    """Return the node of a layer that computes each step alone."""
    appearance = look(layer)
    is_box = appearance.shape == "box"
    return _Node(*_SIZES[appearance.shape], partial(_draw_shape, appearance), everywhere=is_box)


def _draw_shape(appearance: Look, column: Column, y: float) -> tuple[Shape, ...]:
    x, word, role = column.x, appearance.word, appearance.role
    match appearance.shape:
        case "slab":
            frame = Box(x=x, y=y, width=84, height=18, radius=5, role=role)
            return frame, label(x, y, word, role, 11)
        case "sum":
            return Disc(x=x, y=y, radius=10, role=role), label(x, y, word, role, 15)
        case "pill":
            return pill(x, y, word)
        case _:
            return box(x, y, word, "padding" if column.padded else role)


_DOTS = _Node(14, 4, 30, lambda column, y: tuple(dots(column.x, y, upright=True)))


def scene(network: Network, options: Options) -> Scene:
    """Return the picture of a network.

    Raises:
        UsageError: it has too many rows for a picture.
    """
    labels, folded = options.labels == "full", options.form == "folded"
    whole, drawn = network, fold_projections(network)
    network = drawn.network
    drawing = Drawing(drawn, axes(network, options), labels=labels, folded=folded)
    trunk, heads = split_heads(network)
    below, last_readers = dict[str, Sequence[str]](), dict[str, str]()
    for stage, (taken, _) in zip(trunk, reads(trunk, network), strict=True):
        below[stage.name] = taken
        last_readers |= dict.fromkeys(taken, stage.name)
    for row in rows(network):
        _draw_row(drawing, row, below)
        drawing.running = {name for name in drawing.running if last_readers[name] != drawing.last}
    if heads:
        draw_heads(drawing, _draw_layer)
    elif not named_results(network):
        draw_result(drawing, drawing.place(19, 38, words.MarginEntry(network.name)))
    bottom = drawing.canvas.bounds()[3] + 24
    recurrent = [layer for layer in network.layers if isinstance(layer, Recurrent)]
    if any(layer.merge is not None or layer.backward for layer in recurrent):
        drawing.write_legend(bottom + 19)
    margin = drawing.write_margin(words.total(whole), bottom)
    if options.equations:
        _write_equations(drawing, margin)
    left, top, right, low = drawing.canvas.bounds()
    form = "one column for all time steps" if folded else "unrolled over time"
    return Scene(
        x=left - _MARGIN,
        y=top - _MARGIN,
        # Whole pixels: the last row and column of a PNG would be half transparent.
        width=ceil(right - left + 2 * _MARGIN),
        height=ceil(low - top + 2 * _MARGIN),
        title=network.name,
        description=words.description(whole, f"A recurrent network, {form}"),
        palette=PALETTES[options.theme],
        dark=DARK if options.theme == "auto" else None,
        has_ground=options.background == "white",
        parts=drawing.canvas.parts,
    )


def _write_equations(drawing: Drawing, left: float) -> None:
    """Write the equations of the cells that have some, below everything else."""
    canvas, room = drawing.canvas, _MOST_ROWS
    width = max(_FORMULA_WIDTH, canvas.bounds()[2] - left)
    for (name, equations), layers in words.equation_cells(drawing.network).items():
        y = canvas.bounds()[3] + 34
        texts: list[Shape] = [Text(x=left, y=y, content=name, size=NAME_SIZE, weight=600)]
        for line in wrap(words.cell_words(equations.states, layers), DETAIL_SIZE, width):
            y += LINE_HEIGHT
            texts.append(Text(x=left, y=y, content=line, size=DETAIL_SIZE, role="grey"))
        rows = tuple(break_lines(equations, width))
        shown, room = rows[: max(room, 0)], room - len(rows)
        if shown:
            texts.append(FormulaBlock(x=left, y=y + 7, rows=shown))
        if hidden := len(rows) - len(shown):
            y = texts[-1].area[3] + 16
            content = f"and {count_words(hidden, 'more line')}"
            texts.append(Text(x=left, y=y, content=content, size=DETAIL_SIZE, role="grey"))
        canvas.note("", *texts)


def _draw_row(drawing: Drawing, row: Row, below: Mapping[str, Sequence[str]]) -> None:
    """Draw a row above what it takes from ``below``."""
    name = row.layers[0].name if isinstance(row, OmittedLayers) else row.name
    drawing.begin(name, below[name], is_join=isinstance(row, Joined))
    match row:
        case OmittedLayers():
            _draw_hidden(drawing, row)
            name = row.layers[-1].name
        case Poolings():
            draw_poolings(drawing, row)
        case DrawnMemory():
            draw_memory(drawing, row)
        case SideOutput():
            is_last = name == named_results(drawing.network)[-1][0]
            entries = [words.MarginEntry(drawing.network.name)] if is_last else []
            draw_inner_result(drawing, name, *entries)
        case TokenInput() | NumericInput() | VectorInput() | LabelInput():
            _draw_input(drawing, row)
        case _:
            _draw_layer(drawing, row)
    drawing.last = name


def _draw_layer(drawing: Drawing, layer: Layer) -> None:
    match layer:
        case Embedding():
            _draw_embedding(drawing, layer)
        case Recurrent(merge=None):
            draw_one_way(drawing, layer)
        case Recurrent():
            draw_both_ways(drawing, layer)
        case Joined():
            draw_append(drawing, layer) if isinstance(layer, Append) else draw_join(drawing, layer)
        case _ if layer.time_axis == "new" or is_along_memory(layer):
            draw_spread(drawing, layer)
        case Conv() | WindowPooling():
            draw_windows(drawing, layer)
        case Attention():
            draw_attention(drawing, layer)
        case Residual():
            _draw_residual(drawing, layer)
        case Dropout():
            drawing.draw_drop(layer)
        case AttentionPooling() | Pooling(statistic="last"):
            draw_fan(drawing, layer)
        case Pooling() | Flatten():
            draw_pooling(drawing, layer)
        case _:
            _draw_nodes(drawing, layer.name, drawing.entry(layer), _node(layer))


def _draw_input(drawing: Drawing, node: Input) -> None:
    """Draw a token or a vector of features at each step, or one for the whole sequence."""
    tokens = isinstance(node, TokenInput | LabelInput)
    takers = [layer for layer in drawing.network.layers if drawing.takes(layer, node.name)]
    # Wide enough for two straight arrows to the two directions.
    both = bool(takers) and isinstance(takers[0], Recurrent) and takers[0].merge is not None
    wide = both and not drawing.folded
    half = 19.0 if tokens else 17.0
    y = drawing.place(half, 30.0 if drawing.last else 0.0, words.input_entry(node))
    drawing.axis = drawing.axes.get(node.name)
    place = max(axis.columns[-1].x for axis in drawing.axes.values())
    drawing.columns = drawing.axis.columns if drawing.axis else (Column(place, ""),)
    outlets: list[Outlet | None] = []
    for column in drawing.columns:
        width = max(circle_width(column), 0.0 if tokens else 84.0 if wide else 40.0)
        shapes = variable_node(column, y, "x", width, is_round=tokens)
        name = drawing.canvas.node(node.name, column, *shapes)
        # Padded tokens have an embedding; padded vectors go nowhere.
        goes = tokens or not column.padded
        outlets.append(Outlet(column.x, y - half, name, width / 2) if goes else None)
    drawing.draw_ellipsis(node.name, y)
    drawing.complete_row(outlets, y - half)


def _draw_embedding(drawing: Drawing, layer: Embedding) -> None:
    """Draw the embedding at each step."""
    y = drawing.place(15, 40, drawing.entry(layer))
    outlets = []
    for column, outlet in zip(drawing.columns, drawing.outlets, strict=True):
        hollow = column.padded and layer.masked
        shapes = box(column.x, y, look(layer).word, "padding" if hollow else look(layer).role)
        name = drawing.canvas.node(layer.name, column, *shapes)
        if outlet and hollow:
            points = ((column.x, outlet.y - SPACE), (column.x, y + 15 + SPACE))
            arrow = Polyline(points=points, role="padding")
            drawing.canvas.edge(outlet.node, name, arrow)
        elif outlet:
            drawing.rise(outlet, name, (column.x, y + 15))
        outlets.append(None if hollow else Outlet(column.x, y - 15, name, 42))
    drawing.write_notes(layer.name, y + 15)
    drawing.draw_ellipsis(layer.name, y)
    drawing.complete_row(outlets, y - 15)


def _draw_residual(drawing: Drawing, layer: Residual) -> None:
    """Draw a sum at each step, and the way round the layers between."""
    route = drawing.route
    y = _draw_nodes(drawing, layer.name, drawing.entry(layer), _node(layer))
    for start, column in zip(drawing.branches[layer.start], drawing.columns, strict=True):
        if start is not None and start.via is not None:
            right = column.x + route
            points = ((start.x, start.via), (right, start.via), (right, y), (column.x + 11.5, y))
            line = Polyline(points=points, cased=True)
            drawing.canvas.edge(start.node, column.name(layer.name), line, kind="residual")
    drawing.route = 0.0


def _draw_hidden(drawing: Drawing, hidden: OmittedLayers) -> None:
    """Draw dots for layers that are alike; the dropout before the first of them is drawn."""
    dropouts = list(takewhile(lambda layer: isinstance(layer, Dropout), hidden.layers))
    for layer in (*dropouts, hidden.layers[len(dropouts)]):
        if isinstance(layer, Dropout | Recurrent):
            drawing.drop(layer)
    name = f"{hidden.layers[0].name}..{hidden.layers[-1].name}"
    _draw_nodes(drawing, name, words.hidden_entry(hidden.layers), _DOTS, ellipsis=False)


def _draw_nodes(
    drawing: Drawing, layer: str, entry: words.MarginEntry, node: _Node, *, ellipsis: bool = True
) -> float:
    """Draw a node for each arrow, go on above them, and return their height."""
    y = drawing.place(node.half, node.gap, entry)
    outlets: list[Outlet | None] = []
    for column, outlet in zip(drawing.columns, drawing.outlets, strict=True):
        if outlet is None and not (node.everywhere and column.padded):
            outlets.append(None)
            continue
        name = drawing.canvas.node(layer, column, *node.draw(column, y))
        if outlet:
            drawing.rise(outlet, name, (column.x, y + node.half))
        outlets.append(outlet and Outlet(column.x, y - node.half, name, node.half_width))
    drawing.write_notes(layer, y + node.half)
    if ellipsis:
        drawing.draw_ellipsis(layer, y)
    drawing.complete_row(outlets, y - node.half)
    return y
