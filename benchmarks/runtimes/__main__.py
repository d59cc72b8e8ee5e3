"""The gallery as ONNX files in several runtimes: ``python -m benchmarks.runtimes``.

Prints a Markdown table of the size of each file and the largest difference of each runtime from
the NumPy reference, with random arrays, at three lengths and the batch sizes 3 and 1, with every
pattern of padding. A runtime that is not installed is left out:

    pip install openvino
    npm install --prefix build/onnxruntime-web onnxruntime-web@1.30.0
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.networks import ROOT
from benchmarks.report import table
from rnnspec import pipeline, saving
from rnnspec.backends import get
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_batch
from rnnspec.comparison.case import Case
from rnnspec.comparison.levels import distance

if TYPE_CHECKING:
    from rnnspec.slots import Array

    Run = Callable[[Array], Array]

GALLERY = sorted((ROOT / "specs").glob("*.yaml"))
LENGTHS = (12, 1, 40)
PARTS = (slice(0, 3), slice(3, 6), slice(3, 4))
"""The sequences of a drawn batch, with six patterns of padding, and alone the one inside."""
_WEB = ROOT / "build" / "onnxruntime-web"
"""The folder in which ``npm install --prefix`` puts onnxruntime-web."""


def write_file(case: Case, folder: Path) -> Path:
    """Return the ONNX file of a case, with its arrays."""
    generated = pipeline.generate(case.program, get("onnx"))
    model = pipeline.instantiate(generated)
    generated.store.write(model, case.arrays)
    output = folder / f"{case.network.name}.onnx"
    saving.save(output, generated, case.program.spec.document.text, model, force=True)
    return output


def typed(batch: Array) -> Array:
    """Return a batch in the type of the file's input."""
    return batch.astype(np.int64 if batch.dtype.kind == "i" else np.float32)


def difference(case: Case, run: Run) -> float:
    """Return the largest difference of the result, at real steps."""
    return max(distance(*pair) for pair in _results(case, run))


def _results(case: Case, run: Run) -> Iterator[tuple[Array, Array]]:
    """Yield the result and the truth for batches of 3 sequences, and of 1."""
    for seed, length in enumerate(LENGTHS):
        drawn = draw_batch(case.network.input, np.random.default_rng(seed), length)
        for batch in (typed(drawn)[part] for part in PARTS):
            truth = reference.run(case.network, case.arrays, batch).output
            pads = truth.ndim == 3 and case.network.pads
            real = case.real(batch) if pads else np.ones_like(truth)
            real = np.broadcast_to(real[..., :1], truth.shape)
            yield run(batch) * real, truth * real


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime; ``version`` is None if it is not installed, ``open`` returns a file's function."""

    name: str
    version: str | None
    open: Callable[[Path], Run]


def runtimes() -> list[Runtime]:
    """Return the runtimes that are installed."""
    openvino, web = _version("openvino"), _WEB / "node_modules/onnxruntime-web/package.json"
    has_web = shutil.which("node") is not None and web.exists()
    web_version = json.loads(web.read_text("utf-8"))["version"] if has_web else None
    everything = (
        Runtime("ONNX Runtime", _version("onnxruntime"), _open_onnxruntime),
        Runtime("onnxruntime-web", web_version, _open_web),
        Runtime("OpenVINO", openvino, _open_openvino),
        Runtime("OpenVINO, fixed sizes", openvino, partial(_open_openvino, fixed=True)),
    )
    return [runtime for runtime in everything if runtime.version is not None]


def _version(package: str) -> str | None:
    return metadata.version(package) if find_spec(package) else None


def _open_onnxruntime(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return lambda batch: np.asarray(session.run(None, {"inputs": batch})[0])


def _open_openvino(path: Path, *, fixed: bool = False) -> Run:
    import openvino

    @cache
    def compiled(shape: tuple[int, ...] | None) -> Any:
        core = openvino.Core()
        model = core.read_model(path)
        if shape is not None:
            model.reshape(list(shape))
        # Without the hint, a processor with bfloat16 rounds to it.
        return core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    return lambda batch: np.asarray(compiled(batch.shape if fixed else None)(batch)[0])


def _open_web(path: Path) -> Run:
    _ask_web(file=str(path))

    def run(batch: Array) -> Array:
        data = base64.b64encode(batch.tobytes()).decode()
        answer = _ask_web(type=batch.dtype.name, shape=batch.shape, data=data)
        output = np.frombuffer(base64.b64decode(answer["data"]), np.float32)
        return output.reshape(answer["shape"])

    return run


def _ask_web(**question: object) -> Any:
    """Send one line to the process of onnxruntime-web, and return its answer.

    Raises:
        RuntimeError: the runtime raised an error.
    """
    process = _web_process()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(question) + "\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer


@cache
def _web_process() -> subprocess.Popen[str]:
    script = Path(__file__).with_name("web.mjs")
    pipe = subprocess.PIPE
    return subprocess.Popen(["node", script, _WEB], stdin=pipe, stdout=pipe, text=True)


def main() -> None:
    """Print the table."""
    installed = runtimes()
    titles = [f"{runtime.name} {runtime.version}" for runtime in installed]
    head, line = table(["network", "padding", "size, kB", *titles], [])
    print(head, line, sep="\n")
    with tempfile.TemporaryDirectory() as folder:
        for path in GALLERY:
            case = Case.of(pipeline.read(path), 0, "float32")
            file = write_file(case, Path(folder))
            padded = "yes" if case.network.input.masked else ""
            size = f"{file.stat().st_size / 1000:,.0f}"
            cells = (_cell(case, runtime, file) for runtime in installed)
            print(f"| {' | '.join([case.network.name, padded, size, *cells])} |", flush=True)


def _cell(case: Case, runtime: Runtime, file: Path) -> str:
    try:
        return f"{difference(case, runtime.open(file)):.1e}"
    except Exception as error:  # noqa: BLE001 - whatever a runtime raises is its result
        return str(error).strip().splitlines()[0][:120]


if __name__ == "__main__":
    main()
