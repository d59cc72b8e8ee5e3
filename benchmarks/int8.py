"""Files quantized to int8 beside those in float32: ``python -m benchmarks.int8``.

Prints a Markdown table for a large network and for the networks of the gallery that have something
to quantize, with random arrays: size, speed in ONNX Runtime on one thread, and how far outputs
move. Speed is the ratio of the fastest of many runs, which take turns; above 1 int8 is faster.
"""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from benchmarks.networks import ROOT
from benchmarks.race import Effort, race
from benchmarks.report import table
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.comparison.batch import draw_input
from rnnspec.comparison.case import Case
from rnnspec.models import saving

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array
    from rnnspec.pipeline import Program

GALLERY = sorted((ROOT / "specs").glob("*.yaml"))
LARGE = """\
version: 1
name: large
input: {length: 80}
embedding: {vocabulary: 20000, dim: 128}
rnn: {type: lstm, units: 256, layers: 2}
head: {units: 5}
"""
STEPS = 80
EFFORT = Effort(0, 30, 30)


def main() -> None:
    """Print the table."""
    titles = ("network", "size", "of float32", "speed, batch 1", "batch 32", "outputs move by")
    print(*table([*titles, "largest"], []), sep="\n")
    quantizes = get("onnx").runtime.quantizes
    for program in (pipeline.reads(LARGE), *map(pipeline.read, GALLERY)):
        if any(map(quantizes, program.network.layers)):
            print(f"| {' | '.join(_row(program))} |", flush=True)


def _row(program: Program) -> list[str]:
    case = Case.of(program, 0, "float32")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        exact = _write_file(case, Path(folder))
        rounded = Path(shutil.copy(exact, exact.with_name("int8.onnx")))
        get("onnx").runtime.quantize(rounded, "int8")
        sizes = [path.stat().st_size for path in (exact, rounded)]
        sessions = [onnxruntime.InferenceSession(path, options) for path in (exact, rounded)]
    # 32 sequences, with every pattern of padding if the network has a mask.
    rng = np.random.default_rng(0)
    batch = _typed(np.concatenate([draw_input(case.network.input, rng, STEPS) for _ in range(6)]))
    speeds, outputs = [], []
    for part in (batch[:1], batch[:32]):
        runs = [partial(session.run, None, {"inputs": part}) for session in sessions]
        outputs = [np.asarray(run()[0]) for run in runs]
        times = race(case.network.name, {"float32": runs[0]}, {"int8": runs[1]}, EFFORT)
        speeds.append(f"{min(times.ours['float32']) / min(times.theirs['int8']):.1f}")
    one, other = outputs
    size = f"{sizes[1] / 1000:,.0f} kB", f"{sizes[1] / sizes[0]:.0%}"
    moved, largest = np.abs(one - other).max(), np.abs(one).max()
    return [case.network.name, *size, *speeds, f"{moved:.1e}", f"{largest:.1e}"]


def _write_file(case: Case, folder: Path) -> Path:
    """Return the ONNX file of a case, with its arrays."""
    generated = pipeline.generate(case.program, get("onnx"))
    model = pipeline.instantiate(generated)
    generated.store.write(model, case.arrays)
    output = folder / f"{case.network.name}.onnx"
    saving.save(output, generated, case.program.spec.document.text, model, force=True)
    return output


def _typed(batch: Array) -> Array:
    """Return a batch in the type of the file's input."""
    return batch.astype(np.int64 if batch.dtype.kind == "i" else np.float32)


if __name__ == "__main__":
    main()
