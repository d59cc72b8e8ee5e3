"""IR -> ONNX source: one graph in ONNX's textual syntax.

Inside the graph, sequences are (steps, batch, features).
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.contract import Emitter
from rnnspec.backends.onnx.graph import (
    Builder,
    Graph,
    GraphSource,
    Value,
    write_body,
    write_signature,
)
from rnnspec.backends.onnx.recurrent import FLOAT, Padding, add_recurrent, move_to_front
from rnnspec.backends.onnx.slots import FORM, INPUT, after, array, stepwise_reason, weights
from rnnspec.errors import Refusal
from rnnspec.ir import nodes, text
from rnnspec.ir.forms import State, states, states_of
from rnnspec.ir.params import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.backends.onnx.graph import Dims
    from rnnspec.ir.forms import Form

OPSET, IR_VERSION = 18, 8
"""The first opset in which all of it can be said, and the oldest version of files for it."""

_MOST_BYTES = 2**31 - 2**24
"""A protocol buffer holds less than 2 GiB; a part is left for the graph, of up to 2,000 layers."""

_LOWEST = -3.4028234663852886e38
"""The lowest number of float32, which is no maximum over real steps."""

_SEQUENCE = 2
"""The rank of the shape of one sample that is a sequence."""

_STEP_SUMMARY = (
    "A chunk of steps. The states before the first chunk are zeros, and each NAME_next is given as "
    "NAME with the next chunk."
)
"""The documentation in a file in step form."""


def emit(network: nodes.Network, form: Form) -> GraphSource:
    """Return the source of a network: a graph named after it, without its weights."""
    builder, stepped = Builder(), form == "step"
    _Layers(builder, network, stepped=stepped).add()
    arrays = weights(network)
    network_states = states(network) if stepped else ()
    tokens = network.input if isinstance(network.input, nodes.TokenInput) else None
    graph = Graph(
        name=network.name,
        inputs=(
            _input_value(network.input),
            *(_state_value(state, state.name) for state in network_states),
        ),
        outputs=(
            Value("float", ("batch", *_dims(network.output)), network.layers[-1].name),
            *(_state_value(state, after(state.name)) for state in network_states),
        ),
        blocks=builder.finish(),
    )
    return GraphSource(
        title=text.title(network),
        comment=text.comment(network),
        docstring=(
            *text.signature(network, chunks=stepped),
            *(_describe_states(network) if stepped else ()),
        ),
        entry=network.name,
        signature=write_signature(graph),
        body=write_body(graph),
        weights=tuple(Value("float", shape, name) for name, shape, _ in arrays),
        constants=tuple(builder.constants.values()),
        summary=_STEP_SUMMARY if stepped else "",
        metadata=(
            *((f"frozen {name}", "true") for name, _, trainable in arrays if not trainable),
            *(((FORM, "step"),) if stepped else ()),
            # The type of an input does not tell it, and ONNX Runtime takes a negative token for
            # one from the end of the vocabulary.
            *((("vocabulary", str(tokens.vocabulary)),) if stepped and tokens else ()),
        ),
        opset=OPSET,
        ir_version=IR_VERSION,
    )


def _input_value(network_input: nodes.Input) -> Value:
    dims = ("batch", *_dims(network_input.shape))
    match network_input:
        case nodes.TokenInput():
            return Value("int64", dims, INPUT)
        case nodes.NumericInput():
            return Value("float", dims, INPUT)
        case _:
            assert_never(network_input)


def _dims(shape: nodes.Shape) -> Dims:
    return tuple("steps" if size is None else size for size in shape)


def _state_value(state: State, name: str) -> Value:
    return Value("float", ("batch", state.size), name)


def _describe_states(network: nodes.Network) -> Iterator[str]:
    """Yield comment lines about the states and their shapes."""
    yield "States by name, zeros before the first chunk; each has an output NAME_next:"
    for state in states(network):
        yield f"- {state.name}: (batch, {state.size})"


def refusals(network: nodes.Network, form: Form) -> tuple[Refusal, ...]:
    """Return a refusal if the arrays are too large for one file: every key can be honoured.

    In step form, no layer can have the name of an output.
    """
    return (*_too_large(network), *(_taken_names(network) if form == "step" else ()))


def _too_large(network: nodes.Network) -> Iterator[Refusal]:
    # Not the number of parameters, which has no second biases.
    size = 4 * sum(prod(shape) for _, shape, _ in weights(network))
    if size < _MOST_BYTES:
        return
    largest = max(network.layers, key=count)
    key = "vocabulary" if isinstance(largest, nodes.Embedding) else "units"
    reason = (
        f"the arrays have {size / 2**30:.1f} GiB together, and an ONNX file holds less than 2 GiB"
    )
    yield Refusal(largest.name, key, reason)


def _taken_names(network: nodes.Network) -> Iterator[Refusal]:
    """Yield a refusal of each layer whose output would have the name of a new state."""
    owners = {after(state.name): state.layer for state in states(network)}
    for layer in network.layers:
        if owner := owners.get(layer.name):
            reason = f"in step form, the next state of {owner} has this name"
            yield Refusal(layer.name, "name", reason)


def stepwise(network: nodes.Network) -> dict[str, str]:
    """Return the layers that run step by step, and the key that no fused operator can honour."""
    recurrent = [layer for layer in network.layers if isinstance(layer, nodes.Recurrent)]
    return {layer.name: reason for layer in recurrent if (reason := stepwise_reason(layer))}


class _Layers:
    """The layers of a network, as they are added to the graph.

    If ``stepped`` is true, the graph takes a chunk of steps and the states before it. ``x`` is the
    value that the next layer reads, and ``starts`` are the values that enter each layer.
    """

    def __init__(self, into: Builder, network: nodes.Network, *, stepped: bool) -> None:
        self.into = into
        self.network = network
        self.stepped = stepped
        self.x = INPUT
        self.padding: Padding | None = None
        self.starts: dict[str, str] = {}

    def add(self) -> None:
        """Add all nodes; the last one has the name of the last layer."""
        into, network = self.into, self.network
        tokens = isinstance(network.input, nodes.TokenInput)
        into.block(f"Inside, sequences are (steps, batch{'' if tokens else ', features'}).")
        self.x = into.add("Steps", "Transpose", INPUT, perm=(1, 0) if tokens else (1, 0, 2))
        if network.input.masked:
            self.x, self.padding = move_to_front(into, network.input, self.x)
        inputs = (self.x, *(layer.name for layer in network.layers))
        self.starts = {
            layer.name: value for layer, value in zip(network.layers, inputs, strict=False)
        }
        into.block()
        for layer in network.layers:
            self.x = self._add_layer(layer)
        if len(network.output) == _SEQUENCE:
            # The name of the last layer is that of the output, which has other axes.
            self.x = into.rename(layer.name, array(layer.name, "Steps"))
            into.block()
            if network.pads:
                assert self.padding is not None
                self.x = self.padding.move_back(layer.name, self.x)
            into.add(layer.name, "Transpose", self.x, perm=(1, 0, 2))

    def _add_layer(self, layer: nodes.Layer) -> str:
        """Add the nodes of a layer, and return the name of its output, that of the layer."""
        into, x, name = self.into, self.x, layer.name
        match layer:
            case nodes.Embedding():
                return into.add(name, "Gather", array(name, "W"), x)
            case nodes.Recurrent():
                padding = self.padding if layer.masked else None
                return add_recurrent(into, layer, x, padding, stepped=self.stepped)
            case nodes.Repeat():
                once = into.add(array(name, "Once"), "Unsqueeze", x, into.integers("Axis_0", 0))
                shape = into.integers(f"Repeat_{layer.steps}", layer.steps, 1, 1)
                return into.add(name, "Expand", once, shape)
            case nodes.LayerNorm():
                scale, bias = array(name, "Scale"), array(name, "B")
                return into.add(name, "LayerNormalization", x, scale, bias, epsilon=layer.epsilon)
            case nodes.Residual():
                return into.add(name, "Add", x, self.starts[layer.start])
            case nodes.Dropout():
                raise AssertionError("networks for inference have no dropout")
            case nodes.Pooling():
                return self._add_pooling(layer)
            case nodes.Dense():
                return self._add_dense(layer)
            case nodes.Normalize():
                norm = into.add(array(name, "Norm"), "ReduceL2", x, into.integers("Axis_last", -1))
                # LpNormalization has no such limit.
                least = into.scalar("Least_Norm", 1e-12)
                return into.add(
                    name, "Div", x, into.add(array(name, "Limited"), "Max", norm, least)
                )
            case _:
                assert_never(layer)

    def _add_dense(self, layer: nodes.Dense) -> str:
        into, x, name = self.into, self.x, layer.name
        kernel, bias, plain = array(name, "W"), array(name, "B"), layer.activation == "linear"
        total = name if plain else array(name, "Sum")
        if not layer.bias:
            into.add(total, "MatMul", x, kernel)
        elif len(layer.input) == _SEQUENCE:
            into.add(total, "Add", into.add(array(name, "Product"), "MatMul", x, kernel), bias)
        else:
            into.add(total, "Gemm", x, kernel, bias)
        return name if plain else into.activate(name, total, layer.activation)

    def _add_pooling(self, layer: nodes.Pooling) -> str:
        into, x, name = self.into, self.x, layer.name
        padding = self.padding if layer.masked else None
        match layer.statistic:
            case "mean" if self.stepped:
                return _add_running_mean(into, layer, x, padding)
            case "max" if self.stepped:
                return _add_running_max(into, layer, x, padding)
            case "mean" if padding is not None:
                zero, least = into.scalar("Zero", 0.0), into.scalar("Least", 1.0)
                real = into.add(array(name, "Kept"), "Where", padding.steps(), x, zero)
                total = _reduce_steps(into, array(name, "Total"), "ReduceSum", real)
                steps = into.add(array(name, "Steps"), "Max", padding.count(), least)
                return into.add(name, "Div", total, steps)
            case "mean":
                return _reduce_steps(into, name, "ReduceMean", x)
            case "max" if padding is not None:
                zero, lowest = into.scalar("Zero", 0.0), into.scalar("Lowest", _LOWEST)
                real = into.add(array(name, "Kept"), "Where", padding.steps(), x, lowest)
                highest = _reduce_steps(into, array(name, "Highest"), "ReduceMax", real)
                # A sequence of padding alone gives zeros.
                exists = into.add(array(name, "Exists"), "Greater", padding.count(), zero)
                return into.add(name, "Where", exists, highest, zero)
            case "max":
                return _reduce_steps(into, name, "ReduceMax", x)
            case "last_step":
                return into.add(name, "Gather", x, into.scalar("Last", -1), axis=0)
            case _:
                assert_never(layer.statistic)


def _reduce_steps(into: Builder, name: str, operator: str, x: str) -> str:
    return into.add(name, operator, x, into.integers("Axis_0", 0), keepdims=0)


def _add_running_mean(into: Builder, layer: nodes.Pooling, x: str, padding: Padding | None) -> str:
    """Add the mean over all steps so far, and return its name."""
    name, (total, count) = layer.name, (state.name for state in states_of(layer))
    if padding is not None:
        zero = into.scalar("Zero", 0.0)
        x = into.add(array(name, "Kept"), "Where", padding.steps(), x, zero)
    chunk = _reduce_steps(into, array(name, "Chunk"), "ReduceSum", x)
    total = into.add(after(total), "Add", total, chunk)
    steps = _count_steps(into, name, x, count, padding)
    if padding is not None:
        steps = into.add(array(name, "Least"), "Max", steps, into.scalar("Least", 1.0))
    return into.add(name, "Div", total, steps)


def _add_running_max(into: Builder, layer: nodes.Pooling, x: str, padding: Padding | None) -> str:
    """Add the maximum over all steps so far, and return its name."""
    name, (value, count) = layer.name, (state.name for state in states_of(layer))
    zero, lowest = into.scalar("Zero", 0.0), into.scalar("Lowest", _LOWEST)
    if padding is not None:
        x = into.add(array(name, "Kept"), "Where", padding.steps(), x, lowest)
    chunk = _reduce_steps(into, array(name, "Chunk"), "ReduceMax", x)
    # Before the first real step, the zeros are no maximum.
    begun = into.add(array(name, "Begun"), "Greater", count, zero)
    before = into.add(array(name, "Before"), "Where", begun, value, lowest)
    highest = into.add(array(name, "Highest"), "Max", before, chunk)
    steps = _count_steps(into, name, x, count, padding)
    exists = into.add(array(name, "Exists"), "Greater", steps, zero)
    into.add(after(value), "Where", exists, highest, zero)
    return into.add(name, "Identity", after(value))


def _count_steps(into: Builder, name: str, x: str, count: str, padding: Padding | None) -> str:
    """Add the number of real steps so far, (batch, 1), and return its name."""
    if padding is not None:
        return into.add(after(count), "Add", count, padding.count())
    steps = into.add(array(name, "Steps"), "Shape", x, start=0, end=1)
    number = into.add(array(name, "Steps_Float"), "Cast", steps, to=FLOAT)
    return into.add(after(count), "Add", count, number)


EMITTER = Emitter(emit=emit, refusals=refusals, stepwise=stepwise)
