"""YAML text to plain data, with the place of every key and value."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from rnnspec.errors import Problem, Severity, Span, SpecError
from rnnspec.spec.wording import quoted
from rnnspec.spec.yaml.characters import Flaw, all_forbidden, blanked, forbidden
from rnnspec.spec.yaml.encoding import decode
from rnnspec.spec.yaml.places import Extent, Lines, Path
from rnnspec.spec.yaml.tree import Fault, Tree, grow, grow_once

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_FLAWS = 50
"""How many characters that no spec may hold are told of."""


@dataclass(frozen=True)
class Document:
    """What one spec's text says, and where it says it.

    ``data`` is made of dict, list, str, int, float, bool and None. An index 0 into a mapping is
    that mapping, because ``rnn: {...}`` and ``rnn: [{...}]`` say the same.
    """

    source: str
    text: str
    data: Any
    values: Mapping[Path, Extent] = field(default_factory=dict, repr=False)
    keys: Mapping[Path, Extent] = field(default_factory=dict, repr=False)
    faults: tuple[Fault, ...] = ()
    """What YAML allows and the language does not; ``data`` is not to be trusted there."""

    def span(self, path: Path, *, key: bool = False) -> Span:
        """Return the place of the value at ``path``, of its key if ``key``, or what encloses it."""
        steps = self.steps(path)
        first = self.keys.get(steps) if key else None
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
        """Return the problem that ``message`` tells of the value at ``path``.

        With ``key`` it is the key that is wrong, so ``where`` names the mapping that holds it.
        """
        where = render_path(self.steps(path[:-1] if key else path))
        span = self.span(path, key=key)
        return Problem(self.source, message, where, span, code, severity)

    def written(self, path: Path) -> str:
        """Return the value at ``path`` as it stands in the text, up to the end of its line."""
        span = self.span(path)
        return span.text[span.column - 1 : span.end_column - 1]

    @cached_property
    def lines(self) -> Lines:
        """The text, cut into lines."""
        return Lines(self.text)

    def holds(self, path: Path) -> bool:
        """Tell whether there is something at ``path``."""
        return self.steps(path) in self.values

    def says(self, path: Path) -> bool:
        """Tell whether there is a value at ``path`` that is not nothing."""
        node = self.data
        for step in self.steps(path):
            node = _child(node, step)
        return node is not None

    def mended(self, keys: Mapping[Path, str], values: Mapping[Path, str]) -> Document:
        """Return the document with other keys at some paths, and other values at some.

        The places are those of what stands in the text.
        """
        keys = {self.steps(path): key for path, key in keys.items()}
        data = deepcopy(self.data)
        for path, word in values.items():
            _mapping(data, self.steps(path))[path[-1]] = word
        for path, key in keys.items():
            _rename(_mapping(data, path), path[-1], key)
        moved = partial(_moved, keys=keys)
        return replace(
            self,
            data=data,
            values={moved(path): extent for path, extent in self.values.items()},
            keys={moved(path): extent for path, extent in self.keys.items()},
            faults=tuple(replace(fault, path=moved(fault.path)) for fault in self.faults),
        )

    def steps(self, path: Path) -> Path:
        """Return ``path`` as the document has it: without an index 0 into a mapping."""
        node: Any = self.data
        steps: Path = ()
        for step in path:
            if step == 0 and isinstance(node, dict):
                continue
            node, steps = _child(node, step), (*steps, step)
        return steps


def read(raw: str | bytes, source: str) -> Document:
    """Return the document that ``raw`` holds; ``source`` is what messages call it.

    Raises:
        SpecError: ``raw`` is not one YAML document within the budgets.
    """
    text = decode(raw, source)
    flaws = all_forbidden(text, _MOST_FLAWS)
    tree = grow(blanked(text) if flaws else text)
    faults = (*(_flaw_fault(flaw, tree) for flaw in flaws), *tree.faults)
    document = Document(source, text, tree.data, tree.values, tree.keys, faults)
    if not tree.whole:
        raise SpecError(in_file_order(reading_problems(document)))
    return document


def glimpse(raw: bytes) -> Any:
    """Return the data that ``raw`` holds, read once and without its faults; None if it has none."""
    try:
        tree = grow_once(blanked(decode(raw, "")))
    except SpecError:
        return None
    return tree.data if tree.whole else None


def reading_problems(document: Document) -> tuple[Problem, ...]:
    """Return a problem for every fault of ``document``."""
    return tuple(_fault_problem(document, fault) for fault in document.faults)


def in_file_order(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """Return ``problems`` sorted by place; of a line with a forbidden character, nothing else."""
    flawed = {p.span.line for p in problems if p.span and _is_of_flaw(p)}
    told = [p for p in problems if not p.span or p.span.line not in flawed or _is_of_flaw(p)]
    return tuple(sorted(told, key=lambda p: (p.span.line, p.span.column) if p.span else (0, 0)))


def _is_of_flaw(problem: Problem) -> bool:
    """Tell whether ``problem`` is that a forbidden character stands in the text itself."""
    span = problem.span
    if problem.code not in ("E102", "E103") or span is None:
        return False
    return forbidden(span.text[span.column - 1 : span.column]) is not None


def _flaw_fault(flaw: Flaw, tree: Tree) -> Fault:
    """Return a forbidden character as a fault; one in a key hides which key it was to be."""
    start, code, message = flaw
    torn = [path for path, extent in tree.keys.items() if extent[0] <= start < extent[1]]
    path = torn[0] if torn else ()
    return Fault(path, (start, start + 1), code, message, key=True, hides_keys=bool(torn))


def render_path(path: Path) -> str:
    """Return ``rnn[0].type`` for ``("rnn", 0, "type")``."""
    return "".join(_step(step) for step in path).removeprefix(".")


def _mapping(data: Any, path: Path) -> dict[str | int, Any]:
    """Return the mapping that holds the last key of ``path``."""
    for step in path[:-1]:
        data = data[step]
    assert isinstance(data, dict)
    return data


def _rename(mapping: dict[str | int, Any], old: str | int, new: str) -> None:
    items = [(new if key == old else key, value) for key, value in mapping.items()]
    mapping.clear()
    mapping.update(items)


def _moved(path: Path, keys: Mapping[Path, str]) -> Path:
    """Return ``path`` with the steps that have another key now."""
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
    """Tell whether there is something to underline: a value that is nothing has no width."""
    return extent is not None and extent[0] < extent[1]


def _fault_problem(document: Document, fault: Fault) -> Problem:
    where = render_path(fault.path[:-1] if fault.key else fault.path)
    span = document.lines.span(fault.extent)
    return Problem(document.source, fault.message, where, span, fault.code)
