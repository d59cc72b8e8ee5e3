"""A picture while it is laid out: its parts, its left margin, and where the next arrows begin."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from math import inf

from rnnspec.drawing.attending import Folded
from rnnspec.drawing.layout.grid import (
    LANE,
    ROOM_FOR_ATTENTION,
    Axis,
    Column,
    attention_sides,
    lanes,
    named_results,
    split_heads,
)
from rnnspec.drawing.looks import dropout
from rnnspec.drawing.scene import (
    Anchor,
    Area,
    Box,
    Disc,
    Point,
    Polyline,
    Role,
    Shape,
    ShapeGroup,
    Text,
    text_width,
)
from rnnspec.drawing.words import MarginEntry, entry, input_entry, lengths
from rnnspec.ir import nodes
from rnnspec.ir.nodes import (
    Dense,
    Dropout,
    Layer,
    Learned,
    Recurrent,
    Residual,
    VectorInput,
    kept_outputs,
    sources,
)

SPACE = 1.5
"""The distance between an arrow and the node that it leaves or reaches."""
BESIDE = 12.0
"""The distance of a remark from the line that it is about."""
_MARGIN_GAP = 24.0
"""The distance of the network from the text in the left margin."""
LINE_HEIGHT = 17.0
_ENDS = ("data-from", "data-to", "data-lane")
"""The attributes of an edge that name a node."""
_SQUARE = 80.0
"""The side of a square of the grid in which nodes are looked up."""
_BREAK = 7.0
"""The distance of a line from a node that it runs behind."""
_TITLE_SIZE, NAME_SIZE, DETAIL_SIZE = 16.0, 13.0, 11.5
VECTOR_LANE = 11.0
"""The distance of two lanes of vectors."""
_STATES_WIDTH = 64.0
"""The room for first states left of the cells."""
_LANES = {
    (False, False): 54.0,
    (True, False): 71.0,
    (False, True): 60.0,
    (True, True): 168.0,
}
"""How far left of a column lane 0 is: with cells of both directions or not, folded or not."""
_WIDEST, _WIDEST_NOTE = 330.0, 130.0
"""The width from which an entry in the left margin, or a note at the right, has more lines."""
_LEGEND: dict[Role, str] = {"forward": "forward direction", "backward": "backward direction"}


class _Nodes:
    """The areas of nodes, by the squares of a grid that they are in."""

    def __init__(self) -> None:
        self._squares: dict[tuple[int, int], list[tuple[str, Area]]] = {}

    def add(self, name: str, area: Area) -> None:
        for square in self._covered(area):
            self._squares.setdefault(square, []).append((name, area))

    def near(self, line: Polyline, own: Collection[str]) -> set[Area]:
        """Return the areas that a line may run through, but for those of its ``own`` nodes."""
        return {
            area
            for (x, y), (to_x, to_y) in pairwise(line.points)
            for square in self._covered((min(x, to_x), min(y, to_y), max(x, to_x), max(y, to_y)))
            for name, area in self._squares.get(square, ())
            if name not in own
        }

    @staticmethod
    def _covered(area: Area) -> Iterator[tuple[int, int]]:
        left, top, right, bottom = (int(edge // _SQUARE) for edge in area)
        yield from product(range(left, right + 1), range(top, bottom + 1))


class Canvas:
    """Edges, nodes and notes; lines that cross others are drawn above them, nodes above both."""

    def __init__(self, *, labels: bool) -> None:
        self.labels = labels
        self._edges: list[ShapeGroup] = []
        self._crossing: list[ShapeGroup] = []
        self._nodes: list[ShapeGroup] = []
        self._notes: list[ShapeGroup] = []

    @property
    def parts(self) -> tuple[ShapeGroup, ...]:
        """Everything, in the order in which it is drawn.

        A line is broken at the nodes of others that it runs behind, where it would look like an
        arrow into them.
        """
        nodes = _Nodes()
        for part in self._nodes:
            if name := dict(part.data).get("data-node"):
                for shape in part.shapes:
                    if isinstance(shape, Box | Disc):
                        nodes.add(name, shape.area)
        edges = list[ShapeGroup]()
        for part in (*self._edges, *self._crossing):
            own = {value for key, value in part.data if key in _ENDS}
            lines = [line for line in part.shapes if isinstance(line, Polyline)]
            pieces = (
                piece for line in lines for piece in line.outside(nodes.near(line, own), _BREAK)
            )
            edges.append(replace(part, shapes=tuple(pieces)))
        return (*edges, *self._nodes, *self._notes)

    def node(self, layer: str, column: Column, *shapes: Shape, direction: str = "") -> str:
        """Add a node, and return its name."""
        name = column.name(f"{layer}.{direction}" if direction else layer)
        data = [("data-layer", layer), ("data-node", name)]
        data += [("data-direction", direction)] if direction else []
        self._nodes.append(ShapeGroup(tuple(data), shapes))
        return name

    def edge(self, source: str, target: str, *lines: Polyline, **data: str) -> None:
        """Add an edge between two nodes; ``data`` says what flows along it."""
        attributes = [(f"data-{key}", value) for key, value in data.items() if value]
        part = ShapeGroup((("data-from", source), ("data-to", target), *attributes), lines)
        crosses = any(line.cased for line in lines)
        (self._crossing if crosses else self._edges).append(part)

    def lane(self, source: str, line: Polyline) -> None:
        """Add a part of the way that several edges from a node have in common."""
        self._crossing.append(ShapeGroup((("data-lane", source),), (line,)))

    def marks(self, layer: str, *shapes: Shape) -> None:
        """Add shapes of a layer that are neither nodes nor edges."""
        self._nodes.append(ShapeGroup((("data-layer", layer),), shapes))

    def note(self, layer: str, *shapes: Shape) -> None:
        """Add a note, unless the picture has none."""
        if self.labels and shapes:
            self._notes.append(ShapeGroup((("data-layer", layer), ("data-note", "")), shapes))

    def bounds(self) -> Area:
        """Return the left, upper, right and lower edge of everything."""
        areas = [shape.area for part in self.parts for shape in part.shapes]
        lefts, tops, rights, bottoms = zip(*areas, strict=True)
        return min(lefts), min(tops), max(rights), max(bottoms)


@dataclass(frozen=True, slots=True)
class Outlet:
    """The place where an arrow leaves a node upwards; the node reaches ``half`` to both sides.

    ``via`` is the height of a dot on the arrow, where a residual or a join begins. ``side`` is the
    place at the side of the node where these begin instead, at the same height.
    """

    x: float
    y: float
    node: str
    half: float
    via: float | None = None
    side: float | None = None


@dataclass(frozen=True, slots=True)
class Flow:
    """What goes up from a layer; see ``Drawing``."""

    axis: Axis | None
    columns: tuple[Column, ...]
    outlets: list[Outlet | None]
    rates: list[float]
    notes: list[Note]
    last: str


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
        return wrap(self.text, 11, _WIDEST_NOTE)

    def texts(self, x: float, top: float) -> tuple[Text, ...]:
        """Return the note as texts that begin at ``x``."""
        if self.index is not None:
            at = x + 4 + 2.55 * len(self.index), top + self.height / 2
            return variable(at, self.text, self.index, 15, self.role)
        lines = enumerate(self._lines)
        return tuple(remark(x, top + 7.5 + 15 * row, line, self.role) for row, line in lines)


class Drawing:
    """The picture so far, row by row, from the input upwards.

    ``outlets`` has one entry per column, None where nothing goes up. ``axis`` is None once the
    sequence has become a vector. ``route`` is the distance of a residual from its column, if one
    has begun. ``branches`` has the outlets at which each residual begins, by its first layer, and
    ``forks`` what leaves each layer for others than the next. ``finals`` has the outlets of the
    final states beside the last row, ``contexts`` what leaves its attention, and ``forward_y`` is
    the height of its forward cells. ``last`` is the layer or input that the outlets belong to, and
    ``running`` has the sequences whose lanes go on. ``lengths`` has the name of the last step after
    each layer, and ``projections`` those of each attention. ``level`` is the centre of the row if
    it is placed already, because it has the layers of several heads.
    """

    def __init__(
        self, drawn: Folded, axes: Mapping[str, Axis], *, labels: bool, folded: bool
    ) -> None:
        self.network = network = drawn.network
        self.projections = drawn.projections
        self.canvas = Canvas(labels=labels)
        self.axes = axes
        self.folded = folded
        self.axis: Axis | None = None
        self.columns: tuple[Column, ...] = ()
        self.outlets: list[Outlet | None] = []
        self.top = self.floor = 0.0
        self.route = 0.0
        self.rates: list[float] = []
        self.notes: list[Note] = []
        self.named = False
        self.branches: dict[str, list[Outlet | None]] = {}
        self.forks: dict[str, Flow] = {}
        self.finals: dict[str, Outlet] = {}
        self.contexts: dict[str, Flow] = {}
        self._dotted = set[str]()
        self.running = set[str]()
        self._reached: dict[str, float] = {}
        self.forward_y = 0.0
        self.last = ""
        self.level: float | None = None
        self._margin: list[tuple[str, list[Text]]] = []
        self._centre = inf
        self._high = 0.0
        self._starts = {layer.start for layer in network.layers if isinstance(layer, Residual)}
        self._lanes = lanes(network)
        self._vector_lanes = lanes(network, vectors=True)
        self.lengths = lengths(drawn.whole)
        self._heads = {
            layer.name: head.name for head in split_heads(network)[1] for layer in head.layers
        }
        self._heads |= {
            layer: name for name, layer in named_results(network) if layer in network.ports
        }
        self._taken = sources(network)
        takers: dict[str, list[str]] = {}
        for name, taken in self._taken.items():
            for other in taken:
                takers.setdefault(other, []).append(name)
        self._forked = kept_outputs(network) | {
            name for name, others in takers.items() if not self._starts.isdisjoint(others)
        }
        self.first_states: dict[str, VectorInput | Learned] = {
            **network.learned,
            **{e.name: e for e in network.inputs if isinstance(e, VectorInput) and e.state},
        }
        both = any(isinstance(layer, Recurrent) and layer.merge for layer in network.layers)
        self._lane = _LANES[both, folded]
        if -1 in attention_sides(network) and not folded:
            self._lane = max(self._lane, _LANES[False, False] + ROOM_FOR_ATTENTION)
        self._far = (180.0 if both else 70.0) if folded else 130.0 if both else 104.0
        self._far = max(self._far, self.left + 40)
        self._far += _STATES_WIDTH if self.first_states or network.ports else 0.0

    @property
    def left(self) -> float:
        """How far lines to joins may be left of their column."""
        return max(map(self.lane, self._lanes), default=0.0)

    def lane(self, layer: str) -> float:
        """Return how far left of a column the output of a layer goes up to its joins."""
        return self._lane + LANE * self._lanes[layer]

    def lane_at(self, name: str, outlet: Outlet) -> float:
        """Return the place of the lane of a layer: that of a sequence is left of its column."""
        if name in self._lanes:
            return outlet.x - self.lane(name)
        return -self._far - VECTOR_LANE * self._vector_lanes[name]

    def reach(self, name: str, y: float) -> None:
        """Say that a lane is drawn up to a height."""
        self._reached[name] = min(y, self._reached.get(name, inf))

    def way(self, name: str, outlet: Outlet, y: float) -> tuple[Point, ...]:
        """Return the points from a outlet along the lane of its layer up to a height."""
        assert outlet.via is not None, "a fork has a height"
        x = self.lane_at(name, outlet)
        reached = self._reached.get(name, inf)
        if y < reached - 24 and reached < inf:  # goes on where the last line has left the lane
            line = Polyline(points=((x, reached + 12), (x, reached - 12)), head=False)
            self.canvas.lane(outlet.node, line)
            return (x, reached - 12), (x, y)
        if outlet.side is not None:
            return (outlet.side, outlet.via), (x, outlet.via), (x, y)
        # From a dot, if another arrow leads up to it.
        is_dotted = name in self._dotted or outlet.via > outlet.y - SPACE
        stem = () if is_dotted else ((outlet.x, outlet.y - SPACE),)
        return *stem, (outlet.x, outlet.via), (x, outlet.via), (x, y)

    def vector_way(self, name: str, y: float) -> tuple[str, tuple[Point, ...]]:
        """Return the node that an earlier vector comes from, and its way up to a height."""
        (outlet,) = self.forks[name].outlets
        assert outlet is not None, "a vector is no padding"
        way = self.way(name, outlet, y)
        self.reach(name, y)
        return outlet.node, way

    def takes(self, layer: Layer, name: str) -> bool:
        """True if a layer takes the output of this name first."""
        return self._taken[layer.name][0] == name

    def beside_lanes(self, x: float) -> float:
        """Return the place for a vector near ``x`` that no lane of a sequence goes through."""
        if not self.running:
            return x
        return min(
            (outlet.x for outlet in self.outlets if outlet), key=lambda place: abs(place - x)
        )

    def is_forked(self, layer: Layer) -> bool:
        """True if more than the next layer takes the output of a layer."""
        return layer.name in self._forked

    def entry(self, layer: Layer | nodes.Port) -> MarginEntry:
        """Return the margin entry of a layer, with the named head that it is in."""
        return entry(layer, self.lengths[layer.name], self._heads.get(layer.name, ""))

    def entries(self, layer: Layer) -> list[MarginEntry]:
        """Return the margin entries of a layer, and of all that stands beside it."""
        vectors = layer.first_states.values() if isinstance(layer, Recurrent) else ()
        firsts = [self.first_states.get(name) for name in vectors]
        return [
            *map(self.entry, self.projections.get(layer.name, ())),
            *(
                entry(state) if isinstance(state, Learned) else input_entry(state)
                for state in firsts
                if state is not None
            ),
            self.entry(layer),
            *map(self.entry, self.network.ports_of(layer.name)),
        ]

    def place(self, half: float, gap: float, *entries: MarginEntry, lift: float = 0.0) -> float:
        """Return the centre of the next row, which reaches ``half`` down from it.

        Its margin entries stand ``lift`` above the centre, and below no others.
        """
        if self.level is not None:
            return self.level
        centre = self.floor - gap - half
        if self.notes and self.canvas.labels:
            room = sum(note.height for note in self.notes) + 20
            centre = min(centre, self.top - room - half)
        if self.canvas.labels:
            blocks = [(entry.name, _entry_texts(entry)) for entry in entries]
            high = sum(LINE_HEIGHT * len(texts) for _, texts in blocks) + 8 * (len(blocks) - 1)
            room = (high + self._high) / 2 + 8
            centre = min(centre, self._centre - room + lift)
            self._high, self._centre = high, centre - lift
            low = self._centre + high / 2
            for name, texts in blocks:  # the first of them lowest, as in the rows of a picture
                low -= LINE_HEIGHT * len(texts)
                at = low + LINE_HEIGHT / 2 + 4.5
                self._margin.append((name, [replace(text, y=at + text.y) for text in texts]))
                low -= 8
        return centre

    def complete_row(self, outlets: list[Outlet | None], top: float) -> None:
        """Go on from these outlets: the row is complete, and reaches up to ``top``."""
        self.outlets, self.top, self.floor = outlets, top, top

    def to_vector(self, x: float, outlet: Outlet, top: float) -> None:
        """Go on with one vector instead of a sequence."""
        self.axis, self.columns = None, (Column(x, ""),)
        self.complete_row([outlet], top)

    @property
    def flow(self) -> Flow:
        """The inputs of the next row."""
        rates, notes = [*self.rates], [*self.notes]
        return Flow(self.axis, self.columns, [*self.outlets], rates, notes, self.last)

    @flow.setter
    def flow(self, flow: Flow) -> None:
        self.axis, self.columns, self.outlets = flow.axis, flow.columns, [*flow.outlets]
        self.rates, self.notes, self.last = [*flow.rates], [*flow.notes], flow.last

    def begin(self, layer: str, takes: Sequence[str], *, is_join: bool = False) -> None:
        """Go on with what a row takes, and let what others take leave for its lane.

        There is a dot on each arrow if it leads to another row, or to a residual, too.
        """
        follows = self.last in takes
        is_taken = self.last in self._lanes or self.last in self._vector_lanes
        if is_taken:
            self._put_dots(layer if follows else "")
            self._dotted |= {self.last} if follows else set()
            self.forks[self.last] = replace(self.flow, notes=[])
            self.running |= {self.last} if self.last in self._lanes else set()
        for name, outlet in self.finals.items():
            if name in self._vector_lanes:
                self.floor -= 12
                outlets: list[Outlet | None] = [replace(outlet, via=self.floor)]
                self.forks[name] = Flow(None, (Column(outlet.x, ""),), outlets, [], [], name)
        used = {name: flow for name, flow in self.contexts.items() if name in self._lanes}
        self.forks |= used
        self.running |= used.keys()
        self.finals, self.contexts = {}, {}
        if not follows:
            self.rates, self.notes = [], []
            if takes and not is_join:
                self._resume(takes[0])
        if layer in self._starts:
            self._put_dots(layer)
            self.branches[layer] = self.outlets

    def _put_dots(self, layer: str) -> None:
        """Let something leave the arrows: at dots, if they lead to a ``layer`` too."""
        if any(outlet.via is not None for outlet in self.outlets if outlet):
            return
        via = self.top - 14
        self.floor = min(self.floor, via)
        self.outlets = [outlet and replace(outlet, via=via) for outlet in self.outlets]
        if layer:
            outlets = [outlet for outlet in self.outlets if outlet]
            discs = [
                Disc(x=outlet.x, y=via, radius=2.6, role="ink", solid=True) for outlet in outlets
            ]
            self.canvas.marks(layer, *discs)

    def _resume(self, name: str) -> None:
        """Go on with an earlier output, which comes up along its lane."""
        turn = self.floor - 14
        flow = self.forks[name]
        top = turn - 12
        for outlet in flow.outlets:
            if outlet:
                points = (*self.way(name, outlet, turn), (outlet.x, turn), (outlet.x, top - SPACE))
                self.canvas.lane(outlet.node, Polyline(points=points, cased=True, head=False))
        self.reach(name, turn)
        self.flow = flow
        self.complete_row(
            [outlet and Outlet(outlet.x, top, outlet.node, 4) for outlet in flow.outlets], top
        )

    def draw_drop(self, layer: Dropout) -> None:
        """Draw a dropout that is a layer: the arrows through its row are dashed.

        They end in a dot if more than the next layer takes them.
        """
        is_forked = self.is_forked(layer)
        # The remark on the dropout is below the dot, and above those on the node below.
        y = self.place(10, 34 if is_forked else 16, self.entry(layer))
        self.floor = y - 10
        self.drop(layer)
        if not is_forked:
            return
        outlets: list[Outlet | None] = []
        for column, outlet in zip(self.columns, self.outlets, strict=True):
            if outlet is None:
                outlets.append(None)
                continue
            disc = Disc(x=column.x, y=y - 10, radius=2.6, role="ink", solid=True)
            name = self.canvas.node(layer.name, column, disc)
            self.rise(outlet, name, (column.x, y - 10 + 2.6))
            outlets.append(Outlet(column.x, y - 10, name, 2.6, via=y - 10))
        self.write_notes(layer.name, y - 10)
        self.complete_row(outlets, y - 10)

    def draw_ellipsis(self, layer: str, y: float) -> None:
        """Draw dots for the steps that are left out."""
        if self.axis and self.axis.dots is not None:
            self.canvas.marks(layer, *dots(self.axis.dots, y))

    def drop(self, layer: Dropout | Recurrent) -> None:
        """Have the next arrows dashed if a layer drops some of its input."""
        if text := dropout(layer):
            self.rates.append(layer.rate if isinstance(layer, Dropout) else layer.dropout)
            self.notes.append(Note(text, "dropout"))

    def rise(
        self, outlet: Outlet, target: str, end: Point, *, cased: bool = False, width: float = 1.4
    ) -> None:
        """Draw the arrow from a outlet to the lower edge of a node, with its dot and its dashes."""
        self._draw_up(outlet, target, _path(outlet, end), cased=cased, width=width)

    def slant(self, outlet: Outlet, target: str, end: Point, width: float = 1.1) -> None:
        """Draw a straight arrow from a outlet to the lower edge of a node beside it."""
        start, tip = (outlet.x, outlet.y - SPACE), (end[0], end[1] + SPACE)
        points = (start, tip) if outlet.via is None else (start, (outlet.x, outlet.via), tip)
        self._draw_up(outlet, target, points, width=width)

    def _draw_up(
        self,
        outlet: Outlet,
        target: str,
        points: tuple[Point, ...],
        *,
        cased: bool = False,
        width: float = 1.4,
    ) -> None:
        lines = []
        if outlet.via is not None and self.rates:  # dashed from the dot on
            dot = outlet.x, outlet.via
            lines.append(Polyline(points=(points[0], dot), head=False, width=width))
            points = (dot, *points[1:]) if points[1] != dot else points[1:]
        role: Role = "dropout" if self.rates else "ink"
        dashed = role == "dropout"
        lines.append(Polyline(points=points, role=role, dashed=dashed, cased=cased, width=width))
        rates = " ".join(f"{rate:g}" for rate in self.rates)
        self.canvas.edge(outlet.node, target, *lines, dropout=rates)

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

    def write_margin(self, total: tuple[str, str], y: float) -> float:
        """Write the left margin: the rows of the summary, and the total below a rule at ``y``.

        Returns:
            where its texts begin.
        """
        if not self.canvas.labels:
            return 0.0
        last = Text(x=0, y=y + 19, content=total[0], size=NAME_SIZE, weight=600, more=total[1])
        width = max(last.width, *(text.width for _, texts in self._margin for text in texts))
        right = self.canvas.bounds()[0] - _MARGIN_GAP
        x = right - width
        for layer, texts in self._margin:
            self.canvas.note(layer, *(replace(text, x=x) for text in texts))
        for tied in self.network.layers:
            if isinstance(tied, Dense) and tied.tied:
                self._tie(tied.name, tied.tied, x)
        rule = Polyline(points=((x, y), (right, y)), role="rule", width=1, head=False)
        self.canvas.note("", rule, replace(last, x=x))
        return x

    def _tie(self, layer: str, embedding: str, x: float) -> None:
        """Draw a dotted line down the margin, from a layer to the embedding that it shares."""
        heights = {name: texts[0].y - 4.5 for name, texts in self._margin}
        start, end = heights[layer], heights[embedding]
        points = ((x - 4, start), (x - 18, start), (x - 18, end), (x - 4, end))
        line = Polyline(points=points, role="grey", dashed=True)
        self.canvas.note(layer, line)

    def write_legend(self, y: float) -> None:
        """Write which direction has which colour, below the network."""
        x = self.canvas.bounds()[0]
        for role, content in _LEGEND.items():
            frame = Box(x=x + 10, y=y - 4, width=20, height=13, radius=4, role=role)
            text = Text(x=x + 27, y=y, content=content, size=DETAIL_SIZE, role=role)
            self.canvas.note("", frame, text)
            x = text.area[2] + 24


def _entry_texts(entry: MarginEntry) -> list[Text]:
    """Return the lines of an entry, the first of them at 0; that of the network is its name."""
    size = NAME_SIZE if entry.kind else _TITLE_SIZE
    wide = text_width(entry.name, size, bold=True) + text_width(entry.kind, size) > _WIDEST
    more = "" if wide else entry.kind
    texts = [Text(x=0, y=0, content=entry.name, size=size, weight=600, more=more)]
    for content in wrap(entry.kind, size, _WIDEST) if wide and entry.kind else ():
        texts.append(Text(x=0, y=len(texts) * LINE_HEIGHT, content=content, size=size))
    if entry.detail:
        y = len(texts) * LINE_HEIGHT
        texts.append(Text(x=0, y=y, content=entry.detail, size=DETAIL_SIZE, role="grey"))
    return texts


def wrap(content: str, size: float, widest: float) -> list[str]:
    """Return a text in lines, broken after commas and colons."""
    lines = [""]
    for piece in re.split(r"(?<=[,:]) ", content):
        longer = f"{lines[-1]} {piece}" if lines[-1] else piece
        if lines[-1] and text_width(longer, size) > widest:
            lines.append(piece)
        else:
            lines[-1] = longer
    return lines


def _path(outlet: Outlet, end: Point) -> tuple[Point, ...]:
    """Return the way of an arrow, with a bend where it ends beside its node."""
    start, tip = (outlet.x, outlet.y - SPACE), (end[0], end[1] + SPACE)
    if end[0] == outlet.x:
        return start, tip
    if abs(end[0] - outlet.x) < outlet.half - 8 and outlet.via is None:
        return (end[0], start[1]), tip
    bend = (outlet.y if outlet.via is None else outlet.via) - 16
    return start, (outlet.x, bend), (end[0], bend), tip


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


def circle_width(column: Column) -> float:
    """Return the width of the circle around a variable; wider than 38, it is a pill."""
    index = "" if column.padded else column.step
    return 38.0 if len(index) < 3 else 22 + 7.5 * len(index)


def variable_node(
    column: Column, y: float, letter: str, width: float, *, is_round: bool
) -> tuple[Shape, ...]:
    """Return the input or the result at one step."""
    role: Role = "padding" if column.padded else "plain"
    x, dashed = column.x, column.padded
    frame: Shape = Disc(x=x, y=y, radius=19, role=role, dashed=dashed)
    if not is_round or width != 38.0:
        high, radius = (38.0, 19.0) if is_round else (34.0, 5.0)
        frame = Box(x=x, y=y, width=width, height=high, radius=radius, role=role, dashed=dashed)
    if column.padded:
        return frame, label(x, y, "pad", "grey")
    return frame, *variable((x, y), letter, column.step, 18)


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
    lines = _fit(content, size[0] - 6) if content else ()
    ink, letters = ("grey" if hollow else role), 12 if len(lines) == 1 else 11
    first = y - 6.5 * (len(lines) - 1)
    return frame, *(label(x, first + 13 * at, line, ink, letters) for at, line in enumerate(lines))


def _fit(content: str, width: float) -> tuple[str, ...]:
    """Return the text of a node in one line or, broken after underscores, in two."""
    if text_width(content, 12) <= width:
        return (content,)
    pieces = content.split("_")
    ways = (("_".join(pieces[:at]), "_".join(pieces[at:])) for at in range(1, len(pieces)))
    lines = min(ways, key=lambda way: max(map(len, way)), default=(content,))
    return tuple(_cut(line, width) for line in lines if line)


def _cut(line: str, width: float) -> str:
    """Return a line that is no wider than a width, with dots for the rest."""
    shown = line
    while text_width(shown, 11) > width:
        shown = f"{shown.removesuffix('…')[:-1]}…"
    return shown


def fits(content: str, room: float, size: float = 12) -> bool:
    """True if a text fits into a room, with space at both ends."""
    return text_width(content, size) + 24 <= room
