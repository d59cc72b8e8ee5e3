"""PyYAML's complaints in plain words, each at the place where the writer can mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import yaml

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
    ("directive", "E206", "directives (%YAML, %TAG) are not in the language"),
    ("incompatible YAML", "E206", "directives (%YAML, %TAG) are not in the language"),
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


def _odd_character(character: str) -> tuple[str, str]:
    return "E120", f"no value can begin with {character!r}; quote the text"


def _plain_words(error: yaml.MarkedYAMLError) -> tuple[str, str]:
    complaint = f"{error.problem} {error.context}"
    for part, code, words in _PLAIN:
        if part in complaint:
            return code, words
    return "E118", f"this is not YAML: {error.problem or error.context}"
