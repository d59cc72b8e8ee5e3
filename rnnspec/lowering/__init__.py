"""Spec to network: every default resolved, every layer named, every shape known."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import or_
from types import MappingProxyType
from typing import TYPE_CHECKING

from rnnspec.errors import SpecError, listed
from rnnspec.errors.wording import nearest, quoted
from rnnspec.ir import nodes
from rnnspec.ir.cells import Recognition
from rnnspec.ir.equations import EquationError
from rnnspec.ir.params import params
from rnnspec.lowering.cells import declared_cell, equation_cell, roles, standard_cell
from rnnspec.lowering.graph import OUTPUT, Behind, GraphBuilder, Path, read_activation
from rnnspec.lowering.inputs import add_inputs
from rnnspec.lowering.layers import BY_KEYS, add_head, add_item
from rnnspec.lowering.recurrent import read_equation_cell
from rnnspec.spec import models
from rnnspec.spec.yaml.document import in_file_order

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from rnnspec.ir.initializers import Initializer
    from rnnspec.lowering.cells import Role

__all__ = ["BY_KEYS", "Path", "array_places", "lower", "lower_with_places"]


def lower(spec: models.Spec) -> nodes.Network:
    """Return the network that ``spec`` describes.

    Raises:
        SpecError: as ``lower_with_places``.
    """
    return lower_with_places(spec)[0]


def lower_with_places(spec: models.Spec) -> tuple[nodes.Network, Mapping[str, Path]]:
    """Return a network, and the path of the layer of the spec, or head, behind each of its layers.

    Raises:
        SpecError: two layers have the same name, a name is too long or unknown, shapes do not fit,
            or an array is too large to address.
    """
    if any(map(_names_layers, spec.rnn)) or any(head.of for _, head in spec.all_heads):
        # Which layers give their final state is known once it is known which layers read them.
        draft = _build(spec, {}, ())
        readers, later = draft.readers, frozenset((*draft.values, *draft.blocks))
    else:
        readers = {index: [("rnn", index + 1)] for index in range(len(spec.rnn))}
        readers[len(spec.rnn) - 1] = [path for path, _ in spec.all_heads]
        later = frozenset()
    graph = _build(spec, _state_items(spec, readers), later)
    if not graph.layers:
        raise SpecError(in_file_order(tuple(graph.problems)))
    outputs = list(graph.results.items()) if spec.heads else []
    if graph.outputs:
        (result,) = graph.results.values() if not spec.heads else ("",)
        outputs = [*(outputs or [(OUTPUT, result)]), *graph.outputs]
    network = nodes.Network(
        name=spec.name,
        description=spec.description,
        inputs=tuple(graph.inputs),
        layers=tuple(graph.layers),
        outputs=tuple(outputs),
        result="" if outputs or graph.last not in graph.ports else graph.last or "",
        streams=tuple(_streams(graph)),
    )
    # An unknown name may have been meant for the layer that is not used.
    if not graph.problems:
        _check_read(graph, network)
        _check_initializers(graph, network)
    if graph.problems:
        raise SpecError(in_file_order(tuple(graph.problems)))
    return network, graph.places


def _names_layers(layer: models.AnyLayer) -> bool:
    """True if a layer may read another one than that before it."""
    match layer:
        case models.RepeatVector(like=str()) | models.Pool() | models.AttentionLayer():
            return True
        case models.SimpleRNN() | models.LSTM() | models.GRU() | models.CellLayer():
            has_others = layer.attention is not None or isinstance(layer.initial_state, dict)
            has_others = has_others or getattr(layer, "over", None) is not None
            return layer.of is not None or has_others
        case _:
            return layer.of is not None


def _build(
    spec: models.Spec, state_items: Mapping[int, Behind], later: Collection[str]
) -> GraphBuilder:
    """Return the graph of a spec, with its problems."""
    graph = GraphBuilder(spec, state_items, later)
    _check_cells(graph)
    add_inputs(graph)
    for index, layer in enumerate(spec.rnn):
        add_item(graph, index, layer)
    trunk = graph.last
    for path, head in spec.all_heads:
        graph.last = trunk
        add_head(graph, path, head)
        _check_result(graph, (*path, "of"), "head")
        graph.results[str(path[-1])] = graph.last or ""
    if not spec.all_heads:
        _check_result(graph, ("rnn", len(spec.rnn) - 1), "network")
        graph.results[OUTPUT] = graph.last or ""
    return graph


def _check_result(graph: GraphBuilder, path: Path, kind: str) -> None:
    """Check that an output is not an input as it is, which it would be without dropout too."""
    name, inference = graph.last, ""
    while isinstance(layer := graph.by_name.get(name or ""), nodes.Dropout):
        at = graph.order[layer.name]
        before = graph.layers[at - 1].name if at else graph.inputs[0].name
        name, inference = layer.source or before, " in inference, without dropout"
    # Without a recurrent layer, another message says so.
    if graph.stacks and name not in (*graph.by_name, *graph.ports):
        message = f"the {kind} gives the input '{name}' as it is{inference}; expected a layer"
        graph.refuse(path, f"{message} or 'units'" if kind == "head" else message, code="E425")


def _state_items(
    spec: models.Spec, readers: Mapping[int, Sequence[Path | None]]
) -> dict[int, Behind]:
    """Return the items of ``rnn`` whose final state is all that is taken, with what is behind them.

    Layers that compute each step by itself take the state as it is.
    """
    heads = spec.all_heads
    items = dict[int, Behind]()

    def behind(reader: Path | None) -> Behind | None:
        """Return the layers through which a reader takes the state, None if it takes steps."""
        match reader:
            case ("rnn", int() as index) if index < len(spec.rnn):
                layer = spec.rnn[index]
                if isinstance(layer, models.Dropout) and layer.variational:
                    return None
                if isinstance(layer, models.PointwiseLayer) and index in items:
                    return _behind(layer) | items[index]
                is_last = isinstance(layer, models.Pool) and layer.pooling == "last"
                return Behind() if is_last or isinstance(layer, models.RepeatVector) else None
            case None:
                return None
            case _:
                is_last = any(path == reader and head.pooling == "last" for path, head in heads)
                return Behind() if is_last else None

    # Backwards, as a reader is behind what it reads.
    for index in reversed(range(len(spec.rnn))):
        own = [behind(reader) for reader in readers.get(index, ())]
        known = [value for value in own if value is not None]
        # Of an item that no layer reads, the states may be.
        if len(known) == len(own) and (own or index < len(spec.rnn) - 1):
            items[index] = reduce(or_, known, Behind())
    return _share_items(spec, items)


def _share_items(spec: models.Spec, items: Mapping[int, Behind]) -> dict[int, Behind]:
    """Return the items whose final state is all that is taken, of shared layers all or none."""
    named = {layer.name: index for index, layer in enumerate(spec.rnn) if layer.name}
    groups = dict[int, list[int]]()
    for index, layer in enumerate(spec.rnn):
        owner = named.get(getattr(layer, "shares", None) or "", index)
        groups.setdefault(owner, []).append(index)
    result = dict(items)
    for group in groups.values():
        known = [items[index] for index in group if index in items]
        # One call may begin with other states than the next one.
        behind = replace(reduce(or_, known, Behind()), keeps_zeros=len(group) == 1)
        if len(group) > 1:
            result |= dict.fromkeys(group, behind)
        if len(known) < len(group):
            result = {index: item for index, item in result.items() if index not in group}
    return result


def _behind(layer: models.PointwiseLayer) -> Behind:
    activation = read_activation(getattr(layer, "activation", "linear"))
    return Behind.of(BY_KEYS[type(layer)], activation, bias=getattr(layer, "bias", False))


def _streams(graph: GraphBuilder) -> Iterator[str]:
    """Yield the names of the inputs that come in chunks in step form, in their order."""
    sequences = {
        network_input.name: network_input
        for network_input in graph.inputs
        if isinstance(network_input, nodes.SequenceInput)
    }
    match graph.spec.stream:
        case None:
            yield from sequences if len(sequences) == 1 else ()
            return
        case str(name):
            declared: dict[Path, str] = {("stream",): name}
        case names:
            declared = {("stream", index): name for index, name in enumerate(names)}
    inputs = [network_input.name for network_input in graph.inputs]
    streams = dict[str, int | None]()
    for path, name in declared.items():
        if name in streams:
            message = f"expected each input once, received {quoted(name)} twice"
        elif name in sequences:
            steps = sequences[name].steps
            if next(iter(streams.values()), steps) == steps:
                streams[name] = steps
                continue
            first, expected = next(iter(streams.items()))
            its, has = (count or "any number" for count in (expected, steps))
            message = f"expected the steps of {quoted(first)}, {its}; {quoted(name)} has {has}"
        elif name in inputs:
            message = f"expected an input with time steps, and {quoted(name)} has none"
        else:
            near = nearest(name, sequences)
            hint = f"; did you mean {near!r}?" if near else ""
            message = f"expected an input, {listed(inputs, 'or')}; received {quoted(name)}{hint}"
        graph.refuse(path, message, code="E436")
    yield from (name for name in sequences if name in streams)


def _check_cells(graph: GraphBuilder) -> None:
    """Check each cell, with the defaults of its settings.

    Raises:
        SpecError: the equations of a cell are wrong.
    """
    for name, declared in (graph.spec.cells or {}).items():
        cell = declared_cell(declared)
        try:
            equation_cell(name, cell, cell.settings, graph.defaults)
        except EquationError as error:
            graph.problems += [
                graph.spec.document.problem(
                    ("cells", name, *_path_in(cell, fault.path)),
                    fault.message,
                    code=_CODES.get(str(fault.path[0]), "E429"),
                    key=fault.key,
                    column=fault.column,
                )
                for fault in (error, *error.others)
            ]
    if graph.problems:
        raise SpecError(in_file_order(tuple(graph.problems)))


def _path_in(cell: models.Cell, path: Path) -> Path:
    """Return the path of a text of a cell, which lists its inputs."""
    section, *rest = path
    return (section, cell.inputs.index(str(rest[0]))) if section == "inputs" else path


_CODES = {"settings": "E431", "sizes": "E432", "parameters": "E432", "initialize": "E432"}
"""The codes of what is wrong in the sections of a cell, but its equations."""


def _check_read(graph: GraphBuilder, network: nodes.Network) -> None:
    """Check that each layer and each input is read, or is an output."""
    read = {name for names in nodes.sources(network).values() for name in names}
    read.update(layer.name for layer in network.results.values())
    read.update(port.layer for port in network.ports.values())
    for network_input in network.inputs:
        # The state of a layer is read by it.
        if network_input.name not in read:
            message = (
                f"no layer reads the input '{network_input.name}': name it in 'of', or remove it"
            )
            graph.refuse(("inputs", network_input.name), message, code="E434", key=True)
    for layer in network.layers:
        if layer.name not in read:
            section = graph.places[layer.name][0]
            if isinstance(layer, nodes.Embedding) and section == "inputs":
                name = str(graph.places[layer.name][1])
                message = f"no layer reads the input '{name}': name it in 'of', or remove it"
                graph.refuse(("inputs", name), message, code="E434", key=True)
                continue
            message = f"no layer reads the output of '{layer.name}': name it in 'of', or remove it"
            graph.refuse(graph.places[layer.name], message, code="E434")


def _check_initializers(graph: GraphBuilder, network: nodes.Network) -> None:
    """Check that an array begins with each initializer that is written."""
    used = {role for layer in network.layers for role in _roles(layer, graph.defaults)}
    for role in graph.defaults:
        if graph.spec.initializers.writes(role) and role not in used:
            why = "no layer has a bias" if role == "bias" else "no array begins with it"
            message = f"'{role}' has no effect: {why}"
            graph.refuse(("initializers", role), message, code="E414", key=True)


def _roles(layer: nodes.Layer, defaults: Mapping[Role, Initializer]) -> set[str]:
    """Return the keys of ``initializers`` with which arrays of a layer begin."""
    if isinstance(layer, nodes.Recurrent) and isinstance(layer.cell, nodes.EquationCell):
        roles_of = roles(layer.cell.equations)
        drawn = ((roles_of[name], value) for name, value in layer.cell.initializers)
        asking = {"kernel"} if any(p.name.startswith("attention.") for p in params(layer)) else ()
        return {role for role, value in drawn if value is defaults[role]}.union(asking)
    names = {param.name.rpartition(".")[2] for param in params(layer)}
    return {role for role, arrays in _ARRAYS.items() if names & arrays}


_ARRAYS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "kernel": frozenset({"kernel", "query", "score"}),
        "recurrent": frozenset({"recurrent_kernel"}),
        "bias": frozenset({"bias"}),
    }
)
"""The arrays that begin with each key of ``initializers``, but those of equations."""


def array_places(spec: models.Spec) -> Mapping[str, Mapping[str, tuple[str, str]]]:
    """Return the parameters of each layer with a cell of the spec that is one of the language.

    By name, each has its canonical array and the gate whose part, transposed, it is.
    """
    if not spec.cells:
        return {}
    network, places = lower_with_places(spec)
    by_layer: dict[str, Mapping[str, tuple[str, str]]] = {}
    for layer in network.layers:
        section, *rest = places[layer.name]
        declared = spec.rnn[int(rest[0])] if section == "rnn" else None
        if not isinstance(declared, models.CellLayer) or isinstance(declared.of, dict):
            continue
        if isinstance(layer, nodes.Recurrent):
            graph = GraphBuilder(spec, {}, ())
            cell = read_equation_cell(graph, places[layer.name], declared, layer.features, {}, {})
            known = standard_cell(cell, graph.defaults)
            by_layer |= {layer.name: known.places} if isinstance(known, Recognition) else {}
    return by_layer
