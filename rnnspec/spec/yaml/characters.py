"""Characters that mislead: what a reader of the text does not see, or takes for something else."""

from __future__ import annotations

import re
from itertools import islice

# What YAML 1.2 cannot print, and what YAML 1.1 alone takes for line breaks (U+0085, U+2028,
# U+2029) or for a byte order mark inside: PyYAML would read another document than the one shown.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]"
)
_BIDIRECTIONAL = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_REORDERS = "changes the order in which text is shown; remove it"
# Spaces other than ours, and what has no width, no ink, or changes the character before it.
_INVISIBLE = re.compile(
    "[\xa0\xad\u034f\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200d\u202f\u205f-\u2065"
    "\u206a-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)

Flaw = tuple[int, str, str]
"""The offset of a character, the code of what is wrong with it, and what to say of it."""


def forbidden(text: str) -> Flaw | None:
    """Return the first character that no spec may hold, not even in a comment, or None."""
    return next(iter(all_forbidden(text, 1)), None)


def all_forbidden(text: str, most: int) -> list[Flaw]:
    """Return the characters that no spec may hold, not even in a comment, the first ``most``."""
    flaws = [
        (match.start(), "E102", f"the character U+{ord(match.group()):04X} cannot stand in a spec")
        for match in islice(_FORBIDDEN.finditer(text), most)
    ]
    if not text.isascii():
        flaws += [
            (match.start(), "E103", f"{described(match.group())} {_REORDERS}")
            for match in islice(_BIDIRECTIONAL.finditer(text), most)
        ]
    return sorted(flaws)[:most]


def blanked(text: str) -> str:
    """Return ``text`` with a space for each character that no spec may hold."""
    text = _FORBIDDEN.sub(" ", text)
    return text if text.isascii() else _BIDIRECTIONAL.sub(" ", text)


def invisible(text: str) -> Flaw | None:
    """Return the first character of ``text`` that cannot be seen or looks like a space, or None."""
    if text.isascii() or not (match := _INVISIBLE.search(text)):
        return None
    message = f"{described(match.group())} cannot be told from a space or from nothing; remove it"
    return match.start(), "E104", message


def foreign_letter(text: str) -> str | None:
    """Describe the first character of ``text`` that is not ASCII, or return None."""
    if text.isascii():
        return None
    return next(described(each) for each in text if not each.isascii())


def described(character: str) -> str:
    """Return ``U+0430 (CYRILLIC SMALL LETTER A)``."""
    # Imported here: only a wrong spec pays for it.
    from unicodedata import name

    return f"U+{ord(character):04X} ({name(character, 'no name')})"


_TAB_IN_INDENTATION = re.compile(r"(?:^|(?<=\r)) *\t(?![ \t]*(?:#|\r|$))", re.MULTILINE)
_TAB = re.compile(r"(?:^|(?<=\r))(?P<before>[^\t\r\n]*)\t", re.MULTILINE)
# Quotes may hide a '#', so that after them it opens a comment for certain only at the line's start.
_COMMENT = re.compile(r"(?:[^'\"]*\s)?#")


def indenting_tab(text: str) -> int | None:
    """Return the offset of the first tab that indents something, or None."""
    match = _TAB_IN_INDENTATION.search(text)
    return match.end() - 1 if match else None


def tabs(text: str, most: int) -> list[int]:
    """Return where the first tab outside a comment is in each line that has one, ``most`` lines."""
    places = (
        match.end() - 1
        for match in _TAB.finditer(text)
        if not _COMMENT.match(match["before"]) and match["before"].strip()
    )
    return list(islice(places, most))
