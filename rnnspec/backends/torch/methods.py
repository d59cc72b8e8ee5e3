"""The methods that compute: ``forward``, and for training ``mask`` if the result has padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.expressions import (
    Assign,
    Binary,
    Call,
    Choice,
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
)
from rnnspec.backends.torch.forward import (
    activated,
    as_floats,
    called,
    computed,
    is_real,
    masked,
)
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

_X = Name("x")
_RAW = {
    "sigmoid": "BCEWithLogitsLoss",
    "softmax": "CrossEntropyLoss",
}
"""The losses that take the output before an activation."""


def forward_to_deploy(network: nodes.Network) -> Function:
    """Return ``forward`` without a check of the input, a mask for a loss, or logits."""
    body = [
        *as_floats(network.input),
        *masked(network, is_real(network.input)),
        *computed(network, network.layers),
    ]
    match body:
        # To a type checker, a module's call is Any, and so are the states that it returns.
        case [*before, Assign(target="x", value=value)] if _is_typed(value):
            body = [*before, Return(value)]
        case _:
            body.append(Return(_X))
    docstring = ("Return the output for a batch.",)
    return Function("forward", "self, x: torch.Tensor", "torch.Tensor", docstring, tuple(body))


def _is_typed(value: Expression) -> bool:
    match value:
        case Call(function=Name(text=name)):
            return not name.startswith("self.")
        case _:
            return False


def forward_to_train(network: nodes.Network) -> Iterator[Function]:
    """Yield ``mask`` if the result has padded steps, then ``forward``."""
    if network.pads:
        yield Function(
            "mask",
            "x: torch.Tensor",
            "torch.Tensor",
            ("Return True at real steps, (batch, steps), to leave padding out of a loss.",),
            (Return(is_real(network.input)),),
            decorators=("staticmethod",),
        )
    yield _forward(network)


def _forward(network: nodes.Network) -> Function:
    *before, last = network.layers
    mask = Call(Name("self.mask"), (_X,)) if network.pads else is_real(network.input)
    body = [
        _check(network.input),
        *as_floats(network.input),
        *masked(network, mask),
        *computed(network, before),
    ]
    loss = _RAW.get(last.activation) if isinstance(last, nodes.Dense) else None
    if loss is None or not isinstance(last, nodes.Dense):
        docstring, arguments = "Return the output for a batch.", ""
        body += [*computed(network, [last]), Return(_X)]
    else:
        docstring = f"Return the output, or with ``logits`` what ``{loss}`` takes."
        arguments = ", *, logits: bool = False"
        after = activated(_X, last.activation)
        body += [called(last), Return(Choice(_X, Name("logits"), after))]
    return Function(
        "forward", f"self, x: torch.Tensor{arguments}", "torch.Tensor", (docstring,), tuple(body)
    )


def _check(network_input: nodes.Input) -> Statement:
    # Stock layers accept any number of steps, and their errors about other shapes say little.
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
