"""Coloured messages: their parts are found quickly, whatever they contain."""

from __future__ import annotations

import pytest
from cases import cases

from rnnspec.cli.messages import tell

RED, BOLD, END = "\x1b[31m", "\x1b[1m", "\x1b[0m"


@pytest.fixture(autouse=True)
def _in_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)


def test_lines_and_their_parts(capsys: pytest.CaptureFixture[str]) -> None:
    tell("a.yaml:1:2: note: b: error: c\n  1 | a: error: b\n    |    ^^\n\nx: d")
    assert capsys.readouterr().err == (
        f"{BOLD}a.yaml:1:2{END}: \x1b[1;34mnote{END}: b: error: c\n"
        f"  1 | a: error: b\n    |    {RED}^^{END}\n\nx: d\n"
    )


@cases("path", [" " * 100_000, "  1" + " " * 100_000, ": " * 50_000])
def test_a_long_path_is_looked_through_once(capsys: pytest.CaptureFixture[str], path: str) -> None:
    tell(f"{path}x: error: y")
    same = capsys.readouterr().err == f"{BOLD}{path}x{END}: \x1b[1;31merror{END}: y\n"
    assert same, "not shown here, for pytest compares long texts for minutes"
    tell(path)
    assert len(capsys.readouterr().err) == len(path) + 1
