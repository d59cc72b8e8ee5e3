"""The scripts of the page on conformance show the failures of the tools that are installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from cases import cases

from docs.generate.conformance import FOLDER

SCRIPTS = {path.stem: path for path in sorted((FOLDER / "scripts").glob("*.py"))}
COMMANDS = {"emx": "emx-onnx-cgen", "iree": "iree-compile", "onnx2c": "onnx2c"}
"""Tools that scripts call and do not import, by the first word of their names."""
EXPORTERS = {"keras-onnx-names": "tf2onnx"}
"""Packages that a tool imports for a script."""


def is_runnable(name: str) -> bool:
    """Return whether all that a script imports and calls is installed."""
    command = COMMANDS.get(name.partition("-")[0], sys.executable)
    text = SCRIPTS[name].read_text(encoding="utf-8")
    packages = re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE)
    packages += [EXPORTERS[name]] if name in EXPORTERS else []
    return shutil.which(command) is not None and all(map(find_spec, packages))


@pytest.mark.parametrize("name", [name for name in SCRIPTS if is_runnable(name)])
def test_a_script_shows_its_failure(name: str, tmp_path: Path) -> None:
    """It prints what is expected, then what is received, which differs, or fails instead."""
    done = subprocess.run(
        [sys.executable, SCRIPTS[name]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    expected, received = (
        re.findall(rf"^{word}:? +(.+)$", done.stdout, re.MULTILINE)
        for word in ("expected", "received")
    )
    assert expected, done.stderr
    assert done.returncode or len(received) == len(expected)
    assert received != expected


@cases("name", list(SCRIPTS))
def test_a_script_is_short_and_without_rnnspec(name: str) -> None:
    text = SCRIPTS[name].read_text(encoding="utf-8")
    assert "rnnspec" not in text
    code = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert len(code) <= 40
