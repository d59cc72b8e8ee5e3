"""PyYAML's complaints in plain words, each at the place where the writer can mend it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import yaml

    from rnnspec.spec.yaml.places import Extent

_CONTINUES = "this continues the value above; indent a key like those beside it, or quote the text"
_UNFIT = "this does not fit what comes before it; check indentation, quotes and brackets"

# Parts of what libyaml and PyYAML's own parser say, in their two wordings, and what it comes to.
# The first that is part of the complaint counts.
_PLAIN = (
    (
        "mapping values are not allowed",
        "E115",
        "found ': ' where no value can begin; quote the text",
    ),
    (
        "sequence entries are not allowed",
        "E116",
        "found '- ' where no item can stand; start a new line",
    ),
    ("mapping keys are not allowed", "E118", "found a key where none can stand; start a new line"),
    ("could not find expected ':'", "E117", "expected ': ' after this key"),
    ("unexpected end of stream", "E113", "these quotes are not closed"),
    ("unexpected document", "E113", "these quotes are not closed"),
    ("tab character", "E112", "found a tab; indent with spaces"),
    ("',' or '}'", "E122", "expected ',' or '}'"),
    ("',' or ']'", "E122", "expected ',' or ']'"),
    ("escape", "E119", "unknown escape after '\\' in double quotes"),
    ("hexdecimal", "E119", "unknown escape after '\\' in double quotes"),
    ("undefined tag handle", "E203", "tags are not in the language"),
    ("while scanning an anchor", "E201", "'&' begins an anchor; quote the text"),
    ("while scanning an alias", "E202", "'*' begins an alias; quote the text"),
    ("while scanning a tag", "E203", "'!' begins a tag; quote the text"),
    ("while parsing a tag", "E203", "'!' begins a tag; quote the text"),
    ("while scanning a block scalar", "E123", "expected a line break after this"),
    ("maximum nesting", "E107", "expected at most 32 levels, found more"),
    ("unexpected ':'", "E117", "expected a space after ':'"),
    ("document start", "E118", _UNFIT),
    ("expected key", "E118", _UNFIT),
    ("'-' indicator", "E118", _UNFIT),
    ("<block end>", "E118", _UNFIT),
    ("node content", "E121", "expected a value here"),
)


def explain(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str, str]:
    """Return the offset in ``text`` that ``error`` is about, its code, and what it says."""
    offset = error.problem_mark.index if error.problem_mark else len(text)
    if "start any token" in (error.problem or ""):
        return offset, *_odd_character(text[offset : offset + 1])
    if "mapping values are not allowed" in (error.problem or "") and (
        said := _cut_off(text, offset)
    ):
        return said
    opener = error.context_mark
    if opener is None or not _is_about_opener(error, text[offset:]):
        return offset, *_plain_words(error)
    if text[opener.index : opener.index + 1] in ("[", "{"):
        return opener.index, "E114", "this bracket is not closed"
    return opener.index, *_plain_words(error)


def _is_about_opener(error: yaml.MarkedYAMLError, rest: str) -> bool:
    """Tell whether the writer should look at where the construct began, not at where it failed."""
    complaint = f"{error.problem} {error.context}"
    ends = not rest.strip() and ("flow" in complaint or "stream" in complaint)
    return ends or "simple key" in complaint or "unexpected document" in complaint


_KEY_ALONE = re.compile(r"[ ]*(?:- +)*(?P<key>\w+) *")
_NO_COLON = re.compile(r"[ ]*(?:- +)*(?P<key>[A-Za-z_]\w*)(?:(?P<colon>:)\S+| +\S+)? *")
_LONGEST_LINE = 200


def _cut_off(text: str, colon: int) -> tuple[int, str, str] | None:
    """Say what is wrong where ``colon`` follows the first word of a line, or None.

    YAML then takes the line for the rest of a text that began above it.
    """
    lines = re.split("\r\n|\r|\n", text[:colon])
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
            return start + match.start("colon"), "E117", "expected a space after ':'"
        return start + match.start("key"), "E117", "expected ': ' after this key"
    start = colon - len(lines[-1]) + word.start("key")
    return start, "E115", _CONTINUES


_COMMAS = re.compile(r"[-+]?[0-9]{1,19}(?:,[0-9]{1,19}){1,6}(?=\s*[,}])")
_LONGEST_NUMBER = 64


def comma_in_number(text: str, start: int) -> tuple[Extent, str] | None:
    """Return the number that a comma in braces ends before ``start``, and what to say of it."""
    begin = start
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
    """Return ``1000`` for ``1,000`` and ``0.5`` for ``0,5``; None where neither is meant."""
    first, *groups = number.split(",")
    digits = first.lstrip("+-")
    if digits[:1] != "0" and len(digits) <= 3 and {len(group) for group in groups} == {3}:
        return first + "".join(groups)
    # A third digit is one of thousands, unless nothing but a zero is before the comma.
    fraction = len(groups) == 1 and (digits == "0" or len(groups[0]) < 3)
    return f"{first}.{groups[0]}" if fraction else None


def _odd_character(character: str) -> tuple[str, str]:
    return "E120", f"no value can begin with {character!r}; quote the text"


def _plain_words(error: yaml.MarkedYAMLError) -> tuple[str, str]:
    complaint = f"{error.problem} {error.context}"
    for part, code, words in _PLAIN:
        if part in complaint:
            return code, words
    return "E118", f"this is not YAML: {error.problem or error.context}"
