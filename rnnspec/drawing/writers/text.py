"""The picture of a network in characters: time to the right, layers upwards, labels at the left.

It is not drawn from a scene: it shows every layer of a network of any depth and as many steps as
fit into the width of a terminal, and a row is as high as its label.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from rnnspec.drawing.attending import DrawnMemory, fold_projections
from rnnspec.drawing.layout.grid import (
    Poolings,
    SideOutput,
    Stage,
    is_vector,
    lanes,
    named_results,
    reads,
    side_by_side,
    split_heads,
)
from rnnspec.drawing.looks import dropout, look
from rnnspec.drawing.options import Form
from rnnspec.drawing.steps import Steps, gather, input_steps, padding_uses
from rnnspec.drawing.words import (
    cell_words,
    dropped_states,
    entry,
    equation_cells,
    input_entry,
    lengths,
    recurrent_dropout,
    remarks,
    total,
)
from rnnspec.drawing.writers.characters import (
    FOLDED,
    SUBSCRIPTS,
    TextAxis,
    TextCanvas,
    TextColumn,
    TextGrid,
)
from rnnspec.errors import listed
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
    NumericInput,
    Pooling,
    Recurrent,
    Repeat,
    Residual,
    SequenceInput,
    TokenInput,
    VectorInput,
    Windowed,
    WindowPooling,
    is_along_memory,
    sources,
)
from rnnspec.ir.notation import describe

_WIDTH = 80
_LEAST_MARGIN = 28
_SPACE = 2
"""The gap between the labels and the picture."""
_SHOWN = 3
"""The largest number of steps before the dots."""
_SIDE = 2
"""How far left and right of their step the two cells of a bidirectional layer are."""
_DOTS, _PAD, _HELD = "···", "pad", "held"


def text(
    network: Network, *, form: Form = "unrolled", steps: int | None = None, unicode: bool = True
) -> str:
    """Return a picture in characters.

    By default it is at most 80 columns wide: it shows up to three time steps and the last, or the
    folded form if not even one fits. Lines end in a line feed, and the same network gives the same
    text.

    Args:
        network: the network.
        form: ``unrolled``, a column for each time step, or ``folded``, one cell for each layer.
        steps: how many time steps of the input to show, from 2 to as many as there are, the last
            one included, however wide the picture becomes. Unrolled only.
        unicode: draw with box and arrow characters; otherwise in ASCII.
    """
    grid = FOLDED if form == "folded" else _widest_grid(network, steps)
    canvas = _Picture(network, grid, _margin(network, grid) or _LEAST_MARGIN).draw()
    picture = canvas.draw(max(map(len, canvas.labels)) + _SPACE, unicode=unicode)
    # The name stands left of the result, or above it if there is no room.
    room = len(picture) - len(picture.lstrip()) - _SPACE
    name = network.name
    picture = name + (picture[len(name) :] if len(name) <= room else f"\n{picture}")
    return "\n".join([picture, *_equations(network)])


def _equations(network: Network) -> Iterator[str]:
    """Yield the equations of the cells that have some, in the notation of a spec."""
    for (name, equations), layers in equation_cells(network).items():
        words = f"{name}, {cell_words(equations.states, layers)}"
        yield from textwrap.wrap(words, _WIDTH, initial_indent="  ", subsequent_indent="    ")
        yield from (f"    {line}" for line in describe(equations, _WIDTH - 4))
        yield ""


def _widest_grid(network: Network, steps: int | None) -> TextGrid:
    """Return the grid that shows so many ``steps``, by default the widest with room for labels."""
    both = any(_is_bidirectional(layer) for layer in network.layers)
    adds = any(isinstance(layer, Residual) for layer in network.layers)
    pitch = {(False, False): 8, (False, True): 10, (True, False): 10, (True, True): 13}[both, adds]
    # Joins have lines left of each step.
    joins = max(_join_lanes(network).values(), default=-1)
    room = 5 + 2 * joins if joins >= 0 else 0
    pitch, zero = pitch + room, 7 + room
    left = zero + _SIDE * both
    if steps is not None:
        return TextGrid(_SHOWN, pitch, left, steps, zero)
    grids = (TextGrid(columns, pitch, left, zero=zero) for columns in range(_SHOWN, 0, -1))
    return next((grid for grid in grids if _margin(network, grid) is not None), FOLDED)


def _join_lanes(network: Network) -> dict[str, int]:
    """Return the lane of each sequence that is drawn up to a join of sequences.

    All else that is not right below a layer is named there.
    """
    vectors = {node.name for node in (*network.inputs, *network.layers) if is_vector(node)}
    vectors |= network.ports.keys()
    stages, far, last = split_heads(network)[0], set[str](), ""
    for stage, (below, _) in zip(stages, reads(stages, network), strict=True):
        if last not in below or (isinstance(stage, Joined) and not vectors.isdisjoint(below)):
            far.update(below)
        last = stage.name
    return {name: lane for name, lane in lanes(network).items() if name not in far}


def _margin(network: Network, grid: TextGrid) -> int | None:
    """Return how many columns are left for the labels, or None if they need more."""
    canvas = _Picture(network, grid, 1).draw()  # a line for each word
    room = _WIDTH - _SPACE - max(map(len, canvas.rows))
    return room if room >= max(_LEAST_MARGIN, *map(len, canvas.labels)) else None


class _Picture:
    """The rows of a network, the lowest first, and where the output of the last layer is.

    ``axis`` has the columns of a sequence; ``place`` is the column of a vector, None for a
    sequence. Labels are wrapped at ``margin`` characters.
    """

    def __init__(self, network: Network, grid: TextGrid, margin: int) -> None:
        drawn = fold_projections(network)
        self.network = drawn.network
        self.grid = grid
        self.margin = margin
        self.canvas = TextCanvas()
        # A vector that comes first stands below the last step of a sequence.
        first = next((one for one in network.inputs if isinstance(one, SequenceInput)), None)
        self.axis = (
            self._axis_of(first) if first else grid.axis(Steps(length=1, columns=1, name="1"))
        )
        self.place: int | None = None
        self._values: dict[str, tuple[TextAxis, int | None]] = {}
        self._names = lengths(network)
        self._total = " ".join(total(network))
        network = drawn.network
        self._projections = drawn.projections
        self._sources = sources(network)
        self._uses_padding = padding_uses(network)
        self._sums = {layer.start: layer for layer in network.layers if isinstance(layer, Residual)}
        self._lanes = {} if grid.is_folded else _join_lanes(network)
        self._states = {
            network_input.name: input_entry(network_input) for network_input in network.inputs
        }
        self._states |= {name: entry(vector) for name, vector in network.learned.items()}
        self._layers = {layer.name: layer for layer in network.layers}
        self._branches: dict[str, int] = {}
        self._last = ""

    def _axis_of(self, node: SequenceInput) -> TextAxis:
        grid = self.grid
        columns = None if grid.is_folded else grid.chosen or grid.usual(node.steps)
        return grid.axis(input_steps(self.network, node, columns))

    def draw(self) -> TextCanvas:
        """Draw the input, the layers and the output."""
        self.canvas.add_row([self._total])
        trunk, heads = split_heads(self.network)
        self._draw_rows(trunk)
        if not heads:
            if not named_results(self.network):
                self._draw_result()
            return self.canvas
        axis, place, last = self.axis, self.place, self._last
        for number, head in enumerate(heads):
            self.axis, self.place, self._last = axis, place, last
            if number:  # a head of its own, from the same output
                self.canvas.add_row()
                row = self.canvas.add_row(self._wrap(f"from {last}", "  "))
                columns = self._outputs(last)
                self.canvas.mark(row, [column.x for column in columns], "●")
            self._draw_rows(head.layers)
            self._draw_result(head.name)
        return self.canvas

    def _draw_rows(self, stages: Sequence[Stage]) -> None:
        """Draw inputs and layers above each other."""
        stages = side_by_side(self.network, stages)
        for stage, (below, _) in zip(stages, reads(stages, self.network), strict=True):
            self._draw_fork(stage, below)
            self._resume(stage, below)
            match stage:
                case Poolings():
                    self._draw_poolings(stage)
                case SideOutput():
                    self._draw_result(stage.name)
                case DrawnMemory():
                    self._draw_memory(stage)
                case TokenInput() | NumericInput() | VectorInput() | LabelInput():
                    self._draw_input(stage)
                case _:
                    if stage.name in self._sums:
                        self._draw_branch(stage, self._sums[stage.name])
                    self._draw_layer(stage)
            self._last = stage.name
            self._values[stage.name] = self.axis, self.place
            for final in self.network.ports_of(stage.name):
                place = self.axis.columns[-1].x if final.state else None
                self._values[final.name] = self.axis, place

    def _resume(self, stage: Stage, below: Sequence[str]) -> None:
        """Go on with outputs that are not right below, which are named."""
        values = [self._values[name] for name in below]
        mixed = len({place is None for _, place in values}) > 1
        # The context of a layer has no line of its own.
        ports = self.network.ports
        mixed |= any(name in ports and not ports[name].state for name in below)
        if not below or (self._last in below and not mixed):
            return
        self.axis, self.place = next((one for one in values if one[1] is None), values[0])
        self._last = next(
            name for name, value in zip(below, values, strict=True) if value[1] == self.place
        )
        label = self._wrap(f"from {listed(below, 'and')}", "  ")
        for _ in label:
            self.canvas.add_row()
        row = self.canvas.add_row(label)
        columns = self.axis.real if isinstance(stage, Joined) else self._outputs(self._last)
        places = [self.place] if self.place is not None else [column.x for column in columns]
        self.canvas.mark(row, places, "●")

    def _draw_input(self, node: Input) -> None:
        """Draw an input: at each step, or one for the whole sequence."""
        if self._last:
            self.canvas.add_row()
        words = input_entry(node)
        label = [*self._wrap(words.heading), *self._wrap(words.compact_detail, "  ")]
        for _ in label:
            self.canvas.add_row()
        row = self.canvas.add_row(label)
        if isinstance(node, VectorInput | LabelInput):
            self.place = self.axis.columns[-1].x
            self.canvas.put(row, self.place, "x")
            return
        self.axis, self.place = self._axis_of(node), None
        self._draw_tokens(row, "x", self.axis.columns)

    def _draw_result(self, name: str = "") -> None:
        """Draw the result, with its name if there are several."""
        columns = self._outputs(self._last)
        label = self._wrap(f"→ {name}", "  ") if name else []
        self._draw_arrows([column.x for column in columns], len(label) - 1)
        row = self.canvas.add_row(label)
        if self.place is None:
            self._draw_tokens(row, "ŷ", columns)
        else:
            self.canvas.put(row, self.place, "ŷ")

    def _draw_tokens(self, row: int, letter: str, columns: Sequence[TextColumn]) -> None:
        for column in columns:
            index = "".join(SUBSCRIPTS.get(digit, digit) for digit in column.step)
            token = _PAD if column.padded else f"{letter}{index}"
            self.canvas.put(row, column.x - (len(token) - 1) // 2, token)
        if self.axis.has_dots:
            self.canvas.centre(row, self.grid.dots(self.axis), _DOTS)

    def _draw_memory(self, memory: DrawnMemory) -> None:
        """Draw a box around the steps that an attention takes."""
        places = [column.x for column in self._outputs(self._last)]
        self._draw_arrows(places)
        self._draw_pill(places, "memory", self._wrap(f"the memory of {memory.of}", "  "))
        self.place = (places[0] + places[-1]) // 2

    def _draw_layer(self, layer: Layer) -> None:
        label = self._label(layer)
        match layer:
            case Conv() | WindowPooling():
                self._draw_windows(layer, label)
            case Append():
                self._draw_spread(layer, label)
            case Joined():
                self._draw_join(layer, label)
            case Residual():
                self._draw_sum(layer, label)
            case Dropout():
                rows = [self.canvas.add_row() for _ in label[1:]]
                for row in (*rows, self.canvas.add_row(label)):
                    self.canvas.mark(row, self._places(layer), "┊")
            case Pooling() | AttentionPooling() | Flatten():
                self._draw_pooling(layer, label)
            case _ if layer.time_axis == "new" or is_along_memory(layer):
                self._draw_spread(layer, label)
            case Recurrent(merge=None):
                self._draw_arrows(self._places(layer), len(label) - 1, dashed=bool(layer.dropout))
                self._draw_cells(self.canvas.add_row(label), layer, 0)
                if not layer.return_sequences:
                    self.place = self.axis.columns[0 if layer.backward else -1].x
            case Recurrent():
                self._draw_both_ways(layer, label)
            case _:
                self._draw_nodes(layer, label)

    def _label(self, layer: Layer) -> list[str]:
        words = entry(layer, self._names[layer.name])
        lines = [words.compact_detail]
        if isinstance(layer, Recurrent):
            lines += filter(None, (dropout(layer), recurrent_dropout(layer)))
        lines += remarks(layer)
        if isinstance(layer, Recurrent) and layer.merge and not layer.return_sequences:
            lines.append("last states only, the backward one at step 1")
        if isinstance(layer, Recurrent):
            for state, vector in layer.first_states.items():
                beside = self._states.get(vector) if vector not in self._values else None
                more = f": {beside.kind}" if beside else ""
                lines.append(f"{state} begins as {vector}{more}")
            for final in self.network.ports_of(layer.name):
                outputs = (
                    f", output {name}"
                    for name, one in named_results(self.network)
                    if one == final.name
                )
                lines.append(f"{final.name}: {look(final).kind}{''.join(outputs)}")
        for part in self._projections.get(layer.name, ()):
            words_of = entry(part, self._names[part.name])
            lines.append(f"{part.name}: {words_of.kind}  {words_of.compact_detail}")
        wrapped = [self._wrap(line, "  ") for line in lines]
        return sum(wrapped, self._wrap(words.heading))

    def _wrap(self, line: str, indent: str = "") -> list[str]:
        return textwrap.wrap(
            line,
            self.margin,
            initial_indent=indent,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )

    def _places(self, layer: Layer) -> list[int]:
        """Return the places of the columns whose value goes into a layer."""
        # A layer that skips padding reads none.
        skips = isinstance(layer, Recurrent | Conv | WindowPooling) and self.place is None
        columns = self.axis.real if skips else self._outputs(self._last)
        return [column.x for column in columns]

    def _outputs(self, name: str) -> tuple[TextColumn, ...]:
        """Return the columns in which the output of a layer is used."""
        if self.place is not None:
            return (TextColumn("", self.place),)
        return self.axis.columns if name in self._uses_padding else self.axis.real

    def _draw_arrows(self, places: Sequence[int], height: int = 1, *, dashed: bool = False) -> int:
        """Add rows of arrows upwards, at least one, and return the number of the lowest."""
        line, head = ("┊", "⇡") if dashed else ("│", "↑")
        rows = [self.canvas.add_row() for _ in range(max(1, height))]
        for row in rows:
            self.canvas.mark(row, places, head if row == rows[-1] else line)
        return rows[0]

    def _draw_nodes(self, layer: Layer, label: list[str]) -> None:
        """Draw a layer that computes each of its columns alone."""
        places = self._places(layer)
        self._draw_arrows(places, len(label) - 1)
        row = self.canvas.add_row(label)
        for x in places:
            self.canvas.centre(row, x, look(layer).short)

    def _draw_windows(self, layer: Windowed, label: list[str]) -> None:
        """Draw a layer of windows: below each result are lines from the left, below and right."""
        places, below = self._places(layer), self.axis
        results = below.steps.after(layer.window, self._names[layer.name])
        if layer.window.keeps_steps:
            results = below.steps
        self.axis = self.grid.axis(results)
        rows = [self.canvas.add_row() for _ in range(max(1, len(label) - 2))]
        for line in rows:
            self.canvas.mark(line, places, "│")
        lines, row = self.canvas.add_row(), self.canvas.add_row(label)
        gathered = gather(layer.window, below.steps, results)
        for at, column in enumerate(self._outputs(layer.name)):
            if self.grid.is_folded:
                self.canvas.put(lines, column.x, "↑")
            elif not column.padded:
                distances = [below.columns[place].x - column.x for place in gathered[at].columns]
                if gathered[at].hidden:
                    distances.append(-1 if column is self.axis.columns[-1] else 1)
                signs = {(x > 0) - (x < 0) for x in distances}
                for sign in signs:
                    self.canvas.put(lines, column.x + sign, {-1: "╱", 0: "│", 1: "╲"}[sign])
            self.canvas.centre(row, column.x, look(layer).short)
        if self.axis.has_dots and not layer.window.keeps_steps:
            self.canvas.centre(row, self.grid.dots(self.axis), _DOTS)

    def _draw_pooling(self, layer: Pooling | AttentionPooling | Flatten, label: list[str]) -> None:
        places, real = self._places(layer), self.axis.real
        middle = (real[0].x + real[-1].x) // 2
        if isinstance(layer, Pooling) and layer.statistic in ("first_step", "last_step"):
            middle = places[0 if layer.statistic == "first_step" else -1]
            places = [middle]
        elif isinstance(layer, Pooling) and layer.statistic == "last":
            places = self._last_places(backward=layer.backward > 0)
            middle = (places[0] + places[-1]) // 2
        self._draw_arrows(places, len(label) - 1)
        self._draw_pill(places, look(layer).short, label)
        self.place = middle

    def _draw_poolings(self, row: Poolings) -> None:
        """Draw a box that has all poolings of a list, and the join of their vectors."""
        real = [column.x for column in self.axis.real]
        words = [look(layer).short for layer in row.layers]
        places = real
        if all(word.startswith("last") for word in words):
            back = any(isinstance(layer, Pooling) and layer.backward for layer in row.layers)
            places = self._last_places(backward=back)
        *labels, label = map(self._label, row.layers)
        for lines in labels:
            for _ in lines[1:]:
                self.canvas.mark(self.canvas.add_row(), places, "│")
            self.canvas.mark(self.canvas.add_row(lines), places, "│")
        self._draw_arrows(places, len(label) - 1)
        word = ", ".join(words)
        if len(word) > real[-1] - real[0]:
            word = f"{len(words)} pools"
        self._draw_pill(real, word, label)
        self.place = (real[0] + real[-1]) // 2
        label = self._label(row.join)
        self._draw_arrows([self.place], len(label) - 1)
        self.canvas.centre(self.canvas.add_row(label), self.place, "[concat]")

    def _last_places(self, *, backward: bool) -> list[int]:
        """Return the place of the last step that is not padding, and of the first if it counts."""
        real = [column.x for column in self.axis.real]
        is_hidden = self.axis.has_dots and self.axis.columns[-1].padded
        last = self.grid.dots(self.axis) if is_hidden else real[-1]
        return sorted({real[0], last} if backward else {last})

    def _draw_spread(self, layer: Layer, label: list[str]) -> None:
        """Draw a layer that begins a time axis of its own."""
        before = self._places(layer)
        length, name = layer.output[0] or 1, str(layer.output[0])
        if isinstance(layer, Append) and layer.output[0] is None:
            parts = (self._values[part] for part in layer.of)
            length = sum(axis.steps.length if place is None else 1 for axis, place in parts)
            name = lengths(self.network)[layer.name]
        if isinstance(layer, LastSteps) and not self.grid.is_folded:
            steps = self.axis.steps
            first = steps.length - length
            before = [x for at, x in enumerate(before) if steps.step(at) >= first]
        self._draw_arrows(before, len(label) - 1)
        steps = Steps(length=length, columns=self.grid.usual(length), name=name)
        if isinstance(layer, Repeat) and layer.like is not None:
            steps = replace(self._values[layer.like][0].steps, padded=False)
        if isinstance(layer, Attention):
            steps = self._values[layer.over][0].steps
        self.axis = self.grid.axis(steps)
        self.place = None
        after = [column.x for column in self.axis.columns]
        self._draw_pill([*before, *after], look(layer).short, label)

    def _draw_pill(self, places: Sequence[int], word: str, label: list[str]) -> None:
        """Add a row with a box around ``places``."""
        row = self.canvas.add_row(label)
        left, right = min(places) - _SIDE, max(places) + _SIDE
        if right - left < len(word) + 2:
            self.canvas.centre(row, (left + right + 1) // 2, f"[{word}]")
        else:
            self.canvas.put(row, left, f"[{f' {word} ':─^{right - left - 1}}]")

    def _draw_both_ways(self, layer: Recurrent, label: list[str]) -> None:
        places, dashed = self._places(layer), bool(layer.dropout)
        row = self.canvas.add_row()
        self.canvas.mark(row, [x - _SIDE for x in places], "╭─┴─╮")
        lowest = self._draw_arrows([x - _SIDE for x in places], len(label) - 4, dashed=dashed)
        forward, between = self.canvas.add_row(), self.canvas.add_row()
        backward = self.canvas.add_row(label)
        self._draw_cells(forward, layer, -_SIDE)
        self._draw_cells(backward, layer, _SIDE)
        right = [x + _SIDE for x in places]
        for row in range(lowest, between):
            self.canvas.mark(row, right, "┊" if dashed else "│")
        self.canvas.mark(between, right, "⇡" if dashed else "↑")
        # The outputs of both directions go into the box that merges them.
        rows, columns = [between, backward], self.axis.columns
        outputs = [column.x for column in self._outputs(layer.name)]
        if not layer.return_sequences:
            outputs = [columns[-1].x]
            self.place = outputs[-1]
            if len(columns) > 1:
                # The last state of the backward direction is that of step 1.
                rows.append(self.canvas.add_row())
                start, end = columns[0].x + _SIDE, columns[-1].x + _SIDE
                self.canvas.put(rows[-1], start, f"╭{'─' * (end - start - 1)}╯")
        for row in rows:
            self.canvas.mark(row, [x - _SIDE for x in outputs], "│")
        self._draw_arrows([x + side for x in outputs for side in (-_SIDE, _SIDE)])
        row = self.canvas.add_row()
        for x in outputs:
            self.canvas.centre(row, x, f"[{layer.merge}]")

    def _draw_cells(self, row: int, layer: Recurrent, side: int) -> None:
        """Draw the cells of one direction ``side`` columns right of their steps, and its state.

        The backward direction is the right one.
        """
        cells = list(self._cells(layer, side))
        for start, word in cells:
            self.canvas.put(row, start, word)
        line, forward, backward = "─→←"
        if layer.recurrent_dropout and dropped_states(layer):
            line, forward, backward = "┄⇢⇠"
        elif len(layer.states) > 1:
            line, forward, backward = "═⇒⇐"
        for (start, word), (end, _) in pairwise(cells):
            left = start + len(word)
            lines = line * (end - left - 3)
            is_back = side > 0 or layer.backward
            arrow = f" {backward}{lines} " if is_back else f" {lines}{forward} "
            self.canvas.put(row, left, arrow)
        if self.grid.is_folded:
            self.canvas.put(row, self.axis.columns[0].x + side + 3, "↺")

    def _cells(self, layer: Recurrent, side: int) -> Iterator[tuple[int, str]]:
        """Yield the place and the text of each cell, from left to right, and the first state."""
        columns = self.axis.columns
        is_back = side > 0 or layer.backward
        begin = "●" if layer.first_states else "0"
        if not is_back and not self.grid.is_folded:
            yield columns[0].x + side - self.grid.zero, begin
        for column in columns:
            if self.axis.has_dots and column is columns[-1]:
                yield self.grid.dots(self.axis) + side - 1, _DOTS
            word = _HELD if column.padded else look(layer).short
            yield column.x + side - len(word) // 2, word
        if is_back and not self.grid.is_folded:
            yield columns[-1].x + side + 6, begin

    def _draw_fork(self, stage: Stage, below: Sequence[str]) -> None:
        """Draw where lines to joins leave those to the next stage, if it takes the same."""
        if self._last not in self._lanes:
            return
        row = self._branches[self._last] = self.canvas.add_row()
        lane, inputs = self._lane(self._last), set[int]()
        if self._last in below:
            columns = self._outputs(self._last)
            places = [column.x for column in columns]
            inputs.update(self._places(stage) if isinstance(stage, Layer) else places)
        for column in self._outputs(self._last):
            corner = "┤" if column.x in inputs else "╯"
            self.canvas.put(row, column.x - lane, f"╰{'─' * (lane - 1)}{corner}")

    def _lane(self, name: str) -> int:
        """Return how far left of a step the line of an output to its joins goes up."""
        return 6 + 2 * self._lanes[name]

    def _draw_join(self, layer: Join, label: list[str]) -> None:
        """Draw a join, and the lines of earlier outputs up and into it."""
        places = [column.x for column in self._outputs(layer.name)]
        self._draw_arrows(places, len(label) - 1)
        top = self.canvas.add_row(label)
        for x in places:
            self.canvas.centre(top, x, f"[{look(layer).short}]")
        names = {name for name in layer.of if name != self._last and name in self._lanes}
        for name in sorted(names, key=self._lane, reverse=True):
            lane = self._lane(name)
            for row in range(self._branches[name] + 1, top):
                self.canvas.mark(row, [x - lane for x in places], "│")
            line = "─" * (lane - len(look(layer).short) // 2 - 3)
            self.canvas.mark(top, [x - lane for x in places], f"╭{line}→")

    def _draw_branch(self, layer: Layer, end: Residual) -> None:
        """Draw where the line of a residual leaves that of the layers."""
        row = self._branches[end.start] = self.canvas.add_row()
        inputs = set(self._places(layer))
        sums = {column.x for column in self._outputs(self._sources[end.name][0])}
        for x in inputs | sums:
            corner = "│" if x not in sums else "├" if x in inputs else "╰"
            self.canvas.put(row, x, corner)
            if x in sums:
                self.canvas.put(row, x + 1, f"{'─' * (self._offset(end) - 1)}╯")

    def _draw_sum(self, layer: Residual, label: list[str]) -> None:
        """Draw a residual's sum, and its line from the branch up and into it."""
        self._draw_nodes(layer, label)
        offset, top, places = self._offset(layer), len(self.canvas.rows) - 1, self._places(layer)
        for row in range(self._branches[layer.start] + 1, top):
            self.canvas.mark(row, [x + offset for x in places], "│")
        self.canvas.mark(top, [x + 1 for x in places], f"←{'─' * (offset - 2)}╮")

    def _offset(self, end: Residual) -> int:
        """Return how far right of a step the line of a residual goes up."""
        if self.grid.is_folded:
            return 6
        names = list(self._layers)
        block = names[names.index(end.start) : names.index(end.name)]
        return 6 if any(_is_bidirectional(self._layers[name]) for name in block) else 3


def _is_bidirectional(layer: Layer) -> bool:
    return isinstance(layer, Recurrent) and layer.merge is not None
