"""The files of a case, as adapters of exporters read them."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any


def read_case(case: Path) -> dict[str, Any]:
    """Return the contents of ``case.json``."""
    data: dict[str, Any] = json.loads((case / "case.json").read_text("utf-8"))
    return data


def read_example(case: Path) -> list[np.ndarray]:
    """Return the inputs of the first call, which exporters trace."""
    count = len(read_case(case)["inputs"])
    return [np.load(case / "test_data_set_0" / f"input_{at}.npy") for at in range(count)]


def steps_are_fixed(case: Path) -> bool:
    """True if the spec fixes the number of steps; a file's own shapes would say so."""
    spec = (case / "spec.yaml").read_text("utf-8")
    return re.search(r"\blength: \d", spec) is not None


def load_source(case: Path, form: str) -> tuple[Any, Path]:
    """Return a case's source as a module, and its path."""
    (source,) = (case / read_case(case)["models"][form]).glob("*.py")
    name = f"{case.name.replace('-', '_')}_{form}"
    spec = importlib.util.spec_from_file_location(name, source)
    assert spec is not None
    assert spec.loader is not None
    # Compilers look up the module of a class.
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, source


def load_network(case: Path, form: str) -> tuple[type[Any], Path]:
    """Return the class of the network in a case's source, and the path of its arrays."""
    module, source = load_source(case, form)
    return module.Network, source.with_suffix(".safetensors")


def order_outputs(output: Any, names: Sequence[str]) -> list[Any]:
    """Return the outputs of a network by the names of a case: one, some by name, or both."""
    outputs: list[Any] = []
    for value in output if isinstance(output, (list, tuple)) else [output]:
        outputs.extend(value.items() if isinstance(value, dict) else [(None, value)])
    by_name = {name: value for name, value in outputs if name is not None}
    unnamed = iter([value for name, value in outputs if name is None])
    return [by_name[name] if name in by_name else next(unnamed) for name in names]


def open_onnx(path: Path) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Open an exported file in ONNX Runtime; inputs and outputs are in the order of the file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    kinds = {"tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(float)": np.float32}
    types = {value.name: kinds[value.type] for value in session.get_inputs()}

    def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
        pairs = zip(types, arrays, strict=True)
        feed = {name: array.astype(types[name]) for name, array in pairs}
        results: list[np.ndarray] = session.run(None, feed)
        return results

    return run
