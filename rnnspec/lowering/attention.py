"""Attention to the steps of another layer: as a layer, and in a recurrent one at each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.ir import nodes
from rnnspec.lowering.graph import read_activation
from rnnspec.spec import models

if TYPE_CHECKING:
    from rnnspec.lowering.graph import GraphBuilder, Path, Value
    from rnnspec.words import Attended, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedMemory:
    """What the equations of a cell attend to under the name ``asked_as``.

    The keys of the layer say it, each at its place.
    """

    asked_as: str
    over: str
    score: Score
    units: int | None
    bias: bool
    places: Mapping[str, Path]


_Declared = models.AttentionLayer | models.StepAttention | AskedMemory


def add_attention(graph: GraphBuilder, path: Path, layer: models.AttentionLayer) -> None:
    """Add an attention whose queries are what the next layer takes."""
    name = graph.name("attention", (*path, "name"), layer.name)
    over = _memory(graph, path, layer)
    if over is None:
        # Another layer in its place, so that problems behind it are found.
        graph.add(nodes.Activate(name=name, input=graph.shape, activation="linear"))
        return
    queries = graph.last
    assert queries is not None
    values, keys = _values(graph, path, layer, over), over
    size = nodes.width(graph.shape)
    projects_all = layer.heads is not None and layer.projections
    if projects_all:
        # A missing size has been refused.
        size = layer.units or size
        for source, ending in ((over, "keys"), (values, "values"), (queries, "query")):
            graph.branch(source)
            _add_projection(graph, (*path, "units"), f"{name}_{ending}", size, bias=layer.bias)
        keys, values = f"{name}_keys", f"{name}_values"
    else:
        size = _query_size(graph, path, layer, over, size)
        keys = _add_keys(graph, path, layer, name, over)
        graph.branch(queries)
        if layer.score in ("general", "additive"):
            _add_projection(graph, (*path, "name"), f"{name}_query", size, bias=False)
        _check_heads(graph, path, layer, values)
    memory, heads = graph.values[values], layer.heads or 1
    causal = layer.causal and _is_causal(graph, path, layer, graph.values[over], queries)
    graph.add(
        nodes.Attention(
            name=name,
            input=graph.shape,
            over=values,
            keys=keys,
            memory=memory.shape,
            additive=layer.score == "additive",
            scale=_scale(layer, max(size // heads, 1)),
            masked=memory.masked,
            kernel_initializer=graph.defaults["kernel"],
            heads=heads,
            causal=causal,
            activation=read_activation(layer.activation),
            gives=_gives(graph, path, layer, memory),
        )
    )
    if projects_all:
        _add_projection(graph, (*path, "units"), f"{name}_output", size, bias=layer.bias)
        graph.blocks[name] = f"{name}_output"


def _is_causal(
    graph: GraphBuilder, path: Path, layer: models.AttentionLayer, over: Value, queries: str
) -> bool:
    """Return whether queries have the steps of what they see, and refuse others."""
    queries = layer.of or queries
    if graph.value.axis is None:
        message = f"'causal' needs a query for each step of '{layer.over}'; '{queries}' give one"
    elif not (message := graph.unequal_steps(layer.over, over, queries, graph.value)):
        return True
    graph.refuse((*path, "causal"), message, code="E438")
    return False


def _gives(
    graph: GraphBuilder, path: Path, layer: models.AttentionLayer, memory: Value
) -> Attended:
    """Return what an attention gives, and refuse features of any number."""
    if layer.heads is not None or layer.values is not None:
        # They have been refused with any other output.
        return "context"
    if layer.output == "context" or graph.value.axis is None or memory.shape[0] is not None:
        return layer.output
    message = (
        f"'output: {layer.output}' of a sequence has as many features as '{layer.over}' has steps, "
        "whose number must be fixed: set the length of the input"
    )
    graph.refuse((*path, "output"), message, code="E438")
    return "context"


def _check_heads(
    graph: GraphBuilder, path: Path, layer: models.AttentionLayer, values: str
) -> None:
    """Check that heads without projections divide the features of queries and values."""
    heads = layer.heads or 1
    for declared, shape in (("of", graph.shape), ("values", graph.values[values].shape)):
        if nodes.width(shape) % heads:
            of = "queries" if declared == "of" else f"'{layer.values or layer.over}'"
            message = f"'heads: {heads}' does not divide the {shape[-1]} features of {of}"
            graph.refuse((*path, "heads"), message, code="E438")
            return


def step_attention(
    graph: GraphBuilder,
    path: Path,
    declared: models.StepAttention | AskedMemory,
    name: str,
    units: int,
) -> nodes.StepAttention | None:
    """Return what a recurrent layer attends to with queries of ``units``; its keys are added.

    None, with a problem, if there is no such layer.
    """
    over = _memory(graph, path, declared)
    if over is None:
        return None
    queries, size = graph.last, _query_size(graph, path, declared, over, units)
    assert queries is not None
    keys = _add_keys(graph, path, declared, name, over)
    graph.branch(queries)
    memory, asked_as = graph.values[over], getattr(declared, "asked_as", "")
    return nodes.StepAttention(
        asked_as=asked_as,
        asks=units if asked_as else 0,
        over=over,
        keys=keys,
        width=nodes.width(memory.shape),
        size=size,
        projects=declared.score in ("general", "additive"),
        additive=declared.score == "additive",
        scale=_scale(declared, size),
        masked=memory.masked,
    )


def _memory(graph: GraphBuilder, path: Path, declared: _Declared) -> str | None:
    """Return the layer or input whose steps are weighted; None, with a problem, if it has none."""
    place = _place(path, declared, "over")
    over = graph.find(declared.over, place)
    if over is not None and len(graph.values[over].shape) < 2:
        message = f"expected a sequence; '{declared.over}' gives one vector for each sequence"
        graph.refuse(place, message, code="E438")
        return None
    return over


def _values(graph: GraphBuilder, path: Path, layer: models.AttentionLayer, over: str) -> str:
    """Return the layer or input whose steps are averaged, with those that are weighted."""
    if layer.values is None:
        return over
    where = (*path, "values")
    name = graph.find(layer.values, where)
    if name is None:
        return over
    weighted, value, masks = graph.values[over], graph.values[name], graph.masks
    if value.axis is None:
        message = f"expected a sequence; '{layer.values}' gives one vector for each sequence"
    elif not (message := graph.unequal_steps(layer.over, weighted, layer.values, value)):
        if masks.get(name) == masks.get(over):
            return name
        message = f"expected the padding of '{layer.over}'; '{layer.values}' has "
        message += "other" if value.masked else "none"
    graph.refuse(where, message, code="E438")
    return over


def _place(path: Path, declared: _Declared, key: str) -> Path:
    """Return the place of a key of what declares an attention at ``path``."""
    return declared.places[key] if isinstance(declared, AskedMemory) else (*path, key)


def _query_size(graph: GraphBuilder, path: Path, declared: _Declared, over: str, size: int) -> int:
    """Return the size of queries and keys, given that of the queries as they are."""
    width = nodes.width(graph.values[over].shape)
    match declared.score:
        case "additive":
            # A missing size has been refused.
            return declared.units or size
        case "general":
            return width
        case _ if size != width:
            has_heads = isinstance(declared, models.AttentionLayer) and declared.heads is not None
            if declared.score is None and not has_heads:
                # It has been refused.
                return size
            needs = "'projections: false'" if has_heads else f"'score: {declared.score}'"
            other = "with 'projections', they may differ" if has_heads else "'general' does not"
            message = (
                f"{needs} needs queries and steps of equal size, received {size} "
                f"and {width} features; {other}"
            )
            where = "projections" if has_heads else "score"
            graph.refuse(_place(path, declared, where), message, code="E438")
    return size


def _add_keys(graph: GraphBuilder, path: Path, declared: _Declared, name: str, over: str) -> str:
    """Return the layer that gives the key of each step, which is added if it has arrays."""
    if declared.score != "additive" or declared.units is None:
        return over
    graph.branch(over)
    where = _place(path, declared, "units")
    return _add_projection(graph, where, f"{name}_keys", declared.units, bias=declared.bias)


def _add_projection(graph: GraphBuilder, path: Path, name: str, units: int, *, bias: bool) -> str:
    graph.add(
        nodes.Dense(
            name=graph.reserve(name, path),
            input=graph.shape,
            units=units,
            activation="linear",
            bias=bias,
            kernel_initializer=graph.defaults["kernel"],
            bias_initializer=graph.defaults["bias"],
        ),
        path,
    )
    return name


def _scale(declared: _Declared, size: int) -> float:
    return size**-0.5 if declared.score == "scaled_dot" else 1.0
