"""The results of the conformance suite on their page, docs/conformance.md.

``python -m docs.generate.conformance`` writes them between the markers of the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import yaml

from docs.generate.examples import ROOT
from docs.generate.markdown import fence
from rnnspec.errors import listed
from rnnspec_conformance.results import (
    STATES,
    TITLES,
    Cell,
    Results,
    State,
    ToolRun,
    merge,
    read_results,
)
from rnnspec_conformance.tools import GROUPS, TOOLS

PAGE = ROOT / "docs" / "conformance.md"
FOLDER = ROOT / "conformance"
BEGIN, END = (
    "<!-- results: written by docs/generate/conformance.py -->\n",
    "<!-- end of results -->\n",
)
NOT_FOUND = "not found"
"""The upstream link of a failure that nobody has reported, as far as one could find."""

_MOST_CASES = 16
_MARKS = {"equal": "✓", "absent": "–", "refused": "R", "crashed": "C", "wrong": "**X**"}
_LEGEND = [f"{_MARKS[state]} {TITLES[state]}" for state in STATES]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why some cells are not equal: an entry of ``failures.yaml``.

    ``tools`` and ``cases`` may be patterns, such as ``padding-*``. It explains each of these cases
    in each of these tools.
    """

    title: str
    tools: tuple[str, ...]
    cases: tuple[str, ...]
    cause: str
    consequence: str
    upstream: tuple[str, ...]
    script: str | None = None

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Failure:
        """Return an entry, in which a list of one may be a string."""
        lists = {key: entry[key] for key in ("tools", "cases", "upstream")}
        tuples = {
            key: (value,) if isinstance(value, str) else tuple(value)
            for key, value in lists.items()
        }
        return cls(**{**entry, **tuples})

    @property
    def anchor(self) -> str:
        """The identifier of the heading, on GitHub as on the site."""
        return re.sub(r"[^\w\- ]", "", self.title.lower()).replace(" ", "-")

    def explains(self, case: str, tool: str) -> bool:
        """True if the entry is about a cell."""
        return _any_matches(tool, self.tools) and _any_matches(case, self.cases)


@dataclass(frozen=True, slots=True)
class Note:
    """Remarks on the columns of ``tools``: an entry of ``notes.yaml``.

    ``instead`` has the number of cases in each state under the condition that the note ends in.
    """

    tools: tuple[str, ...]
    note: str
    instead: Mapping[State, int]

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Note:
        """Return an entry."""
        return cls(tuple(entry["tools"]), entry["note"], entry.get("instead", {}))

    def text(self) -> str:
        """Return the note with its numbers, which end its last sentence."""
        counts = [f"{number} {TITLES[state]}" for state, number in self.instead.items()]
        return f"{self.note} {listed(counts)}." if counts else self.note


def _any_matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def explanation(case: str, tool: str, failures: Sequence[Failure]) -> Failure | None:
    """Return the first entry that is about a cell, or None."""
    return next((failure for failure in failures if failure.explains(case, tool)), None)


def read_all_results() -> Results:
    """Return the results of all runs, with tools in the order of the registry."""
    merged = merge([read_results(path) for path in sorted((FOLDER / "results").glob("*.json"))])
    names = sorted(merged.tools, key=[*TOOLS].index)
    return Results({name: merged.tools[name] for name in names}, merged.cases, merged.cells)


def read_failures() -> list[Failure]:
    """Return the entries of ``failures.yaml``."""
    entries = yaml.safe_load((FOLDER / "failures.yaml").read_text(encoding="utf-8"))
    return [Failure.read(entry) for entry in entries or ()]


def read_notes() -> list[Note]:
    """Return the entries of ``notes.yaml``."""
    entries = yaml.safe_load((FOLDER / "notes.yaml").read_text(encoding="utf-8"))
    return [Note.read(entry) for entry in entries]


def page_text() -> str:
    """Return the page with its results as they should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    results = "\n".join(result_parts(read_all_results(), read_failures(), read_notes()))
    return f"{before}{BEGIN}\n{results}\n{END}{after}"


def result_parts(
    results: Results, failures: Sequence[Failure], notes: Sequence[Note] = ()
) -> Iterator[str]:
    """Yield the tables, the explanations and the cases as Markdown."""
    systems = sorted({tool.system for tool in results.tools.values()})
    yield f"Run on {'; '.join(systems)}."
    yield f"The marks: {', '.join(_LEGEND)}. A failure leads to what it means.\n"
    if missing := [
        f"{tool.title} (`{name}`)" for name, tool in TOOLS.items() if name not in results.tools
    ]:
        yield f"Adapters without results yet: {', '.join(missing)}.\n"
    if partial := [
        TOOLS[name].title
        for name in results.tools
        if any(name not in row for row in results.cells.values())
    ]:
        yield f"Not run yet on the cases without a mark, which are newer: {'; '.join(partial)}.\n"
    for group, title in GROUPS.items():
        group_tools = [tool for tool in results.tools.values() if TOOLS[tool.name].group == group]
        tools = dict(enumerate(group_tools, 1))
        if tools:
            yield f"### {title}\n"
            yield _division("tools", _table_of_tools(results, tools))
            yield from _notes([tool.name for tool in group_tools], notes)
            yield _division("marks", _table_of_cases(results, tools, failures))
    if failures:
        yield "## What the failures mean\n"
        for failure in failures:
            yield from _explanation(results, failure, failures)
    yield "## The cases\n"
    for name, case in results.cases.items():
        yield f"- **`{name}`**: {case.fact} *If not:* {case.consequence}"
    yield ""


def _notes(tools: Sequence[str], notes: Sequence[Note]) -> Iterator[str]:
    about = [note for note in notes if set(note.tools) & set(tools)]
    if about:
        yield "To read these columns fairly:\n"
    for note in about:
        titles = listed([f"**{TOOLS[name].title}**" for name in note.tools])
        yield f"- {titles}: {note.text()}"
    if about:
        yield ""


def _table_of_tools(results: Results, tools: Mapping[int, ToolRun]) -> str:
    rows = []
    for number, tool in tools.items():
        states = [row[tool.name].state for row in results.cells.values() if tool.name in row]
        counts = [states.count(state) for state in STATES]
        rows.append([str(number), str(tool), tool.date, *(str(count or "") for count in counts)])
    return _table(["", "tool", "run on", *_MARKS.values()], rows)


def _table_of_cases(
    results: Results, tools: Mapping[int, ToolRun], failures: Sequence[Failure]
) -> str:
    rows = [
        [f"`{case}`", *(_mark(row.get(tool.name), case, tool, failures) for tool in tools.values())]
        for case, row in results.cells.items()
    ]
    return _table(["case", *map(str, tools)], rows)


def _division(name: str, text: str) -> str:
    """Return Markdown in an element for the style sheet."""
    return f'<div class="{name}" markdown="1">\n\n{text}\n</div>\n'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _mark(cell: Cell | None, case: str, tool: ToolRun, failures: Sequence[Failure]) -> str:
    if cell is None:
        return ""
    mark = _MARKS[cell.state]
    failure = explanation(case, tool.name, failures)
    if failure is None or not cell.is_failure:
        return mark
    # In HTML, because each reader of Markdown has its own idea of a title with quotes or brackets.
    details = re.sub(r"[^\w ,.:;-]", lambda match: f"&#{ord(match[0])};", str(cell))
    return f'<a href="#{failure.anchor}" title="{details}">{mark}</a>'


def _explanation(results: Results, failure: Failure, failures: Sequence[Failure]) -> Iterator[str]:
    yield f"### {failure.title}\n"
    yield f"{failure.cause.strip()}\n"
    yield f"What a user meets: {failure.consequence.strip()}\n"
    cells: dict[str, dict[str, Cell]] = {}
    for case, tool, cell in results.failures:
        if explanation(case, tool, failures) == failure:
            cells.setdefault(tool, {})[case] = cell
    for tool, row in cells.items():
        yield f"- {results.tools[tool]}: {'; '.join(_outcomes(row))}"
    links = [link if link == NOT_FOUND else f"<{link}>" for link in failure.upstream]
    yield f"- Upstream: {', '.join(links)}"
    yield ""
    if failure.script is not None:
        text = (FOLDER / "scripts" / failure.script).read_text(encoding="utf-8")
        yield '<details markdown="1"><summary>A script that shows it, without rnnspec</summary>\n'
        yield fence("py", text)  # the tests of the pages run blocks of "python"
        yield "</details>\n"


def _outcomes(row: Mapping[str, Cell]) -> Iterator[str]:
    """Yield what happened, with the cases in which it did."""
    groups: dict[tuple[str, str], dict[str, Cell]] = {}
    for case, cell in row.items():
        groups.setdefault((cell.state, cell.fault), {})[case] = cell
    for (state, fault), cells in groups.items():
        differences = [cell.difference for cell in cells.values() if cell.difference is not None]
        by = f" by up to {max(differences):.1g}" if state == "wrong" and differences else ""
        like = f", as with {fault}" if fault else ""
        names = [f"`{case}`" for case in cells]
        # The table has all of them.
        listed = names if len(names) <= _MOST_CASES else [*names[:3], f"{len(names) - 3} more"]
        yield f"{state}{by}{like}: {', '.join(listed)}"


if __name__ == "__main__":
    PAGE.write_text(page_text(), encoding="utf-8")
