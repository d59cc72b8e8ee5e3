"""The rows and columns of a picture: which layers and which time steps are drawn, and where.

A row is a layer, or dots for many layers that are alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from rnnspec.drawing.attending import DrawnMemory, memories, memory_rows
from rnnspec.drawing.looks import look
from rnnspec.drawing.options import Options
from rnnspec.drawing.steps import Gathered, Steps, gather, input_steps, steps_of
from rnnspec.drawing.words import lengths
from rnnspec.errors import UsageError
from rnnspec.ir import nodes
from rnnspec.ir.nodes import (
    Append,
    Attention,
    AttentionPooling,
    Conv,
    Dropout,
    Flatten,
    Input,
    Join,
    Joined,
    LabelInput,
    LastSteps,
    Layer,
    Network,
    Pooling,
    Recurrent,
    Repeat,
    Residual,
    SequenceInput,
    Transpose,
    VectorInput,
    Window,
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
ROOM_FOR_ATTENTION = 52.0
"""The room for the attention of a recurrent layer, between two cells."""


@dataclass(frozen=True, slots=True)
class OmittedLayers:
    """Layers that are alike, in the middle of a run: dots stand for them."""

    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Poolings:
    """Several poolings of one sequence, and the join of their vectors."""

    layers: tuple[Pooling | AttentionPooling, ...]
    join: Join

    @property
    def name(self) -> str:
        """The name of what they become."""
        return self.join.name


@dataclass(frozen=True, slots=True)
class HeadStack:
    """A named output, and the layers from the trunk to it."""

    name: str
    layers: tuple[Layer, ...]

    @property
    def is_stepwise(self) -> bool:
        """True if it has a result for each time step of a trunk that is a sequence."""
        apart = Pooling | AttentionPooling | Flatten | LastSteps
        return not any(isinstance(layer, apart) for layer in self.layers)


@dataclass(frozen=True, slots=True)
class SideOutput:
    """A named output that stands above its layer, which is none of the trunk's last ones."""

    name: str
    layer: str


Stage = Input | Layer | Poolings | SideOutput | DrawnMemory
"""What is drawn between two others in any picture."""
Row = Stage | OmittedLayers
Block = tuple[Stage, ...]


def is_beside(stage: Input | Layer) -> bool:
    """True if a first state has no row: it stands beside the layer that begins with it."""
    return isinstance(stage, VectorInput) and stage.state


def owner(network: Network, name: str) -> str:
    """Return the layer that a value stands beside, or the name itself."""
    port = network.ports.get(name)
    return port.layer if port else name


def named_results(network: Network) -> tuple[tuple[str, str], ...]:
    """Return the outputs with names: a port that is the only one is drawn like one of several."""
    return network.outputs or ((("y", network.result),) if network.result else ())


def split_heads(network: Network) -> tuple[tuple[Stage, ...], tuple[HeadStack, ...]]:
    """Return the stages of the trunk from the bottom up, and the heads above its last layer.

    Without named outputs, there are no heads. If they do not all begin at one layer, their layers
    are among those of the trunk, and each result is above its layer.
    """
    ports = network.ports
    outputs = [
        (name, last)
        for name, last in named_results(network)
        if last not in ports or not ports[last].state
    ]
    order = _upwards(network, [last for _, last in outputs] or [network.last])
    heads = tuple(_heads(network, order, outputs))
    above = {layer.name for head in heads for layer in head.layers}
    trunk = [stage for stage in order if stage.name not in above]
    results: dict[str, list[SideOutput]] = {}
    for name, last in () if heads else outputs:
        results.setdefault(owner(network, last), []).append(SideOutput(name, last))
    attended = memory_rows(network)
    stages = [
        one
        for stage in trunk
        for one in (stage, *results.get(stage.name, ()), *attended.get(stage.name, ()))
    ]
    return tuple(side_by_side(network, stages)), heads


def _upwards(network: Network, ends: Sequence[str]) -> list[Input | Layer]:
    """Return the inputs and layers in the order of their rows: each above all that it takes.

    A branch is drawn as a whole, and what a layer takes from below stands right below it.
    """
    stages: dict[str, Input | Layer] = {
        network_input.name: network_input for network_input in network.inputs
    }
    stages |= {layer.name: layer for layer in network.layers}
    taken = sources(network)
    order, known = list[Input | Layer](), set[str]()
    # What no output depends on, such as a state that nobody reads, comes last.
    waiting = [
        *reversed(network.layers),
        *(stages[owner(network, name)] for name in reversed(ends)),
    ]
    while waiting:
        node = waiting[-1]
        names = tuple(owner(network, name) for name in taken.get(node.name, ()))
        if not isinstance(node, Joined):
            names = (*names[1:], *names[:1])
        new = [stages[name] for name in names if name not in known]
        if node.name in known or not new:
            waiting.pop()
            order += [] if node.name in known or is_beside(node) else [node]
            known.add(node.name)
        waiting += reversed(new)
    return order


def _heads(
    network: Network, order: Sequence[Input | Layer], outputs: Sequence[tuple[str, str]]
) -> Iterator[HeadStack]:
    """Yield the heads, if they all begin at the same layer and have no other in common."""
    taken, paths = sources(network), list[set[str]]()
    for _, last in outputs:
        path, waiting = set[str](), [last]
        while waiting:
            name = waiting.pop()
            if name not in path:
                path.add(name)
                port = network.ports.get(name)
                waiting += [port.layer] if port else taken.get(name, ())
        paths.append(path)
    shared = set.intersection(*paths) if paths else set()
    trunk = [stage.name for stage in order if stage.name in shared]
    heads = [
        HeadStack(
            name,
            tuple(
                stage
                for stage in order
                if stage.name in path - shared and not isinstance(stage, Input)
            ),
        )
        for (name, _), path in zip(outputs, paths, strict=True)
    ]
    below = [layer.name for head in heads for layer in head.layers]
    # Outputs may have nothing in common.
    if (
        trunk
        and len(trunk) + len(below) == len(order)
        and all(_is_above(head.layers, taken, trunk[-1]) for head in heads)
    ):
        yield from heads


def _is_above(layers: Sequence[Layer], taken: Mapping[str, tuple[str, ...]], below: str) -> bool:
    """True if layers take each other's outputs one after another, the first that of ``below``."""
    pools, last = set[str](), below
    for layer in layers:
        names = set(taken[layer.name])
        is_join = isinstance(layer, Join) and names <= pools
        is_pool = isinstance(layer, Pooling | AttentionPooling) and names == {below}
        pools |= {layer.name} if is_pool else set()
        if isinstance(layer, Recurrent | Append) or not (is_join or is_pool or names == {last}):
            return False
        last = layer.name
    return True


def rows(network: Network) -> list[Row]:
    """Return the rows from the input up to the result, or to the heads.

    Raises:
        UsageError: there are too many for a picture.
    """
    rows: list[Row] = []
    shared_outputs = kept_outputs(network)
    trunk, heads = split_heads(network)
    for _, blocks in groupby(
        _blocks(trunk), lambda block: [_anonymous(stage, shared_outputs) for stage in block]
    ):
        run = list(blocks)
        if len(run) > _MOST_ALIKE:
            inner = tuple(
                stage for block in run[1:-1] for stage in block if isinstance(stage, Layer)
            )
            rows += [*run[0], OmittedLayers(inner), *run[-1]]
        else:
            rows += [stage for block in run for stage in block]
    number = sum(not isinstance(row, Input) or row in network.named_inputs for row in rows)
    number += max((len(head.layers) for head in heads), default=0)
    if number > _MOST_ROWS or len(heads) > _MOST_HEADS:
        what = f"{number} rows" if number > _MOST_ROWS else f"{len(heads)} heads"
        most = _MOST_ROWS if number > _MOST_ROWS else _MOST_HEADS
        raise UsageError(
            f"{network.name} has {what} to draw, expected at most {most}; "
            "'rnnspec summary' prints them as a table"
        )
    return rows


def side_by_side(network: Network, stages: Sequence[Stage]) -> list[Stage]:
    """Return stages in which the poolings of a list are one."""
    taken = sources(network)
    result: list[Stage] = []
    for stage in stages:
        count = len(stage.of) if isinstance(stage, Join) else 0
        parts = [part for part in result[-count:] if isinstance(part, Pooling | AttentionPooling)]
        if (
            isinstance(stage, Join)
            and stage.how == "concat"
            and stage.of == tuple(part.name for part in parts)
            and len({taken[part.name][0] for part in parts}) == 1
        ):
            result[-count:] = [Poolings(tuple(parts), stage)]
        else:
            result.append(stage)
    return result


def _blocks(stages: Sequence[Stage]) -> Iterator[Block]:
    """Yield each layer with the dropout before it, its norm, activation and residual."""
    block: list[Stage] = []
    for stage in stages:
        belongs = isinstance(stage, Layer) and look(stage).shape in ("slab", "sum")
        if not belongs and any(not isinstance(member, Dropout) for member in block):
            yield tuple(block)
            block = []
        block.append(stage)
    if block:
        yield tuple(block)


def _anonymous(stage: Stage, shared_outputs: frozenset[str]) -> Stage:
    """Return a layer without what may differ between layers that are alike.

    A layer with an output that is ``kept`` for later ones, or with a time axis of its own, has
    everything to itself.
    """
    match stage:
        case Poolings() | SideOutput() | DrawnMemory() | Attention():
            return stage
        case _ if isinstance(stage, Input) or stage.name in shared_outputs:
            return stage
        case Join() | Repeat() | LastSteps() | Transpose():
            return stage
        case Conv(window=window) | WindowPooling(window=window) if not window.keeps_steps:
            return stage
        case Recurrent():
            return replace(stage, name="", input=(), return_sequences=True)
        case Residual():
            return replace(stage, name="", input=(), start="")
        case _:
            return replace(stage, name="", input=())


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


_Axis = tuple[Steps, Window | None, str | None]
"""The steps of an axis, the window that it is behind, and the name whose columns it has too."""


def axes(network: Network, options: Options) -> dict[str, Axis]:
    """Return the axis of each input and each layer that is a sequence.

    In the folded form, each has one column for all steps.
    """
    planned = _plan_axes(network, options.steps)
    if options.form == "folded":
        return {name: Axis(steps, (Column(0.0, "t"),)) for name, (steps, _, _) in planned.items()}
    pitch, taken = _pitch(network), sources(network)
    width = max((_needed_width(steps, pitch) for steps, _, _ in planned.values()), default=0.0)
    result: dict[str, Axis] = {}
    for name, (steps, window, like) in planned.items():
        left, right = 0.0, width
        if like is not None:
            before = result[like]
            *columns, last = before.columns
            padded = replace(last, padded=steps.padded)
            result[name] = replace(before, steps=steps, columns=(*columns, padded))
            continue
        if window is not None:
            before = result[taken[name][0]]
            gathered = gather(window, before.steps, steps)
            left = _middle(before, gathered[0])
            right = width if steps.has_hidden else _middle(before, gathered[-1])
            if right - left < _needed_width(steps, pitch):
                left, right = 0.0, width
        result[name] = _axis(steps, left, right)
    return result


def _plan_axes(network: Network, columns: int | None) -> dict[str, _Axis]:
    """Return the steps of each input and layer, and where the places of its columns come from."""
    names = lengths(network)
    planned: dict[str, _Axis] = {
        network_input.name: (input_steps(network, network_input, columns), None, None)
        for network_input in network.inputs
        if isinstance(network_input, SequenceInput)
    }
    for layer, read in zip(network.layers, sources(network).values(), strict=True):
        if is_vector(layer):
            continue
        match layer:
            case Repeat(like=str() as like):
                planned[layer.name] = (replace(planned[like][0], padded=False), None, like)
            case Append(output=(None, _)):
                parts = (planned[part][0].length if part in planned else 1 for part in layer.of)
                planned[layer.name] = (steps_of(sum(parts), names[layer.name]), None, None)
            case Attention(is_along_memory=True, over=over):
                planned[layer.name] = (planned[over][0], None, over)
            case _ if layer.time_axis == "new":
                length = layer.output[0] or 1
                planned[layer.name] = (steps_of(length, names[layer.name]), None, None)
            case Conv() | WindowPooling() if not layer.window.keeps_steps:
                steps = planned[read[0]][0].after(layer.window, names[layer.name])
                planned[layer.name] = (steps, layer.window, None)
            case _:
                joined = [name for name in read if name in planned]
                # The contexts of a layer have its steps.
                joined = joined or [network.ports[name].layer for name in read[:1]]
                joined = joined if isinstance(layer, Joined) else joined[:1]
                # A step of a join is padding if it is so in one of the sequences.
                padded = any(planned[name][0].padded for name in joined)
                steps = replace(planned[joined[0]][0], padded=padded)
                planned[layer.name] = (steps, None, joined[0])
    return planned


def is_vector(stage: Input | Layer | nodes.Port) -> bool:
    """True if an input or an output has no time steps."""
    if isinstance(stage, SequenceInput | VectorInput | LabelInput):
        return not isinstance(stage, SequenceInput)
    return len(stage.output) < 2


def attention_sides(network: Network) -> frozenset[int]:
    """Return the sides of cells at which a state comes in that an attention asks with."""
    layers = (layer for layer in network.layers if isinstance(layer, Recurrent))
    return frozenset(1 if layer.backward else -1 for layer in layers if layer.leading)


def reads(
    stages: Sequence[Stage], network: Network
) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return what each stage takes from below, and the vectors that it takes from the side."""
    taken = sources(network)
    states = {
        network_input.name
        for network_input in network.inputs
        if isinstance(network_input, VectorInput) and network_input.state
    }
    result = list[tuple[tuple[str, ...], tuple[str, ...]]]()
    for stage in stages:
        match stage:
            case SideOutput(layer=layer):
                result.append(((layer,), ()))
            case Poolings(layers=layers):
                first = taken[layers[0].name][0]
                result.append(((first,), tuple(n for one in layers for n in taken[one.name][1:])))
            case DrawnMemory(of=of):
                result.append(((of,), ()))
            case Joined():
                result.append((stage.of, ()))
            case Attention():
                beside = tuple(memory.name for memory in memories(stage))
                result.append((taken[stage.name][:1], beside))
            case Recurrent():
                vectors = (name for name in stage.begins_as.values() if name not in states)
                beside = (*vectors, *(memory.name for memory in memories(stage)))
                result.append((taken[stage.name][:1], beside))
            case Repeat():
                result.append((taken[stage.name][:1], ()))
            case _ if names := taken.get(stage.name, ()):
                beside = tuple(name for name in names[1:] if name not in states)
                result.append((names[:1], beside))
            case _:
                result.append(((), ()))
    return result


def lanes(network: Network, *, vectors: bool = False) -> dict[str, int]:
    """Return the lane in which an output goes up to the layers that are not right above it.

    Lane 0 is the nearest to the columns. Sequences have a lane at each column, and vectors have
    theirs left of all columns.
    """
    stages = split_heads(network)[0]
    begins = {
        stage.name: at for at, stage in enumerate(stages) if not isinstance(stage, SideOutput)
    }
    values = (*network.inputs, *network.layers, *network.ports.values())
    kinds = {value.name: is_vector(value) for value in values}
    # A memory goes as a whole.
    kinds |= {stage.name: True for stage in stages if isinstance(stage, DrawnMemory)}
    parts = {name: begins[port.layer] for name, port in network.ports.items()}
    begins |= parts
    ends: dict[str, int] = {}
    for at, (below, beside) in enumerate(reads(stages, network)):
        # A part is beside its layer, and never right below another.
        far = [n for n in below if begins[n] < at - 1 or n in parts]
        ends |= {name: at for name in (*far, *beside) if kinds[name] is vectors}
    result: dict[str, int] = {}
    first: list[int] = []
    # The inner lanes are for those that begin last, so that none crosses another.
    # A part of a layer begins below its output.
    for name in sorted(ends, key=lambda name: (begins[name], name not in parts), reverse=True):
        free = (lane for lane, begin in enumerate(first) if begin > ends[name])
        lane = next(free, len(first))
        first[lane : lane + 1] = [begins[name]]
        result[name] = lane
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
    pitch += ROOM_FOR_ATTENTION * len(attention_sides(network))
    highest = max(lanes(network).values(), default=-1)
    pitch += _ROOM_FOR_RESIDUAL + LANE * highest if highest >= 0 else 0
    trunk, heads = split_heads(network)
    last = trunk[-1]
    is_sequence = not isinstance(last, Poolings | SideOutput | DrawnMemory) and not is_vector(last)
    beside = sum(head.is_stepwise for head in heads) if is_sequence else 0
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
