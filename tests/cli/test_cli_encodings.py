"""Every command under encodings that lack characters of a spec, of its path, and of pictures."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from rnnspec import cli
from rnnspec.cli.app import app

Run = Callable[..., tuple[int, str, str]]

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
ESCAPED = {"validate", "lint", "build", "codegen", "convert", "import", "diff"}
"""The commands that print a character that the console lacks."""


def test_every_command_is_tried() -> None:
    group: Any = get_command(app)
    with group.make_context("rnnspec", [], resilient_parsing=True) as context:
        assert set(COMMANDS) == set(group.list_commands(context))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, _signals: None) -> Run:
    """A function that runs a command on a console of an encoding, in this process."""

    def run(encoding: str, *arguments: str) -> tuple[int, str, str]:
        files = io.BytesIO(), io.BytesIO()
        consoles = {"stdout": "strict", "stderr": "backslashreplace"}  # as Python makes them
        for (name, errors), file in zip(consoles.items(), files, strict=True):
            console = io.TextIOWrapper(file, encoding, errors, write_through=True)
            monkeypatch.setattr(sys, name, console)
        monkeypatch.setattr(sys, "argv", ["rnnspec", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = (file.getvalue().decode(encoding) for file in files)
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, out, err

    return run


def test_a_console_that_lacks_characters_gets_escapes(run: Run, subtests: pytest.Subtests) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    Path(NAME).write_text(SPEC, encoding="utf-8")
    Path("wrong.yaml").write_text(SPEC.replace("head", "世界"), encoding="utf-8")
    Path("other.yaml").write_text(SPEC.replace("→", "←").replace("4", "5"), encoding="utf-8")
    assert run("utf-8", "build", NAME, "--backend", "onnx", "-o", "trained-世界.onnx")[0] == 0
    assert run("utf-8", "import", "trained-世界.onnx", "-o", "trained.yaml")[0] == 0
    for command, arguments in COMMANDS.items():
        with subtests.test(command):
            code, out, err = run("cp1252", command, *arguments)
            assert "Traceback" not in out + err
            assert "bug in rnnspec" not in err
            assert code == (2 if command == "validate" else 0), err
            assert out
            assert ("\\u4e16" in out + err) == (command in ESCAPED)
    code, out, err = run("ascii", "codegen", NAME, "--backend", "torch")
    assert (code, err) == (0, "")
    assert r"# Gr\xfc\xdfe \u2192 \u4e16\u754c \U0001f600" in out
