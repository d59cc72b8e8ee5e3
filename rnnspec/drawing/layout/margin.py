"""The left margin, which is the summary: an entry for each row, and the number of parameters."""

from __future__ import annotations

from collections.abc import Iterable

from rnnspec.drawing.layout.canvas import Canvas
from rnnspec.drawing.scene import Line, Text
from rnnspec.drawing.widths import text_width, width
from rnnspec.drawing.words import Entry

LINE = 17.0
LEFT = 20.0
_NAME, _DETAIL = 13.0, 11.5
_WIDEST = 330.0
"""The width from which the kind stands below the name."""


def lines(entry: Entry) -> int:
    """Return the number of lines of an entry."""
    return len(_texts(entry, 0.0))


def write(canvas: Canvas, entry: Entry, centre: float) -> None:
    """Write an entry, its middle at a height."""
    texts = _texts(entry, centre - LINE * (lines(entry) - 1) / 2 + 4.5)
    canvas.note(entry.name, *texts)


def widest(entries: Iterable[Entry], total: tuple[str, str]) -> float:
    """Return the width of the margin's text."""
    texts = [text for entry in entries for text in _texts(entry, 0.0)]
    return max(240.0, *(text_width(text) for text in [*texts, _total(total, 0.0)]))


def write_total(canvas: Canvas, total: tuple[str, str], top: float) -> None:
    """Write the number of parameters of the whole network below a rule."""
    rule = Line(points=((LEFT, top), (LEFT + 240, top)), role="rule", width=1, head=False)
    canvas.note("", rule, _total(total, top + 19))


def _total(total: tuple[str, str], y: float) -> Text:
    return Text(x=LEFT, y=y, content=total[0], size=_NAME, weight=600, more=total[1])


def _texts(entry: Entry, y: float) -> list[Text]:
    wide = width(entry.name, _NAME, bold=True) + width(entry.kind, _NAME) > _WIDEST
    more = "" if wide else entry.kind
    texts = [Text(x=LEFT, y=y, content=entry.name, size=_NAME, weight=600, more=more)]
    for content in _wrapped(entry.kind) if wide else ():
        y += LINE
        texts.append(Text(x=LEFT, y=y, content=content, size=_NAME))
    if entry.detail:
        texts.append(Text(x=LEFT, y=y + LINE, content=entry.detail, size=_DETAIL, role="grey"))
    return texts


def _wrapped(kind: str) -> list[str]:
    """Return a kind in lines, broken after commas."""
    found = [""]
    for word in kind.split(", "):
        longer = f"{found[-1]}, {word}" if found[-1] else word
        if found[-1] and width(longer, _NAME) > _WIDEST:
            found[-1] += ","
            found.append(word)
        else:
            found[-1] = longer
    return found
