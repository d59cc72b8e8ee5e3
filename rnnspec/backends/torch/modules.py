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
from rnnspec.backends.torch.defaults import DEFAULTS
from rnnspec.backends.torch.slots import split_directions
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator


def modules(network: nodes.Network) -> tuple[Statement, ...]:
    """Return the statements that make every module, then draw fresh weights."""
    made = [statement for layer in network.layers for statement in _module(layer)]
    start = Evaluate(Call(Attribute(Call(Name("super")), "__init__")))
    return (start, *made, Evaluate(Call(Name("self.reset_parameters"))))


def _module(layer: nodes.Layer) -> Iterator[Statement]:
    target = f"self.{layer.name}"
    match layer:
        case nodes.Embedding():
            yield Assign(target, _make("nn.Embedding", layer.vocabulary, layer.dim))
            if not layer.trainable:
                yield Evaluate(Call(Name(f"{target}.weight.requires_grad_"), (False,)))
        case nodes.Recurrent():
            yield Assign(target, _recurrent(layer))
        case nodes.Dropout():
            yield Assign(target, _make("nn.Dropout", layer.rate))
        case nodes.Dense():
            yield Assign(target, _make("nn.Linear", layer.features, layer.units, bias=layer.bias))
        case nodes.Pooling():
            pass
        case _:
            assert_never(layer)


def _recurrent(layer: nodes.Recurrent) -> Call:
    if not split_directions(layer):
        return _cell(layer, bidirectional=layer.merge is not None)
    one_way = _cell(layer, bidirectional=False)
    return _make("Bidirectional", one_way, one_way, dropout=layer.dropout)


def _cell(layer: nodes.Recurrent, *, bidirectional: bool) -> Call:
    return _make(
        cell_class(layer),
        layer.features,
        layer.units,
        bias=layer.bias,
        batch_first=True,
        bidirectional=bidirectional,
    )


def cell_class(layer: nodes.Recurrent) -> str:
    """Return the class that runs a layer's cell: PyTorch's own, or the one with a single bias."""
    match layer.cell:
        case nodes.SimpleRNN():
            return "SingleBiasRNN" if layer.bias else "nn.RNN"
        case nodes.LSTM():
            return "SingleBiasLSTM" if layer.bias else "nn.LSTM"
        case nodes.GRU():
            return "nn.GRU"
        case _:
            assert_never(layer.cell)


def _make(class_: str, *positional: Expression, **arguments: Expression) -> Call:
    defaults = DEFAULTS.get(class_.replace("SingleBias", "nn."), {})
    return call(class_, positional, arguments, defaults)
