"""Standard streams that are full or closed: exit codes are right, and files are whole."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cases import cases

Run = Callable[..., Any]
IN_SHELL = "import os, sys; os.execvp('sh', ['sh', '-c', sys.argv[1]])"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
@cases(
    ("redirect", "words", "code", "out"),
    [
        ("2> /dev/full", "validate {spec}", 0, "small.yaml: valid\n"),
        *(
            (redirect, "validate {spec} missing.yaml", 2, "2 specs: 1 valid, 1 cannot be read\n")
            for redirect in ("2> /dev/full", "-u 2> /dev/full", "2< /dev/null", "2>&-")
        ),
        ("-u 2> /dev/full", "summary missing.yaml", 2, ""),
        ("2> /dev/full", "summary --frob", 2, ""),
        ("2>&-", "summary --frob", 2, ""),
    ],
)
def test_a_standard_error_that_cannot_be_written(
    python: Run, spec: str, *, redirect: str, words: str, code: int, out: str
) -> None:
    unbuffered = "-u" if "-u" in redirect else ""
    command = f"'{sys.executable}' {unbuffered} -m rnnspec {words.format(spec=spec)} "
    ran = python(IN_SHELL, command + redirect.removeprefix("-u"), PYTHONUNBUFFERED="")
    assert (ran.code, ran.out, ran.err) == (code, out, "")


def test_no_file_takes_the_place_of_a_closed_descriptor(python: Run, spec: str) -> None:
    pytest.importorskip("torch")
    command = f"'{sys.executable}' -m rnnspec build {spec} -b torch -o made 0<&- 2>&-"
    ran = python(IN_SHELL, command)
    assert (ran.code, ran.out.splitlines()[0]) == (0, 'Model: "small"')
    command = f"'{sys.executable}' -m rnnspec codegen {spec} -b torch -o all.py 0<&- >&- 2>&-"
    assert python(IN_SHELL, command).code == 0
    assert Path("all.py").read_text() == Path("made/small.py").read_text()
