"""Layers that change the time axis, or join: windows, poolings, and concatenations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from rnnspec.drawing.attending import DrawnMemory, memories
from rnnspec.drawing.layout.drawing import (
    SPACE,
    Drawing,
    Note,
    Outlet,
    box,
    dots,
    fits,
    label,
    pill,
)
from rnnspec.drawing.layout.grid import Column, Poolings
from rnnspec.drawing.looks import every, look
from rnnspec.drawing.scene import Box, Disc, Point, Polyline, Role, Shape, text_width
from rnnspec.drawing.steps import Gathered, gather
from rnnspec.ir.nodes import (
    Append,
    Attention,
    AttentionPooling,
    Conv,
    Flatten,
    Join,
    LastSteps,
    Layer,
    Pooling,
    Windowed,
)

_HALF = 12.0
"""Half the height of the node of a window."""
POOL_WIDTH = 96.0
"""The width of the node of a pooling with lines from all sides."""
_WIDTHS = (1.0, 2.6, 1.7)
"""The widths of lines that have weights."""


def draw_windows(drawing: Drawing, layer: Windowed) -> None:
    """Draw a node for each window, and a line from each step that it gathers."""
    below, columns = drawing.axis, drawing.columns
    assert below is not None, "a window has a sequence before it"
    results = drawing.axes[layer.name]
    if not layer.window.keeps_steps:
        drawing.axis, drawing.columns = results, results.columns
    gathered = gather(layer.window, below.steps, results.steps)
    if drawing.folded:
        gathered = [Gathered((0,), hidden=False, before=False, after=False, dots=False)]
    far = [
        abs(columns[at].x - column.x)
        for column, one in zip(drawing.columns, gathered, strict=True)
        for at in one.columns
    ]
    y = drawing.place(_HALF, gap(max(far, default=0)), drawing.entry(layer))
    if text := every(layer.window):
        drawing.notes.append(Note(text, "grey"))
    real = [one for column, one in zip(drawing.columns, gathered, strict=True) if not column.padded]
    zeros: dict[str, Outlet] = {}
    if isinstance(layer, Conv):  # what is added to a pool does not count
        if any(one.before for one in real):
            zeros["before"] = _draw_zero(drawing, layer, columns[0], "before")
        if any(one.after for one in real):
            zeros["after"] = _draw_zero(drawing, layer, columns[-1], "after")
    outlets: list[Outlet | None] = []
    for column, one in zip(drawing.columns, gathered, strict=True):
        name = drawing.canvas.node(layer.name, column, *_window(drawing, layer, column, y))
        outlets.append(None if column.padded else Outlet(column.x, y - _HALF, name, 42))
        if not column.padded:
            begins = [outlet for at in one.columns if (outlet := drawing.outlets[at])]
            if one.hidden and below.dots is not None:
                beside = 10 if column is drawing.columns[-1] else -10
                begins.append(Outlet(below.dots + beside, drawing.top, f"{drawing.last}@...", 4))
            added = [zeros["before"]] if one.before and zeros else []
            added += [zeros["after"]] if one.after and zeros else []
            _draw_lines(drawing, name, (column.x, y + _HALF), begins, added, dotted=one.dots)
            if one.dots:
                drawing.canvas.marks(layer.name, *dots(column.x, y + _HALF + 9))
    right = columns[-1].x - drawing.columns[-1].x + (84 if "after" in zeros else 30)
    drawing.write_notes(layer.name, y + _HALF, right=right)
    drawing.draw_ellipsis(layer.name, y)
    drawing.complete_row(outlets, y - _HALF)


def _draw_lines(  # noqa: PLR0913 - where the lines begin, and where they end
    drawing: Drawing,
    target: str,
    end: Point,
    begins: list[Outlet],
    added: list[Outlet],
    *,
    dotted: bool,
) -> None:
    """Draw the lines from steps, and from steps that are added, to the lower edge of a node."""
    outlets = sorted([*begins, *added], key=lambda outlet: outlet.x)
    # Dots between the outer two stand for the rest.
    pitch = 56.0 if dotted else min(15.0, 66 / max(1, len(outlets)))
    for index, outlet in enumerate(outlets):
        tip = end[0] + pitch * (index - (len(outlets) - 1) / 2), end[1]
        if outlet in begins:
            drawing.slant(outlet, target, tip)
            continue
        points = ((outlet.x, outlet.y - SPACE), (tip[0], tip[1] + SPACE))
        line = Polyline(points=points, role="padding", width=1.1, dashed=True)
        drawing.canvas.edge(outlet.node, target, line, kind="added")


def gap(far: float) -> float:
    """Return the room that is needed for lines to nodes so ``far`` beside them."""
    return max(58.0, far / 8)


def _window(drawing: Drawing, layer: Windowed, column: Column, y: float) -> tuple[Shape, ...]:
    """Return the node of a window."""
    word, usual = look(layer).word, look(layer).role
    content = f"{word} of {layer.window.size:,}"
    if text_width(content, 12) > 78:
        content = word
    role: Role = "padding" if column.padded else usual
    if isinstance(layer, Conv):
        # The lines show the size, but in the folded form.
        return box(column.x, y, content if drawing.folded else word, role, (84, 2 * _HALF))
    frame = Box(
        x=column.x, y=y, width=84, height=2 * _HALF, radius=_HALF, role=role, dashed=column.padded
    )
    return frame, label(column.x, y, content, "grey" if column.padded else usual)


def _draw_zero(
    drawing: Drawing, layer: Conv, column: Column, side: Literal["before", "after"]
) -> Outlet:
    """Draw the zeros that are added before the first step or after the last."""
    if side == "before":
        x = column.x - max(64.0, drawing.left + 18)
    else:
        x = column.x + 64.0 + drawing.route
    y = drawing.top - 8
    disc = Disc(x=x, y=y, radius=9, role="padding", dashed=True)
    zero = label(x, y, "0", "grey", 11)
    name = drawing.canvas.node(layer.name, Column(x, ""), disc, zero, direction=side)
    return Outlet(x, y - 9, name, 9)


def draw_pooling(drawing: Drawing, layer: Pooling | Flatten) -> None:
    """Draw a statistic over the steps, which no arrow from a padded or unused step reaches."""
    y = drawing.place(13, 44, drawing.entry(layer))
    if isinstance(layer, Pooling) and layer.statistic in ("first_step", "last_step"):
        at = len(drawing.outlets) - 1 if layer.statistic == "last_step" else 0
        used: list[Outlet | None] = [None] * len(drawing.outlets)
        used[at] = drawing.outlets[at]
        drawing.complete_row(used, drawing.top)
        drawing.columns = drawing.columns[at : at + 1]
    first, last = drawing.columns[0], drawing.columns[-1]
    wide, x = last.x - first.x + 84, (first.x + last.x) / 2
    long, short = look(layer).kind, look(layer).word
    content = next((text for text in (long, long[:19]) if fits(text, wide)), short)
    name = drawing.canvas.node(layer.name, Column(x, ""), *pill(x, y, content, wide))
    out = drawing.beside_lanes(x)
    _rise_all(drawing, layer.name, name, y + 13)
    drawing.to_vector(out, Outlet(out, y - 13, name, wide / 2), y - 13)


def draw_fan(drawing: Drawing, layer: AttentionPooling | Pooling) -> None:
    """Draw lines from the steps that a pooling takes into one node."""
    x = drawing.beside_lanes(_middle(drawing))
    y = drawing.place(13, gap(x - drawing.columns[0].x), drawing.entry(layer))
    outlet = draw_pool(drawing, layer, x, y, POOL_WIDTH)
    drawing.write_notes(layer.name, y + 13)
    drawing.to_vector(x, outlet, y - 13)


def draw_poolings(drawing: Drawing, row: Poolings) -> None:
    """Draw several poolings side by side, and the join of their vectors."""
    span = drawing.columns[-1].x - drawing.columns[0].x
    pitch = max(pools_width(row) / len(row.layers), min(200.0, span / len(row.layers)))
    middle = _middle(drawing)
    y = drawing.place(13, gap(span), *map(drawing.entry, row.layers))
    draw_pools(drawing, row, middle, y, pitch)
    draw_vector_join(drawing, row.join)


def pools_width(row: Poolings) -> float:
    """Return the width that the poolings of a list need side by side."""
    return len(row.layers) * (_pool_width(row) + 22)


def _pool_width(row: Poolings) -> float:
    return max(84.0, *(text_width(look(layer).word, 12) + 24 for layer in row.layers))


def draw_pools(drawing: Drawing, row: Poolings, x: float, y: float, pitch: float) -> None:
    """Draw several poolings side by side around ``x``."""
    layers, wide = row.layers, _pool_width(row)
    xs = [x + pitch * (at - (len(layers) - 1) / 2) for at in range(len(layers))]
    outlets = [draw_pool(drawing, layer, x, y, wide) for layer, x in zip(layers, xs, strict=True)]
    drawing.write_notes(layers[-1].name, y + 13)
    drawing.axis, drawing.columns = None, tuple(Column(x, "") for x in xs)
    drawing.complete_row([*outlets], y - 13)


def draw_vector_join(drawing: Drawing, join: Join) -> None:
    """Draw the join of the vectors that go up."""
    y = drawing.place(13, 36, drawing.entry(join))
    outlets = [outlet for outlet in drawing.outlets if outlet]
    middle = (outlets[0].x + outlets[-1].x) / 2
    width = outlets[-1].x - outlets[0].x + 2 * outlets[0].half
    shapes = pill(middle, y, look(join).word, width)
    name = drawing.canvas.node(join.name, Column(middle, ""), *shapes)
    _rise_all(drawing, join.name, name, y + 13)
    drawing.to_vector(middle, Outlet(middle, y - 13, name, width / 2), y - 13)


def _middle(drawing: Drawing) -> float:
    """Return the middle of the steps that are not padding."""
    real = [outlet.x for outlet in drawing.outlets if outlet]
    return (real[0] + real[-1]) / 2


def draw_pool(
    drawing: Drawing, layer: Pooling | AttentionPooling | Flatten, x: float, y: float, wide: float
) -> Outlet:
    """Draw one pooling, and a line from each step that it takes."""
    name = drawing.canvas.node(layer.name, Column(x, ""), *pill(x, y, look(layer).word, wide))
    real = [outlet for outlet in drawing.outlets if outlet]
    match layer:
        case Pooling(statistic="last_step"):
            real = real[-1:]
        case Pooling(statistic="first_step"):
            real = real[:1]
        case Pooling(statistic="last", backward=backward):
            last = _last_real(drawing, real)
            # The backward direction ends at the first step.
            real = [real[0], last] if backward and last is not real[0] else [last]
        case _:
            pass
    room = min(14.0, (wide - 34) / max(1, len(real) - 1))
    for at, outlet in enumerate(real):
        end = x + room * (at - (len(real) - 1) / 2), y + 13
        width = _WIDTHS[at % len(_WIDTHS)] if isinstance(layer, AttentionPooling) else 1.1
        drawing.slant(outlet, name, end, width)
    if isinstance(layer, AttentionPooling) and layer.query is not None:
        source, way = drawing.vector_way(layer.query, y)
        line = Polyline(points=(*way, (x - wide / 2 - SPACE, y)), cased=True)
        drawing.canvas.edge(source, name, line, kind="query")
    return Outlet(x, y - 13, name, wide / 2)


def draw_spread(drawing: Drawing, layer: Layer) -> None:
    """Draw a layer that begins a time axis of its own across the width.

    A repeat takes a vector, and so does an attention along its memory, which comes from the side;
    the others take a sequence.
    """
    beside = [memory.name for memory in memories(layer)]
    y = drawing.place(13, 48 + 18 * len(beside), drawing.entry(layer))
    if isinstance(layer, LastSteps):
        drawing.outlets = _last_ports(drawing, layer)
    axis = drawing.axes[layer.name]
    edges = [outlet.x for outlet in drawing.outlets if outlet]
    edges += [column.x for column in axis.columns]
    left, right = min(edges) - 50, max(edges) + 50
    x, wide = (left + right) / 2, right - left
    name = drawing.canvas.node(layer.name, Column(x, ""), *pill(x, y, look(layer).word, wide))
    _rise_all(drawing, layer.name, name, y + 13)
    draw_memories(drawing, beside, [Outlet(x, y - 13, name, wide / 2)])
    drawing.axis, drawing.columns = axis, axis.columns
    drawing.complete_row([Outlet(column.x, y - 13, name, 50) for column in axis.columns], y - 13)


def draw_last_steps(drawing: Drawing, layer: LastSteps, x: float, pitch: float) -> None:
    """Draw the last steps of a sequence as columns around ``x``."""
    y = drawing.place(13, 48, drawing.entry(layer))
    outlets = [outlet for outlet in _last_ports(drawing, layer) if outlet]
    axis = drawing.axes[layer.name]
    places = axis.around(x, pitch)
    wide = places.columns[-1].x - places.columns[0].x + 84
    name = drawing.canvas.node(layer.name, Column(x, ""), *pill(x, y, look(layer).word, wide))
    for at, outlet in enumerate(outlets):
        end = x + min(14.0, wide / (2 * len(outlets))) * (at - (len(outlets) - 1) / 2)
        drawing.slant(outlet, name, (end, y + 13))
    drawing.write_notes(layer.name, y + 13)
    drawing.axis, drawing.columns = places, places.columns
    drawing.complete_row([Outlet(column.x, y - 13, name, 50) for column in places.columns], y - 13)


def _last_real(drawing: Drawing, real: list[Outlet]) -> Outlet:
    """Return the outlet of the last step that is not padding, that of the dots if it is hidden."""
    axis = drawing.axis
    if axis is None or axis.dots is None or not axis.columns[-1].padded:
        return real[-1]
    return Outlet(axis.dots, drawing.top, f"{drawing.last}@...", 4)


def _last_ports(drawing: Drawing, layer: LastSteps) -> list[Outlet | None]:
    """Return the outlets of the last steps, and one of the dots if some of these are hidden."""
    below = drawing.axis
    if below is None or drawing.folded:
        return drawing.outlets
    begin = below.steps.length - layer.count
    is_last = [below.steps.step(at) >= begin for at in range(below.steps.columns)]
    pairs = zip(drawing.outlets, is_last, strict=True)
    outlets = [outlet if is_taken else None for outlet, is_taken in pairs]
    if sum(is_last) < layer.count and below.dots is not None:
        outlets.append(Outlet(below.dots, drawing.top, f"{drawing.last}@...", 4))
    return outlets


def draw_join(drawing: Drawing, layer: Join) -> None:
    """Draw the join of several outputs, at each step if one of them is a sequence."""
    axis = drawing.axes.get(layer.name)
    below = drawing.last if drawing.last in layer.of else ""
    earlier = [name for name in dict.fromkeys(layer.of) if name != below]
    vectors = [name for name in layer.of if axis and _is_vector(drawing, name, below)]
    y = drawing.place(13, 44 + 18 * len(vectors), drawing.entry(layer))
    if axis is not None:
        columns = axis.columns
    else:
        columns = drawing.columns if below else drawing.forks[earlier[0]].columns
    straight: list[Outlet | None] = [None] * len(columns)
    if below and below not in vectors:
        straight = _align(drawing.outlets, len(columns))
    sides = {
        name: _align(drawing.forks[name].outlets, len(columns))
        for name in earlier
        if name not in vectors
    }
    begins = [_begin_bus(drawing, name, below) for name in vectors]
    outlets: list[Outlet | None] = []
    for at, column in enumerate(columns):
        forks = {source: fork for source, forks in sides.items() if (fork := forks[at])}
        outlet = straight[at]
        # A step is padding if it is so in one of the sequences.
        if len(forks) < len(sides) or (outlet is None and below and below not in vectors):
            outlets.append(None)
            continue
        name = drawing.canvas.node(layer.name, column, *pill(column.x, y, look(layer).word))
        if outlet:
            drawing.rise(outlet, name, (column.x, y + 13))
        inner_first = sorted(forks.items(), key=lambda fork: drawing.lane_at(*fork), reverse=True)
        for number, (source, fork) in enumerate(inner_first):
            high = y - 14 * ((number + 0.5) / len(forks) - 0.5)
            end = column.x - 42 - SPACE, high
            line = Polyline(points=(*drawing.way(source, fork, high), end), cased=True)
            drawing.canvas.edge(fork.node, name, line, kind="join")
        outlets.append(Outlet(column.x, y - 13, name, 42))
    for number, (source, way) in enumerate(begins):
        _draw_bus(drawing, source, way, [outlet for outlet in outlets if outlet], number)
    drawing.axis, drawing.columns = axis, columns
    drawing.write_notes(layer.name, y + 13)
    drawing.draw_ellipsis(layer.name, y)
    drawing.complete_row(outlets, y - 13)


def draw_append(drawing: Drawing, layer: Append) -> None:
    """Draw sequences one behind the other: across the width, with lines from all that it takes."""
    below = drawing.last if drawing.last in layer.of else ""
    earlier = [name for name in dict.fromkeys(layer.of) if name != below]
    y = drawing.place(13, 48, drawing.entry(layer))
    axis = drawing.axes[layer.name]
    outlets = [outlet for outlet in drawing.outlets if outlet and below]
    places = [outlet.x for outlet in outlets] + [column.x for column in axis.columns]
    sides = {
        source: [fork for fork in drawing.forks[source].outlets if fork is not None]
        for source in earlier
        if drawing.forks[source].axis is not None
    }
    places += [drawing.lane_at(source, fork) for source, forks in sides.items() for fork in forks]
    left, right = min(places) - 50, max(places) + 50
    x = (left + right) / 2
    name = drawing.canvas.node(
        layer.name, Column(x, ""), *pill(x, y, look(layer).word, right - left)
    )
    for outlet in outlets:
        drawing.rise(outlet, name, (outlet.x, y + 13))
    for number, source in enumerate(earlier):
        if source not in sides:
            high = y - 14 * ((number + 0.5) / len(earlier) - 0.5)
            node, way = drawing.vector_way(source, high)
            line = Polyline(points=(*way, (left - SPACE, high)), cased=True)
            drawing.canvas.edge(node, name, line, kind="join")
            continue
        for fork in sides[source]:
            line = Polyline(points=drawing.way(source, fork, y + 13 + SPACE))
            drawing.canvas.edge(fork.node, name, line, kind="join")
    drawing.write_notes(layer.name, y + 13)
    drawing.axis, drawing.columns = axis, axis.columns
    drawing.complete_row([Outlet(column.x, y - 13, name, 50) for column in axis.columns], y - 13)


def draw_memory(drawing: Drawing, memory: DrawnMemory) -> None:
    """Draw the steps of a sequence as one node, which attentions take from its left side."""
    y = drawing.place(13, 40)
    edges = [outlet.x for outlet in drawing.outlets if outlet] + [drawing.columns[0].x]
    left, right = min(edges) - 48, max(edges) + 48
    x = (left + right) / 2
    shapes = pill(x, y, "memory", right - left)
    name = drawing.canvas.node(memory.of, Column(x, ""), *shapes, direction="memory")
    _rise_all(drawing, memory.of, name, y + 13)
    outlet = Outlet(x, y - 13, name, (right - left) / 2, via=y, side=left - SPACE)
    drawing.to_vector(x, outlet, y - 13)


def draw_attention(drawing: Drawing, layer: Attention) -> None:
    """Draw a context for each query, which comes from below; the memory comes from the side."""
    names = [memory.name for memory in memories(layer)]
    y = drawing.place(13, 44 + 18 * len(names), *drawing.entries(layer))
    outlets: list[Outlet | None] = []
    for column, outlet in zip(drawing.columns, drawing.outlets, strict=True):
        if outlet is None:
            outlets.append(None)
            continue
        name = drawing.canvas.node(layer.name, column, *pill(column.x, y, look(layer).word))
        drawing.rise(outlet, name, (column.x, y + 13))
        outlets.append(Outlet(column.x, y - 13, name, 42))
    draw_memories(drawing, names, [outlet for outlet in outlets if outlet])
    drawing.write_notes(layer.name, y + 13)
    drawing.draw_ellipsis(layer.name, y)
    drawing.complete_row(outlets, y - 13)


def draw_memories(drawing: Drawing, names: Sequence[str], outlets: list[Outlet]) -> None:
    """Lead memories into nodes of attention, along a line below them."""
    for number, name in enumerate(names):
        source, way = _begin_bus(drawing, name, "")
        _draw_bus(drawing, source, way, outlets, number, kind="memory")


def _is_vector(drawing: Drawing, name: str, below: str) -> bool:
    return (drawing if name == below else drawing.forks[name]).axis is None


def _align(outlets: Sequence[Outlet | None], columns: int) -> list[Outlet | None]:
    """Return the outlets of so many columns: the first ones, and that of the last."""
    return [*outlets[: columns - 1], outlets[-1]]


def _begin_bus(
    drawing: Drawing, name: str, below: str
) -> tuple[str, Callable[[float], tuple[Point, ...]]]:
    """Return the node of a vector, and its way up to a height."""
    if name != below:
        return drawing.forks[name].last, lambda y: drawing.vector_way(name, y)[1]
    (outlet,) = drawing.outlets
    assert outlet is not None, "a vector is no padding"
    return outlet.node, lambda y: ((outlet.x, outlet.y - SPACE), (outlet.x, y))


def _draw_bus(  # noqa: PLR0913 - a line, where it begins and ends, and its number and kind
    drawing: Drawing,
    source: str,
    way: Callable[[float], tuple[Point, ...]],
    outlets: list[Outlet],
    number: int,
    *,
    kind: str = "join",
) -> None:
    """Lead a vector to a node at each step: the same one, along one line below them all."""
    low = outlets[0].y + 26
    points = way(low + 16 + 18 * number)
    x = points[-1][0]
    # The longest lines first: those after them do not cross their ends.
    for outlet in sorted(outlets, key=lambda outlet: -abs(outlet.x - x)):
        tap = outlet.x + 26 - 12 * number
        line = Polyline(points=(*points, (tap, points[-1][1]), (tap, low + SPACE)), cased=True)
        drawing.canvas.edge(source, outlet.node, line, kind=kind)


def _rise_all(drawing: Drawing, layer: str, name: str, bottom: float) -> None:
    for outlet in drawing.outlets:
        if outlet:
            drawing.rise(outlet, name, (outlet.x, bottom))
    drawing.write_notes(layer, bottom)
