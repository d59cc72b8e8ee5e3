"""The words beside a picture: the entry of each layer in the margin, remarks, and the total."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import assert_never

from rnnspec.drawing.looks import count_words, look
from rnnspec.errors import listed, printable
from rnnspec.ir.equations import Equations, Expression, Name, Product, walk
from rnnspec.ir.nodes import (
    Append,
    EquationCell,
    Input,
    Joined,
    LabelInput,
    Layer,
    Learned,
    Network,
    NumericInput,
    Port,
    Recurrent,
    Repeat,
    SequenceInput,
    Shape,
    TokenInput,
    VectorInput,
    Windowed,
    learned_of,
    sources,
)
from rnnspec.ir.params import count, counts

HELD = "padding: the state is held"
_MOST_DESCRIBED = 40


@dataclass(frozen=True, slots=True)
class MarginEntry:
    """The text of a layer in the margin: its name, its kind, and its shape and parameters.

    The entry of a network is its name.
    """

    name: str
    kind: str = ""
    detail: str = ""

    @property
    def heading(self) -> str:
        """The name and the kind on one line."""
        return f"{self.name}  {self.kind}"

    @property
    def compact_detail(self) -> str:
        """The shape and the number of parameters, closer together."""
        return self.detail.replace("  ·  ", " · ")


def lengths(network: Network) -> dict[str, str]:
    """Return the number of time steps after each input and each layer: ``500``, ``T``, ``T'``.

    T is the length of an input of any length; each window that changes it adds a prime.
    """
    result = dict[str, str]()
    for network_input in network.inputs:
        steps = network_input.steps if isinstance(network_input, SequenceInput) else None
        result[network_input.name] = "T" if steps is None else str(steps)
    is_sequence = {
        network_input.name: isinstance(network_input, SequenceInput)
        for network_input in network.inputs
    }
    for layer, names in zip(network.layers, sources(network).values(), strict=True):
        is_sequence[layer.name] = len(layer.output) > 1
        first = names[-1] if isinstance(layer, Repeat) else names[0]
        if isinstance(layer, Joined):
            first = next((name for name in names if is_sequence[name]), first)
        name, steps = result[first], layer.output[0]
        if len(layer.output) < 2:
            pass  # a vector; the name is that of the sequence before it
        elif steps is not None:
            name = str(steps)
        elif isinstance(layer, Append) or (
            isinstance(layer, Windowed) and not layer.window.keeps_steps
        ):
            name += "'"
        result[layer.name] = name
        result |= {vector.name: name for vector in learned_of(layer)}
        for port in network.ports_of(layer.name):
            is_sequence[port.name], result[port.name] = len(port.output) > 1, name
    return result


def entry(layer: Layer | Learned | Port, length: str = "T", head: str = "") -> MarginEntry:
    """Return the margin entry of a layer of a named ``head``, with an output of any ``length``."""
    # What a layer learned to begin as is among its arrays.
    parameters = 0 if isinstance(layer, Learned | Port) else count(layer)
    sizes = shape(layer.output, length)
    detail = [f"→ {sizes}", *([count_words(parameters, "parameter")] if parameters else [])]
    kind = "output" if isinstance(layer, Port) else "head"
    detail += [f"{kind} {head}"] if head else []
    return MarginEntry(layer.name, look(layer).kind, "  ·  ".join(detail))


def hidden_entry(layers: Sequence[Layer]) -> MarginEntry:
    """Return the margin entry of layers that a picture leaves out."""
    first, last = layers[0].name, layers[-1].name
    parameters = count_words(sum(map(count, layers)), "parameter")
    return MarginEntry(f"{first} to {last}", f"{len(layers)} layers", parameters)


def input_entry(node: Input) -> MarginEntry:
    """Return the margin entry of an input."""
    match node:
        case TokenInput(mask_zero=masked):
            kind = count_words(node.steps, "token")
            return MarginEntry(node.name, kind, "token 0 is padding" if masked else "")
        case NumericInput(features=features, mask_value=value):
            kind = f"{count_words(node.steps, 'step')} of {count_words(features, 'feature')}"
            padding = "" if value is None else f"a step of {value:g} alone is padding"
            return MarginEntry(node.name, kind, padding)
        case VectorInput(features=features, state=state):
            what = "first state" if state else "vector"
            return MarginEntry(node.name, f"a {what} of {count_words(features, 'feature')}")
        case LabelInput():
            return MarginEntry(node.name, "one token for each sequence")
        case _:
            assert_never(node)


def recurrent_dropout(layer: Recurrent) -> str:
    """Return the dropout on the state of a layer, empty if there is none."""
    rate = layer.recurrent_dropout
    return f"recurrent dropout {rate:g}" if rate else ""


def remarks(layer: Layer) -> Iterator[str]:
    """Yield remarks on padding and on a last state, which other pictures draw."""
    if isinstance(layer, Recurrent) and layer.masked:
        yield HELD
    if isinstance(layer, Recurrent) and layer.merge is None and not layer.return_sequences:
        yield "last state only"


def last_states(layer: Recurrent, length: str) -> tuple[str, str]:
    """Return remarks on the last states of the forward and of the backward direction.

    ``length`` is the name of the last step if there may be any number of them.
    """
    steps = layer.input[0]
    # The only step of a sequence is not drawn as padding.
    held = layer.masked and steps != 1
    when = "held over the padding" if held else f"at step {shape((steps,), length)}"
    both = "last state of the {} direction, {}"
    return both.format("forward", when), both.format("backward", "at step 1")


_MOST_STATES, _LONGEST_STATES = 4, 16
"""The most states with an arrow each, and the characters of names beside a loop."""


def state_names(layer: Recurrent) -> tuple[str, ...]:
    """Return the name of each part of the state of a layer, the output last."""
    return tuple(name for name, _ in layer.states[::-1])


def state_arrows(layer: Recurrent) -> tuple[str, ...]:
    """Return the states of each arrow from step to step: of many, the first share one."""
    *first, last = (names := state_names(layer))
    return names if len(names) <= _MOST_STATES else (" ".join(first), last)


def states_in_words(layer: Recurrent) -> str:
    """Return the names of the states, or how many there are if they are long."""
    names = ", ".join(state_names(layer))
    return names if len(names) <= _LONGEST_STATES else count_words(len(layer.states), "state")


def dropped_states(layer: Recurrent) -> frozenset[str]:
    """Return the states that recurrent dropout acts on: those that matrices multiply."""
    cell = layer.cell
    if not isinstance(cell, EquationCell):
        # The cell state of an LSTM is added to.
        return frozenset({layer.states[0][0]})
    states_of: dict[str, set[str]] = {}
    dropped = set[str]()
    for line in cell.equations.lines:
        for part in walk(line.value):
            if isinstance(part, Product):
                dropped |= _states_in(part.vector, states_of)
        states_of[line.name] = _states_in(line.value, states_of)
    return frozenset(dropped)


def _states_in(expression: Expression, states_of: dict[str, set[str]]) -> set[str]:
    """Return the states that an expression depends on, by itself or through lines before it."""
    states = set[str]()
    for part in walk(expression):
        match part:
            case Name(name=name, kind="state"):
                states.add(name)
            case Name(name=name, kind="line"):
                states |= states_of[name]
            case _:
                pass
    return states


def equation_cells(network: Network) -> dict[tuple[str, Equations], list[str]]:
    """Return the cells by equation, each with the layers that have it."""
    cells: dict[tuple[str, Equations], list[str]] = {}
    for layer in network.layers:
        if isinstance(layer, Recurrent) and isinstance(layer.cell, EquationCell):
            cells.setdefault((layer.cell.name, layer.cell.equations), []).append(layer.name)
    return cells


def cell_words(states: Sequence[str], layers: Sequence[str]) -> str:
    """Return the states of a cell, and the layers that have it."""
    of = f"{len(layers)} layers" if len(layers) > 3 else listed(layers, "and")
    noun = "state" if len(states) == 1 else "states"
    return f"the cell of {of}: {noun} {', '.join(states)}"


def shape(sizes: Shape, length: str = "T") -> str:
    """Return the sizes of a shape, with ``length`` for any number of steps."""
    return " × ".join(length if size is None else f"{size:,}" for size in sizes)


def total(network: Network) -> tuple[str, str]:
    """Return the number of parameters of a network, and the words that follow it."""
    sums = counts(network)
    number, noun = count_words(sums.total, "parameter").split()
    rest = f"{noun} in all"
    if sums.non_trainable:
        rest += f", {sums.trainable:,} trainable"
    return number, rest


def description(network: Network, subject: str) -> str:
    """Return the content of a picture in words, for readers who do not see it."""
    starts = map(input_entry, network.inputs)
    entries = [
        f"{start.name}: {start.kind}{f' ({start.detail})' if start.detail else ''}"
        for start in starts
    ]
    names = lengths(network)
    for value in islice(network.values, _MOST_DESCRIBED):
        row = entry(value, names[value.name])
        entries.append(f"{row.name}: {row.kind} ({row.detail.replace('  ·  ', ', ')})")
    if more := len(network.layers) + len(network.ports) - _MOST_DESCRIBED:
        entries += [f"and {more:,} more layers"] if more > 0 else []
    text = safe(network.description)
    return f"{text + ' ' if text else ''}{subject}, from input to output: {'; '.join(entries)}."


def safe(text: str) -> str:
    """Return free text as one line without control characters, format characters included."""
    return printable(" ".join(text.split()))
