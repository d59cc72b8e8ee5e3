"""The body of ``__init__``: one module for each layer that has state."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.expressions import (
    Assign,
    Attribute,
    Call,
    Entries,
    Evaluate,
    Expression,
    Name,
    Statement,
    call,
)
from rnnspec.backends.torch.classes import (
    CellClass,
    cell_classes,
    recurrent_modules,
    sequences,
    wrapped,
)
from rnnspec.backends.torch.defaults import DEFAULTS
from rnnspec.backends.torch.plan import StackedDropout, direction_key, plan_of, stack_of
from rnnspec.ir import nodes
from rnnspec.ir.params import directions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rnnspec.backends.torch.plan import Stack


def modules(network: nodes.Network) -> tuple[Statement, ...]:
    """Return the statements that create every module."""
    classes, masked = cell_classes(network), sequences(wrapped(network))
    recurrent = {
        layer.name: _recurrent(layer, classes, masked) for layer in recurrent_modules(network)
    }
    made = [statement for layer in network.layers for statement in _module(layer, recurrent)]
    start = Evaluate(Call(Attribute(Call(Name("super")), "__init__")))
    return (start, *made)


def _module(layer: nodes.Layer, recurrent: dict[str, Call]) -> Iterator[Statement]:
    target = f"self.{layer.name}"
    match layer:
        case nodes.Embedding():
            # Without padding_idx: a mask does not change the vector of token 0.
            yield Assign(target, _make("nn.Embedding", layer.vocabulary, layer.dim))
            if not layer.trainable:
                yield Evaluate(Call(Name(f"{target}.weight.requires_grad_"), (False,)))
        case nodes.Recurrent():
            # A multi-layer module has the name of its bottom layer.
            if layer.name in recurrent:
                yield Assign(target, recurrent[layer.name])
        case StackedDropout():
            pass
        case nodes.Dropout():
            yield Assign(target, _make("nn.Dropout", layer.rate))
        case nodes.Dense():
            yield Assign(target, _make("nn.Linear", layer.features, layer.units, bias=layer.bias))
        case nodes.LayerNorm():
            size = nodes.width(layer.input)
            yield Assign(target, _make("nn.LayerNorm", size, eps=layer.epsilon))
        case nodes.Pooling() | nodes.Repeat() | nodes.Residual() | nodes.Normalize():
            pass
        case _:
            assert_never(layer)


def _recurrent(layer: nodes.Recurrent, classes: Mapping[str, CellClass], masked: str) -> Call:
    made = _cell(layer, classes)
    if plan_of(layer).is_wrapped:
        said = {"return_sequences": layer.return_sequences} if masked == "some" else {}
        made = _make(plan_of(layer).wrapper, made, **said)
    if not plan_of(layer).is_split:
        return made
    both = tuple((direction_key(each), made) for each in directions(layer))
    return _make("nn.ModuleDict", Entries(both))


def _cell(layer: nodes.Recurrent, classes: Mapping[str, CellClass]) -> Call:
    sizes, class_ = (layer.features, layer.units), plan_of(layer).class_
    if not plan_of(layer).is_fused:
        return _make(class_, *sizes, **classes[class_].arguments(layer))
    arguments = {
        **_stack(stack_of(layer)),
        **_nonlinearity(layer.cell),
        "bias": layer.bias,
        "batch_first": True,
        "bidirectional": layer.merge is not None and not plan_of(layer).is_split,
    }
    return _make(class_, *sizes, **arguments)


def _stack(stack: Stack | None) -> dict[str, Expression]:
    return {"num_layers": stack.size, "dropout": stack.dropout} if stack else {}


def _nonlinearity(cell: nodes.Cell) -> dict[str, Expression]:
    return {"nonlinearity": cell.activation} if isinstance(cell, nodes.SimpleRNN) else {}


def _make(class_: str, *positional: Expression, **arguments: Expression) -> Call:
    defaults = DEFAULTS.get(class_.replace("SingleBias", "nn."), {})
    return call(class_, positional, arguments, defaults)
