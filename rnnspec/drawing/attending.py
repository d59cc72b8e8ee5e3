"""Attention in pictures: its memory is a row, and its projections are part of its node."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rnnspec.ir.nodes import (
    Attention,
    Contexts,
    Dense,
    Layer,
    Network,
    attention_of,
    sources,
)


@dataclass(frozen=True, slots=True)
class Memory:
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
    projections: dict[str, tuple[Dense, ...]]


def fold_projections(network: Network) -> Folded:
    """Take out the layers that only compute the keys or the queries of an attention."""
    taken = sources(network)
    readers: dict[str, set[str]] = {}
    for reader, names in taken.items():
        for name in names:
            readers.setdefault(name, set()).add(reader)
    by_name = {layer.name: layer for layer in network.layers}
    outputs = {layer.name for layer in network.results.values()}
    projections: dict[str, tuple[Dense, ...]] = {}
    for layer in network.layers:
        if attention := attention_of(layer):
            names = [attention.keys] if attention.keys != attention.over else []
            names += taken[layer.name][:1] if isinstance(layer, Attention) else []
            projections[layer.name] = tuple(
                part
                for part, name in zip(map(by_name.get, names), names, strict=True)
                if isinstance(part, Dense)
                and name in (f"{layer.name}_keys", f"{layer.name}_query")
                and readers[name] == {layer.name}
                and name not in outputs
            )
    apart = {part.name: part for parts in projections.values() for part in parts}
    layers = [_skip(layer, apart, taken) for layer in network.layers if layer.name not in apart]
    return Folded(network, replace(network, layers=tuple(layers)), projections)


def _skip(layer: Layer, apart: dict[str, Dense], taken: dict[str, tuple[str, ...]]) -> Layer:
    """Return a layer that takes what its projections take."""
    result = layer
    attention = attention_of(layer)
    if attention is not None and attention.keys in apart:
        match result:
            case Attention(over=over):
                result = replace(result, keys=over)
            case _:
                result = replace(result, attention=replace(attention, keys=attention.over))
    query = taken[layer.name][0]
    if isinstance(result, Attention) and query in apart:
        result = replace(result, source=taken[query][0], input=apart[query].input)
    return result


def memories(layer: Layer) -> tuple[Memory, ...]:
    """Return what a layer attends to: one memory, or a second one that gives the keys."""
    attention = attention_of(layer)
    names = dict.fromkeys((attention.over, attention.keys)) if attention else ()
    return tuple(map(Memory, names))


def memory_rows(network: Network) -> dict[str, list[Memory]]:
    """Return the memories that stand above each layer or input."""
    by_name = {layer.name: layer for layer in network.layers}
    taken, result = sources(network), dict[str, list[Memory]]()
    for memory in dict.fromkeys(one for layer in network.layers for one in memories(layer)):
        # Contexts stand beside the layer that has them.
        is_beside = isinstance(by_name.get(memory.of), Contexts)
        below = taken[memory.of][0] if is_beside else memory.of
        result.setdefault(below, []).append(memory)
    return result
