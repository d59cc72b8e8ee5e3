"""Graphs of other tools, in ONNX's text syntax."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from offered import import_later

from rnnspec.errors import ModelError
from rnnspec.importing.run import take
from rnnspec.importing.to_files import ImportedFile, import_file
from rnnspec.ir import nodes

onnx: Any = import_later("onnx")

CONSTANTS = """\
<int64[1] ZERO = {0}, int64[1] ONE = {1}, int64[1] TWO = {2}, int64[1] LAST = {-1}, int64[1] END =
{9223372036854775807}, int64 FIRST = {0}, int64 FINAL = {-1}, int64[1] UNITS = {4}, float HALF =
{0.5}, float NOTHING = {0.0}, float LOW = {-1e38}, int64 PAD = {0}, float VALUE = {-1.0}>"""
"""Initializers that graphs use by their names."""
FEATURES = "float[batch, steps, 3] x"
TOKENS = "int64[batch, steps] x"
LSTM = {"W": (1, 16, 3), "R": (1, 16, 4), "B": (1, 32)}
BOTH = {"W": (2, 16, 3), "R": (2, 16, 4), "B": (2, 32)}
AHEAD = "t = Transpose <perm = [1, 0, 2]> (x)\n"
STATE = AHEAD + "a, h = LSTM <hidden_size = 4> (t, W, R, B)\n"
"""A layer over features, all of its states in ``a`` and the final one in ``h``."""
OUT = "s = Squeeze (h, ZERO)\ny = Gemm (s, K, b)"
HEAD = {"K": (4, 2), "b": (2,)}
EMBED = "e = Gather (E, x)\nt = Transpose <perm = [1, 0, 2]> (e)\n"
COUNT = (
    "n = Equal (x, PAD)\nm = Not (n)\nq = Cast <to = 6> (m)\n"
    "l = ReduceSum <keepdims = 0> (q, ONE)\n"
)
TABLE = {"E": (9, 3)}
TURN = "c = Transpose <perm = [0, 2, 1]> (x)\n"
AFTER = "t = Transpose <perm = [2, 0, 1]> (d)\na, h = LSTM <hidden_size = 4> (t, W, R, B)\n"


def arrays_of(shapes: dict[str, Any]) -> list[Any]:
    rng = np.random.default_rng(0)
    made = []
    for name, shape in shapes.items():
        array = shape if isinstance(shape, np.ndarray) else rng.standard_normal(shape) * 0.5
        typed = array.astype(np.float32) if array.dtype == np.float64 else array
        made.append(onnx.numpy_helper.from_array(typed, name))
    return made


def write(
    folder: Path, body: str, inputs: str = FEATURES, outputs: str = "float y", /, **shapes: Any
) -> Path:
    """Write a graph in ONNX's text syntax, with random arrays of some shapes."""
    text = (
        '<ir_version: 8, opset_import: ["": 18], producer_name: "somebody">\n'
        f"net ({inputs}) => ({outputs})\n{CONSTANTS}\n{{\n{body}\n}}"
    )
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.extend(arrays_of(shapes))
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def imported(path: Path) -> ImportedFile:
    """Import a file, which must have been compared with itself in ONNX Runtime."""
    model = import_file(path, path.parent / "taken.yaml")
    assert str(model.compared).startswith("compared with the original in ONNX Runtime")
    return model


def layers(model: ImportedFile) -> tuple[nodes.Layer, ...]:
    return model.taken.imported.network.layers


def kinds(model: ImportedFile) -> list[str]:
    return [type(layer).__name__ for layer in layers(model)]


def problems(path: Path) -> list[str]:
    with pytest.raises(ModelError) as caught:
        take(path)
    return [f"{problem.where}: {problem.message}" for problem in caught.value.problems]
