"""The state of a recurrent layer: arrows along the time axis, or a loop in the folded form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rnnspec.drawing.layout.axes import Axis, Column
from rnnspec.drawing.layout.canvas import SPACE, Canvas, dots, variable
from rnnspec.drawing.scene import Line, Role, Text
from rnnspec.drawing.widths import text_width
from rnnspec.ir.nodes import LSTM, Recurrent


@dataclass(frozen=True, slots=True)
class Track:
    """The cells of one direction: their height, and how far they stand beside their columns.

    ``half`` is half the width of a cell.
    """

    layer: Recurrent
    direction: str
    y: float
    shift: float
    half: float

    @property
    def sign(self) -> int:
        """1 if time runs to the right, -1 if it runs to the left."""
        return -1 if self.direction == "backward" else 1

    @property
    def lanes(self) -> tuple[tuple[str, float], ...]:
        """Each part of the state, and its distance from the middle of the cells."""
        if isinstance(self.layer.cell, LSTM):
            return ("c", -6.0), ("h", 6.0)
        return (("h", 0.0),)

    def role(self, state: str) -> Role:
        """Return the colour of a part of the state: that of dropout if it is dropped."""
        # Recurrent dropout acts on what the gates read; the cell state of an LSTM is added to.
        return "dropout" if self.layer.recurrent_dropout and state == "h" else "ink"

    @property
    def name(self) -> str:
        """The beginning of the names of its nodes."""
        return f"{self.layer.name}.{self.direction}" if self.direction else self.layer.name

    def hollow(self, column: Column) -> bool:
        """Return whether the state is held at a step."""
        return column.padded and self.layer.masked


def draw_states(canvas: Canvas, track: Track, axis: Axis) -> None:
    """Draw the arrows from each step to the next, and the zero that they begin with."""
    columns = axis.columns[:: track.sign]
    for state, offset in track.lanes:
        y = track.y + offset
        _start(canvas, track, columns[0], y, state)
        for one, other in pairwise(columns):
            between = axis.dots if {one.x, other.x} == _ends(axis) else None
            _Step(track, one, other, between).draw(canvas, y, state)
    zero = columns[0].x + track.shift - track.sign * (track.half + 36.5)
    text = Text(x=zero, y=track.y + 4.6, content="0", size=13, role="grey", anchor="middle")
    canvas.marks(track.layer.name, text)
    if axis.dots is not None:
        canvas.marks(track.layer.name, *dots(axis.dots + track.shift, track.y))


def _ends(axis: Axis) -> set[float]:
    """Return the places of the two columns that dots stand between."""
    return {column.x for column in axis.columns[-2:]} if axis.dots is not None else set()


def _start(canvas: Canvas, track: Track, column: Column, y: float, state: str) -> None:
    x = column.x + track.shift
    begin = x - track.sign * (track.half + 27.5)
    passes = track.hollow(column)
    end = x if passes else x - track.sign * (track.half + SPACE)
    arrow = Line(points=((begin, y), (end, y)), head=not passes)
    canvas.edge("0", column.name(track.name), arrow, state=state)


@dataclass(frozen=True, slots=True)
class _Step:
    """The state on its way from one step to the next, or past the dots between them."""

    track: Track
    one: Column
    other: Column
    between: float | None

    def draw(self, canvas: Canvas, y: float, state: str) -> None:
        track = self.track
        source, target = self.one.name(track.name), self.other.name(track.name)
        begin, end = self._leaves(), self._reaches()
        if self.between is None:
            held = track.hollow(self.one) or track.hollow(self.other)
            line = self._line((begin, end), y, self.other, self._role(state, held=held))
            canvas.edge(source, target, line, state=state)
            return
        middle, more = self.between + track.shift, f"{track.name}@..."
        role = self._role(state, held=track.hollow(self.one))
        to = self._line((begin, middle - 17 * track.sign), y, None, role)
        role = self._role(state, held=track.hollow(self.other))
        on = self._line((middle + 17 * track.sign, end), y, self.other, role)
        canvas.edge(source, more, to, state=state)
        canvas.edge(more, target, on, state=state)

    def _role(self, state: str, *, held: bool) -> Role:
        return "ink" if held else self.track.role(state)

    def _line(self, ends: tuple[float, float], y: float, end: Column | None, role: Role) -> Line:
        passes = end is not None and self.track.hollow(end)
        points = ((ends[0], y), (ends[1], y))
        return Line(points=points, role=role, dashed=role == "dropout", head=not passes)

    def _leaves(self) -> float:
        x, track = self.one.x + self.track.shift, self.track
        return x if track.hollow(self.one) else x + track.sign * (track.half + SPACE)

    def _reaches(self) -> float:
        x, track = self.other.x + self.track.shift, self.track
        if track.hollow(self.other):
            return x + track.sign * (track.half + 18)
        return x - track.sign * (track.half + SPACE)


def draw_names(canvas: Canvas, track: Track, columns: Sequence[Column], route: float) -> None:
    """Write the names of the state between the first two steps."""
    first, second = columns[:2]
    left = first.x + max(track.half, route)
    x = (left + second.x - track.half) / 2 - 2
    for index, (state, offset) in enumerate(track.lanes):
        below = index == 1
        y = track.y + offset + (14 if below else -13)
        canvas.marks(track.layer.name, *variable((x, y), state, first.step, 14, "grey"))


def draw_loop(canvas: Canvas, track: Track, column: Column, side: int = 1) -> float:
    """Draw the state as a loop at the right (1) or left (-1) of a cell; return where it ends."""
    x = column.x + track.shift
    edge, far = x + side * (track.half + SPACE), x + side * (track.half + 26)
    points = ((edge, track.y - 9), (far, track.y - 9), (far, track.y + 9), (edge, track.y + 9))
    name, role = column.name(track.name), track.role("h")
    line = Line(points=points, role=role, dashed=role == "dropout")
    states = [state for state, _ in track.lanes]
    canvas.edge(name, name, line, state=" ".join(states))
    letters = Text(
        x=far + 8 * side, y=track.y + 4, content=", ".join(states), size=14, role="grey",
        anchor="start" if side > 0 else "end", italic=True, variable=True,
    )  # fmt: skip
    canvas.marks(track.layer.name, letters)
    return far + side * 8 + side * text_width(letters)
