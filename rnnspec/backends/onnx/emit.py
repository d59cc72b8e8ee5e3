"""IR -> ONNX source: one graph in ONNX's textual syntax."""

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
from rnnspec.backends.onnx.layers import Layers, with_final_state
from rnnspec.backends.onnx.slots import (
    FORM,
    INPUT,
    LEAST_STEPS,
    NAMED,
    after,
    stepwise_reason,
    weights,
)
from rnnspec.backends.onnx.verbs import depends_on_length
from rnnspec.errors import Refusal, listed
from rnnspec.ir import cells, nodes, text
from rnnspec.ir.equations import Equations
from rnnspec.ir.expand import FIELDS
from rnnspec.ir.fields import Fields
from rnnspec.ir.forms import State, states
from rnnspec.ir.notation import describe
from rnnspec.ir.params import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.backends.contract import SourceOptions
    from rnnspec.backends.onnx.graph import Dims
    from rnnspec.ir.forms import Form

OPSET, IR_VERSION = 18, 8
"""The first opset in which all of it can be said, and the oldest version of files for it."""

_MOST_BYTES = 2**31 - 2**24
"""A protocol buffer holds less than 2 GiB; a part is left for the graph, of up to 2,000 layers."""

_WIDTH = 80
"""The most characters of a line of equations."""

_STEP_SUMMARY = (
    "A chunk of steps. The states before the first chunk are zeros, and each NAME_next is given as "
    "NAME with the next chunk."
)
"""The documentation in a file in step form."""


_FINAL_STATE = Fields("Node.source Pooling.backward")


def source_fields(
    network: nodes.Network, node: nodes.Layer | nodes.Network, form: Form
) -> Iterator[Fields]:
    """Yield the tables of the fields that the source of a node is written from."""
    match node:
        case nodes.Network():
            yield Fields("Network.outputs")
        case nodes.Recurrent():
            # A fused operator is written only if it stands for all fields.
            if stepwise_reason(node):
                yield cells.FIELDS
            if form != "step" and node.name in with_final_state(network):
                yield _FINAL_STATE
        case nodes.Pooling(statistic="last") if form != "step":
            yield _FINAL_STATE
        case _:
            yield FIELDS


def emit(network: nodes.Network, form: Form, _options: SourceOptions) -> GraphSource:
    """Return the source of a network: a graph named after it, without its weights."""
    builder, stepped = Builder(), form == "step"
    Layers(builder, network, stepped=stepped).add()
    arrays, least = weights(network), nodes.least_steps(network)
    network_states = states(network) if stepped else ()
    tokens = network.input if isinstance(network.input, nodes.TokenInput) else None
    graph = Graph(
        name=network.name,
        inputs=(
            _input_value(network.input),
            *(_state_value(state, state.name) for state in network_states),
        ),
        outputs=(
            *_output_values(network),
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
            *_describe_cells(network),
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
            *(((NAMED, "true"),) if network.outputs else ()),
            # ONNX Runtime pools a part of a window too.
            *(((LEAST_STEPS, str(least)),) if network.input.steps is None and least > 1 else ()),
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


def _output_values(network: nodes.Network) -> Iterator[Value]:
    windows = (
        layer.window
        for layer in network.layers
        if isinstance(layer, nodes.Conv | nodes.WindowPooling)
    )
    # ONNX Runtime takes axes of one name for equal.
    steps = "steps" if all(window.keeps_steps for window in windows) else "output_steps"
    for name, layer in network.results.items():
        dims = (steps if size is None else size for size in layer.output)
        yield Value("float", ("batch", *dims), name or layer.name)


def _state_value(state: State, name: str) -> Value:
    return Value("float", ("batch", *state.shape), name)


def _describe_states(network: nodes.Network) -> Iterator[str]:
    """Yield comment lines about the states and their shapes."""
    yield "States by name, zeros before the first chunk; each has an output NAME_next:"
    for state in states(network):
        yield f"- {state.name}: ({', '.join(map(str, ('batch', *state.shape)))})"


def _describe_cells(network: nodes.Network) -> Iterator[str]:
    """Yield comment lines with the equations of cells, each with the layers that have it."""
    layers_of = dict[Equations, list[str]]()
    for layer in network.layers:
        if isinstance(layer, nodes.Recurrent) and isinstance(layer.cell, nodes.EquationCell):
            layers_of.setdefault(layer.cell.equations, []).append(layer.name)
    for equations, names in layers_of.items():
        yield f"Equations of {listed(names)}:"
        yield from (f"- {line}" if line[0] != " " else line for line in describe(equations, _WIDTH))


def refusals(network: nodes.Network, form: Form) -> tuple[Refusal, ...]:
    """Return a refusal if the arrays are too large for one file, and of some windows.

    In step form, no layer can have the name of an output.
    """
    others = _taken_names(network) if form == "step" else _padded_windows(network)
    return (*_too_large(network), *others)


def _padded_windows(network: nodes.Network) -> Iterator[Refusal]:
    """Yield a refusal of each padding that depends on a length that auto_pad cannot find."""
    for layer in network.layers:
        if not isinstance(layer, nodes.Conv | nodes.WindowPooling):
            continue
        window = layer.window
        if not depends_on_length(window, layer.input[0]):
            continue
        # ONNX Runtime refuses the first, and takes negative padding in the second.
        if window.dilation > 1:
            reason = "in ONNX Runtime, no 'auto_pad' has a dilation"
        elif window.stride > window.size:
            reason = "in ONNX Runtime, 'auto_pad' is wrong for a stride longer than the window"
        else:
            continue
        reason = f"{reason}, and padding: same depends on the length; set 'input.length'"
        yield Refusal(layer.name, "padding", reason)


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
    """Yield a refusal of each name that something else has in step form."""
    owners = {after(state.name): state.layer for state in states(network)}
    arrays = {name for name, *_ in weights(network)}
    for layer in network.layers:
        if owner := owners.get(layer.name):
            reason = f"in step form, the next state of {owner} has this name"
            yield Refusal(layer.name, "name", reason)
    for state in states(network):
        if state.name in owners or {state.name, after(state.name)} & arrays:
            reason = f"in step form, no other value can have the name of its state {state.name}"
            yield Refusal(state.layer, "type", reason)


def stepwise(network: nodes.Network) -> dict[str, str]:
    """Return the layers that run step by step, and the key that no fused operator can honour."""
    recurrent = [layer for layer in network.layers if isinstance(layer, nodes.Recurrent)]
    return {layer.name: reason for layer in recurrent if (reason := stepwise_reason(layer))}


EMITTER = Emitter(emit=emit, fields=source_fields, refusals=refusals, stepwise=stepwise)
