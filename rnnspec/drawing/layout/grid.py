"""The rows and columns of a picture: which layers and which time steps are drawn, and where.

A row is a layer, or dots for many layers that are alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from rnnspec.drawing.looks import look
from rnnspec.drawing.options import Options
from rnnspec.drawing.steps import Gathered, Steps, gather, input_steps, steps_of
from rnnspec.drawing.words import lengths
from rnnspec.errors import UsageError
from rnnspec.ir.nodes import (
    INPUT,
    Attention,
    Conv,
    Dropout,
    Flatten,
    Join,
    LastSteps,
    Layer,
    Network,
    Pooling,
    Recurrent,
    Repeat,
    Residual,
    WindowPooling,
    kept_outputs,
    sources,
)

_MOST_ALIKE = 6
"""The longest run of equal blocks that is drawn in full."""
_MOST_ROWS = 60
"""The largest number of rows of a picture."""
_MOST_HEADS = 30
"""The largest number of heads of a picture."""
_PITCH, _WIDE_PITCH = 126.0, 142.0
"""The distance of two columns, and that of a bidirectional layer."""
_ROOM_FOR_RESIDUAL = 14.0
_ROOM_FOR_DOTS = 100.0


@dataclass(frozen=True, slots=True)
class Hidden:
    """Layers that are alike, in the middle of a run: dots stand for them."""

    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Poolings:
    """Several poolings of one sequence, and the join of their vectors."""

    layers: tuple[Pooling | Attention, ...]
    join: Join


@dataclass(frozen=True, slots=True)
class Head:
    """A named output, and the layers from the trunk to it."""

    name: str
    layers: tuple[Layer, ...]

    @property
    def is_stepwise(self) -> bool:
        """True if it has a result for each time step of a trunk that is a sequence."""
        apart = Pooling | Attention | Flatten | LastSteps
        return not any(isinstance(layer, apart) for layer in self.layers)


def split_heads(network: Network) -> tuple[tuple[Layer, ...], tuple[Head, ...]]:
    """Return the layers of the trunk, and the heads above it; without names, there are none."""
    if not network.outputs:
        return network.layers, ()
    sources_of, paths = sources(network), list[set[str]]()
    for _, last in network.outputs:
        path, waiting = set[str](), [last]
        while waiting:
            name = waiting.pop()
            if name != INPUT and name not in path:
                path.add(name)
                waiting += sources_of[name]
        paths.append(path)
    shared = set.intersection(*paths)
    heads = tuple(
        Head(name, tuple(one for one in network.layers if one.name in path - shared))
        for (name, _), path in zip(network.outputs, paths, strict=True)
    )
    return tuple(layer for layer in network.layers if layer.name in shared), heads


Row = Layer | Hidden | Poolings
Block = tuple[Layer, ...]


def rows(network: Network) -> list[Row]:
    """Return the rows from the input up to the result, or to the heads.

    Raises:
        UsageError: there are too many for a picture.
    """
    rows: list[Row] = []
    shared_outputs = kept_outputs(network)
    trunk, heads = split_heads(network)
    for _, blocks in groupby(
        _blocks(trunk), lambda block: [_anonymous(layer, shared_outputs) for layer in block]
    ):
        run = list(blocks)
        if len(run) > _MOST_ALIKE:
            inner = tuple(layer for block in run[1:-1] for layer in block)
            rows += [*run[0], Hidden(inner), *run[-1]]
        else:
            rows += [layer for block in run for layer in block]
    rows = side_by_side(rows)
    number = len(rows) + max((len(head.layers) for head in heads), default=0)
    if number > _MOST_ROWS or len(heads) > _MOST_HEADS:
        what = f"{number} rows" if number > _MOST_ROWS else f"{len(heads)} heads"
        most = _MOST_ROWS if number > _MOST_ROWS else _MOST_HEADS
        raise UsageError(
            f"{network.name} has {what} to draw, expected at most {most}; "
            "'rnnspec summary' prints them as a table"
        )
    return rows


def side_by_side(rows: Sequence[Row]) -> list[Row]:
    """Return rows in which the poolings of a list are one row."""
    result: list[Row] = []
    for row in rows:
        parts = [last for last in result if isinstance(last, Pooling | Attention)]
        if isinstance(row, Join) and len(row.output) == 1 and parts:
            result[-len(parts) :] = [Poolings(tuple(parts), row)]
        else:
            result.append(row)
    return result


def _blocks(layers: Sequence[Layer]) -> Iterator[Block]:
    """Yield each layer with the dropout before it, its norm, activation and residual."""
    block: list[Layer] = []
    for layer in layers:
        belongs = look(layer).shape in ("slab", "sum")
        if not belongs and any(not isinstance(member, Dropout) for member in block):
            yield tuple(block)
            block = []
        block.append(layer)
    if block:
        yield tuple(block)


def _anonymous(layer: Layer, shared_outputs: frozenset[str]) -> Layer:
    """Return a layer without what may differ between layers that are alike.

    A layer with an output that is ``kept`` for later ones, or with a time axis of its own, has
    everything to itself.
    """
    match layer:
        case _ if layer.name in shared_outputs:
            return layer
        case Join() | Repeat() | LastSteps():
            return layer
        case Conv(window=window) | WindowPooling(window=window) if not window.keeps_steps:
            return layer
        case Recurrent():
            return replace(layer, name="", input=(), return_sequences=True)
        case Residual():
            return replace(layer, name="", input=(), start="")
        case _:
            return replace(layer, name="", input=())


@dataclass(frozen=True, slots=True)
class Column:
    """One time step, or the place of a vector if ``step`` is empty. ``padded``: it is padding."""

    x: float
    step: str
    padded: bool = False

    def name(self, layer: str) -> str:
        """Return the name of the node of a layer in this column."""
        return f"{layer}@{'pad' if self.padded else self.step}" if self.step else layer


@dataclass(frozen=True, slots=True)
class Axis:
    """The columns of a sequence; ``dots`` is the place of the steps that are not drawn."""

    steps: Steps
    columns: tuple[Column, ...]
    dots: float | None = None

    def around(self, x: float, pitch: float) -> Axis:
        """Return the same steps with another distance and middle."""
        if len(self.columns) == 1:
            return replace(self, columns=(replace(self.columns[0], x=x),), dots=None)
        half = _needed_width(self.steps, pitch) / 2
        return _axis(self.steps, x - half, x + half)

    def shift(self, by: float) -> Axis:
        """Return the same steps further right."""
        columns = tuple(replace(column, x=column.x + by) for column in self.columns)
        return replace(self, columns=columns)

    @property
    def length(self) -> str:
        """The number of the last step, which is T if the length is open."""
        return self.steps.name


def axes(network: Network, options: Options) -> list[Axis]:
    """Return the axis of the input and of each layer that begins a new one.

    In the folded form, each has one column for all steps.
    """
    layers, names = network.layers, lengths(network)
    steps = input_steps(network, options.steps)
    sequences: list[tuple[Steps, Conv | WindowPooling | None]] = [(steps, None)]
    for layer in layers:
        match layer:
            case Repeat(steps=length) | LastSteps(count=length):
                sequences.append((steps_of(length, str(length)), None))
            case Conv() | WindowPooling() if not layer.window.keeps_steps:
                sequences.append((sequences[-1][0].after(layer.window, names[layer.name]), layer))
            case _:
                pass
    if options.form == "folded":
        return [Axis(steps, (Column(0.0, "t"),)) for steps, _ in sequences]
    pitch = _pitch(network)
    width = max(_needed_width(steps, pitch) for steps, _ in sequences)
    result: list[Axis] = []
    for steps, windowed in sequences:
        left, right = 0.0, width
        if windowed:
            before = result[-1]
            gathered = gather(windowed.window, before.steps, steps)
            left = _middle(before, gathered[0])
            right = width if steps.has_hidden else _middle(before, gathered[-1])
            if right - left < _needed_width(steps, pitch):
                left, right = 0.0, width
        result.append(_axis(steps, left, right))
    return result


def lanes(network: Network) -> dict[str, int]:
    """Return the lane in which the output of a layer goes up to the joins that take it.

    Lane 0 is the nearest to the columns. A layer right below its join has none.
    """
    ends: dict[str, int] = {}
    begins = {INPUT: -1} | {layer.name: at for at, layer in enumerate(network.layers)}
    for at, (layer, names) in enumerate(
        zip(network.layers, sources(network).values(), strict=True)
    ):
        if isinstance(layer, Join) and len(layer.output) == 2:
            ends |= {name: at for name in names if begins[name] < at - 1}
    result: dict[str, int] = {}
    # The inner lanes are for those that begin last, so that none crosses another.
    for name in sorted(ends, key=lambda name: begins[name], reverse=True):
        busy = {result[other] for other in result if begins[other] <= ends[name]}
        result[name] = min(set(range(len(ends))) - busy)
    return result


LANE = 8.0
"""The distance of two lanes."""
HEAD = 96.0
"""The distance of the nodes of two heads at one step."""


def _pitch(network: Network) -> float:
    layers = network.layers
    both = any(isinstance(layer, Recurrent) and layer.merge is not None for layer in layers)
    pitch = _WIDE_PITCH if both else _PITCH
    pitch += _ROOM_FOR_RESIDUAL if any(isinstance(layer, Residual) for layer in layers) else 0
    highest = max(lanes(network).values(), default=-1)
    pitch += _ROOM_FOR_RESIDUAL + LANE * highest if highest >= 0 else 0
    trunk, heads = split_heads(network)
    beside = sum(head.is_stepwise for head in heads) if len(trunk[-1].output) == 2 else 0
    return max(pitch, HEAD * beside + 24)


def _needed_width(steps: Steps, pitch: float) -> float:
    """Return the width of an axis with a distance between its columns."""
    return (steps.columns - 1) * pitch + (_ROOM_FOR_DOTS if steps.has_hidden else 0)


def _middle(axis: Axis, gathered: Gathered) -> float:
    """Return the middle of what a window gathers."""
    places = [axis.columns[column].x for column in gathered.columns]
    places += [axis.dots] if gathered.hidden and axis.dots is not None else []
    return (min(places) + max(places)) / 2 if places else axis.columns[-1].x


def _axis(steps: Steps, left: float, right: float) -> Axis:
    gaps = steps.columns - 1
    if not gaps:
        return Axis(steps, (Column((left + right) / 2, steps.name),))
    pitch = (right - left - (_ROOM_FOR_DOTS if steps.has_hidden else 0)) / gaps
    columns = [Column(left + index * pitch, label) for index, label in enumerate(steps.labels[:-1])]
    columns.append(Column(right, steps.name, steps.padded))
    middle = (columns[-2].x + columns[-1].x) / 2 if steps.has_hidden else None
    return Axis(steps, tuple(columns), middle)
