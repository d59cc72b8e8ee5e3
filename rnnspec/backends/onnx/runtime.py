"""The runtime: ONNX's own package parses, checks and writes, and ONNX Runtime computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from onnx import checker, numpy_helper, parser

from rnnspec.backends.contract import Held, Trace
from rnnspec.backends.onnx import arrays
from rnnspec.backends.onnx.model import OnnxModel, model_of, shape
from rnnspec.backends.onnx.names import PLACE, array_of
from rnnspec.backends.onnx.read import SPEC
from rnnspec.errors import GenerationError
from rnnspec.ir.params import Counts
from rnnspec.version import __version__

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from rnnspec.ir.nodes import Layer
    from rnnspec.slots import Array


def version() -> str:
    """Return the versions of ONNX Runtime and of ONNX."""
    return f"ONNX Runtime {onnxruntime.__version__} (ONNX {onnx.__version__})"


def instantiate(
    module: ModuleType,
    entry: str,  # noqa: ARG001
    dtype: str,
    *,
    drawn: bool,  # noqa: ARG001
) -> OnnxModel:
    """Return the model of a text, with weights that are all zero.

    Raises:
        GenerationError: ONNX cannot parse the text.
    """
    assert dtype == "float32"
    try:
        proto = parser.parse_model(module.TEXT)
    except parser.ParseError as error:
        raise GenerationError(f"ONNX cannot parse the source: {error}") from error
    weights = {each.name: np.zeros(shape(each), np.float32) for each in proto.graph.value_info}
    return model_of(module.__name__, proto.SerializeToString(), weights)


def layer_count(model: OnnxModel, layer: Layer) -> int:
    """Return the size of the weights of a layer."""
    names = [name for name in model.weights if array_of(name)[0] == layer.name]
    return _size(model, names)


def counts(model: OnnxModel) -> Counts:
    """Return the size of all weights."""
    frozen = model.frozen
    trained = [name for name in model.weights if name not in frozen]
    return Counts(trainable=_size(model, trained), non_trainable=_size(model, frozen))


def _size(model: OnnxModel, names: Collection[str]) -> int:
    return sum(each.size for name in names for each in model.used(name))


def layer_type(model: OnnxModel, layer: Layer) -> str:
    """Return the operator that takes the arrays of a layer, or returns its result if it has none.

    Layers without a fused operator are a ``Scan``.
    """
    nodes = model.proto.graph.node
    if any(node.op_type == "Scan" and array_of(node.output[-1])[0] == layer.name for node in nodes):
        return "Scan"
    for node in nodes:
        names = (*node.input, *node.output)
        if layer.name in {array_of(name)[0] for name in node.input} | set(names[-1:]):
            return str(node.op_type)
    return ""


def unwrap(model: Any) -> OnnxModel | None:
    """Return the model, or None if it is not one of this backend."""
    return model if isinstance(model, OnnxModel) else None


def others(model: OnnxModel, known: Collection[tuple[str, str]]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all weights that are not at a known (layer, path)."""
    return arrays.others(model.weights, known)


def held(model: OnnxModel, layer: str, path: str) -> Held:
    """Return the dtype and shape of one array."""
    there = arrays.found(model.weights, layer, path)
    return Held(there.dtype.name, there.shape)


def get(model: OnnxModel, layer: str, path: str) -> Array:
    """Return a copy of one array."""
    return arrays.found(model.weights, layer, path).copy()


def put(model: OnnxModel, layer: str, path: str, values: Array) -> None:
    """Replace one array."""
    place = arrays.found(model.weights, layer, path)
    # A single direction comes without the axis of directions.
    place[...] = values.reshape(place.shape)
    model.forget()


def trace(model: OnnxModel, layers: Sequence[str], inputs: Array) -> Trace:
    """Run a batch, and record the input of each layer."""
    there = model.values
    names = tuple(name for name in layers if name in there)
    moved = (PLACE,) if PLACE in there else ()
    # The value of the last layer is the output of the graph.
    *found, output = model.run((*moved, *names[:-1]), inputs)
    place = found.pop(0) if moved else None
    entered = {names[0]: inputs}
    for name, value in zip(names[1:], found, strict=True):
        if value.ndim == 2:
            # Only sequences in the order of the input have padding.
            place = None
        entered[name] = value if value.ndim == 2 else _in_order(value, place)
    return Trace(entered, output)


def step(
    model: OnnxModel, chunk: Array, states: Mapping[str, Array] | None
) -> tuple[Array, dict[str, Array]]:
    """Return the output for the steps so far, and the new states, by name."""
    return model.step(chunk, states)


def _in_order(sequence: Array, place: Array | None) -> Array:
    """Return a sequence of the graph as (batch, steps, features), each step in its place."""
    if place is not None:
        sequence = np.take_along_axis(sequence, place[..., np.newaxis], axis=0)
    return sequence.swapaxes(0, 1)


def save(model: OnnxModel, folder: Path, name: str, source: str, spec: str) -> None:  # noqa: ARG001
    """Write ``NAME.onnx`` with the text of the spec in its metadata, after ONNX has checked it.

    Raises:
        GenerationError: ONNX finds a fault in the model.
    """
    made = model.to_proto()
    made.producer_version = __version__
    made.metadata_props.add(key=SPEC, value=spec)
    try:
        checker.check_model(made, full_check=True)
    except (checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GenerationError(f"ONNX refuses the model: {error}") from error
    (folder / f"{name}.onnx").write_bytes(made.SerializeToString(deterministic=True))


def reload(folder: Path, name: str, entry: str) -> OnnxModel:  # noqa: ARG001
    """Return the model in ``NAME.onnx``."""
    return open_original(folder / f"{name}.onnx")


def open_original(path: Path) -> OnnxModel:
    """Return the model in a file that was found to have a graph of rnnspec."""
    return loaded(onnx.load_model(path, load_external_data=False))


def output(model: OnnxModel, inputs: Array) -> Array:
    """Return the output for a batch."""
    return model(inputs)


def scale(model: OnnxModel, share: float) -> None:
    """Multiply every array of a model."""
    for array in model.weights.values():
        np.multiply(array, array.dtype.type(share), out=array)
    model.forget()


def loaded(proto: onnx.ModelProto) -> OnnxModel:
    """Return a model whose weights are initializers."""
    held = [each for each in proto.graph.initializer if array_of(each.name)[0]]
    weights = {each.name: numpy_helper.to_array(each).copy() for each in held}
    constants = [each for each in proto.graph.initializer if each.name not in weights]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(constants)
    return OnnxModel(proto, weights)
