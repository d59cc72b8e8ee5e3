"""The results of the conformance suite: their summary in docs/conformance.md, and why they are so.

``python -m docs.generate.conformance`` writes the summary between the markers of the page. The
pages of the site that show every result are in ``conformance_site.py``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import yaml

from docs.generate.examples import ROOT
from docs.generate.markdown import replace_between, table
from rnnspec.errors import listed
from rnnspec_conformance.results import (
    STATES,
    TITLES,
    Results,
    State,
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
    remedy: str = ""
    label: str = ""
    """A few words for the head of a column that it fills."""

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


def causes(results: Results, tool: str, failures: Sequence[Failure]) -> Counter[Failure]:
    """Return the causes of a tool's failures, with the number of cases of each, the most first."""
    explained = Counter(
        explanation(case, name, failures) for case, name, _ in results.failures if name == tool
    )
    return Counter({cause: number for cause, number in explained.most_common() if cause})


def filling(results: Results, tool: str, failures: Sequence[Failure]) -> Failure | None:
    """Return the cause of more than half of a tool's results, if there is one."""
    run = sum(tool in row for row in results.cells.values())
    first = causes(results, tool, failures).most_common(1)
    return next((cause for cause, number in first if 2 * number > run), None)


def page_text() -> str:
    """Return the page with its results as they should be."""
    results = "\n".join(summary_parts(read_all_results(), read_failures(), read_notes()))
    return replace_between(PAGE.read_text(encoding="utf-8"), BEGIN, END, results)


def summary_parts(
    results: Results, failures: Sequence[Failure], notes: Sequence[Note] = ()
) -> Iterator[str]:
    """Yield a row for each tool, by group, and how to read their numbers, as Markdown."""
    systems = sorted({tool.system for tool in results.tools.values()})
    yield f"Run on {'; '.join(systems)}.\n"
    if missing := [
        f"{tool.title} (`{name}`)" for name, tool in TOOLS.items() if name not in results.tools
    ]:
        yield f"Adapters without results yet: {', '.join(missing)}.\n"
    for group, title in GROUPS.items():
        tools = [name for name in results.tools if TOOLS[name].group == group]
        if tools:
            yield f"### {title}\n"
            rows = (_summary_row(results, name, failures) for name in tools)
            head = ("tool", "cases", *(TITLES[state] for state in STATES), "causes", "run on")
            yield f'<div class="tools" markdown="1">\n\n{table(head, rows)}\n</div>\n'
            yield from note_parts(tools, notes)


def _summary_row(results: Results, name: str, failures: Sequence[Failure]) -> list[str]:
    tool = results.tools[name]
    states = [row[name].state for row in results.cells.values() if name in row]
    filled = filling(results, name, failures)
    number = str(len(causes(results, name, failures)) or "")
    return [
        # The file of the results; on the site, the page of the tool.
        f"[{tool}](../conformance/results/{name}.json)",
        str(len(states)),
        *(str(states.count(state) or "") for state in STATES),
        f"{number}; {filled.label}" if filled else number,
        " to ".join(dict.fromkeys((tool.date.split(", ")[0], tool.date.split(", ")[-1]))),
    ]


def note_parts(tools: Sequence[str], notes: Sequence[Note]) -> Iterator[str]:
    """Yield the remarks on some columns, as Markdown."""
    about = [note for note in notes if set(note.tools) & set(tools)]
    if about:
        yield "To read these numbers fairly:\n"
    for note in about:
        titles = listed([f"**{TOOLS[name].title}**" for name in note.tools])
        yield f"- {titles}: {note.text()}"
    if about:
        yield ""


if __name__ == "__main__":
    PAGE.write_text(page_text(), encoding="utf-8")
