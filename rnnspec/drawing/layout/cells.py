"""Recurrent layers: a cell at each step for each direction, its state, and their merge."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import fsum

from rnnspec.drawing import words
from rnnspec.drawing.attending import memories
from rnnspec.drawing.layout.drawing import (
    SPACE,
    Canvas,
    Drawing,
    Flow,
    Note,
    Outlet,
    box,
    dots,
    fits,
    label,
    pill,
    remark,
    variable,
)
from rnnspec.drawing.layout.grid import ROOM_FOR_ATTENTION, Axis, Column
from rnnspec.drawing.layout.stack import draw_memories
from rnnspec.drawing.looks import look
from rnnspec.drawing.scene import Box, Disc, Point, Polyline, Role, Shape, Text, text_width
from rnnspec.ir.nodes import EquationCell, Learned, Recurrent
from rnnspec.words import Merge

_SIGNS: dict[Merge, str] = {"concat": "concat", "sum": "+", "mul": "×", "ave": "mean"}
_HALF_WIDTH, _HALF = 42.0, 21.0
_BEGIN = 27.5
"""How far beside the first cell its state begins."""
_ROUTE, _FOLDED_ROUTE = 54.0, 118.0
# The same of a bidirectional layer, and how far its cells are from their column and each other.
_BOTH_HALF_WIDTH, _BOTH_HALF = 33.0, 19.0
_BOTH_ROUTE, _BOTH_FOLDED_ROUTE = 71.0, 164.0
_SHIFT, _APART = 25.0, 62.0
_ATTENTION_SHIFT, _ATTENTION_DROP, _ATTENTION_HALF = 58.0, 55.0, 35.0
"""How far beside and below a cell its attention is, and half the width of that."""


@dataclass(frozen=True, slots=True)
class _Track:
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
        return -1 if self.direction == "backward" or self.layer.backward else 1

    @property
    def half_height(self) -> float:
        """Half the height of a cell."""
        return _BOTH_HALF if self.direction else _HALF

    @property
    def lanes(self) -> tuple[tuple[str, float], ...]:
        """The states of each arrow, and its distance from the middle of the cells."""
        arrows = words.state_arrows(self.layer)
        pitch = min(12.0, 27.0 / len(arrows))
        first = -pitch * (len(arrows) - 1) / 2
        return tuple((states, first + pitch * at) for at, states in enumerate(arrows))

    @property
    def name(self) -> str:
        """The beginning of the names of its nodes."""
        return f"{self.layer.name}.{self.direction}" if self.direction else self.layer.name

    def role(self, state: str) -> Role:
        """Return the colour of a part of the state: that of dropout if it is dropped."""
        is_dropped = not words.dropped_states(self.layer).isdisjoint(state.split())
        return "dropout" if self.layer.recurrent_dropout and is_dropped else "ink"

    def hollow(self, column: Column) -> bool:
        """True if the state is held at a step."""
        return column.padded and self.layer.masked


def draw_one_way(drawing: Drawing, layer: Recurrent) -> None:
    """Draw one cell at each step."""
    if any(outlet and outlet.via is not None for outlet in drawing.outlets):
        drawing.route = _FOLDED_ROUTE if drawing.folded else _ROUTE
        if layer.leading and layer.backward and not drawing.folded:
            drawing.route += ROOM_FOR_ATTENTION
    drawing.drop(layer)
    room = 112 if layer.leading else 80 if layer.attention else 52
    y = drawing.place(_HALF, room, *drawing.entries(layer))
    drawing.forward_y = y
    track = _Track(layer, "", y, 0.0, _HALF_WIDTH)
    outlets = [_draw_cell(drawing, track, column) for column in drawing.columns]
    _rise_to(drawing, track)
    below = _ATTENTION_DROP + 30 if layer.leading else _HALF + 28 if layer.attention else _HALF
    drawing.write_notes(layer.name, y + below)
    _draw_state(drawing, track)
    if layer.leading:
        _draw_attention(drawing, track)
    elif layer.attention:
        _draw_asked(drawing, track)
    # The final state is that of step 1 if time runs to the left.
    last, end = (
        (drawing.columns[0], outlets[0]) if layer.backward else (drawing.columns[-1], outlets[-1])
    )
    if layer.return_sequences:
        pairs = zip(drawing.columns, outlets, strict=True)
        outputs = [None if track.hollow(column) else outlet for column, outlet in pairs]
        drawing.complete_row(outputs, y - _HALF)
        return
    if track.hollow(last):
        _hold(drawing.canvas, layer.name, end)
    length = "1" if layer.backward else drawing.axis.length if drawing.axis else ""
    drawing.to_vector(last.x, end, y - _HALF)
    output = words.state_names(layer)[-1]
    if len(output) == 1:
        drawing.notes.append(Note(output, "grey", length))


def _draw_cell(drawing: Drawing, track: _Track, column: Column) -> Outlet:
    """Draw a cell, and return where its arrow leaves: the state itself in a hollow cell."""
    hollow, x = track.hollow(column), column.x + track.shift
    role: Role = "padding" if hollow else "backward" if track.sign < 0 else "forward"
    high = 2 * track.half_height
    appearance = look(track.layer)
    # A name of a spec is broken where it is too long; those of rnnspec are short for both ways.
    is_named = isinstance(track.layer.cell, EquationCell)
    word = appearance.short if track.direction and not is_named else appearance.word
    shapes = box(x, track.y, "" if hollow else word, role, (2 * track.half, high))
    name = drawing.canvas.node(track.layer.name, column, *shapes, direction=track.direction)
    top = track.y + track.lanes[-1][1] if hollow else track.y - high / 2
    return Outlet(x, top, name, track.half)


def _rise_to(drawing: Drawing, track: _Track, *, cased: bool = False) -> None:
    """Draw the arrows from the row below to the cells of one direction."""
    high = track.half_height
    for column, outlet in zip(drawing.columns, drawing.outlets, strict=True):
        if outlet and not track.hollow(column):
            end = (column.x + track.shift, track.y + high)
            drawing.rise(outlet, column.name(track.name), end, cased=cased)


def _draw_attention(drawing: Drawing, track: _Track) -> None:
    """Draw what a layer asks before each step, with the state that comes in, and the context."""
    layer, columns, axis = track.layer, drawing.columns[:: track.sign], drawing.axis
    beside_dots = set(axis.columns[-2:]) if axis and axis.dots is not None else set()
    # At the side at which the state comes in; in the folded form, that of its loop.
    side = 1 if drawing.folded else -track.sign
    asks = side * (track.half + 14)
    state = track.y + (9 if drawing.folded else track.lanes[-1][1])
    y, before = track.y + _ATTENTION_DROP, _first_node(drawing, track)
    outlets, contexts = list[Outlet](), dict[Column, Outlet]()
    for column, previous in zip(columns, (None, *columns), strict=False):
        cell = column.name(layer.name)
        if {column, previous} == beside_dots:
            before = f"{layer.name}@..."
        if track.hollow(column):
            before = cell
            continue
        x = column.x + side * _ATTENTION_SHIFT
        shapes = pill(x, y, "attention", 2 * _ATTENTION_HALF)
        name = drawing.canvas.node(layer.name, column, *shapes, direction="attention")
        outlets.append(Outlet(x, y - 13, name, _ATTENTION_HALF))
        drawing.canvas.marks(
            layer.name, Disc(x=column.x + asks, y=state, radius=2.6, role="ink", solid=True)
        )
        query = ((column.x + asks, state), (column.x + asks, y - 13 - SPACE))
        before = cell if drawing.folded else before
        drawing.canvas.edge(before, name, Polyline(points=query, cased=True), kind="query")
        inner, enters = x - side * (_ATTENTION_HALF + SPACE), column.x + side * 14
        high = y - 5 if side > 0 else y
        context = ((inner, high), (enters, high), (enters, track.y + _HALF + SPACE))
        drawing.canvas.edge(name, cell, Polyline(points=context, cased=True), kind="context")
        left, via = x - _ATTENTION_HALF - SPACE, y + 6 if side > 0 else y
        contexts[column] = Outlet(column.x, y, name, _ATTENTION_HALF, via=via, side=left)
        before = cell
    draw_memories(drawing, [memory.name for memory in memories(layer)], outlets)
    for part in drawing.network.ports_of(layer.name):
        if not part.state:
            forks = [contexts.get(column) for column in drawing.columns]
            drawing.contexts[part.name] = Flow(axis, drawing.columns, forks, [], [], part.name)


def _draw_asked(drawing: Drawing, track: _Track) -> None:
    """Lead what the equations of a layer ask into its cells."""
    # The line ends beside that of the input.
    shift = 22 * track.sign - 26
    outlets = [
        Outlet(column.x + shift, track.y + _HALF - 26, column.name(track.layer.name), 0.0)
        for column in drawing.columns
        if not track.hollow(column)
    ]
    draw_memories(drawing, [memory.name for memory in memories(track.layer)], outlets)


def _first_node(drawing: Drawing, track: _Track) -> str:
    """Return the node of the first output of a layer, 0 if it has none."""
    vector = track.layer.first_states.get(track.layer.states[0][0])
    if vector is None or vector in drawing.first_states:
        return vector or "0"
    return drawing.forks[vector].last


def _draw_state(drawing: Drawing, track: _Track) -> None:
    canvas, last = drawing.canvas, drawing.columns[-1]
    if drawing.folded:
        right = max(_draw_loop(canvas, track, last), last.x + drawing.route)
        _draw_first_states(drawing, track)
    else:
        assert drawing.axis is not None, "a recurrent layer has a sequence before it"
        _draw_states(drawing, track, drawing.axis)
        right = last.x + (track.half + 14 if track.hollow(last) else max(track.half, drawing.route))
        right += _BEGIN + (70 if track.layer.first_states else 18) if track.sign < 0 else 0.0
        # An arrow may lead straight from the first step to the second.
        adjacent = len(drawing.columns) > (1 if drawing.axis.dots is None else 2)
        if not drawing.named and adjacent and not track.hollow(drawing.columns[1]):
            _draw_state_names(drawing, track)
    drawing.named = True
    right = _draw_final_states(drawing, [track], right)
    drawing.write_beside(track.layer.name, right, track.y, _state_notes(drawing, track.layer))


def _draw_first_states(drawing: Drawing, track: _Track) -> None:
    """Lead the vectors that the states begin as into the side of the first cell."""
    layer, canvas = track.layer, drawing.canvas
    column = drawing.columns[:: track.sign][0]
    x, y = column.x + track.shift, dict[str, float]()
    for names, offset in track.lanes:
        y |= {state: track.y + offset for state in names.split() if state in layer.first_states}
    is_straight = not track.direction if drawing.folded else track.sign > 0
    for at, state in enumerate(y):
        vector = layer.first_states[state]
        # Below the cells, unless straight into the left one.
        low = track.y + track.half_height + (16 if drawing.folded else 8) + 5 * at
        level = y[state] if is_straight else low
        way: tuple[Point, ...]
        if vector in drawing.first_states:
            spread = at - (len(y) - 1) / 2
            source, way = vector, _draw_first_node(drawing, track, state, spread)
            way = way if is_straight else (*way, (way[-1][0], level))
        else:
            source, way = drawing.vector_way(vector, level)
        passes = track.hollow(column)
        if is_straight:
            end: tuple[Point, ...] = ((x - track.half - SPACE, level),)
            way = (*way, (way[-1][0] + 4, level)) if len(way) == 2 else way
        elif drawing.folded:
            tip = x - 20 + 8 * at
            end = ((tip, low), (tip, track.y + track.half_height + SPACE))
        else:
            edge = x + track.half + SPACE
            is_beside = layer.backward and vector in drawing.first_states
            beside = edge + 20 + 6 * at
            end = ((x if passes else edge, y[state]),)
            way, end = (
                (way[:1], end) if is_beside else (way, ((beside, low), (beside, y[state]), *end))
            )
        line = Polyline(points=(*way, *end), cased=True, head=not passes)
        canvas.edge(source, column.name(track.name), line, state=state)


def _draw_first_node(
    drawing: Drawing, track: _Track, state: str, spread: float
) -> tuple[Point, ...]:
    """Draw a first state that is learned, or given, and return the way out of its node.

    It is left of the first cell, but for a backward direction alone. That of both directions is
    drawn once.
    """
    vector = track.layer.first_states[state]
    is_right = track.layer.backward and not drawing.folded
    if is_right:
        x, y = drawing.columns[-1].x, track.y
        place = x + track.half + _BEGIN + 40
    else:
        x, y = drawing.columns[0].x - abs(track.shift), drawing.forward_y
        place = x - track.half - _BEGIN - 14
        place -= 72 if drawing.folded and track.direction else 0
        place -= 20 if track.layer.leading and not drawing.folded else 0
    height = y + 27 * spread
    if track.direction != "backward":
        if isinstance(drawing.first_states[vector], Learned):
            frame = Box(x=place, y=height, width=52, height=22, radius=5, role="forward")
            shapes: tuple[Shape, ...] = (frame, label(place, height, "learned", "forward", 11))
        else:
            shapes = _state_node(state, "0", (place, height))
        drawing.canvas.node(vector, Column(place, ""), *shapes)
    half = 26 if isinstance(drawing.first_states[vector], Learned) else 15
    if is_right:
        return ((place - half, height), (place - half - 5, height))
    return ((place + half, height), (place + half + 5 + 3 * spread, height))


def _state_node(state: str, index: str, at: Point) -> tuple[Shape, ...]:
    """Return the node of the first or the final value of a state."""
    width = 30.0 if len(state) == 1 else text_width(state, 11) + 16
    frame = Box(x=at[0], y=at[1], width=width, height=24, radius=12, role="plain")
    if len(state) > 1:
        return frame, label(*at, state, "plain", 11)
    return frame, *variable(at, state, index, 14)


def _draw_final_states(drawing: Drawing, tracks: list[_Track], right: float) -> float:
    """Draw the final states that are read beside the cells; return where they end at the right."""
    first, layer, canvas = tracks[0], tracks[0].layer, drawing.canvas
    place = {state: off for names, off in first.lanes for state in names.split()}
    parts = drawing.network.ports_of(layer.name)
    finals = [part for part in parts if part.state]
    states = sorted(finals, key=lambda final: place[final.state])
    middle = fsum(track.y for track in tracks) / len(tracks)
    if states and len(tracks) > 1 and not drawing.folded:
        right = max(right, drawing.columns[-1].x + _SHIFT + first.half + _BEGIN + 14)
    leftwards = first.sign < 0 and not drawing.folded
    index = drawing.axis.length if drawing.axis and first.sign > 0 else "1"
    for at, final in enumerate(states):
        spread = at - (len(states) - 1) / 2
        x, y = right + 40 + 36 * at, middle + 28 * spread
        if drawing.folded:
            y = middle + (30 * spread or 15)
        if leftwards:
            x = drawing.columns[0].x - first.half - 40 - 36 * at
        canvas.node(final.name, Column(x, ""), *_state_node(final.state, index, (x, y)))
        tip = x + (15 + SPACE) * (1 if leftwards else -1), y
        for track in tracks:
            column = drawing.columns[:: track.sign][-1]
            edge = column.x + track.shift + track.sign * (track.half + SPACE)
            begin = (edge, track.y + place[final.state])
            points: tuple[Point, ...] = (begin, tip)
            if drawing.folded and track.direction == "forward":  # below the other cell
                out, low = column.x + track.shift + 16 + 6 * at, track.y + track.half_height + 14
                points = ((out, low - 14 + SPACE), (out, low), (tip[0] - 14, low), tip)
            elif drawing.folded:  # above or below the loop
                points = ((column.x + track.shift + track.half + SPACE, y), tip)
            elif track.direction == "backward":  # from step 1, below the cells
                low = track.y + track.half_height + 12 + 8 * spread
                points = (begin, (edge - 12, begin[1]), (edge - 12, low), (tip[0] - 24, low), tip)
            line = Polyline(points=points, cased=True)
            canvas.edge(column.name(track.name), final.name, line, kind="final", state=final.state)
        drawing.finals[final.name] = Outlet(x, y - 12, final.name, 15)
    return right + (60 + 36 * (len(states) - 1) if states and not leftwards else 0.0)


def _state_notes(drawing: Drawing, layer: Recurrent) -> list[Note]:
    """Return the notes on the state of a layer."""
    notes = []
    if rate := words.recurrent_dropout(layer):
        notes.append(Note(rate, "dropout"))
    if layer.masked and (drawing.folded or drawing.columns[-1].padded):
        notes.append(Note(words.HELD, "grey"))
    return notes


def _hold(canvas: Canvas, layer: str, outlet: Outlet) -> None:
    """Put a dot where an arrow leaves the state that is held."""
    canvas.marks(layer, Disc(x=outlet.x, y=outlet.y, radius=2.6, role="ink", solid=True))


def _draw_states(drawing: Drawing, track: _Track, axis: Axis) -> None:
    """Draw the arrows from each step to the next, and the zero that they begin with."""
    canvas = drawing.canvas
    columns = axis.columns[:: track.sign]
    beside_dots = set(axis.columns[-2:]) if axis.dots is not None else set()
    x = columns[0].x + track.shift
    begin = track.half + _BEGIN
    if track.sign > 0 and drawing.left > begin - track.shift - 6:  # left of the lines to joins
        begin = drawing.left + track.shift + 12
    _draw_first_states(drawing, track)
    zeros = list[float]()
    for state, offset in track.lanes:
        y = track.y + offset
        passes = track.hollow(columns[0])
        end = x if passes else x - track.sign * (track.half + SPACE)
        if track.layer.first_states.keys().isdisjoint(state.split()):
            zeros.append(offset)
            points = ((x - track.sign * begin, y), (end, y))
            arrow = Polyline(points=points, head=not passes)
            canvas.edge("0", columns[0].name(track.name), arrow, state=state)
        for one, other in pairwise(columns):
            between = axis.dots if {one, other} == beside_dots else None
            _draw_step(canvas, track, (one, other), between, state)
    if zeros:
        zero, y = x - track.sign * (begin + 9), track.y + fsum(zeros) / len(zeros) + 4.6
        text = Text(x=zero, y=y, content="0", size=13, role="grey", anchor="middle")
        canvas.marks(track.layer.name, text)
    if axis.dots is not None:
        canvas.marks(track.layer.name, *dots(axis.dots + track.shift, track.y))


def _draw_step(
    canvas: Canvas,
    track: _Track,
    columns: tuple[Column, Column],
    between: float | None,
    state: str,
) -> None:
    """Draw the state on its way from one step to the next, or past the dots ``between`` them."""
    leaves_hold, reaches_hold = map(track.hollow, columns)
    source, target = (column.name(track.name) for column in columns)
    begin, end = (column.x + track.shift for column in columns)
    if not leaves_hold:
        begin += track.sign * (track.half + SPACE)
    # The state goes through a cell that holds it.
    end += track.sign * (track.half + 18 if reaches_hold else -(track.half + SPACE))
    y = track.y + dict(track.lanes)[state]

    def line(x: float, to_x: float, *, is_held: bool, head: bool) -> Polyline:
        role = "ink" if is_held else track.role(state)
        return Polyline(points=((x, y), (to_x, y)), role=role, dashed=role == "dropout", head=head)

    if between is None:
        is_held = leaves_hold or reaches_hold
        arrow = line(begin, end, is_held=is_held, head=not reaches_hold)
        canvas.edge(source, target, arrow, state=state)
        return
    middle, gap, more = between + track.shift, 17 * track.sign, f"{track.name}@..."
    arrow = line(begin, middle - gap, is_held=leaves_hold, head=True)
    canvas.edge(source, more, arrow, state=state)
    arrow = line(middle + gap, end, is_held=reaches_hold, head=not reaches_hold)
    canvas.edge(more, target, arrow, state=state)


def _draw_state_names(drawing: Drawing, track: _Track) -> None:
    """Write the names of the state between the first two steps."""
    first, second = drawing.columns[:2]
    left = first.x + max(track.half, drawing.route)
    right = second.x - max(track.half, drawing.left)
    x = (left + right) / 2 - 2
    # Above the first arrow and below the last; arrows between have no room for a name.
    (upper, above), *_, (lower, below) = track.lanes * 2
    for state, y in {upper: above - 13, lower: below + (14 if lower != upper else -13)}.items():
        step = (first if track.sign > 0 else second).step
        letters = variable((x, track.y + y), state, step, 14, "grey")
        ends = [letter.area for letter in letters]
        if left < ends[0][0] and ends[-1][2] < right and " " not in state:
            drawing.canvas.marks(track.layer.name, *letters)


def _draw_loop(canvas: Canvas, track: _Track, column: Column, side: int = 1) -> float:
    """Draw the state as a loop at the right (1) or left (-1) of a cell; return where it ends."""
    x = column.x + track.shift
    edge, far = x + side * (track.half + SPACE), x + side * (track.half + 26)
    points = ((edge, track.y - 9), (far, track.y - 9), (far, track.y + 9), (edge, track.y + 9))
    states = " ".join(words.state_names(track.layer))
    name, role = column.name(track.name), track.role(states)
    line = Polyline(points=points, role=role, dashed=role == "dropout")
    canvas.edge(name, name, line, state=states)
    content = words.states_in_words(track.layer)
    letters = Text(
        x=far + 8 * side, y=track.y + 4, content=content, size=14, role="grey",
        anchor="start" if side > 0 else "end", italic=True, variable=True,
    )  # fmt: skip
    canvas.marks(track.layer.name, letters)
    return far + side * 8 + side * letters.width


@dataclass(frozen=True, slots=True)
class _Pair:
    """The two directions of a layer, and the outlets of their cells in each column."""

    layer: Recurrent
    forward: _Track
    backward: _Track
    outlets: list[tuple[Outlet, Outlet]]

    @property
    def sign(self) -> str:
        assert self.layer.merge is not None
        return _SIGNS[self.layer.merge]


def draw_both_ways(drawing: Drawing, layer: Recurrent) -> None:
    """Draw two cells at each step, the forward one below, and what merges them."""
    forks = [
        outlet
        for outlet in drawing.outlets
        if outlet and (outlet.half < 33 or outlet.via is not None)
    ]
    if any(outlet.via is not None for outlet in forks):
        drawing.route = _BOTH_FOLDED_ROUTE if drawing.folded else _BOTH_ROUTE
    drawing.drop(layer)
    pair = _place_pair(drawing, layer, 52.0 if not forks and not drawing.folded else 66.0)
    _rise_to(drawing, pair.forward)
    _rise_to(drawing, pair.backward, cased=not drawing.folded)
    drawing.write_notes(layer.name, pair.forward.y + _BOTH_HALF, right=pair.backward.shift)
    _draw_both_states(drawing, pair)
    if layer.return_sequences:
        _draw_merge(drawing, pair)
    else:
        _draw_final(drawing, pair)


def _place_pair(drawing: Drawing, layer: Recurrent, gap: float) -> _Pair:
    """Place the cells: side by side in the folded form, else in two rows."""
    shift, apart = (54.0, 0.0) if drawing.folded else (_SHIFT, _APART)
    y = drawing.place(_BOTH_HALF, gap, *drawing.entries(layer), lift=apart / 2)
    drawing.forward_y = y
    forward = _Track(layer, "forward", y, -shift, _BOTH_HALF_WIDTH)
    backward = _Track(layer, "backward", y - apart, shift, _BOTH_HALF_WIDTH)
    outlets = [
        (_draw_cell(drawing, forward, column), _draw_cell(drawing, backward, column))
        for column in drawing.columns
    ]
    return _Pair(layer, forward, backward, outlets)


def _draw_both_states(drawing: Drawing, pair: _Pair) -> None:
    last, canvas = drawing.columns[-1], drawing.canvas
    if drawing.folded:
        # A loop outside each cell: the left one is that of the forward direction.
        _draw_loop(canvas, pair.forward, last, -1)
        right = max(_draw_loop(canvas, pair.backward, last, 1), last.x + drawing.route)
        _draw_first_states(drawing, pair.forward)
        _draw_first_states(drawing, pair.backward)
    else:
        assert drawing.axis is not None, "a recurrent layer has a sequence before it"
        _draw_states(drawing, pair.forward, drawing.axis)
        _draw_states(drawing, pair.backward, drawing.axis)
        right = last.x + max(_SHIFT, drawing.route, 56 if last.padded else 0)
    drawing.named = True
    right = _draw_final_states(drawing, [pair.forward, pair.backward], right)
    drawing.write_beside(pair.layer.name, right, pair.forward.y, _state_notes(drawing, pair.layer))


def _draw_merge(drawing: Drawing, pair: _Pair) -> None:
    """Merge the two directions at each step."""
    y = pair.backward.y - 66
    wide = 84.0 if not drawing.folded else 150.0
    outlets: list[Outlet | None] = []
    for column, both in zip(drawing.columns, pair.outlets, strict=True):
        if pair.forward.hollow(column):
            outlets.append(None)
            continue
        name = drawing.canvas.node(
            pair.layer.name, column, *pill(column.x, y, pair.sign, wide), direction="merge"
        )
        for outlet in both:
            cased = outlet is both[0] and not drawing.folded
            drawing.canvas.edge(
                outlet.node, name, Polyline(points=_straight_up(outlet, y), cased=cased)
            )
        outlets.append(Outlet(column.x, y - 13, name, wide / 2))
    drawing.complete_row(outlets, y - 13)


def _draw_final(drawing: Drawing, pair: _Pair) -> None:
    """Merge the state of the forward direction after the last step with the other after step 1."""
    layer, last = pair.layer, drawing.columns[-1]
    y, half = pair.backward.y - 82, 75.0 if drawing.folded else 42.0
    shapes = pill(last.x, y, pair.sign, 2 * half)
    name = drawing.canvas.node(layer.name, Column(last.x, ""), *shapes, direction="merge")
    forward, backward = pair.outlets[-1][0], pair.outlets[0][1]
    if pair.forward.hollow(last):
        _hold(drawing.canvas, layer.name, forward)
    along: tuple[Point, ...] = _straight_up(backward, y)
    if len(drawing.columns) > 1:  # the way to the first step
        along = (along[0], (backward.x, y), (last.x - half - SPACE, y))
    ends: tuple[tuple[Outlet, tuple[Point, ...], Role], ...] = (
        (forward, _straight_up(forward, y), "forward"),
        (backward, along, "backward"),
    )
    for outlet, points, role in ends:
        line = Polyline(points=points, role=role, width=1.8, cased=True)
        drawing.canvas.edge(outlet.node, name, line, kind="final")
    ahead, back = words.last_states(layer, drawing.lengths[layer.name])
    right = max([last.x + half, *(outlet.x + 15 for outlet in drawing.finals.values())])
    if not drawing.running and all(
        fits(text, last.x - half - backward.x, 11) for text in (ahead, back)
    ):
        notes = [
            remark(forward.x - 12, y + 27, ahead, "forward", "end"),
            remark(backward.x + 14, y - 12, back, "backward"),
        ]
        drawing.canvas.note(layer.name, *notes)
    else:
        both = [Note(ahead, "forward"), Note(back, "backward")]
        drawing.write_beside(layer.name, right, y, both)
    drawing.to_vector(last.x, Outlet(last.x, y - 13, name, half), y - 13)


def _straight_up(outlet: Outlet, y: float) -> tuple[Point, Point]:
    """Return the points of an arrow from a outlet to the pill whose middle is at ``y``."""
    return (outlet.x, outlet.y - SPACE), (outlet.x, y + 13 + SPACE)
