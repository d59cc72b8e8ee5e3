"""Events of PyYAML, made equal for its two parsers: libyaml, and the one written in Python.

Its syntax errors become plain English, at the position where they can be fixed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from rnnspec.errors.wording import cut_value
from rnnspec.spec.yaml.text import indenting_tab, invisible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.spec.yaml.text import Extent


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

# Faults that both parsers report and we look for: the code and the message.
_TAB = ("E112", "found a tab; indent with spaces")
_SPACE = ("E117", "expected a space after ':'")
_ESCAPE = (
    "E119",
    "unknown escape sequence in double quotes; use single quotes for a backslash",
)
_LINE_BREAK = ("E123", "expected a line break here; start the text on the next line")


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
    plain = _blank_version(text)
    if "\t" in text:
        if (start := indenting_tab(text)) is not None:
            raise StopReadingError((start, start + 1), *_TAB)
        # The parsers differ on where tabs are valid.
        plain = plain.replace("\t", " ")
    source = loader(plain)
    last = flow = 0
    while (event := _next(source, text, last)) is not None:
        start, end = event.start_mark.index, event.end_mark.index
        # A '?' between two events, outside comments, starts a complex key.
        gap = text[last:start]
        if (
            "?" in gap
            and (at := _COMMENT.sub(lambda match: " " * len(match.group()), gap).find("?")) >= 0
        ):
            raise _question(last + at)
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


def _blank_version(text: str) -> str:
    """Replace ``%YAML 1.2`` at the top by spaces, because the parsers differ on directives."""
    line = _PERCENT.search(text) if "%" in text else None
    if line is None:
        return text
    directive = _VERSION.fullmatch(line.group())
    if directive is None or _skip_comments(text, 0) < line.start():
        raise _odd_percent(line)
    extent = line.start(), line.start() + directive.end("version")
    if directive["version"] != "1.2":
        version = cut_value(directive["version"])
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
    offset, code, message = _explain(error, text)
    # An invisible character in the line is the more likely cause.
    begin = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    line = re.split("[\r\n]", text[begin : begin + _LONGEST_LINE], maxsplit=1)[0]
    if flaw := invisible(line):
        offset, code, message = begin + flaw[0], flaw[1], flaw[2]
    return StopReadingError((offset, offset + 1), code, message)


def _unknown_escape(offset: int) -> StopReadingError:
    return StopReadingError((offset, offset + 1), *_ESCAPE)


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
            raise StopReadingError(extent, *_SPACE)
    if not event.value.isascii() and _SURROGATE.search(event.value):
        raise _unknown_escape(text.index("\\", start) + 1)
    # YAML requires a space before a '#' in the first line of a block scalar.
    if event.style in ("|", ">") and (match := _CLOSE_COMMENT.match(text, start)):
        raise StopReadingError((match.end() - 1, match.end()), *_LINE_BREAK)


def _question(offset: int) -> StopReadingError:
    message = "'?' starts a complex key, or is unquoted inside brackets; quote the string"
    return StopReadingError((offset, offset + 1), "E209", message)


_CONTINUES = (
    "this line continues the value above; indent it like the other keys, or quote the value"
)
_UNEXPECTED = "unexpected indentation or token; check indentation, quotes and brackets"

# Parts of the error messages of libyaml and of PyYAML's own parser, which differ, with the code
# and our message. The first part that matches counts.
_PLAIN = (
    ("mapping values are not allowed", "E115", "unexpected ': '; quote the value"),
    (
        "sequence entries are not allowed",
        "E116",
        "unexpected '- '; start a list item on a new line",
    ),
    ("mapping keys are not allowed", "E118", "unexpected key; start a new line"),
    ("could not find expected ':'", "E117", "expected ': ' after this key"),
    ("unexpected end of stream", "E113", "this quote is not closed"),
    ("unexpected document", "E113", "this quote is not closed"),
    ("tab character", *_TAB),
    ("',' or '}'", "E122", "expected ',' or '}'"),
    ("',' or ']'", "E122", "expected ',' or ']'"),
    ("escape", *_ESCAPE),
    # The spelling is that of PyYAML.
    ("hexdecimal", *_ESCAPE),
    ("undefined tag handle", "E203", "tags are not supported; remove the tag"),
    ("while scanning an anchor", "E201", "'&' starts an anchor; quote the string"),
    ("while scanning an alias", "E202", "'*' starts an alias; quote the string"),
    ("while scanning a tag", "E203", "'!' starts a tag; quote the string"),
    ("while parsing a tag", "E203", "'!' starts a tag; quote the string"),
    ("while scanning a block scalar", *_LINE_BREAK),
    ("maximum nesting", "E107", "expected at most 32 levels of nesting, found more"),
    ("unexpected ':'", *_SPACE),
    ("document start", "E118", _UNEXPECTED),
    ("expected key", "E118", _UNEXPECTED),
    ("'-' indicator", "E118", _UNEXPECTED),
    ("<block end>", "E118", _UNEXPECTED),
    ("node content", "E121", "expected a value here"),
)


def _explain(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str, str]:
    """Return the offset of ``error`` in ``text``, its code and its message."""
    offset = error.problem_mark.index if error.problem_mark else len(text)
    if "start any token" in (error.problem or ""):
        character = text[offset : offset + 1]
        return offset, "E120", f"a value cannot start with {character!r}; quote it"
    if "mapping values are not allowed" in (error.problem or "") and (
        cause := _unfinished_line(text, offset)
    ):
        return cause
    # Some errors are about the start of a construct, not about where parsing failed.
    opener, original = error.context_mark, f"{error.problem} {error.context}"
    ends = not text[offset:].strip() and ("flow" in original or "stream" in original)
    if opener is None or not (
        ends or "simple key" in original or "unexpected document" in original
    ):
        return offset, *_plain_message(error)
    if text[opener.index : opener.index + 1] in ("[", "{"):
        return opener.index, "E114", "this bracket is not closed"
    if match := _NO_SPACE.match(text, opener.index):
        return match.start("colon"), *_SPACE
    return opener.index, *_plain_message(error)


# As in units:32, or rnn:{type: lstm}. Bounded, because a line can be as long as the file.
_NO_SPACE = re.compile(r"[A-Za-z_]\w{0,64}(?P<colon>:)[^\s:/]")
_NO_SPACE_BEFORE = re.compile(r"[ ]{0,64}(?:- {1,8})?[A-Za-z_]\w{0,64}(?P<colon>:)[\[{]")


_KEY_ALONE = re.compile(r"[ ]*(?:- +)*(?P<key>\w+) *")
_NO_COLON = re.compile(r"[ ]*(?:- +)*(?P<key>[A-Za-z_]\w*)(?:(?P<colon>:)\S+| +\S+)? *")
# Longer lines are not tried: a line can be as long as the file.
_LONGEST_TRIED = 200


def _unfinished_line(text: str, colon: int) -> tuple[int, str, str] | None:
    """Return the error in the line above, if ``colon`` follows the first word of a line.

    YAML then reads the line as the continuation of a scalar that starts above it.
    """
    lines = re.split("\r\n|\r|\n", text[:colon])
    if match := _NO_SPACE_BEFORE.match(lines[-1]):
        return colon - len(lines[-1]) + match.start("colon"), *_SPACE
    word = _KEY_ALONE.fullmatch(lines[-1]) if len(lines[-1]) <= _LONGEST_TRIED else None
    filled = [number for number, line in enumerate(lines[:-1]) if line.strip()]
    if word is None or not filled:
        return None
    above = lines[filled[-1]]
    before = lines[filled[-2]].rstrip() if len(filled) > 1 else ":"
    match = _NO_COLON.fullmatch(above) if len(above) <= _LONGEST_TRIED else None
    if match and (before.endswith(":") or above.lstrip().startswith("- ")):
        start = text.rindex(above, 0, colon)
        if match["colon"]:
            return start + match.start("colon"), *_SPACE
        return start + match.start("key"), "E117", "expected ': ' after this key"
    start = colon - len(lines[-1]) + word.start("key")
    return start, "E115", _CONTINUES


def _plain_message(error: yaml.MarkedYAMLError) -> tuple[str, str]:
    original = f"{error.problem} {error.context}"
    for part, code, message in _PLAIN:
        if part in original:
            return code, message
    return "E118", f"invalid YAML: {error.problem or error.context}"
