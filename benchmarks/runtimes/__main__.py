"""The gallery as ONNX files in several runtimes: ``python -m benchmarks.runtimes``.

Prints a Markdown table of the size of each file and the largest difference of each runtime from
the NumPy reference, with random arrays, at three lengths and the batch sizes 3 and 1, with every
pattern of padding. A runtime that is not installed is left out:

    pip install openvino
    npm install --prefix build/onnxruntime-web onnxruntime-web@1.30.0
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.runtimes.engines import RUNTIMES, Runtime
from rnnspec import pipeline, saving
from rnnspec.backends import get
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_batch
from rnnspec.comparison.case import Case
from rnnspec.comparison.levels import distance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rnnspec.slots import Array

    Run = Callable[[Array], Array]

GALLERY = sorted((Path(__file__).parents[2] / "specs").glob("*.yaml"))
LENGTHS = (12, 1, 40)
PARTS = (slice(0, 3), slice(3, 6), slice(3, 4))
"""The sequences of a drawn batch, with six patterns of padding, and alone the one inside."""


def written(case: Case, folder: Path) -> Path:
    """Return the ONNX file of a case, with its arrays."""
    generated = pipeline.generate(case.program, get("onnx"))
    model = pipeline.instantiate(generated)
    generated.store.write(model, case.arrays)
    output = folder / f"{case.network.name}.onnx"
    saving.save(output, generated, case.program.spec.document.text, model, force=True)
    return output


def batches(case: Case) -> Iterator[Array]:
    """Yield batches of 3 sequences, and of 1, in the type of the file's input."""
    for seed, length in enumerate(LENGTHS):
        batch = draw_batch(case.network.input, np.random.default_rng(seed), length)
        typed = batch.astype(np.int64 if batch.dtype.kind == "i" else np.float32)
        yield from (typed[part] for part in PARTS)


def difference(case: Case, run: Run) -> float:
    """Return the largest difference of the result, at real steps."""
    found = []
    for batch in batches(case):
        truth = reference.run(case.network, case.arrays, batch).output
        real = case.real(batch) if truth.ndim == 3 and case.network.pads else np.ones_like(truth)
        real = np.broadcast_to(real[..., :1], truth.shape)
        found.append(distance(run(batch) * real, truth * real))
    return max(found)


def main() -> None:
    installed = [each for each in RUNTIMES if each.installed()]
    titles = [f"{each.name} {each.version()}" for each in installed]
    print(_row("network", "padding", "size, kB", *titles))
    print(_row(*["---"] * (3 + len(titles))))
    with tempfile.TemporaryDirectory() as folder:
        for path in GALLERY:
            case = Case.of(pipeline.read(path), 0, "float32")
            file = written(case, Path(folder))
            padded = "yes" if case.network.input.masked else ""
            size = f"{file.stat().st_size / 1000:,.0f}"
            cells = (_cell(case, runtime, file) for runtime in installed)
            print(_row(case.network.name, padded, size, *cells), flush=True)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(case: Case, runtime: Runtime, file: Path) -> str:
    try:
        return f"{difference(case, runtime.open(file)):.1e}"
    except Exception as error:  # noqa: BLE001 - whatever a runtime raises is its result
        return str(error).strip().splitlines()[0][:120]


if __name__ == "__main__":
    main()
