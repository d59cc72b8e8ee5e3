"""Attention to the steps of another layer: as a layer, and in a recurrent one at each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.ir import nodes
from rnnspec.spec import models

if TYPE_CHECKING:
    from rnnspec.lowering.graph import GraphBuilder, Path
    from rnnspec.words import Score


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
    queries, size = graph.last, _query_size(graph, path, layer, over, nodes.width(graph.shape))
    assert queries is not None
    keys = _add_keys(graph, path, layer, name, over)
    graph.branch(queries)
    if layer.score in ("general", "additive"):
        _add_projection(graph, (*path, "name"), f"{name}_query", size, bias=False)
    memory = graph.values[over]
    graph.add(
        nodes.Attention(
            name=name,
            input=graph.shape,
            over=over,
            keys=keys,
            memory=memory.shape,
            additive=layer.score == "additive",
            scale=_scale(layer, size),
            masked=memory.masked,
            kernel_initializer=graph.defaults["kernel"],
        )
    )


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
            message = (
                f"'score: {declared.score}' needs queries and steps of equal size, received {size} "
                f"and {width} features; 'general' does not"
            )
            graph.refuse(_place(path, declared, "score"), message, code="E438")
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
