"""A grid of characters that grows upwards, with labels at the left of its rows."""

from __future__ import annotations

_ASCII = str.maketrans(
    {
        **dict.fromkeys("╭╮╰╯├┴", "+"),
        **dict(zip("─→←│↑═⇒⇐", "-><|^=><", strict=True)),
        **dict(zip("┄⇢⇠┊⇡↺·×ŷ", "~><:^@.xy", strict=True)),
        **{chr(0x2080 + digit): str(digit) for digit in range(10)},
    }
)
"""Each character of a picture in ASCII, as wide as before."""


class Canvas:
    """Rows of characters, the lowest first; ``labels`` has the text beside each."""

    def __init__(self) -> None:
        self.rows: list[list[str]] = []
        self.labels: list[str] = []

    @property
    def width(self) -> int:
        """The length of the longest row."""
        return max(map(len, self.rows), default=0)

    def add_row(self) -> int:
        """Add a row on top, and return its number."""
        self.rows.append([])
        self.labels.append("")
        return len(self.rows) - 1

    def label(self, row: int, lines: list[str]) -> None:
        """Write lines beside ``row`` and those below it."""
        for number, line in enumerate(lines):
            self.labels[row - number] = line

    def put(self, row: int, x: int, text: str) -> None:
        """Write ``text`` from column ``x`` on; columns left of 0 do not exist."""
        cells = self.rows[row]
        cells.extend(" " * (x + len(text) - len(cells)))
        cells[x : x + len(text)] = text

    def centre(self, row: int, x: int, text: str) -> None:
        """Write ``text`` around column ``x``, further right if it would leave the picture."""
        self.put(row, max(0, x - len(text) // 2), text)

    def draw(self, margin: int, *, unicode: bool) -> str:
        """Return all rows, from the top, each label in ``margin`` columns."""
        pairs = zip(reversed(self.labels), reversed(self.rows), strict=True)
        lines = [f"{label:{margin}}{''.join(row)}".rstrip() for label, row in pairs]
        text = "\n".join(lines) + "\n"
        return text if unicode else text.replace(" · ", " : ").translate(_ASCII)
