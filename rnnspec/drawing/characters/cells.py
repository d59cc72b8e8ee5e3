"""The cells of one direction of a recurrent layer, and the state that goes from one to the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from rnnspec.drawing.characters.canvas import Canvas
from rnnspec.drawing.characters.grid import DOTS, Axis, Grid
from rnnspec.drawing.characters.words import cell_word
from rnnspec.ir.nodes import LSTM, Recurrent

_HELD = "held"


@dataclass(frozen=True, slots=True)
class Cells:
    """One direction of a layer; its cells are ``side`` columns right of their steps.

    The backward direction is right of them, where ``side`` is positive.
    """

    layer: Recurrent
    axis: Axis
    grid: Grid
    side: int

    def draw(self, canvas: Canvas, row: int) -> None:
        """Draw the cells, and the state between them."""
        items = list(self._items())
        for start, word in items:
            canvas.put(row, start, word)
        for (start, word), (end, _) in pairwise(items):
            left = start + len(word)
            canvas.put(row, left, self._state(end - left))
        if self.grid.folded:
            canvas.put(row, self.axis.columns[0].x + self.side + 3, "↺")

    def _items(self) -> Iterator[tuple[int, str]]:
        """Yield the place and the text of each cell, from left to right, and the first state."""
        centres = [each.x + self.side for each in self.axis.columns]
        if self.side <= 0 and not self.grid.folded:
            yield centres[0] - 7, "0"
        for number, (x, column) in enumerate(zip(centres, self.axis.columns, strict=True)):
            if self.axis.dots and number == len(centres) - 1:
                yield self.grid.dots(self.axis) + self.side - 1, DOTS
            word = _HELD if column.padded else cell_word(self.layer.cell)
            yield x - len(word) // 2, word
        if self.side > 0 and not self.grid.folded:
            yield centres[-1] + 6, "0"

    def _state(self, length: int) -> str:
        """Return an arrow: a double one for the two vectors of an LSTM, dashed for dropout."""
        backward = self.side > 0
        if self.layer.recurrent_dropout:
            line, head = "┄", "⇠" if backward else "⇢"
        elif isinstance(self.layer.cell, LSTM):
            line, head = "═", "⇐" if backward else "⇒"
        else:
            line, head = "─", "←" if backward else "→"
        lines = line * (length - 3)
        return f" {head}{lines} " if backward else f" {lines}{head} "
