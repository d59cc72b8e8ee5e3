"""Estimated widths of texts: those of DejaVu Sans, the widest font that a viewer falls back to."""

from __future__ import annotations

from rnnspec.drawing.scene import Text

_CLASSES = (("mwMWQO@%&—", 0.98), ("ijlI.,:;'|! ()[]ft/1", 0.42), ("ABCDEFGHJKLNPRSTUVXYZ", 0.75))
_WIDTHS = {letter: width for letters, width in _CLASSES for letter in letters}
_OTHER = 0.64
_BOLD = 1.12
_VARIABLE = 0.6
GAP = 8.0
"""The gap between the two halves of a text."""


def width(content: str, size: float, *, bold: bool = False) -> float:
    """Return the width of a line of text in pixels, which no usual font exceeds."""
    em = sum(_WIDTHS.get(letter, _OTHER) for letter in content)
    return em * size * (_BOLD if bold else 1.0)


def text_width(text: Text) -> float:
    """Return the width of a text in pixels."""
    if text.variable:
        return len(text.content) * _VARIABLE * text.size
    first = width(text.content, text.size, bold=text.weight >= 600)
    return first + (GAP + width(text.more, text.size) if text.more else 0.0)


def text_box(text: Text) -> tuple[float, float, float, float]:
    """Return the left, upper, right and lower edge of a text."""
    wide = text_width(text)
    left = text.x - {"start": 0.0, "middle": wide / 2, "end": wide}[text.anchor]
    return left, text.y - 0.78 * text.size, left + wide, text.y + 0.24 * text.size
