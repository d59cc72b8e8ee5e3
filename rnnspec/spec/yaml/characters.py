"""Misleading characters: invisible ones, and those that look like others."""

from __future__ import annotations

import re
from itertools import islice

# The non-printable characters of YAML 1.2, and those that only YAML 1.1 treats as line breaks
# (U+0085, U+2028, U+2029) or as a byte order mark inside the text: PyYAML would read a document
# that differs from the one displayed.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]"
)
# These can show a reviewer a text that differs from the one that is parsed ("Trojan Source",
# CVE-2021-42574).
_BIDIRECTIONAL = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_REORDERS = "changes the order in which text is displayed; remove it"
# Non-ASCII spaces, and characters that have no width, no glyph, or change the one before them.
_INVISIBLE = re.compile(
    "[\xa0\xad\u034f\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200d\u202f\u205f-\u2065"
    "\u206a-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)

Flaw = tuple[int, str, str]
"""The offset of a character, the code and the message."""


def forbidden(text: str) -> Flaw | None:
    """Return the first character that is not allowed anywhere in a spec, or None."""
    return next(iter(all_forbidden(text, 1)), None)


def all_forbidden(text: str, most: int) -> list[Flaw]:
    """Return the first ``most`` characters that are not allowed in a spec, even in comments."""
    flaws = [
        (match.start(), "E102", _not_allowed(match.group()))
        for match in islice(_FORBIDDEN.finditer(text), most)
    ]
    if not text.isascii():
        flaws += [
            (match.start(), "E103", f"{described(match.group())} {_REORDERS}")
            for match in islice(_BIDIRECTIONAL.finditer(text), most)
        ]
    return sorted(flaws)[:most]


def _not_allowed(character: str) -> str:
    return f"character U+{ord(character):04X} is not allowed in a spec; remove it"


def blanked(text: str) -> str:
    """Return ``text`` with a space in place of each character that is not allowed in a spec."""
    text = _FORBIDDEN.sub(" ", text)
    return text if text.isascii() else _BIDIRECTIONAL.sub(" ", text)


def invisible(text: str) -> Flaw | None:
    """Return the first character that is invisible or looks like a space, or None."""
    if text.isascii() or not (match := _INVISIBLE.search(text)):
        return None
    message = f"{described(match.group())} is invisible or looks like a space; remove it"
    return match.start(), "E104", message


def foreign_letter(text: str) -> str | None:
    """Describe the first non-ASCII character of ``text``, or return None."""
    if text.isascii():
        return None
    return next(described(each) for each in text if not each.isascii())


def described(character: str) -> str:
    """Return ``U+0430 (CYRILLIC SMALL LETTER A)``."""
    # Imported here because a valid spec does not need it.
    from unicodedata import name

    return f"U+{ord(character):04X} ({name(character, 'unnamed')})"


_TAB_IN_INDENTATION = re.compile(r"(?:^|(?<=\r)) *\t(?![ \t]*(?:#|\r|$))", re.MULTILINE)
_TAB = re.compile(r"(?:^|(?<=\r))(?P<before>[^\t\r\n]*)\t", re.MULTILINE)
# After a quote, a '#' may be part of a string, so only a '#' without one before it counts.
_COMMENT = re.compile(r"(?:[^'\"]*\s)?#")


def indenting_tab(text: str) -> int | None:
    """Return the offset of the first tab used as indentation, or None."""
    match = _TAB_IN_INDENTATION.search(text)
    return match.end() - 1 if match else None


def tabs(text: str, most: int) -> list[int]:
    """Return the offset of the first tab outside a comment, for up to ``most`` lines."""
    offsets = (
        match.end() - 1
        for match in _TAB.finditer(text)
        if not _COMMENT.match(match["before"]) and match["before"].strip()
    )
    return list(islice(offsets, most))
