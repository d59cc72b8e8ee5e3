"""The nodes of each layer. Inside the graph sequences are (steps, batch, features)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.onnx.activations import activated
from rnnspec.backends.onnx.cells import fused, stepwise_reason
from rnnspec.backends.onnx.names import INPUT, array
from rnnspec.backends.onnx.padding import LOWEST, moved
from rnnspec.backends.onnx.scan import scanned
from rnnspec.backends.onnx.steps import fused_chunk, pooled_chunk
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.backends.onnx.graph import Builder
    from rnnspec.backends.onnx.padding import Padding

_SEQUENCE = 2
"""The rank of the shape of one sample that is a sequence."""


@dataclass(slots=True)
class _Chain:
    """The value that the next layer reads, as layers are added to the graph."""

    into: Builder
    x: str
    padding: Padding | None
    starts: dict[str, str]
    stepped: bool


def add_layers(into: Builder, network: nodes.Network, *, stepped: bool) -> None:
    """Add all nodes of a network; the last one has the name of the last layer.

    If ``stepped`` is true, it takes a chunk of steps and the states before it.
    """
    chain = _entered(into, network, stepped=stepped)
    into.block()
    for layer in network.layers:
        chain.x = _layer(chain, layer)
    if len(network.output) == _SEQUENCE:
        # The name of the last layer is that of the output, which has other axes.
        chain.x = into.rename(layer.name, array(layer.name, "Steps"))
        into.block()
        _left(chain, network, layer.name)


def _entered(into: Builder, network: nodes.Network, *, stepped: bool) -> _Chain:
    tokens = isinstance(network.input, nodes.TokenInput)
    order = (1, 0) if tokens else (1, 0, 2)
    into.block(f"Inside, sequences are (steps, batch{'' if tokens else ', features'}).")
    x = into.add("Steps", "Transpose", INPUT, perm=order)
    padding = None
    if network.input.masked:
        x, padding = moved(into, network.input, x)
    return _Chain(into, x, padding, _starts(network, x), stepped)


def _starts(network: nodes.Network, x: str) -> dict[str, str]:
    """Return the value that enters each layer."""
    entered = (x, *(layer.name for layer in network.layers))
    return {layer.name: value for layer, value in zip(network.layers, entered, strict=False)}


def _left(chain: _Chain, network: nodes.Network, name: str) -> None:
    """Return to (batch, steps, features), with each step in its place."""
    x = chain.x
    if network.pads:
        assert chain.padding is not None
        x = chain.padding.back(name, x)
    chain.into.add(name, "Transpose", x, perm=(1, 0, 2))


def _layer(chain: _Chain, layer: nodes.Layer) -> str:
    """Add the nodes of a layer, and return the name of its output, which is that of the layer."""
    into, x, name = chain.into, chain.x, layer.name
    match layer:
        case nodes.Embedding():
            return into.add(name, "Gather", array(name, "W"), x)
        case nodes.Recurrent():
            return _recurrent(chain, layer)
        case nodes.Repeat():
            return _repeat(into, layer, x)
        case nodes.LayerNorm():
            scale, bias = array(name, "Scale"), array(name, "B")
            return into.add(name, "LayerNormalization", x, scale, bias, epsilon=layer.epsilon)
        case nodes.Residual():
            return into.add(name, "Add", x, chain.starts[layer.start])
        case nodes.Dropout():
            raise AssertionError("networks for inference have no dropout")
        case nodes.Pooling():
            return _pooling(chain, layer)
        case nodes.Dense():
            return _dense(into, layer, x)
        case nodes.Normalize():
            return _normalize(into, name, x)
        case _:
            assert_never(layer)


def _recurrent(chain: _Chain, layer: nodes.Recurrent) -> str:
    padding = chain.padding if layer.masked else None
    if stepwise_reason(layer):
        real = "" if padding is None else padding.steps()
        return scanned(chain.into, layer, chain.x, real, stepped=chain.stepped)
    if chain.stepped:
        return fused_chunk(chain.into, layer, chain.x, padding)
    return fused(chain.into, layer, chain.x, "" if padding is None else padding.lengths)


def _repeat(into: Builder, layer: nodes.Repeat, x: str) -> str:
    once = into.add(array(layer.name, "Once"), "Unsqueeze", x, into.integers("Axis_0", 0))
    shape = into.integers(f"Repeat_{layer.steps}", layer.steps, 1, 1)
    return into.add(layer.name, "Expand", once, shape)


def _dense(into: Builder, layer: nodes.Dense, x: str) -> str:
    name, plain = layer.name, layer.activation == "linear"
    kernel, bias = array(name, "W"), array(name, "B")
    sequence = len(layer.input) == _SEQUENCE
    product = array(name, "Product") if layer.bias and sequence else ""
    total = name if plain else array(name, "Sum")
    if not sequence and layer.bias:
        into.add(total, "Gemm", x, kernel, bias)
    else:
        into.add(product or total, "MatMul", x, kernel)
        if product:
            into.add(total, "Add", product, bias)
    return name if plain else activated(into, name, total, layer.activation)


def _normalize(into: Builder, name: str, x: str) -> str:
    last = into.integers("Axis_last", -1)
    norm = into.add(array(name, "Norm"), "ReduceL2", x, last)
    # LpNormalization has no such limit.
    least = into.scalar("Least_Norm", 1e-12)
    limited = into.add(array(name, "Limited"), "Max", norm, least)
    return into.add(name, "Div", x, limited)


def _pooling(chain: _Chain, layer: nodes.Pooling) -> str:
    into, name = chain.into, layer.name
    match layer.statistic:
        case "mean" | "max" if chain.stepped:
            return pooled_chunk(into, layer, chain.x, chain.padding if layer.masked else None)
        case "mean" if layer.masked:
            return _masked_mean(chain, name)
        case "mean":
            return into.add(name, "ReduceMean", chain.x, into.integers("Axis_0", 0), keepdims=0)
        case "max" if layer.masked:
            return _masked_max(chain, name)
        case "max":
            return into.add(name, "ReduceMax", chain.x, into.integers("Axis_0", 0), keepdims=0)
        case "last_step":
            return into.add(name, "Gather", chain.x, into.scalar("Last", -1), axis=0)
        case _:
            assert_never(layer.statistic)


def _masked_mean(chain: _Chain, name: str) -> str:
    into, padding = chain.into, chain.padding
    assert padding is not None
    zero, least = into.scalar("Zero", 0.0), into.scalar("Least", 1.0)
    kept = into.add(array(name, "Kept"), "Where", padding.steps(), chain.x, zero)
    total = into.add(
        array(name, "Total"), "ReduceSum", kept, into.integers("Axis_0", 0), keepdims=0
    )
    steps = into.add(array(name, "Steps"), "Max", padding.count(), least)
    return into.add(name, "Div", total, steps)


def _masked_max(chain: _Chain, name: str) -> str:
    into, padding = chain.into, chain.padding
    assert padding is not None
    zero, lowest = into.scalar("Zero", 0.0), into.scalar("Lowest", LOWEST)
    kept = into.add(array(name, "Kept"), "Where", padding.steps(), chain.x, lowest)
    highest = into.add(
        array(name, "Highest"), "ReduceMax", kept, into.integers("Axis_0", 0), keepdims=0
    )
    # A sequence of padding alone gives zeros.
    exists = into.add(array(name, "Exists"), "Greater", padding.count(), zero)
    return into.add(name, "Where", exists, highest, zero)
