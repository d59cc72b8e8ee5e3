"""On a terminal: a progress bar on standard error, tables with lines, and whole numbers."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rnnspec.backends import BACKENDS

pty = pytest.importorskip("pty", reason="needs a pseudo-terminal")


def read_all(descriptor: int) -> str:
    parts = []
    while True:
        try:
            part = os.read(descriptor, 65536)
        except OSError as error:
            if error.errno == errno.EIO:  # Linux's way to say that the other end is closed
                break
            raise
        if not part:
            break
        parts.append(part)
    os.close(descriptor)
    return b"".join(parts).decode().replace("\r\n", "\n")


def on_terminal(*words: str, columns: int = 80, out: bool = False) -> tuple[str, str]:
    """Run with standard error on a terminal, ``out`` for standard output too."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        environment.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "rnnspec", *words],
        stdout=theirs if out else subprocess.PIPE,
        stderr=theirs,
        env={**environment, "PYTHONIOENCODING": "utf-8"},
        text=True,
    )
    os.close(theirs)
    terminal = read_all(ours)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return terminal, printed or ""


def test_parity_has_a_progress_bar_on_standard_error_alone(spec: str) -> None:
    for each in BACKENDS:
        pytest.importorskip(each)
    terminal, printed = on_terminal("parity", spec)
    assert "importing the frameworks" in terminal
    assert "small on Keras" in terminal
    assert "1/2" in terminal
    assert "\x1b" in terminal
    assert "\x1b" not in printed
    assert printed.isascii()
    assert printed.splitlines()[-1].startswith("equal: ")
    # The bar is wiped: its line is cleared last, and the cursor is shown again.
    assert "\x1b[?25h" in terminal
    assert terminal.rstrip().endswith("\x1b[2K")


@pytest.mark.parametrize("columns", [20, 80])
def test_a_summary_is_drawn_and_not_cut(spec: str, columns: int) -> None:
    terminal, _ = on_terminal("summary", spec, columns=columns, out=True)
    assert "\u2502 embedding_1 (Embedding) \u2502 (None, 5, 4) \u2502         80 \u2502" in terminal
    assert "\u2026" not in terminal


def test_what_a_user_wrote_is_no_markup(tmp_path: Path) -> None:
    text = "version: 1\nname: small\ninput: {features: 2}\nrnn: {type: gru, units: 3}\n"
    (tmp_path / "[red]x.yaml").write_text(text + "description: '[bold]x'\n")
    terminal, _ = on_terminal("validate", "[red]x.yaml", out=True)
    assert terminal == "[red]x.yaml: valid\n"
