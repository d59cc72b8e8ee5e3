"""The methods that compute: ``forward``, and ``logits`` where the result is a probability."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.base import (
    Assign,
    Attribute,
    Binary,
    Call,
    Evaluate,
    Expression,
    Function,
    Index,
    Items,
    Name,
    Return,
    Statement,
)
from rnnspec.backends.torch.forms import drops_inside, splits_directions, state_is_pair
from rnnspec.backends.torch.slots import module
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

_X = Name("x")
_STATE = Name("state")


def forward_functions(network: nodes.Network) -> tuple[Function, ...]:
    """Return ``logits`` and ``forward`` where the head ends in a probability, else ``forward``."""
    *before, last = network.layers
    starts = {layer.start for layer in network.layers if isinstance(layer, nodes.Residual)}
    body = [_check(network.input), *_mask(network)]
    for layer in before:
        if layer.name in starts:
            body.append(Assign("skip", _X))
        body += _layer(layer)
    if not isinstance(last, nodes.Dense) or last.activation not in _LOSSES:
        return (_method("forward", _FORWARD, [*body, *_layer(last), Return(_X)]),)
    logits = [*body, _module(last), Return(_X)]
    forward = Return(_activation(Call(Name("self.logits"), (_X,)), last.activation))
    return (
        _method("logits", _LOSSES[last.activation], logits),
        _method("forward", _FORWARD, [forward]),
    )


def _check(entrance: nodes.Input) -> Statement:
    # PyTorch's own layers take any number of steps, and say little about what they do not take.
    return Evaluate(Call(Name("check_batch"), (_X, *entrance.shape)))


def _mask(network: nodes.Network) -> Iterator[Statement]:
    """Yield what makes the mask, true at the real steps, (batch, steps)."""
    match network.input:
        case nodes.TokenInput(mask_zero=True):
            yield Assign("mask", Binary(_X, "!=", 0))
        case nodes.NumericInput(mask_value=float() as value):
            differs = Binary(_X, "!=", value)
            yield Assign("mask", Call(Attribute(differs, "any"), (), (("dim", -1),)))
            # As Keras's Masking does: a value that stands for nothing enters no product.
            at_steps = Call(Name("mask.unsqueeze"), (-1,))
            yield Assign("x", Call(Name("torch.where"), (at_steps, _X, 0)))
        case _:
            pass


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
    masked = isinstance(layer, nodes.Recurrent) and layer.masked
    arguments: tuple[Expression, ...] = (_X, Name("mask")) if masked else (_X,)
    return Call(Name(f"self.{module(layer)}"), arguments)


def _layer(layer: nodes.Layer) -> Iterator[Statement]:
    match layer:
        case nodes.Dropout(stack=str()):
            pass
        case nodes.Embedding() | nodes.Dropout() | nodes.LayerNorm():
            yield _module(layer)
        case nodes.Recurrent():
            yield from _recurrent(layer)
        case nodes.Repeat():
            repeated = Call(Name("x.unsqueeze"), (1,))
            yield Assign("x", Call(Attribute(repeated, "expand"), (-1, layer.steps, -1)))
        case nodes.Residual():
            yield Assign("x", Binary(_X, "+", Name("skip")))
        case nodes.Pooling():
            yield Assign("x", _pooled(layer))
        case nodes.Dense():
            yield _module(layer)
            if layer.activation != "linear":
                yield Assign("x", _activation(_X, layer.activation))
        case _:
            assert_never(layer)


def _pooled(layer: nodes.Pooling) -> Call:
    if layer.masked:
        return Call(Name(f"masked_{layer.statistic}"), (_X, Name("mask")))
    return Call(Name(_POOLING[layer.statistic]), (), (("dim", 1),))


_POOLING = {"mean": "x.mean", "max": "x.amax"}


def _recurrent(layer: nodes.Recurrent) -> Iterator[Statement]:
    if layer.dropout and not splits_directions(layer) and not drops_inside(layer):
        arguments: tuple[Expression, ...] = (_X, layer.dropout, Name("self.training"))
        yield Assign("x", Call(Name("variational_dropout"), arguments))
    if layer.stack and not layer.stack.is_top:
        return
    if layer.return_sequences:
        yield Assign(("x", "_"), _call(layer))
        if layer.merge is not None and layer.merge != "concat":
            yield Assign(("ahead", "back"), Call(Name("x.chunk"), (2,), (("dim", -1),)))
            yield Assign("x", _merged(Name("ahead"), Name("back"), layer.merge))
        return
    # The final states: at the last step the backward direction has seen one step only.
    yield Assign(("_", ("state", "_") if state_is_pair(layer) else "state"), _call(layer))
    if layer.merge is None:
        yield Assign("x", Index(_STATE, -1))
    else:
        ahead, back = (-2, -1) if layer.stack else (0, 1)
        yield Assign("x", _merged(Index(_STATE, ahead), Index(_STATE, back), layer.merge))


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
