"""The inputs of a network, and their embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.errors import SpecError, listed
from rnnspec.errors.wording import nearest, quoted
from rnnspec.ir import nodes
from rnnspec.ir.params import too_large_shape
from rnnspec.lowering.cells import read_initializer
from rnnspec.spec import models
from rnnspec.spec.yaml.document import in_file_order

if TYPE_CHECKING:
    from rnnspec.lowering.graph import GraphBuilder, Path


def add_inputs(graph: GraphBuilder) -> None:
    """Add the inputs, and behind them the embeddings."""
    spec = graph.spec
    if spec.inputs is None:
        _add_only_input(graph)
        return
    embedded = list[tuple[str, models.NamedInput]]()
    for name, declared in spec.inputs.items():
        path: Path = ("inputs", name)
        graph.place = path
        table = _table(graph, path, declared.embedding)
        known = table or models.Embedding.model_construct(vocabulary=1, dim=1)
        graph.enter(_input(graph.reserve(name, path), declared, known))
        _check_size(graph, (*path, "length"))
        if declared.embedding is not None and table is not None:
            embedded.append((name, declared))
    # Without it, the layers behind an input have no known shape.
    if any(problem.code == "E436" for problem in graph.problems):
        raise SpecError(in_file_order(tuple(graph.problems)))
    tables = dict[str, str]()
    for name, declared in embedded:
        graph.place = ("inputs", name, "embedding")
        graph.branch(name)
        shared = declared.embedding if isinstance(declared.embedding, str) else None
        own = declared.embedding if isinstance(declared.embedding, models.Embedding) else None
        table = _table(graph, graph.place, declared.embedding)
        assert table is not None
        declared_name = own.name if own else None
        _add_embedding(
            graph,
            table,
            graph.name("embedding", (*graph.place, "name"), declared_name or f"{name}_embedding"),
            tables[shared] if shared else None,
        )
        assert graph.last is not None
        graph.blocks[name] = tables[name] = graph.last
    graph.first = graph.blocks.get(graph.inputs[0].name, graph.inputs[0].name)
    graph.last = graph.first if len(graph.inputs) == 1 else None


def _add_only_input(graph: GraphBuilder) -> None:
    spec = graph.spec
    steps, value = spec.input.length, spec.input.mask_value
    if spec.embedding is not None:
        graph.enter(
            nodes.TokenInput(
                steps=steps,
                vocabulary=spec.embedding.vocabulary,
                mask_zero=spec.embedding.mask_zero,
            )
        )
    else:
        assert spec.input.features is not None, "spec.rules requires it without an embedding"
        graph.enter(
            nodes.NumericInput(
                steps=steps,
                features=spec.input.features,
                # 'mask_value: 0' is an integer in the spec.
                mask_value=None if value is None else float(value),
            )
        )
    _check_size(graph, ("input", "length"))
    if spec.embedding is not None:
        graph.place = ("embedding",)
        name = graph.name("embedding", ("embedding", "name"), spec.embedding.name)
        _add_embedding(graph, spec.embedding, name, None)
        # The tokens themselves are no sequence of vectors.
        del graph.values[nodes.INPUT]
    assert graph.last is not None
    graph.first = graph.last


def _check_size(graph: GraphBuilder, path: Path) -> None:
    if message := too_large_shape("one input sequence", graph.shape):
        graph.refuse(path, message, code="E417")


def _table(
    graph: GraphBuilder, path: Path, declared: models.Embedding | str | None
) -> models.Embedding | None:
    """Return the embedding of an input, its own or that of another one, None if it has none."""
    if not isinstance(declared, str):
        return declared
    inputs = graph.spec.inputs or {}
    before = [
        name
        for name in graph.values
        if name in inputs and isinstance(inputs[name].embedding, models.Embedding)
    ]
    shared = inputs[declared].embedding if declared in before else None
    if isinstance(shared, models.Embedding):
        return shared
    near = nearest(declared, before)
    hint = f"; did you mean {near!r}?" if near else ""
    message = "expected an input before this one with an embedding of its own"
    names = f", {listed(before, 'or')}" if before else ""
    message = f"{message}{names}; received {quoted(declared)}{hint}"
    graph.refuse((*path, "embedding"), message, code="E436")
    return None


def _input(name: str, declared: models.NamedInput, table: models.Embedding) -> nodes.Input:
    value = declared.mask_value
    match declared:
        case models.NamedInput(per="sequence", features=int() as features):
            return nodes.VectorInput(name=name, features=features, state=False)
        case models.NamedInput(per="sequence"):
            return nodes.LabelInput(name=name, vocabulary=table.vocabulary)
        case models.NamedInput(features=int() as features):
            return nodes.NumericInput(
                name=name,
                steps=declared.length,
                features=features,
                mask_value=None if value is None else float(value),
            )
        case _:
            return nodes.TokenInput(
                name=name,
                steps=declared.length,
                vocabulary=table.vocabulary,
                mask_zero=table.mask_zero,
            )


def _add_embedding(
    graph: GraphBuilder, embedding: models.Embedding, name: str, table: str | None
) -> None:
    # spec.rules requires both keys or neither.
    pretrained = None
    if embedding.weights is not None and embedding.words is not None and table is None:
        pretrained = nodes.Pretrained(weights=embedding.weights, words=embedding.words)
    graph.add(
        nodes.Embedding(
            name=name,
            input=graph.shape,
            vocabulary=embedding.vocabulary,
            dim=embedding.dim,
            masked=graph.masked,
            trainable=embedding.trainable,
            initializer=read_initializer(graph.spec.initializers.embedding),
            pretrained=pretrained,
            shares=table,
        ),
        (*graph.place, "dim"),
    )
