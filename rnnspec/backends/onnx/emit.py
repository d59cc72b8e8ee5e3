"""IR -> ONNX source: one graph in ONNX's textual syntax."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.onnx.cells import stepwise_reason
from rnnspec.backends.onnx.graph import Builder, Graph, GraphSource, Value
from rnnspec.backends.onnx.layers import add_layers
from rnnspec.backends.onnx.names import INPUT
from rnnspec.backends.onnx.slots import weights
from rnnspec.backends.onnx.steps import (
    SUMMARY,
    described_states,
    given_states,
    new_states,
    step_metadata,
    taken_names,
)
from rnnspec.errors import Refusal
from rnnspec.ir import nodes, text
from rnnspec.ir.params import count

if TYPE_CHECKING:
    from rnnspec.backends.contract import Stock
    from rnnspec.backends.onnx.graph import Dims
    from rnnspec.ir.forms import Form

OPSET, IR_VERSION = 18, 8
"""The first opset in which all of it can be said, and the oldest version of files for it."""

_MOST_BYTES = 2**31 - 2**24
"""A protocol buffer holds less than 2 GiB; a part is left for the graph, of up to 2,000 layers."""


def emit(network: nodes.Network, form: Form) -> GraphSource:
    """Return the source of a network: a graph named after it, without its weights."""
    builder, stepped = Builder(), form == "step"
    add_layers(builder, network, stepped=stepped)
    held = weights(network)
    graph = Graph(
        name=network.name,
        inputs=(_input(network.input), *(given_states(network) if stepped else ())),
        outputs=(_output(network), *(new_states(network) if stepped else ())),
        blocks=builder.done(),
        weights=tuple(Value("float", shape, name) for name, shape, _ in held),
        constants=tuple(builder.constants.values()),
    )
    return GraphSource(
        title=text.title(network),
        comment=text.comment(network),
        docstring=(
            *text.signature(network, chunks=stepped),
            *(described_states(network) if stepped else ()),
        ),
        entry=network.name,
        graph=graph,
        summary=SUMMARY if stepped else "",
        metadata=(
            *((f"frozen {name}", "true") for name, _, trainable in held if not trainable),
            *(step_metadata(network) if stepped else ()),
        ),
        opset=OPSET,
        ir_version=IR_VERSION,
    )


def _input(network_input: nodes.Input) -> Value:
    dims = ("batch", *_dims(network_input.shape))
    match network_input:
        case nodes.TokenInput():
            return Value("int64", dims, INPUT)
        case nodes.NumericInput():
            return Value("float", dims, INPUT)
        case _:
            assert_never(network_input)


def _output(network: nodes.Network) -> Value:
    return Value("float", ("batch", *_dims(network.output)), network.layers[-1].name)


def _dims(shape: nodes.Shape) -> Dims:
    return tuple("steps" if size is None else size for size in shape)


def refusals(network: nodes.Network, form: Form) -> tuple[Refusal, ...]:
    """Return a refusal if the arrays are too large for one file: every key can be honoured.

    In step form, no layer can have the name of an output.
    """
    return (*_too_large(network), *(taken_names(network) if form == "step" else ()))


def _too_large(network: nodes.Network) -> tuple[Refusal, ...]:
    # Not the number of parameters, which has no second biases.
    size = 4 * sum(prod(shape) for _, shape, _ in weights(network))
    if size < _MOST_BYTES:
        return ()
    largest = max(network.layers, key=count)
    key = "vocabulary" if isinstance(largest, nodes.Embedding) else "units"
    reason = (
        f"the arrays have {size / 2**30:.1f} GiB together, and an ONNX file holds less than 2 GiB"
    )
    return (Refusal(largest.name, key, reason),)


def arranged(network: nodes.Network, form: Form) -> nodes.Network:  # noqa: ARG001
    """Return the network as it is: each layer has an operator of its own."""
    return network


def stepwise(network: nodes.Network) -> dict[str, str]:
    """Return the layers that run step by step, and the key that no fused operator can honour."""
    recurrent = [layer for layer in network.layers if isinstance(layer, nodes.Recurrent)]
    return {each.name: reason for each in recurrent if (reason := stepwise_reason(each))}


def stock(network: nodes.Network) -> tuple[Stock, ...]:  # noqa: ARG001
    """Return no layers: the second bias of an operator is zero, and no parameter."""
    return ()
