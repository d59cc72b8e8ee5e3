"""The examples of streams print the output after each line before they get the next one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import call
from offered import require

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import needs
from rnnspec.comparison import reference
from rnnspec.weights.initial import draw_fresh

FOLDER = Path(__file__).parents[3] / "examples" / "streaming"
LINES = ["0.5", "-1.25 2.0 0.125", "3", "0 0"]


@pytest.mark.parametrize("name", ["torch", "keras", "jax", "onnx"])
def test_a_stream(name: str, tmp_path: Path) -> None:
    backend = require(name, needs.form("step"))
    spec, made = str(FOLDER / "forecast.yaml"), str(tmp_path / f"forecast{backend.suffix}")
    call("build", spec, "--backend", name, "--form", "step", "--seed", 4, "-o", made)
    found = answers([sys.executable, str(FOLDER / f"stream_{name}.py"), made])
    network = pipeline.program(rnnspec.load(spec)).network
    read: list[list[float]] = []
    for line, answer in zip(LINES, found, strict=True):
        read += [[float(number)] for number in line.split()]
        (wanted,) = reference.run(network, draw_fresh(network, 4), np.array([read])).output
        assert abs(answer - wanted[0]) < 2e-6


def answers(command: list[str]) -> list[float]:
    """Return what a command prints after each line, which it gets one at a time."""
    settings = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=settings) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        found = []
        for line in LINES:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            found.append(float(process.stdout.readline()))
        process.stdin.close()
    assert process.returncode == 0
    return found
