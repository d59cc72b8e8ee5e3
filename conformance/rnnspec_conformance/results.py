"""Results: what each tool made of each case, as a document that can be merged and compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from rnnspec.errors import Difference, UsageError, brief, listed
from rnnspec_conformance.records import read_record

VERSION = 1
"""The version of the document; it grows when docs/reference/reports.md changes."""

State = Literal["equal", "absent", "refused", "crashed", "wrong"]
"""From the best to the worst: an error is better than outputs that are silently wrong."""

STATES: tuple[State, ...] = get_args(State)
TITLES: dict[State, str] = {state: state for state in STATES} | {"absent": "no model"}
"""The states in words for people."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The result of one case in one tool.

    ``difference`` is the largest from the reference, None if there are no finite outputs of the
    right shape. ``where`` is ``load`` or, for example, ``call 2``: where the state shows first.
    ``fault`` is the known fault that gives the same outputs, empty if there is none.
    """

    state: State
    difference: float | None = None
    where: str = ""
    fault: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        if self.state == "equal" and self.difference is None:
            raise ValueError("expected the difference of an equal result")

    @property
    def is_failure(self) -> bool:
        """True if the tool has a model, but not equal outputs."""
        return self.state not in {"equal", "absent"}

    @property
    def short(self) -> str:
        """One or two words."""
        difference = f" {self.difference:.1g}" if self.difference and self.state == "wrong" else ""
        return f"{TITLES[self.state]}{difference}"

    def __str__(self) -> str:
        place = f" in {self.where}" if self.where else ""
        fault = f", as with {self.fault!r}" if self.fault else ""
        message = f": {brief(self.message)}" if self.message else ""
        match self.state:
            case "equal":
                return f"equal, difference {self.difference:.1e}"
            case "absent":
                return f"no model in the tool's format{message}"
            case "wrong" if self.difference is not None:
                return f"wrong by {self.difference:.2g}{place}{fault}{message}"
            case _:
                return f"{self.state}{place}{fault}{message}"


@dataclass(frozen=True, slots=True)
class Facts:
    """The subject of a case, from its ``case.json``."""

    fact: str
    consequence: str
    tolerance: float

    def __post_init__(self) -> None:
        if self.tolerance <= 0:
            raise ValueError(f"tolerance: expected a number above 0, received {self.tolerance}")


@dataclass(frozen=True, slots=True)
class ToolRun:
    """A tool as it was run; ``date`` is that of the run, in UTC.

    If its cells are of several runs, each of ``version``, ``date`` and ``system`` has all of them.
    """

    name: str
    title: str
    version: str
    date: str
    system: str

    def __str__(self) -> str:
        if not self.version or self.version.startswith(self.title):
            return self.version or self.title
        return f"{self.title} ({self.version})"


@dataclass(frozen=True, slots=True)
class Results:
    """The tools and the cases by name, and the cells by case, then by tool.

    A cell is missing if the tool was not run on the case.
    """

    tools: Mapping[str, ToolRun]
    cases: Mapping[str, Facts]
    cells: Mapping[str, Mapping[str, Cell]]

    @property
    def failures(self) -> Iterator[tuple[str, str, Cell]]:
        """The case, the tool and the cell of each failure."""
        for case, row in self.cells.items():
            for tool, cell in row.items():
                if cell.is_failure:
                    yield case, tool, cell

    def worse_than(self, baseline: Results) -> tuple[Difference, ...]:
        """Return every cell that is worse than in the baseline.

        A cell that the baseline lacks is not worse than anything.

        Raises:
            UsageError: the baseline has no results of a tool, which would hide all of them.
        """
        for tool in self.tools:
            if tool not in baseline.tools:
                names = listed([*baseline.tools]) or "none"
                raise UsageError(f"no results of {tool!r} in the baseline, which has {names}")
        return tuple(
            Difference(case, self.tools[tool].title, "", "result", str(before), str(cell))
            for case, row in self.cells.items()
            for tool, cell in row.items()
            if (before := baseline.cells.get(case, {}).get(tool))
            and STATES.index(cell.state) > STATES.index(before.state)
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the document that ``--json`` writes."""
        return {
            "suite": VERSION,
            "tools": [asdict(tool) for tool in self.tools.values()],
            "cases": {name: asdict(case) for name, case in self.cases.items()},
            "cells": {
                case: {
                    tool: {
                        key: value
                        for key, value in asdict(cell).items()
                        if value is not None and value != ""
                    }
                    for tool, cell in row.items()
                }
                for case, row in self.cells.items()
            },
        }


def merge(parts: Sequence[Results]) -> Results:
    """Return all results in one; where a tool has run a case twice, the later part counts."""
    tools: dict[str, ToolRun] = {}
    cases: dict[str, Facts] = {}
    cells: dict[str, dict[str, Cell]] = {}
    for part in parts:
        for name, run in part.tools.items():
            replaced = {case for case, row in part.cells.items() if name in row}
            kept = {case for case, row in cells.items() if name in row} - replaced
            tools[name] = _join(tools[name], run) if kept else run
        cases |= part.cases
        for case, row in part.cells.items():
            cells.setdefault(case, {}).update(row)
    return Results(tools, cases, cells)


def _join(before: ToolRun, after: ToolRun) -> ToolRun:
    """Return a tool with cells of two runs, the first of which may have been joined before."""

    def both(first: str, second: str) -> str:
        return first if f", {second}, " in f", {first}, " else f"{first}, {second}"

    return replace(
        after,
        version=both(before.version, after.version),
        date=both(before.date, after.date),
        system=both(before.system, after.system),
    )


@dataclass(frozen=True, slots=True)
class _Document:
    """The document that ``--json`` writes."""

    suite: int
    tools: tuple[ToolRun, ...]
    cases: Mapping[str, Facts]
    cells: Mapping[str, Mapping[str, Cell]]

    def __post_init__(self) -> None:
        names = [tool.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise ValueError("tools: expected each name once")
        for case, row in self.cells.items():
            if case not in self.cases:
                raise ValueError(f"cells.{case}: not a case of 'cases'")
            for tool in row:
                if tool not in names:
                    raise ValueError(f"cells.{case}.{tool}: not a tool of 'tools'")


def read_results(path: Path) -> Results:
    """Return the results in a file that ``--json`` wrote.

    Raises:
        UsageError: the file cannot be read, or is another one.
    """
    what = "the results of a suite, which 'rnnspec conformance run --json FILE' writes"
    document = read_record(path, _Document, ("suite", VERSION), what)
    return Results({tool.name: tool for tool in document.tools}, document.cases, document.cells)
