"""The methods of the step form: ``initial_states``, and ``__call__`` with the states of a chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.expressions import (
    Assign,
    Binary,
    Call,
    Entries,
    Expression,
    Function,
    If,
    Index,
    Items,
    Name,
    Return,
    Statement,
    Target,
)
from rnnspec.backends.jax.forward import check, computed, is_real, masked
from rnnspec.backends.running import running
from rnnspec.ir import nodes
from rnnspec.ir.steps import states, states_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_X = Name("x")
_STATES = "dict[str, jax.Array]"


def step_methods(network: nodes.Network) -> Iterator[Function]:
    """Yield the methods of a network in step form beside ``__init__``."""
    yield _initial_states(network)
    yield _call(network)


def described_states(network: nodes.Network) -> Iterator[str]:
    """Yield docstring lines about the states and their shapes."""
    yield "States, by name, zeros before the first chunk:"
    for state in states(network):
        yield f"    {state.name}: (batch, {state.size})"


def _initial_states(network: nodes.Network) -> Function:
    first = next(layer for layer in network.layers if isinstance(layer, nodes.Recurrent))
    # Tokens are integers, and a mixed precision has states of the wider dtype.
    dtype = Call(Name("jnp.result_type"), (_X, Name(f"self.{first.name}.kernel.dtype")))
    made = tuple((state.name, _zeros(state.size)) for state in states(network))
    return Function(
        "initial_states",
        "self, x: jax.Array",
        _STATES,
        ("Return the states before the first chunk ``x``, which are zeros.",),
        (
            Assign("batch", Index(Name("x.shape"), 0)),
            Assign("dtype", dtype),
            Return(Entries(made)),
        ),
    )


def _zeros(size: int) -> Call:
    return Call(Name("jnp.zeros"), (Items((Name("batch"), size), fixed=True), Name("dtype")))


def _call(network: nodes.Network) -> Function:
    names = [state.name for state in states(network)]
    zeros = Call(Name("self.initial_states"), (_X,))
    absent = Binary(Name("states"), "is", None)
    of = "outputs of the chunk" if len(network.output) > 1 else "output for the steps so far"
    body: list[Statement] = [
        check(network.input),
        If(((absent, (Assign("states", zeros),)),)),
        *(Assign(name, Index(Name("states"), name)) for name in names),
        *masked(network, is_real(network.input)),
        *_computed(network),
        Assign("states", Entries(tuple((name, Name(name)) for name in names))),
        Return(Items((_X, Name("states")), fixed=True)),
    ]
    return Function(
        "__call__",
        f"self, x: jax.Array, states: {_STATES} | None = None",
        f"tuple[jax.Array, {_STATES}]",
        (f"Return the {of}, and the states for the next chunk.",),
        tuple(body),
    )


def _computed(network: nodes.Network) -> Iterator[Statement]:
    starts = {layer.start for layer in network.layers if isinstance(layer, nodes.Residual)}
    for layer in network.layers:
        if layer.name in starts:
            yield Assign("skip", _X)
        match layer:
            case nodes.Recurrent():
                yield from _recurrent(layer)
            case nodes.Pooling(statistic="mean" | "max"):
                yield from running(layer, _X, [Name(state.name) for state in states_of(layer)])
            case _:
                yield from computed(layer)


def _recurrent(layer: nodes.Recurrent) -> Iterator[Statement]:
    names = [state.name for state in states_of(layer)]
    target: Target = names[0]
    given: Expression = Name(names[0])
    if isinstance(layer.cell, nodes.LSTM):
        target, given = tuple(names), Items(tuple(map(Name, names)), fixed=True)
    mask = (Name("mask"),) if layer.masked else ()
    made = Call(Name(f"self.{layer.name}"), (_X, *mask, given))
    yield Assign(("x" if layer.return_sequences else "_", target), made)
    if not layer.return_sequences:
        yield Assign("x", Name(names[0]))
