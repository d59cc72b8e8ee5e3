"""A picture as data: shapes, lines and texts with their places, without a file format.

Coordinates are in CSS pixels, x to the right and y downwards, from any origin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from math import fsum, hypot
from typing import Literal

from rnnspec.drawing.options import Theme

Point = tuple[float, float]
Area = tuple[float, float, float, float]
"""The left, upper, right and lower edge of a shape."""

Role = Literal[
    "ground",
    "ink",
    "grey",
    "rule",
    "plain",
    "embedding",
    "forward",
    "backward",
    "head",
    "convolution",
    "slab",
    "padding",
    "dropout",
]
"""The meaning of a colour; the palette of the scene says which colour it is."""

Palette = Mapping[Role, tuple[str, str]]

_PAINTS: dict[Role, tuple[tuple[str, str], tuple[str, str], tuple[str, str]]] = {
    "ground": (("#ffffff", "#ffffff"), ("#0f1419", "#0f1419"), ("#ffffff", "#ffffff")),
    "ink": (("#1f2933", "#1f2933"), ("#d5dde5", "#d5dde5"), ("#000000", "#000000")),
    "grey": (("#66727f", "#66727f"), ("#93a1af", "#93a1af"), ("#555555", "#555555")),
    "rule": (("#d5dbe1", "#d5dbe1"), ("#35414d", "#35414d"), ("#bbbbbb", "#bbbbbb")),
    "plain": (("#ffffff", "#4a5763"), ("#1b232c", "#aebccb"), ("#ffffff", "#333333")),
    "embedding": (("#fbefd5", "#8a5d10"), ("#3a2f14", "#e0b45a"), ("#f7f7f7", "#222222")),
    "forward": (("#dceafa", "#2a67a8"), ("#14304d", "#8cc0f5"), ("#ebebeb", "#111111")),
    "backward": (("#d9f0e6", "#26785a"), ("#123a2e", "#74d3b0"), ("#d4d4d4", "#111111")),
    "head": (("#ebe1f6", "#6a459c"), ("#33244a", "#c9abf2"), ("#ffffff", "#111111")),
    "convolution": (("#fbe3ea", "#9a3355"), ("#3d1f2a", "#f09ab4"), ("#dddddd", "#111111")),
    "slab": (("#eef1f4", "#4a5763"), ("#232c36", "#aebccb"), ("#f2f2f2", "#333333")),
    "padding": (("#ffffff", "#9aa5b1"), ("#0f1419", "#7d8a97"), ("#ffffff", "#8c8c8c")),
    "dropout": (("#c2470c", "#c2470c"), ("#ff9a5c", "#ff9a5c"), ("#444444", "#444444")),
}
"""The fill and the stroke of each role in colour, on dark pages and in print.

The ground is behind all, and beside lines.
"""
COLOUR, DARK, _PRINT = (
    {role: paints[theme] for role, paints in _PAINTS.items()} for theme in range(3)
)
PALETTES: dict[Theme, Palette] = {"colour": COLOUR, "dark": DARK, "auto": COLOUR, "print": _PRINT}

Anchor = Literal["start", "middle", "end"]

HEAD_LENGTH = 7.5
HEAD_HALF_WIDTH = 3.2
FORMULA_SIZE, FORMULA_PITCH = 14.0, 22.0
"""The size of the letters of a formula, and the height of a line."""
INDEX_SIZE = 0.72
"""The size of an index or an exponent in em."""
GAP = 8.0
"""The gap between the two halves of a text."""

_WIDTHS = {
    letter: width
    for letters, width in (
        ("ijl'", 0.3),
        (" ,.:;/|IJ·", 0.34),
        ("f-", 0.38),
        ("rt()[]!", 0.43),
        ("cszL_?", 0.56),
        ("ABCDGHKNOQRUVXZ&", 0.79),
        ("w+=<>~^#→×⊙−≤≥", 0.84),
        ("mMW@%…—", 1.0),
    )
    for letter in letters
}
"""The widths in em of DejaVu Sans, the widest font that a viewer falls back to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle with its centre at (x, y) and rounded corners."""

    x: float
    y: float
    width: float
    height: float
    radius: float
    role: Role
    dashed: bool = False

    @property
    def area(self) -> Area:
        """The area that the rectangle covers."""
        half, high = self.width / 2, self.height / 2
        return self.x - half, self.y - high, self.x + half, self.y + high


@dataclass(frozen=True, slots=True, kw_only=True)
class Disc:
    """A circle with its centre at (x, y); ``solid`` has the colour of its outline inside."""

    x: float
    y: float
    radius: float
    role: Role
    dashed: bool = False
    solid: bool = False

    @property
    def area(self) -> Area:
        """The area of the square around the circle."""
        radius = self.radius
        return self.x - radius, self.y - radius, self.x + radius, self.y + radius


@dataclass(frozen=True, slots=True, kw_only=True)
class Polyline:
    """A line through points, its corners rounded; ``head`` is an arrow head at the last point.

    A ``cased`` line has a margin in the colour of the ground, which separates it from the lines
    that it crosses.
    """

    points: tuple[Point, ...]
    role: Role = "ink"
    width: float = 1.4
    dashed: bool = False
    head: bool = True
    cased: bool = False

    @property
    def area(self) -> Area:
        """The area of the line and its arrow head."""
        xs, ys = zip(*self.points, strict=True)
        return min(xs) - 4, min(ys) - 4, max(xs) + 4, max(ys) + 4

    @property
    def path(self) -> tuple[Point, ...]:
        """The points that are drawn: the line ends inside the arrow head."""
        if not self.head:
            return self.points
        x, y = _towards(self.points[-1], self.points[-2], HEAD_LENGTH - 1)
        return (*self.points[:-1], (x, y))

    @property
    def triangle(self) -> tuple[Point, Point, Point]:
        """The corners of the arrow head."""
        tip, before = self.points[-1], self.points[-2]
        x, y = _towards(tip, before, HEAD_LENGTH)
        length = hypot(before[0] - tip[0], before[1] - tip[1])
        dx = (before[0] - tip[0]) / length * HEAD_HALF_WIDTH
        dy = (before[1] - tip[1]) / length * HEAD_HALF_WIDTH
        return tip, (x - dy, y + dx), (x + dy, y - dx)

    def outside(self, areas: Iterable[Area], gap: float) -> tuple[Polyline, ...]:
        """Return the line, broken from ``gap`` before to ``gap`` behind each area it runs through.

        An area is one that a straight part of the line enters and leaves; none is at a corner.
        """
        pieces, points = list[tuple[Point, ...]](), [self.points[0]]
        for start, end in pairwise(self.points):
            through = [area for area in areas if _inside(start, end, _grown(area, -1.0))]
            spans = [_inside(start, end, _grown(area, gap)) for area in through]
            for first, last in sorted(filter(None, spans)):
                pieces.append((*points, _between(start, end, first)))
                points = [_between(start, end, last)]
            points.append(end)
        pieces.append(tuple(points))
        return tuple(
            replace(self, points=piece, head=self.head and piece is pieces[-1]) for piece in pieces
        )

    @property
    def bends(self) -> Iterator[tuple[Point, Point, Point]]:
        """Each inner point, between the point where its curve begins and the one where it ends."""
        points = self.path
        for before, corner, after in zip(points, points[1:], points[2:], strict=False):
            radius = min(12.0, _distance(before, corner) / 2, _distance(corner, after) / 2)
            yield _towards(corner, before, radius), corner, _towards(corner, after, radius)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One line of text; ``y`` is its baseline. ``variable`` is set as in a formula.

    ``more`` continues the line in normal weight after a gap.
    """

    x: float
    y: float
    content: str
    size: float
    role: Role = "ink"
    anchor: Anchor = "start"
    weight: int = 400
    italic: bool = False
    variable: bool = False
    more: str = ""

    @property
    def width(self) -> float:
        """The width in pixels, which no usual font exceeds."""
        if self.variable:
            return len(self.content) * 0.6 * self.size
        first = text_width(self.content, self.size, bold=self.weight >= 600)
        return first + (GAP + text_width(self.more, self.size) if self.more else 0.0)

    @property
    def area(self) -> Area:
        """The area of the text, with room for ascenders and descenders."""
        width = self.width
        left = self.x - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return left, self.y - 0.78 * self.size, left + width, self.y + 0.24 * self.size


@dataclass(frozen=True, slots=True)
class TextRun:
    """Letters of one look in a formula, whose ``level`` is -1 for an index, 1 for an exponent."""

    text: str
    italic: bool
    level: int


@dataclass(frozen=True, slots=True)
class FormulaRow:
    """One row of equations: the runs before and from its ``=`` on, and the same as LaTeX."""

    left: tuple[TextRun, ...]
    right: tuple[TextRun, ...]
    latex: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FormulaBlock:
    """Equations below each other, aligned at ``=``; (x, y) is the upper left corner."""

    x: float
    y: float
    rows: tuple[FormulaRow, ...]
    role: Role = "ink"

    @property
    def lines(self) -> Iterator[tuple[float, float, tuple[TextRun, ...]]]:
        """The place at which each side of a row begins, on its baseline, and its runs."""
        right = self.x + max(runs_width(row.left) for row in self.rows) + 5
        for number, row in enumerate(self.rows):
            base = self.y + (number + 0.7) * FORMULA_PITCH
            if row.left:
                yield self.x, base, row.left
            yield right, base, row.right

    @property
    def area(self) -> Area:
        """The area of the equations, which no usual font exceeds."""
        width = max(x + runs_width(runs) for x, _, runs in self.lines) - self.x
        return self.x, self.y, self.x + width, self.y + len(self.rows) * FORMULA_PITCH


Shape = Box | Disc | Polyline | Text | FormulaBlock


@dataclass(frozen=True, slots=True)
class ShapeGroup:
    """Shapes that belong together, and attributes that say to programs what they are."""

    data: tuple[tuple[str, str], ...]
    shapes: tuple[Shape, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A picture: (x, y) is its upper left corner, ``description`` its content in words.

    ``palette`` has the fill and the stroke of each role, and ``dark`` those for readers of dark
    pages, if they differ. Later parts cover earlier ones.
    """

    x: float
    y: float
    width: float
    height: float
    title: str
    description: str
    palette: Palette
    dark: Palette | None
    has_ground: bool
    parts: tuple[ShapeGroup, ...]


def text_width(content: str, size: float, *, bold: bool = False) -> float:
    """Return the width of a line of text in pixels, which no usual font exceeds."""
    # Not sum, which is another one from Python 3.12 on, and a picture is the same on all.
    return fsum(_WIDTHS.get(letter, 0.64) for letter in content) * size * (1.15 if bold else 1.0)


def runs_width(runs: tuple[TextRun, ...]) -> float:
    """Return the width of the runs of a formula, which no usual font exceeds."""
    # Serif fonts are a little wider than the sans serif ones of the same family.
    return 1.05 * fsum(
        text_width(run.text, FORMULA_SIZE * (INDEX_SIZE if run.level else 1.0)) for run in runs
    )


def _distance(one: Point, other: Point) -> float:
    return hypot(one[0] - other[0], one[1] - other[1])


def _grown(area: Area, by: float) -> Area:
    left, top, right, bottom = area
    return left - by, top - by, right + by, bottom + by


def _between(start: Point, end: Point, share: float) -> Point:
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def _inside(start: Point, end: Point, area: Area) -> tuple[float, float] | None:
    """Return the shares of the way from ``start`` to ``end`` between which it is in ``area``."""
    first, last = 0.0, 1.0
    for begin, way, low, high in (
        (start[0], end[0] - start[0], area[0], area[2]),
        (start[1], end[1] - start[1], area[1], area[3]),
    ):
        if not way:
            if not low < begin < high:
                return None
            continue
        shares = sorted(((low - begin) / way, (high - begin) / way))
        first, last = max(first, shares[0]), min(last, shares[1])
    return (first, last) if first < last else None


def _towards(start: Point, end: Point, distance: float) -> Point:
    """Return the point at ``distance`` from ``start`` on the way to ``end``."""
    length = _distance(start, end)
    share = distance / length if length else 0.0
    return _between(start, end, share)
