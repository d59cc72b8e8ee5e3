"""Initializers as arguments of Keras layers, or as statements if there is no argument."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, assert_never

from rnnspec.backends.expressions import Attribute, Call, Evaluate, Expression, Name, Statement
from rnnspec.ir import initializers, nodes
from rnnspec.ir.params import params

if TYPE_CHECKING:
    from collections.abc import Iterator


def by_default(network: nodes.Network) -> nodes.Network:
    """Return ``network`` with the initializers that Keras uses if none are named."""
    return replace(network, layers=tuple(map(_layer_by_default, network.layers)))


def _layer_by_default(layer: nodes.Layer) -> nodes.Layer:
    match layer:
        case nodes.Embedding():
            return replace(layer, initializer=_EMBEDDING)
        case nodes.Recurrent():
            cell = layer.cell
            if isinstance(cell, nodes.LSTM):
                cell = replace(cell, forget_bias=1.0)
            return replace(layer, cell=cell, recurrent_initializer=_RECURRENT, **_OTHERS)
        case nodes.Dense():
            return replace(layer, **_OTHERS)
        case _:
            return layer


_EMBEDDING = initializers.Uniform(0.05)
_RECURRENT = initializers.Orthogonal()
_OTHERS: dict[str, Any] = {
    "kernel_initializer": initializers.GlorotUniform(),
    "bias_initializer": initializers.Constant(0.0),
}


def embedding_initializer(initializer: initializers.Initializer) -> Expression:
    """Return the initializer of an embedding, as an argument of ``keras.layers.Embedding``."""
    # Keras resolves "uniform" to RandomUniform with its default bounds, U(-0.05, 0.05).
    if initializer == _EMBEDDING:
        return "uniform"
    return initializer_of(initializer)


def initializer_of(initializer: initializers.Initializer) -> Expression:
    """Return an initializer as an argument of a Keras layer."""
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
            return _made("RandomUniform", minval=-limit, maxval=limit)
        case initializers.Normal(stddev):
            return _made("RandomNormal", mean=0.0, stddev=stddev)
        case initializers.Constant(value):
            return _constant(value)
        case _:
            assert_never(initializer)


def _constant(value: float) -> Expression:
    words: dict[float, Expression] = {0.0: "zeros", 1.0: "ones"}
    return words.get(value) or _made("Constant", value=value)


def _made(class_: str, **kwargs: Expression) -> Call:
    return Call(Name(f"keras.initializers.{class_}"), (), tuple(kwargs.items()))


def forget_biases(network: nodes.Network) -> Iterator[Statement]:
    """Yield statements for forget biases that no argument of the Keras LSTM can set.

    ``unit_forget_bias`` sets only 1; without it, the forget gate is initialized like the others.
    """
    for layer in network.layers:
        for param in params(layer):
            for _, value in param.gate_values:
                # If all gates start at the same constant, the bias initializer sets it.
                if value != 1.0 and param.initializer != initializers.Constant(value):
                    yield Evaluate(
                        Call(Name("set_forget_bias"), (_lstm(layer.name, param.name), value))
                    )


def _lstm(layer: str, param: str) -> Expression:
    direction, dot, _ = param.rpartition(".")
    found = Call(Name("model.get_layer"), (layer,))
    # Bidirectional holds its two layers as forward_layer and backward_layer.
    return Attribute(found, f"{direction}_layer") if dot else found
