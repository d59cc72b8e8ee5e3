"""The statements of the step form: the states as inputs and outputs beside those of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.expressions import (
    Assign,
    Binary,
    Call,
    Entries,
    Expression,
    Index,
    Items,
    Name,
    Statement,
)
from rnnspec.backends.keras.layers import applied, recurrent, state_input
from rnnspec.backends.running import running
from rnnspec.ir import nodes
from rnnspec.ir.steps import states, states_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_X = Name("x")


def given_states(network: nodes.Network) -> Assign:
    """Return the statement that makes an input for each state."""
    made = tuple((state.name, state_input(state)) for state in states(network))
    return Assign("states", Entries(made))


def stepped(layer: nodes.Layer, variable: Name) -> Iterator[Statement]:
    """Yield the statements that apply a layer to a chunk, and give its new states a name."""
    match layer:
        case nodes.Recurrent():
            yield from _recurrent(layer, variable)
        case nodes.Pooling(statistic="mean" | "max"):
            yield from running(layer, variable, _given(layer))
        case _:
            yield Assign("x", applied(layer, variable))


def stepped_model(network: nodes.Network) -> Call:
    """Return the call that makes the model, which takes and returns a dict."""
    inputs = Binary(Entries((("inputs", Name("inputs")),)), "|", Name("states"))
    after = ((state.name, Name(state.name)) for state in states(network))
    outputs = Entries((("output", _X), *after))
    return Call(Name("keras.Model"), (inputs, outputs), (("name", network.name),))


def about_states(network: nodes.Network) -> Iterator[str]:
    """Yield docstring lines about the states, and how the model takes and returns them."""
    yield 'It takes a dict of "inputs" and the states, and returns one of "output" and new states.'
    yield "States, by name, zeros before the first chunk:"
    for state in states(network):
        yield f"    {state.name}: (batch, {state.size})"


def _given(layer: nodes.Layer) -> tuple[Expression, ...]:
    return tuple(Index(Name("states"), state.name) for state in states_of(layer))


def _recurrent(layer: nodes.Recurrent, variable: Name) -> Iterator[Statement]:
    names = [state.name for state in states_of(layer)]
    # Keras passes the mask on by itself only to a layer that gets a single tensor.
    mask = (("mask", Name("mask")),) if layer.masked else ()
    initial = ("initial_state", Items(_given(layer)))
    made = Call(recurrent(layer, returns_states=True), (variable,), (*mask, initial))
    if layer.return_sequences:
        yield Assign(("x", *names), made)
    else:
        # Not the output, which is zeros after a chunk of padding alone.
        yield Assign(("_", *names), made)
        yield Assign("x", Name(names[0]))
