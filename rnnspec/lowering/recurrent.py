"""Recurrent layers: their cells, their first states, and the layers that their keys ask for."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, assert_never

from rnnspec.errors import SpecError, listed
from rnnspec.errors.wording import quoted
from rnnspec.ir import nodes
from rnnspec.ir.cells import Recognition
from rnnspec.ir.equations import INPUT, EquationError, attends_of, evaluate_size
from rnnspec.ir.shapes import size_names
from rnnspec.lowering.attention import AskedMemory, step_attention
from rnnspec.lowering.cells import (
    declared_cell,
    equation_cell,
    misplaced_features,
    roles,
    standard_cell,
    take_once,
)
from rnnspec.lowering.graph import Behind
from rnnspec.spec import models
from rnnspec.spec.names import MAX_NAME_LENGTH
from rnnspec.spec.yaml.document import in_file_order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.lowering.graph import GraphBuilder, Path


def add_recurrent(graph: GraphBuilder, index: int, layer: models.RecurrentLayer) -> None:
    """Add the copies of an item of ``rnn``."""
    behind = graph.state_items.get(index)
    if behind and layer.layer_norm:
        behind |= Behind.of(nodes.LayerNorm)
    copies = list[nodes.Recurrent]()
    for number, declared in enumerate(_names_of_copies(graph, index, layer), start=1):
        # Only the last copy can be the one whose final state is used.
        is_last = number == layer.layers
        copies.append(
            _add_block(graph, index, layer, declared, number - 1, behind if is_last else None)
        )
        graph.stacks[copies[-1].name] = tuple(copies)
    names = [copy.name for copy in copies]
    for name, end in zip(names, range(1, len(names) + 1), strict=True):
        graph.stacks[name] = tuple(copies[:end])
    if layer.name:
        graph.stacks[layer.name] = tuple(copies)
        graph.blocks[layer.name] = graph.blocks[names[-1]]


def _names_of_copies(
    graph: GraphBuilder, index: int, layer: models.RecurrentLayer
) -> list[str | None]:
    """Return the given name of each copy of a layer, or None."""
    if not layer.name or layer.layers == 1:
        return [layer.name] * layer.layers
    if len(f"{layer.name}_{layer.layers}") > MAX_NAME_LENGTH:
        message = (
            f"expected at most {MAX_NAME_LENGTH} characters including the suffixes _1 to "
            f"_{layer.layers}"
        )
        graph.refuse(("rnn", index, "name"), message, code="E416")
        return [None] * layer.layers
    return [f"{layer.name}_{number}" for number in range(1, layer.layers + 1)]


def _add_block(  # noqa: PLR0913, PLR0917 - a copy, its place, and what is behind it
    graph: GraphBuilder,
    index: int,
    layer: models.RecurrentLayer,
    declared: str | None,
    number: int,
    behind: Behind | None,
) -> nodes.Recurrent:
    """Add a recurrent layer with its dropout, layer norm and residual.

    If only its final state is taken, ``behind`` are the layers behind which it is.
    """
    path, start, widths = ("rnn", index), None, _widths(graph, layer)
    repeated = _repeated(graph)
    memory = _memory_widths(graph, (*path, "over"), layer)
    # The dropout of a layer with attention acts on its input alone, not on the context.
    is_own = layer.variational and layer.attention is None and not memory
    if layer.dropout and not is_own:
        rate, variational = float(layer.dropout), layer.variational
        name = graph.name("dropout", (*path, "dropout"))
        start = nodes.Dropout(name=name, input=graph.shape, rate=rate, variational=variational)
        graph.add(start)
    width = _context_width(graph, layer)
    features = nodes.width(graph.shape) + width
    cell, bias, state_names = _cell(graph, path, layer, features, widths, memory)
    # Dropout draws what it leaves of a vector at each step.
    if repeated and not start and not width and isinstance(cell, nodes.EquationCell):
        cell = take_once(cell, features, repeated)
    name = graph.name(_kind(layer, cell), (*path, "name"), declared)
    attention = None
    # A cell of the language has sizes that depend on them, and those that do are required.
    least = _own_units(cell, features) if isinstance(cell, nodes.EquationCell) else None
    units = layer.units or least or 1
    if layer.attention is not None:
        size = _state_size(cell, units, features)
        where = (*path, "attention")
        attention = step_attention(graph, where, layer.attention, name, size)
        states = cell.equations.states if isinstance(cell, nodes.EquationCell) else state_names
        if "context" in states:
            message = (
                f"'{layer.type}' has a state 'context', which is the name of what it attends to"
            )
            graph.refuse(where, message, code="E438", key=True)
    if memory and isinstance(layer, models.CellLayer) and isinstance(cell, nodes.EquationCell):
        attention = _asked_memory(
            graph, path, layer, cell, name, {"units": units, "features": features}
        )
    recurrent = nodes.Recurrent(
        name=name,
        input=graph.shape,
        cell=cell,
        units=units,
        merge=layer.merge if layer.bidirectional else None,
        bias=bias,
        # Otherwise it is a layer of its own.
        dropout=float(layer.dropout) if is_own else 0.0,
        recurrent_dropout=float(layer.recurrent_dropout),
        masked=graph.masked,
        return_sequences=True,
        kernel_initializer=graph.defaults["kernel"],
        recurrent_initializer=graph.defaults["recurrent"],
        bias_initializer=graph.defaults["bias"],
        backward=layer.direction == "backward",
        attention=attention,
        state_names=state_names,
    )
    source = graph.last
    initial = _initial(graph, (*path, "initial_state"), layer, recurrent, number)
    assert source is not None
    graph.branch(source)
    recurrent = replace(recurrent, initial=initial)
    if behind and behind.takes_state(recurrent):
        recurrent = replace(recurrent, return_sequences=False)
    graph.add(recurrent, (*path, "units"))
    if layer.initial_state == "given":
        for state, _ in recurrent.begins:
            name = graph.reserve(f"{recurrent.name}_{state}_next", (*path, "initial_state"))
            graph.outputs.append((name, graph.final_state(recurrent, state)))
    if layer.layer_norm:
        name = graph.name("layer_normalization", (*path, "layer_norm"))
        norm = layer.layer_norm
        own = norm if isinstance(norm, models.LayerNorm) else models.LayerNorm()
        graph.add(nodes.LayerNorm(name=name, **graph.keys_of(nodes.LayerNorm, own)))
    if layer.residual:
        # It starts before the dropout: it adds the input as it was.
        _add_residual(graph, (*path, "residual"), start or recurrent, recurrent)
    assert graph.last is not None
    graph.blocks[recurrent.name] = graph.last
    return recurrent


def _state_size(cell: nodes.Cell, units: int, features: int) -> int:
    """Return the size of the output of a cell, with which it asks."""
    if not isinstance(cell, nodes.EquationCell):
        return units
    sizes = {"units": units, "features": features, **dict(cell.sizes)}
    return evaluate_size(dict(cell.equations.shapes)[cell.equations.states[0]][0], sizes)


def _add_residual(
    graph: GraphBuilder, path: Path, start: nodes.Layer, recurrent: nodes.Recurrent
) -> None:
    """Add the input of ``start``, the first layer of the block, to the output of the block."""
    if not recurrent.return_sequences:
        message = (
            "'residual' adds the input sequence to the output sequence, but this layer returns "
            "only its final state"
        )
        graph.refuse(path, message, code="E408", key=True)
        return
    if graph.shape != start.input:
        received = f"received {start.input[-1]} and {graph.shape[-1]} features"
        message = f"'residual' needs an input and an output of equal size, {received}"
        graph.refuse(path, message, code="E409", key=True)
    # Added even if the sizes differ, so that later problems are found too.
    name = graph.name("add", path)
    graph.add(nodes.Residual(name=name, input=graph.shape, start=start.name))


def _kind(layer: models.RecurrentLayer, cell: nodes.Cell) -> str:
    # The kinds are those of Keras's default names, so that summaries look alike.
    if layer.bidirectional:
        return "bidirectional"
    match cell:
        case nodes.SimpleRNN():
            return "simple_rnn"
        case nodes.EquationCell() | nodes.LSTM() | nodes.GRU():
            return nodes.cell_type(cell)
        case _:
            assert_never(cell)


def _initial(
    graph: GraphBuilder,
    path: Path,
    layer: models.RecurrentLayer,
    recurrent: nodes.Recurrent,
    number: int,
) -> tuple[str | None, ...] | Literal["learned"]:
    """Return the names of the vectors that the states of a copy begin as, or that these learn."""
    sizes = {state: size * recurrent.ways for state, size in recurrent.begins}
    declared = layer.initial_state
    if declared != "zeros" and not sizes:
        message = "'initial_state' has no effect: no equation reads a state"
        graph.refuse(path, message, code="E435", key=True)
        return ()
    if isinstance(declared, dict):
        return _named_states(graph, path, layer, recurrent, number, declared)
    match declared:
        case "zeros":
            return ()
        case "learned":
            own = replace(recurrent, initial=declared).learned if graph.sharing is None else ()
            for vector in own:
                graph.reserve(vector.name, path)
            return declared
        case "given":
            return tuple(
                _given_state(graph, path, f"{recurrent.name}_{state}", size)
                for state, size in sizes.items()
            )
        case _:
            assert_never(declared)


def _named_states(  # noqa: PLR0913, PLR0917 - a layer, its place, and what is said of it
    graph: GraphBuilder,
    path: Path,
    layer: models.RecurrentLayer,
    recurrent: nodes.Recurrent,
    number: int,
    declared: dict[str, str],
) -> tuple[str | None, ...]:
    """Return the vectors of another layer with ``of``, or those that are named for each state."""
    sizes = {state: size * recurrent.ways for state, size in recurrent.begins}
    if declared.keys() == {"of"}:
        other = _other_layer(graph, (*path, "of"), declared["of"], layer, number)
        if other is None:
            return ()
        final = _states_of(graph, layer, recurrent, other)
        if final is None:
            own = _states_text(layer.type, recurrent)
            its = _states_text(graph.declared_type(other), other)
            its = its if own != its else f"{its}, of other sizes"
            message = f"expected the states of {own}; '{other.name}' has those of {its}"
            graph.refuse((*path, "of"), message, code="E435")
            return ()
        return final
    if layer.layers > 1:
        message = f"vectors begin one layer, and this item has 'layers: {layer.layers}'"
        graph.refuse(path, message, code="E435")
        return ()
    for state in declared:
        if state not in sizes:
            expected = listed(list(sizes), "or")
            message = f"expected a state, {expected}, or 'of' alone; received {quoted(state)}"
            graph.refuse((*path, state), message, code="E435", key=True)
    return tuple(
        _vector(graph, (*path, state), declared[state], size) if state in declared else None
        for state, size in sizes.items()
    )


def _given_state(graph: GraphBuilder, path: Path, name: str, size: int) -> str:
    last = graph.last
    graph.enter(nodes.VectorInput(name=graph.reserve(name, path), features=size, state=True))
    graph.last = last
    return name


def _other_layer(
    graph: GraphBuilder, path: Path, name: str, layer: models.RecurrentLayer, number: int
) -> nodes.Recurrent | None:
    """Return the copy of another item with the number of a copy; None, with a problem, if none."""
    others = graph.stacks.get(name)
    if others is None:
        if graph.find(name, path) is not None:
            message = f"expected a recurrent layer, and '{name}' is none"
            graph.refuse(path, f"{message}; name a vector for each state", code="E435")
        return None
    if len(others) != layer.layers:
        message = f"expected a stack of {layer.layers} layers, '{name}' has {len(others)}"
        graph.refuse(path, message, code="E435")
        return None
    return others[number]


def _states_of(
    graph: GraphBuilder,
    layer: models.RecurrentLayer,
    recurrent: nodes.Recurrent,
    other: nodes.Recurrent,
) -> tuple[str, ...] | None:
    """Return the final states of another layer that those of a layer begin as, None if none do."""
    # With other settings, only one of two layers of a cell may be one of the language.
    kinds = layer.type, nodes.cell_type(recurrent.cell)
    others = graph.declared_type(other), nodes.cell_type(other.cell)
    if all(one != its for one, its in zip(kinds, others, strict=True)):
        return None
    if (recurrent.units, recurrent.ways) != (other.units, other.ways):
        return None
    pairs = dict(zip(recurrent.states, other.states, strict=True))
    if any(size != pairs[name, size][1] for name, size in recurrent.begins):
        return None
    return tuple(graph.final_state(other, pairs[state][0]) for state in recurrent.begins)


def _states_text(kind: str, layer: nodes.Recurrent) -> str:
    both = ", both directions" if layer.merge else ""
    return f"{kind}, {layer.units} units{both}"


def _vector(graph: GraphBuilder, path: Path, name: str, size: int) -> str | None:
    """Return the layer or input with the first value of a state of a size."""
    found = graph.find(name, path)
    if found is not None and graph.values[found].shape != (size,):
        graph.refuse(path, graph.expect_vector(found, name, size), code="E435")
        return None
    return found


_CELLS: Mapping[type[models.StandardLayer], type[nodes.StandardCell]] = MappingProxyType(
    {models.SimpleRNN: nodes.SimpleRNN, models.LSTM: nodes.LSTM, models.GRU: nodes.GRU}
)


def _widths(graph: GraphBuilder, layer: models.RecurrentLayer) -> dict[str, int]:
    """Return the features of each input of a cell with several, which are joined by now."""
    join = graph.by_name.get(graph.last or "")
    declared = (graph.spec.cells or {}).get(layer.type)
    if declared is None or not (inputs := declared_cell(declared).inputs):
        return {}
    # With a problem, one may be missing.
    known = join.inputs if isinstance(join, nodes.Join) else ()
    given = layer.of if isinstance(layer.of, dict) else {}
    shapes = dict(zip((name for name in inputs if name in given), known, strict=False))
    return {name: nodes.width(shapes.get(name, (1,))) for name in inputs}


def _repeated(graph: GraphBuilder) -> list[range]:
    """Return the places of each vector in the sequence that sequences and vectors are side by side.

    There are none in any other.
    """
    join = graph.by_name.get(graph.last or "")
    if not isinstance(join, nodes.Join) or join.how != "concat" or len(graph.shape) < 2:
        return []
    ends = list(accumulate(map(nodes.width, join.inputs)))
    return [
        range(end - nodes.width(shape), end)
        for shape, end in zip(join.inputs, ends, strict=True)
        if len(shape) == 1
    ]


def _memory_widths(graph: GraphBuilder, path: Path, layer: models.RecurrentLayer) -> dict[str, int]:
    """Return the features of what the equations of a cell attend to, by its name.

    It is 1 for what is refused: that the layer does not give it, or something else.
    """
    declared = (graph.spec.cells or {}).get(layer.type)
    if declared is None or not isinstance(layer, models.CellLayer):
        return {}
    names, given = declared_cell(declared).memory, layer.over or {}
    if not names and given:
        message = f"'{layer.type}' has no memory, which 'over' would give"
        graph.refuse(path, message, code="E438", key=True)
    elif not given and names:
        example = f"over: {{{names[0]}: ...}}"
        message = f"'{layer.type}' attends to a memory: expected a layer or input, {example}"
        graph.refuse((*path[:-1], "type"), message, code="E438")
    for name in given if names else ():
        if name not in names:
            message = f"expected the memory of '{layer.type}', {names[0]}; received {quoted(name)}"
            graph.refuse((*path, name), message, code="E438", key=True)
    widths = dict.fromkeys(names, 1)
    for name in names & given.keys():
        value = graph.values.get(graph.blocks.get(given[name], given[name]))
        if value and len(value.shape) > 1:
            widths[name] = nodes.width(value.shape)
        base, _, part = given[name].partition(".")
        # Beside the contexts of a layer, its parts are vectors.
        attending = graph.stacks[base][-1].attention if base in graph.stacks else None
        if part == "context" and attending:
            widths[name] = attending.width
    return widths


def _asked_memory(  # noqa: PLR0913, PLR0917 - a layer, its place, and what is known of it
    graph: GraphBuilder,
    path: Path,
    layer: models.CellLayer,
    cell: nodes.EquationCell,
    name: str,
    known: Mapping[str, int],
) -> nodes.StepAttention | None:
    """Return what the equations of a cell attend to; its keys are added."""
    # Imported here because few cells attend, and 'validate' is to start quickly.
    from rnnspec.ir.schedule import shape_of

    equations, sizes = cell.equations, {**known, **dict(cell.sizes)}
    shapes = {INPUT: ("features",), **dict(equations.parameters), **dict(equations.shapes)}
    asking = tuple(attends_of(equations))
    memory, given = asking[0].memory, layer.over or {}
    if memory not in given:
        return None
    queries = [evaluate_size(shape_of(part.query, shapes)[0], sizes) for part in asking]
    if len(set(queries)) > 1:
        sizes_of_queries = listed([str(size) for size in sorted(set(queries))])
        message = (
            f"'{layer.type}' asks {memory} with queries of {sizes_of_queries} features; expected "
            "one size, as they have one score"
        )
        graph.refuse((*path, "over", memory), message, code="E438")
        return None
    declared = AskedMemory(
        asked_as=memory,
        over=given[memory],
        score=layer.score,
        units=layer.score_units,
        bias=layer.score_bias,
        places={
            "over": (*path, "over", memory),
            "score": (*path, "score" if layer.writes("score") else "over"),
            "units": (*path, "score_units"),
        },
    )
    attention = step_attention(graph, path, declared, name, queries[0])
    size = evaluate_size(asking[0].size, sizes)
    if attention and attention.width != size:
        message = (
            f"expected a sequence of {size} features, the size of {memory} in '{layer.type}'; "
            f"'{given[memory]}' has {attention.width}"
        )
        graph.refuse((*path, "over", memory), message, code="E438")
    return attention


def _context_width(graph: GraphBuilder, layer: models.RecurrentLayer) -> int:
    """Return the number of features of the context, 0 without one."""
    over = layer.attention.over if layer.attention else ""
    value = graph.values.get(graph.blocks.get(over, over))
    return nodes.width(value.shape) if over and value and len(value.shape) > 1 else 0


def _cell(  # noqa: PLR0913, PLR0917 - a layer, its place, and what it reads
    graph: GraphBuilder,
    path: Path,
    layer: models.RecurrentLayer,
    features: int,
    widths: Mapping[str, int],
    memory: Mapping[str, int],
) -> tuple[nodes.Cell, bool, tuple[str, ...]]:
    """Return a cell, whose fields are keys of the layer or of the initializers, and its bias.

    With it are the names of its states, if these are others than its own.
    """
    if isinstance(layer, models.CellLayer):
        own = read_equation_cell(graph, path, layer, features, widths, memory)
        known = standard_cell(own, graph.defaults)
        if not isinstance(known, Recognition):
            return own, True, ()
        # What the language has anyway is a layer of that type.
        return known.cell, known.bias, known.state_names
    cell = _CELLS[type(layer)]
    values = dict[str, Any]()
    for field in fields(cell):
        is_drawn = field.name == "forget_bias"
        forget_bias = float(graph.spec.initializers.forget_bias)
        values[field.name] = forget_bias if is_drawn else getattr(layer, field.name)
    return cell(**values), layer.bias, ()


def read_equation_cell(  # noqa: PLR0913, PLR0917 - a layer, its place, and what it reads
    graph: GraphBuilder,
    path: Path,
    layer: models.CellLayer,
    features: int,
    widths: Mapping[str, int],
    memory: Mapping[str, int],
) -> nodes.EquationCell:
    """Return a cell of the spec with the settings of a layer that reads ``features``.

    ``widths`` are those of its inputs, if it has several, and ``memory`` has those of what it
    attends to.
    """
    cell = declared_cell((graph.spec.cells or {})[layer.type])
    try:
        settings = {**cell.settings, **layer.settings}
        read = equation_cell(layer.type, cell, settings, graph.defaults, widths, memory)
    except EquationError as error:
        for fault in (error, *error.others):
            at, message = path, f"with these {'inputs' if widths else 'settings'}, {fault}"
            if fault.path[0] in {"settings", "inputs"}:
                section = () if fault.path[0] == "settings" else ("of",)
                at, message = (*path, *section, fault.path[-1]), fault.message
            graph.refuse(at, message, code="E431")
    else:
        _check_effects(graph, path, layer, read, features)
        return read
    if widths:
        # What fits only other inputs has no shape.
        raise SpecError(in_file_order(tuple(graph.problems)))
    # As it is with the defaults, so that problems behind it are found too.
    return equation_cell(layer.type, cell, cell.settings, graph.defaults, widths, memory)


def _check_effects(
    graph: GraphBuilder,
    path: Path,
    layer: models.CellLayer,
    cell: nodes.EquationCell,
    features: int,
) -> None:
    """Check that keys of a layer act on its cell."""
    equations = cell.equations
    if layer.recurrent_dropout and "recurrent" not in roles(equations).values():
        message = "'recurrent_dropout' has no effect: no matrix multiplies what a state is in"
        graph.refuse((*path, "recurrent_dropout"), message, code="E407", key=True)
    own = _own_units(cell, features)
    if layer.units is None and own is None:
        message = f"missing key 'units', on which a size of '{cell.name}' depends"
        graph.refuse(path, message, code="E304")
        return
    known = {"units": layer.units or own or 1, "features": features, **dict(cell.sizes)}
    for line, message in misplaced_features(equations, known):
        graph.refuse(path, f"line {line.name} of '{cell.name}': {message}", code="E431")
    if layer.units is not None and own not in (None, layer.units):
        message = (
            f"no size of '{cell.name}' depends on 'units': expected the size of its output, "
            f"{own}, received {layer.units}"
        )
        graph.refuse((*path, "units"), message, code="E432")


def _own_units(cell: nodes.EquationCell, features: int) -> int | None:
    """Return the units of a cell without them: the size of its output; None if it needs some."""
    equations = cell.equations
    shapes = {**dict(equations.parameters), **dict(equations.shapes)}
    if any("units" in size_names(size) for shape in shapes.values() for size in shape):
        return None
    known = {"features": features, **dict(cell.sizes)}
    return evaluate_size(dict(equations.shapes)[equations.states[0]][0], known)
