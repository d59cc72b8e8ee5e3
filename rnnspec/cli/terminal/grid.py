"""Tables laid out here, because rich takes ten seconds for thousands of layers."""

from __future__ import annotations

from itertools import zip_longest
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from rich.box import ASCII, SQUARE
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.box import Box
    from rich.console import Console, ConsoleOptions

_HEADER = Style(bold=True)


class Grid:
    """A table as wide as its cells; a cell may have several lines and is never cut.

    The columns in ``left`` are aligned to the left, the others to the right.
    """

    def __init__(self, *titles: str, left: frozenset[int] = frozenset({0})) -> None:
        self._left = left
        self._rows: list[tuple[list[list[str]], Style]] = []
        self._ruled: set[int] = set()
        self._widths = [0] * len(titles)
        self.add_row(*titles, style=_HEADER)

    def add_row(self, *cells: str, style: Style | None = None) -> None:
        """Add a row, with a cell for each column."""
        split = [cell.split("\n") for cell in cells]
        for column, lines in enumerate(split):
            self._widths[column] = max(self._widths[column], *map(_width, lines))
        self._rows.append((split, style or Style.null()))

    def fits(self, console: Console) -> bool:
        """Return false if ``console`` is a terminal that would break the lines of the table."""
        width = sum(self._widths) + 3 * len(self._widths) + 1
        return not console.file.isatty() or width <= get_terminal_size().columns

    def add_section(self) -> None:
        """Draw a line between the rows so far and those that follow."""
        self._ruled.add(len(self._rows))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """Yield finished segments, which rich writes without further layout."""
        # Redirected output may end up in a file or a log of another encoding.
        box = (SQUARE if console.file.isatty() else ASCII).substitute(options)
        widths = [width + 2 for width in self._widths]
        yield Segment(f"{box.get_top(widths)}\n")
        for number, (cells, style) in enumerate(self._rows):
            if number == 1:
                yield Segment(f"{box.get_row(widths, 'head')}\n")
            elif number in self._ruled:
                yield Segment(f"{box.get_row(widths, 'row')}\n")
            for line in zip_longest(*cells, fillvalue=""):
                yield from self._line(line, style, box)
        yield Segment(f"{box.get_bottom(widths)}\n")

    def _line(self, cells: Sequence[str], style: Style, box: Box) -> Iterator[Segment]:
        bars = (box.mid_left, *(box.mid_vertical for _ in cells[1:]))
        for bar, (column, cell) in zip(bars, enumerate(cells), strict=True):
            space = " " * (self._widths[column] - _width(cell))
            yield Segment(bar)
            yield Segment(f" {cell}{space} " if column in self._left else f" {space}{cell} ", style)
        yield Segment(f"{box.mid_right}\n")


def _width(text: str) -> int:
    # cell_len knows wide characters, but is slow, and most cells are ASCII.
    return len(text) if text.isascii() else cell_len(text)
