"""The text of a spec: its encoding, its lines, and characters that mislead."""

from __future__ import annotations

import codecs
import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from rnnspec.errors import Problem, Span, SpecError

Path = tuple[str | int, ...]
"""The keys and indexes of a value: ``("rnn", 0, "type")``."""

Extent = tuple[int, int]
"""Start and end of a part of the text, in characters from 0; the end is excluded."""

# Far above any real spec; PyYAML's parser in Python takes about a second for it.
MAX_BYTES = 2**19

# The line breaks of YAML 1.2; str.splitlines has more.
_BREAK = re.compile("\r\n|\n|\r")


@dataclass(frozen=True)
class TextLines:
    """A text split into lines."""

    text: str

    def span(self, extent: Extent) -> Span:
        """Return the part of ``extent`` on its first line."""
        start, end = extent
        index = bisect_right(self._starts, start) - 1
        begin = self._starts[index]
        column = start - begin + 1
        line, width = self._line(index)
        stop = max(column, min(end - begin, width) + 1)
        return Span(index + 1, column, stop, line)

    def _line(self, index: int) -> tuple[str, int]:
        """Return a line and its length without trailing spaces."""
        if index not in self._cache:
            begin = self._starts[index]
            end = self._starts[index + 1] if index + 1 < len(self._starts) else len(self.text)
            line = self.text[begin:end].rstrip("\r\n")
            self._cache[index] = (line, len(line.rstrip()))
        return self._cache[index]

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in _BREAK.finditer(self.text))]

    # Thousands of problems may be on one long line.
    @cached_property
    def _cache(self) -> dict[int, tuple[str, int]]:
        return {}


# UTF-32 comes first because its little-endian mark starts with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_SAMPLE = 2**12

# Text in a Western language has few non-ASCII letters in a row.
_WESTERN = re.compile(rb"[\x80-\xff]{1,3}(?![\x80-\xff])")
_QUOTES = "\u2018\u2019\u201c\u201d\u2013\u2026"


def decode(raw: str | bytes, source: str) -> str:
    """Return the text of ``raw``, a string or UTF-8 bytes, without a byte order mark.

    Raises:
        SpecError: the text is too long or not UTF-8.
    """
    text = _decode_bytes(raw, source) if isinstance(raw, bytes) else raw
    size = len(raw) if isinstance(raw, bytes) else len(raw.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        message = f"expected a file of at most {MAX_BYTES} bytes, received a larger one"
        raise SpecError((Problem(source, message, code="E106"),))
    return text.removeprefix("\ufeff")


def _decode_bytes(raw: bytes, source: str) -> str:
    # A larger file is refused anyway.
    raw = raw[: MAX_BYTES + 1]
    if name := _other_encoding(raw):
        raise _undecodable("", 0, source, f"expected UTF-8 text, received {name}")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        # The cut may be inside a character; the caller reports the size instead.
        if len(raw) > MAX_BYTES and error.end == len(raw):
            return raw[: error.start].decode("utf-8")
        before = raw[: error.start].decode("utf-8").removeprefix("\ufeff")
        text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
        message = f"expected UTF-8 text, received byte 0x{raw[error.start]:02X}"
        match = _WESTERN.match(raw, error.start)
        letters = match.group().decode("cp1252", "replace") if match else ""
        if letters and all(letter.isalpha() or letter in _QUOTES for letter in letters):
            message += f", which is '{letters[0]}' in Windows-1252; save the file as UTF-8"
        raise _undecodable(text, len(before), source, message) from None


def _other_encoding(raw: bytes) -> str | None:
    for mark, name in _MARKS:
        if raw.startswith(mark):
            return name
    head = raw[:_SAMPLE]
    # UTF-16 and UTF-32 have zero bytes in every ASCII letter; a UTF-8 spec must not contain any.
    if head.count(0) < 2:
        return None
    quarters = [head[start::4] for start in range(4)]
    halves = [head[start::2] for start in range(2)]
    if _seems_utf_32(*quarters) or _seems_utf_32(*reversed(quarters)):
        return "text that looks like UTF-32"
    if _seems_utf_16(*halves) or _seems_utf_16(*reversed(halves)):
        return "text that looks like UTF-16"
    return None


def _seems_utf_32(lowest: bytes, _: bytes, high: bytes, highest: bytes) -> bool:
    """True if the bytes look like UTF-32, in which no code point exceeds U+10FFFF."""
    return len(highest) > 1 and any(lowest) and not any(highest) and max(high) <= 16


def _seems_utf_16(low: bytes, high: bytes) -> bool:
    """True if the bytes look like UTF-16: at least keys and spaces are ASCII."""
    return 0 not in low and high.count(0) * 4 >= len(high)


def _undecodable(text: str, offset: int, source: str, message: str) -> SpecError:
    span = TextLines(text).span((offset, offset + 1))
    return SpecError((Problem(source, message, span=span, code="E101"),))


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


def first_forbidden(text: str) -> Flaw | None:
    """Return the first character that is not allowed anywhere in a spec, or None."""
    return next(iter(all_forbidden(text, 1)), None)


def all_forbidden(text: str, most: int) -> list[Flaw]:
    """Return the first ``most`` characters that are not allowed in a spec, even in comments."""
    flaws = [
        (
            match.start(),
            "E102",
            f"character U+{ord(match.group()):04X} is not allowed in a spec; remove it",
        )
        for match in islice(_FORBIDDEN.finditer(text), most)
    ]
    if not text.isascii():
        flaws += [
            (match.start(), "E103", f"{character_name(match.group())} {_REORDERS}")
            for match in islice(_BIDIRECTIONAL.finditer(text), most)
        ]
    return sorted(flaws)[:most]


def blank_forbidden(text: str) -> str:
    """Return ``text`` with a space in place of each character that is not allowed in a spec."""
    text = _FORBIDDEN.sub(" ", text)
    return text if text.isascii() else _BIDIRECTIONAL.sub(" ", text)


def invisible(text: str) -> Flaw | None:
    """Return the first character that is invisible or looks like a space, or None."""
    if text.isascii() or not (match := _INVISIBLE.search(text)):
        return None
    message = f"{character_name(match.group())} is invisible or looks like a space; remove it"
    return match.start(), "E104", message


def foreign_letter(text: str) -> str | None:
    """Describe the first non-ASCII character of ``text``, or return None."""
    if text.isascii():
        return None
    return next(character_name(letter) for letter in text if not letter.isascii())


def character_name(character: str) -> str:
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
