"""``# rnnspec: ignore[L101]``: advice that a comment on the same line turns down."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from rnnspec.errors import Problem, Span
from rnnspec.lint.rules import (
    CODES,
    UNKNOWN_IGNORE,
    UNUSED_IGNORE,
    is_error,
    no_choice,
    unknown,
)
from rnnspec.spec.wording import quoted

if TYPE_CHECKING:
    from rnnspec.spec.yaml.document import Document
    from rnnspec.spec.yaml.places import Extent

    Flaw = tuple["Ignore", str]
    """A comment, and the code of what is wrong with it."""

Key = tuple[int, str]
"""A line and a code."""

# Of limited length, so that a line of a megabyte of open brackets is read once.
_CODES = r"\[([^\]\n\r]{0,500})\]"
_COMMENT = re.compile(
    rf"#(?<!\S#)[ \t]*(rnnspec(?![a-z0-9])[ \t]*[:;=_-]?)[ \t]*([a-z]*)[ \t]*({_CODES})?",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\s,]+")
_CODE = re.compile(r"\b[EL]\d", re.IGNORECASE)
_ABOUT_COMMENTS = frozenset({UNKNOWN_IGNORE, UNUSED_IGNORE})
_MOST = 100
"""What is wrong with more comments in a file nobody reads, and near words take time to find."""


@dataclass(frozen=True, slots=True)
class Ignore:
    """One code in a comment, and its place; no code where the comment is not well-formed."""

    code: str
    span: Span

    @property
    def key(self) -> Key:
        """What it turns down."""
        return self.span.line, self.code


def silence(
    document: Document, problems: tuple[Problem, ...], codes: frozenset[str]
) -> tuple[Problem, ...]:
    """Return ``problems`` without those that a comment turns down, with what is wrong with these.

    Only of the rules in ``codes`` can be said that a comment turned nothing down.
    """
    ignores = list(_ignores(document))
    turned_down = {ignore.key for ignore in ignores}
    met = {_key(problem) for problem in problems}
    kept = [problem for problem in problems if _key(problem) not in turned_down]
    flaws = _flaws(ignores, met, codes)
    return (*kept, *(_problem(document.source, *flaw) for flaw in islice(flaws, _MOST)))


def _key(problem: Problem) -> Key:
    return (problem.span.line if problem.span else 0, problem.code)


def _flaws(ignores: list[Ignore], met: set[Key], codes: frozenset[str]) -> Iterator[Flaw]:
    """Yield what is wrong with comments and neither turned down itself nor left out of ``codes``.

    No message yet: of forty thousand comments most are not told.
    """
    plain = [ignore for ignore in ignores if ignore.code not in _ABOUT_COMMENTS]
    about = [ignore for ignore in ignores if ignore.code in _ABOUT_COMMENTS]
    turned_down = {ignore.key for ignore in about}
    found = set()
    for ignore in plain:
        code = _flaw_code(ignore, met, codes)
        key = (ignore.span.line, code)
        found.add(key)
        if code in codes and key not in turned_down:
            yield ignore, code
    # Whether a comment on a rule that was not asked is of use is not known.
    open_lines = {each.span.line for each in plain if each.code in CODES and each.code not in codes}
    for ignore in about:
        known = ignore.code in codes and ignore.span.line not in open_lines
        if known and ignore.key not in found and UNUSED_IGNORE in codes:
            yield ignore, UNUSED_IGNORE


def _flaw_code(ignore: Ignore, met: set[Key], codes: frozenset[str]) -> str:
    """Return the code of what is wrong with a comment on a rule, or nothing."""
    if ignore.code not in CODES:
        return UNKNOWN_IGNORE
    return UNUSED_IGNORE if ignore.code in codes and ignore.key not in met else ""


def _problem(source: str, ignore: Ignore, code: str) -> Problem:
    return Problem(source, _message(ignore, code), "", ignore.span, code, "warning")


def _message(ignore: Ignore, code: str) -> str:
    if code == UNUSED_IGNORE:
        return f"there is no {ignore.code} on this line to ignore"
    if not ignore.code:
        return "expected '# rnnspec: ignore[CODE]', with one code or several"
    if is_error(ignore.code):
        return f"in a comment: {no_choice(ignore.code, 'ignored')}"
    if any(each.startswith(ignore.code) for each in CODES):
        return f"in a comment: a code is written in full, and {quoted(ignore.code)} is a beginning"
    return f"in a comment: {unknown(ignore.code)}"


def _ignores(document: Document) -> Iterator[Ignore]:
    for comment in _comments(document):
        start, word, brackets, inside = comment.groups()
        codes = list(_WORD.finditer(inside or ""))
        if (start, word) == ("rnnspec:", "ignore") and codes:
            first = comment.start(4)
            for code in codes:
                extent = (first + code.start(), first + code.end())
                yield Ignore(code.group(), document.lines.span(extent))
        elif _is_meant(start, word.lower(), brackets):
            yield Ignore("", document.lines.span(comment.span()))


def _is_meant(start: str, word: str, brackets: str | None) -> bool:
    """Tell whether a comment was probably to turn something down, and is no prose."""
    if brackets:
        return word.startswith("ignor") or bool(_CODE.search(brackets))
    return word == "ignore" and start.endswith(":")


def _comments(document: Document) -> Iterator[re.Match[str]]:
    """Yield what looks like our comment and is one: not a part of a text that the spec holds."""
    matches = list(_COMMENT.finditer(document.text))
    texts = sorted(_texts(document)) if matches else []
    for match in matches:
        index = bisect_right(texts, (match.start(), len(document.text))) - 1
        if index < 0 or texts[index][1] <= match.start():
            yield match


def _texts(document: Document) -> Iterator[Extent]:
    """Yield where each key and each value that is no collection stands."""
    yield from document.keys.values()
    stack: list[tuple[tuple[str | int, ...], Any]] = [((), document.data)]
    while stack:
        path, value = stack.pop()
        match value:
            case dict():
                stack.extend(((*path, key), child) for key, child in value.items())
            case list():
                stack.extend(((*path, index), child) for index, child in enumerate(value))
            case _ if path in document.values:
                yield document.values[path]
            case _:
                pass
