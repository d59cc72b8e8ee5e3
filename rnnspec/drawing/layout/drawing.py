"""A picture while it is laid out: its parts, its left margin, and where the next arrows begin."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

from rnnspec.drawing.layout.grid import Axis, Column
from rnnspec.drawing.scene import (
    Anchor,
    Area,
    Box,
    Disc,
    Line,
    Part,
    Point,
    Role,
    Shape,
    Text,
    text_width,
)
from rnnspec.drawing.words import Entry, dropout
from rnnspec.ir.nodes import Dropout, Network, Recurrent, Residual

SPACE = 1.5
"""The distance between an arrow and the node that it leaves or reaches."""
BESIDE = 12.0
"""The distance of a remark from the line that it is about."""
_MARGIN_GAP = 24.0
"""The distance of the network from the text in the left margin."""
_LINE_HEIGHT = 17.0
_TITLE_SIZE, _NAME_SIZE, _DETAIL_SIZE = 16.0, 13.0, 11.5
_WIDEST, _WIDEST_NOTE = 330.0, 130.0
"""The width from which an entry in the left margin, or a note at the right, has more lines."""
_LEGEND: dict[Role, str] = {"forward": "forward direction", "backward": "backward direction"}


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
        attributes = [(f"data-{key}", value) for key, value in data.items() if value]
        part = Part((("data-from", source), ("data-to", target), *attributes), lines)
        crosses = any(line.cased for line in lines)
        (self._crossing if crosses else self._edges).append(part)

    def marks(self, layer: str, *shapes: Shape) -> None:
        """Add shapes of a layer that are neither nodes nor edges."""
        self._nodes.append(Part((("data-layer", layer),), shapes))

    def note(self, layer: str, *shapes: Shape) -> None:
        """Add a note, unless the picture has none."""
        if self.labels and shapes:
            self._notes.append(Part((("data-layer", layer), ("data-note", "")), shapes))

    def bounds(self) -> Area:
        """Return the left, upper, right and lower edge of everything."""
        areas = [shape.area for part in self.parts for shape in part.shapes]
        lefts, tops, rights, bottoms = zip(*areas, strict=True)
        return min(lefts), min(tops), max(rights), max(bottoms)


@dataclass(frozen=True, slots=True)
class Port:
    """The place where an arrow leaves a node upwards; the node reaches ``half`` to both sides.

    ``via`` is the height of a dot on the arrow, where a residual begins.
    """

    x: float
    y: float
    node: str
    half: float
    via: float | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A remark to the right of a row: a text, or a variable with its index."""

    text: str
    role: Role
    index: str | None = None

    @property
    def height(self) -> float:
        """The height of its lines."""
        return 24.0 if self.index is not None else 15.0 * len(self._lines)

    @property
    def _lines(self) -> list[str]:
        return _wrap(self.text, 11, _WIDEST_NOTE)

    def texts(self, x: float, top: float) -> tuple[Text, ...]:
        """Return the note as texts that begin at ``x``."""
        if self.index is not None:
            at = x + 4 + 2.55 * len(self.index), top + self.height / 2
            return variable(at, self.text, self.index, 15, self.role)
        lines = enumerate(self._lines)
        return tuple(remark(x, top + 7.5 + 15 * row, line, self.role) for row, line in lines)


class Drawing:
    """What has been drawn, row by row, from the input upwards.

    ``ports`` has one entry per column, None where nothing goes up. ``axis`` is None once the
    sequence has become a vector. ``route`` is the distance of a residual from its column, if one
    has begun. ``branches`` has the ports at which each residual begins, by its first layer.
    """

    def __init__(self, network: Network, axes: list[Axis], *, labels: bool, folded: bool) -> None:
        self.network = network
        self.canvas = Canvas(labels=labels)
        self.axes = axes
        self.folded = folded
        self.axis: Axis | None = axes[0]
        self.columns: tuple[Column, ...] = axes[0].columns
        self.ports: list[Port | None] = []
        self.top = self.floor = 0.0
        self.route = 0.0
        self.rates: list[float] = []
        self.notes: list[Note] = []
        self.named = False
        self.branches: dict[str, list[Port | None]] = {}
        self._margin: list[tuple[str, list[Text]]] = []
        self._centre = inf
        self._lines = 0
        self._starts = {layer.start for layer in network.layers if isinstance(layer, Residual)}

    def place(self, half: float, gap: float, entry: Entry, lift: float = 0.0) -> float:
        """Return the centre of the next row, which reaches ``half`` down from it.

        Its margin entry stands ``lift`` above the centre, and below no other.
        """
        centre = self.floor - gap - half
        if self.notes and self.canvas.labels:
            room = sum(note.height for note in self.notes) + 20
            centre = min(centre, self.top - room - half)
        if self.canvas.labels:
            texts = _entry_texts(entry)
            lines = len(texts)
            room = _LINE_HEIGHT * (lines + self._lines) / 2 + 8
            centre = min(centre, self._centre - room + lift)
            self._lines, self._centre = lines, centre - lift
            top = self._centre - _LINE_HEIGHT * (lines - 1) / 2 + 4.5
            self._margin.append((entry.name, [replace(text, y=top + text.y) for text in texts]))
        return centre

    def complete_row(self, ports: list[Port | None], top: float) -> None:
        """Go on from these ports: the row is complete, and reaches up to ``top``."""
        self.ports, self.top, self.floor = ports, top, top

    def to_vector(self, x: float, port: Port, top: float) -> None:
        """Go on with one vector instead of a sequence."""
        self.axis, self.columns = None, (Column(x, ""),)
        self.complete_row([port], top)

    def begin(self, layer: str) -> None:
        """Put a dot on each arrow if a residual begins with the input of this layer."""
        if layer not in self._starts:
            return
        via = self.top - 14
        self.floor = min(self.floor, via)
        self.ports = [port and replace(port, via=via) for port in self.ports]
        self.branches[layer] = self.ports
        ports = [port for port in self.ports if port]
        discs = [Disc(x=port.x, y=via, radius=2.6, role="ink", solid=True) for port in ports]
        self.canvas.marks(layer, *discs)

    def drop(self, layer: Dropout | Recurrent) -> None:
        """Have the next arrows dashed if a layer drops some of its input."""
        if text := dropout(layer):
            self.rates.append(layer.rate if isinstance(layer, Dropout) else layer.dropout)
            self.notes.append(Note(text, "dropout"))

    def rise(self, port: Port, target: str, end: Point, *, cased: bool = False) -> None:
        """Draw the arrow from a port to the lower edge of a node, with its dot and its dashes."""
        points, lines = _path(port, end), []
        if port.via is not None and self.rates:  # dashed from the dot on
            dot = port.x, port.via
            lines.append(Line(points=(points[0], dot), head=False))
            points = (dot, *points[1:])
        role: Role = "dropout" if self.rates else "ink"
        lines.append(Line(points=points, role=role, dashed=role == "dropout", cased=cased))
        rates = " ".join(f"{rate:g}" for rate in self.rates)
        self.canvas.edge(port.node, target, *lines, dropout=rates)

    def write_notes(self, layer: str, bottom: float, right: float = 0.0) -> None:
        """Write the notes on the arrows that have reached a row, and forget them."""
        last = self.columns[-1]
        x = last.x + max(right, self.route, 56 if last.padded else 0)
        self.write_beside(layer, x, (self.top + bottom) / 2, self.notes)
        self.notes, self.rates = [], []

    def write_beside(self, layer: str, x: float, y: float, notes: Sequence[Note]) -> None:
        """Write notes to the right of ``x`` below each other, their middle at ``y``."""
        top = y - sum(note.height for note in notes) / 2
        for note in notes:
            self.canvas.note(layer, *note.texts(x + BESIDE, top))
            top += note.height

    def write_margin(self, total: tuple[str, str], y: float) -> None:
        """Write the left margin: the rows of the summary, and the total below a rule at ``y``."""
        if not self.canvas.labels:
            return
        last = Text(x=0, y=y + 19, content=total[0], size=_NAME_SIZE, weight=600, more=total[1])
        width = max(last.width, *(text.width for _, texts in self._margin for text in texts))
        right = self.canvas.bounds()[0] - _MARGIN_GAP
        x = right - width
        for layer, texts in self._margin:
            self.canvas.note(layer, *(replace(text, x=x) for text in texts))
        rule = Line(points=((x, y), (right, y)), role="rule", width=1, head=False)
        self.canvas.note("", rule, replace(last, x=x))

    def write_legend(self, y: float) -> None:
        """Write which direction has which colour, below the network."""
        x = self.canvas.bounds()[0]
        for role, content in _LEGEND.items():
            frame = Box(x=x + 10, y=y - 4, width=20, height=13, radius=4, role=role)
            text = Text(x=x + 27, y=y, content=content, size=_DETAIL_SIZE, role=role)
            self.canvas.note("", frame, text)
            x = text.area[2] + 24


def _entry_texts(entry: Entry) -> list[Text]:
    """Return the lines of an entry, the first of them at 0; that of the network is its name."""
    size = _NAME_SIZE if entry.kind else _TITLE_SIZE
    wide = text_width(entry.name, size, bold=True) + text_width(entry.kind, size) > _WIDEST
    more = "" if wide else entry.kind
    texts = [Text(x=0, y=0, content=entry.name, size=size, weight=600, more=more)]
    for content in _wrap(entry.kind, size, _WIDEST) if wide and entry.kind else ():
        texts.append(Text(x=0, y=len(texts) * _LINE_HEIGHT, content=content, size=size))
    if entry.detail:
        y = len(texts) * _LINE_HEIGHT
        texts.append(Text(x=0, y=y, content=entry.detail, size=_DETAIL_SIZE, role="grey"))
    return texts


def _wrap(content: str, size: float, widest: float) -> list[str]:
    """Return a text in lines, broken after commas and colons."""
    lines = [""]
    for piece in re.split(r"(?<=[,:]) ", content):
        longer = f"{lines[-1]} {piece}" if lines[-1] else piece
        if lines[-1] and text_width(longer, size) > widest:
            lines.append(piece)
        else:
            lines[-1] = longer
    return lines


def _path(port: Port, end: Point) -> tuple[Point, ...]:
    """Return the way of an arrow, with a bend where it ends beside its node."""
    start, tip = (port.x, port.y - SPACE), (end[0], end[1] + SPACE)
    if end[0] == port.x:
        return start, tip
    if abs(end[0] - port.x) < port.half - 8 and port.via is None:
        return (end[0], start[1]), tip
    bend = (port.y if port.via is None else port.via) - 16
    return start, (port.x, bend), (end[0], bend), tip


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


def fits(content: str, room: float, size: float = 12) -> bool:
    """Return whether a text fits into a room, with space at both ends."""
    return text_width(content, size) + 24 <= room
