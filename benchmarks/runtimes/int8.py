"""Files quantized to int8 beside those in float32: ``python -m benchmarks.runtimes.int8``.

Prints a Markdown table for a large network and for the networks of the gallery that have something
to quantize, with random arrays: size, speed in ONNX Runtime on one thread, and how far outputs
move. Speed is the ratio of the fastest of many runs, which take turns; above 1 int8 is faster.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from benchmarks.runtimes.__main__ import GALLERY, written
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.comparison.batch import draw_batch
from rnnspec.comparison.case import Case

if TYPE_CHECKING:
    from rnnspec.pipeline import Program
    from rnnspec.slots import Array

LARGE = """\
version: 1
name: large
input: {length: 80}
embedding: {vocabulary: 20000, dim: 128}
rnn: {type: lstm, units: 256, layers: 2}
head: {units: 5}
"""
STEPS, ROUNDS = 80, 30


def main() -> None:
    print("| network | size | of float32 | speed, batch 1 | batch 32 | outputs move by | largest |")
    print(f"|{'---|' * 7}")
    quantizes = get("onnx").runtime.quantizes
    for program in (pipeline.reads(LARGE), *map(pipeline.read, GALLERY)):
        if any(map(quantizes, program.network.layers)):
            print(f"| {' | '.join(_row(program))} |", flush=True)


def _row(program: Program) -> list[str]:
    case = Case.of(program, 0, "float32")
    with tempfile.TemporaryDirectory() as folder:
        exact = written(case, Path(folder))
        rounded = Path(shutil.copy(exact, exact.with_name("int8.onnx")))
        get("onnx").runtime.quantize(rounded, "int8")
        sizes = [path.stat().st_size for path in (exact, rounded)]
        sessions = [_session(path) for path in (exact, rounded)]
    batch = _batch(case)
    one, other = (_run(session, batch) for session in sessions)
    size = f"{sizes[1] / 1000:,.0f} kB", f"{sizes[1] / sizes[0]:.0%}"
    speeds = (f"{_speed(sessions, part):.1f}" for part in (batch[:1], batch))
    moved, largest = np.abs(one - other).max(), np.abs(one).max()
    return [case.network.name, *size, *speeds, f"{moved:.1e}", f"{largest:.1e}"]


def _session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options)


def _batch(case: Case) -> Array:
    """Return 32 sequences, with every pattern of padding if the network has a mask."""
    rng = np.random.default_rng(0)
    batch = np.concatenate([draw_batch(case.network.input, rng, STEPS) for _ in range(6)])[:32]
    return batch.astype(np.int64 if batch.dtype.kind == "i" else np.float32)


def _run(session: Any, batch: Array) -> Array:
    return np.asarray(session.run(None, {"inputs": batch})[0])


def _speed(sessions: list[Any], batch: Array) -> float:
    fastest = [float("inf")] * len(sessions)
    for _ in range(ROUNDS):
        for at, session in enumerate(sessions):
            start = perf_counter()
            _run(session, batch)
            fastest[at] = min(fastest[at], perf_counter() - start)
    return fastest[0] / fastest[1]


if __name__ == "__main__":
    main()
