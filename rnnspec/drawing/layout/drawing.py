"""The state of a layout: the rows so far, and where the next arrows begin."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from rnnspec.drawing.layout import margin
from rnnspec.drawing.layout.axes import Axis, Column
from rnnspec.drawing.layout.canvas import SPACE, Canvas, remark, variable
from rnnspec.drawing.scene import Disc, Line, Point, Role, Text
from rnnspec.drawing.words import Entry
from rnnspec.ir.nodes import Network, Residual

BESIDE = 12.0
"""The distance of a remark from the line that it is about."""


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
    has begun.
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
        self._centre = inf
        self._lines = 0
        self._starts = {each.start for each in network.layers if isinstance(each, Residual)}
        self._dots: dict[str, list[Port | None]] = {}

    def place(self, half: float, gap: float, entry: Entry | None, lift: float = 0.0) -> float:
        """Return the centre of the next row, which reaches ``half`` down from it.

        Its margin entry stands ``lift`` above the centre, and below no other.
        """
        gap = max(gap, 16 * len(self.notes) + 20 if self.canvas.labels else 0)
        centre = self.floor - gap - half
        if entry is not None and self.canvas.labels:
            lines = margin.lines(entry)
            room = margin.LINE * (lines + self._lines) / 2 + 8
            centre = min(centre, self._centre - room + lift)
            self._lines, self._centre = lines, centre - lift
            margin.write(self.canvas, entry, self._centre)
        return centre

    def raised(self, ports: list[Port | None], top: float) -> None:
        """Go on from these ports: the row is complete, and reaches up to ``top``."""
        self.ports, self.top, self.floor = ports, top, top

    def to_vector(self, x: float, port: Port, top: float) -> None:
        """Go on with one vector instead of a sequence."""
        self.axis, self.columns = None, (Column(x, ""),)
        self.raised([port], top)

    def begin(self, layer: str) -> None:
        """Put a dot on each arrow if a residual begins with the input of this layer."""
        if layer not in self._starts:
            return
        via = self.top - 14
        self.floor = min(self.floor, via)
        self.ports = [port and replace(port, via=via) for port in self.ports]
        self._dots[layer] = self.ports
        found = [port for port in self.ports if port]
        discs = [Disc(x=p.x, y=via, radius=2.6, role="ink", solid=True) for p in found]
        self.canvas.marks(layer, *discs)

    def residuals(self, start: str) -> list[Port | None]:
        """Return the dots where the residual that starts at a layer begins."""
        return self._dots[start]

    def drop(self, rate: float, words: str) -> None:
        """Have the next arrows dashed."""
        self.rates.append(rate)
        self.notes.append(Note(words, "dropout"))

    def rise(self, port: Port, target: str, end: Point, *, cased: bool = False) -> None:
        """Draw the arrow from a port to the lower edge of a node, with its dot and its dashes."""
        role: Role = "dropout" if self.rates else "ink"
        points = _path(port, end)
        lines = [_arrow(points, role, cased=cased)]
        if port.via is not None and self.rates:
            lines = _split(points, port.via, role, cased=cased)
        rates = " ".join(f"{rate:g}" for rate in self.rates)
        self.canvas.edge(port.node, target, *lines, dropout=rates)

    def arrived(self, layer: str, bottom: float, right: float = 0.0) -> None:
        """Write the remarks on the arrows that have reached a row, and forget them."""
        last = self.columns[-1]
        x = last.x + max(right, self.route, 56 if last.padded else 0) + BESIDE
        y = (self.top + bottom) / 2 - 8 * (len(self.notes) - 1)
        for note in self.notes:
            self.canvas.note(layer, *_note(note, x, y))
            y += 16
        self.notes, self.rates = [], []

    def beside(self, layer: str, x: float, y: float, texts: list[tuple[str, Role]]) -> None:
        """Write remarks to the right of a row, below each other."""
        y -= 8 * (len(texts) - 1)
        for content, role in texts:
            self.canvas.note(layer, remark(x + BESIDE, y, content, role))
            y += 16


def _path(port: Port, end: Point) -> tuple[Point, ...]:
    """Return the way of an arrow, with a bend where it ends beside its node."""
    start, tip = (port.x, port.y - SPACE), (end[0], end[1] + SPACE)
    if end[0] == port.x:
        return start, tip
    if abs(end[0] - port.x) < port.half - 8 and port.via is None:
        return (end[0], start[1]), tip
    bend = (port.y if port.via is None else port.via) - 16
    return start, (port.x, bend), (end[0], bend), tip


def _arrow(points: tuple[Point, ...], role: Role, *, cased: bool) -> Line:
    return Line(points=points, role=role, dashed=role == "dropout", cased=cased)


def _split(points: tuple[Point, ...], via: float, role: Role, *, cased: bool) -> list[Line]:
    x = points[0][0]
    below = Line(points=(points[0], (x, via)), head=False)
    return [below, _arrow(((x, via), *points[1:]), role, cased=cased)]


def _note(note: Note, x: float, y: float) -> tuple[Text, ...]:
    if note.index is None:
        return (remark(x, y, note.text, note.role),)
    return variable((x + 4 + 2.55 * len(note.index), y), note.text, note.index, 15, note.role)
