"""From offsets into a text to lines and columns, and from bytes to that text."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from rnnspec.errors import Problem, Span, SpecError

Path = tuple[str | int, ...]
"""The keys and indexes that lead to a value: ``("rnn", 0, "type")``."""

Extent = tuple[int, int]
"""Where something begins and ends in the text, in characters from 0, the end excluded."""

MAX_BYTES = 2**20

_BREAK = re.compile("\r\n|\n|\r")
# What YAML 1.2 cannot print, and what YAML 1.1 alone takes for line breaks (U+0085, U+2028,
# U+2029) or for a byte order mark inside: PyYAML would read another document than the one shown.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]"
)


@dataclass(frozen=True)
class Lines:
    """A text, cut into lines."""

    text: str

    # Kept, for thousands of problems may share one long line.
    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in _BREAK.finditer(self.text))]

    @cached_property
    def _lines(self) -> list[str]:
        return _BREAK.split(self.text)

    @cached_property
    def _widths(self) -> list[int]:
        return [len(line.rstrip()) for line in self._lines]

    def span(self, extent: Extent) -> Span:
        """Return the part of ``extent`` that lies on its first line."""
        start, end = extent
        index = bisect_right(self._starts, start) - 1
        begin = self._starts[index]
        column = start - begin + 1
        stop = max(column, min(end - begin, self._widths[index]) + 1)
        return Span(index + 1, column, stop, self._lines[index])


def forbidden(text: str) -> tuple[int, str] | None:
    """Return the offset and the name of the first character that no spec may hold, or None."""
    match = _FORBIDDEN.search(text)
    return (match.start(), f"U+{ord(match.group()):04X}") if match else None


def decode(raw: str | bytes, source: str) -> str:
    """Return the text of ``raw``, which is UTF-8 where it is bytes, without a byte order mark.

    Raises:
        SpecError: too long, not UTF-8, or holding a character that no spec may hold.
    """
    text = _decoded(raw, source) if isinstance(raw, bytes) else raw
    size = len(raw) if isinstance(raw, bytes) else len(raw.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise SpecError((Problem(source, f"expected at most {MAX_BYTES} bytes, received more"),))
    text = text.removeprefix("\ufeff")
    if found := forbidden(text):
        offset, name = found
        raise _undecodable(text, offset, source, f"the character {name} cannot stand in a spec")
    return text


def _decoded(raw: bytes, source: str) -> str:
    raw = raw[: MAX_BYTES + 1]
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _undecodable("", 0, source, "expected UTF-8 text, received UTF-16")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(raw) > MAX_BYTES and error.end == len(raw):
            return raw[: error.start].decode("utf-8")
        before = raw[: error.start].decode("utf-8").removeprefix("\ufeff")
        text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
        message = f"expected UTF-8 text, received the byte 0x{raw[error.start]:02X}"
        raise _undecodable(text, len(before), source, message) from None


def _undecodable(text: str, offset: int, source: str, message: str) -> SpecError:
    return SpecError((Problem(source, message, span=Lines(text).span((offset, offset + 1))),))
