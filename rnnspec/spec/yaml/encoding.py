"""Decoding of bytes to text, with a guess at the encoding if it is not UTF-8."""

from __future__ import annotations

import codecs
import re

from rnnspec.errors import Problem, SpecError
from rnnspec.spec.yaml.places import MAX_BYTES, Lines

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
    text = _decoded(raw, source) if isinstance(raw, bytes) else raw
    size = len(raw) if isinstance(raw, bytes) else len(raw.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        message = f"expected a file of at most {MAX_BYTES} bytes, received a larger one"
        raise SpecError((Problem(source, message, code="E106"),))
    return text.removeprefix("\ufeff")


def _decoded(raw: bytes, source: str) -> str:
    # A larger file is refused anyway.
    raw = raw[: MAX_BYTES + 1]
    if name := _other_encoding(raw):
        raise _undecodable("", 0, source, "E101", f"expected UTF-8 text, received {name}")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        # The cut may be inside a character; the caller reports the size instead.
        if len(raw) > MAX_BYTES and error.end == len(raw):
            return raw[: error.start].decode("utf-8")
        before = raw[: error.start].decode("utf-8").removeprefix("\ufeff")
        text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
        message = f"expected UTF-8 text, received byte 0x{raw[error.start]:02X}"
        message += _western(raw, error.start)
        raise _undecodable(text, len(before), source, "E101", message) from None


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
    """Return whether the bytes look like UTF-32, in which no code point exceeds U+10FFFF."""
    return len(highest) > 1 and any(lowest) and not any(highest) and max(high) <= 16


def _seems_utf_16(low: bytes, high: bytes) -> bool:
    """Return whether the bytes look like UTF-16: at least keys and spaces are ASCII."""
    return 0 not in low and high.count(0) * 4 >= len(high)


def _western(raw: bytes, start: int) -> str:
    """Return a hint with the letter at ``start`` if the file seems to be Windows-1252."""
    match = _WESTERN.match(raw, start)
    letters = match.group().decode("cp1252", "replace") if match else ""
    if not letters or not all(each.isalpha() or each in _QUOTES for each in letters):
        return ""
    return f", which is '{letters[0]}' in Windows-1252; save the file as UTF-8"


def _undecodable(text: str, offset: int, source: str, code: str, message: str) -> SpecError:
    span = Lines(text).span((offset, offset + 1))
    return SpecError((Problem(source, message, span=span, code=code),))
