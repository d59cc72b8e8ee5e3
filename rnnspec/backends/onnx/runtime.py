"""Models in memory, which are graphs with their weights, and what reads, writes and runs them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from onnx import checker, numpy_helper, parser

from rnnspec.arguments import received
from rnnspec.backends.contract import NO_CLASSES, ArrayType, Runtime, Trace
from rnnspec.backends.onnx.read import QUANTIZED, SPEC
from rnnspec.backends.onnx.session import open_session
from rnnspec.backends.onnx.slots import (
    INPUT,
    LEAST_STEPS,
    MASK,
    NAMED,
    PLACE,
    array,
    array_of,
    find_array,
    half,
    other_shapes,
    output_names,
    stepwise_reason,
)
from rnnspec.errors import GenerationError, UsageError, brief
from rnnspec.ir.nodes import LSTM, Embedding, Recurrent
from rnnspec.ir.params import Counts
from rnnspec.version import __version__

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from types import ModuleType

    from numpy.typing import ArrayLike

    from rnnspec.ir.nodes import Layer
    from rnnspec.slots import Array
    from rnnspec.source.code import Source


class OnnxRuntime(Runtime):
    """ONNX's own package parses, checks and writes, and ONNX Runtime computes."""

    def version(self) -> str:
        """Return the versions of ONNX Runtime and of ONNX."""
        return f"ONNX Runtime {onnxruntime.__version__} (ONNX {onnx.__version__})"

    def instantiate(
        self,
        module: ModuleType,
        source: Source,  # noqa: ARG002
        dtype: str,
        *,
        drawn: bool,  # noqa: ARG002
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
        weights = {
            declared.name: np.zeros(_shape(declared), np.float32)
            for declared in proto.graph.value_info
        }
        return model_of(module.__name__, proto.SerializeToString(), weights)

    def layer_count(self, model: OnnxModel, layer: Layer) -> int:
        """Return the size of the weights of a layer."""
        return _size(model, [name for name in model.weights if array_of(name)[0] == layer.name])

    def counts(self, model: OnnxModel) -> Counts:
        """Return the size of all weights."""
        frozen = model.frozen
        trained = [name for name in model.weights if name not in frozen]
        return Counts(trainable=_size(model, trained), non_trainable=_size(model, frozen))

    def layer_type(self, model: OnnxModel, layer: Layer) -> str:
        """Return the operator that takes the arrays of a layer, or else returns its result.

        Layers without a fused operator are a ``Scan``.
        """
        nodes = model.proto.graph.node
        if any(n.op_type == "Scan" and array_of(n.output[-1])[0] == layer.name for n in nodes):
            return "Scan"
        results = output_names(layer.name)
        for node in nodes:
            arrays = (array_of(name)[0] for name in node.input if name in model.weights)
            if layer.name in arrays or node.output[-1] in results:
                return str(node.op_type)
        return ""

    def unwrap(self, model: Any) -> OnnxModel | None:
        """Return the model, or None if it is not one of this backend."""
        return model if isinstance(model, OnnxModel) else None

    def array_type(self, model: OnnxModel, layer: str, path: str) -> ArrayType:
        """Return the dtype and shape of one array."""
        values = find_array(model.weights, layer, path)
        return ArrayType(values.dtype.name, values.shape)

    def other_shapes(
        self, model: OnnxModel, known: Collection[tuple[str, str]]
    ) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all weights that are not at a known (layer, path)."""
        return other_shapes(model.weights, known)

    def get(self, model: OnnxModel, layer: str, path: str) -> Array:
        """Return a copy of one array."""
        return find_array(model.weights, layer, path).copy()

    def put(self, model: OnnxModel, layer: str, path: str, array: Array) -> None:
        """Replace one array."""
        place = find_array(model.weights, layer, path)
        # A single direction comes without the axis of directions.
        place[...] = array.reshape(place.shape)
        model.forget()

    def trace(self, model: OnnxModel, layers: Sequence[str], inputs: Array) -> Trace:
        """Run a batch, and record the input of each layer."""
        graph = _Layers(model.proto.graph, layers)
        value_names = {name: graph.values[name] for name in layers[:-1] if name in graph.values}
        names = tuple(dict.fromkeys((*value_names.values(), *graph.places.values())))
        values, outputs_of = model.run(names, inputs)
        value_of = dict(zip(names, values, strict=True))
        outputs: dict[str, Array] = {}
        place_of = {INPUT: value_of.get(PLACE)}
        inputs_of = {INPUT: inputs}
        for layer in layers:
            source = graph.source(layer)
            inputs_of[layer] = outputs.get(source, inputs)
            if layer not in value_names:
                continue
            x, place = value_of[value_names[layer]], place_of[source]
            if layer in graph.places:
                place = value_of[graph.places[layer]]
            if x.ndim == 2:
                # Only sequences in the order of the input have padding.
                place_of[layer], outputs[layer] = None, x
                continue
            axes = output_names(layer)[value_names[layer]]
            if place is not None and axes[0] == 1:
                x = np.take_along_axis(x, place[..., np.newaxis], axis=0)
            # As (batch, steps, features), with each step in its place.
            place_of[layer], outputs[layer] = place, x.transpose(axes)
        del inputs_of[INPUT]
        return Trace(inputs_of, model.join(outputs_of))

    def step(
        self, model: OnnxModel, chunk: Array, states: Mapping[str, Array] | None
    ) -> tuple[Array, dict[str, Array]]:
        """Return the output for the steps so far, and the new states, by name."""
        return model.step(chunk, states)

    def save(self, model: OnnxModel, folder: Path, name: str, source: str, spec: str) -> None:  # noqa: ARG002
        """Write ``NAME.onnx`` with the text of the spec in its metadata, after ONNX has checked it.

        Raises:
            GenerationError: ONNX finds a fault in the model.
        """
        whole = model.to_proto()
        whole.producer_version = __version__
        whole.metadata_props.add(key=SPEC, value=spec)
        try:
            checker.check_model(whole, full_check=True)
        except (checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise GenerationError(f"ONNX refuses the model: {error}") from error
        (folder / f"{name}.onnx").write_bytes(whole.SerializeToString(deterministic=True))

    def reload(self, folder: Path, name: str, source: Source) -> OnnxModel:  # noqa: ARG002
        """Return the model in ``NAME.onnx``."""
        return self.open_original(folder / f"{name}.onnx")

    def open_original(
        self,
        path: Path,
        classes: Mapping[str, type] = NO_CLASSES,  # noqa: ARG002 - a file names none
    ) -> OnnxModel:
        """Return the model in a file that was found to have a graph of rnnspec."""
        proto = onnx.load_model(path, load_external_data=False)
        stored = [tensor for tensor in proto.graph.initializer if array_of(tensor.name)[0]]
        weights = {tensor.name: numpy_helper.to_array(tensor).copy() for tensor in stored}
        constants = [tensor for tensor in proto.graph.initializer if tensor.name not in weights]
        del proto.graph.initializer[:]
        proto.graph.initializer.extend(constants)
        return OnnxModel(proto, weights)

    def output(self, model: OnnxModel, inputs: Array) -> Array:
        """Return the output for a batch."""
        return model.join(model.run((), inputs)[1])

    def scale(self, model: OnnxModel, share: float) -> None:
        """Multiply every array of a model."""
        for values in model.weights.values():
            np.multiply(values, values.dtype.type(share), out=values)
        model.forget()

    def quantizes(self, layer: Layer) -> bool:
        """True if there is an int8 operator for a layer: an embedding or an ``LSTM``."""
        match layer:
            case Embedding():
                return True
            case Recurrent(cell=LSTM()):
                return not stepwise_reason(layer)
            case _:
                return False

    def quantize(self, path: Path, kind: str) -> None:
        """Quantize a file in place by ONNX Runtime's own tool, and say so in its metadata.

        Each layer's weights are rounded, once; what enters an LSTM is rounded at each step. A dense
        kernel stays in float32: its error would be the largest, and it is rarely much of a file.

        Raises:
            OSError: a file cannot be written.
        """
        # Imported here: it is slow, and rarely used.
        from onnxruntime.quantization import QuantType, quantize_dynamic

        exact = onnx.load_model(path, load_external_data=False)
        metadata = [(entry.key, entry.value) for entry in exact.metadata_props]
        producer = exact.producer_name, exact.producer_version
        # The mark of a model that was prepared, without which the tool logs a warning.
        exact.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            other = Path(folder) / path.name
            quantize_dynamic(
                exact,
                other,
                op_types_to_quantize=["LSTM", "Gather"],
                weight_type=QuantType.QInt8,
                # A scale for each unit of a gate makes up for the range, of 7 bits instead of 8:
                # sums of 8 bits overflow on processors without VNNI.
                per_channel=True,
                reduce_range=True,
            )
            rounded = onnx.load_model(other, load_external_data=False)
        rounded.producer_name, rounded.producer_version = producer
        del rounded.metadata_props[:]
        for key, value in [*metadata, (QUANTIZED, kind)]:
            rounded.metadata_props.add(key=key, value=value)
        path.write_bytes(rounded.SerializeToString(deterministic=True))


def write_test_data(
    model: Path, folder: Path, inputs: Sequence[Array], outputs: Sequence[Array]
) -> None:
    """Write ``input_0.pb``, ``output_0.pb`` and so on, in the layout of ONNX's backend tests.

    Their types are those of the graph in the file ``model``.
    """
    graph = onnx.load_model(model, load_external_data=False).graph
    stored = {tensor.name for tensor in graph.initializer}
    fed = [declared for declared in graph.input if declared.name not in stored]
    for kind, declared, values in (("input", fed, inputs), ("output", graph.output, outputs)):
        for at, (info, numbers) in enumerate(zip(declared, values, strict=True)):
            dtype = onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
            tensor = numpy_helper.from_array(np.ascontiguousarray(numbers, dtype), info.name)
            (folder / f"{kind}_{at}.pb").write_bytes(tensor.SerializeToString(deterministic=True))


class _Layers:
    """The values and sources of layers in a graph of rnnspec."""

    def __init__(self, graph: onnx.GraphProto, layers: Sequence[str]) -> None:
        # An empty name stands for an output, or an input, that is left out.
        self.makers = {name: node for node in graph.node for name in node.output if name}
        self.layers = layers
        self.values = {
            layer: name for layer in layers for name in output_names(layer) if name in self.makers
        }
        """The name of the output of each layer."""
        places = {layer: array(layer, MASK + PLACE) for layer in layers}
        self.places = {layer: name for layer, name in places.items() if name in self.makers}
        """The names of the places of steps that are moved to the front behind some layers."""
        if PLACE in self.makers:
            self.places[INPUT] = PLACE

    def source(self, layer: str) -> str:
        """Return the layer whose output another one takes first, or ``INPUT``."""
        waiting, seen = [self.values.get(layer, layer)], set[str]()
        while waiting:
            name = waiting.pop()
            if name in seen or name not in self.makers:
                continue
            seen.add(name)
            owner, path = array_of(name)
            owner = owner or name
            # Masks depend on no layer.
            if path.startswith(MASK):
                continue
            if owner != layer and owner in self.layers:
                return owner
            waiting.extend(reversed(self.makers[name].input))
        return INPUT


def _size(model: OnnxModel, names: Collection[str]) -> int:
    return sum(array.size for name in names for array in model.parameters(name))


@dataclass(eq=False)
class OnnxModel:
    """A graph and its weights by name. Call it with a batch: it returns the output.

    ``proto`` has the weights as declared values, and ``to_proto`` as initializers.
    """

    proto: onnx.ModelProto
    weights: dict[str, Array]
    _sessions: dict[tuple[str, ...], Any] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return f"OnnxModel({self.proto.graph.name}, {len(self.weights)} arrays)"

    def __call__(self, inputs: ArrayLike) -> Array | dict[str, Array]:
        """Return the output for tokens (batch, steps) or values (batch, steps, features).

        It is a mapping by name if the spec has named heads. A batch of no sequences has an output
        of none.

        Raises:
            UsageError: the batch does not fit the network, or the model is in step form.
        """
        if self.states:
            message = (
                "a model in step form takes chunks: output, states = model.step(chunk, states)"
            )
            raise UsageError(message)
        batch = self._batch(inputs)
        results: list[Array] = self._session(()).run(None, {INPUT: _not_empty(batch)})
        outputs = [result[: len(batch)] for result in results]
        if NAMED not in self._words:
            return outputs[0]
        names = (declared.name for declared in self.proto.graph.output)
        return dict(zip(names, outputs, strict=True))

    def join(self, outputs: Sequence[Array]) -> Array:
        """Return the only output, or named outputs as (batch, all of their numbers)."""
        if NAMED not in self._words:
            return outputs[0]
        return np.concatenate([part.reshape(len(part), -1) for part in outputs], axis=1)

    def step(
        self, chunk: ArrayLike, states: Mapping[str, ArrayLike] | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """Return the output for the steps so far, and the states for the next chunk, by name.

        Args:
            chunk: tokens (batch, steps) or values (batch, steps, features).
            states: those that the chunk before it gave, or None at the start.

        Raises:
            UsageError: the chunk or the states do not fit the network.
        """
        batch = self._batch(chunk)
        before = self._states_before(states, len(batch))
        feeds = {name: _not_empty(state) for name, state in before.items()}
        values = self._session(()).run(None, {INPUT: _not_empty(batch), **feeds})
        output, *new = (value[: len(batch)] for value in values)
        return output, dict(zip(before, new, strict=True))

    def _batch(self, inputs: ArrayLike) -> Array:
        """Return a batch in the dtype of the graph.

        ONNX Runtime ends the process at an empty one, and takes a negative token for one counted
        from the last.
        """
        batch, expected = _as_array(inputs), self.proto.graph.input[0]
        # An open number of steps is 0.
        sizes = _shape(expected)[1:]
        most = int(self._words.get(LEAST_STEPS, 1)) - 1
        fits = batch.ndim == 1 + len(sizes) and all(
            actual == size if size else actual > most
            for actual, size in zip(batch.shape[1:], sizes, strict=True)
        )
        if not fits:
            axes = ", ".join(f"steps > {most}" if size == 0 else str(size) for size in sizes)
            raise UsageError(f"expected (batch, {axes}), received {batch.shape}")
        if expected.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
            return _as_numbers(batch, "features")
        if batch.dtype.kind not in "iu":
            raise UsageError(f"expected integers as tokens, received {brief(batch.dtype)}")
        tables = (node.input[0] for node in self.proto.graph.node if node.op_type == "Gather")
        vocabulary = next(len(self.weights[table]) for table in tables if table in self.weights)
        wrong = batch[(batch < 0) | (batch >= vocabulary)]
        if wrong.size:
            raise UsageError(f"expected tokens from 0 to {vocabulary - 1}, received {wrong[0]}")
        return batch.astype(np.int64)

    def _states_before(self, states: Mapping[str, ArrayLike] | None, rows: int) -> dict[str, Array]:
        """Return the states before a chunk of a number of rows."""
        shapes = {name: (rows, *shape) for name, shape in self.states.items()}
        if not states:
            return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        if set(states) != set(shapes):
            names = brief(", ".join(states))
            raise UsageError(f"states: expected {', '.join(shapes)}, received {names}")
        arrays = {name: _as_numbers(_as_array(states[name]), name) for name in shapes}
        for name, shape in shapes.items():
            if arrays[name].shape != shape:
                raise UsageError(
                    f"{name}: expected the shape {shape}, received {arrays[name].shape}"
                )
        return arrays

    def __reduce__(self) -> tuple[Any, ...]:
        # Neither the class nor a session can be pickled or copied.
        weights = {name: values.copy() for name, values in self.weights.items()}
        return model_of, (type(self).__module__, self.proto.SerializeToString(), weights)

    def run(self, names: tuple[str, ...], inputs: Array) -> tuple[list[Array], list[Array]]:
        """Return the values of a graph with these names for a batch, and its outputs."""
        results: list[Array] = self._session(names).run(None, {INPUT: self._batch(inputs)})
        count = len(self.proto.graph.output)
        return results[count:], results[:count]

    def forget(self) -> None:
        """Compute with the weights as they are now, from the next call on."""
        self._sessions.clear()

    def to_proto(self) -> onnx.ModelProto:
        """Return the graph with its weights as initializers."""
        whole = onnx.ModelProto()
        whole.CopyFrom(self.proto)
        del whole.graph.value_info[:]
        weights = [numpy_helper.from_array(values, name) for name, values in self.weights.items()]
        constants = list(whole.graph.initializer)
        del whole.graph.initializer[:]
        whole.graph.initializer.extend([*weights, *constants])
        return whole

    def _session(self, names: tuple[str, ...]) -> Any:
        if names not in self._sessions:
            whole = self.to_proto()
            whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
            self._sessions[names] = open_session(whole.SerializeToString())
        return self._sessions[names]

    @property
    def states(self) -> dict[str, tuple[int, ...]]:
        """The shape of each state of one sequence, none if the model is not in step form."""
        states = (declared for declared in self.proto.graph.input if declared.name != INPUT)
        return {declared.name: _shape(declared)[1:] for declared in states}

    @property
    def _words(self) -> dict[str, str]:
        """The metadata, in which only the spec may be no text."""
        return {entry.key: entry.value for entry in self.proto.metadata_props}

    @property
    def frozen(self) -> set[str]:
        """The names of the weights that training leaves alone."""
        return {key.removeprefix("frozen ") for key in self._words if key.startswith("frozen ")}

    def parameters(self, name: str) -> Iterator[Array]:
        """Yield a weight, or the halves of a bias that are parameters."""
        for node in self.proto.graph.node:
            fused = node.op_type in ("RNN", "LSTM", "GRU")
            if fused and len(node.input) > 3 and node.input[3] == name:
                yield half(self.weights[name], "Wb")
                # In the other cells both biases act as their sum, and the second one is zero.
                if any(
                    attribute.name == "linear_before_reset" and attribute.i
                    for attribute in node.attribute
                ):
                    yield half(self.weights[name], "Rb")
                return
        yield self.weights[name]


def _as_array(value: ArrayLike) -> Array:
    """Return lists, or a tensor of a framework, as an array of NumPy."""
    try:
        return np.asarray(value)
    except Exception as error:  # a framework may raise anything
        raise UsageError(
            f"expected an array, received {received(value)}: {brief(error)}"
        ) from error


def _as_numbers(array: Array, name: str) -> Array:
    kind = array.dtype.kind
    # The dtypes of ml_dtypes, such as bfloat16, have the kind V, as void does.
    if kind not in "biuf" and (kind != "V" or array.dtype.type is np.void):
        raise UsageError(f"expected numbers as {name}, received {brief(array.dtype)}")
    return array.astype(np.float32)


def _not_empty(array: Array) -> Array:
    """Return an array, or a single row of zeros in place of none: see ``_batch``."""
    return array if len(array) else np.zeros((1, *array.shape[1:]), array.dtype)


def model_of(module: str, content: bytes, weights: dict[str, Array]) -> OnnxModel:
    """Return a model of a class of its own, by whose module copies of it are known."""
    class_ = type(OnnxModel.__name__, (OnnxModel,), {"__module__": module})
    model: OnnxModel = class_(onnx.ModelProto.FromString(content), weights)
    return model


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Return the sizes of the axes of a value."""
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)


RUNTIME = OnnxRuntime()
