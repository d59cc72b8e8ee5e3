"""Graphs of other tools, in ONNX's text syntax."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from offered import import_later

from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.backends.slots import by_name
from rnnspec.comparison.verify import case_of
from rnnspec.errors import ModelError
from rnnspec.importing.assemble import ImportedModel
from rnnspec.importing.original import _distances, _padded_at_end
from rnnspec.importing.run import ImportedFile, import_file, take
from rnnspec.ir import nodes
from rnnspec.ir.forms import Form
from rnnspec.models import saving
from rnnspec.weights.initial import draw_scaled

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


def write_own(path: Path, text: str, seed: int = 1, form: Form | None = None) -> dict[str, Any]:
    """Write the file of a spec, with random arrays, which are returned."""
    program, backend = pipeline.reads(text), get("onnx")
    generated = pipeline.generate(program, backend, form)
    model = pipeline.instantiate(generated, drawn=False)
    drawn = draw_scaled(program.network, seed)
    arrays = {name: array.astype(np.float32) for name, array in drawn.items()}
    generated.store.write(model, arrays)
    saving.save(path, generated, text, model, force=True)
    return arrays


def imported(path: Path) -> ImportedFile:
    """Import a file, which must have been compared with itself in ONNX Runtime."""
    model = import_file(path, path.parent / "taken.yaml")
    assert str(model.compared).startswith("compared with the original in ONNX Runtime")
    return model


def check_reading(path: Path) -> ImportedModel:
    """Read a file, and compare what was read with ONNX Runtime for many sizes.

    They are one step and more, as many sequences as steps, and every pattern of padding.
    """
    taken = take(path)
    check_taken(taken)
    return taken


def check_taken(taken: ImportedModel, sizes: Sequence[tuple[int, int]] = ()) -> None:
    """Compare what was read of a file with ONNX Runtime, as in ``check_reading``.

    ``sizes`` are other numbers of steps and of sequences.
    """
    network, run = taken.program.network, taken.imported.open_file
    assert run is not None
    output, rng = run(), np.random.default_rng(0)
    least, fixed = nodes.least_steps(network), steps_of(network)
    numbers = [fixed] if fixed else [*range(least, least + 4), 9, 23]
    for steps, rows in sizes or [(number, rows) for number in numbers for rows in (1, number)]:
        batch = draw(network, (rows, max(least, steps)), rng)
        if taken.imported.padded_at_end:
            batch = _padded_at_end(network, batch)
        case = case_of(taken.program, taken.arrays, batch, "float64")
        names = taken.imported.inputs
        named = {names.get(name, name): one for name, one in by_name(batch).items()}
        received = output(batch if network.takes_one_array else named)
        assert max(_distances(case, received).values()) < 1e-4, (rows, steps)


def steps_of(network: nodes.Network) -> int | None:
    """Return the number of steps of the first input that has one."""
    sequences = (nodes.TokenInput, nodes.NumericInput)
    return next(
        (
            network_input.steps
            for network_input in network.inputs
            if isinstance(network_input, sequences)
        ),
        None,
    )


def draw(network: nodes.Network, size: tuple[int, int], rng: np.random.Generator) -> Any:
    """Return a batch, by name if inputs have one, with padding of one kind.

    To an input without a mask, it is steps as others are.
    """
    if network.takes_one_array:
        return draw_input(network.input, size, rng)
    return {source.name: draw_input(source, size, rng) for source in network.inputs}


def draw_input(source: nodes.Input, size: tuple[int, int], rng: np.random.Generator) -> Any:
    """Return values of an input."""
    if isinstance(source, nodes.VectorInput):
        return rng.standard_normal((size[0], source.features)).astype(np.float32)
    if isinstance(source, nodes.LabelInput):
        return rng.integers(0, source.vocabulary, size[0])
    size = (size[0], source.steps or size[1])
    at, ends = np.arange(size[1]), rng.integers(0, size[1] + 1, (size[0], 1))
    kinds = [rng.random(size) < 0.4, at >= ends, at < ends, at < size[1]]
    padding = kinds[rng.integers(len(kinds))] & (np.arange(size[0]) > 0)[:, None]
    if isinstance(source, nodes.TokenInput):
        tokens = rng.integers(min(1, source.vocabulary - 1), source.vocabulary, size)
        return np.where(padding, 0, tokens)
    numbers = rng.standard_normal((*size, source.features)).astype(np.float32)
    return np.where(padding[..., None], np.float32(source.mask_value or 0), numbers)


def layers(model: ImportedFile) -> tuple[nodes.Layer, ...]:
    return model.model.imported.network.layers


def kinds(model: ImportedFile) -> list[str]:
    return [type(layer).__name__ for layer in layers(model)]


def problems(path: Path) -> list[str]:
    with pytest.raises(ModelError) as caught:
        take(path)
    return [f"{problem.where}: {problem.message}" for problem in caught.value.problems]
