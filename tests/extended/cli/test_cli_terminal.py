"""Output on a terminal: a progress bar on standard error, and tables with lines."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rnnspec import pipeline
from rnnspec.cli.progress import Clock
from rnnspec.drawing.writers.text import text

pty = pytest.importorskip("pty", reason="needs a pseudo-terminal")


def read_all(descriptor: int) -> str:
    parts = []
    while True:
        try:
            part = os.read(descriptor, 65536)
        except OSError as error:
            if error.errno == errno.EIO:  # the error on Linux if the other end is closed
                break
            raise
        if not part:
            break
        parts.append(part)
    os.close(descriptor)
    return b"".join(parts).decode().replace("\r\n", "\n")


def on_terminal(
    *words: str,
    columns: int = 80,
    out: bool = False,
    code: int = 0,
    variables: dict[str, str] | None = None,
) -> tuple[str, str]:
    """Run with standard error on a terminal, and standard output too if ``out`` is true."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        environment.pop(name, None)
    environment |= variables or {}
    process = subprocess.Popen(
        [sys.executable, "-m", "rnnspec", *words],
        stdout=theirs if out else subprocess.PIPE,
        stderr=theirs,
        env={"PYTHONIOENCODING": "utf-8", **environment},
        text=True,
    )
    os.close(theirs)
    terminal = read_all(ours)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == code
    return terminal, printed or ""


def test_parity_has_a_progress_bar_on_standard_error_alone(spec: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("flax")
    terminal, printed = on_terminal("parity", spec, "-b", "torch,jax")
    assert "importing the frameworks" in terminal
    assert re.search(r"\d\.\d/(s|min), 0:\d\d:\d\d left", terminal)
    # The bar is drawn ten times a second, so a quick step may not be seen.
    assert re.search(r"small on (PyTorch|JAX)", terminal)
    assert re.search(r"[12]/2", terminal)
    assert "\x1b" in terminal
    assert "\x1b" not in printed
    assert printed.isascii()
    assert printed.splitlines()[-1].startswith("equal: ")
    # The bar is erased: its line is cleared, and the cursor is shown again.
    assert "\x1b[?25h" in terminal
    assert terminal.rstrip().endswith("\x1b[2K")


def test_the_pace_is_measured_from_the_first_step() -> None:
    clock = Clock(10)
    assert clock.pace(0, 100.0) == ""
    assert clock.pace(0, 160.0) == ""
    assert clock.pace(1, 160.0) == ""
    assert clock.pace(4, 162.0) == "2.0/s, 0:00:03 left"
    assert clock.pace(5, 260.0) == "3.0/min, 0:01:40 left"


@pytest.mark.parametrize("columns", [20, 80])
def test_a_summary_is_drawn_and_not_cut(spec: str, columns: int) -> None:
    terminal, _ = on_terminal("summary", spec, columns=columns, out=True)
    assert "\u2502 embedding_1 (Embedding) \u2502 (None, 5, 4) \u2502         80 \u2502" in terminal
    assert "\u2026" not in terminal


def test_a_diff_fits_a_narrow_terminal(spec: str, tmp_path: Path) -> None:
    text = (tmp_path / spec).read_text()
    (tmp_path / "new.yaml").write_text(
        text.replace("lstm, units: 3", "gru, units: 33, name: encoder_of_sentences")
    )
    words = ("diff", spec, "new.yaml")
    wide = [len(line) for line in plain(on_terminal(*words, columns=160, out=True)[0])]
    assert 80 < max(wide) <= 160
    narrow = plain(on_terminal(*words, columns=80, out=True)[0])
    assert max(map(len, narrow)) <= 80
    assert "~ encoder_of_sentences, before lstm_1 (LSTM -> GRU)" in narrow
    assert "    parameters: 96 -> 3,861" in narrow


def test_a_comparison_fits_a_narrow_terminal(spec: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("flax")
    words = ("parity", spec, "--level", "counts", "-b", "torch,jax")
    tables = [
        line for line in plain(on_terminal(*words, columns=34, out=True)[0]) if "\u2502" in line
    ]
    assert max(map(len, tables)) <= 34
    assert [line.split() for line in tables if "small" in line] == [
        ["\u2502", "small", "\u2502", "spec", "\u2502", name, "\u2502"] for name in ("torch", "jax")
    ]


def plain(terminal: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*m", "", terminal).splitlines()


def test_what_a_user_wrote_is_no_markup(tmp_path: Path) -> None:
    text = "version: 1\nname: small\ninput: {features: 2}\nrnn: {type: gru, units: 3}\n"
    (tmp_path / "[red]x.yaml").write_text(text + "description: '[bold]x'\n")
    terminal, _ = on_terminal("validate", "[red]x.yaml", out=True)
    assert terminal == "[red]x.yaml: valid\n"


WRONG = """\
version: 1
name: small
input: {features: 2}
rnn: {type: gru, '[red]unit': 3, units: 3}
"""


@pytest.mark.parametrize("words", [("validate", "x.yaml"), ("summary", "x.yaml")])
def test_problems_are_coloured_on_a_terminal(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "x.yaml").write_text(WRONG)
    terminal, _ = on_terminal(*words, code=1)
    first, excerpt, carets = terminal.splitlines()
    assert first.startswith("\x1b[1mx.yaml:4:18\x1b[0m: \x1b[1;31merror\x1b[0m: rnn: unknown key ")
    assert "'[red]unit'" in first
    assert excerpt == "  4 | rnn: {type: gru, '[red]unit': 3, units: 3}"
    assert carets == f"    | {' ' * 17}\x1b[31m{'^' * 11}\x1b[0m"


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_no_colour_where_it_is_not_wanted(
    tmp_path: Path, variables: dict[str, str], *, coloured: bool
) -> None:
    (tmp_path / "x.yaml").write_text(WRONG)
    terminal, _ = on_terminal("validate", "x.yaml", code=1, variables=variables)
    assert ("\x1b" in terminal) == coloured


def test_colour_may_be_forced(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(WRONG)
    for variables, coloured in (({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": ""}, False)):
        done = subprocess.run(
            [sys.executable, "-m", "rnnspec", "validate", "x.yaml"],
            capture_output=True,
            check=False,
            env={**os.environ, "NO_COLOR": "", **variables},
            timeout=60,
        )
        assert done.returncode == 1
        assert (b"\x1b" in done.stderr) == coloured
        assert b"\x1b" not in done.stdout


def test_results_of_conformance_fit_into_80_columns(tmp_path: Path) -> None:
    states = ["equal", "absent", "refused", "crashed", "wrong"]
    tools = [f"tool-{number}" for number in range(30)]
    cases = [f"the-long-name-of-case-{state}" for state in states]
    document = {
        "suite": 1,
        "tools": [
            {"name": name, "title": name, "version": "", "date": "2026-11-27", "system": "Linux"}
            for name in tools
        ],
        "cases": {
            name: {"fact": "So it is.", "consequence": "It is not so.", "tolerance": 1e-5}
            for name in cases
        },
        "cells": {
            name: {tool: {"state": state, "difference": 0.5} for tool in tools}
            for name, state in zip(cases, states, strict=True)
        },
    }
    (tmp_path / "results.json").write_text(json.dumps(document))
    terminal, _ = on_terminal("conformance", "report", str(tmp_path / "results.json"), out=True)
    rows = table_lines(terminal)
    assert len(rows) == 2 * (len(cases) + 5)
    assert max(map(len, rows)) <= 80
    wide, _ = on_terminal(
        "conformance", "report", str(tmp_path / "results.json"), out=True, columns=110
    )
    assert len(table_lines(wide)) < len(rows)


def table_lines(terminal: str) -> list[str]:
    plain = re.sub(r"\x1b\[[\d;]*m", "", terminal)
    return [line for line in plain.splitlines() if "│" in line or "─" in line]


@pytest.mark.parametrize(("encoding", "unicode"), [("utf-8", True), ("ascii", False)])
def test_a_picture_has_boxes_on_a_terminal_that_has_them(
    spec: str, encoding: str, *, unicode: bool
) -> None:
    variables = {"PYTHONIOENCODING": encoding}
    shown, _ = on_terminal("summary", spec, "--draw", out=True, variables=variables)
    assert shown.startswith(text(pipeline.read(spec).network, unicode=unicode))


def test_explain_lays_the_page_out() -> None:
    shown, _ = on_terminal("explain", "L301", out=True)
    assert "## Wrong" not in shown
    assert "softmax over one unit" in shown
