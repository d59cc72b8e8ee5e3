"""Syntax errors of PyYAML in plain English, each at the position where it can be fixed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import yaml

    from rnnspec.spec.yaml.places import Extent

_CONTINUES = (
    "this line continues the value above; indent it like the other keys, or quote the value"
)
_UNEXPECTED = "unexpected indentation or token; check indentation, quotes and brackets"
_ESCAPE = "unknown escape sequence in double quotes; use single quotes for a backslash"

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
    ("tab character", "E112", "found a tab; indent with spaces"),
    ("',' or '}'", "E122", "expected ',' or '}'"),
    ("',' or ']'", "E122", "expected ',' or ']'"),
    ("escape", "E119", _ESCAPE),
    # The spelling is that of PyYAML.
    ("hexdecimal", "E119", _ESCAPE),
    ("undefined tag handle", "E203", "tags are not supported; remove the tag"),
    ("while scanning an anchor", "E201", "'&' starts an anchor; quote the string"),
    ("while scanning an alias", "E202", "'*' starts an alias; quote the string"),
    ("while scanning a tag", "E203", "'!' starts a tag; quote the string"),
    ("while parsing a tag", "E203", "'!' starts a tag; quote the string"),
    (
        "while scanning a block scalar",
        "E123",
        "expected a line break here; start the text on the next line",
    ),
    ("maximum nesting", "E107", "expected at most 32 levels of nesting, found more"),
    ("unexpected ':'", "E117", "expected a space after ':'"),
    ("document start", "E118", _UNEXPECTED),
    ("expected key", "E118", _UNEXPECTED),
    ("'-' indicator", "E118", _UNEXPECTED),
    ("<block end>", "E118", _UNEXPECTED),
    ("node content", "E121", "expected a value here"),
)


def explain(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str, str]:
    """Return the offset of ``error`` in ``text``, its code and its message."""
    offset = error.problem_mark.index if error.problem_mark else len(text)
    if "start any token" in (error.problem or ""):
        return offset, *_odd_character(text[offset : offset + 1])
    if "mapping values are not allowed" in (error.problem or "") and (
        cause := _unfinished_line(text, offset)
    ):
        return cause
    opener = error.context_mark
    if opener is None or not _is_about_opener(error, text[offset:]):
        return offset, *_plain_message(error)
    if text[opener.index : opener.index + 1] in ("[", "{"):
        return opener.index, "E114", "this bracket is not closed"
    if match := _NO_SPACE.match(text, opener.index):
        return match.start("colon"), *_SPACE
    return opener.index, *_plain_message(error)


_SPACE = ("E117", "expected a space after ':'")
# As in units:32, or rnn:{type: lstm}. Bounded, because a line can be as long as the file.
_NO_SPACE = re.compile(r"[A-Za-z_]\w{0,64}(?P<colon>:)[^\s:/]")
_NO_SPACE_BEFORE = re.compile(r"[ ]{0,64}(?:- {1,8})?[A-Za-z_]\w{0,64}(?P<colon>:)[\[{]")


def _is_about_opener(error: yaml.MarkedYAMLError, rest: str) -> bool:
    """Return whether the cause is at the start of the construct, not where parsing failed."""
    message = f"{error.problem} {error.context}"
    ends = not rest.strip() and ("flow" in message or "stream" in message)
    return ends or "simple key" in message or "unexpected document" in message


_KEY_ALONE = re.compile(r"[ ]*(?:- +)*(?P<key>\w+) *")
_NO_COLON = re.compile(r"[ ]*(?:- +)*(?P<key>[A-Za-z_]\w*)(?:(?P<colon>:)\S+| +\S+)? *")
# Longer lines are not tried: a line can be as long as the file.
_LONGEST_LINE = 200


def _unfinished_line(text: str, colon: int) -> tuple[int, str, str] | None:
    """Return the error in the line above, if ``colon`` follows the first word of a line.

    YAML then reads the line as the continuation of a scalar that starts above it.
    """
    lines = re.split("\r\n|\r|\n", text[:colon])
    if match := _NO_SPACE_BEFORE.match(lines[-1]):
        return colon - len(lines[-1]) + match.start("colon"), *_SPACE
    word = _KEY_ALONE.fullmatch(lines[-1]) if len(lines[-1]) <= _LONGEST_LINE else None
    filled = [number for number, line in enumerate(lines[:-1]) if line.strip()]
    if word is None or not filled:
        return None
    above = lines[filled[-1]]
    before = lines[filled[-2]].rstrip() if len(filled) > 1 else ":"
    match = _NO_COLON.fullmatch(above) if len(above) <= _LONGEST_LINE else None
    if match and (before.endswith(":") or above.lstrip().startswith("- ")):
        start = text.rindex(above, 0, colon)
        if match["colon"]:
            return start + match.start("colon"), *_SPACE
        return start + match.start("key"), "E117", "expected ': ' after this key"
    start = colon - len(lines[-1]) + word.start("key")
    return start, "E115", _CONTINUES


_COMMAS = re.compile(r"[-+]?[0-9]{1,19}(?:,[0-9]{1,19}){1,6}(?=\s*[,}])")
_LONGEST_NUMBER = 64


def comma_in_number(text: str, start: int) -> tuple[Extent, str] | None:
    """Return the extent of a number with commas around ``start`` in braces, and the message."""
    begin = start
    # A tuple, because the empty text before the first character is 'in' every string.
    while start - begin < _LONGEST_NUMBER and text[begin - 1 : begin] in tuple("0123456789,+-"):
        begin -= 1
    match = _COMMAS.match(text, begin)
    if match is None or not begin < start < match.end() or not text[begin - 1].isspace():
        return None
    number = without_comma(match.group())
    hint = f" (write {number})" if number else ""
    message = f"expected a number without commas, received {match.group()!r}{hint}"
    return match.span(), message


def without_comma(number: str) -> str | None:
    """Return ``1000`` for ``1,000``, ``0.5`` for ``0,5``, and None if neither was meant."""
    first, *groups = number.split(",")
    digits = first.lstrip("+-")
    if digits[:1] != "0" and len(digits) <= 3 and {len(group) for group in groups} == {3}:
        return first + "".join(groups)
    # Three digits after the comma are thousands, unless only a zero is before it.
    fraction = len(groups) == 1 and (digits == "0" or len(groups[0]) < 3)
    return f"{first}.{groups[0]}" if fraction else None


def _odd_character(character: str) -> tuple[str, str]:
    return "E120", f"a value cannot start with {character!r}; quote it"


def _plain_message(error: yaml.MarkedYAMLError) -> tuple[str, str]:
    original = f"{error.problem} {error.context}"
    for part, code, message in _PLAIN:
        if part in original:
            return code, message
    return "E118", f"invalid YAML: {error.problem or error.context}"
