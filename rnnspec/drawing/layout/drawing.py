"""A picture while it is laid out: its parts, its left margin, and where the next arrows begin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
LEFT = 20.0
"""The left edge of the margin, which is the summary: an entry for each row."""
_LINE_HEIGHT = 17.0
_NAME_SIZE, _DETAIL_SIZE = 13.0, 11.5
_WIDEST = 330.0
"""The width from which the kind stands below the name."""


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
    """A remark on the next arrows: a text, or a variable with its index."""

    text: str
    role: Role
    index: str | None = None


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
        self._centre = inf
        self._lines = 0
        self._starts = {layer.start for layer in network.layers if isinstance(layer, Residual)}

    def place(self, half: float, gap: float, entry: Entry | None, lift: float = 0.0) -> float:
        """Return the centre of the next row, which reaches ``half`` down from it.

        Its margin entry stands ``lift`` above the centre, and below no other.
        """
        gap = max(gap, 16 * len(self.notes) + 20 if self.canvas.labels else 0)
        centre = self.floor - gap - half
        if entry is not None and self.canvas.labels:
            lines = len(_entry_texts(entry, 0.0))
            room = _LINE_HEIGHT * (lines + self._lines) / 2 + 8
            centre = min(centre, self._centre - room + lift)
            self._lines, self._centre = lines, centre - lift
            top = self._centre - _LINE_HEIGHT * (lines - 1) / 2 + 4.5
            self.canvas.note(entry.name, *_entry_texts(entry, top))
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
        """Write the remarks on the arrows that have reached a row, and forget them."""
        last = self.columns[-1]
        x = last.x + max(right, self.route, 56 if last.padded else 0) + BESIDE
        y = (self.top + bottom) / 2 - 8 * (len(self.notes) - 1)
        for note in self.notes:
            texts: tuple[Text, ...] = (remark(x, y, note.text, note.role),)
            if note.index is not None:
                at = x + 4 + 2.55 * len(note.index), y
                texts = variable(at, note.text, note.index, 15, note.role)
            self.canvas.note(layer, *texts)
            y += 16
        self.notes, self.rates = [], []

    def write_beside(self, layer: str, x: float, y: float, texts: list[tuple[str, Role]]) -> None:
        """Write remarks to the right of a row, below each other."""
        y -= 8 * (len(texts) - 1)
        for content, role in texts:
            self.canvas.note(layer, remark(x + BESIDE, y, content, role))
            y += 16

    def write_total(self, total: tuple[str, str], top: float) -> None:
        """Write the number of parameters of the whole network below a rule."""
        rule = Line(points=((LEFT, top), (LEFT + 240, top)), role="rule", width=1, head=False)
        self.canvas.note("", rule, _total_text(total, top + 19))


def margin_width(entries: Iterable[Entry], total: tuple[str, str]) -> float:
    """Return the width of the margin's text."""
    texts = [text for entry in entries for text in _entry_texts(entry, 0.0)]
    return max(240.0, *(text.width for text in [*texts, _total_text(total, 0.0)]))


def _total_text(total: tuple[str, str], y: float) -> Text:
    return Text(x=LEFT, y=y, content=total[0], size=_NAME_SIZE, weight=600, more=total[1])


def _entry_texts(entry: Entry, y: float) -> list[Text]:
    size = _NAME_SIZE
    wide = text_width(entry.name, size, bold=True) + text_width(entry.kind, size) > _WIDEST
    more = "" if wide else entry.kind
    texts = [Text(x=LEFT, y=y, content=entry.name, size=size, weight=600, more=more)]
    for content in _wrap_kind(entry.kind) if wide else ():
        y += _LINE_HEIGHT
        texts.append(Text(x=LEFT, y=y, content=content, size=size))
    if entry.detail:
        y += _LINE_HEIGHT
        texts.append(Text(x=LEFT, y=y, content=entry.detail, size=_DETAIL_SIZE, role="grey"))
    return texts


def _wrap_kind(kind: str) -> list[str]:
    """Return a kind in lines, broken after commas."""
    lines = [""]
    for setting in kind.split(", "):
        longer = f"{lines[-1]}, {setting}" if lines[-1] else setting
        if lines[-1] and text_width(longer, _NAME_SIZE) > _WIDEST:
            lines[-1] += ","
            lines.append(setting)
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
