"""``rnnspec parity`` in several processes prints what one process prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mutation import source_edited
from offered import require

from rnnspec.cli import workers

Run = Callable[..., Any]

SPECS = {
    "gru": "input: {features: 2}\nrnn: {type: gru, units: 3}\n",
    "lstm": "input: {features: 3}\nrnn: {type: lstm, units: 2, bidirectional: true}\n",
    "simple": "embedding: {vocabulary: 9, dim: 2}\nrnn: {type: simple, units: 2}\n",
    "stack": "input: {features: 1}\nrnn:\n  - {type: gru, units: 2}\n  - {type: gru, units: 2}\n",
    "wide": "input: {features: 4}\nrnn: {type: lstm, units: 5}\nhead: {units: 2}\n",
}
ONNX = ("--backend", "onnx", "--dtype", "float32", "--level", "forward")
# A shell ignores SIGINT in commands that it starts in the background.
HEEDING = """
import signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
from rnnspec.cli import main
main()
"""
BOTH = ("--random", 7, "--backend", "torch,onnx", "--level", "forward")


@pytest.fixture
def _specs(tmp_path: Path) -> None:
    require("onnx")
    require("torch")
    (tmp_path / "nets").mkdir()
    for name, text in SPECS.items():
        (tmp_path / f"nets/{name}.yaml").write_text(f"version: 1\nname: {name}\n{text}")


@pytest.mark.usefixtures("_specs")
def test_two_processes_report_what_one_reports(run: Run) -> None:
    for asked in (("nets", *ONNX), BOTH):
        one = run("parity", *asked, "--json")
        two = run("parity", *asked, "--json", "--jobs", 2)
        assert (one.code, one.err) == (0, "")
        assert two == one


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--random", "3", "--jobs", "0"], "--jobs"),
        (["--random", "3", "--backend", "onnx"], "onnx cannot be compared up to gradients, only"),
        (["--random", "3", "--backend", "torch,onnx", "--level", "training"], "at least two"),
    ],
)
def test_a_wrong_request(run: Run, words: list[str], message: str) -> None:
    ran = run("parity", *words)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


@pytest.mark.usefixtures("_specs")
@pytest.mark.parametrize(
    "cases", [("nets", *ONNX), ("--backend", "onnx", "--level", "forward", "--random", 9)]
)
def test_more_cases_than_one_process_should_compare_go_to_another(
    run: Run, monkeypatch: pytest.MonkeyPatch, cases: tuple[object, ...]
) -> None:
    # An edit is seen in this process alone.
    edits = [("Tanh", "Relu"), ("reset = 1", "reset = 0")]
    with source_edited("onnx", edits, everywhere=False):
        assert run("parity", *cases).code == 1
        monkeypatch.setattr(workers, "MOST", 4)
        assert run("parity", *cases).code == 0


@pytest.mark.usefixtures("_specs")
def test_backends_without_float64_take_part_in_float32(run: Run) -> None:
    ran = run("parity", "--random", 5, "--backend", "onnx,torch")
    assert (ran.code, ran.err) == (0, "")
    lines = [line.rsplit(": ", 1)[0] for line in ran.out.splitlines()]
    assert lines == [
        "Largest difference in forward",
        "Largest difference in gradients",
        "Largest difference in forward in float32 on onnx",
        "equal",
    ]
    found = json.loads(run("parity", "--random", 5, "--backend", "onnx,torch", "--json").out)
    assert found["largest"]["forward"] < 1e-12
    double, single = (found["backends"][name] for name in ("torch", "onnx"))
    assert double == {"dtype": "float64", "compared": 5, "largest": found["largest"]}
    assert (single["dtype"], single["compared"]) == ("float32", 5)
    assert 1e-10 < single["largest"]["forward"] < 1e-5


def _workers(parent: int) -> list[int]:
    """Return the worker processes of a process."""
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        commands = {int(child): Path(f"/proc/{child}/cmdline").read_text() for child in children}
    except FileNotFoundError:
        return []
    return [each for each, command in commands.items() if "spawn_main" in command]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.usefixtures("_specs")
@pytest.mark.parametrize("what", ["interrupted", "killed"])
def test_processes_end_with_the_run(what: str) -> None:
    # So many that the run cannot end before the signal.
    folders = ["nets"] * 10
    process = subprocess.Popen(
        [sys.executable, "-c", HEEDING, "parity", *folders, *ONNX, "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(workers := _workers(process.pid)) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    if what == "interrupted":
        os.killpg(process.pid, signal.SIGINT)
    else:
        os.kill(workers[1], signal.SIGKILL)
    # Ends only if no process is left that holds the pipes.
    out, err = process.communicate(timeout=60)
    if what == "interrupted":
        assert (process.returncode, out, err) == (130, "", "rnnspec: interrupted\n")
    else:  # its spec is compared again
        assert (process.returncode, err) == (0, "")
        assert out.splitlines()[-1].startswith("equal: 5 specs, ")
    for worker in workers:
        assert not Path(f"/proc/{worker}").exists()
