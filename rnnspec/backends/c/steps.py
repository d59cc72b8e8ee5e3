"""The numbers of steps in C: which inputs share one, and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.ir import nodes
from rnnspec.ir.forms import held_values, states, states_of, streamed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.ir.forms import Form

MOST_STEPS = 512
"""The longest sequence of a network of any length, unless it needs more or another is asked for."""

Count = int | tuple[str, int, int]
"""A number of steps: fixed, or (steps of an input - first) / every, rounded up."""


@dataclass(frozen=True, slots=True)
class SharedLength:
    """The number of steps that some inputs have in common.

    ``prefix`` begins the names of its constants, ``fixed`` is true if a spec states it.
    """

    symbol: str
    prefix: str
    inputs: tuple[str, ...]
    least: int
    most: int
    fixed: bool


def step_counts(network: nodes.Network) -> dict[str, Count]:
    """Return the number of steps of each input and layer that is a sequence."""
    counts: dict[str, Count] = {
        network_input.name: (network_input.name, 0, 1)
        for network_input in network.inputs
        if isinstance(network_input, nodes.SequenceInput)
    }
    for layer, names in zip(network.layers, nodes.sources(network).values(), strict=True):
        match layer:
            case _ if len(layer.output) < 2:
                continue
            case nodes.Repeat(like=str(name)) if name in counts:
                counts[layer.name] = counts[name]
            case nodes.Repeat(steps=int(count)) | nodes.LastSteps(count=count):
                counts[layer.name] = count
            case nodes.Transpose():
                counts[layer.name] = nodes.width(layer.input[:1])
            case nodes.Append():
                counts[layer.name] = _appended(layer, [counts.get(name, 1) for name in names])
            case nodes.Conv(window=window) | nodes.WindowPooling(window=window):
                match counts[names[0]]:
                    case int(steps):
                        counts[layer.name] = window.count(steps) or 0
                    case (name, first, every):
                        first += every * window.anchor
                        counts[layer.name] = (name, first, every * window.stride)
            case _:
                counts[layer.name] = next(counts[name] for name in names if name in counts)
        counts |= dict.fromkeys(nodes.contexts_of(network, layer), counts[layer.name])
    return counts


def _appended(layer: nodes.Append, counts: list[Count]) -> Count:
    """Return the number of steps of sequences one behind the other, one of any length at most."""
    total, of_any = 0, list[tuple[str, int, int]]()
    for shape, count in zip(layer.inputs, counts, strict=True):
        steps = shape[0] if len(shape) > 1 else 1
        if steps is None and not isinstance(count, int):
            of_any.append(count)
        else:
            # A sequence of a length has all of it, as ``lengths`` says.
            total += steps or 0
    if not of_any:
        return total
    ((name, first, every),) = of_any
    return (name, first - total * every, every)


def delays(network: nodes.Network) -> dict[str, int]:
    """Return the steps of a sequence before the first output, of what depends on the stream.

    A convolution in step form waits until its window is full.
    """
    result, streams, taken = dict[str, int](), streamed(network), nodes.sources(network)
    for network_input in network.inputs:
        if network_input.name in streams:
            result[network_input.name] = 0
    for layer in network.layers:
        if layer.name in streams:
            names = list(taken[layer.name])
            if isinstance(layer, nodes.Residual):
                names.append(taken[layer.start][0])
            missing = sum(
                (state.shape[0] or 0) - (state.fewer[0] or 0)
                for state in states_of(layer)
                if state.fewer is not None
            )
            result[layer.name] = missing + max(result.get(name, 0) for name in names)
            ports = network.ports_of(layer.name)
            result |= {port.name: result[layer.name] for port in ports}
    return result


def held_memories(network: nodes.Network) -> dict[str, str]:
    """Return the sequences that are known before the first chunk, which layers attend to.

    Each has the state with its number of steps, which several may share, or an empty text if that
    is fixed.
    """
    counts, taken = step_counts(network), {state.name for state in states(network)}
    fields, result = dict[Count, str](), dict[str, str]()
    for state in held_values(network):
        if len(state.shape) > 1:
            field, count = f"{state.layer}_steps", counts[state.layer]
            # An equation may have a state of this name.
            field += "_" * (field in taken)
            result[state.layer] = "" if isinstance(count, int) else fields.setdefault(count, field)
    return result


def joined_counts(network: nodes.Network) -> Iterator[tuple[Count, Count]]:
    """Yield pairs of numbers of steps that must be equal, of layers that join sequences."""
    counts, taken = step_counts(network), nodes.sources(network)
    for layer in network.layers:
        names = list(taken[layer.name])
        if isinstance(layer, nodes.Residual):
            names.append(taken[layer.start][0])
        elif not isinstance(layer, nodes.Joined) or isinstance(layer, nodes.Append):
            continue
        first, *others = [counts[name] for name in names if name in counts] or [0]
        yield from ((first, other) for other in others if other != first)


def lengths(network: nodes.Network, most: int | None = None) -> tuple[SharedLength, ...]:
    """Return the numbers of steps of the inputs, in the order of these.

    Inputs whose steps are joined share one. ``most`` limits those that may be of any length.
    """
    leaders = {
        network_input.name: network_input.name
        for network_input in network.inputs
        if isinstance(network_input, nodes.SequenceInput)
    }

    def leader(name: str) -> str:
        while leaders[name] != name:
            leaders[name] = name = leaders[leaders[name]]
        return name

    for stream in network.streams:
        leaders[leader(stream)] = leader(network.streams[0])
    exact = set[str]()
    for one, other in joined_counts(network):
        match one, other:
            case (str(name), *window), (str(second), *others) if window == others:
                leaders[leader(second)] = leader(name)
            case _:
                # They are equal for the lengths that the spec gives.
                exact |= {count[0] for count in (one, other) if not isinstance(count, int)}
    groups = dict[str, list[nodes.SequenceInput]]()
    for network_input in network.inputs:
        if isinstance(network_input, nodes.SequenceInput):
            groups.setdefault(leader(network_input.name), []).append(network_input)
    counted = nodes.Flatten | nodes.Transpose | nodes.Append
    if any(isinstance(layer, counted) for layer in network.layers):
        exact.update(leaders)
    least = nodes.least_steps_by_input(network)
    # Several times the fewest: comparisons run longer sequences too.
    longest = most or max(MOST_STEPS, 4 * nodes.least_steps(network))
    result = []
    for inputs in groups.values():
        names = tuple(network_input.name for network_input in inputs)
        known = min(
            (network_input.steps for network_input in inputs if network_input.steps is not None),
            default=None,
        )
        lowest = max(least[name] for name in names)
        alone = len(groups) == 1
        result.append(
            SharedLength(
                symbol="steps" if alone else f"{names[0]}_steps",
                prefix="" if alone else f"{names[0].upper()}_",
                inputs=names,
                least=known if known and exact.intersection(names) else lowest,
                most=known or longest,
                fixed=known is not None,
            )
        )
    return tuple(result)


def free_lengths(network: nodes.Network, form: Form) -> list[SharedLength]:
    """Return the numbers of steps that only an option limits, which all have the same limit."""
    streams = {*network.streams} if form == "step" else set()
    return [
        length
        for length in lengths(network)
        if not length.fixed and streams.isdisjoint(length.inputs)
    ]
