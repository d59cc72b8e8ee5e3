"""The methods that compute: ``forward``, and ``logits`` where the result is a probability."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.base import (
    Assign,
    Binary,
    Call,
    Expression,
    Function,
    Index,
    Items,
    Name,
    Return,
    Statement,
)
from rnnspec.backends.torch.slots import split_directions
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

_X = Name("x")
_STATE = Name("state")


def forward_functions(network: nodes.Network) -> tuple[Function, ...]:
    """Return ``logits`` and ``forward`` where the head ends in a probability, else ``forward``."""
    *before, last = network.layers
    body = [statement for layer in before for statement in _layer(layer)]
    if not isinstance(last, nodes.Dense) or last.activation not in _LOSSES:
        return (_method("forward", _FORWARD, [*body, *_layer(last), Return(_X)]),)
    logits = [*body, _module(last), Return(_X)]
    forward = Return(_activation(Call(Name("self.logits"), (_X,)), last.activation))
    return (
        _method("logits", _LOSSES[last.activation], logits),
        _method("forward", _FORWARD, [forward]),
    )


_FORWARD = "Return the output for a batch."
_LOSSES = {
    "sigmoid": "Return the output before its sigmoid, as ``BCEWithLogitsLoss`` takes it.",
    "softmax": "Return the output before its softmax, as ``CrossEntropyLoss`` takes it.",
}


def _method(name: str, docstring: str, body: list[Statement]) -> Function:
    return Function(name, "self, x: torch.Tensor", "torch.Tensor", (docstring,), tuple(body))


def _module(layer: nodes.Layer) -> Assign:
    # Assigned even where it is returned next: a module's call is Any to a type checker, and ``x``
    # is declared a tensor.
    return Assign("x", _call(layer))


def _call(layer: nodes.Layer) -> Call:
    return Call(Name(f"self.{layer.name}"), (_X,))


def _layer(layer: nodes.Layer) -> Iterator[Statement]:
    match layer:
        case nodes.Embedding() | nodes.Dropout():
            yield _module(layer)
        case nodes.Recurrent():
            yield from _recurrent(layer)
        case nodes.Pooling():
            yield Assign("x", Call(Name(_POOLING[layer.statistic]), (), (("dim", 1),)))
        case nodes.Dense():
            yield _module(layer)
            if layer.activation != "linear":
                yield Assign("x", _activation(_X, layer.activation))
        case _:
            assert_never(layer)


_POOLING = {"mean": "x.mean", "max": "x.amax"}


def _recurrent(layer: nodes.Recurrent) -> Iterator[Statement]:
    if layer.dropout and not split_directions(layer):
        arguments: tuple[Expression, ...] = (_X, layer.dropout, Name("self.training"))
        yield Assign("x", Call(Name("variational_dropout"), arguments))
    if layer.return_sequences:
        yield Assign(("x", "_"), _call(layer))
        if layer.merge is not None and layer.merge != "concat":
            yield Assign(("ahead", "back"), Call(Name("x.chunk"), (2,), (("dim", -1),)))
            yield Assign("x", _merged(Name("ahead"), Name("back"), layer.merge))
        return
    # The final states: at the last step the backward direction has seen one step only.
    lstm = isinstance(layer.cell, nodes.LSTM) and not split_directions(layer)
    yield Assign(("_", ("state", "_") if lstm else "state"), _call(layer))
    if layer.merge is None:
        yield Assign("x", Index(_STATE, -1))
    else:
        yield Assign("x", _merged(Index(_STATE, 0), Index(_STATE, 1), layer.merge))


def _merged(ahead: Expression, back: Expression, merge: nodes.Merge) -> Expression:
    match merge:
        case "concat":
            return Call(Name("torch.cat"), (Items((ahead, back)),), (("dim", -1),))
        case "sum":
            return Binary(ahead, "+", back)
        case "mul":
            return Binary(ahead, "*", back)
        case "ave":
            return Binary(Binary(ahead, "+", back), "/", 2)
        case _:
            assert_never(merge)


def _activation(value: Expression, activation: nodes.Activation) -> Expression:
    match activation:
        case "linear":
            return value
        case "sigmoid" | "tanh" | "relu":
            return Call(Name(f"torch.{activation}"), (value,))
        case "softmax":
            return Call(Name("torch.softmax"), (value,), (("dim", -1),))
        case "softplus":
            # PyTorch returns x itself above the threshold: at its default, 20, off by 2e-9.
            return Call(Name("nn.functional.softplus"), (value,), (("threshold", 40),))
        case _:
            assert_never(activation)
