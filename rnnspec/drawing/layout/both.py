"""A bidirectional layer: the forward cells below, the backward cells above, and their merge."""

from __future__ import annotations

from dataclasses import dataclass

from rnnspec.drawing import words
from rnnspec.drawing.layout.axes import Column
from rnnspec.drawing.layout.canvas import SPACE, fits, pill, remark
from rnnspec.drawing.layout.cells import cell, hold, remarks, rise_to
from rnnspec.drawing.layout.drawing import Drawing, Port
from rnnspec.drawing.layout.states import Track, draw_loop, draw_states
from rnnspec.drawing.scene import Line, Role
from rnnspec.ir.nodes import Recurrent
from rnnspec.words import Merge

_SIGNS: dict[Merge, str] = {"concat": "concat", "sum": "+", "mul": "×", "ave": "mean"}
_SHIFT, _APART, _HALF_WIDTH, _HALF = 25.0, 62.0, 33.0, 19.0
_ROUTE, _FOLDED_ROUTE = 71.0, 164.0


@dataclass(frozen=True, slots=True)
class _Pair:
    """The two directions of a layer, and the ports of their cells in each column."""

    layer: Recurrent
    forward: Track
    backward: Track
    ports: list[tuple[Port, Port]]

    @property
    def sign(self) -> str:
        assert self.layer.merge is not None
        return _SIGNS[self.layer.merge]


def draw_both(drawing: Drawing, layer: Recurrent) -> None:
    """Draw two cells at each step, and what merges them."""
    forks = [port for port in drawing.ports if port and (port.half < 33 or port.via is not None)]
    if any(port.via is not None for port in forks):
        drawing.route = _FOLDED_ROUTE if drawing.folded else _ROUTE
    if layer.dropout:
        drawing.drop(layer.dropout, f"dropout {layer.dropout:g}")
    pair = _tracks(drawing, layer, 52.0 if not forks and not drawing.folded else 66.0)
    rise_to(drawing, pair.forward)
    rise_to(drawing, pair.backward, cased=not drawing.folded)
    drawing.arrived(layer.name, pair.forward.y + _HALF, right=pair.backward.shift)
    _draw_states(drawing, pair)
    if layer.return_sequences:
        _draw_merge(drawing, pair)
    elif len(drawing.columns) == 1:
        _draw_final_of_one(drawing, pair)
    else:
        _draw_final(drawing, pair)


def _tracks(drawing: Drawing, layer: Recurrent, gap: float) -> _Pair:
    """Place the cells: side by side in the folded form, else in two rows."""
    shift, apart = (54.0, 0.0) if drawing.folded else (_SHIFT, _APART)
    y = drawing.place(_HALF, gap, words.entry(layer), lift=apart / 2)
    forward = Track(layer, "forward", y, -shift, _HALF_WIDTH)
    backward = Track(layer, "backward", y - apart, shift, _HALF_WIDTH)
    ports = [
        (cell(drawing, forward, column), cell(drawing, backward, column))
        for column in drawing.columns
    ]
    return _Pair(layer, forward, backward, ports)


def _draw_states(drawing: Drawing, pair: _Pair) -> None:
    last, canvas = drawing.columns[-1], drawing.canvas
    if drawing.folded:
        right = _draw_loops(drawing, pair)
    elif drawing.axis is not None:
        draw_states(canvas, pair.forward, drawing.axis)
        draw_states(canvas, pair.backward, drawing.axis)
        right = last.x + max(_SHIFT, drawing.route, 56 if last.padded else 0)
    drawing.named = True
    drawing.beside(pair.layer.name, right, pair.forward.y, remarks(drawing, pair.layer))


def _draw_loops(drawing: Drawing, pair: _Pair) -> float:
    """Draw a loop outside each cell: the left one is that of the forward direction."""
    column, forward = drawing.columns[0], pair.forward
    draw_loop(drawing.canvas, forward, column, -1)
    right = draw_loop(drawing.canvas, pair.backward, column, 1)
    return max(right, column.x + drawing.route)


def _draw_merge(drawing: Drawing, pair: _Pair) -> None:
    """Merge the two directions at each step."""
    y = pair.backward.y - 66
    wide = 84.0 if not drawing.folded else 150.0
    ports: list[Port | None] = []
    for column, both in zip(drawing.columns, pair.ports, strict=True):
        if pair.forward.hollow(column):
            ports.append(None)
            continue
        name = drawing.canvas.node(
            pair.layer.name, column, *pill(column.x, y, pair.sign, wide), direction="merge"
        )
        for port in both:
            points = ((port.x, port.y - SPACE), (port.x, y + 13 + SPACE))
            cased = port is both[0] and not drawing.folded
            drawing.canvas.edge(port.node, name, Line(points=points, cased=cased))
        ports.append(Port(column.x, y - 13, name, wide / 2))
    drawing.raised(ports, y - 13)


def _draw_final(drawing: Drawing, pair: _Pair) -> None:
    """Merge the state of the forward direction after the last step with the other after step 1."""
    layer, first, last = pair.layer, drawing.columns[0], drawing.columns[-1]
    y = pair.backward.y - 82
    vector = Column(last.x, "")
    shapes = pill(last.x, y, pair.sign)
    name = drawing.canvas.node(layer.name, vector, *shapes, direction="merge")
    forward, backward = pair.ports[-1][0], pair.ports[0][1]
    up = ((forward.x, forward.y - SPACE), (forward.x, y + 13 + SPACE))
    along = ((backward.x, backward.y - SPACE), (backward.x, y), (last.x - 42 - SPACE, y))
    if pair.forward.hollow(last):
        hold(drawing.canvas, layer.name, forward)
    _final(drawing, forward, name, up, "forward")
    _final(drawing, backward, name, along, "backward")
    texts = _final_texts(drawing, first, last)
    room = last.x - 42 - backward.x
    if all(fits(text, room, 11) for text, _ in texts):
        (ahead, blue), (back, green) = texts
        notes = [
            remark(forward.x - 12, y + 27, ahead, blue, "end"),
            remark(backward.x + 14, y - 12, back, green),
        ]
        drawing.canvas.note(layer.name, *notes)
    else:
        drawing.beside(layer.name, last.x + 42, y, texts)
    drawing.to_vector(last.x, Port(last.x, y - 13, name, 42), y - 13)


def _draw_final_of_one(drawing: Drawing, pair: _Pair) -> None:
    """Merge the final states where only one step, or one for all, is drawn."""
    column = drawing.columns[0]
    wide = 150.0 if drawing.folded else 84.0
    y = pair.backward.y - 82
    shapes = pill(column.x, y, pair.sign, wide)
    vector = Column(column.x, "")
    name = drawing.canvas.node(pair.layer.name, vector, *shapes, direction="merge")
    ends: tuple[Role, Role] = ("forward", "backward")
    for port, role in zip(pair.ports[0], ends, strict=True):
        _final(drawing, port, name, ((port.x, port.y - SPACE), (port.x, y + 13 + SPACE)), role)
    texts = _final_texts(drawing, column, column)
    drawing.beside(pair.layer.name, column.x + wide / 2, y, texts)
    drawing.to_vector(column.x, Port(column.x, y - 13, name, wide / 2), y - 13)


def _final(
    drawing: Drawing, port: Port, target: str, points: tuple[tuple[float, float], ...], role: Role
) -> None:
    line = Line(points=points, role=role, width=1.8, cased=True)
    drawing.canvas.edge(port.node, target, line, kind="final")


def _final_texts(drawing: Drawing, first: Column, last: Column) -> list[tuple[str, Role]]:
    """Return the remarks on the final states: at the last step, and at step 1."""
    length = drawing.axis.length if drawing.axis else last.step
    begin = "1" if drawing.folded else first.step
    when = "held over the padding" if last.padded else f"at step {length}"
    ahead = f"last state of the forward direction, {when}"
    return [
        (ahead, "forward"),
        (f"last state of the backward direction, at step {begin}", "backward"),
    ]
