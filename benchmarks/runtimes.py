"""The gallery as ONNX files in several runtimes: ``python -m benchmarks.runtimes``.

Prints the largest difference of each runtime from the NumPy reference, over batches of several
lengths with every pattern of padding, with random arrays. A runtime that is not installed is left
out: OpenVINO comes with ``pip install openvino``.
"""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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

GALLERY = sorted((Path(__file__).parent.parent / "specs").glob("*.yaml"))
LENGTHS = (12, 1, 40)


def onnxruntime(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return lambda batch: np.asarray(session.run(None, {"inputs": batch})[0])


def openvino(path: Path) -> Run:
    import openvino

    # Without the hint, a processor with bfloat16 rounds to it.
    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda batch: np.asarray(model(batch)[0])


RUNTIMES: dict[str, Callable[[Path], Run]] = {"onnxruntime": onnxruntime, "openvino": openvino}


def written(case: Case, folder: Path) -> Path:
    """Return the ONNX file of a case, with its arrays."""
    generated = pipeline.generate(case.program, get("onnx"))
    model = pipeline.instantiate(generated)
    generated.store.write(model, case.arrays)
    output = folder / f"{case.network.name}.onnx"
    saving.save(output, generated, case.program.spec.document.text, model, force=True)
    return output


def batches(case: Case) -> Iterator[Array]:
    for seed, length in enumerate(LENGTHS):
        batch = draw_batch(case.network.input, np.random.default_rng(seed), length)
        yield batch.astype(np.int64 if batch.dtype.kind == "i" else np.float32)


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
    names = [name for name in RUNTIMES if find_spec(name)]
    print("|".join(["network".ljust(26), *(name.ljust(12) for name in names)]))
    with tempfile.TemporaryDirectory() as folder:
        for path in GALLERY:
            case = Case.of(pipeline.read(path), 0, "float32")
            file = written(case, Path(folder))
            cells = [_cell(case, RUNTIMES[name], file) for name in names]
            print("|".join([case.network.name.ljust(26), *cells]), flush=True)


def _cell(case: Case, runtime: Callable[[Path], Any], file: Path) -> str:
    try:
        return f"{difference(case, runtime(file)):.1e}".ljust(12)
    except Exception as error:  # noqa: BLE001 - whatever a runtime raises is its result
        return str(error).strip().splitlines()[0][:120]


if __name__ == "__main__":
    main()
