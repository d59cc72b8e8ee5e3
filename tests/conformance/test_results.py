"""Results are written, read, merged, compared with a baseline, and shown."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from cases import cases

from rnnspec.cli.app import app
from rnnspec.errors import Difference, UsageError
from rnnspec_conformance.report import page, print_results, verdict
from rnnspec_conformance.results import (
    STATES,
    Cell,
    Facts,
    Results,
    State,
    ToolRun,
    merge,
    read_results,
)

FAULT = "gates in another order"
CELLS: dict[State, Cell] = {
    "equal": Cell("equal", 1.5e-07),
    "absent": Cell("absent", message="no convolution"),
    "refused": Cell("refused", where="load", message="ValueError: no <b>Scan</b> & more\nlines"),
    "crashed": Cell("crashed", where="call 2", message="SIGSEGV"),
    "wrong": Cell("wrong", 0.125, "call 1", FAULT),
}


def results(cells: dict[str, dict[str, Cell]], date: str = "2026-11-27") -> Results:
    names = dict.fromkeys(name for row in cells.values() for name in row)
    tools = {name: ToolRun(name, f"The {name}", f"The {name} 1.0", date, "Linux") for name in names}
    facts = {name: Facts(f"{name} is so.", "All is lost.", 1e-5) for name in cells}
    return Results(tools, facts, cells)


@pytest.fixture
def every() -> Results:
    """One tool with a case for each state."""
    return results({f"case-{state}": {"tool": CELLS[state]} for state in STATES})


def test_results_are_read_as_they_were_written(every: Results, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(every.as_dict()))
    assert read_results(path) == every
    assert every.as_dict()["cells"]["case-equal"] == {
        "tool": {"state": "equal", "difference": 1.5e-07}
    }


DOCUMENT = """{
    "suite": 1,
    "tools": [{"name": "b", "title": "", "version": "", "date": "", "system": ""}],
    "cases": {"a": {"fact": "", "consequence": "", "tolerance": 1}},
    "cells": {"a": {"b": %s}}
}"""


@cases(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not the results of a suite, which .*: expected an object, received "),
        ("[" * 200_000, "not JSON"),
        ('{"suite": 1, "suite": 1}', "an object has a key twice"),
        ('{"suite": true}', "expected version 1, received True"),
        (DOCUMENT % '{"state": "equal"}', "cells.a.b: expected the difference of an equal result"),
        (DOCUMENT % '{"state": ["wrong"]}', r"cells.a.b.state: expected one of .*, received \['wr"),
        (
            DOCUMENT % '{"state": "wrong", "difference": 1e999}',
            "difference: expected a finite number or null",
        ),
        (DOCUMENT % '{"state": "wrong", "message": 3}', "cells.a.b.message: expected a string"),
        (DOCUMENT % '{"state": "wrong", "why": ""}', "cells.a.b.why: unknown key"),
        (DOCUMENT % "3", "cells.a.b: expected an object, received 3"),
        ('{"suite": 2}', "expected version 1, received 2"),
        ('{"suite": 1, "tools": [{"name": "a"}], "cases": {}, "cells": {}}', "not the results"),
        ('{"suite": 1, "tools": [], "cases": {}, "cells": {"a": {}, "b": 3}}', "not the results"),
        (
            '{"suite": 1, "tools": [], "cases": {}, "cells": {"a": {"b": {"state": "equal"}}}}',
            "not the results",
        ),
    ],
)
def test_another_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_results(path)


def test_what_is_no_small_file_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    with large.open("wb") as stream:
        stream.truncate(2**40)  # takes no room on the disk
    for path, message in (
        (tmp_path / "absent.json", "no such file"),
        (Path("/dev/zero"), "expected a regular file"),
        (large, "expected at most 16,777,216 bytes"),
    ):
        with pytest.raises(UsageError, match=message):
            read_results(path)


def test_text_of_a_tool_controls_nothing_that_shows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, hostile = tmp_path / "results.json", "a\x1b[2J\u202eb\r\x00"
    document = results({hostile: {hostile: Cell("refused", message=hostile, fault=hostile)}})
    path.write_text(json.dumps(document.as_dict()))
    read = read_results(path)
    print_results(read)
    texts = (capsys.readouterr().out, page(read, command=hostile), json.dumps(read.as_dict()))
    # Once more without the reader, as a page that is made of a live run.
    for text in (*texts, page(document, command=hostile)):
        assert r"a\x1b[2J" in text.replace("\\\\", "\\")
        assert not set(text) & set("\x1b\u202e\r\x00")
        assert "\\u001b" not in text


def test_the_later_of_two_results_counts() -> None:
    first = results({"a": {"x": CELLS["wrong"], "y": CELLS["equal"]}, "b": {"x": CELLS["equal"]}})
    second = results({"c": {"x": CELLS["refused"]}, "a": {"x": CELLS["equal"]}}, "2026-12-01")
    merged = merge([first, second])
    assert list(merged.cells) == ["a", "b", "c"]
    assert merged.cells["a"] == {"x": CELLS["equal"], "y": CELLS["equal"]}
    assert [tool.date for tool in merged.tools.values()] == [
        "2026-11-27, 2026-12-01",
        "2026-11-27",
    ]
    third = results({"d": {"x": CELLS["equal"]}}, "2026-12-01")
    assert merge([merged, third]).tools["x"].date == "2026-11-27, 2026-12-01"
    again = results({"a": {"x": CELLS["equal"]}, "b": {"x": CELLS["equal"]}}, "2026-12-02")
    assert merge([first, again]).tools["x"].date == "2026-12-02"
    assert first.cells["a"]["x"] == CELLS["wrong"]


def test_worse_is_what_comes_later_in_the_order_of_states() -> None:
    for before in STATES:
        for after in STATES:
            old, new = (results({"case": {"tool": CELLS[state]}}) for state in (before, after))
            worse = STATES.index(after) > STATES.index(before)
            assert bool(new.worse_than(old)) == worse


def test_what_is_worse_is_named() -> None:
    old, new = (results({"case": {"tool": CELLS[state]}}) for state in ("equal", "wrong"))
    assert new.worse_than(old) == (
        Difference(
            "case",
            "The tool",
            "",
            "result",
            "equal, difference 1.5e-07",
            f"wrong by 0.12 in call 1, as with '{FAULT}'",
        ),
    )


def test_a_new_case_is_not_worse() -> None:
    old = results({"old": {"tool": CELLS["equal"]}})
    new = results({"old": {"tool": CELLS["equal"]}, "new": {"tool": CELLS["wrong"]}})
    assert not new.worse_than(old)


def test_a_baseline_of_another_tool_is_refused() -> None:
    old = results({"case": {"other": CELLS["wrong"]}})
    with pytest.raises(UsageError, match="no results of 'tool' in the baseline, which has other"):
        results({"case": {"tool": CELLS["wrong"]}}).worse_than(old)


def test_few_tools_are_shown_in_words(every: Results, capsys: pytest.CaptureFixture[str]) -> None:
    print_results(every)
    out = capsys.readouterr().out
    assert (
        out
        == """\
The tool 1.0, 2026-11-27
+--------------------------+
| case         |  The tool |
|--------------+-----------|
| case-equal   |     equal |
| case-absent  |  no model |
| case-refused |   refused |
| case-crashed |   crashed |
| case-wrong   | wrong 0.1 |
+--------------------------+

case-refused: case-refused is so. (tolerance 1.0e-05)
  The tool: refused in load: ValueError: no <b>Scan</b> & more

case-crashed: case-crashed is so. (tolerance 1.0e-05)
  The tool: crashed in call 2: SIGSEGV

case-wrong: case-wrong is so. (tolerance 1.0e-05)
  The tool: wrong by 0.12 in call 1, as with 'gates in another order'

5 results: 1 equal, 1 no model, 1 refused, 1 crashed, 1 wrong
"""
    )


def test_many_tools_are_shown_as_marks_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    states = (*STATES, *STATES, "equal", "equal")
    row = {f"tool-{number}": CELLS[state] for number, state in enumerate(states, 1)}
    print_results(results({"batch-of-one-after-three": row, "short": {"tool-12": CELLS["wrong"]}}))
    out = capsys.readouterr().out
    assert (
        """\
12 The tool-12 1.0, 2026-11-27
+----------------------------------------------------+
|                          |                   1 1 1 |
| case                     | 1 2 3 4 5 6 7 8 9 0 1 2 |
|--------------------------+-------------------------|
| batch-of-one-after-three | . - R C X . - R C X . . |
| short                    |                       X |
+----------------------------------------------------+
. equal: outputs within the tolerance of the case
- no model: in the format of the tool
"""
        in out
    )
    table = [line for line in out.splitlines() if line[0:1] in {"+", "|"}]
    assert max(map(len, table)) <= 80


def test_more_tools_than_fit_are_shown_in_several_tables(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = {f"tool-{number}": CELLS["equal"] for number in range(40)}
    print_results(results({"batch-of-one-after-three": row}))
    tables = [line for line in capsys.readouterr().out.splitlines() if line.startswith("+-")]
    assert len(tables) == 4
    assert max(map(len, tables)) <= 80


def test_the_verdict_counts_what_is_there(every: Results) -> None:
    assert verdict(results({"a": {"x": CELLS["equal"]}})) == "1 result: 1 equal"
    five = "5 results: 1 equal, 1 no model, 1 refused, 1 crashed, 1 wrong"
    assert verdict(every) == five


def test_the_page_says_in_text_what_its_cells_say_on_hover(every: Results) -> None:
    text = page(every, command="rnnspec conformance run --tool <x>")
    root = ET.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    words = " ".join(root.itertext())
    cells = root.findall(".//table[@class='results']//td")
    assert [cell.get("class") for cell in cells] == list(STATES)
    assert [cell.text for cell in cells] == [CELLS[state].short for state in STATES]
    for state in ("refused", "crashed", "wrong"):
        assert str(CELLS[state]) in words
    assert [cell.get("title") for cell in cells] == [str(CELLS[state]) for state in STATES]
    links = [link.get("href") for link in root.findall(".//tbody/tr/th/a")]
    assert links == ["#case-refused", "#case-crashed", "#case-wrong"]
    for link in links:
        assert link is not None
        assert root.find(f".//*[@id='{link[1:]}']") is not None
    assert "All is lost." in words
    assert "Tolerance: 1.0e-05" in words
    assert "--tool <x>" in words
    assert "<script" not in text
    assert "://" not in text


def test_a_badge_is_of_one_tool(every: Results, tmp_path: Path) -> None:
    file, target = tmp_path / "results.json", tmp_path / "badge.svg"
    words = ["conformance", "report", str(file), "--badge", str(target)]
    file.write_text(json.dumps(results({"case": dict.fromkeys("ab", Cell("absent"))}).as_dict()))
    with pytest.raises(UsageError, match=r"--badge: expected one tool, received a and b$"):
        app(words, standalone_mode=False)
    file.write_text(json.dumps(every.as_dict()))
    app(words, standalone_mode=False)
    text = "".join(ET.fromstring(target.read_text()).itertext())
    assert "1 of 5 equal, 1 wrong" in text
