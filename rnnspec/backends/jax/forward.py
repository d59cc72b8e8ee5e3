"""The methods that compute: ``__call__``, and ``mask`` if the result has padded steps."""

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
    Formatted,
    Function,
    If,
    Index,
    Items,
    Name,
    Raise,
    Return,
    Statement,
    merged,
)
from rnnspec.backends.jax.cells import ACTIVATIONS, direction_path
from rnnspec.ir import nodes
from rnnspec.ir.params import directions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.words import Activation, Merge

_X = Name("x")
_MASK = Name("mask")
_OVER_STEPS = ("axis", 1)
_KEPT = (_OVER_STEPS, ("keepdims", True))
_LAST_AXIS = ("axis", -1)
_RAW = {
    "sigmoid": "optax.sigmoid_binary_cross_entropy",
    "softmax": "optax.softmax_cross_entropy",
}
"""The losses that take the output before an activation."""


def forward_functions(network: nodes.Network) -> Iterator[Function]:
    """Yield ``mask`` if the result has padded steps, then ``__call__``."""
    if network.pads:
        yield Function(
            "mask",
            "x: jax.Array",
            "jax.Array",
            ("Return True at real steps, (batch, steps), to leave padding out of a loss.",),
            (Return(is_real(network.input)),),
            decorators=("staticmethod",),
        )
    yield _forward(network)


def _forward(network: nodes.Network) -> Function:
    *before, last = network.layers
    starts = {layer.start for layer in network.layers if isinstance(layer, nodes.Residual)}
    made = Call(Name("self.mask"), (_X,)) if network.pads else is_real(network.input)
    body = [check(network.input), *masked(network, made)]
    for layer in before:
        if layer.name in starts:
            body.append(Assign("skip", _X))
        body += computed(layer)
    loss = _RAW.get(last.activation) if isinstance(last, nodes.Dense) else None
    if loss is None or not isinstance(last, nodes.Dense):
        docstring: tuple[str, ...] = ("Return the output for a batch.",)
        arguments, after = "", [*computed(last), Return(_X)]
    else:
        docstring = (f"Return the output, or ``logits`` for ``{loss}``.",)
        arguments = ", *, logits: bool = False"
        result = Choice(_X, Name("logits"), _activation(_X, last.activation))
        after = [_module(last), Return(result)]
    return Function(
        "__call__", f"self, x: jax.Array{arguments}", "jax.Array", docstring, (*body, *after)
    )


def check(network_input: nodes.Input) -> Statement:
    """Return the statement that refuses a batch of another shape."""
    # Shapes are known while JAX traces, so the check costs nothing when the model runs.
    steps, *rest = network_input.shape
    wanted = "".join(f", {size}" for size in rest)
    if steps is not None:
        wrong = Binary(
            Index(Name("x.shape"), slice(1, None)), "!=", Items(network_input.shape, fixed=True)
        )
        expected = f"(batch, {steps}{wanted})"
    else:
        expected = f"(batch, steps > 0{wanted})"
        wrong = Binary(Name("x.ndim"), "!=", 1 + len(network_input.shape))
        for size in rest:
            wrong = Binary(wrong, "or", Binary(Index(Name("x.shape"), 2), "!=", size))
        wrong = Binary(wrong, "or", Binary(Index(Name("x.shape"), 1), "==", 0))
    message = Formatted(f"expected {expected}, received ", Name("x.shape"))
    return If(((wrong, (Raise(Call(Name("ValueError"), (message,))),)),))


def masked(network: nodes.Network, made: Expression) -> Iterator[Statement]:
    """Yield the statements that give ``mask`` the value ``made``, true at real steps."""
    if not network.input.masked:
        return
    yield Assign("mask", made)
    if isinstance(network.input, nodes.NumericInput):
        # The padding value must not enter a product.
        yield Assign("x", _where(_AT_STEPS, _X, 0))


_AT_STEPS = Call(Name("jnp.expand_dims"), (_MASK, -1))


def is_real(network_input: nodes.Input) -> Expression:
    """Return the mask of the input ``x``, (batch, steps)."""
    if isinstance(network_input, nodes.TokenInput):
        return Binary(_X, "!=", 0)
    differs = Binary(_X, "!=", network_input.mask_value)
    return Call(Attribute(differs, "any"), (), (_LAST_AXIS,))


def _module(layer: nodes.Layer) -> Assign:
    return Assign("x", Call(Name(f"self.{layer.name}"), (_X,)))


def computed(layer: nodes.Layer) -> Iterator[Statement]:
    """Yield the statements that apply a layer to ``x``."""
    match layer:
        case nodes.Embedding() | nodes.Dropout() | nodes.LayerNorm():
            yield _module(layer)
        case nodes.Recurrent():
            yield from _recurrent(layer)
        case nodes.Repeat():
            one = Call(Name("jnp.expand_dims"), (_X, 1))
            yield Assign("x", Call(Name("jnp.repeat"), (one, layer.steps), (_OVER_STEPS,)))
        case nodes.Normalize():
            yield Assign("x", Call(Name("l2_normalized"), (_X,)))
        case nodes.Residual():
            yield Assign("x", Binary(_X, "+", Name("skip")))
        case nodes.Pooling():
            yield from _pooled(layer)
        case nodes.Dense():
            yield _module(layer)
            if layer.activation != "linear":
                yield Assign("x", _activation(_X, layer.activation))
        case _:
            assert_never(layer)


def _pooled(layer: nodes.Pooling) -> Iterator[Statement]:
    match layer.statistic:
        case "last_step":
            yield Assign("x", Index(_X, LAST_STEP))
        case "mean" if not layer.masked:
            yield Assign("x", Call(Name("x.mean"), (), (_OVER_STEPS,)))
        case "mean":
            yield _OF_PADDING
            steps = Call(Name("jnp.maximum"), (Call(Name("mask.sum"), (), _KEPT), 1))
            yield Assign("steps", steps)
            total = Call(Attribute(_where(_AT_STEPS, _X, 0), "sum"), (), (_OVER_STEPS,))
            yield Assign("x", Binary(total, "/", Name("steps")))
        case "max" if not layer.masked:
            yield from _highest()
        case "max":
            yield _OF_PADDING
            yield Assign("x", _where(_AT_STEPS, _X, -3e38))
            yield from _highest()
            yield Assign("x", _where(Call(Name("mask.any"), (), _KEPT), _X, 0))
        case _:
            assert_never(layer.statistic)


def _highest() -> Iterator[Statement]:
    # The gradient of jnp.max looks for the values that are equal to the result. Where XLA computes
    # them a second time, as after a layer normalization, it finds none or others. JAX had the same
    # fault in jnp.maximum: https://github.com/jax-ml/jax/issues/40564.
    yield Comment("Not x.max, whose gradient depends on how XLA rounds.")
    yield Assign("step", Call(Name("x.argmax"), (), _KEPT))
    taken = Call(Name("jnp.take_along_axis"), (_X, Name("step")), (_OVER_STEPS,))
    yield Assign("x", Call(Attribute(taken, "squeeze"), (1,)))


_OF_PADDING = Comment("A sequence of padding alone gives zeros.")


def _where(test: Expression, value: Expression, otherwise: Expression) -> Call:
    return Call(Name("jnp.where"), (test, value, otherwise))


def _recurrent(layer: nodes.Recurrent) -> Iterator[Statement]:
    given = (_X, _MASK) if layer.masked else (_X,)
    if layer.merge is None:
        yield Assign("x", Call(Name(f"self.{layer.name}"), given))
        return
    for name, direction in zip(("ahead", "back"), directions(layer), strict=True):
        one_way = f"self.{layer.name}.{direction_path(direction).removesuffix('.')}"
        yield Assign(name, Call(Name(one_way), given))
    yield Assign("x", _merged(Name("ahead"), Name("back"), layer.merge))


def _merged(ahead: Expression, back: Expression, merge: Merge) -> Expression:
    joined = Call(Name("jnp.concatenate"), (Items((ahead, back)),), (_LAST_AXIS,))
    return merged(ahead, back, merge, joined)


def _activation(value: Expression, activation: Activation) -> Expression:
    match activation:
        case "linear":
            return value
        case "exponential":
            return Call(Name("jnp.exp"), (value,))
        case "softmax" | "log_softmax":
            return Call(Name(f"jax.nn.{activation}"), (value,))
        case _:
            return Call(Name(ACTIVATIONS[activation]), (value,))
