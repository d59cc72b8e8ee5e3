"""What exporters make of recurrent networks: ``python -m benchmarks.exporters``.

Each tool exports the same kinds of network with open sizes, from its own framework's model. Each
file runs in ONNX Runtime on three batches: of the traced sizes, with another number of steps, and
with another batch size. The output is compared with that of the framework, and of rnnspec's file
with the NumPy reference. Prints a Markdown table. Needs, beside ``rnnspec[all]``:

    pip install onnxscript tf2onnx
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from benchmarks.exporters.rows import ROWS

# The name of the lane's module, and the engine of Keras.
LANES = (("torch", ""), ("keras", "tensorflow"), ("keras", "torch"), ("rnnspec", ""))


def main() -> None:
    if len(sys.argv) > 1:
        _lane(sys.argv[1], Path(sys.argv[2]))
        return
    found: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for lane, engine in LANES:
            found |= _run(lane, engine, Path(folder))
    print(_row("network", *found))
    print(_row(*["---"] * (1 + len(found))))
    for row in ROWS:
        print(_row(row.title, *(cells[row.title] for cells in found.values())))


def _run(lane: str, engine: str, folder: Path) -> dict[str, dict[str, str]]:
    """Run a lane in a process of its own, whose output is what tools and runtimes say."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if engine:
        environment["KERAS_BACKEND"] = engine
    command = [sys.executable, "-m", "benchmarks.exporters", lane, str(folder)]
    subprocess.run(command, env=environment, stdout=sys.stderr, check=True)
    answer: dict[str, dict[str, str]] = json.loads((folder / "cells.json").read_text("utf-8"))
    return answer


def _lane(name: str, folder: Path) -> None:
    cells = import_module(f"benchmarks.exporters.lane_{name}").run(folder)
    (folder / "cells.json").write_text(json.dumps(cells), "utf-8")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
