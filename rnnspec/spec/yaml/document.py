"""Documents: the plain data of a YAML text, with the position of every key and value."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rnnspec.errors import Problem, Severity, Span, SpecError
from rnnspec.errors.wording import quoted
from rnnspec.spec.yaml.text import (
    Extent,
    Path,
    TextLines,
    all_forbidden,
    blank_forbidden,
    decode,
    first_forbidden,
)
from rnnspec.spec.yaml.tree import Fault, grow, grow_once

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_FLAWS = 50
"""Maximum number of forbidden characters to report."""


@dataclass(frozen=True)
class Document:
    """The data of a spec, with the positions of keys and values.

    ``data`` consists of dict, list, str, int, float, bool and None. In paths, index 0 of a mapping
    is the mapping itself, because ``rnn: {...}`` and ``rnn: [{...}]`` mean the same.
    """

    source: str
    text: str = field(repr=False)
    data: Any = field(repr=False)
    values: Mapping[Path, Extent] = field(default_factory=dict, repr=False)
    keys: Mapping[Path, Extent] = field(default_factory=dict, repr=False)
    faults: tuple[Fault, ...] = ()
    """Constructs that YAML allows but the language does not; ``data`` is unreliable there."""

    def span(self, path: Path, *, key: bool = False) -> Span:
        """Return the position of the value or ``key`` at ``path``, or of the nearest parent."""
        steps = self.steps(path)
        first = self.keys.get(steps) if key else None
        # An absent value, or one without characters, is shown at its key or at its parent.
        while first is None and steps:
            start, end = self.values.get(steps, (0, 0))
            if start < end:
                break
            first = self.keys.get(steps)
            steps = steps[:-1]
        return self.lines.span(first or self.values.get(steps, (0, 0)))

    def problem(  # noqa: PLR0913 - a problem, and where it is
        self,
        path: Path,
        message: str,
        *,
        code: str,
        key: bool = False,
        severity: Severity = "error",
        column: int = 0,
    ) -> Problem:
        """Return a problem with the value at ``path``, or with its character at ``column``.

        With ``key``, the problem is about the key, and ``where`` is the mapping that contains it.
        """
        where = render_path(self.steps(path[:-1] if key else path))
        span = self._span_inside(path, column) if column else self.span(path, key=key)
        return Problem(self.source, message, where, span, code, severity)

    def _span_inside(self, path: Path, column: int) -> Span:
        """Return the position of a character of a string, the first at ``column`` 1."""
        start, end = self.values.get(self.steps(path), (0, 0))
        raw = self.text[start:end]
        at = 0
        if raw[:1] in ("|", ">"):
            # The text of a block begins on the line below.
            at = raw.find("\n") + 1
        elif raw[:1] in ("'", '"'):
            at = 1
        # Line breaks and indentation may be one space of the value.
        for character in str(self.value(path))[: column - 1]:
            blank = len(raw[at:]) - len(raw[at:].lstrip())
            if character.isspace():
                at += blank
            elif raw[at + blank : at + blank + 1] == character:
                at += blank + 1
            else:
                return self.span(path)
        at += len(raw[at:]) - len(raw[at:].lstrip())
        at = min(at, max(end - start - 1, 0))
        return self.lines.span((start + at, end))

    def text_of(self, path: Path) -> str:
        """Return the text of the value at ``path``, up to the end of its line."""
        span = self.span(path)
        return span.text[span.column - 1 : span.end_column - 1]

    @cached_property
    def lines(self) -> TextLines:
        """The text, split into lines."""
        return TextLines(self.text)

    def contains(self, path: Path) -> bool:
        """True if there is a value at ``path``; it may be null."""
        return self.steps(path) in self.values

    def has_value(self, path: Path) -> bool:
        """True if there is a value at ``path`` that is not null."""
        return self.value(path) is not None

    def value(self, path: Path) -> Any:
        """Return the value at ``path``, or None."""
        node = self.data
        for step in self.steps(path):
            node = _child(node, step)
        return node

    def correct(self, keys: Mapping[Path, str], values: Mapping[Path, str]) -> Document:
        """Return the document with ``keys`` and ``values`` replaced at their paths.

        The positions remain those of the text.
        """
        keys = {self.steps(path): key for path, key in keys.items()}
        data = deepcopy(self.data)
        # Values come first: their paths contain the old keys.
        for path, value in values.items():
            _mapping(data, self.steps(path))[path[-1]] = value
        for path, new in keys.items():
            mapping = _mapping(data, path)
            # Rebuilt, so that the order of the keys stays.
            items = [(new if key == path[-1] else key, value) for key, value in mapping.items()]
            mapping.clear()
            mapping.update(items)

        def rename(path: Path) -> Path:
            return tuple(keys.get(path[: depth + 1], step) for depth, step in enumerate(path))

        return replace(
            self,
            data=data,
            values={rename(path): extent for path, extent in self.values.items()},
            keys={rename(path): extent for path, extent in self.keys.items()},
            faults=tuple(replace(fault, path=rename(fault.path)) for fault in self.faults),
        )

    def steps(self, path: Path) -> Path:
        """Return ``path`` as in the document: without index 0 of a mapping."""
        node: Any = self.data
        steps: Path = ()
        for step in path:
            if step == 0 and isinstance(node, dict):
                continue
            node, steps = _child(node, step), (*steps, step)
        return steps


def read(raw: str | bytes, source: str) -> Document:
    """Return the document in ``raw``; messages name it ``source``.

    Raises:
        SpecError: ``raw`` is not a single YAML document within the size limits.
    """
    text = decode(raw, source)
    # Forbidden characters become spaces, so that further problems are found in the same run.
    flaws = all_forbidden(text, _MOST_FLAWS)
    # A space replaces one character, so positions stay valid.
    tree = grow(blank_forbidden(text) if flaws else text)
    faults = list[Fault]()
    for start, code, message in flaws:
        # Inside a key, it hides the key that was meant.
        damaged = [path for path, extent in tree.keys.items() if extent[0] <= start < extent[1]]
        path, extent = damaged[0] if damaged else (), (start, start + 1)
        faults.append(Fault(path, extent, code, message, key=True, hides_keys=bool(damaged)))
    faults += tree.faults
    document = Document(source, text, tree.data, tree.values, tree.keys, tuple(faults))
    if not tree.whole:
        raise SpecError(in_file_order(reading_problems(document)))
    return document


def glimpse(raw: bytes) -> Any:
    """Return the data in ``raw`` without checking it for faults, or None if it is not YAML."""
    try:
        # Once, because the second parser only improves messages, which nobody sees here.
        tree = grow_once(blank_forbidden(decode(raw, "")))
    except SpecError:
        return None
    return tree.data if tree.whole else None


def reading_problems(document: Document) -> tuple[Problem, ...]:
    """Return a problem for each fault of ``document``."""
    return tuple(
        Problem(
            document.source,
            fault.message,
            render_path(fault.path[:-1] if fault.key else fault.path),
            document.lines.span(fault.extent),
            fault.code,
        )
        for fault in document.faults
    )


def in_file_order(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """Return ``problems`` sorted by position.

    If a line has a forbidden character, its other problems are omitted: they may be consequences.
    """
    flawed = {p.span.line for p in problems if p.span and _is_flaw(p)}
    certain = [p for p in problems if not p.span or p.span.line not in flawed or _is_flaw(p)]
    return tuple(sorted(certain, key=lambda p: (p.span.line, p.span.column) if p.span else (0, 0)))


def _is_flaw(problem: Problem) -> bool:
    """True if ``problem`` is a forbidden character in the text, not an escape sequence."""
    span = problem.span
    if problem.code not in ("E102", "E103") or span is None:
        return False
    return first_forbidden(span.text[span.column - 1 : span.column]) is not None


def render_path(path: Path) -> str:
    """Return ``rnn[0].type`` for ``("rnn", 0, "type")``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if step.isidentifier() and len(step) <= 64 else f"[{quoted(step)}]"
    return text.removeprefix(".")


def _mapping(data: Any, path: Path) -> dict[str | int, Any]:
    """Return the mapping that contains the last key of ``path``."""
    for step in path[:-1]:
        data = data[step]
    assert isinstance(data, dict)
    return data


def _child(node: Any, step: str | int) -> Any:
    match node, step:
        case dict(), str():
            return node.get(step)
        case list(), int() if step < len(node):
            return node[step]
        case _:
            return None
