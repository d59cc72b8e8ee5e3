"""The runtimes: each opens a file and returns a function from a batch to its output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.runtimes import web

if TYPE_CHECKING:
    from rnnspec.slots import Array

    Run = Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime with its version; ``open`` returns the function that runs a file."""

    name: str
    version: Callable[[], str]
    open: Callable[[Path], Run]
    installed: Callable[[], bool]


def _onnxruntime(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return lambda batch: np.asarray(session.run(None, {"inputs": batch})[0])


def _openvino(path: Path) -> Run:
    model = _compiled(path)
    return lambda batch: np.asarray(model(batch)[0])


def _openvino_fixed(path: Path) -> Run:
    return lambda batch: np.asarray(_compiled(path, batch.shape)(batch)[0])


def _compiled(path: Path, shape: tuple[int, ...] | None = None) -> Any:
    """Return a compiled model, with all sizes fixed if there is a shape."""
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    if shape is not None:
        model.reshape(list(shape))
    # Without the hint, a processor with bfloat16 rounds to it.
    return core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def _web(path: Path) -> Run:
    web.ask(file=str(path))
    return web.run


def _version(package: str) -> str:
    from importlib import metadata

    return metadata.version(package)


def _found(package: str) -> bool:
    return find_spec(package) is not None


_OPENVINO = partial(_version, "openvino"), partial(_found, "openvino")
RUNTIMES = (
    Runtime(
        "ONNX Runtime",
        partial(_version, "onnxruntime"),
        _onnxruntime,
        partial(_found, "onnxruntime"),
    ),
    Runtime("onnxruntime-web", web.version, _web, web.installed),
    Runtime("OpenVINO", _OPENVINO[0], _openvino, _OPENVINO[1]),
    Runtime("OpenVINO, fixed sizes", _OPENVINO[0], _openvino_fixed, _OPENVINO[1]),
)
