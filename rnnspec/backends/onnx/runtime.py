"""Models in memory, which are graphs with their weights, and what reads, writes and runs them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from onnx import checker, helper, numpy_helper, parser

from rnnspec.backends.contract import NO_CLASSES, ArrayType, Runtime, Trace
from rnnspec.backends.onnx.read import QUANTIZED, SPEC, begin_path, split_models
from rnnspec.backends.onnx.session import open_session
from rnnspec.backends.onnx.slots import (
    BATCH_SIZE,
    BEGIN,
    FIRST_STEPS,
    FORM,
    GIVEN,
    INPUT,
    LEAST_STEPS,
    MASK,
    NAMED,
    STREAMS,
    VOCABULARY,
    after,
    array,
    array_of,
    find_array,
    half,
    key_about,
    other_shapes,
    output_names,
    stepwise_reason,
)
from rnnspec.errors import GenerationError, UsageError, brief
from rnnspec.errors.arguments import received
from rnnspec.ir.nodes import LSTM, Embedding, Recurrent, learned_of
from rnnspec.ir.params import Counts
from rnnspec.version import __version__

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from types import ModuleType

    from numpy.typing import ArrayLike

    from rnnspec.backends.slots import Array, Batch
    from rnnspec.ir.nodes import Layer
    from rnnspec.source.code import Source

    Arrays = Mapping[str, ArrayLike]


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
            protos = [parser.parse_model(text) for text in split_models(module.TEXT)]
        except parser.ParseError as error:
            raise GenerationError(f"ONNX cannot parse the source: {error}") from error
        weights = {
            declared.name: np.zeros(_shape(declared), np.float32)
            for proto in protos
            for declared in proto.graph.value_info
        }
        return model_of(module.__name__, weights, *(one.SerializeToString() for one in protos))

    def layer_count(self, model: OnnxModel, layer: Layer) -> int:
        """Return the size of the weights of a layer."""
        own = {layer.name, *(vector.name for vector in learned_of(layer))}
        return _size(model, [name for name in model.weights if array_of(name)[0] in own])

    def counts(self, model: OnnxModel) -> Counts:
        """Return the size of all weights."""
        frozen = model.frozen
        trained = [name for name in model.weights if name not in frozen]
        return Counts(trainable=_size(model, trained), non_trainable=_size(model, frozen))

    def layer_type(self, model: OnnxModel, layer: Layer) -> str:
        """Return the operator that takes the arrays of a layer, or else returns its result.

        Layers without a fused operator are a ``Scan``.
        """
        nodes = [node for proto in model.protos for node in proto.graph.node]
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

    def trace(self, model: OnnxModel, layers: Sequence[str], inputs: Batch) -> Trace:
        """Run a batch, and record the input of each layer."""
        graph = _Layers(model.proto.graph)
        results = [declared.name for declared in model.proto.graph.output]
        value_names = {layer: name for layer, name in graph.values.items() if name not in results}
        origins = {layer: graph.trace_back(layer) for layer in graph.layers}
        places = {place for sources in origins.values() for _, place in sources if place}
        places.discard(_IN_PLACE)
        names = tuple(dict.fromkeys((*value_names.values(), *places)))
        values, outputs_of = model.run(names, inputs)
        value_of = dict(zip(names, values, strict=True))
        result_of = dict(zip(results, outputs_of, strict=True))
        outputs = dict(inputs) if isinstance(inputs, Mapping) else {INPUT: inputs}
        first, inputs_of = next(iter(outputs.values())), dict[str, Any]()
        place_of: dict[str, Array | None] = {}
        for layer, sources in origins.items():
            # A learned state reads none.
            inputs_of[layer] = outputs.get(sources[0][0], first) if sources else first
            known = (value_of.get(at) if at else place_of.get(source) for source, at in sources)
            place = next((place for place in known if place is not None), None)
            # Also of a layer of which only the contexts are taken.
            place_of[layer] = place
            if layer not in value_names:
                # It may be an output of the graph itself.
                outputs |= {layer: result_of[layer]} if layer in result_of else {}
                continue
            x = value_of[value_names[layer]]
            if x.ndim == 2:
                # Only sequences in the order of the input have padding.
                place_of[layer], outputs[layer] = None, x
                continue
            axes = output_names(layer)[value_names[layer]]
            if place is not None and axes[0] == 1:
                x = np.take_along_axis(x, place[..., np.newaxis], axis=0)
            # As (batch, steps, features), with each step in its place.
            outputs[layer] = x.transpose(axes)
        return Trace({name: inputs_of[name] for name in layers}, model.join(outputs_of))

    def begin(self, model: OnnxModel, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the states before the first chunk."""
        return model.begin(**inputs)

    def step(
        self, model: OnnxModel, chunk: Batch, states: Mapping[str, Array] | None
    ) -> tuple[Array, dict[str, Array]]:
        """Return the output for the steps so far, and the new states, by name."""
        output, new_states = model.step(chunk, states)
        return model.join([*output.values()] if isinstance(output, dict) else [output]), new_states

    def save(self, model: OnnxModel, folder: Path, name: str, source: str, spec: str) -> None:  # noqa: ARG002
        """Write ``NAME.onnx`` with the text of the spec in its metadata, after ONNX has checked it.

        What begins it is written to ``NAME_begin.onnx``.

        Raises:
            GenerationError: ONNX finds a fault in the model.
        """
        path = folder / f"{name}.onnx"
        for proto, file in zip(model.protos, (path, begin_path(path)), strict=False):
            whole = model.to_proto(proto)
            whole.producer_version = __version__
            whole.metadata_props.add(key=SPEC, value=spec)
            try:
                checker.check_model(whole, full_check=True)
            except (checker.ValidationError, onnx.shape_inference.InferenceError) as error:
                raise GenerationError(f"ONNX refuses the model: {error}") from error
            file.write_bytes(whole.SerializeToString(deterministic=True))

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
        protos = [proto]
        if any(entry.key == BEGIN for entry in proto.metadata_props):
            protos.append(onnx.load_model(begin_path(path), load_external_data=False))
        weights: dict[str, Array] = {}
        for one in protos:
            stored = [tensor for tensor in one.graph.initializer if array_of(tensor.name)[0]]
            weights |= {tensor.name: numpy_helper.to_array(tensor).copy() for tensor in stored}
            constants = [tensor for tensor in one.graph.initializer if tensor.name not in weights]
            del one.graph.value_info[:]
            one.graph.value_info.extend(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
                for tensor in stored
            )
            del one.graph.initializer[:]
            one.graph.initializer.extend(constants)
        return OnnxModel(weights, *protos)

    def output(self, model: OnnxModel, inputs: Batch) -> Array:
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


_IN_PLACE = "in place"
"""The place of steps that are not moved; no value has this name."""


class _Layers:
    """The values and sources of layers in a graph of rnnspec."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        # An empty name stands for an output, or an input, that is left out.
        self.makers = {name: node for node in graph.node for name in node.output if name}
        self.inputs = [declared.name for declared in graph.input]
        # A name with a capital letter is that of a value about padding, or of the only input.
        self.layers = [
            name
            for name in dict.fromkeys(array_of(name)[0] or name for name in self.makers)
            if name not in self.inputs and not name[0].isupper()
        ]
        self.values = {
            layer: name
            for layer in self.layers
            for name in output_names(layer)
            if name in self.makers
        }
        """The name of the output of each layer."""

    def trace_back(self, layer: str) -> list[tuple[str, str]]:
        """Return the layers and inputs that a layer takes, in order, with the place of each.

        That is the value with the place of steps that are moved on the way, or ``_IN_PLACE`` with
        the batch first; it is empty if the place is that of the layer.
        """
        waiting, seen = [(self._begin(layer), "")], set[str]()
        sources: dict[str, str] = {}
        while waiting:
            name, place = waiting.pop()
            is_known = name in self.makers or name in self.inputs
            if name in seen or not is_known or self._is_about_padding(name):
                continue
            seen.add(name)
            owner = array_of(name)[0] or name
            if name in self.inputs or (owner != layer and owner in self.layers):
                sources.setdefault(owner, place or self._place_between(name, owner))
                continue
            node = self.makers[name]
            place = place or self._place(node)
            # A shape depends on no numbers.
            if node.op_type != "Shape":
                waiting.extend((other, place) for other in reversed(_inputs_in_order(node)))
        return list(sources.items())

    def _begin(self, layer: str) -> str:
        """Return the output of a layer, or its last value if only its final states are taken."""
        values = [name for name in self.makers if array_of(name)[0] == layer]
        return self.values.get(layer) or [layer, *values][-1]

    def _place_between(self, name: str, owner: str) -> str:
        """Return the place of steps that are moved between the output of a layer and a value."""
        if name in (array(owner, "NWC"), array(owner, "NCW"), array(owner, "Transposed")):
            return _IN_PLACE
        while name != self.values.get(owner, owner):
            node = self.makers[name]
            if place := self._place(node):
                return place
            if node.op_type not in ("Transpose", "GatherElements"):
                return ""
            name = node.input[0]
        return ""

    def _is_about_padding(self, name: str) -> bool:
        """True if a value is a mask, or tells a number of sequences or steps."""
        owner, path = array_of(name)
        if not owner or owner in self.inputs:
            # The only input has no name of its own here, but layers have.
            path = path or (name if name[0].isupper() else "Input_")
            return path not in {"Steps", "Moved"} and not path.startswith("Input_")
        return path.startswith(MASK)

    def _place(self, node: onnx.NodeProto) -> str:
        """Return the value with the place of the steps that a node moves to the front."""
        if node.op_type != "ScatterElements":
            return ""
        name: str = node.input[1]
        # Each place is there once for all features.
        while self.makers[name].op_type in ("Expand", "Unsqueeze"):
            name = self.makers[name].input[0]
        return name


def _inputs_in_order(node: onnx.NodeProto) -> list[str]:
    """Return what a node takes, its sequences first."""
    counts = [one.i for one in node.attribute if one.name == "num_scan_inputs"]
    at = len(node.input) - counts[0] if counts else 0
    return [*node.input[at:], *node.input[:at]]


def _size(model: OnnxModel, names: Collection[str]) -> int:
    return sum(array.size for name in names for array in model.parameters(name))


@dataclass(eq=False)
class OnnxModel:
    """A graph and its weights by name. Call it with a batch: it returns the output.

    ``proto`` has the weights as declared values, and ``to_proto`` as initializers. ``first`` is
    the graph that is run once, before the first chunk, if there is one.
    """

    weights: dict[str, Array]
    proto: onnx.ModelProto
    first: onnx.ModelProto | None = None
    _sessions: dict[tuple[str, ...], Any] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return f"OnnxModel({self.proto.graph.name}, {len(self.weights)} arrays)"

    def __call__(self, inputs: ArrayLike | Arrays) -> Array | dict[str, Array]:
        """Return the output for tokens (batch, steps) or values (batch, steps, features).

        Both are mappings by name if the spec has named inputs or heads. A batch of no sequences has
        an output of none.

        Raises:
            UsageError: the batch does not fit the network, or the model is in step form.
        """
        if self._is_stepped:
            message = (
                "a model in step form takes chunks: output, states = model.step(chunk, states)"
            )
            raise UsageError(message)
        feeds = self._feeds(inputs)
        rows = len(next(iter(feeds.values())))
        feeds = {name: _not_empty(batch) for name, batch in feeds.items()}
        results: list[Array] = self._session(()).run(None, feeds)
        return self._by_name([result[:rows] for result in results])

    def join(self, outputs: Sequence[Array]) -> Array:
        """Return the only output, or named outputs as (batch, all of their numbers)."""
        if NAMED not in self._words:
            return outputs[0]
        return np.concatenate([part.reshape(len(part), -1) for part in outputs], axis=1)

    def begin(self, /, **inputs: ArrayLike) -> dict[str, Array]:
        """Return the states before the first chunk, given the inputs that do not come in chunks.

        Raises:
            UsageError: an input is missing, unknown, or does not fit the network.
        """
        taken = [] if self.first is None else [*self.first.graph.input]
        declared = {one.name: one for one in taken if one.name != BATCH_SIZE}
        given = [name for name in self.states if f"{GIVEN} {name}" in self._words]
        expected = [*declared, *given]
        if not expected:
            raise UsageError("expected no begin: without states, model.step(chunk) begins")
        _check_names("inputs of begin", expected, inputs)
        feeds = {name: self._batch(inputs[name], declared[name]) for name in declared}
        _check_steps(feeds, {name: _dims(declared[name]) for name in declared})
        feeds |= {name: _as_numbers(_as_array(inputs[name]), name) for name in given}
        return self._first_states(feeds, _rows(feeds))

    def step(
        self, chunk: ArrayLike | Arrays, states: Arrays | None = None
    ) -> tuple[Array | dict[str, Array], dict[str, Array]]:
        """Return the output for the steps so far, and the states for the next chunk, by name.

        Args:
            chunk: tokens (batch, steps) or values (batch, steps, features); of several streams, a
                mapping of them by name.
            states: those that the chunk before it gave, or ``begin``, or None at the start.

        Raises:
            UsageError: the chunk or the states do not fit the network.
        """
        chunks = self._feeds(chunk, later=bool(states))
        rows = _rows(chunks)
        before = self._states_before(states, rows)
        feeds = {name: _not_empty(value) for name, value in {**chunks, **before}.items()}
        values = [value[:rows] for value in self._session(()).run(None, feeds)]
        by_name = dict(zip((one.name for one in self.proto.graph.output), values, strict=True))
        # A vector that was computed once stays as it is.
        new = {name: by_name.get(after(name), state) for name, state in before.items()}
        return self._by_name(values), new

    def _by_name(self, outputs: Sequence[Array]) -> Array | dict[str, Array]:
        """Return the only output, or outputs by name."""
        if NAMED not in self._words:
            return outputs[0]
        return dict(zip(self._results, outputs, strict=False))

    @property
    def _results(self) -> list[str]:
        """The names of the outputs that are no states."""
        names = [declared.name for declared in self.proto.graph.output]
        return names[: int(self._words[NAMED])] if self._is_stepped else names

    def _feeds(self, inputs: ArrayLike | Arrays, *, later: bool = False) -> dict[str, Array]:
        """Return a batch in the dtypes of the graph, by the names of its inputs.

        In step form, the inputs are those of a chunk, which may be a ``later`` one.
        """
        declared = [*self.proto.graph.input][: -len(self._states) or None]
        if not isinstance(inputs, Mapping):
            if len(declared) > 1:
                names = ", ".join(one.name for one in declared)
                raise UsageError(f"expected inputs by name, {names}, received {received(inputs)}")
            return {declared[0].name: self._batch(inputs, declared[0], later=later)}
        _check_names("inputs", [one.name for one in declared], inputs)
        feeds = {one.name: self._batch(inputs[one.name], one, later=later) for one in declared}
        _rows(feeds)
        _check_steps(feeds, {one.name: _dims(one) for one in declared})
        return feeds

    def _batch(
        self, inputs: ArrayLike, expected: onnx.ValueInfoProto, *, later: bool = False
    ) -> Array:
        """Return the batch of an input in its dtype; it may have any steps in a ``later`` chunk.

        ONNX Runtime ends the process at an empty one, and takes a negative token for one counted
        from the last.
        """
        batch, name = _as_array(inputs), expected.name
        about = "" if name == INPUT else f"{name}: "
        # An open number of steps is 0.
        sizes = _shape(expected)[1:]
        key = key_about(LEAST_STEPS, name)
        least = max(int(_words_of(proto).get(key, 1)) for proto in self.protos)
        most = 0 if later else least - 1
        fits = batch.ndim == 1 + len(sizes) and all(
            actual == size if size else actual > most
            for actual, size in zip(batch.shape[1:], sizes, strict=True)
        )
        if not fits:
            axes = "".join(f", {f'steps > {most}' if size == 0 else size}" for size in sizes)
            shape = f"(batch{axes})" if sizes else "(batch,)"
            raise UsageError(f"{about}expected {shape}, received {batch.shape}")
        if expected.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
            return _as_numbers(batch, "features")
        if batch.dtype.kind not in "iu":
            raise UsageError(f"{about}expected integers as tokens, received {brief(batch.dtype)}")
        vocabulary = self._vocabulary(name)
        wrong = batch[(batch < 0) | (batch >= vocabulary)]
        if wrong.size:
            message = f"expected tokens from 0 to {vocabulary - 1}, received {wrong[0]}"
            raise UsageError(f"{about}{message}")
        return batch.astype(np.int64)

    def _vocabulary(self, name: str) -> int:
        """Return the size of the vocabulary of an input."""
        for proto in self.protos:
            words = _words_of(proto)
            if size := words.get(f"{VOCABULARY} {name}"):
                return int(size)
        tables = (node.input[0] for node in self.proto.graph.node if node.op_type == "Gather")
        return next(len(self.weights[table]) for table in tables if table in self.weights)

    def _states_before(self, states: Arrays | None, rows: int) -> dict[str, Array]:
        """Return the states before a chunk of a number of rows."""
        if not states:
            takes = [] if self.first is None else [one.name for one in self.first.graph.input]
            if takes not in ([], [BATCH_SIZE]) or any(key.startswith(GIVEN) for key in self._words):
                raise UsageError("states: expected those of model.begin, received none")
            return self._first_states({}, rows)
        _check_names("states", list(self.states), states)
        arrays = {one.name: _as_state(_as_array(states[one.name]), one) for one in self._states}
        for name, sizes in self.states.items():
            actual, steps = arrays[name].shape, sizes[0]
            if isinstance(steps, str):
                # A memory, of one or more steps.
                fits = len(actual) > 1 and actual[1] > 0
            else:
                # The last inputs of a convolution, which are fewer before the first chunk.
                first = int(self._words.get(f"{FIRST_STEPS} {name}", steps))
                fits = len(actual) > 1 and first <= actual[1] <= steps
            if not fits or (actual[0], *actual[2:]) != (rows, *sizes[1:]):
                shape = ", ".join(map(str, (rows, *sizes)))
                raise UsageError(f"{name}: expected the shape ({shape}), received {actual}")
        _check_steps(arrays, {name: ("", *sizes) for name, sizes in self.states.items()})
        return arrays

    def _first_states(self, feeds: Mapping[str, Array], rows: int) -> dict[str, Array]:
        """Return the states before the first chunk, given the other inputs."""
        states: dict[str, Array] = {}
        for name, (size, *others) in self.states.items():
            # A memory, whose steps have a name, is computed below.
            if not isinstance(size, str):
                first = int(self._words.get(f"{FIRST_STEPS} {name}", size))
                states[name] = np.zeros((rows, first, *map(int, others)), np.float32)
        if self.first is not None:
            names = [one.name for one in self.first.graph.input]
            batch = {name: _not_empty(feeds[name]) for name in names if name in feeds}
            if not batch:
                batch = {BATCH_SIZE: np.array([rows])}
            values = self._session((BEGIN,)).run(None, batch)
            results = (one.name for one in self.first.graph.output)
            states |= {name: value[:rows] for name, value in zip(results, values, strict=True)}
        return states | {name: feeds[name] for name in feeds if name in states}

    def __reduce__(self) -> tuple[Any, ...]:
        # Neither the class nor a session can be pickled or copied.
        weights = {name: values.copy() for name, values in self.weights.items()}
        contents = (proto.SerializeToString() for proto in self.protos)
        return model_of, (type(self).__module__, weights, *contents)

    def run(self, names: tuple[str, ...], inputs: Batch) -> tuple[list[Array], list[Array]]:
        """Return the values of a graph with these names for a batch, and its outputs."""
        results: list[Array] = self._session(names).run(None, self._feeds(inputs))
        count = len(self.proto.graph.output)
        return results[count:], results[:count]

    def forget(self) -> None:
        """Compute with the weights as they are now, from the next call on."""
        self._sessions.clear()

    def to_proto(self, proto: onnx.ModelProto | None = None) -> onnx.ModelProto:
        """Return a graph, by default that of the model, with its weights as initializers."""
        proto = proto or self.proto
        whole = onnx.ModelProto()
        whole.CopyFrom(proto)
        names = [declared.name for declared in proto.graph.value_info]
        del whole.graph.value_info[:]
        weights = [numpy_helper.from_array(self.weights[name], name) for name in names]
        constants = list(whole.graph.initializer)
        del whole.graph.initializer[:]
        whole.graph.initializer.extend([*weights, *constants])
        return whole

    def _session(self, names: tuple[str, ...]) -> Any:
        """Return a session that has values of these names as outputs too, or that of ``first``."""
        if names not in self._sessions:
            is_first = names == (BEGIN,) and self.first is not None
            whole = self.to_proto(self.first if is_first else None)
            if not is_first:
                whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
            self._sessions[names] = open_session(whole.SerializeToString())
        return self._sessions[names]

    @property
    def protos(self) -> list[onnx.ModelProto]:
        """The graph, and the one that is run before it if there is one."""
        return [self.proto] if self.first is None else [self.proto, self.first]

    @property
    def states(self) -> dict[str, tuple[int | str, ...]]:
        """The shape of each state of one sequence, none if the model is not in step form.

        A number of steps that is open is its name, which states of equal steps share.
        """
        outputs = {declared.name: declared for declared in self.proto.graph.output}
        # Before the first chunk, a state may have fewer steps.
        return {one.name: _dims(outputs.get(after(one.name), one))[1:] for one in self._states}

    @property
    def _states(self) -> list[onnx.ValueInfoProto]:
        streams = int(self._words.get(STREAMS, 1))
        return [*self.proto.graph.input[streams:]] if self._is_stepped else []

    @property
    def _is_stepped(self) -> bool:
        return self._words.get(FORM) == "step"

    @property
    def _words(self) -> dict[str, str]:
        """The metadata, in which only the spec may be no text."""
        return _words_of(self.proto)

    @property
    def frozen(self) -> set[str]:
        """The names of the weights that training leaves alone."""
        words = (key for proto in self.protos for key in _words_of(proto))
        return {key.removeprefix("frozen ") for key in words if key.startswith("frozen ")}

    def parameters(self, name: str) -> Iterator[Array]:
        """Yield a weight, or the halves of a bias that are parameters."""
        for node in (node for proto in self.protos for node in proto.graph.node):
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


def _check_names(what: str, expected: Sequence[str], values: Arrays) -> None:
    if set(values) != set(expected):
        names, others = ", ".join(expected) or "none", ", ".join(values) or "none"
        raise UsageError(f"{what}: expected {names}, received {brief(others)}")


def _rows(feeds: Mapping[str, Array]) -> int:
    """Return the number of sequences, which each input has.

    Raises:
        UsageError: one has another.
    """
    (first, batch), *others = feeds.items()
    for name, other in others:
        if len(other) != len(batch):
            message = f"expected {len(batch)} sequences, as {first} has, received {len(other)}"
            raise UsageError(f"{name}: {message}")
    return len(batch)


def _check_steps(arrays: Mapping[str, Array], dims: Mapping[str, Sequence[int | str]]) -> None:
    """Check that axes with the same name have the same size, but for the first one.

    Raises:
        UsageError: one has another.
    """
    lengths = dict[str, tuple[str, int]]()
    for name, sizes in dims.items():
        for count, size in zip(arrays[name].shape[1:], sizes[1:], strict=True):
            if isinstance(size, str):
                other, expected = lengths.setdefault(size, (name, count))
                if count != expected:
                    message = f"expected {expected} steps, as {other} has, received {count}"
                    raise UsageError(f"{name}: {message}")


def _words_of(proto: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in proto.metadata_props}


def _as_numbers(array: Array, name: str) -> Array:
    kind = array.dtype.kind
    # The dtypes of ml_dtypes, such as bfloat16, have the kind V, as void does.
    if kind not in "biuf" and (kind != "V" or array.dtype.type is np.void):
        raise UsageError(f"expected numbers as {name}, received {brief(array.dtype)}")
    return array.astype(np.float32)


def _as_state(array: Array, declared: onnx.ValueInfoProto) -> Array:
    """Return a state in its dtype: numbers, or the mask of a memory."""
    if declared.type.tensor_type.elem_type != onnx.TensorProto.BOOL:
        # A memory is not copied for each chunk.
        return array if array.dtype == np.float32 else _as_numbers(array, declared.name)
    if array.dtype.kind != "b":
        message = f"expected true and false, received {brief(array.dtype)}"
        raise UsageError(f"{declared.name}: {message}")
    return array


def _not_empty(array: Array) -> Array:
    """Return an array, or a single row of zeros in place of none: see ``_batch``."""
    return array if len(array) else np.zeros((1, *array.shape[1:]), array.dtype)


def model_of(module: str, weights: dict[str, Array], *contents: bytes) -> OnnxModel:
    """Return a model of a class of its own, by whose module copies of it are known."""
    class_ = type(OnnxModel.__name__, (OnnxModel,), {"__module__": module})
    model: OnnxModel = class_(weights, *map(onnx.ModelProto.FromString, contents))
    return model


def _dims(value: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    """Return the sizes of the axes of a value, by name if they are open."""
    return tuple(dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim)


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Return the sizes of the axes of a value, 0 if they are open."""
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)


RUNTIME = OnnxRuntime()
