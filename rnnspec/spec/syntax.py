"""PyYAML's complaints in plain words, each at the place where the writer can mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import yaml

_UNFIT = "this does not fit what comes before it; check indentation, quotes and brackets"

# Parts of what libyaml and PyYAML's own parser say, in their two wordings, and what it comes to.
# The first that is part of the complaint counts.
_PLAIN = (
    ("mapping values are not allowed", "found ': ' where no value can begin; quote the text"),
    ("sequence entries are not allowed", "found '- ' where no item can stand; start a new line"),
    ("mapping keys are not allowed", "found a key where none can stand; start a new line"),
    ("could not find expected ':'", "expected ': ' after this key"),
    ("unexpected end of stream", "these quotes are not closed"),
    ("unexpected document", "these quotes are not closed"),
    ("tab character", "found a tab; indent with spaces"),
    ("',' or '}'", "expected ',' or '}'"),
    ("',' or ']'", "expected ',' or ']'"),
    ("escape", "unknown escape after '\\' in double quotes"),
    ("hexdecimal", "unknown escape after '\\' in double quotes"),
    ("undefined tag handle", "tags are not in the language"),
    ("directive", "directives (%YAML, %TAG) are not in the language"),
    ("incompatible YAML", "directives (%YAML, %TAG) are not in the language"),
    ("while scanning an anchor", "'&' begins an anchor; quote the text"),
    ("while scanning an alias", "'*' begins an alias; quote the text"),
    ("while scanning a tag", "'!' begins a tag; quote the text"),
    ("while parsing a tag", "'!' begins a tag; quote the text"),
    ("while scanning a block scalar", "expected a line break after this"),
    ("maximum nesting", "expected at most 32 levels, found more"),
    ("unexpected ':'", "expected a space after ':'"),
    ("document start", _UNFIT),
    ("expected key", _UNFIT),
    ("'-' indicator", _UNFIT),
    ("<block end>", _UNFIT),
    ("node content", "expected a value here"),
)


def explain(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    """Return the offset in ``text`` that ``error`` is about, and what it says."""
    offset = error.problem_mark.index if error.problem_mark else len(text)
    if "start any token" in (error.problem or ""):
        return offset, _odd_character(text[offset : offset + 1])
    opener = error.context_mark
    if opener is None or not _is_about_opener(error, text[offset:]):
        return offset, _plain_words(error)
    if text[opener.index : opener.index + 1] in ("[", "{"):
        return opener.index, "this bracket is not closed"
    return opener.index, _plain_words(error)


def _is_about_opener(error: yaml.MarkedYAMLError, rest: str) -> bool:
    """Tell whether the writer should look at where the construct began, not at where it failed."""
    complaint = f"{error.problem} {error.context}"
    ends = not rest.strip() and ("flow" in complaint or "stream" in complaint)
    return ends or "simple key" in complaint or "unexpected document" in complaint


def _odd_character(character: str) -> str:
    if character == "\t":
        return "found a tab; indent with spaces"
    return f"no value can begin with {character!r}; quote the text"


def _plain_words(error: yaml.MarkedYAMLError) -> str:
    complaint = f"{error.problem} {error.context}"
    for part, words in _PLAIN:
        if part in complaint:
            return words
    return f"this is not YAML: {error.problem or error.context}"
