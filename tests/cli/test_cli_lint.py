"""``rnnspec lint`` and ``rnnspec explain``, from the user's point of view."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cases import cases

from rnnspec import pages

Run = Callable[..., Any]

NOTED = """\
version: 1
name: noted
input: {features: 3}
rnn: {type: simple, units: 4}
head: {pooling: none, units: 1}
"""
WARNED = NOTED.replace("units: 1", "units: 1, activation: softmax")
WRONG = WARNED.replace("simple", "simpel")
CLEAN = NOTED.replace("simple", "gru")


@pytest.fixture(autouse=True)
def _elsewhere_than_on_github(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)


def write(**texts: str) -> None:
    for name, text in texts.items():
        Path(f"{name}.yaml").write_text(text, encoding="utf-8")


def codes(out: str) -> list[str]:
    return [line.rpartition("[")[2].rstrip("]") for line in out.splitlines()]


@cases(
    ("text", "options", "code"),
    [
        (CLEAN, [], 0),
        (NOTED, [], 0),
        (NOTED, ["--strict"], 1),
        (CLEAN, ["--strict"], 0),
        (WARNED, [], 1),
        (WARNED, ["--ignore", "L301"], 0),
        (WARNED, ["--ignore", "L301", "--strict"], 1),
        (WARNED, ["--ignore", "L", "--strict"], 0),
        (WRONG, [], 1),
    ],
)
def test_the_exit_code_says_how_grave_it_is(
    run: Run, text: str, options: list[str], code: int
) -> None:
    write(net=text)
    assert run("lint", "net.yaml", *options).code == code


def test_a_note_is_printed_with_its_place_and_code(run: Run) -> None:
    write(net=NOTED)
    ran = run("lint", "net.yaml")
    assert ran.err == (
        "net.yaml:4:13: note: rnn.type: an 'lstm' or 'gru' layer remembers more time steps than a "
        "'simple' layer [L101]\n"
        "  4 | rnn: {type: simple, units: 4}\n"
        "    |             ^^^^^^\n"
    )


def test_a_wrong_spec_has_its_errors_and_no_advice(run: Run) -> None:
    write(net=WRONG)
    ran = run("lint", "net.yaml", "--format", "concise")
    validated = run("validate", "net.yaml", "--format", "concise")
    assert ran.out == validated.out
    assert "unknown type 'simpel'" in ran.out


@cases(
    ("options", "expected"),
    [
        ([], ["L101", "L301"]),
        (["--select", "L3"], ["L301"]),
        (["--select", "l301, L101"], ["L101", "L301"]),
        (["--select", "L3", "--select", "L1"], ["L101", "L301"]),
        (["--ignore", "L1,L2"], ["L301"]),
        (["--select", "L1,L3", "--ignore", "L30"], ["L101"]),
    ],
)
def test_codes_and_their_beginnings_choose(
    run: Run, options: list[str], expected: list[str]
) -> None:
    write(net=WARNED)
    assert codes(run("lint", "net.yaml", "--format", "concise", *options).out) == expected


@cases(
    ("options", "message"),
    [
        (["--select", "L999"], "--select: unknown code 'L999'; expected a code from L101 to L902"),
        (["--ignore", "L1011"], "--ignore: unknown code 'L1011'; did you mean 'L101'?"),
        (["--ignore", "L101,"], "--ignore: unknown code ''; expected a code from L101 to L902"),
        (["--select", ""], "--select: unknown code ''; expected a code from L101 to L902"),
        (["--select", "E301"], "--select: errors cannot be selected (E301); expected a code"),
        (["--ignore", "e3"], "--ignore: errors cannot be ignored (E3); expected a code from"),
        (["--format", "xml"], "xml"),
    ],
)
def test_what_is_no_code_and_no_format_is_refused(
    run: Run, options: list[str], message: str
) -> None:
    write(net=NOTED)
    ran = run("lint", "net.yaml", *options)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


def test_what_cannot_be_read_is_said_beside_the_rest(run: Run) -> None:
    write(net=NOTED)
    ran = run("lint", "missing.yaml", "net.yaml", "--format", "concise")
    assert ran.code == 2
    assert "missing.yaml: error: no such file" in ran.out
    assert "[L101]" in ran.out


def test_json_says_code_and_severity(run: Run) -> None:
    write(net=WARNED)
    report = json.loads(run("lint", "net.yaml", "--format", "json").out)
    found = [(each["code"], each["severity"]) for each in report["files"][0]["problems"]]
    assert (report["tool"], found) == ("lint", [("L101", "note"), ("L301", "warning")])


def test_github_has_a_word_of_its_own_for_notes(run: Run) -> None:
    write(net=WARNED)
    out = run("lint", "net.yaml", "--format", "github").out
    assert "::notice file=net.yaml,line=4" in out
    assert "::warning file=net.yaml,line=5" in out


def test_standard_input_is_linted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(NOTED.encode())))
    assert run("lint", "-", "--format", "concise").out.startswith("<stdin>:4:13: note: ")


def test_explain_prints_the_page(run: Run) -> None:
    for code in ("L101", "l101", "E301"):
        ran = run("explain", code)
        assert (ran.code, ran.out, ran.err) == (0, pages.page(code.upper()), "")


def test_explain_lists_every_code_with_its_title(run: Run) -> None:
    ran = run("explain")
    lines = ran.out.splitlines()
    assert (ran.code, [line.partition(":")[0] for line in lines]) == (0, list(pages.codes()))
    assert "L301: softmax over one unit" in lines


@cases(
    ("code", "hint"),
    [
        ("L3O1", "did you mean 'L301'?"),
        ("softmax", "'rnnspec explain' lists all codes"),
        ("", "lists"),
    ],
)
def test_explain_knows_no_other_code(run: Run, code: str, hint: str) -> None:
    ran = run("explain", code)
    assert (ran.code, ran.out) == (2, "")
    assert hint in ran.err
