"""``rnnspec summary --draw``: the picture above the table."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from rnnspec import pipeline
from rnnspec.drawing.writers.text import text

Run = Callable[..., Any]


def test_the_picture_is_above_the_table(run: Run, spec: str) -> None:
    plain, drawn = run("summary", spec), run("summary", spec, "--draw")
    picture = text(pipeline.read(spec).network, unicode=False)
    assert (drawn.code, drawn.err) == (0, "")
    assert drawn.out == f"{picture}\n{plain.out}"


def test_json_has_no_picture(run: Run, spec: str) -> None:
    ran = run("summary", spec, "--json", "--draw")
    assert (ran.code, ran.out) == (2, "")
    assert "cannot honour --draw" in ran.err


def test_a_terminal_in_utf_8_has_boxes(spec: str) -> None:
    for encoding, unicode in (("utf-8", True), ("ascii", False)):
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "rnnspec", "summary", spec, "--draw"]
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        subprocess.run(command, stdout=theirs, env=environment, check=True)
        os.close(theirs)
        with os.fdopen(ours, "rb") as terminal:
            shown = b""
            try:
                while part := terminal.read1():
                    shown += part
            except OSError:  # Linux says so when the other end is closed
                pass
        picture = text(pipeline.read(spec).network, unicode=unicode)
        assert shown.decode().replace("\r\n", "\n").startswith(picture)
