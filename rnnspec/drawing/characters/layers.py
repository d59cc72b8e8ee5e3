"""Layers as rows of characters, drawn upwards from the input."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import assert_never

from rnnspec.drawing.characters.canvas import Canvas
from rnnspec.drawing.characters.cells import Cells
from rnnspec.drawing.characters.grid import DOTS, SIDE, Column, Grid, side_lines, used_padding
from rnnspec.drawing.characters.words import detail, dropout_words, heading, remarks
from rnnspec.drawing.words import entry, input_entry, total
from rnnspec.ir.nodes import (
    Dense,
    Dropout,
    Embedding,
    Layer,
    LayerNorm,
    Network,
    Normalize,
    Pooling,
    Recurrent,
    Repeat,
    Residual,
)

_PAD = "pad"
_SUBSCRIPTS = {str(digit): chr(0x2080 + digit) for digit in range(10)}


class Picture:
    """The rows of a network, the lowest first, and where the output of the last layer is.

    ``axis`` has the columns of a sequence; ``place`` is the column of a vector, None for a
    sequence. Labels are wrapped at ``margin`` characters.
    """

    def __init__(self, network: Network, grid: Grid, margin: int) -> None:
        self.network = network
        self.grid = grid
        self.margin = margin
        self.canvas = Canvas()
        self.axis = grid.input_axis(network.input)
        self.place: int | None = None
        self._used = used_padding(network)
        self._sides = side_lines(network, grid)
        self._branches: dict[str, int] = {}

    def draw(self) -> Canvas:
        """Draw the input, the layers and the output."""
        self._input()
        for index, layer in enumerate(self.network.layers):
            self._branch(index, layer)
            self._layer(index, layer)
        self._output()
        return self.canvas

    def _input(self) -> None:
        self.canvas.label(self.canvas.add_row(), [" ".join(total(self.network))])
        self.canvas.add_row()
        given = input_entry(self.network.input)
        lines = [*self._wrapped(heading(given)), *self._wrapped(detail(given), "  ")]
        for _ in lines:
            row = self.canvas.add_row()
        self.canvas.label(row, lines)
        self._tokens(row, "x", self.axis.columns)

    def _output(self) -> None:
        columns = self._columns(len(self.network.layers))
        self._arrows([each.x for each in columns])
        row = self.canvas.add_row()
        if self.place is None:
            self._tokens(row, "ŷ", columns)
        else:
            self.canvas.put(row, self.place, "ŷ")

    def _tokens(self, row: int, letter: str, columns: Sequence[Column]) -> None:
        for each in columns:
            index = "".join(_SUBSCRIPTS.get(c, c) for c in each.step)
            token = _PAD if each.padded else f"{letter}{index}"
            self.canvas.put(row, each.x - (len(token) - 1) // 2, token)
        if self.axis.dots:
            self.canvas.centre(row, self.grid.dots(self.axis), DOTS)

    def _layer(self, index: int, layer: Layer) -> None:
        lines = self._label(layer)
        match layer:
            case Embedding():
                self._nodes(index, "embed", lines)
            case Dense():
                self._nodes(index, "dense", lines)
            case LayerNorm():
                self._nodes(index, "norm", lines)
            case Normalize():
                self._nodes(index, "x/|x|", lines)
            case Residual():
                self._nodes(index, "+", lines)
                self._side(index, layer)
            case Dropout():
                self._dropout(index, lines)
            case Pooling():
                self._pooling(index, layer, lines)
            case Repeat():
                self._repeat(index, layer, lines)
            case Recurrent(merge=None):
                self._one_way(index, layer, lines)
            case Recurrent():
                self._both_ways(index, layer, lines)
            case _:
                assert_never(layer)

    def _label(self, layer: Layer) -> list[str]:
        words = entry(layer)
        lines = self._wrapped(heading(words))
        for line in (detail(words), *dropout_words(layer), *remarks(layer)):
            lines += self._wrapped(line, "  ")
        return lines

    def _wrapped(self, line: str, indent: str = "") -> list[str]:
        return textwrap.wrap(
            line,
            self.margin,
            initial_indent=indent,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )

    def _columns(self, index: int) -> tuple[Column, ...]:
        """Return the columns whose value goes into layer ``index``, or into the result."""
        if self.place is not None:
            return (Column("", self.place),)
        layers = self.network.layers
        if index == len(layers):
            return self._outputs(index - 1)
        # A recurrent layer reads no padding.
        return self.axis.real if isinstance(layers[index], Recurrent) else self._outputs(index)

    def _outputs(self, index: int) -> tuple[Column, ...]:
        """Return the columns in which the output of layer ``index`` is used."""
        return self.axis.columns if self._used[index + 1] else self.axis.real

    def _arrows(self, places: Sequence[int], height: int = 1, *, dashed: bool = False) -> int:
        """Add rows of arrows upwards, and return the number of the highest."""
        for number in range(height):
            row = self.canvas.add_row()
            line, head = ("┊", "⇡") if dashed else ("│", "↑")
            self._mark(row, places, head if number == height - 1 else line)
        return row

    def _mark(self, row: int, places: Sequence[int], character: str) -> None:
        for x in places:
            self.canvas.put(row, x, character)

    def _nodes(self, index: int, word: str, lines: list[str]) -> None:
        """Draw a layer that computes each of its columns alone."""
        places = [each.x for each in self._columns(index)]
        self._arrows(places, max(1, len(lines) - 1))
        row = self.canvas.add_row()
        for x in places:
            self.canvas.centre(row, x, word)
        self.canvas.label(row, lines)

    def _dropout(self, index: int, lines: list[str]) -> None:
        for _ in lines:
            row = self.canvas.add_row()
            self._mark(row, [each.x for each in self._columns(index)], "┊")
        self.canvas.label(row, lines)

    def _pooling(self, index: int, layer: Pooling, lines: list[str]) -> None:
        places = [each.x for each in self._columns(index)]
        middle = self.axis.middle
        if layer.statistic == "last_step":
            middle = places[-1]
            places = [middle]
        self._arrows(places, max(1, len(lines) - 1))
        self.canvas.label(self._pill(places, layer.statistic.replace("_", " ")), lines)
        self.place = middle

    def _repeat(self, index: int, layer: Repeat, lines: list[str]) -> None:
        before = [each.x for each in self._columns(index)]
        self._arrows(before, max(1, len(lines) - 1))
        self.axis, self.place = self.grid.axis(layer.steps), None
        after = [each.x for each in self.axis.columns]
        self.canvas.label(self._pill([*before, *after], "repeat"), lines)

    def _pill(self, places: Sequence[int], word: str) -> int:
        """Add a row with a box around ``places``, and return its number."""
        row = self.canvas.add_row()
        left, right = min(places) - SIDE, max(places) + SIDE
        if right - left < len(word) + 2:
            self.canvas.centre(row, (left + right + 1) // 2, f"[{word}]")
        else:
            self.canvas.put(row, left, f"[{f' {word} ':─^{right - left - 1}}]")
        return row

    def _one_way(self, index: int, layer: Recurrent, lines: list[str]) -> None:
        places = [each.x for each in self._columns(index)]
        self._arrows(places, max(1, len(lines) - 1), dashed=bool(layer.dropout))
        row = self.canvas.add_row()
        self._cells(row, layer, 0)
        self.canvas.label(row, lines)
        self._handed_on(layer)

    def _cells(self, row: int, layer: Recurrent, side: int) -> None:
        Cells(layer, self.axis, self.grid, side).draw(self.canvas, row)

    def _handed_on(self, layer: Recurrent) -> None:
        if not layer.return_sequences:
            self.place = self.axis.columns[-1].x

    def _both_ways(self, index: int, layer: Recurrent, lines: list[str]) -> None:
        places = [each.x for each in self._columns(index)]
        self._split(places)
        dashed = bool(layer.dropout)
        height = max(1, len(lines) - 4)
        first = self._arrows([x - SIDE for x in places], height, dashed=dashed) - height + 1
        forward, between, backward = (self.canvas.add_row() for _ in range(3))
        self._cells(forward, layer, -SIDE)
        self._cells(backward, layer, SIDE)
        for row in range(first, between):
            self._mark(row, [x + SIDE for x in places], "┊" if dashed else "│")
        self._mark(between, [x + SIDE for x in places], "⇡" if dashed else "↑")
        self.canvas.label(backward, lines)
        self._merged(index, layer, (between, backward))

    def _split(self, places: Sequence[int]) -> None:
        row = self.canvas.add_row()
        for x in places:
            self.canvas.put(row, x - SIDE, "╭─┴─╮")

    def _merged(self, index: int, layer: Recurrent, rows: tuple[int, ...]) -> None:
        """Lead the outputs of both directions into the box that merges them."""
        columns = self.axis.columns
        if layer.return_sequences:
            outputs = [each.x for each in self._outputs(index)]
        else:
            outputs = [columns[-1].x]
            if len(columns) > 1:
                rows = (*rows, self._from_step_1(columns))
        for row in rows:
            self._mark(row, [x - SIDE for x in outputs], "│")
        self._arrows([x + side for x in outputs for side in (-SIDE, SIDE)])
        row = self.canvas.add_row()
        for x in outputs:
            self.canvas.centre(row, x, f"[{layer.merge}]")
        self._handed_on(layer)

    def _from_step_1(self, columns: Sequence[Column]) -> int:
        """Draw the line of the backward direction's last state, which is that of step 1."""
        row = self.canvas.add_row()
        start, end = columns[0].x + SIDE, columns[-1].x + SIDE
        self.canvas.put(row, start, f"╭{'─' * (end - start - 1)}╯")
        return row

    def _branch(self, index: int, layer: Layer) -> None:
        """Draw where the line of a residual leaves that of the layers."""
        if layer.name not in self._sides:
            return
        row = self.canvas.add_row()
        self._branches[layer.name] = row
        end = next(i for i, each in enumerate(self.network.layers) if _adds(each, layer))
        taken = {each.x for each in self._columns(index)}
        added = {each.x for each in self._outputs(end)}
        offset = self._sides[layer.name]
        for x in taken | added:
            corner = "│" if x not in added else "├" if x in taken else "╰"
            self.canvas.put(row, x, corner)
            if x in added:
                self.canvas.put(row, x + 1, f"{'─' * (offset - 1)}╯")

    def _side(self, index: int, layer: Residual) -> None:
        """Draw the line of a residual, from its branch up and into the sum."""
        offset, bottom = self._sides[layer.start], self._branches[layer.start]
        top = len(self.canvas.rows) - 1
        for x in (each.x for each in self._columns(index)):
            for row in range(bottom + 1, top):
                self.canvas.put(row, x + offset, "│")
            self.canvas.put(top, x + 1, f"←{'─' * (offset - 2)}╮")


def _adds(layer: Layer, start: Layer) -> bool:
    return isinstance(layer, Residual) and layer.start == start.name
