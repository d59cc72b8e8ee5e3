"""The body of ``__init__``: one module a layer that holds anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.base import (
    Assign,
    Attribute,
    Call,
    Evaluate,
    Expression,
    Name,
    Statement,
    call,
)
from rnnspec.backends.torch.defaults import DEFAULTS, OWN_DEFAULTS
from rnnspec.backends.torch.forms import drops_inside, is_fused, is_wrapped, splits_directions
from rnnspec.backends.torch.slots import module
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator


def modules(network: nodes.Network) -> tuple[Statement, ...]:
    """Return the statements that make every module, then draw fresh weights."""
    # Of a module of several levels the last one says what is wanted of it.
    sequences = {
        module(layer): layer.return_sequences
        for layer in network.layers
        if isinstance(layer, nodes.Recurrent)
    }
    made = [
        statement
        for layer in network.layers
        for statement in _module(layer, sequences=sequences.get(layer.name, True))
    ]
    start = Evaluate(Call(Attribute(Call(Name("super")), "__init__")))
    return (start, *made, Evaluate(Call(Name("self.reset_parameters"))))


def _module(layer: nodes.Layer, *, sequences: bool) -> Iterator[Statement]:
    target = f"self.{layer.name}"
    match layer:
        case nodes.Embedding():
            yield Assign(target, _make("nn.Embedding", layer.vocabulary, layer.dim))
            if not layer.trainable:
                yield Evaluate(Call(Name(f"{target}.weight.requires_grad_"), (False,)))
        case nodes.Recurrent() if layer.stack is None or layer.stack.level == 0:
            yield Assign(target, _recurrent(layer, sequences=sequences))
        case nodes.Recurrent():
            pass
        case nodes.Dropout() if layer.stack is None:
            yield Assign(target, _make("nn.Dropout", layer.rate))
        case nodes.Dense():
            yield Assign(target, _make("nn.Linear", layer.features, layer.units, bias=layer.bias))
        case nodes.LayerNorm():
            size = nodes.width(layer.input)
            yield Assign(target, _make("nn.LayerNorm", size, eps=layer.epsilon))
        case nodes.Dropout() | nodes.Pooling() | nodes.Repeat() | nodes.Residual():
            pass
        case _:
            assert_never(layer)


def _recurrent(layer: nodes.Recurrent, *, sequences: bool) -> Call:
    if not splits_directions(layer):
        return _one_way(layer, bidirectional=layer.merge is not None, sequences=sequences)
    one_way = _one_way(layer, bidirectional=False, sequences=sequences)
    dropout = 0.0 if drops_inside(layer) else layer.dropout
    class_ = "MaskedBidirectional" if layer.masked else "Bidirectional"
    return _make(class_, one_way, one_way, dropout=dropout, return_sequences=sequences)


def _one_way(layer: nodes.Recurrent, *, bidirectional: bool, sequences: bool) -> Call:
    cell = _cell(layer, bidirectional=bidirectional, sequences=sequences)
    return _make("Masked", cell, return_sequences=sequences) if is_wrapped(layer) else cell


def _cell(layer: nodes.Recurrent, *, bidirectional: bool, sequences: bool) -> Call:
    sizes = (layer.features, layer.units)
    if is_fused(layer):
        arguments = {
            **_stack(layer.stack),
            **_nonlinearity(layer.cell),
            "bias": layer.bias,
            "batch_first": True,
        }
        return _make(cell_class(layer), *sizes, **arguments, bidirectional=bidirectional)
    arguments = {**_stepwise(layer), "return_sequences": sequences}
    return _make(cell_class(layer), *sizes, **arguments)


def _stack(stack: nodes.Stack | None) -> dict[str, Expression]:
    return {"num_layers": stack.levels, "dropout": stack.dropout} if stack else {}


def _nonlinearity(cell: nodes.Cell) -> dict[str, Expression]:
    return {"nonlinearity": cell.activation} if isinstance(cell, nodes.SimpleRNN) else {}


def _stepwise(layer: nodes.Recurrent) -> dict[str, Expression]:
    arguments: dict[str, Expression] = {"activation": _function(layer.cell.activation)}
    if not isinstance(layer.cell, nodes.SimpleRNN):
        arguments["recurrent_activation"] = _function(layer.cell.recurrent_activation)
    arguments["bias"] = layer.bias
    if drops_inside(layer):
        arguments["dropout"] = layer.dropout
        arguments["recurrent_dropout"] = layer.recurrent_dropout
    return arguments


_FUNCTIONS: dict[nodes.CellActivation, Expression] = {
    "tanh": Name("torch.tanh"),
    "sigmoid": Name("torch.sigmoid"),
    "relu": Name("torch.relu"),
    "hard_sigmoid": Name("hard_sigmoid"),
    "linear": Call(Name("nn.Identity")),
    "softsign": Name("nn.functional.softsign"),
    "elu": Name("nn.functional.elu"),
}


def _function(activation: nodes.CellActivation) -> Expression:
    return _FUNCTIONS[activation]


def cell_class(layer: nodes.Recurrent) -> str:
    """Return the class that runs a layer's cell: PyTorch's own, or one of the source's."""
    match layer.cell:
        case nodes.SimpleRNN():
            name = "RNN"
        case nodes.LSTM():
            name = "LSTM"
        case nodes.GRU(reset_after=False):
            return "StepwiseResetFirstGRU"
        case nodes.GRU():
            return "nn.GRU" if is_fused(layer) else "StepwiseGRU"
        case _:
            assert_never(layer.cell)
    if not is_fused(layer):
        return f"Stepwise{name}"
    return f"SingleBias{name}" if layer.bias else f"nn.{name}"


def _make(class_: str, *positional: Expression, **arguments: Expression) -> Call:
    defaults = {**DEFAULTS, **OWN_DEFAULTS}.get(class_.replace("SingleBias", "nn."), {})
    return call(class_, positional, arguments, defaults)
