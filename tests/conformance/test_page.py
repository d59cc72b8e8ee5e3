"""The page of results is up to date, and explains every result that is not equal."""

from __future__ import annotations

import re
from collections import Counter
from fnmatch import fnmatchcase
from html import unescape

from cases import cases

from docs.generate.conformance import (
    FOLDER,
    NOT_FOUND,
    PAGE,
    Failure,
    Note,
    explanation,
    page_text,
    read_all_results,
    read_failures,
    read_notes,
    result_parts,
)
from rnnspec_conformance.cases import CASES, attention, cells
from rnnspec_conformance.results import STATES, Cell, Results
from rnnspec_conformance.tools import GROUPS, TOOLS

RESULTS = read_all_results()
FAILURES = read_failures()
EXPLANATIONS = {
    (case, tool): explanation(case, tool, FAILURES) for case, tool, _ in RESULTS.failures
}


def test_the_page_is_up_to_date() -> None:
    """If not, ``python -m docs.generate.conformance`` writes it."""
    assert PAGE.read_text(encoding="utf-8") == page_text()


def test_the_results_are_of_the_cases_as_they_are() -> None:
    assert set(RESULTS.cells) == {case.name for case in CASES}
    for case in CASES:
        facts = RESULTS.cases[case.name]
        assert (facts.fact, facts.consequence) == (case.fact, case.consequence)


def test_the_page_names_the_tools_that_were_not_run_on_every_case() -> None:
    name, complete = list(RESULTS.tools)[:2]
    rows = {case: dict(row) for case, row in RESULTS.cells.items()}
    for row in rows.values():
        row[complete] = row[name] = Cell("equal", 0.0)
    del rows[CASES[0].name][name]
    tools = {tool: RESULTS.tools[tool] for tool in (name, complete)}
    text = "\n".join(result_parts(Results(tools, RESULTS.cases, rows), []))
    assert f"are newer: {TOOLS[name].title}.\n" in text
    assert f"| `{CASES[0].name}` |  | ✓ |\n" in text


def test_every_result_that_is_not_equal_is_explained() -> None:
    unexplained = [
        f"{tool}: {case}: {cell}"
        for case, tool, cell in RESULTS.failures
        if EXPLANATIONS[case, tool] is None
    ]
    assert not unexplained, "\n".join(unexplained)


@cases("failure", {failure.anchor: failure for failure in FAILURES})
def test_every_part_of_an_explanation_is_used(failure: Failure) -> None:
    cells = [cell for cell, explained in EXPLANATIONS.items() if explained == failure]
    for pattern in failure.cases:
        assert any(fnmatchcase(case, pattern) for case, _ in cells), pattern
    for pattern in failure.tools:
        assert any(fnmatchcase(tool, pattern) for _, tool in cells), pattern
    assert failure.upstream
    for link in failure.upstream:
        assert link == NOT_FOUND or re.fullmatch(r"https://[^\s<>]+", link)


def test_headings_lead_where_their_links_do() -> None:
    anchors = Counter(failure.anchor for failure in FAILURES)
    assert all(number == 1 for number in anchors.values())
    for failure in FAILURES:
        # GitHub and the site treat other characters and several spaces in different ways.
        assert re.fullmatch(r"\w[\w,.']*([ -]\w[\w,.']*)*", failure.title)


def test_every_script_is_shown() -> None:
    scripts = {path.name for path in (FOLDER / "scripts").glob("*.py")}
    assert {failure.script for failure in FAILURES if failure.script} == scripts


def test_a_failure_that_nobody_has_reported_has_a_script() -> None:
    for failure in FAILURES:
        assert failure.script or NOT_FOUND not in failure.upstream, failure.title


def test_the_page_counts_every_result() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, tool in RESULTS.tools.items():
        (line,) = re.findall(rf"^\| \d+ \| {re.escape(str(tool))} \| .*$", page, re.MULTILINE)
        counts = [int(cell) if cell.strip() else 0 for cell in line.split("|")[4:-1]]
        states = [row[name].state for row in RESULTS.cells.values() if name in row]
        assert counts == [states.count(state) for state in STATES]
        assert TOOLS[name].group in GROUPS


def test_the_message_of_a_tool_stays_in_its_cell() -> None:
    message = 'no "Scan" | in [a](b) `c\n<img src=x> **d'
    (name, tool), *_ = RESULTS.tools.items()
    case, facts = next(iter(RESULTS.cases.items()))
    results = Results(
        {name: tool}, {case: facts}, {case: {name: Cell("refused", where="load", message=message)}}
    )
    failure = Failure("It fails", ("*",), ("*",), "It does.", "It does not work.", (NOT_FOUND,))
    text = "\n".join(result_parts(results, [failure]))
    (line,) = (line for line in text.splitlines() if line.startswith(f"| `{case}`"))
    link = re.fullmatch(
        r'\| `[\w-]+` \| (<a href="#it-fails" title="([^"|<>`*\[\]]*)">R</a>) \|', line
    )
    assert link
    assert unescape(link[2]) == "refused in load: " + message.partition("\n")[0]
    assert f"- {tool}: refused: `{case}`\n" in text


def test_results_say_nothing_of_the_machine() -> None:
    for path in (FOLDER / "results").glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.-])/(work|home|root|tmp|usr|opt)\b", text)


@cases("note", read_notes())
def test_a_note_is_about_columns_and_counts_every_case(note: Note) -> None:
    assert set(note.tools) <= set(RESULTS.tools)
    if note.instead:
        left_out = len(CASES) - sum(note.instead.values())
        assert left_out in {0, len(cells.CASES) + len(attention.CASES)}
        newer = "cells by equation and the attention to other sequences, which were not run"
        assert (left_out == 0) != (newer in " ".join(note.note.split()))
        assert set(note.instead) <= set(STATES)
    # It ends in its numbers or in a full stop, and the page has it under the table of its tools.
    assert note.text().endswith(".")
    assert f": {note.text()}\n" in PAGE.read_text(encoding="utf-8")


def test_the_page_has_no_control_character() -> None:
    assert set(filter(str.isspace, page := PAGE.read_text(encoding="utf-8"))) == {" ", "\n"}
    assert page.replace("\n", "").isprintable()
