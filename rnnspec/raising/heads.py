"""The heads of a network, which begin as early as the keys of a head allow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rnnspec.ir import nodes
from rnnspec.raising.graph import Words
from rnnspec.raising.items import activation_words
from rnnspec.spec import models

if TYPE_CHECKING:
    from rnnspec.raising.graph import GraphReader
    from rnnspec.raising.items import ItemReader


@dataclass(frozen=True, slots=True)
class Segment:
    """The layers of a head by their places, from ``start`` up to ``end``; perhaps none."""

    name: str
    result: str
    start: int
    end: int

    def main(self, graph: GraphReader) -> str:
        """Return the layer or input that the head takes."""
        return graph.main(graph.layers[self.start]) if self.start < self.end else self.result


def find_segments(graph: GraphReader, reader: ItemReader) -> list[Segment]:
    """Return the layers of each head. All are behind the items of ``rnn``, in their order."""
    places = {layer.name: at for at, layer in enumerate(graph.layers)}
    segments, end = list[Segment](), len(graph.layers)
    for name, result in reversed(graph.results.items()):
        start = _start(graph, reader, end) if places.get(result) == end - 1 else end
        segments.insert(0, Segment(name, result, start, end))
        end = start
    if _gives_only_states(graph, reader, end):
        # As the last item, it would give its sequence.
        at = next((at for at, one in enumerate(segments) if one.start < one.end), None)
        if at is not None:
            segments[at] = replace(segments[at], start=segments[at].end)
            segments[:at] = [
                replace(one, start=segments[at].end, end=segments[at].end) for one in segments[:at]
            ]
    return segments


def _gives_only_states(graph: GraphReader, reader: ItemReader, end: int) -> bool:
    """True if the layer before ``end`` is recurrent, and only its states are used."""
    if not end or graph.readers.get(graph.layers[end - 1].name):
        return False
    last = graph.layers[end - 2 if reader.is_in_block(end - 1) else end - 1]
    return isinstance(last, nodes.Recurrent) and not last.return_sequences


def _start(graph: GraphReader, reader: ItemReader, end: int) -> int:
    """Return where the head begins whose last layer is before ``end``."""
    layers, at = graph.layers, end

    def is_inside(place: int) -> bool:
        """True if only the head takes the output of a layer."""
        if place < end - 1:
            return graph.feeds(place)
        return len(graph.readers[layers[place].name]) == 1

    while at and is_inside(at - 1):
        layer = layers[at - 1]
        if not layer.is_pointwise or reader.is_in_block(at - 1):
            break
        at -= 1
    if not at or not is_inside(at - 1):
        return at
    layer = layers[at - 1]
    if isinstance(layer, nodes.Reducing) and graph.has_default_name(layer):
        return at - 1
    if isinstance(layer, nodes.Join) and graph.has_default_name(layer):
        pools = [name for name in layer.of if isinstance(graph.by_name.get(name), nodes.Reducing)]
        start = at - 1 - len(pools)
        return start if reader.lists.get(start) == at - 1 else at
    return at


def read_head(graph: GraphReader, reader: ItemReader, segment: Segment, trunk: str) -> Words:
    """Read a head behind ``trunk``, the output of the last item of ``rnn``."""
    layers, at, end = graph.layers, segment.start, segment.end
    main = segment.main(graph)
    words: Words = {} if main == trunk else {"of": graph.read(main)}
    gives_steps = graph.is_sequence(main)
    words["pooling"] = "none" if gives_steps else "last"
    if at < end and isinstance(layers[at], nodes.Reducing):
        words["pooling"], number = reader.pooling(at)
        gives_steps = isinstance(layers[at], nodes.LastSteps)
        at += number
    if at < end and isinstance(first := layers[at], nodes.Dropout) and reader.is_key(first):
        words["dropout"] = first.rate
        at += 1
    normalizes = at < end and isinstance(layers[end - 1], nodes.Normalize) and not gives_steps
    if normalizes and graph.has_default_name(layers[end - 1]):
        end -= 1
    last = layers[end - 1] if at < end else None
    is_activated = isinstance(last, nodes.Activate) and last.activation != "linear"
    is_key = isinstance(last, nodes.Dense) or is_activated
    end -= is_key
    hidden = list[Words]()
    while at < end:
        layer, after = layers[at], layers[at + 1] if at + 1 < end else None
        hidden.append(reader.keys(layer))
        at += 1
        if isinstance(layer, nodes.Dense):
            # The default.
            del hidden[-1]["type"]
            if isinstance(after, nodes.Dropout) and reader.is_key(after):
                hidden[-1]["dropout"] = after.rate
                at += 1
    words |= {"hidden": hidden} if hidden else {}
    if isinstance(last, nodes.Dense):
        words |= {**graph.name(last), "units": last.units}
        words |= graph.keys(
            models.Head,
            activation=activation_words(last.activation),
            bias=last.bias,
            tied=graph.tied(last),
        )
    elif isinstance(last, nodes.Activate) and is_activated:
        words |= {**graph.name(last), "activation": activation_words(last.activation)}
    if end + is_key < segment.end:
        words["normalize"] = "l2"
    # The default, but a head needs a key.
    if words["pooling"] == "last" and len(words) > 1:
        del words["pooling"]
    return words
