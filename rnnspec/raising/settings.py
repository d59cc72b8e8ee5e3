"""Every key of the inputs and layers of a network, those at their default too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from rnnspec.errors import ModelError
from rnnspec.ir import nodes
from rnnspec.raising.cells import name_cells, write_initializers
from rnnspec.raising.graph import RESULT, GraphReader
from rnnspec.raising.items import ItemReader
from rnnspec.spec import models

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.raising.graph import Words


def settings(network: nodes.Network) -> tuple[Words, list[Words]]:
    """Return the keys of a whole network, and those of each of its layers.

    A key inside another one is told as in ``attention.score``. Names and what a layer takes are
    left out, but for the parts of a join and what an attention is over. A dropout that is a layer
    of its own, but a key of the layer behind it, is told of both.

    Raises:
        ModelError: a spec cannot express the network.
    """
    types, cells = name_cells(network)
    # A standard cell whose states have other names is one with such states here.
    own = {
        layer.name: types[layer.name]
        for layer in network.layers
        if isinstance(layer, nodes.Recurrent) and isinstance(layer.cell, nodes.EquationCell)
    }
    graph = GraphReader(network, network.name, own, placed=True, complete=True)
    reader = ItemReader(graph, cells)
    places = {layer.name: at for at, layer in enumerate(graph.layers)}
    layers = [
        {key: _plain(value) for key, value in words.items() if key != "name"}
        for layer in network.layers
        for words in [_layer(reader, cells, layer, places.get(layer.name)) | _shares(graph, layer)]
    ]
    whole = _network(graph)
    if graph.problems:
        raise ModelError(tuple(graph.problems))
    return whole, layers


def _shares(graph: GraphReader, layer: nodes.Layer) -> Words:
    """Return the key of the layer whose arrays a layer shares, but for embeddings."""
    is_embedding = isinstance(layer, nodes.Embedding)
    return {} if layer.shares is None or is_embedding else {"shares": graph.base(layer.shares)}


def _plain(value: Any) -> Any:
    """Return a value that has an order and a hash: what has a name and a number is a text."""
    match value:
        case dict():
            ((name, number),) = value.items()
            return f"{name} {number!r}"
        case list():
            return tuple(value)
        case _:
            return value


def _layer(  # noqa: PLR0912 - a case for each kind of layer
    reader: ItemReader, cells: Mapping[str, Words], layer: nodes.Layer, at: int | None
) -> Words:
    """Read the keys of a layer, which is at a place among the layers that items have."""
    graph = reader.graph
    match layer:
        case nodes.Embedding(masked=masked, shares=table):
            words = embedding_words(graph, layer, models.InputEmbedding, masked=masked)
            return words | ({"embedding": table} if table else {})
        case nodes.Residual():
            return {}
        case nodes.Recurrent():
            assert at is not None
            return _recurrent(reader, cells, layer, at)
        case nodes.Attention():
            return reader.scored(layer, layer)
        case nodes.Conv():
            return reader.conv(layer)
        case nodes.WindowPooling(statistic=statistic):
            return {"type": f"{statistic}_pool", **reader.window_pool(layer)}
        case nodes.Join(how=nodes.Formula() as formula):
            words = reader.formula(layer, formula)
            maps = {key: words.pop(key) for key in [*words] if isinstance(words[key], dict)}
            return words | {k: [f"{n}: {text}" for n, text in of.items()] for k, of in maps.items()}
        case nodes.Append(of=of):
            of_names = [graph.read(name, beside=True) for name in of]
            return {"type": "concat", "axis": "steps", "of": of_names}
        case nodes.Join(how=how, of=of):
            start = next((start for start, end in reader.lists.items() if end == at), None)
            if start is None:
                return {"type": how, "of": [graph.read(name, beside=True) for name in of]}
            poolings, _ = reader.pooling(start)
            # The keys of each are those of its layer.
            names = [next(iter(one)) if isinstance(one, dict) else one for one in poolings]
            return {"type": how, "pooling": names}
        case nodes.AttentionPooling():
            return {"pooling": "attention", **reader.pool(layer)["attention"]}
        case nodes.LastSteps(count=count):
            return {"last_steps": count}
        case nodes.Pooling() | nodes.Flatten():
            return {"pooling": reader.pool(layer)}
        case nodes.Dense():
            return reader.fields(layer) | {"tied": graph.tied(layer)}
        case _:
            return reader.fields(layer)


def _recurrent(
    reader: ItemReader, cells: Mapping[str, Words], layer: nodes.Recurrent, at: int
) -> Words:
    graph = reader.graph
    words = reader.cell(layer)
    word = graph.initial_state(layer).get("initial_state")
    words |= {
        f"initial_state.{state}": word if isinstance(word, str) else graph.read(name, beside=True)
        for state, name in layer.first_states.items()
    }
    if layer.attention is not None:
        for key, value in reader.attention(layer, layer.attention).items():
            inside = value.items() if isinstance(value, dict) else [("", value)]
            words |= {f"{key}.{name}" if name else key: part for name, part in inside}
    before = graph.layers[at - 1] if at and reader.is_dropout_of_block(at - 1) else None
    words |= reader.dropout(layer, before if isinstance(before, nodes.Dropout) else None)
    if layer.state_names:
        words["states"] = layer.state_names
    if layer.name in graph.types:
        for section, value in cells[graph.types[layer.name]].items():
            match value:
                case dict() if section != "settings":
                    words |= {f"{section}.{name}": text for name, text in value.items()}
                case list():
                    words[section] = value
                case _:
                    # The values of settings are keys of the layer.
                    pass
    return words


def _network(graph: GraphReader) -> Words:
    """Read the keys of the whole network: its name, inputs, heads and initializers."""
    network = graph.network
    words: Words = {"name": network.name}
    for network_input in graph.declared_inputs:
        place = f"inputs.{network_input.name}" if graph.named else "input"
        words[place] = _kind(network_input)
        own = input_words(graph, models.NamedInput, network_input)
        words |= {f"{place}.{key}": value for key, value in own.items() if key != "per"}
    if list(graph.results) != [RESULT]:
        words["heads"] = tuple(graph.results)
    words["stream"] = network.streams
    section = write_initializers(network, graph.refuse, complete=True)
    # -0.0 and 0.0 make the same network.
    drawn = {
        key: "zeros" if value == {"constant": 0.0} else value for key, value in section.items()
    }
    return words | {f"initializers.{key}": value for key, value in drawn.items()}


def _kind(network_input: nodes.Input) -> str:
    """Return words for the kind of an input, which no single key says."""
    match network_input:
        case nodes.TokenInput():
            return "tokens"
        case nodes.NumericInput():
            return "numbers"
        case nodes.VectorInput():
            return "a vector"
        case nodes.LabelInput():
            return "a label"
        case _:
            assert_never(network_input)


def input_words(graph: GraphReader, model: type[models.Model], network_input: nodes.Input) -> Words:
    """Read the keys of an input, but for its embedding."""
    match network_input:
        case nodes.TokenInput(steps=steps):
            return graph.keys(model, length=steps)
        case nodes.NumericInput(steps=steps, features=features, mask_value=value):
            return graph.keys(model, length=steps, features=features, mask_value=value)
        case nodes.VectorInput(features=features):
            return {"features": features, "per": "sequence"}
        case nodes.LabelInput():
            return {"per": "sequence"}
        case _:
            assert_never(network_input)


def embedding_words(
    graph: GraphReader, layer: nodes.Embedding, model: type[models.Embedding], *, masked: bool
) -> Words:
    """Read the keys of an embedding; ``masked`` is true if token 0 is padding."""
    files = layer.pretrained
    return graph.keys(
        model,
        vocabulary=layer.vocabulary,
        dim=layer.dim,
        mask_zero=masked,
        trainable=layer.trainable,
        weights=files and files.weights,
        words=files and files.words,
    )
