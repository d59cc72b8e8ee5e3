"""Named heads: their layers side by side above the same trunk, each with its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import fsum

from rnnspec.drawing import words
from rnnspec.drawing.attending import DrawnMemory
from rnnspec.drawing.layout.drawing import (
    Drawing,
    Flow,
    Note,
    circle_width,
    variable_node,
)
from rnnspec.drawing.layout.grid import (
    HEAD,
    Column,
    HeadStack,
    Poolings,
    SideOutput,
    side_by_side,
    split_heads,
)
from rnnspec.drawing.layout.stack import (
    POOL_WIDTH,
    draw_last_steps,
    draw_pool,
    draw_pools,
    draw_vector_join,
    gap,
    pools_width,
)
from rnnspec.drawing.scene import Text, text_width
from rnnspec.ir.nodes import (
    AttentionPooling,
    Flatten,
    Join,
    LabelInput,
    LastSteps,
    Layer,
    Network,
    NumericInput,
    Pooling,
    TokenInput,
    VectorInput,
)

_HALF = 17.0
"""Half the height of a row."""
_WIDTH = 150.0
"""The width of a head with one vector."""
_NAME_SIZE = 12.0

_Draw = Callable[[Drawing, Layer], None]
_Unit = Layer | Poolings
_Pools = Poolings | Pooling | AttentionPooling | Flatten | LastSteps


@dataclass(slots=True)
class _Strand:
    """A head while it is drawn: its rows, its middle and width, and what goes up.

    One that has a result for each step of the trunk has neither: it stands above the trunk.
    """

    head: HeadStack
    units: list[_Unit]
    x: float
    width: float
    flow: Flow


def draw_heads(drawing: Drawing, draw_layer: _Draw) -> None:
    """Draw all heads, row by row, and the results."""
    # The arrows part above the row, also if they begin inside a node that holds a state.
    drawing.outlets = [
        replace(outlet, via=drawing.top) if outlet and outlet.y > drawing.top else outlet
        for outlet in drawing.outlets
    ]
    remarks, drawing.notes = drawing.notes, []
    drawing.write_beside(drawing.last, drawing.columns[-1].x, drawing.top - 34, remarks)
    # A remark on a final state may stand beside the node below.
    drawing.floor -= 28 if drawing.axis is None else 0
    strands = _strands(drawing)
    for row in range(max(len(strand.units) for strand in strands)):
        _draw_row(drawing, draw_layer, strands, row)
    _draw_results(drawing, strands)


def _strands(drawing: Drawing) -> list[_Strand]:
    """Return the heads with their places: those for each step above it, others beside these."""
    _, heads = split_heads(drawing.network)
    first, last = drawing.columns[0].x, drawing.columns[-1].x
    stepwise = [head for head in heads if head.is_stepwise and drawing.axis]
    # Beside the last nodes, there is room for a remark on their dropout.
    right = last + HEAD * (len(stepwise) - 1) / 2 + 180
    others = [head for head in heads if head not in stepwise]
    widths = {head.name: _width(drawing, head) for head in others}
    if not stepwise:
        right = (first + last - fsum(widths.values())) / 2
    strands = list[_Strand]()
    for head in heads:
        flow, x, width = drawing.flow, 0.0, 0.0
        if head in stepwise:
            by = HEAD * (stepwise.index(head) - (len(stepwise) - 1) / 2)
            assert flow.axis is not None, "it has steps"
            axis = flow.axis.shift(by)
            flow = replace(flow, axis=axis, columns=axis.columns)
        else:
            width = widths[head.name]
            x, right = right + width / 2, right + width
            if flow.axis is None:
                flow = replace(flow, columns=(Column(x, ""),))
        strands.append(_Strand(head, _units(drawing.network, head), x, width, flow))
    return strands


def _units(network: Network, head: HeadStack) -> list[_Unit]:
    """Return the rows of a head; the poolings of a list are one, and their join is the next."""
    units = list[_Unit]()
    for stage in side_by_side(network, head.layers):
        match stage:
            case Poolings():
                units += [stage, stage.join]
            case (
                TokenInput()
                | NumericInput()
                | VectorInput()
                | LabelInput()
                | SideOutput()
                | DrawnMemory()
            ):
                raise AssertionError("a head has layers only")
            case _:
                units.append(stage)
    return units


def _width(drawing: Drawing, head: HeadStack) -> float:
    """Return the width of a head with a vector, or with a time axis of its own."""
    widths = [_WIDTH, text_width(head.name, _NAME_SIZE, bold=True) + 24]
    for unit in _units(drawing.network, head):
        if isinstance(unit, Poolings):
            widths.append(pools_width(unit) + 24)
        elif isinstance(unit, LastSteps) and not drawing.folded:
            widths.append(HEAD * min(unit.count, 5) + 220)
    return max(widths)


def _draw_row(drawing: Drawing, draw_layer: _Draw, strands: list[_Strand], row: int) -> None:
    """Draw one layer of each head at the same height."""
    units = [(strand, strand.units[row]) for strand in strands if len(strand.units) > row]
    entries = [
        drawing.entry(layer)
        for _, unit in units
        for layer in (unit.layers if isinstance(unit, Poolings) else (unit,))
    ]
    pools = [strand for strand, unit in units if isinstance(unit, _Pools)]
    far = [abs(strand.x - outlet.x) for strand in pools for outlet in strand.flow.outlets if outlet]
    # Remarks on arrows at each step stand beside all of these.
    remarks = [note for strand, _ in units if not strand.width for note in strand.flow.notes]
    drawing.notes = max((remarks, *(strand.flow.notes for strand, _ in units)), key=len)
    top, before = drawing.top, max(far, default=0.0)
    drawing.level = y = drawing.place(_HALF, gap(before) if far else 44.0, *entries)
    for strand, unit in units:
        drawing.top = top
        drawing.flow = strand.flow if strand.width else replace(strand.flow, notes=[])
        _draw_unit(drawing, draw_layer, strand, unit)
        drawing.last = unit.join.name if isinstance(unit, Poolings) else unit.name
        strand.flow = drawing.flow
    drawing.write_beside("", _right(strands), (top + y + _HALF) / 2, remarks)
    drawing.level = None
    drawing.complete_row([], y - _HALF)


def _right(strands: list[_Strand]) -> float:
    """Return the place of the last of the heads that have a result for each step."""
    return max((strand.flow.columns[-1].x for strand in strands if not strand.width), default=0.0)


def _draw_unit(drawing: Drawing, draw_layer: _Draw, strand: _Strand, unit: _Unit) -> None:
    y = drawing.level
    assert y is not None, "the row is placed"
    match unit:
        case Poolings():
            draw_pools(drawing, unit, strand.x, y, pools_width(unit) / len(unit.layers))
        case Join():
            draw_vector_join(drawing, unit)
        case Pooling() | AttentionPooling() | Flatten():
            outlet = draw_pool(drawing, unit, strand.x, y, POOL_WIDTH)
            drawing.write_notes(unit.name, y + 13)
            drawing.to_vector(strand.x, outlet, y - 13)
        case LastSteps():
            draw_last_steps(drawing, unit, strand.x, HEAD)
        case _:
            draw_layer(drawing, unit)


def _draw_results(drawing: Drawing, strands: list[_Strand]) -> None:
    """Draw the result of each head, with its name above."""
    drawing.notes = max((strand.flow.notes for strand in strands), key=len)
    top = drawing.top
    y = drawing.place(19, 44, words.MarginEntry(drawing.network.name))
    stepwise = [strand for strand in strands if not strand.width]
    remarks = list[Note]()
    for strand in strands:
        drawing.top, drawing.flow = top, strand.flow
        if not strand.width:
            remarks += drawing.notes
            drawing.notes = []
        draw_result(drawing, y, strand.head.name)
        text = Text(
            x=strand.x, y=y - 28, content=strand.head.name, size=_NAME_SIZE, weight=600,
            anchor="middle",
        )  # fmt: skip
        if strand in stepwise:  # above each other, and above the names beside them
            lift = 16.0 * (stepwise.index(strand) + (len(strands) > len(stepwise)))
            text = replace(text, x=drawing.columns[0].x - 19, y=text.y - lift, anchor="start")
        # Without labels it stays: nobody could tell one result from another.
        canvas = drawing.canvas
        (canvas.note if canvas.labels else canvas.marks)("output", text)
    drawing.write_beside("output", _right(strands), (top + y + 19) / 2, remarks)


def draw_inner_result(drawing: Drawing, name: str, *entries: words.MarginEntry) -> None:
    """Draw a result in the middle of a picture, with its name beside it."""
    y = drawing.place(19, 38, *entries)
    draw_result(drawing, y, name)
    last = drawing.columns[-1]
    at = last.x + circle_width(last) / 2 + 10
    text = Text(x=at, y=y + 4, content=name, size=_NAME_SIZE, weight=600)
    canvas = drawing.canvas
    (canvas.note if canvas.labels else canvas.marks)("output", text)
    drawing.complete_row([], y - 19)


def draw_result(drawing: Drawing, y: float, head: str = "") -> None:
    """Draw the result of a network, or of a ``head``: one vector, or one at each step."""
    for column, outlet in zip(drawing.columns, drawing.outlets, strict=True):
        shapes = variable_node(column, y, "ŷ", circle_width(column), is_round=True)
        name = drawing.canvas.node("output", column, *shapes, direction=head)
        if outlet:
            drawing.rise(outlet, name, (column.x, y + 19))
    drawing.write_notes("output", y + 19)
    drawing.draw_ellipsis("output", y)
