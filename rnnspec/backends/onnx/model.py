"""A model: a graph of ONNX with its weights, computed by ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from rnnspec.arguments import received
from rnnspec.backends.onnx import arrays
from rnnspec.backends.onnx.names import INPUT
from rnnspec.errors import UsageError, brief

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import ArrayLike

    from rnnspec.slots import Array

_FATAL = 4
"""The severity from which ONNX Runtime prints: it raises errors as well."""


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

    def __call__(self, inputs: ArrayLike) -> Array:
        """Return the output for tokens (batch, steps) or values (batch, steps, features).

        A batch of no sequences has an output of none.

        Raises:
            UsageError: the batch does not fit the network, or the model is in step form.
        """
        if self.states:
            message = (
                "a model in step form takes chunks: output, states = model.step(chunk, states)"
            )
            raise UsageError(message)
        batch = self._batch(inputs)
        output: Array
        (output,) = self._session(()).run(None, {INPUT: _not_empty(batch)})
        return output[: len(batch)]

    def step(
        self, chunk: ArrayLike, states: Mapping[str, ArrayLike] | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """Return the output for the steps so far, and the states for the next chunk, by name.

        Args:
            chunk: tokens (batch, steps) or values (batch, steps, features).
            states: those that the chunk before it gave, (batch, size), or None at the start.

        Raises:
            UsageError: the chunk or the states do not fit the network.
        """
        batch = self._batch(chunk)
        given = self._given(states, len(batch))
        feeds = {name: _not_empty(each) for name, each in given.items()}
        found = self._session(()).run(None, {INPUT: _not_empty(batch), **feeds})
        output, *new = (each[: len(batch)] for each in found)
        return output, dict(zip(given, new, strict=True))

    def _batch(self, inputs: ArrayLike) -> Array:
        """Return a batch in the dtype of the graph.

        ONNX Runtime ends the process at an empty one, and takes a negative token for one counted
        from the last.
        """
        batch, entrance = _as_array(inputs), self.proto.graph.input[0]
        # An open number of steps is 0.
        sizes = shape(entrance)[1:]
        fits = batch.ndim == 1 + len(sizes) and all(
            found == size if size else found > 0
            for found, size in zip(batch.shape[1:], sizes, strict=True)
        )
        if not fits:
            wanted = ", ".join("steps > 0" if size == 0 else str(size) for size in sizes)
            raise UsageError(f"expected (batch, {wanted}), received {batch.shape}")
        if entrance.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
            return _numbers(batch, "features")
        if batch.dtype.kind not in "iu":
            raise UsageError(f"expected integers as tokens, received {brief(batch.dtype)}")
        tables = (each.input[0] for each in self.proto.graph.node if each.op_type == "Gather")
        vocabulary = next(len(self.weights[each]) for each in tables if each in self.weights)
        wrong = batch[(batch < 0) | (batch >= vocabulary)]
        if wrong.size:
            raise UsageError(f"expected tokens from 0 to {vocabulary - 1}, received {wrong[0]}")
        return batch.astype(np.int64)

    def _given(self, states: Mapping[str, ArrayLike] | None, rows: int) -> dict[str, Array]:
        """Return the states before a chunk of a number of rows."""
        shapes = {name: (rows, size) for name, size in self.states.items()}
        if not states:
            return {name: np.zeros(each, np.float32) for name, each in shapes.items()}
        if set(states) != set(shapes):
            names = brief(", ".join(states))
            raise UsageError(f"states: expected {', '.join(shapes)}, received {names}")
        given = {name: _numbers(_as_array(states[name]), name) for name in shapes}
        for name, wanted in shapes.items():
            if given[name].shape != wanted:
                raise UsageError(
                    f"{name}: expected the shape {wanted}, received {given[name].shape}"
                )
        return given

    def __reduce__(self) -> tuple[Any, ...]:
        # Neither the class nor a session can be pickled or copied.
        weights = {name: values.copy() for name, values in self.weights.items()}
        return model_of, (type(self).__module__, self.proto.SerializeToString(), weights)

    def run(self, names: tuple[str, ...], inputs: Array) -> list[Array]:
        """Return the values of a graph with these names for a batch, and then its output."""
        results: list[Array] = self._session(names).run(None, {INPUT: self._batch(inputs)})
        return [*results[1:], results[0]]

    def forget(self) -> None:
        """Compute with the weights as they are now, from the next call on."""
        self._sessions.clear()

    def to_proto(self) -> onnx.ModelProto:
        """Return the graph with its weights as initializers."""
        made = onnx.ModelProto()
        made.CopyFrom(self.proto)
        del made.graph.value_info[:]
        held = [numpy_helper.from_array(values, name) for name, values in self.weights.items()]
        constants = list(made.graph.initializer)
        del made.graph.initializer[:]
        made.graph.initializer.extend([*held, *constants])
        return made

    def _session(self, names: tuple[str, ...]) -> Any:
        if names not in self._sessions:
            made = self.to_proto()
            made.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
            options = onnxruntime.SessionOptions()
            options.log_severity_level = _FATAL
            self._sessions[names] = onnxruntime.InferenceSession(
                made.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        return self._sessions[names]

    @property
    def states(self) -> dict[str, int]:
        """The sizes of the states by name, none if the model is not in step form."""
        given = (each for each in self.proto.graph.input if each.name != INPUT)
        return {each.name: shape(each)[-1] for each in given}

    @property
    def values(self) -> set[str]:
        """The names of all values that nodes of the graph return."""
        return {name for node in self.proto.graph.node for name in node.output}

    @property
    def frozen(self) -> set[str]:
        """The names of the weights that training leaves alone."""
        words = (each.key.split(" ") for each in self.proto.metadata_props)
        return {key[1] for key in words if key[0] == "frozen"}

    def used(self, name: str) -> Iterator[Array]:
        """Yield a weight, or the halves of a bias that count."""
        halves = _halves(self.proto, name)
        if not halves:
            yield self.weights[name]
        yield from (arrays.half(self.weights[name], each) for each in halves)


def _as_array(value: ArrayLike) -> Array:
    """Return lists, or a tensor of a framework, as an array of NumPy."""
    try:
        return np.asarray(value)
    except Exception as error:  # a framework may raise anything
        raise UsageError(
            f"expected an array, received {received(value)}: {brief(error)}"
        ) from error


def _numbers(array: Array, name: str) -> Array:
    kind = array.dtype.kind
    # The dtypes of ml_dtypes, such as bfloat16, have the kind V, as void does.
    if kind not in "biuf" and (kind != "V" or array.dtype.type is np.void):
        raise UsageError(f"expected numbers as {name}, received {brief(array.dtype)}")
    return array.astype(np.float32)


def _not_empty(array: Array) -> Array:
    """Return an array, or a single row of zeros in place of none: see ``_batch``."""
    return array if len(array) else np.zeros((1, *array.shape[1:]), array.dtype)


def _halves(proto: onnx.ModelProto, name: str) -> tuple[str, ...]:
    """Return the halves of a fused layer's bias that are parameters, none for another array."""
    for node in proto.graph.node:
        if node.op_type in ("RNN", "LSTM", "GRU") and len(node.input) > 3 and node.input[3] == name:
            # In the other cells both biases act as their sum, and the second one is zero.
            after = any(each.name == "linear_before_reset" and each.i for each in node.attribute)
            return ("Wb", "Rb") if after else ("Wb",)
    return ()


def model_of(module: str, content: bytes, weights: dict[str, Array]) -> OnnxModel:
    """Return a model of a class of its own, by whose module copies of it are known."""
    class_ = type(OnnxModel.__name__, (OnnxModel,), {"__module__": module})
    model: OnnxModel = class_(onnx.ModelProto.FromString(content), weights)
    return model


def shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Return the sizes of the axes of a value."""
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
