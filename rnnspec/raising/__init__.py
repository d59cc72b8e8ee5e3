"""Network to spec, the inverse of lowering: the plain data of a spec that describes a network.

What a spec cannot express of a network of another tool is an error, never approximated.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from rnnspec.errors import ModelError
from rnnspec.ir import nodes
from rnnspec.ir.params import counts
from rnnspec.lowering.graph import Behind
from rnnspec.raising.cells import name_cells, write_initializers
from rnnspec.raising.graph import GraphReader, Words
from rnnspec.raising.heads import find_segments, read_head
from rnnspec.raising.items import Item, ItemReader, behind
from rnnspec.raising.settings import embedding_words, input_words
from rnnspec.spec import models

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rnnspec.raising.heads import Segment


def raise_spec(network: nodes.Network, source: str = "", *, placed: bool = True) -> Words:
    """Return the spec of ``network`` as plain data for ``spec.write.dump``.

    Keys at their default are left out, and so are names that lowering gives by itself.

    Args:
        network: the network; its masks, residuals and shapes must be those that lowering makes,
            which lowering the result again shows.
        source: the file that the network comes from, for errors.
        placed: whether its layers have names and shapes that lowering makes; otherwise their names
            are left out, and so is the number of parameters.

    Raises:
        ModelError: a spec cannot express an arrangement or an initializer of the network;
            every reason is listed.
    """
    types, cells = name_cells(network)
    graph = GraphReader(network, source or network.name, types, placed=placed)
    words: Words = {"version": 1, "name": network.name}
    if network.description:
        words["description"] = network.description
    words |= _inputs(graph)
    reader = ItemReader(graph, cells)
    segments = find_segments(graph, reader)
    items = reader.items(segments[0].start)
    if not any(item.recurrent for item in items):
        first = graph.layers[min(segments[0].start, len(graph.layers) - 1)]
        graph.refuse(first.name, "expected a recurrent layer first, received none")
        # Without one, nothing behind it has a place.
        raise ModelError(tuple(graph.problems))
    heads = {one.name: read_head(graph, reader, one, items[-1].output) for one in segments}
    _ask_for_states(graph, items, [(one.main(graph), heads[one.name]) for one in segments])
    layers = _with_copies(list(_with_reads(graph, items)))
    if cells:
        words["cells"] = cells
    words["rnn"] = layers[0] if len(layers) == 1 else layers
    if list(heads) != [""]:
        words["heads"] = heads
    # Without it, the output is that of the last item, at each step if it can be.
    elif not _is_default(graph, segments[0], heads[""]):
        words["head"] = heads[""]
    if section := write_initializers(network, graph.refuse):
        words["initializers"] = section
    if placed:
        words["expect"] = {"parameters": counts(network).total}
    if graph.problems:
        raise ModelError(tuple(graph.problems))
    return words


def _inputs(graph: GraphReader) -> Words:
    """Read the inputs with their embeddings."""
    network, inputs = graph.network, graph.declared_inputs
    if not graph.named:
        (only,) = inputs
        words: Words = {}
        if section := input_words(graph, models.Input, only):
            words["input"] = section
        if isinstance(only, nodes.TokenInput):
            words["embedding"] = _embedding(graph, only, models.Embedding)
        return words
    tables = {layer.name: name for name, layer in graph.embeddings.items()}
    sections: Words = {}
    for network_input in inputs:
        section = input_words(graph, models.NamedInput, network_input)
        layer = graph.embeddings.get(network_input.name)
        if layer is not None and layer.shares is not None:
            section["embedding"] = tables[layer.shares]
        elif isinstance(network_input, nodes.TokenInput | nodes.LabelInput):
            section["embedding"] = _embedding(graph, network_input, models.InputEmbedding)
        sections[network_input.name] = section
    names = [
        network_input.name
        for network_input in network.inputs
        if isinstance(network_input, nodes.SequenceInput)
    ]
    if list(network.streams) == (names if len(names) == 1 else []):
        return {"inputs": sections}
    alone = len(network.streams) == 1
    return {
        "inputs": sections,
        "stream": network.streams[0] if alone else list(network.streams),
    }


def _embedding(
    graph: GraphReader, tokens: nodes.TokenInput | nodes.LabelInput, model: type[models.Embedding]
) -> Words:
    layer = graph.embeddings.get(tokens.name)
    if layer is None:
        graph.refuse(tokens.name, "expected an embedding of the tokens, received none")
        return {}
    return graph.name(layer) | embedding_words(graph, layer, model, masked=tokens.masked)


def _ask_for_states(
    graph: GraphReader, items: Sequence[Item], heads: Sequence[tuple[str, Words]]
) -> None:
    """Name the final state of a layer where lowering would take its sequence.

    ``heads`` are the layers that heads take, with their words. See ``lowering.state_items``.
    """
    beside, readers = set[str](), dict[str, list[Item | Words]]()
    for item in items:
        for layer in item.layers:
            names = graph.sources[layer.name]
            beside.update(names if item.main is None else names[1:])
        if item.main is not None:
            readers.setdefault(item.main, []).append(item)
    for main, words in heads:
        readers.setdefault(main, []).append(words)
    blocks = {item.recurrent.name: item.output for item in items if item.recurrent}
    # The contexts of a layer are those of its sequence.
    ports = graph.network.ports.values()
    beside.update(blocks[port.layer] for port in ports if not port.state)
    states = dict[str, Behind]()
    for item in reversed(items):
        own = [(reader, _behind(reader, states)) for reader in readers.get(item.output, [])]
        known = reduce(or_, (behind for _, behind in own if behind), Behind())
        recurrent = item.recurrent
        if recurrent is not None and not recurrent.return_sequences:
            block = (behind(layer) for layer in item.layers if isinstance(layer, nodes.LayerNorm))
            gives_state = graph.gives_state(recurrent, reduce(or_, block, known))
            for reader, behind_it in own:
                if behind_it is None or (behind_it.has_layers and not gives_state):
                    words = reader.words if isinstance(reader, Item) else reader
                    words["of"] = graph.state(item.output)
            states[item.output] = Behind()
        elif item.output in beside or not all(behind_it for _, behind_it in own):
            continue
        elif own or item is not items[-1]:
            states[item.output] = known


def _behind(reader: Item | Words, states: Mapping[str, Behind]) -> Behind | None:
    """Return the layers through which a reader takes the final state of a recurrent layer.

    It is None if the reader takes the sequence, unless it is told otherwise.
    """
    if not isinstance(reader, Item):
        return Behind() if reader.get("pooling", "last") == "last" else None
    match reader.layers[0]:
        case nodes.Repeat():
            return Behind()
        case nodes.Dropout(variational=True):
            return None
        case layer if layer.is_pointwise and not reader.recurrent:
            return behind(layer) | states[reader.output] if reader.output in states else None
        case _:
            return None


def _with_reads(graph: GraphReader, items: Sequence[Item]) -> Iterator[tuple[Words, str]]:
    """Yield the words of each item with what it takes, and the name of its recurrent layer."""
    inputs = graph.declared_inputs
    name = inputs[0].name
    first = graph.embeddings[name].name if name in graph.embeddings else name
    previous = first if len(inputs) == 1 else None
    for item in items:
        words, main, recurrent = item.words, item.main, item.recurrent
        if main is not None and main != previous and "of" not in words:
            words["of"] = graph.read(main)
        front = {key: words[key] for key in ("type", "name", "shares", "of") if key in words}
        yield front | words, graph.base(recurrent.name) if recurrent else ""
        previous = item.output
        if previous in graph.pooled:
            yield {"type": "pool", "name": graph.pooled[previous], "pooling": "last"}, ""


def _with_copies(layers: Sequence[tuple[Words, str]]) -> list[Words]:
    """Return layers with equal ones that follow each other as one, with ``layers``.

    They come with the names of the recurrent layers. A stack may begin with the states of another.
    """
    groups = list[list[int]]()
    for at, (words, recurrent) in enumerate(layers):
        before = layers[at - 1][0] if at else {}
        if groups and recurrent and _is_copy(words, before, first=len(groups[-1]) == 1):
            groups[-1].append(at)
        else:
            groups.append([at])
    stacks = {tuple(layers[at][1] for at in group) for group in groups}
    targets = {at: other for at, (words, _) in enumerate(layers) if (other := _other(words))}
    pairs = [(group, tuple(targets.get(at, "") for at in group)) for group in groups]
    # All layers of a stack begin with those of another one, or it is none.
    apart = {name for _, others in pairs if others not in stacks for name in others}
    merged = list[Words]()
    for group, others in pairs:
        names = [layers[at][1] for at in group]
        is_stack = not any(others) or (others in stacks and apart.isdisjoint(others))
        if len(group) == 1 or not is_stack or not apart.isdisjoint(names):
            merged += [layers[at][0] for at in group]
            continue
        words, last = layers[group[0]][0], layers[group[-1]][0]
        front: Words = {key: words[key] for key in ("type", "of", "units") if key in words}
        merged.append({**front, "layers": len(group), **words, **last})
    return merged


def _other(words: Words) -> str:
    """Return the layer whose states a layer begins with, empty if there is none."""
    match words.get("initial_state"):
        case {"of": str(name)}:
            return name
        case _:
            return ""


def _is_copy(words: Words, before: Words, *, first: bool) -> bool:
    """True if a layer is a copy of the one before it, which may be the first of its stack."""
    if not {"attention", "name", "of", "shares"}.isdisjoint(words) or "name" in before:
        return False
    if isinstance(words.get("initial_state"), dict) and not _other(words):
        return False
    if bool(_other(words)) != bool(_other(before)):
        return False

    def rest(keys: Words) -> Words:
        out = {"of"} if first else set()
        out |= {"initial_state"} if _other(keys) else set()
        return {key: value for key, value in keys.items() if key not in out}

    return rest(words) == rest(before)


def _is_default(graph: GraphReader, segment: Segment, head: Words) -> bool:
    """True if a network without its head has the same output."""
    if head == {"pooling": "none"}:
        return True
    if head != {"pooling": "last"} or segment.start < segment.end:
        # It has a pooling of its own.
        return False
    name = segment.result
    while (layer := graph.by_name.get(name)) is not None and layer.is_pointwise:
        name = graph.main(layer)
    return not isinstance(layer, nodes.Recurrent)
