"""Events of PyYAML, made equal for its two parsers: libyaml, and the one written in Python."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from rnnspec.spec.yaml.characters import indenting_tab, invisible
from rnnspec.spec.yaml.syntax import explain
from rnnspec.wording import cut_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.spec.yaml.places import Extent

_PERCENT = re.compile(r"(?:\A|(?<=[\r\n]))%[^\r\n]*")
_VERSION = re.compile(r"%YAML[ \t]+(?P<version>[^ \t]+)[ \t]*(?:(?<=[ \t])#.*)?")
# Possessive (*+): no position to go back to is stored for each of half a million lines.
_NO_CONTENT = re.compile(r"(?:[ \t]*(?:#[^\r\n]*)?(?:\r\n?|\n))*+")
_MARKER = re.compile(r"---(?!\S)")
_COMMENT = re.compile(r"(?:^|(?<=\s))#[^\r\n]*")
_CLOSE_COLON = re.compile(r"\s*:(?=[\[\]{},])")
_CLOSE_COMMENT = re.compile(r"[^\r\n]*?[|>][-+0-9]*#")
_ODD_TAG = re.compile(r"!!?+[^\s!%,\[\]{}]*[!%,\[\]{}]\S*")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Above U+10FFFF, the last code point of Unicode.
_LONG_ESCAPE = re.compile(r"\\U(?!00(?:0[0-9A-Fa-f]|10))[0-9A-Fa-f]{8}")
_LONGEST_LINE = 2**14


class StopReadingError(Exception):
    """An error after which the rest of the text cannot be interpreted."""

    def __init__(self, extent: Extent, code: str, message: str) -> None:
        super().__init__(message)
        self.extent = extent
        self.code = code
        self.message = message


def events(text: str, loader: Any) -> Iterator[tuple[Any, Extent]]:
    """Yield each event of ``text`` with its extent.

    Raises:
        StopReadingError: the text is not YAML, or only one of the two parsers accepts it.
    """
    # Both replace characters one for one, so the positions of events are those of the text.
    source = loader(_without_tabs(_without_version(text)))
    last = flow = 0
    while (event := _next(source, text, last)) is not None:
        start, end = event.start_mark.index, event.end_mark.index
        _check_gap(text, last, start)
        _check_tag(text, event, start)
        if isinstance(event, yaml.ScalarEvent):
            _check_scalar(text, event, (start, end), flow)
        elif isinstance(event, yaml.CollectionStartEvent):
            if text.startswith("?", start):
                raise _question(start)
            # Inside brackets, every collection counts, because each has an end event.
            flow += bool(flow or event.flow_style)
        elif isinstance(event, yaml.CollectionEndEvent):
            flow -= bool(flow)
        last = end
        yield event, (start, end)


def _without_version(text: str) -> str:
    """Replace ``%YAML 1.2`` at the top by spaces, because the parsers differ on directives."""
    line = _PERCENT.search(text) if "%" in text else None
    if line is None:
        return text
    found = _VERSION.fullmatch(line.group())
    if found is None or _skip_comments(text, 0) < line.start():
        raise _odd_percent(line)
    extent = line.start(), line.start() + found.end("version")
    if found["version"] != "1.2":
        version = cut_value(found["version"])
        message = (
            f"expected YAML 1.2, received '%YAML {version}'; write '%YAML 1.2' or remove the line"
        )
        raise StopReadingError(extent, "E206", message)
    after, other = _skip_comments(text, line.end()), _PERCENT.search(text, line.end())
    if not _MARKER.match(text, after) and not (other and other.start() == after):
        raise StopReadingError(extent, "E206", "expected a line '---' after '%YAML 1.2'")
    if other:
        raise _odd_percent(other)
    return text[: line.start()] + " " * len(line.group()) + text[line.end() :]


def _skip_comments(text: str, start: int) -> int:
    """Return the offset of the first line after ``start`` that is not blank and not a comment."""
    match = _NO_CONTENT.match(text, start)
    return match.end() if match else start


def _odd_percent(line: re.Match[str]) -> StopReadingError:
    message = "only the line '%YAML 1.2' at the top of the file can start with '%'"
    return StopReadingError((line.start(), line.start() + 1), "E206", message)


def _without_tabs(text: str) -> str:
    """Return the text with spaces for tabs, because the parsers differ on where tabs are valid."""
    if "\t" not in text:
        return text
    if (start := indenting_tab(text)) is not None:
        raise StopReadingError((start, start + 1), "E112", "found a tab; indent with spaces")
    return text.replace("\t", " ")


def _next(source: Any, text: str, last: int) -> Any:
    try:
        return source.get_event()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text) from None
    # The Python parser calls chr() with the number of an escape sequence without checking it.
    except (yaml.YAMLError, ValueError, OverflowError):
        match = _LONG_ESCAPE.search(text, last)
        raise _unknown_escape(match.start() + 1 if match else last) from None


def _syntax_error(error: yaml.MarkedYAMLError, text: str) -> StopReadingError:
    offset, code, message = explain(error, text)
    # An invisible character in the line is the more likely cause.
    begin = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    line = re.split("[\r\n]", text[begin : begin + _LONGEST_LINE], maxsplit=1)[0]
    if flaw := invisible(line):
        offset, code, message = begin + flaw[0], flaw[1], flaw[2]
    return StopReadingError((offset, offset + 1), code, message)


def _unknown_escape(offset: int) -> StopReadingError:
    message = "unknown escape sequence in double quotes; use single quotes for a backslash"
    return StopReadingError((offset, offset + 1), "E119", message)


def _check_gap(text: str, start: int, end: int) -> None:
    """Refuse a '?' in the text between two events: it starts a complex key."""
    gap = text[start:end]
    if "?" in gap and (at := _COMMENT.sub(_blank, gap).find("?")) >= 0:
        raise _question(start + at)


def _check_tag(text: str, event: Any, start: int) -> None:
    """Refuse a tag if the parsers differ on its end or its meaning."""
    if not getattr(event, "tag", None):
        return
    begin = text.index("!", start)
    if match := _ODD_TAG.match(text, begin):
        message = f"tags ({cut_value(match.group())}) are not supported; remove the tag"
        raise StopReadingError((begin, match.end()), "E203", message)


def _check_scalar(text: str, event: Any, extent: Extent, flow: int) -> None:
    """Refuse text in a scalar, or right after it, on which the parsers differ."""
    start, end = extent
    if flow and start < end and not event.style:
        if "?" in event.value:
            raise _question(text.index("?", start))
        if close := _CLOSE_COLON.match(text, end):
            extent = close.end() - 1, close.end()
            raise StopReadingError(extent, "E117", "expected a space after ':'")
    if not event.value.isascii() and _SURROGATE.search(event.value):
        raise _unknown_escape(text.index("\\", start) + 1)
    # YAML requires a space before a '#' in the first line of a block scalar.
    if event.style in ("|", ">") and (match := _CLOSE_COMMENT.match(text, start)):
        offset = match.end() - 1
        message = "expected a line break here; start the text on the next line"
        raise StopReadingError((offset, offset + 1), "E123", message)


def _question(offset: int) -> StopReadingError:
    message = "'?' starts a complex key, or is unquoted inside brackets; quote the string"
    return StopReadingError((offset, offset + 1), "E209", message)


def _blank(match: re.Match[str]) -> str:
    return " " * len(match.group())
