"""``# rnnspec: ignore[L101]``: advice that a comment on the same line turns down."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from rnnspec.errors import Problem, Span
from rnnspec.lint.rules import RULES, UNKNOWN_IGNORE, UNUSED_IGNORE, unknown

if TYPE_CHECKING:
    from rnnspec.spec.places import Extent
    from rnnspec.spec.source import Document

# Of limited length, so that a line of a megabyte of open brackets is read once.
_CODES = r"\[([^\]\n\r]{0,500})\]"
_COMMENT = re.compile(
    rf"(?:^|(?<=\s))#[ \t]*rnnspec:[ \t]*(ignore\b[ \t]*)?({_CODES})?", re.MULTILINE
)
_WORD = re.compile(r"[^\s,]+")
_ADVICE = frozenset(rule.code for rule in RULES)
_MOST = 100
"""What is wrong with more comments in a file nobody reads, and near words take time to find."""


@dataclass(frozen=True, slots=True)
class Ignore:
    """One code in a comment, and its place."""

    code: str
    span: Span


def silence(
    document: Document, problems: tuple[Problem, ...], codes: frozenset[str]
) -> tuple[Problem, ...]:
    """Return ``problems`` without those that a comment turns down, with what is wrong with these.

    Only of the rules in ``codes`` can be said that a comment turned nothing down.
    """
    ignores = list(_ignores(document))
    turned_down = {(ignore.span.line, ignore.code) for ignore in ignores}
    met = {_key(problem) for problem in problems}
    kept = [problem for problem in problems if _key(problem) not in turned_down]
    faults = (_fault(document.source, ignore, met, codes) for ignore in ignores)
    asked = (fault for fault in faults if fault and fault.code in codes)
    return (*kept, *islice(asked, _MOST))


def _key(problem: Problem) -> tuple[int, str]:
    return (problem.span.line if problem.span else 0, problem.code)


def _fault(
    source: str, ignore: Ignore, met: set[tuple[int, str]], codes: frozenset[str]
) -> Problem | None:
    """Return what is wrong with a code in a comment, or None."""
    if not ignore.code:
        message = "expected '# rnnspec: ignore[CODE]', with one code or several"
    elif ignore.code not in _ADVICE:
        message = f"in a comment: {unknown(ignore.code)}"
    elif ignore.code in codes and (ignore.span.line, ignore.code) not in met:
        message = f"there is no {ignore.code} on this line to ignore"
        return Problem(source, message, "", ignore.span, UNUSED_IGNORE, "warning")
    else:
        return None
    return Problem(source, message, "", ignore.span, UNKNOWN_IGNORE, "warning")


def _ignores(document: Document) -> Iterator[Ignore]:
    for comment in _comments(document):
        word, brackets, inside = comment.groups()
        codes = list(_WORD.finditer(inside or "")) if word else []
        for code in codes:
            first = comment.start(3)
            extent = (first + code.start(), first + code.end())
            yield Ignore(code.group(), document.lines.span(extent))
        if not codes and (word or brackets):
            yield Ignore("", document.lines.span(comment.span()))


def _comments(document: Document) -> Iterator[re.Match[str]]:
    """Yield what looks like our comment and is one: not a part of a text that the spec holds."""
    if "rnnspec:" not in document.text:
        return
    texts = sorted(_texts(document))
    for match in _COMMENT.finditer(document.text):
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
