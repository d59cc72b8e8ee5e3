"""The statements that compute each layer, and the mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.expressions import (
    LAST_STEP,
    Assign,
    Attribute,
    Binary,
    Call,
    Choice,
    Comment,
    Expression,
    Index,
    Items,
    Name,
    Statement,
    Target,
    merged,
)
from rnnspec.backends.torch.classes import ACTIVATIONS
from rnnspec.backends.torch.plan import StackedDropout, direction_key, plan_of, stack_of
from rnnspec.backends.torch.slots import module
from rnnspec.ir import nodes
from rnnspec.ir.params import directions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rnnspec.words import Activation, Merge

_X = Name("x")
_STATE = Name("state")
_MASK = Name("mask")


def computed(network: nodes.Network, layers: Iterable[nodes.Layer]) -> Iterator[Statement]:
    """Yield the statements of some layers of a network."""
    starts = {layer.start for layer in network.layers if isinstance(layer, nodes.Residual)}
    for layer in layers:
        if layer.name in starts:
            yield Assign("skip", _X)
        yield from _layer(layer)


def as_floats(network_input: nodes.Input) -> Iterator[Statement]:
    """Yield the conversion of features that are integers, which Keras and JAX take too."""
    if isinstance(network_input, nodes.NumericInput):
        # Not the dtype of a weight: type checkers do not know it, and a dynamically quantized
        # module has no weight of this name.
        is_float = Call(Name("x.is_floating_point"))
        yield Assign("x", Choice(_X, is_float, Call(Name("x.float"))))


def masked(network: nodes.Network, mask: Expression) -> Iterator[Statement]:
    """Yield the statements that compute the mask, true at real steps, (batch, steps)."""
    if not network.input.masked:
        return
    yield Assign("mask", mask)
    if isinstance(network.input, nodes.NumericInput):
        # As in Masking of Keras: the padding value must not enter a product.
        yield Assign("x", _where(_AT_STEPS, _X, 0))


_AT_STEPS = Call(Name("mask.unsqueeze"), (-1,))


def is_real(network_input: nodes.Input) -> Expression:
    """Return the mask of the input ``x``."""
    if isinstance(network_input, nodes.TokenInput):
        return Binary(_X, "!=", 0)
    differs = Binary(_X, "!=", network_input.mask_value)
    return Call(Attribute(differs, "any"), (), (("dim", -1),))


def called(layer: nodes.Layer) -> Assign:
    """Return the call of a layer's module on ``x``."""
    # Assigned even where it is returned next: a module's call is Any to a type checker, and ``x``
    # is declared a tensor.
    return Assign("x", Call(Name(f"self.{module(layer)}"), (_X,)))


def _layer(layer: nodes.Layer) -> Iterator[Statement]:
    match layer:
        case StackedDropout():
            pass
        case nodes.Embedding() | nodes.Dropout() | nodes.LayerNorm():
            yield called(layer)
        case nodes.Recurrent() if plan_of(layer).is_split:
            yield from _both_ways(layer)
        case nodes.Recurrent():
            yield from _recurrent(layer)
        case nodes.Repeat():
            repeated = Call(Name("x.unsqueeze"), (1,))
            yield Assign("x", Call(Attribute(repeated, "expand"), (-1, layer.steps, -1)))
        case nodes.Normalize():
            options: tuple[tuple[str, Expression], ...] = (("dim", -1), ("eps", 1e-12))
            yield Assign("x", Call(Name("nn.functional.normalize"), (_X,), options))
        case nodes.Residual():
            yield Assign("x", Binary(_X, "+", Name("skip")))
        case nodes.Pooling():
            yield from _pooled(layer)
        case nodes.Dense():
            yield called(layer)
            if layer.activation != "linear":
                yield Assign("x", activated(_X, layer.activation))
        case _:
            assert_never(layer)


def _pooled(layer: nodes.Pooling) -> Iterator[Statement]:
    over_steps = ("dim", 1)
    if layer.statistic == "last_step":
        yield Assign("x", Index(_X, LAST_STEP))
        return
    if not layer.masked:
        function = "x.mean" if layer.statistic == "mean" else "x.amax"
        yield Assign("x", Call(Name(function), (), (over_steps,)))
        return
    kept = (over_steps, ("keepdim", True))
    yield Comment("A sequence of padding alone gives zeros.")
    if layer.statistic == "mean":
        count = Call(Name("mask.sum"), (), kept)
        yield Assign("steps", Call(Attribute(count, "clamp"), (), (("min", 1),)))
        total = Call(Attribute(_where(_AT_STEPS, _X, 0), "sum"), (), (over_steps,))
        yield Assign("x", Binary(total, "/", Name("steps")))
    else:
        highest = Call(Attribute(_where(_AT_STEPS, _X, -3e38), "amax"), (), (over_steps,))
        yield Assign("x", highest)
        yield Assign("x", _where(Call(Name("mask.any"), (), kept), _X, 0))


def _where(test: Expression, value: Expression, otherwise: Expression) -> Call:
    return Call(Name("torch.where"), (test, value, otherwise))


def _dropped(layer: nodes.Recurrent) -> Expression | None:
    """Return the layer's input with dropout, None if nothing is dropped before the layer."""
    if not layer.dropout or layer.recurrent_dropout > 0:
        return None
    return Call(Name("variational_dropout"), (_X, layer.dropout, Name("self.training")))


def _recurrent(layer: nodes.Recurrent) -> Iterator[Statement]:
    """Yield the statements of a layer that is one module, or part of one."""
    if dropped := _dropped(layer):
        yield Assign("x", dropped)
    stack = stack_of(layer)
    if stack and not stack.is_top:
        return
    if not plan_of(layer).returns_pair:
        arguments = (_X, _MASK) if layer.masked else (_X,)
        yield Assign("x", Call(Name(f"self.{module(layer)}"), arguments))
        return
    made = Call(Name(f"self.{module(layer)}"), (_X,))
    if layer.return_sequences:
        yield Assign(("x", "_"), made)
        if layer.merge is not None and layer.merge != "concat":
            yield Assign(("ahead", "back"), Call(Name("x.chunk"), (2,), (("dim", -1),)))
            yield Assign("x", _merged(Name("ahead"), Name("back"), layer.merge))
        return
    # Not the outputs at the last step, where the backward direction has seen only that step.
    # Source: https://github.com/pytorch/pytorch/issues/3587.
    yield Assign(("_", _states("state", layer)), made)
    if layer.merge is None:
        yield Assign("x", Index(_STATE, -1))
    else:
        # A stack returns the states of all its layers; the last two are those of the top layer.
        ahead, back = (-2, -1) if stack else (0, 1)
        yield Assign("x", _merged(Index(_STATE, ahead), Index(_STATE, back), layer.merge))


def _states(name: str, layer: nodes.Recurrent) -> Target:
    """Return the target of the final states; an LSTM's are the pair (h, c)."""
    return (name, "_") if isinstance(layer.cell, nodes.LSTM) else name


def _both_ways(layer: nodes.Recurrent) -> Iterator[Statement]:
    """Yield the statements of two modules; the second gets the steps in reverse order."""
    # Drawn twice, because each direction has its own mask, as in Keras.
    dropped = _dropped(layer)
    if dropped:
        yield Assign("ahead", dropped)
        yield Assign("back", dropped)
    entering = (Name("ahead"), Name("back")) if dropped else (_X, _X)
    for name, given, key in zip(("ahead", "back"), entering, directions(layer), strict=True):
        turned = name == "back"
        values = (given, _MASK) if layer.masked else (given,)
        arguments = tuple(_turned(each) for each in values) if turned else values
        one_way = Index(Name(f"self.{module(layer)}"), direction_key(key))
        yield Assign(_wanted(name, layer), Call(one_way, arguments))
    assert layer.merge is not None
    ahead, back = Name("ahead"), Name("back")
    if layer.return_sequences:
        yield Assign("x", _merged(ahead, _turned(back), layer.merge))
    elif plan_of(layer).returns_pair:
        yield Assign("x", _merged(Index(ahead, -1), Index(back, -1), layer.merge))
    else:
        yield Assign("x", _merged(ahead, back, layer.merge))


def _wanted(name: str, layer: nodes.Recurrent) -> Target:
    if not plan_of(layer).returns_pair:
        return name
    return (name, "_") if layer.return_sequences else ("_", _states(name, layer))


def _turned(value: Name) -> Call:
    return Call(Name(f"{value.text}.flip"), (1,))


def _merged(ahead: Expression, back: Expression, merge: Merge) -> Expression:
    joined = Call(Name("torch.cat"), (Items((ahead, back)),), (("dim", -1),))
    return merged(ahead, back, merge, joined)


def activated(value: Expression, activation: Activation) -> Expression:
    """Return a value after an activation."""
    match activation:
        case "linear":
            return value
        case "exponential":
            return Call(Name("torch.exp"), (value,))
        case "softmax" | "log_softmax":
            return Call(Name(f"torch.{activation}"), (value,), (("dim", -1),))
        case "softplus":
            # PyTorch returns x itself above the threshold: at its default, 20, off by 2e-9.
            return Call(Name("nn.functional.softplus"), (value,), (("threshold", 40),))
        case _:
            return Call(Name(ACTIVATIONS[activation]), (value,))
