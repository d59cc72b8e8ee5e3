"""The step form: states as inputs and outputs of the graph, and the layers that hand them on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.onnx.cells import operated
from rnnspec.backends.onnx.graph import Value
from rnnspec.backends.onnx.names import FORM, after, array
from rnnspec.backends.onnx.padding import FLOAT, LOWEST
from rnnspec.errors import Refusal
from rnnspec.ir.forms import State, states, states_of
from rnnspec.ir.nodes import TokenInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.backends.onnx.graph import Builder
    from rnnspec.backends.onnx.padding import Padding
    from rnnspec.ir.nodes import Network, Pooling, Recurrent

SUMMARY = (
    "A chunk of steps. The states before the first chunk are zeros, and each NAME_next is given as "
    "NAME with the next chunk."
)
"""The documentation in a file."""


def given_states(network: Network) -> tuple[Value, ...]:
    """Return the inputs for the states before a chunk."""
    return tuple(_value(state, state.name) for state in states(network))


def new_states(network: Network) -> tuple[Value, ...]:
    """Return the outputs for the states after a chunk."""
    return tuple(_value(state, after(state.name)) for state in states(network))


def _value(state: State, name: str) -> Value:
    return Value("float", ("batch", state.size), name)


def step_metadata(network: Network) -> Iterator[tuple[str, str]]:
    """Yield the form, and the size of the vocabulary, which the type of an input does not tell.

    ONNX Runtime takes a negative token for one from the end of the vocabulary.
    """
    yield FORM, "step"
    if isinstance(network.input, TokenInput):
        yield "vocabulary", str(network.input.vocabulary)


def described_states(network: Network) -> Iterator[str]:
    """Yield comment lines about the states and their shapes."""
    yield "States by name, zeros before the first chunk; each has an output NAME_next:"
    for state in states(network):
        yield f"- {state.name}: (batch, {state.size})"


def taken_names(network: Network) -> Iterator[Refusal]:
    """Yield a refusal of each layer whose output would have the name of a new state."""
    owners = {after(state.name): state.layer for state in states(network)}
    for layer in network.layers:
        if owner := owners.get(layer.name):
            reason = f"in step form, the next state of {owner} has this name"
            yield Refusal(layer.name, "name", reason)


def fused_chunk(into: Builder, layer: Recurrent, x: str, padding: Padding | None) -> str:
    """Add a fused layer that begins with its states, and return its output or final state."""
    held = states_of(layer)
    first = into.integers("Axis_0", 0)
    given = [
        into.add(array(layer.name, f"Given_{each.kind}"), "Unsqueeze", each.name, first)
        for each in held
    ]
    results = (
        array(layer.name, "Y") if layer.return_sequences else "",
        *(array(layer.name, f"Y_{each.kind}") for each in held),
    )
    lengths = "" if padding is None else padding.lengths
    into.node(operated(layer, results, x, lengths, *given))
    for each, result in zip(held, results[1:], strict=True):
        _hand_on(into, each, result, padding)
    if layer.return_sequences:
        return into.add(layer.name, "Squeeze", results[0], into.integers("Axis_1", 1))
    return into.add(layer.name, "Identity", after(held[0].name))


def _hand_on(into: Builder, state: State, result: str, padding: Padding | None) -> None:
    """Name the state after the chunk, (batch, units), which is ``result`` with one more axis."""
    first = into.integers("Axis_0", 0)
    if padding is None:
        into.add(after(state.name), "Squeeze", result, first)
        return
    # After a sequence of length 0, ONNX Runtime returns zeros instead of the initial state.
    found = into.add(f"{result}_Found", "Squeeze", result, first)
    into.add(after(state.name), "Where", padding.exists(), found, state.name)


def pooled_chunk(into: Builder, layer: Pooling, x: str, padding: Padding | None) -> str:
    """Add a statistic over all steps so far, and return its name."""
    value, count = (state.name for state in states_of(layer))
    if layer.statistic == "mean":
        return _mean(into, layer.name, x, (value, count), padding)
    return _max(into, layer.name, x, (value, count), padding)


def _counted(into: Builder, name: str, x: str, count: str, padding: Padding | None) -> str:
    """Return the number of real steps so far, (batch, 1)."""
    if padding is not None:
        return into.add(after(count), "Add", count, padding.count())
    steps = into.add(array(name, "Steps"), "Shape", x, start=0, end=1)
    number = into.add(array(name, "Steps_Float"), "Cast", steps, to=FLOAT)
    return into.add(after(count), "Add", count, number)


def _over_steps(into: Builder, name: str, operator: str, x: str) -> str:
    found = array(name, "Chunk")
    return into.add(found, operator, x, into.integers("Axis_0", 0), keepdims=0)


def _mean(
    into: Builder, name: str, x: str, states: tuple[str, str], padding: Padding | None
) -> str:
    total, count = states
    if padding is not None:
        zero = into.scalar("Zero", 0.0)
        x = into.add(array(name, "Kept"), "Where", padding.steps(), x, zero)
    chunk = _over_steps(into, name, "ReduceSum", x)
    total = into.add(after(total), "Add", total, chunk)
    steps = _counted(into, name, x, count, padding)
    if padding is not None:
        steps = into.add(array(name, "Least"), "Max", steps, into.scalar("Least", 1.0))
    return into.add(name, "Div", total, steps)


def _max(into: Builder, name: str, x: str, states: tuple[str, str], padding: Padding | None) -> str:
    value, count = states
    zero, lowest = into.scalar("Zero", 0.0), into.scalar("Lowest", LOWEST)
    if padding is not None:
        x = into.add(array(name, "Kept"), "Where", padding.steps(), x, lowest)
    chunk = _over_steps(into, name, "ReduceMax", x)
    # Before the first real step, the zeros are no maximum.
    begun = into.add(array(name, "Begun"), "Greater", count, zero)
    before = into.add(array(name, "Before"), "Where", begun, value, lowest)
    highest = into.add(array(name, "Highest"), "Max", before, chunk)
    steps = _counted(into, name, x, count, padding)
    exists = into.add(array(name, "Exists"), "Greater", steps, zero)
    into.add(after(value), "Where", exists, highest, zero)
    return into.add(name, "Identity", after(value))
