"""The layers of ``rnn`` that are not recurrent, and heads."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from rnnspec.errors import listed
from rnnspec.errors.wording import nearest, quoted
from rnnspec.ir import nodes
from rnnspec.ir.equations import EquationError
from rnnspec.ir.params import MAX_AXIS
from rnnspec.ir.text import default_kind
from rnnspec.lowering.attention import add_attention
from rnnspec.lowering.cells import declared_cell, read_formula, read_initializer
from rnnspec.lowering.graph import read_activation
from rnnspec.lowering.poolings import add_pooling, advise_pooling, advise_states, final_state
from rnnspec.lowering.recurrent import add_recurrent
from rnnspec.spec import models

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.lowering.cells import Initial
    from rnnspec.lowering.graph import GraphBuilder, Path, Value
    from rnnspec.words import JoinHow


def add_item(graph: GraphBuilder, index: int, layer: models.AnyLayer) -> None:
    """Add an item of ``rnn``."""
    path: Path = ("rnn", index)
    graph.begin_item(index)
    if isinstance(layer, models.Formula):
        _add_join(graph, path, layer, layer.of)
    elif isinstance(layer, models.JoinLayer):
        _add_join(graph, path, layer, dict(enumerate(layer.of)))
    else:
        _take(graph, path, layer)
        if len(graph.shape) < 2 and isinstance(layer, _OF_STEPS):
            message = (
                f"'{layer.type}' reads the steps of a sequence, but '{graph.last}' gives one "
                "vector for each; repeat it first"
            )
            graph.refuse((*path, "of" if layer.of else "type"), message, code="E437")
            graph.pretend((None, *graph.shape))
        match layer:
            case models.SimpleRNN() | models.LSTM() | models.GRU() | models.CellLayer():
                add_recurrent(graph, index, layer)
            case models.RepeatVector():
                _add_repeat(graph, path, layer)
            case models.Pool():
                add_pooling(graph, (*path, "pooling"), layer, layer.name)
            case models.Conv() | models.MaxPool() | models.AveragePool():
                _add_windowed(graph, path, layer)
            case models.Transpose():
                _add_transpose(graph, path, layer)
            case models.AttentionLayer():
                add_attention(graph, path, layer)
            case _:
                add_declared(graph, path, layer)
    if graph.last in graph.by_name:
        graph.items[graph.last] = index


_OF_STEPS = (
    models.RecurrentLayer
    | models.Conv
    | models.MaxPool
    | models.AveragePool
    | models.Transpose
    | models.InstanceNorm
)


def add_declared(graph: GraphBuilder, path: Path, layer: models.AnyLayer) -> None:
    """Add a layer whose fields are its keys."""
    # At a rate of 0, spec.rules has refused the key.
    if (
        isinstance(layer, models.Dropout)
        and layer.variational
        and layer.rate
        and len(graph.shape) < 2
    ):
        message = "'variational' is for the steps of a sequence, but this is a vector"
        graph.refuse((*path, "variational"), message, code="E407", key=True)
    node = next(node for model, node in BY_KEYS.items() if isinstance(layer, model))
    _add_keys(graph, path, node, layer)


BY_KEYS: Mapping[type[models.AnyLayer], type[nodes.Layer]] = MappingProxyType(
    {
        models.RepeatVector: nodes.Repeat,
        models.Dense: nodes.Dense,
        models.BatchNorm: nodes.BatchNorm,
        models.LayerNormLayer: nodes.LayerNorm,
        models.InstanceNorm: nodes.InstanceNorm,
        models.Dropout: nodes.Dropout,
        models.ActivationLayer: nodes.Activate,
        models.NormalizeLayer: nodes.Normalize,
        models.Transpose: nodes.Transpose,
    }
)
"""The node of each layer whose fields are its keys, under the same names."""


def _add_keys(
    graph: GraphBuilder,
    path: Path,
    node: type[nodes.Layer],
    declared: models.Model,
    *,
    size: str = "units",
    **others: Any,
) -> None:
    layer = node(**graph.keys_of(node, declared, name="", **others))
    name = graph.name(default_kind(layer), (*path, "name"), getattr(declared, "name", None))
    graph.add(replace(layer, name=name), (*path, size))


def _add_repeat(graph: GraphBuilder, path: Path, layer: models.RepeatVector) -> None:
    source = graph.last
    if len(graph.shape) > 1:
        match final_state(graph):
            case nodes.Recurrent() as recurrent:
                graph.branch(graph.final_state(recurrent, recurrent.states[0][0]))
            case int() as backward:
                # Not numbered, as most repeats take the state itself, without a pooling.
                name = graph.reserve(f"{source}_last", (*path, "type"))
                shape, masked = graph.shape, graph.masked
                graph.add(
                    nodes.Pooling(
                        name=name, input=shape, statistic="last", masked=masked, backward=backward
                    )
                )
            case str():
                message = f"'repeat' repeats a vector, but '{source}' gives a sequence; reduce it "
                states = advise_states(graph)
                message = f"{message}first by a layer of type pool{states and f', or {states}'}"
                graph.refuse((*path, "type"), message, code="E410")
                graph.pretend(graph.shape[1:])
    vector, like = graph.last, None
    steps = layer.steps
    if layer.like is not None:
        like = graph.find(layer.like, (*path, "like"))
        if like is not None and len(graph.values[like].shape) < 2:
            message = f"expected a sequence, but '{layer.like}' gives one vector for each"
            graph.refuse((*path, "like"), message, code="E437")
            like = None
        steps = graph.values[like].shape[0] if like else 1
    assert vector is not None
    graph.branch(vector)
    _add_keys(graph, path, nodes.Repeat, layer, size="steps", like=like, steps=steps)


def _add_transpose(graph: GraphBuilder, path: Path, layer: models.Transpose) -> None:
    if graph.masked:
        message = "'transpose' needs sequences of equal length, and these may have padding"
        graph.refuse((*path, "type"), message, code="E424")
    elif graph.shape[0] is None:
        message = "'transpose' needs a fixed number of steps: set the length of the input"
        graph.refuse((*path, "type"), message, code="E424")
    if graph.shape[0] is None:
        graph.pretend((1, *graph.shape[1:]))
    add_declared(graph, path, layer)


def _add_windowed(
    graph: GraphBuilder, path: Path, layer: models.Conv | models.MaxPool | models.AveragePool
) -> None:
    """Add a layer that reads the steps in windows."""
    node: nodes.Windowed
    match layer:
        case models.Conv():
            window = nodes.Window(
                size=layer.kernel_size,
                stride=layer.stride,
                dilation=layer.dilation,
                padding=layer.padding,
            )
            node = nodes.Conv(
                name=graph.name("conv", (*path, "name"), layer.name),
                input=graph.shape,
                filters=layer.filters,
                window=window,
                activation=read_activation(layer.activation),
                bias=layer.bias,
                masked=graph.masked,
                kernel_initializer=read_initializer(graph.spec.initializers.kernel),
                bias_initializer=read_initializer(graph.spec.initializers.bias),
            )
        case _:
            window = nodes.Window(
                size=layer.size,
                stride=layer.stride or layer.size,
                dilation=1,
                padding=layer.padding,
            )
            node = nodes.WindowPooling(
                name=graph.name(layer.type, (*path, "name"), layer.name),
                input=graph.shape,
                statistic="max" if layer.type == "max_pool" else "average",
                window=window,
                masked=graph.masked,
            )
    node = _fit(graph, path, node)
    graph.add(node, (*path, "filters") if isinstance(layer, models.Conv) else None)


def _fit(graph: GraphBuilder, path: Path, node: nodes.Windowed) -> nodes.Windowed:
    """Return a layer with an input that is long enough, and refuse one that is not."""
    window, steps = node.window, graph.shape[0]
    if window.reach >= MAX_AXIS:
        message = (
            f"too large: a window spans {window.reach + 1:,} steps; the maximum is {MAX_AXIS:,}"
        )
        graph.refuse((*path, "dilation"), message, code="E417")
        return node
    if isinstance(window.padding, tuple):
        before, after = window.padding
        if max(before, after) > window.reach:
            message = (
                f"a window would lie outside the sequence: expected at most {window.reach} steps, "
                f"received {max(before, after)}"
            )
            graph.refuse((*path, "padding"), message, code="E423")
        elif graph.masked and window.anchor < 0:
            message = (
                f"more windows than steps, of which no mask tells the padding: expected at most "
                f"{window.reach} steps before and after together, received {before + after}"
            )
            graph.refuse((*path, "padding"), message, code="E424")
    if steps is not None and steps < window.least(1):
        is_only = graph.value.axis == ("", 0, 1) and not graph.spec.inputs
        received = f"'input.length' is {steps}" if is_only else f"its input has {steps}"
        message = f"'{node.name}' needs at least {window.least(1)} steps, {received}"
        key = "kernel_size" if isinstance(node, nodes.Conv) else "size"
        graph.refuse((*path, key), message, code="E423")
        # Longer, so that the layers behind it have steps.
        return replace(node, input=(window.least(1), *graph.shape[1:]))
    return node


def _take(graph: GraphBuilder, path: Path, layer: models.AnyLayer) -> None:
    """Let a layer take what its ``of`` names; the inputs of a cell with several are joined."""
    if not isinstance(layer, models.CellLayer):
        assert not isinstance(layer.of, dict | tuple)
        graph.take(layer.of, (*path, "of"))
        return
    inputs = declared_cell((graph.spec.cells or {})[layer.type]).inputs
    if not inputs and not isinstance(layer.of, dict):
        graph.take(layer.of, (*path, "of"))
        return
    example = f"{{{', '.join(f'{name}: ...' for name in inputs)}}}"
    if not isinstance(layer.of, dict):
        message = (
            f"'{layer.type}' has several inputs: expected a layer or input for each, {example}"
        )
        graph.refuse((*path, "of" if layer.of else "type"), message, code="E425")
    elif not inputs:
        message = f"'{layer.type}' has one input: expected the name of a layer or input"
        graph.refuse((*path, "of"), message, code="E425")
    else:
        for name in (name for name in layer.of if name not in inputs):
            near = nearest(name, inputs)
            hint = f"; did you mean {near!r}?" if near else ""
            message = f"expected an input of '{layer.type}', {listed(inputs, 'or')}{hint}"
            graph.refuse((*path, "of", name), message, code="E425", key=True)
        if missing := [name for name in inputs if name not in layer.of]:
            message = f"expected a layer or input for {listed(missing)} too"
            graph.refuse((*path, "of"), message, code="E425")
    for key in ("layers", "attention"):
        if inputs and layer.writes(key) and getattr(layer, key) not in {1, None}:
            message = f"'{key}' is for a cell of one input, and '{layer.type}' has several"
            graph.refuse((*path, key), message, code="E407", key=True)
    declared = layer.of if isinstance(layer.of, dict) else {}
    parts = {name: declared[name] for name in inputs if name in declared}
    are_known = _add_join(graph, path, "concat", parts)
    if not are_known or len(parts) < len(inputs):
        graph.pretend((None, max(len(inputs), 1)))


def _add_join(
    graph: GraphBuilder,
    path: Path,
    declared: models.JoinLayer | Literal["concat"],
    parts: Mapping[Any, str],
) -> bool:
    """Add a join of earlier layers and inputs, each by its key or place in ``of``.

    Returns whether there are some, and all of them are known.
    """
    layer = None if declared == "concat" else declared
    found = [graph.find(name, (*path, "of", key)) for key, name in parts.items()]
    names = [name for name in found if name is not None]
    values = [graph.values[name] for name in names]
    if len(names) == len(parts):
        if isinstance(layer, models.Concat) and layer.axis == "steps":
            _check_padding(graph, path, layer, values)
        else:
            _check_steps(graph, path, parts, values)
        if layer and not isinstance(layer, models.Formula):
            _check_widths(graph, path, layer, values)
    if not values:
        graph.last = graph.last or graph.first
        return False
    kind, at = (layer.type, (*path, "name")) if layer else ("concat", path)
    name = graph.name(kind, at, layer.name if layer else None)
    if isinstance(layer, models.Concat) and layer.axis == "steps":
        shapes = tuple(value.shape for value in values)
        appended = nodes.Append(name=name, input=shapes[0], of=tuple(names), inputs=shapes)
        graph.add(appended, (*path, "of"))
        return len(names) == len(parts)
    # With the steps that they should have, so that problems behind it are found too.
    steps = next((value.shape[:1] for value in values if len(value.shape) > 1), ())
    inputs = tuple(
        (*steps, value.shape[-1] or 1) if len(value.shape) > 1 else value.shape for value in values
    )
    how: JoinHow | nodes.Formula
    begins: Initial = ()
    if not isinstance(layer, models.Formula):
        how = layer.type if layer else "concat"
    elif len(names) < len(parts):
        how = "multiply"
    else:
        widths = (nodes.width(shape) for shape in inputs)
        widths_of = dict(zip(layer.of, widths, strict=True))
        how, begins = _read_formula(graph, path, layer, widths_of)
    joined = nodes.Join(name=name, input=inputs[0], how=how, of=tuple(names), inputs=inputs)
    if begins and isinstance(how, nodes.Formula):
        joined = nodes.LearnedFormula(
            name=name, input=inputs[0], how=how, of=tuple(names), inputs=inputs, initializers=begins
        )
    graph.add(joined, (*path, "of"))
    return len(names) == len(parts)


def _read_formula(
    graph: GraphBuilder, path: Path, layer: models.Formula, widths: Mapping[str, int]
) -> tuple[nodes.Formula | Literal["multiply"], Initial]:
    """Return the formula of a layer that takes some features; of a wrong one, a product."""
    try:
        return read_formula(layer, widths, graph.defaults)
    except EquationError as error:
        for fault in (error, *error.others):
            section, *rest = fault.path
            place = (*path, "of" if section == "inputs" else section, *rest)
            code = {"settings": "E431", "units": "E432"}.get(str(section), "E429")
            if section == "units" and layer.units is None:
                place, code = path, "E304"
            graph.refuse(
                place,
                fault.message,
                code=code,
                key=fault.key,
                column=fault.column,
            )
        return "multiply", ()


def _check_steps(
    graph: GraphBuilder, path: Path, parts: Mapping[Any, str], values: list[Value]
) -> None:
    """Check that all sequences of a join have equally many steps."""
    joined = zip(parts.items(), values, strict=True)
    sequences = [(*part, value) for part, value in joined if value.axis is not None]
    for at, name, value in sequences[1:]:
        _, first, first_value = sequences[0]
        if message := graph.unequal_steps(first, first_value, name, value):
            graph.refuse((*path, "of", at), message, code="E425")


def _check_padding(
    graph: GraphBuilder, path: Path, layer: models.Concat, values: list[Value]
) -> None:
    """Check that no sequence of those that are one behind the other has padding."""
    for at, value in enumerate(values):
        if value.masked:
            message = (
                f"'{layer.of[at]}' may have padding, which would be between the steps of others; "
                "'axis: steps' takes sequences without padding"
            )
            graph.refuse((*path, "of", at), message, code="E424")


def _check_widths(
    graph: GraphBuilder,
    path: Path,
    layer: models.Concat | models.Add | models.Multiply,
    values: list[Value],
) -> None:
    """Check that the parts of a sum or a product fit."""
    widths = [value.shape[-1] or 0 for value in values]
    if isinstance(layer, models.Concat) and layer.axis == "features":
        return
    expected = max(widths) if layer.type == "multiply" else widths[0]
    for at, features in enumerate(widths):
        if features == expected or (layer.type == "multiply" and features == 1):
            continue
        first = layer.of[widths.index(expected)]
        one = "one feature or " if layer.type == "multiply" else ""
        message = (
            f"expected {one}the {expected} features of '{first}'; '{layer.of[at]}' has {features}"
        )
        graph.refuse((*path, "of", at), message, code="E425")


def add_head(graph: GraphBuilder, path: Path, head: models.Head) -> None:
    """Add a head; the next layer then takes its result."""
    graph.place = path
    graph.take(head.of, (*path, "of"))
    if head.normalize != "none" and head.gives_steps and len(graph.shape) > 1:
        message = "'normalize' is for one vector, not for one at every time step"
        graph.refuse((*path, "normalize"), message + advise_pooling(graph), code="E418", key=True)
    add_pooling(graph, (*path, "pooling"), head)
    if head.dropout:
        _add_dropout(graph, head.dropout, (*path, "dropout"))
    for index, hidden in enumerate(head.hidden):
        inner = graph.place = (*path, "hidden", index)
        add_declared(graph, inner, hidden)
        if isinstance(hidden, models.Hidden) and hidden.dropout:
            _add_dropout(graph, hidden.dropout, (*inner, "dropout"))
    graph.place = path
    if head.units is not None:
        tied = _tied(graph, path, head.tied, head.units) if head.tied else None
        _add_keys(graph, path, nodes.Dense, head, tied=tied)
    elif head.activation != "linear":
        name = graph.name("activation", (*path, "name"), head.name)
        graph.add(nodes.Activate(**graph.keys_of(nodes.Activate, head, name=name)))
    if head.normalize == "l2":
        name = graph.name("unit_normalization", (*path, "normalize"))
        graph.add(nodes.Normalize(name=name, input=graph.shape))


def _tied(graph: GraphBuilder, path: Path, declared: bool | str, units: int) -> str | None:
    """Return the name of the embedding whose vectors are the kernel of the output layer."""
    embedding = _find_table(graph, (*path, "tied"), declared)
    if embedding is None:
        return None
    if graph.shape[-1] != embedding.dim:
        message = f"the vectors of the embedding have size {embedding.dim}, expected that of the"
        message = f"{message} input of the output layer, {graph.shape[-1]}"
        graph.refuse((*path, "tied"), message, code="E422", key=True)
    if units != embedding.vocabulary:
        message = f"the vocabulary has {embedding.vocabulary} tokens, expected 'units', {units}"
        graph.refuse((*path, "tied"), message, code="E422", key=True)
    return embedding.name


def _find_table(graph: GraphBuilder, path: Path, declared: bool | str) -> nodes.Embedding | None:
    """Return the embedding that a head names, or the only one; None, with a problem, if none."""
    tables = [
        layer
        for layer in graph.layers
        if isinstance(layer, nodes.Embedding) and layer.shares is None
    ]
    # The only embedding of an input without a name has its own.
    paths = {table.name: graph.places[table.name] for table in tables}
    places = {name: str(path[1]) if len(path) > 1 else name for name, path in paths.items()}
    if isinstance(declared, str):
        # An input may have the vectors of another one.
        found = graph.by_name.get(graph.blocks.get(declared, declared))
        owner = graph.by_name[found.owner] if found else None
        if isinstance(owner, nodes.Embedding):
            return owner
        names = list(places.values())
        message = f"expected an input with an embedding: {listed(names, 'or')}"
        near = nearest(declared, names)
        hint = f"; did you mean {near!r}?" if near else ""
        if tables:
            graph.refuse(path, f"{message}; received {quoted(declared)}{hint}", code="E422")
        return None
    if len(tables) > 1:
        names = [f"'tied: {place}'" for place in places.values()]
        has = listed([f"{name!r}" for name in places])
        message = f"'tied: true' needs a network with one embedding, this one has {has}"
        message = f"{message}; expected {listed(names, 'or')}"
        graph.refuse(path, message, code="E422", key=True)
    return tables[0] if len(tables) == 1 else None


def _add_dropout(graph: GraphBuilder, rate: float, path: Path) -> None:
    graph.add(nodes.Dropout(name=graph.name("dropout", path), input=graph.shape, rate=float(rate)))
