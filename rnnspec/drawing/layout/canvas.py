"""The parts of a picture while it is laid out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnspec.drawing.layout.axes import Column
from rnnspec.drawing.scene import Anchor, Box, Disc, Line, Part, Point, Role, Shape, Text
from rnnspec.drawing.widths import text_box, width

SPACE = 1.5
"""The distance between an arrow and the node that it leaves or reaches."""


class Canvas:
    """Edges, nodes and notes; lines that cross others are drawn above them, nodes above both."""

    def __init__(self, *, labels: bool) -> None:
        self.labels = labels
        self._edges: list[Part] = []
        self._crossing: list[Part] = []
        self._nodes: list[Part] = []
        self._notes: list[Part] = []

    @property
    def parts(self) -> tuple[Part, ...]:
        """Everything, in the order in which it is drawn."""
        return (*self._edges, *self._crossing, *self._nodes, *self._notes)

    def node(self, layer: str, column: Column, *shapes: Shape, direction: str = "") -> str:
        """Add a node, and return its name."""
        name = column.name(f"{layer}.{direction}" if direction else layer)
        data = [("data-layer", layer), ("data-node", name)]
        data += [("data-direction", direction)] if direction else []
        self._nodes.append(Part(tuple(data), shapes))
        return name

    def edge(self, source: str, target: str, *lines: Line, **data: str) -> None:
        """Add an edge between two nodes; ``data`` says what flows along it."""
        named = [(f"data-{key}", value) for key, value in data.items() if value]
        part = Part((("data-from", source), ("data-to", target), *named), lines)
        crosses = any(line.cased for line in lines)
        (self._crossing if crosses else self._edges).append(part)

    def marks(self, layer: str, *shapes: Shape) -> None:
        """Add shapes of a layer that are neither nodes nor edges."""
        self._nodes.append(Part((("data-layer", layer),), shapes))

    def note(self, layer: str, *shapes: Shape) -> None:
        """Add a note, unless the picture has none."""
        if self.labels and shapes:
            self._notes.append(Part((("data-layer", layer), ("data-note", "")), shapes))

    def bounds(self) -> tuple[float, float, float, float]:
        """Return the left, upper, right and lower edge of everything."""
        boxes = [extent(shape) for part in self.parts for shape in part.shapes]
        lefts, tops, rights, bottoms = zip(*boxes, strict=True)
        return min(lefts), min(tops), max(rights), max(bottoms)


def extent(shape: Shape) -> tuple[float, float, float, float]:
    """Return the left, upper, right and lower edge of a shape."""
    match shape:
        case Box(x=x, y=y, width=wide, height=high):
            return x - wide / 2, y - high / 2, x + wide / 2, y + high / 2
        case Disc(x=x, y=y, radius=radius):
            return x - radius, y - radius, x + radius, y + radius
        case Line(points=points):
            xs, ys = zip(*points, strict=True)
            return min(xs) - 4, min(ys) - 4, max(xs) + 4, max(ys) + 4
        case Text():
            return text_box(shape)


def dots(x: float, y: float, *, upright: bool = False) -> Iterator[Disc]:
    """Yield the three dots of an ellipsis, with its centre at (x, y)."""
    for step in (-7, 0, 7):
        at = (x, y + step) if upright else (x + step, y)
        yield Disc(x=at[0], y=at[1], radius=1.7, role="grey", solid=True)


def label(x: float, y: float, content: str, role: Role, size: float = 12) -> Text:
    """Return the text in the middle of a node."""
    weight = 400 if content in ("+", "×", "pad") else 500
    return Text(
        x=x, y=y + 0.355 * size, content=content, size=size, role=role, anchor="middle",
        weight=weight,
    )  # fmt: skip


def remark(x: float, y: float, content: str, role: Role, anchor: Anchor = "start") -> Text:
    """Return a remark on an edge, with its middle at ``y``."""
    return Text(x=x, y=y + 4, content=content, size=11, role=role, anchor=anchor)


def variable(
    at: Point, letter: str, index: str, size: float, role: Role = "ink"
) -> tuple[Text, ...]:
    """Return a variable with its index, its middle at a point."""
    # Two texts that meet at one x: CairoSVG misplaces centred texts with parts of two sizes.
    small = 0.68 * size
    half = 0.25 * size + 0.28 * small * len(index)
    meet = at[0] - half + 0.5 * size
    base = at[1] + 0.27 * size
    main = Text(
        x=meet, y=base, content=letter, size=size, role=role, anchor="end", italic=True,
        variable=True,
    )  # fmt: skip
    if not index:
        return (main,)
    below = Text(
        x=meet + 0.5, y=base + 0.22 * size, content=index, size=small, role=role,
        italic=not index.isdecimal(), variable=True,
    )  # fmt: skip
    return main, below


def pill(x: float, y: float, content: str, wide: float = 84) -> tuple[Shape, ...]:
    """Return an operation without weights."""
    box = Box(x=x, y=y, width=wide, height=26, radius=13, role="plain")
    return box, label(x, y, content, "plain")


def box(
    x: float, y: float, content: str, role: Role, size: tuple[float, float] = (84, 30)
) -> tuple[Shape, ...]:
    """Return a node with weights; one at a padded step is hollow and dashed."""
    hollow = role == "padding"
    frame = Box(x=x, y=y, width=size[0], height=size[1], radius=7, role=role, dashed=hollow)
    return (frame, label(x, y, content, "grey" if hollow else role)) if content else (frame,)


def straight(start: Point, end: Point, role: Role = "ink") -> Line:
    """Return an arrow between two nodes; it begins and ends a little apart from them."""
    (x, y), (to_x, to_y) = start, end
    dx, dy = _sign(to_x - x) * SPACE, _sign(to_y - y) * SPACE
    points = ((x + dx, y + dy), (to_x - dx, to_y - dy))
    return Line(points=points, role=role, dashed=role == "dropout")


def circle_width(index: str) -> float:
    """Return the width of the circle around a variable; wider than 38, it is a pill."""
    return 38.0 if len(index) < 3 else 22 + 7.5 * len(index)


def fits(content: str, room: float, size: float = 12) -> bool:
    """Return whether a text fits into a room, with space at both ends."""
    return width(content, size) + 24 <= room


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def real(columns: Sequence[Column]) -> list[Column]:
    """Return the columns that are not padding."""
    return [column for column in columns if not column.padded]
