"""The canvas of a picture in characters, and the columns that time steps have on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rnnspec.drawing.steps import Steps

SUBSCRIPTS = {str(digit): chr(0x2080 + digit) for digit in range(10)}
_ASCII = str.maketrans(
    {
        **dict.fromkeys("╭╮╰╯├┤┴", "+"),
        **dict(zip("╱╲●", "/\\o", strict=True)),
        **dict(zip("─→←│↑═⇒⇐", "-><|^=><", strict=True)),
        **dict(zip("┄⇢⇠┊⇡↺·×ŷ…", "~><:^@.xy.", strict=True)),
        **{subscript: digit for digit, subscript in SUBSCRIPTS.items()},
    }
)
"""Each character of a picture in ASCII, as wide as before."""


@dataclass(frozen=True, slots=True)
class TextColumn:
    """One time step; ``step`` is its number, ``T`` for the last of any number."""

    step: str
    x: int
    padded: bool = False


@dataclass(frozen=True, slots=True)
class TextAxis:
    """The columns of a sequence, and which steps they show."""

    columns: tuple[TextColumn, ...]
    steps: Steps

    @property
    def has_dots(self) -> bool:
        """True if steps are left out before the last column."""
        return len(self.columns) > 1 and self.steps.has_hidden

    @property
    def real(self) -> tuple[TextColumn, ...]:
        """The columns that are not padding."""
        return tuple(column for column in self.columns if not column.padded)


@dataclass(frozen=True, slots=True)
class TextGrid:
    """The measures of a picture.

    ``columns`` is the number of columns before the dots, 0 in the folded form, and ``chosen`` the
    number of columns of the input if someone chose it. The first state is ``zero`` left of its
    cell.
    """

    columns: int
    pitch: int
    left: int
    chosen: int | None = None
    zero: int = 7

    @property
    def is_folded(self) -> bool:
        """True if all time steps share one column."""
        return self.columns == 0

    def usual(self, length: int | None) -> int:
        """Return how many columns a sequence of some length has."""
        # The dots take the place of one column.
        fits = length is not None and length <= self.columns + 2
        return length if fits and length is not None else self.columns + 1

    def axis(self, steps: Steps) -> TextAxis:
        """Return the columns of a sequence."""
        if self.is_folded:
            return TextAxis((TextColumn("", self.left),), steps)
        places = [self.left + self.pitch * index for index in range(steps.columns)]
        if steps.has_hidden and steps.columns > 1:
            places[-1] += self.pitch - 1
        columns = list(map(TextColumn, steps.labels, places))
        if steps.padded:
            columns[-1] = TextColumn("", places[-1], padded=True)
        return TextAxis(tuple(columns), steps)

    def dots(self, axis: TextAxis) -> int:
        """Return the place of the dots, before the last column."""
        return axis.columns[-1].x - self.pitch


FOLDED = TextGrid(columns=0, pitch=0, left=4)


class TextCanvas:
    """Rows of characters, the lowest first; ``labels`` has the text beside each."""

    def __init__(self) -> None:
        self.rows: list[list[str]] = []
        self.labels: list[str] = []

    def add_row(self, label: Sequence[str] = ()) -> int:
        """Add a row on top, with a label beside it and below, and return its number."""
        self.rows.append([])
        self.labels.append("")
        for row, line in enumerate(label):
            self.labels[-1 - row] = line
        return len(self.rows) - 1

    def put(self, row: int, x: int, text: str) -> None:
        """Write ``text`` from column ``x`` on."""
        cells = self.rows[row]
        cells.extend(" " * (x + len(text) - len(cells)))
        cells[x : x + len(text)] = text

    def centre(self, row: int, x: int, text: str) -> None:
        """Write ``text`` around column ``x``, further right if it would leave the picture."""
        self.put(row, max(0, x - len(text) // 2), text)

    def mark(self, row: int, places: Sequence[int], character: str) -> None:
        """Write a character in each of some columns."""
        for x in places:
            self.put(row, x, character)

    def draw(self, margin: int, *, unicode: bool) -> str:
        """Return all rows, from the top, each label in ``margin`` columns."""
        pairs = zip(reversed(self.labels), reversed(self.rows), strict=True)
        lines = [f"{label:{margin}}{''.join(row)}".rstrip() for label, row in pairs]
        picture = "\n".join(lines) + "\n"
        return picture if unicode else picture.replace(" · ", " : ").translate(_ASCII)
