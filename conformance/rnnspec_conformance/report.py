"""Results as text for a terminal, and as one page without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from rnnspec.errors import printable
from rnnspec.results.elements import Content, element, lines, table
from rnnspec.results.page import document, wide
from rnnspec.results.tables import Grid, plain_console
from rnnspec.version import __version__
from rnnspec_conformance.results import STATES, TITLES

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from rnnspec_conformance.results import Cell, Results, State, ToolRun

_MARKS: dict[State, str] = {
    "equal": ".",
    "absent": "-",
    "refused": "R",
    "crashed": "C",
    "wrong": "X",
}
_MEANINGS: dict[State, str] = {
    "equal": "outputs within the tolerance of the case",
    "absent": "in the format of the tool",
    "refused": "an error, in loading the model or in a call",
    "crashed": "the process died, or took too long",
    "wrong": "outputs that differ, without an error",
}
_WIDTH = 80
"""The width of a table that is not printed to a terminal."""


def print_results(results: Results) -> None:
    """Print a row for each case and a column for each tool, then what is not equal."""
    console = plain_console()
    terminal = console.file.isatty()
    for part in _parts(results, get_terminal_size().columns if terminal else _WIDTH):
        console.print(part)


def _parts(results: Results, width: int) -> Iterator[str | Grid]:
    grid = _grid_in_words(results)
    in_words = grid.width <= width
    for number, tool in enumerate(results.tools.values(), 1):
        yield printable(f"{tool}, {tool.date}" if in_words else f"{number:>2} {tool}, {tool.date}")
    if in_words:
        yield grid
    else:
        yield from _grids_of_marks(results, width)
        present = {cell.state for row in results.cells.values() for cell in row.values()}
        for state in STATES:
            if state in present:
                yield f"{_MARKS[state]} {TITLES[state]}: {_MEANINGS[state]}"
    for case, failures in _failures(results):
        yield ""
        facts = results.cases[case]
        yield printable(f"{case}: {facts.fact} (tolerance {facts.tolerance:.1e})")
        for tool, cell in failures:
            yield printable(f"  {tool.title}: {cell}")
    yield ""
    yield verdict(results)


def _grid_in_words(results: Results) -> Grid:
    grid = Grid("case", *(printable(tool.title) for tool in results.tools.values()))
    for case, row in results.cells.items():
        cells = (row[name].short if name in row else "" for name in results.tools)
        grid.add_row(printable(case), *cells)
    return grid


def _grids_of_marks(results: Results, width: int) -> list[Grid]:
    """Return one table with a mark for each tool, or in a narrow terminal as few as fit."""
    numbered = [*enumerate(results.tools, 1)]
    grids: list[Grid] = []
    for size in range(len(numbered), 0, -1):
        groups = [numbered[at : at + size] for at in range(0, len(numbered), size)]
        grids = [_grid_of_marks(results, dict(group)) for group in groups]
        if all(grid.width <= width for grid in grids):
            break
    return grids


def _grid_of_marks(results: Results, tools: dict[int, str]) -> Grid:
    # The numbers of the tools stand upright, so that a tool takes two characters.
    height = len(str(max(tools, default=0)))
    digits = zip(*(f"{number:>{height}}" for number in tools), strict=True)
    grid = Grid(
        "\n" * (height - 1) + "case", "\n".join(map(" ".join, digits)), left=frozenset({0, 1})
    )
    for case, row in results.cells.items():
        marks = (_MARKS[row[name].state] if name in row else " " for name in tools.values())
        grid.add_row(printable(case), " ".join(marks))
    return grid


def _failures(results: Results) -> Iterator[tuple[str, list[tuple[ToolRun, Cell]]]]:
    """Yield each case that is not equal everywhere, with the tools and cells."""
    for case, failures in groupby(results.failures, lambda failure: failure[0]):
        yield case, [(results.tools[tool], cell) for _, tool, cell in failures]


def verdict(results: Results) -> str:
    """Return one line: how many results are equal, and how many are what else."""
    cells = [cell.state for row in results.cells.values() for cell in row.values()]
    counts = [f"{cells.count(state)} {TITLES[state]}" for state in STATES if state in cells]
    return f"{len(cells)} result{'' if len(cells) == 1 else 's'}: {', '.join(counts)}"


_BADGE = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img"
 aria-label="{text}">
<title>{text}</title>
<rect width="{width}" height="20" rx="3" fill="#3b4650"/>
<path d="M{left} 0h{flat}a3 3 0 0 1 3 3v14a3 3 0 0 1 -3 3h-{flat}z" fill="{colour}"/>
<g fill="#ffffff" font-family="Verdana, 'DejaVu Sans', sans-serif" font-size="11"
 text-anchor="middle">
<text x="{middle}" y="14">{name}</text><text x="{right}" y="14">{counts}</text>
</g>
</svg>
"""
_BADGE_NAME = "rnnspec conformance"
_CHARACTER = 6.6
"""The mean width of a character of the badge, and more than that of most."""


def badge(results: Results, tool: str) -> str:
    """Return a picture of how many results of a tool are equal, and how many wrong, as SVG."""
    states = [row[tool].state for row in results.cells.values() if tool in row]
    equal, wrong = states.count("equal"), states.count("wrong")
    counts = f"{equal} of {len(states)} equal" + (f", {wrong} wrong" if wrong else "")
    left, more = (round(_CHARACTER * len(text)) + 12 for text in (_BADGE_NAME, counts))
    return _BADGE.format(
        text=f"{_BADGE_NAME}: {counts}",
        name=_BADGE_NAME,
        counts=counts,
        width=left + more,
        left=left,
        flat=more - 3,
        middle=left / 2,
        right=left + more / 2,
        colour="#8c1d40" if wrong else "#1f5fa8",
    )


_STYLE = """
th, td { text-align: left; vertical-align: bottom; }
.results td, .results th { padding: 0.15em 0.6em; white-space: nowrap;
  border-bottom: 1px solid var(--rule); }
.results thead th { white-space: normal; min-width: 5em; font-size: 0.85em; }
.results tbody th { font-weight: 400; position: sticky; left: 0; background: var(--ground); }
.equal { color: var(--soft); }
.absent { color: var(--soft); font-style: italic; }
.refused, .crashed { font-weight: 600; }
.wrong { color: var(--wrong); font-weight: 700; }
dt { font-weight: 600; margin-top: 1em; }
:root { --soft: #5b6773; }
@media (prefers-color-scheme: dark) { :root { --soft: #9aa8b5; } }
@media print { :root { --soft: #444444; } .results tbody th { position: static; } }
"""


def page(results: Results, *, command: str) -> str:
    """Return a page with the table first, then what is not equal, and how it was run.

    Args:
        results: the results.
        command: the command that wrote the page.
    """
    heading = "Conformance"
    rows = [
        element(
            "tr",
            _heading_of_row(results, case),
            *(_page_cell(row.get(name)) for name in results.tools),
        )
        for case, row in results.cells.items()
    ]
    titles = (element("th", str(tool), scope="col") for tool in results.tools.values())
    head = element("tr", element("th", "Case", scope="col"), *titles)
    legend = (f"{TITLES[state]}: {_MEANINGS[state]}" for state in STATES)
    return document(
        heading,
        element("h1", heading),
        element("p", verdict(results), **{"class": "verdict"}),
        wide(
            element(
                "table",
                element("thead", head),
                element("tbody", *rows),
                style="border-collapse: collapse",
                **{"class": "results"},
            )
        ),
        lines(legend),
        *_details(results),
        element("section", element("h2", "How it was run"), wide(_tools(results, command))),
        style=_STYLE,
    )


def _heading_of_row(results: Results, case: str) -> Element:
    title = results.cases[case].fact
    if any(cell.is_failure for cell in results.cells[case].values()):
        return element("th", element("a", case, href=f"#{case}"), scope="row", title=title)
    return element("th", case, scope="row", title=title)


def _page_cell(cell: Cell | None) -> Element:
    if cell is None:
        return element("td")
    return element("td", cell.short, title=str(cell), **{"class": cell.state})


def _details(results: Results) -> Iterator[Element]:
    """Yield a section of what the cells of the table say only on hover."""
    failures = [*_failures(results)]
    if not failures:
        return
    yield element("h2", "What is not equal")
    for case, cells in failures:
        facts = results.cases[case]
        texts = (f"{tool.title}: {cell}" for tool, cell in cells)
        yield element(
            "section",
            element("h3", case),
            element("p", facts.fact),
            element("p", f"When it is wrong: {facts.consequence}"),
            element("p", f"Tolerance: {facts.tolerance:.1e}"),
            lines(texts),
            id=case,
        )


def _tools(results: Results, command: str) -> Element:
    rows: list[tuple[Content, ...]] = [
        (str(tool), f"{tool.date}, {tool.system}") for tool in results.tools.values()
    ]
    rows += [("rnnspec", __version__), ("Command", element("code", command))]
    return table(("", ""), rows, left=frozenset({0, 1}))
