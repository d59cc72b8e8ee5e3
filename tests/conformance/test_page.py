"""The page of results is up to date, and explains every result that is not equal."""

from __future__ import annotations

import re
from collections import Counter
from fnmatch import fnmatchcase
from html import unescape
from itertools import combinations

import numpy as np
import numpy.typing as npt
from cases import cases

from docs.generate.conformance import (
    FOLDER,
    NOT_FOUND,
    PAGE,
    Failure,
    Note,
    explanation,
    filling,
    page_text,
    read_all_results,
    read_failures,
    read_notes,
)
from docs.generate.conformance_site import conformance_pages, matrix_page, tool_page
from docs.generate.examples import ROOT
from docs.generate.markdown import UNSEARCHED
from rnnspec_conformance.cases import CASES, attention, cells
from rnnspec_conformance.results import STATES, TITLES, Cell, Results
from rnnspec_conformance.tools import TOOLS

RESULTS = read_all_results()
FAILURES = read_failures()
PAGE_TEXT = PAGE.read_text(encoding="utf-8")
SITE = conformance_pages()
MATRIX = str(SITE["conformance/index.md"])
FILLING = {name: filling(RESULTS, name, FAILURES) for name in RESULTS.tools}
MATRIX_CELLS = {
    case: dict(
        zip(
            RESULTS.tools,
            re.findall(r'<td(?: class="([\w ]+)")?>(?:<a href="(\S+)")?', row),
            strict=True,
        )
    )
    for case, row in re.findall(
        r'^<tr><th scope="row"><a href="cases.html#(.+?)"(.*)$', MATRIX, re.MULTILINE
    )
}
EXPLANATIONS = {
    (case, tool): explanation(case, tool, FAILURES) for case, tool, _ in RESULTS.failures
}


def test_the_page_is_up_to_date() -> None:
    """If not, ``python -m docs.generate.conformance`` writes it."""
    assert page_text() == PAGE_TEXT


def test_the_results_are_of_the_cases_as_they_are() -> None:
    assert set(RESULTS.cells) == {case.name for case in CASES}
    for case in CASES:
        facts = RESULTS.cases[case.name]
        assert (facts.fact, facts.consequence) == (case.fact, case.consequence)


def test_a_tool_says_how_many_cases_are_newer_than_its_run() -> None:
    name = next(iter(RESULTS.tools))
    rows = {case: {name: Cell("equal", 0.0)} for case in RESULTS.cells}
    del rows[CASES[0].name][name]
    results = Results({name: RESULTS.tools[name]}, RESULTS.cases, rows)
    assert " 1 newer cases were not run yet.\n" in tool_page(results, name, [], [])
    assert f">{CASES[0].name}</a></th><td></td></tr>" in matrix_page(results, [])


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
    scripts = {path.name: path.read_text("utf-8") for path in (FOLDER / "scripts").glob("*.py")}
    assert {failure.script for failure in FAILURES if failure.script} == set(scripts)
    pages = "".join(str(SITE[f"conformance/{name}.md"]) for name in RESULTS.tools)
    for text in scripts.values():
        assert text in pages


def test_a_failure_that_nobody_has_reported_has_a_script() -> None:
    for failure in FAILURES:
        assert failure.script or NOT_FOUND not in failure.upstream, failure.title


@cases("name", list(RESULTS.tools))
def test_every_result_is_told(name: str) -> None:
    """In the summary, in the matrix, on the page of its tool, and on its badge."""
    row = {case: cells[name] for case, cells in RESULTS.cells.items() if name in cells}
    states = [cell.state for cell in row.values()]
    counts = [states.count(state) for state in STATES]
    causes = {EXPLANATIONS[case, name] for case, cell in row.items() if cell.is_failure}
    (line,) = re.findall(rf"^\| \[.*\]\(\S*/{name}\.json\) \|(.*) \|$", PAGE_TEXT, re.MULTILINE)
    total, *numbers, number, _ = (cell.strip() for cell in line.split(" | "))
    assert [int(total), *(int(cell or 0) for cell in numbers)] == [len(row), *counts]
    assert int(number.partition(";")[0] or 0) == len(causes)

    for case in RESULTS.cells:
        kind, link = MATRIX_CELLS[case][name]
        cell, cause = row.get(case), EXPLANATIONS.get((case, name))
        assert kind.removeprefix("filled ") == (cell.state if cell else "")
        assert link == (f"{name}.html#{cause.anchor}" if cause else "")
        assert kind.startswith("filled") == (cause is not None and cause == FILLING[name])

    page = str(SITE[f"conformance/{name}.md"])
    verdict = page.splitlines()[2]
    for state, count in zip(STATES, counts, strict=True):
        own = {EXPLANATIONS.get((case, name)) for case in row if row[case].state == state} - {None}
        number = f", from {len(own)} cause{'' if len(own) == 1 else 's'}" if own else ""
        assert bool(re.search(rf"\*\*{count} {TITLES[state]}\*\*{number}[;.]", verdict)) == bool(
            count
        )
    for case, cell in row.items():
        assert (f"(cases.md#{case})" in page) == (cell.state != "absent")
    for cause in causes:
        assert cause is not None
        assert f"## {cause.title} {{ #{cause.anchor} {UNSEARCHED} }}\n" in page
        assert cause.remedy.strip() in page
    assert f">{states.count('equal')} of {len(row)} equal" in str(SITE[f"conformance/{name}.svg"])


def test_a_cause_that_fills_a_column_has_a_label() -> None:
    labels = {failure.title for failure in FAILURES if failure.label}
    assert {cause.title for cause in FILLING.values() if cause} == labels
    for name, cause in FILLING.items():
        if cause:
            assert f'">{TOOLS[name].title}</a><small>{cause.label}</small></th>' in MATRIX


def test_other_tools_that_are_named_are_right() -> None:
    page = str(SITE["conformance/openvino.md"])
    assert "first. These are equal in all of these cases: [OpenVINO, fixed sizes](" in page
    assert "[MNN](mnn.md)" not in page


@cases("scheme", ["light", "dark"])
def test_colours_differ_for_every_reader(scheme: str) -> None:
    """Under simulations of Machado, Oliveira and Fernandes (2009), and in grey."""
    style = (ROOT / "docs" / "style.css").read_text(encoding="utf-8")
    blocks = re.findall(
        r"^(?::root|\[data-md-color-scheme=\"slate\"\]) \{\n(  --equal.*?)\}",
        style,
        re.MULTILINE | re.DOTALL,
    )
    block = blocks[scheme == "dark"]
    names = ("equal", "stopped", "wrong")
    for name in names:
        paper, ink = (_linear(block, key) for key in (f"{name}", f"{name}-ink"))
        low, high = sorted((paper @ _GREY, ink @ _GREY))
        assert (high + 0.05) / (low + 0.05) >= 4.5, name
    for kind, matrix in _VISION.items():
        seen = [_lab(matrix @ _linear(block, name)) for name in names]
        for first, second in combinations(seen, 2):
            assert np.linalg.norm(first - second) > 20, kind


Array = npt.NDArray[np.float64]
_GREY: Array = np.array([0.2126, 0.7152, 0.0722])
_VISION: dict[str, Array] = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
    "grey": np.tile(_GREY, (3, 1)),
}


def _linear(block: str, name: str) -> Array:
    (digits,) = re.findall(rf"--{name}: #(\w{{6}});", block)
    values = np.array([int(digits[at : at + 2], 16) for at in (0, 2, 4)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _lab(linear: Array) -> Array:
    """Return CIE L*a*b* of linear sRGB."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = np.cbrt(np.clip(to_xyz @ linear, 0.008856, None) / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_the_message_of_a_tool_stays_in_its_cell() -> None:
    message = 'no "Scan" | in [a](b) `c\n<img src=x> **d'
    (name, tool), *_ = RESULTS.tools.items()
    cell = Cell("refused", where="load", message=message)
    cells: dict[str, dict[str, Cell]] = {case.name: {} for case in CASES} | {
        CASES[0].name: {name: cell}
    }
    failure = Failure("It fails", ("*",), ("*",), "It does.", "It does not work.", (NOT_FOUND,))
    text = matrix_page(Results({name: tool}, RESULTS.cases, cells), [failure])
    (line,) = (line for line in text.splitlines() if f"#{CASES[0].name}" in line)
    link = re.search(rf'<a href="{name}.html#it-fails" title="([^"|<>`*\[\]]*)">R</a></td>', line)
    assert link
    assert unescape(link[1]) == "refused in load: " + message.partition("\n")[0]


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
    for page in (PAGE_TEXT, *(SITE[f"conformance/{name}.md"] for name in note.tools)):
        assert f": {note.text()}\n" in str(page)


def test_the_pages_have_no_control_character() -> None:
    for page in (PAGE_TEXT, *map(str, SITE.values())):
        assert set(filter(str.isspace, page)) == {" ", "\n"}
        assert page.replace("\n", "").isprintable()
