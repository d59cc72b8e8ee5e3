"""Attention in pictures: its memory is a row, and its projections are part of its node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rnnspec.ir.nodes import (
    Attention,
    Dense,
    Layer,
    Network,
    Recurrent,
    StepAttention,
    attention_of,
    sources,
)


@dataclass(frozen=True, slots=True)
class DrawnMemory:
    """The steps of a layer or an input, which attentions take as a whole."""

    of: str

    @property
    def name(self) -> str:
        """The name of its node, which no layer can have."""
        return f"{self.of}.memory"


@dataclass(frozen=True, slots=True)
class Folded:
    """A network as it is drawn: without the projections, which are those of their attention.

    ``whole`` is the network with all its layers.
    """

    whole: Network
    network: Network
    projections: Mapping[str, Sequence[Dense]]


def fold_projections(network: Network) -> Folded:
    """Take out the layers that only compute the keys, values or queries of an attention."""
    taken = sources(network)
    readers: dict[str, set[str]] = {layer.name: set() for layer in network.results.values()}
    for reader, names in taken.items():
        for name in names:
            readers.setdefault(name, set()).add(reader)
    projections: dict[str, list[Dense]] = {}
    for layer in network.layers:
        owner, _, kind = layer.name.rpartition("_")
        is_part = kind in ("keys", "values", "query") and readers.get(layer.name) == {owner}
        if is_part and isinstance(layer, Dense) and layer.activation == "linear":
            projections.setdefault(owner, []).append(layer)
    apart = {part.name: part for parts in projections.values() for part in parts}
    layers = [_skip(layer, apart, taken) for layer in network.layers if layer.name not in apart]
    return Folded(network, replace(network, layers=tuple(layers)), projections)


def _skip(layer: Layer, apart: Mapping[str, Dense], taken: Mapping[str, Sequence[str]]) -> Layer:
    """Return a layer that takes what its projections take."""
    match layer:
        case Recurrent(attention=StepAttention(keys=keys, over=over) as attention):
            if keys in apart:
                return replace(layer, attention=replace(attention, keys=over))
            return layer
        case Attention(keys=keys, over=over):
            result = replace(layer, keys=taken[keys][0]) if keys in apart else layer
            if over in apart:
                # Their shapes are those of what is seen.
                result = replace(result, over=taken[over][0], memory=apart[over].input)
            query = taken[layer.name][0]
            if query in apart:
                result = replace(result, source=taken[query][0], input=apart[query].input)
            return result
        case _:
            return layer


def memories(layer: Layer) -> tuple[DrawnMemory, ...]:
    """Return what a layer attends to: one memory, or a second one that gives the keys."""
    attention = attention_of(layer)
    names = dict.fromkeys((attention.over, attention.keys)) if attention else ()
    return tuple(map(DrawnMemory, names))


def memory_rows(network: Network) -> dict[str, list[DrawnMemory]]:
    """Return the memories that stand above each layer or input."""
    result = dict[str, list[DrawnMemory]]()
    for memory in dict.fromkeys(one for layer in network.layers for one in memories(layer)):
        # A context stands beside its layer.
        port = network.ports.get(memory.of)
        result.setdefault(port.layer if port else memory.of, []).append(memory)
    return result
