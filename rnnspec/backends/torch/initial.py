"""The method ``reset_parameters``: every array drawn from what the spec says, gate by gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.base import (
    Assign,
    Call,
    Evaluate,
    Expression,
    Function,
    Index,
    Name,
    Statement,
)
from rnnspec.backends.torch.slots import module, slots
from rnnspec.ir import initializers, nodes
from rnnspec.ir.params import Param, params

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.layout import Slot


def reset_parameters(network: nodes.Network) -> Function:
    """Return the method that draws fresh weights."""
    drawn = [statement for layer in network.layers for statement in _layer(layer)]
    weights = Call(Name("dict"), (Call(Name("self.named_parameters")),))
    return Function(
        name="reset_parameters",
        arguments="self",
        returns="None",
        docstring=(_docstring(network),),
        body=(Assign("weights", weights), *drawn),
    )


def _docstring(network: nodes.Network) -> str:
    gated = any(
        isinstance(layer, nodes.Recurrent) and layer.bias and isinstance(layer.cell, nodes.LSTM)
        for layer in network.layers
    )
    if gated:
        return "Draw fresh weights; an LSTM's gates lie as input, forget, cell, output."
    return "Draw fresh weights."


def _layer(layer: nodes.Layer) -> Iterator[Statement]:
    for param, slot in zip(params(layer), slots(layer), strict=True):
        array = Index(Name("weights"), f"{module(layer)}.{slot.path}")
        yield Evaluate(_fill(array, param.initializer))
        for gate, value in param.gate_values:
            if param.initializer != initializers.Constant(value):
                yield Evaluate(_fill(_gate(array, param, slot, gate), initializers.Constant(value)))


def _gate(array: Expression, param: Param, slot: Slot, gate: str) -> Expression:
    size = dict(param.sizes)["out"]
    start = slot.gates.index(gate) * size
    return Index(array, slice(start, start + size))


def _fill(array: Expression, initializer: initializers.Initializer) -> Call:
    match initializer:
        case initializers.GlorotUniform():
            return _init("xavier_uniform_", array)
        case initializers.HeUniform():
            return _init("kaiming_uniform_", array, nonlinearity="relu")
        case initializers.LecunUniform():
            return _init("kaiming_uniform_", array, nonlinearity="linear")
        case initializers.Orthogonal():
            return _init("orthogonal_", array)
        case initializers.Uniform(limit):
            return _init("uniform_", array, -limit, limit)
        case initializers.Normal(stddev):
            return _init("normal_", array, 0.0, stddev)
        case initializers.Constant(0.0):
            return _init("zeros_", array)
        case initializers.Constant(1.0):
            return _init("ones_", array)
        case initializers.Constant(value):
            return _init("constant_", array, value)
        case _:
            assert_never(initializer)


def _init(function: str, *positional: Expression, **named: Expression) -> Call:
    return Call(Name(f"nn.init.{function}"), positional, tuple(named.items()))
