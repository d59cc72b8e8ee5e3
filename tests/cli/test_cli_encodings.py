"""Every command under encodings that lack characters of a spec, of its path, and of pictures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cases import cases
from typer.main import get_command

from rnnspec.cli.app import app

NAME = "größe-世界.yaml"
SPEC = """\
version: 1
name: net
description: "Grüße → 世界 😀"
input: {features: 3}
rnn: {type: lstm, units: 4, layers: 2, bidirectional: true}
head: {units: 1}
"""
COMMANDS: dict[str, tuple[str, ...]] = {
    "validate": (NAME, "wrong.yaml", "missing-世界.yaml"),
    "lint": (NAME,),
    "explain": ("E301",),
    "init": ("demo",),
    "schema": (),
    "summary": (NAME, "--draw"),
    "build": (NAME, "--backend", "onnx", "-o", "größe-世界.onnx"),
    "codegen": (NAME, "--backend", "torch"),
    "convert": ("trained.safetensors", "moved-世界.onnx"),
    "import": ("trained-世界.onnx", "-o", "again.yaml"),
    "diff": (NAME, "other.yaml"),
    "draw": (NAME,),
    "parity": (NAME, "--backend", "onnx", "--level", "forward", "--dtype", "float32"),
    "doctor": (),
    "completion": ("bash",),
    "conformance": ("list",),
}


def test_every_command_is_tried() -> None:
    group: Any = get_command(app)
    with group.make_context("rnnspec", [], resilient_parsing=True) as context:
        assert set(COMMANDS) == set(group.list_commands(context))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files that the commands read."""
    made = tmp_path_factory.mktemp("encodings")
    (made / NAME).write_text(SPEC, encoding="utf-8")
    (made / "wrong.yaml").write_text(SPEC.replace("head", "世界"), encoding="utf-8")
    (made / "other.yaml").write_text(SPEC.replace("→", "←").replace("4", "5"), encoding="utf-8")
    run(made, "utf-8", "build", NAME, "--backend", "onnx", "-o", "trained-世界.onnx")
    run(made, "utf-8", "import", "trained-世界.onnx", "-o", "trained.yaml")
    return made


def run(folder: Path, encoding: str, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "rnnspec", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding)


@cases("command", list(COMMANDS))
def test_a_console_that_lacks_characters_gets_escapes(folder: Path, command: str) -> None:
    pytest.importorskip("onnxruntime")
    code, out, err = run(folder, "cp1252", command, *COMMANDS[command])
    assert "Traceback" not in out + err
    assert "bug in rnnspec" not in err
    assert code == (2 if command == "validate" else 0), err
    assert out
