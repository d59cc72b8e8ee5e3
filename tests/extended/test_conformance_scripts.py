"""The scripts of the page on conformance show the failures of the tools that are installed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate.conformance import FOLDER

SCRIPTS = sorted((FOLDER / "scripts").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=[path.stem for path in SCRIPTS])
def test_a_script_shows_its_failure(script: Path, tmp_path: Path) -> None:
    """It prints what is expected, then what is received, which differs, or fails instead."""
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if re.search(r"^(ModuleNotFoundError|ImportError)|: not found$", done.stderr, re.MULTILINE):
        pytest.skip(done.stderr.strip().splitlines()[-1])
    expected, received = (
        re.findall(rf"^{word}:? +(.+)$", done.stdout, re.MULTILINE)
        for word in ("expected", "received")
    )
    assert expected, done.stderr
    assert done.returncode or len(received) == len(expected)
    assert received != expected


@pytest.mark.parametrize("script", SCRIPTS, ids=[path.stem for path in SCRIPTS])
def test_a_script_is_short_and_without_rnnspec(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert "rnnspec" not in text
    code = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert len(code) <= 40
