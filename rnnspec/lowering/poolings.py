"""Poolings, in heads and as layers: which of them a value has, and what else could be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.errors import listed
from rnnspec.ir import nodes
from rnnspec.ir.reductions import REDUCTIONS
from rnnspec.lowering.cells import read_initializer
from rnnspec.lowering.graph import Behind, read_activation
from rnnspec.spec import models

if TYPE_CHECKING:
    from rnnspec.lowering.graph import GraphBuilder, Path
    from rnnspec.words import Statistic


def add_pooling(
    graph: GraphBuilder, path: Path, declared: models.Head | models.Pool, name: str | None = None
) -> None:
    """Reduce the steps of what the next layer takes; ``name`` is that of the result."""
    pooling = declared.pooling
    if len(graph.shape) < 2:
        # A recurrent layer returns its final state, unless a layer needs its sequence.
        if pooling not in ("last", "none"):
            what = f"'{graph.last}' gives one vector for each sequence"
            message = f"'pooling' reduces the steps of a sequence, but {what}"
            graph.refuse(path, message, code="E421", key=True)
        if isinstance(declared, models.Pool) and graph.last is not None:
            graph.blocks[graph.name("last_pooling", path, name)] = graph.last
        return
    match pooling:
        case "none":
            pass
        case "flatten":
            _flatten(graph, path, name)
        case models.LastSteps(last_steps=count):
            _take_last_steps(graph, path, count, name)
        case tuple() as parts:
            _join(graph, path, parts, name)
        case one:
            _pool(graph, path, one, name, declared=declared)


def _flatten(graph: GraphBuilder, path: Path, name: str | None) -> None:
    if graph.masked:
        message = "'flatten' needs sequences of equal length, and these may have padding"
        graph.refuse(path, message, code="E424")
    elif graph.shape[0] is None:
        message = "'flatten' needs a fixed number of steps: set the length of the input"
        graph.refuse(path, message, code="E424")
    if graph.shape[0] is not None:
        name = graph.name("flatten", path, name)
        graph.add(nodes.Flatten(name=name, input=graph.shape), path)


def _take_last_steps(graph: GraphBuilder, path: Path, count: int, name: str | None) -> None:
    if graph.masked:
        message = "the last steps may be padding, which 'last_steps' does not skip"
        graph.refuse((*path, "last_steps"), message, code="E424")
    steps = graph.shape[0]
    if steps is not None and steps < count:
        message = f"expected at most the {steps} steps of the sequence, received {count}"
        graph.refuse((*path, "last_steps"), message, code="E423")
    name = graph.name("last_steps", path, name)
    graph.add(nodes.LastSteps(name=name, input=graph.shape, count=count))


def _join(
    graph: GraphBuilder,
    path: Path,
    parts: tuple[Statistic | models.Attention, ...],
    name: str | None,
) -> None:
    """Add several poolings, and what puts them side by side."""
    trunk, joined = graph.last, list[str]()
    assert trunk is not None
    for index, part in enumerate(parts):
        graph.branch(trunk)
        where = (*path, index)
        if any(other == part and _scores(other) == _scores(part) for other in parts[:index]):
            # Without it, a list of two would be a list of one.
            remedy = "remove it" if len(parts) > 2 else "write it once, without the list"
            graph.refuse(where, f"the list has this pooling already; {remedy}", code="E426")
        others = parts[:index] + parts[index + 1 :]
        _pool(graph, where, part, None, others=others)
        if graph.last is not None:
            joined.append(graph.last)
    inputs = tuple(graph.values[source].shape for source in joined)
    # A sequence instead of a vector has been refused.
    if any(len(shape) > 1 for shape in inputs):
        return
    graph.add(
        nodes.Join(
            name=graph.name("concat", path, name),
            input=inputs[0],
            how="concat",
            of=tuple(joined),
            inputs=inputs,
        ),
        path,
    )


def _scores(pooling: Statistic | models.Attention) -> bool:
    """True if an attention computes what it scores: without units, a written activation does."""
    if not isinstance(pooling, models.Attention):
        return False
    return pooling.attention.units is not None or pooling.attention.writes("activation")


def _pool(  # noqa: PLR0913 - a pooling, its place, and what is beside it
    graph: GraphBuilder,
    path: Path,
    pooling: Statistic | models.Attention,
    name: str | None,
    *,
    declared: models.Head | models.Pool | None = None,
    others: tuple[Statistic | models.Attention, ...] = (),
) -> None:
    """Add the layer that reduces the steps to one vector."""
    if isinstance(pooling, models.Attention):
        _attend(graph, (*path, "attention"), pooling, name)
        return
    name_of = graph.name(f"{pooling}_pooling", path, name)
    reduction = REDUCTIONS[pooling]
    if graph.masked and not reduction.skips_padding:
        end = pooling.removesuffix("_step")
        message = f"the {end} step may be padding, which '{pooling}' does not skip"
        graph.refuse(path, message + advise_pooling(graph, others), code="E419")
    backward = 0
    if pooling == "last":
        state = final_state(graph)
        match state:
            case str() as reason:
                is_default = isinstance(declared, models.Head) and not declared.writes("pooling")
                what = "'pooling: last', the default," if is_default else "'pooling: last'"
                code, what = ("E421", what) if declared else ("E426", "'last'")
                advice = advise_pooling(graph, others)
                if states := advise_states(graph):
                    advice = f"; {states}{advice.replace(';', ', or', 1)}"
                message = f"{what} {reason}{advice}"
                graph.refuse(path, message, code=code, key=is_default)
            case nodes.Recurrent() as layer:
                final = graph.final_state(layer, layer.states[0][0])
                graph.branch(final)
                graph.blocks[name_of] = final
                return
            case int():
                backward = state
    graph.add(
        nodes.Pooling(
            name=name_of,
            input=graph.shape,
            statistic=pooling,
            masked=graph.masked and reduction.skips_padding,
            backward=backward,
        ),
        path,
    )


def _attend(graph: GraphBuilder, path: Path, attention: models.Attention, name: str | None) -> None:
    settings, query, trunk = attention.attention, None, graph.last
    assert trunk is not None
    size = nodes.width(graph.shape) if settings.units is None else settings.units
    if settings.query is not None:
        query = graph.find(settings.query, (*path, "query"))
        shape = graph.values[query].shape if query else (size,)
        if shape != (size,):
            message = graph.expect_vector(query or "", settings.query, size)
            graph.refuse((*path, "query"), message, code="E425")
            query = None
    graph.branch(trunk)
    activation: nodes.Activation = "linear"
    if _scores(attention):
        activation = read_activation(settings.activation)
    graph.add(
        nodes.AttentionPooling(
            name=graph.name("attention_pooling", path[:-1], name),
            input=graph.shape,
            units=settings.units,
            activation=activation,
            masked=graph.masked,
            kernel_initializer=read_initializer(graph.spec.initializers.kernel),
            bias_initializer=read_initializer(graph.spec.initializers.bias),
            bias=settings.bias,
            query=query,
        ),
        path[:-1],
    )


def final_state(graph: GraphBuilder) -> int | nodes.Recurrent | str:
    """Return how the final state is read from what the next layer takes.

    It is the number of features of a backward direction, whose last step is the first one; or the
    recurrent layer, whose states begin otherwise than as zeros; or why there is none.
    """
    behind = list[nodes.Layer]()
    layer = graph.by_name.get(graph.last or "")
    while layer is not None and layer.is_pointwise:
        behind.append(layer)
        layer = graph.by_name.get(layer.source or _before(graph, layer))
    if not isinstance(layer, nodes.Recurrent):
        what = "the input" if layer is None else f"'{layer.name}'"
        return f"is the final state of a recurrent layer, and {what} is none"
    mixed = next((other for other in behind if not _keeps_features(other)), None)
    norm = next((other for other in behind if isinstance(other, nodes.BatchNorm)), None)
    # A pool before it gives it the states of both directions.
    hint = f"; '{norm.name}' takes all steps: put a layer of type pool before it" if norm else ""
    size = layer.states[0][1]
    match layer.merge:
        case None if behind or not layer.first_states:
            return nodes.width(graph.shape) if layer.backward else 0
        case "concat" if mixed is None and (behind or not layer.first_states):
            return size
        case "concat" if mixed is not None:
            what = f"'{mixed.name}'"
        case None | "concat":
            return layer
        case merge:
            what = f"'merge: {merge}'"
    return f"needs the states of both directions, which {what} does not keep apart{hint}"


def _before(graph: GraphBuilder, layer: nodes.Layer) -> str:
    """Return the name of the layer before another one in the list."""
    at = graph.order[layer.name]
    return graph.layers[at - 1].name if at else ""


def _keeps_features(layer: nodes.Layer) -> bool:
    activation = layer.activation if isinstance(layer, nodes.Activate) else "linear"
    return Behind.of(type(layer), activation).apart_features


def advise_states(graph: GraphBuilder) -> str:
    """Return what to write if final states are meant where a join takes their sequences.

    It is nothing if the join takes another sequence, too.
    """
    join = graph.by_name.get(graph.last or "")
    while join is not None and join.is_pointwise:
        join = graph.by_name.get(join.source or _before(graph, join))
    section, *rest = graph.places[join.name] if isinstance(join, nodes.Joined) else ("",)
    declared = graph.spec.rnn[int(rest[0])] if section == "rnn" else None
    if not isinstance(declared, models.JoinLayer) or not isinstance(join, nodes.Joined):
        return ""
    # Unless a name is unknown, which has been refused.
    if len(join.inputs) != len(declared.of):
        return ""
    states = [
        name
        for name, shape in zip(declared.of, join.inputs, strict=True)
        if len(shape) > 1 and name in graph.stacks
    ]
    if len(states) != sum(len(shape) > 1 for shape in join.inputs):
        return ""
    names = listed([f"'{name}.state'" for name in states])
    its = "the final state" if len(states) == 1 else "the final states"
    return f"write {names} in the 'of' of '{join.name}' for {its}"


def advise_pooling(
    graph: GraphBuilder, others: tuple[Statistic | models.Attention, ...] = ()
) -> str:
    """Return the end of a message: which poolings break no rule in place of one beside others."""
    names = [
        name
        for name, reduction in REDUCTIONS.items()
        if (reduction.skips_padding or not graph.masked) and name not in others
    ]
    if isinstance(final_state(graph), str) and "last" in names:
        names.remove("last")
    return f"; use another pooling: {listed(names, 'or')}" if names else "; remove it"
