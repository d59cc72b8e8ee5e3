"""The rules that are run on a spec, without the findings that a comment suppresses."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from rnnspec.errors import Problem, Span
from rnnspec.errors.wording import quoted
from rnnspec.lint.context import context_of
from rnnspec.lint.rules import (
    CODES,
    RULES,
    UNKNOWN_IGNORE,
    UNUSED_IGNORE,
    is_error,
    not_advice,
    unknown_code,
)
from rnnspec.spec.yaml.document import in_file_order

if TYPE_CHECKING:
    from rnnspec.pipeline import Program
    from rnnspec.spec.yaml.document import Document
    from rnnspec.spec.yaml.text import Extent

    Flaw = tuple["Ignore", str]
    """A suppression comment and the code of its problem."""


Key = tuple[int, str]
"""A line and a code."""

# The length is limited so that a line with a megabyte of open brackets is scanned only once.
_CODES = r"\[([^\]\n\r]{0,500})\]"
# Matches misspelled comments too ('RNNSPEC:', 'rnnspec-ignore'), so that they can be reported.
_COMMENT = re.compile(
    rf"#(?<!\S#)[ \t]*(rnnspec(?![a-z0-9])[ \t]*[:;=_-]?)[ \t]*([a-z]*)[ \t]*({_CODES})?",
    re.IGNORECASE,
)
_ITEM = re.compile(r"[^\s,]+")
_CODE = re.compile(r"\b[EL]\d", re.IGNORECASE)
_ABOUT_COMMENTS = frozenset({UNKNOWN_IGNORE, UNUSED_IGNORE})
# Nobody reads more of these in one file, and the search for similar codes is slow.
_MAX_FLAWS = 100


@dataclass(frozen=True, slots=True)
class Ignore:
    """One code in a suppression comment and its place; the code of a malformed comment is empty."""

    code: str
    span: Span

    @property
    def key(self) -> Key:
        """The line and the code that it suppresses."""
        return self.span.line, self.code


def lint(program: Program, codes: frozenset[str]) -> tuple[Problem, ...]:
    """Return the findings of the rules in ``codes``, in file order.

    Findings suppressed by a comment on their line are left out. Comments that suppress nothing, or
    name no rule, are findings too. A comment counts as unused only if its rule is in ``codes``.
    """
    context, document = context_of(program), program.spec.document
    rules = (rule for rule in RULES if rule.code in codes)
    problems = [problem for rule in rules for problem in rule.problems(context)]
    advice = {_key(problem) for problem in problems}
    ignores = list(_ignores(document))
    suppressed = {ignore.key for ignore in ignores}
    flaws = [
        Problem(document.source, _message(ignore, code), "", ignore.span, code, "warning")
        for ignore, code in islice(_flaws(ignores, advice, codes), _MAX_FLAWS)
    ]
    left = (problem for problem in problems if _key(problem) not in suppressed)
    return in_file_order((*left, *flaws))


def _key(problem: Problem) -> Key:
    return (problem.span.line if problem.span else 0, problem.code)


def _flaws(ignores: list[Ignore], advice: set[Key], codes: frozenset[str]) -> Iterator[Flaw]:
    """Yield the flaws that are in ``codes`` and not suppressed themselves.

    Messages are made later: of forty thousand flawed comments, most are never reported.
    """
    plain = [ignore for ignore in ignores if ignore.code not in _ABOUT_COMMENTS]
    about = [ignore for ignore in ignores if ignore.code in _ABOUT_COMMENTS]
    suppressed = {ignore.key for ignore in about}
    flawed = set()
    for ignore in plain:
        unused = ignore.code in codes and ignore.key not in advice
        code = UNKNOWN_IGNORE if ignore.code not in CODES else UNUSED_IGNORE if unused else ""
        key = (ignore.span.line, code)
        flawed.add(key)
        if code in codes and key not in suppressed:
            yield ignore, code
    # Without running a rule, it is unknown whether a comment for it is used, and so whether an
    # 'ignore[L902]' on the same line is.
    open_lines = {
        ignore.span.line for ignore in plain if ignore.code in CODES and ignore.code not in codes
    }
    for ignore in about:
        decidable = ignore.code in codes and ignore.span.line not in open_lines
        if decidable and ignore.key not in flawed and UNUSED_IGNORE in codes:
            yield ignore, UNUSED_IGNORE


def _message(ignore: Ignore, code: str) -> str:
    if code == UNUSED_IGNORE:
        return f"unused suppression comment: this line has no {ignore.code}"
    if not ignore.code:
        return "expected '# rnnspec: ignore[CODE]', with one or more codes"
    if is_error(ignore.code):
        return f"suppression comment: {not_advice(ignore.code, 'ignored')}"
    if any(code.startswith(ignore.code) for code in CODES):
        return (
            f"suppression comment: expected a full code, received the prefix {quoted(ignore.code)}"
        )
    return f"suppression comment: {unknown_code(ignore.code)}"


def _ignores(document: Document) -> Iterator[Ignore]:
    for comment in _comments(document):
        start, verb, brackets, inside = comment.groups()
        codes = list(_ITEM.finditer(inside or ""))
        if (start, verb) == ("rnnspec:", "ignore") and codes:
            first = comment.start(4)
            for code in codes:
                extent = (first + code.start(), first + code.end())
                yield Ignore(code.group(), document.lines.span(extent))
        elif (
            # Probably meant to suppress advice, rather than prose.
            verb.lower().startswith("ignor") or _CODE.search(brackets)
            if brackets
            else verb.lower() == "ignore" and start.endswith(":")
        ):
            yield Ignore("", document.lines.span(comment.span()))


def _comments(document: Document) -> Iterator[re.Match[str]]:
    """Yield the matches that are real comments, not part of a string in the spec."""
    matches = list(_COMMENT.finditer(document.text))
    # Most specs have no such comment, and then the scalars need not be sorted.
    scalars = sorted(_scalars(document)) if matches else []
    for match in matches:
        index = bisect_right(scalars, (match.start(), len(document.text))) - 1
        if index < 0 or scalars[index][1] <= match.start():
            yield match


def _scalars(document: Document) -> Iterator[Extent]:
    """Yield the extent of each key and each scalar value."""
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
