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
import warnings
from importlib import import_module
from pathlib import Path

from benchmarks.exporters.judge import ROWS
from benchmarks.report import table

# The name of the lane's module, and the engine of Keras.
LANES = (("torch", ""), ("keras", "tensorflow"), ("keras", "torch"), ("ours", ""))


def main() -> None:
    """Run each lane in a process of its own, whose output is what tools and runtimes say."""
    columns: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for lane, engine in LANES:
            environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
            environment |= {"KERAS_BACKEND": engine} if engine else {}
            command = [sys.executable, "-m", "benchmarks.exporters", lane, folder]
            subprocess.run(command, env=environment, stdout=sys.stderr, check=True)
            columns |= json.loads((Path(folder) / "cells.json").read_text("utf-8"))
    rows = ([row.title, *(cells[row.title] for cells in columns.values())] for row in ROWS)
    print(*table(["network", *columns], rows), sep="\n")


def _run_lane(name: str, folder: Path) -> None:
    """Write the cells of each tool of a lane: by the title of the tool, and of the row."""
    warnings.simplefilter("ignore")
    tools = import_module(f"benchmarks.exporters.{name}").tools()
    cells = {
        title: {row.title: judge(folder, row) for row in ROWS} for title, judge in tools.items()
    }
    (folder / "cells.json").write_text(json.dumps(cells), "utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _run_lane(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
