"""The method ``reset_parameters``, which initializes every array as the spec says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.expressions import (
    Attribute,
    Binary,
    Call,
    Evaluate,
    Expression,
    For,
    Function,
    If,
    Index,
    Items,
    Name,
    Statement,
)
from rnnspec.backends.torch.plan import plan_of
from rnnspec.backends.torch.slots import module, slots
from rnnspec.ir import initializers, nodes
from rnnspec.ir.params import Param, params

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rnnspec.slots import Slot


def reset_parameters(network: nodes.Network) -> Function:
    """Return the method with a loop over the modules and a branch for each class."""
    kinds, others = _kinds(network)
    own = [_loop(f"self.{module(kind.layer)}", [kind]) for kind in others]
    return Function(
        name="reset_parameters",
        arguments="self",
        returns="None",
        docstring=(_docstring(kinds),),
        body=(_loop("self", kinds), *own),
    )


@dataclass(frozen=True, slots=True)
class _Array:
    """An array of a layer, and where it is kept."""

    param: Param
    slot: Slot

    @property
    def name(self) -> str:
        """Its name within a direction."""
        return self.param.name.rpartition(".")[2]

    def is_drawn_like(self, other: _Array) -> bool:
        """Return true if both have the same initializer and the same gate values."""
        mine, its = self.param, other.param
        return (mine.initializer, mine.gate_values) == (its.initializer, its.gate_values)

    def fills(self, array: Expression) -> Iterator[Statement]:
        """Yield the statements that draw it: all of it, then the gates that start at a constant."""
        yield Evaluate(_fill(array, self.param.initializer))
        for gate, value in self.param.gate_values:
            constant = initializers.Constant(value)
            if self.param.initializer != constant:
                # chunk returns views, so filling one writes into the array.
                gates = Call(Attribute(array, "chunk"), (len(self.slot.gates),))
                yield Evaluate(_fill(Index(gates, self.slot.gates.index(gate)), constant))


@dataclass(frozen=True, slots=True)
class _Kind:
    """Layers of one class whose arrays are drawn alike.

    ``layer`` is the first of them, and ``drawn`` has their arrays by name within a direction;
    ``partly`` is true if some lack an array that others have.
    """

    class_: str
    layer: nodes.Layer
    drawn: Mapping[str, _Array] = field(default_factory=dict)
    partly: bool = False

    def with_arrays(self, own: Mapping[str, _Array]) -> _Kind | None:
        """Return the kind with the arrays of another layer, None if they are drawn differently."""
        common = self.drawn.keys() & own.keys()
        if any(not self.drawn[name].is_drawn_like(own[name]) for name in common):
            return None
        partly = self.partly or bool(self.drawn and self.drawn.keys() != own.keys())
        return _Kind(self.class_, self.layer, {**self.drawn, **own}, partly)


def _kinds(network: nodes.Network) -> tuple[list[_Kind], list[_Kind]]:
    """Return the kind of each class, and one for each layer that is drawn differently."""
    kinds: dict[str, _Kind] = {}
    others: list[_Kind] = []
    for layer in network.layers:
        arrays = map(_Array, params(layer), slots(layer))
        if own := {array.name: array for array in arrays}:
            fresh = _Kind(_class(layer), layer)
            taken = kinds.get(fresh.class_, fresh).with_arrays(own)
            if taken:
                kinds[fresh.class_] = taken
            else:
                others.append(_Kind(fresh.class_, layer, own))
    return list(kinds.values()), others


def _class(layer: nodes.Layer) -> str:
    match layer:
        case nodes.Recurrent():
            return plan_of(layer).class_
        case nodes.Embedding():
            return "nn.Embedding"
        case nodes.Dense():
            return "nn.Linear"
        case nodes.LayerNorm():
            return "nn.LayerNorm"
        case (
            nodes.Dropout()
            | nodes.Pooling()
            | nodes.Repeat()
            | nodes.Residual()
            | nodes.Normalize()
        ):
            raise AssertionError(f"{layer.name} holds no array")
        case _:
            assert_never(layer)


def _docstring(kinds: list[_Kind]) -> str:
    if any(array.param.gate_values for kind in kinds for array in kind.drawn.values()):
        return "Draw the initial weights; LSTM gates are ordered input, forget, cell, output."
    return "Draw the initial weights."


def _loop(scope: str, kinds: list[_Kind]) -> For:
    branches = tuple((_is_one_of(classes), body) for classes, body in _branches(kinds))
    return For("module", Call(Name(f"{scope}.modules")), (If(branches),))


def _branches(kinds: list[_Kind]) -> list[tuple[list[str], tuple[Statement, ...]]]:
    """Group the classes whose arrays the same statements draw, and return both."""
    found: list[tuple[list[str], tuple[Statement, ...]]] = []
    for kind in kinds:
        body = tuple(_body(kind))
        classes = next((classes for classes, other in found if other == body), None)
        if classes is None:
            found.append(([kind.class_], body))
        else:
            classes.append(kind.class_)
    # isinstance accepts subclasses too: SingleBiasLSTM derives from nn.LSTM, so its branch has to
    # come first.
    bases = {kind.class_.replace("SingleBias", "nn.") for kind in kinds if "Single" in kind.class_}
    return sorted(found, key=lambda branch: not bases.isdisjoint(branch[0]))


def _is_one_of(classes: list[str]) -> Call:
    names = tuple(map(Name, classes))
    wanted = names[0] if len(names) == 1 else Items(names, fixed=True)
    return Call(Name("isinstance"), (Name("module"), wanted))


def _body(kind: _Kind) -> Iterator[Statement]:
    """Yield the statements that draw the arrays of ``module``."""
    if isinstance(kind.layer, nodes.Recurrent) and plan_of(kind.layer).is_fused:
        yield _fused(kind)
        return
    for name, array in kind.drawn.items():
        held = Name(f"module.{array.slot.path.rpartition('.')[2]}")
        fills = tuple(array.fills(held))
        # nn.Linear without a bias has the attribute, with the value None.
        if name == "bias" and kind.partly:
            yield If(((Binary(held, "is not", None), fills),))
        else:
            yield from fills


def _fused(kind: _Kind) -> For:
    """Return the loop over the layers and directions of a stock module."""
    arrays = dict(kind.drawn)
    if isinstance(kind.layer, nodes.Recurrent) and isinstance(kind.layer.cell, nodes.GRU):
        # A GRU has two biases with the same initializer, or none.
        biases = [arrays.pop(name) for name in tuple(arrays) if name.endswith("bias")]
        if biases:
            each = For("bias", Name("biases"), tuple(biases[0].fills(Name("bias"))))
            return For((*arrays, "*biases"), _WEIGHTS, (*_all_fills(arrays), each))
    # all_weights also lists the second bias, which is a buffer of zeros here.
    zeros = ("_",) if kind.class_.startswith("SingleBias") else ()
    return For((*arrays, *zeros), _WEIGHTS, _all_fills(arrays))


_WEIGHTS = Name("module.all_weights")


def _all_fills(arrays: Mapping[str, _Array]) -> tuple[Statement, ...]:
    return tuple(fill for name, array in arrays.items() for fill in array.fills(Name(name)))


def _fill(array: Expression, initializer: initializers.Initializer) -> Call:
    # PyTorch reads the fan out from axis 0 and the fan in from axis 1. Its kernels are transposed
    # canonical ones, with all gates on one axis, so both fans are those of Keras.
    match initializer:
        case initializers.GlorotUniform():
            return _init("xavier_uniform_", array)
        # The bound is gain * sqrt(3 / fan in), with a gain of sqrt(2) for relu and 1 for linear.
        # Source: https://docs.pytorch.org/docs/stable/nn.init.html.
        case initializers.HeUniform():
            return _init("kaiming_uniform_", array, nonlinearity="relu")
        case initializers.LecunUniform():
            return _init("kaiming_uniform_", array, nonlinearity="linear")
        # Over all gates together, as in Keras, not gate by gate.
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
