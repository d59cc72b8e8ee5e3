"""The initializers of Keras."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, assert_never

from rnnspec.ir import initializers, nodes
from rnnspec.source.code import code

if TYPE_CHECKING:
    from rnnspec.source.code import Code

_EMBEDDING = initializers.Uniform(0.05)
_RECURRENT = initializers.Orthogonal()
_OTHERS: dict[str, Any] = {
    "kernel_initializer": initializers.GlorotUniform(),
    "bias_initializer": initializers.Constant(0.0),
}


def initialize_by_default(network: nodes.Network) -> nodes.Network:
    """Return a network with the initializers that Keras uses if none are named."""

    def initialize_layer(layer: nodes.Layer) -> nodes.Layer:
        match layer:
            case nodes.Embedding():
                return replace(layer, initializer=_EMBEDDING)
            case nodes.Recurrent(cell=nodes.LSTM() as cell):
                cell = replace(cell, forget_bias=1.0)
                return replace(layer, cell=cell, recurrent_initializer=_RECURRENT, **_OTHERS)
            case nodes.Recurrent(cell=nodes.EquationCell()):
                return layer
            case nodes.Recurrent():
                return replace(layer, recurrent_initializer=_RECURRENT, **_OTHERS)
            case nodes.Dense() | nodes.Conv() | nodes.AttentionPooling():
                return replace(layer, **_OTHERS)
            case _:
                return layer

    return replace(network, layers=tuple(map(initialize_layer, network.layers)))


def embedding_initializer(initializer: initializers.Initializer) -> Code | str:
    """Return the argument for the initializer of an embedding."""
    # Keras resolves "uniform" to RandomUniform with its default bounds, U(-0.05, 0.05).
    return "uniform" if initializer == _EMBEDDING else make_initializer(initializer)


def make_initializer(initializer: initializers.Initializer) -> Code | str:
    """Return the argument for an initializer: its name in Keras, or an object."""
    match initializer:
        case initializers.GlorotUniform():
            return "glorot_uniform"
        case initializers.HeUniform():
            return "he_uniform"
        case initializers.LecunUniform():
            return "lecun_uniform"
        case initializers.Orthogonal():
            return "orthogonal"
        case initializers.Uniform(limit):
            return code("keras.initializers.RandomUniform(minval={!r}, maxval={!r})", -limit, limit)
        case initializers.Normal(stddev):
            return code("keras.initializers.RandomNormal(mean=0.0, stddev={!r})", stddev)
        case initializers.Constant(value):
            constant = code("keras.initializers.Constant(value={!r})", value)
            return {0.0: "zeros", 1.0: "ones"}.get(value, constant)
        case _:
            assert_never(initializer)
