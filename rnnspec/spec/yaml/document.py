"""Documents: the plain data of a YAML text, with the position of every key and value."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from rnnspec.errors import Problem, Severity, Span, SpecError
from rnnspec.spec.yaml.characters import Flaw, all_forbidden, blanked, forbidden
from rnnspec.spec.yaml.encoding import decode
from rnnspec.spec.yaml.faults import Fault
from rnnspec.spec.yaml.places import Extent, Lines, Path
from rnnspec.spec.yaml.tree import Tree, grow, grow_once
from rnnspec.wording import quoted

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
        while first is None and steps and not _visible(self.values.get(steps)):
            first = self.keys.get(steps)
            steps = steps[:-1]
        return self.lines.span(first or self.values.get(steps, (0, 0)))

    def problem(
        self,
        path: Path,
        message: str,
        *,
        code: str,
        key: bool = False,
        severity: Severity = "error",
    ) -> Problem:
        """Return a problem with the value at ``path``.

        With ``key``, the problem is about the key, and ``where`` is the mapping that contains it.
        """
        where = render_path(self.steps(path[:-1] if key else path))
        span = self.span(path, key=key)
        return Problem(self.source, message, where, span, code, severity)

    def written(self, path: Path) -> str:
        """Return the text of the value at ``path``, up to the end of its line."""
        span = self.span(path)
        return span.text[span.column - 1 : span.end_column - 1]

    @cached_property
    def lines(self) -> Lines:
        """The text, split into lines."""
        return Lines(self.text)

    def contains(self, path: Path) -> bool:
        """Return whether there is a value at ``path``; it may be null."""
        return self.steps(path) in self.values

    def has_value(self, path: Path) -> bool:
        """Return whether there is a value at ``path`` that is not null."""
        node = self.data
        for step in self.steps(path):
            node = _child(node, step)
        return node is not None

    def corrected(self, keys: Mapping[Path, str], values: Mapping[Path, str]) -> Document:
        """Return the document with ``keys`` and ``values`` replaced at their paths.

        The positions remain those of the text.
        """
        keys = {self.steps(path): key for path, key in keys.items()}
        data = deepcopy(self.data)
        # Values come first: their paths contain the old keys.
        for path, value in values.items():
            _mapping(data, self.steps(path))[path[-1]] = value
        for path, key in keys.items():
            _rename(_mapping(data, path), path[-1], key)
        renamed = partial(_renamed, keys=keys)
        return replace(
            self,
            data=data,
            values={renamed(path): extent for path, extent in self.values.items()},
            keys={renamed(path): extent for path, extent in self.keys.items()},
            faults=tuple(replace(fault, path=renamed(fault.path)) for fault in self.faults),
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
    tree = grow(blanked(text) if flaws else text)
    faults = (*(_flaw_fault(flaw, tree) for flaw in flaws), *tree.faults)
    document = Document(source, text, tree.data, tree.values, tree.keys, faults)
    if not tree.whole:
        raise SpecError(in_file_order(reading_problems(document)))
    return document


def glimpse(raw: bytes) -> Any:
    """Return the data in ``raw`` without checking it for faults, or None if it is not YAML."""
    try:
        # Once, because the second parser only improves messages, which nobody sees here.
        tree = grow_once(blanked(decode(raw, "")))
    except SpecError:
        return None
    return tree.data if tree.whole else None


def reading_problems(document: Document) -> tuple[Problem, ...]:
    """Return a problem for each fault of ``document``."""
    return tuple(_fault_problem(document, fault) for fault in document.faults)


def in_file_order(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """Return ``problems`` sorted by position.

    If a line has a forbidden character, its other problems are omitted: they may be consequences.
    """
    flawed = {p.span.line for p in problems if p.span and _is_flaw(p)}
    shown = [p for p in problems if not p.span or p.span.line not in flawed or _is_flaw(p)]
    return tuple(sorted(shown, key=lambda p: (p.span.line, p.span.column) if p.span else (0, 0)))


def _is_flaw(problem: Problem) -> bool:
    """Return whether ``problem`` is a forbidden character in the text, not an escape sequence."""
    span = problem.span
    if problem.code not in ("E102", "E103") or span is None:
        return False
    return forbidden(span.text[span.column - 1 : span.column]) is not None


def _flaw_fault(flaw: Flaw, tree: Tree) -> Fault:
    """Return a fault for a forbidden character; inside a key, it hides the key that was meant."""
    start, code, message = flaw
    damaged = [path for path, extent in tree.keys.items() if extent[0] <= start < extent[1]]
    path = damaged[0] if damaged else ()
    return Fault(path, (start, start + 1), code, message, key=True, hides_keys=bool(damaged))


def render_path(path: Path) -> str:
    """Return ``rnn[0].type`` for ``("rnn", 0, "type")``."""
    return "".join(_step(step) for step in path).removeprefix(".")


def _mapping(data: Any, path: Path) -> dict[str | int, Any]:
    """Return the mapping that contains the last key of ``path``."""
    for step in path[:-1]:
        data = data[step]
    assert isinstance(data, dict)
    return data


def _rename(mapping: dict[str | int, Any], old: str | int, new: str) -> None:
    # Rebuilt, so that the order of the keys stays.
    items = [(new if key == old else key, value) for key, value in mapping.items()]
    mapping.clear()
    mapping.update(items)


def _renamed(path: Path, keys: Mapping[Path, str]) -> Path:
    """Return ``path`` with its renamed keys replaced."""
    steps = (keys.get(path[: depth + 1], step) for depth, step in enumerate(path))
    return tuple(steps)


def _child(node: Any, step: str | int) -> Any:
    match node, step:
        case dict(), str():
            return node.get(step)
        case list(), int() if step < len(node):
            return node[step]
        case _:
            return None


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if step.isidentifier() and len(step) <= 64 else f"[{quoted(step)}]"


def _visible(extent: Extent | None) -> bool:
    """Return whether there is something to underline: an omitted value has no width."""
    return extent is not None and extent[0] < extent[1]


def _fault_problem(document: Document, fault: Fault) -> Problem:
    where = render_path(fault.path[:-1] if fault.key else fault.path)
    span = document.lines.span(fault.extent)
    return Problem(document.source, fault.message, where, span, fault.code)
