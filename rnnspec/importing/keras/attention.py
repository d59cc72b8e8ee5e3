"""Attention to the steps of another layer, in a Keras model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rnnspec.importing import unplaced
from rnnspec.importing.imported import show_value
from rnnspec.importing.keras.draft import KerasDraft, KerasScores, LayerOutput
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.importing.keras import pieces
    from rnnspec.importing.keras.arrays import Foreign, Placed


def place_attention(
    draft: KerasDraft, piece: pieces.AttentionPiece, inputs: Sequence[LayerOutput]
) -> None:
    """Place an attention of queries to values, perhaps by keys."""
    layer, (queries, values, *keys) = piece.layer, inputs
    for output in inputs:
        draft.now = output
        draft.expect_rank(layer, 2)
    draft.now = values
    draft.check_mask(layer)
    certain = draft.now.certain and all(output.certain for output in inputs)
    draft.now = replace(queries, certain=certain)
    key = keys[0] if keys else values
    if not piece.node.additive and key.masked != values.masked:
        draft.doubt(layer, "has keys with other padding than its values")
    if piece.node.causal and queries.shape[0] != values.shape[0]:
        draft.doubt(layer, "called with use_causal_mask for other steps than those of the queries")
    if piece.node.additive:
        key = _project(draft, layer, key, "keys", of=values.node)
        queries = _project(draft, layer, queries, "query")
        _move_bias(draft, layer, draft.by_name[queries.node], draft.by_name[key.node])
    query_mask = draft.masks.behind[layer.name].present
    _add(draft, piece, queries, values, key)
    # Keras sets the contexts of padding to zero.
    draft.now = replace(draft.now, certain=certain and draft.now.certain, zeros=query_mask)


def _add(
    draft: KerasDraft,
    piece: pieces.AttentionPiece,
    queries: LayerOutput,
    values: LayerOutput,
    keys: LayerOutput,
) -> None:
    layer, width = piece.layer, values.shape[-1] or 1
    if queries.shape[-1] != keys.shape[-1]:
        message = f"expected queries of {keys.shape[-1]} features, received {queries.shape[-1]}"
        draft.doubt(layer, message)
    if values.masked:
        what = (
            "a sequence of padding alone has the context 0, where Keras has the mean of its steps"
        )
        draft.account.infer(what, layer.name)
    draft.now = replace(queries, certain=draft.now.certain)
    node = replace(piece.node, over=values.node, keys=keys.node, memory=(values.shape[0], width))
    draft.add(node, layer, lacks=piece.lacks)


def _project(
    draft: KerasDraft, layer: Foreign, output: LayerOutput, role: str, of: str = ""
) -> LayerOutput:
    """Return an output of a dense layer that is a projection of an additive score.

    If it is none, it is projected by the identity. The keys are those ``of`` the values.
    """
    placed = draft.by_name.get(output.node)
    if (
        placed is not None
        and isinstance(node := placed.node, nodes.Dense)
        and node.activation == "linear"
        and node.tied is None
        and draft.readers[placed.layer.name] == 1
        and (not of or draft.outputs[placed.layer.inputs[0]].node == of)
    ):
        return output
    width = output.shape[-1] or 1
    draft.now = output
    name = f"{layer.name}_{role}"
    dense = unplaced.dense(name, width, activation="linear", bias=False)
    draft.add(dense, layer, lacks=("kernel",))
    del draft.became[-1]
    what = f"the kernel of its {role}, the identity, is an array that learns"
    draft.account.infer(f"{what}, where Keras has none", layer.name)
    return draft.now


def _move_bias(draft: KerasDraft, layer: Foreign, query: Placed, keys: Placed) -> None:
    """Add the bias of a projection of queries to that of the keys, which is added to the same."""
    if not isinstance(query.node, nodes.Dense) or not query.node.bias:
        return
    assert isinstance(keys.node, nodes.Dense)
    query.node, query.biased = replace(query.node, bias=False), keys
    if not keys.node.bias:
        keys.node, keys.lacks = replace(keys.node, bias=True), (*keys.lacks, "bias")
    draft.account.infer("the bias of its queries, as a part of that of the keys", layer.name)


def place_dot(draft: KerasDraft, piece: pieces.DotPiece, inputs: Sequence[LayerOutput]) -> None:
    """Place the scores of an attention, or the mean of the steps that is weighted by them."""
    layer, (one, two) = piece.layer, inputs
    if one.scores is not None or two.scores is not None:
        _place_mean(draft, piece, one, two)
        return
    axes, ranks = _axes(piece, one, two), (len(one.shape), len(two.shape))
    if axes == ranks and ranks in ((1, 2), (2, 2)):
        queries, memory = one, two
    elif axes == ranks == (2, 1):
        queries, memory = two, one
    else:
        message = f"expected the features of queries and steps, received {show_value(piece.axes)}"
        draft.account.refuse(f"{layer.name}.axes", message, "E703")
        draft.now = replace(draft.now, certain=False, ranked=False)
        return
    shape = (*queries.shape[:-1], memory.shape[0])
    scores = KerasScores(queries, memory)
    draft.now = replace(
        queries, node=layer.name, shape=shape, masked=False, zeros=False, scores=scores
    )


def _axes(piece: pieces.DotPiece, one: LayerOutput, two: LayerOutput) -> tuple[int, int] | None:
    """Return the axes of the batch along which two outputs are multiplied."""
    match piece.axes:
        case int(both) if type(both) is int:
            first = second = both
        case [int(first), int(second)]:
            pass
        case _:
            return None
    sizes = (len(one.shape) + 1, len(two.shape) + 1)
    return first % sizes[0], second % sizes[1]


def normalize_scores(draft: KerasDraft, piece: pieces.Activated, scores: KerasScores) -> None:
    """Make weights of scores: their softmax over the steps."""
    if scores.normal or piece.node.activation != "softmax":
        draft.check_whole(piece.layer, draft.now)
        return
    draft.now = replace(draft.now, scores=replace(scores, normal=True))


def scale_scores(draft: KerasDraft, piece: pieces.Scaled) -> None:
    """Multiply scores by a number."""
    scores = draft.now.scores
    if scores is None:
        draft.doubt(piece.layer, "called with constants, which rnnspec does not support")
    elif scores.normal:
        draft.check_whole(piece.layer, draft.now)
    else:
        scaled = replace(scores, scale=scores.scale * piece.factor)
        draft.now = replace(draft.now, node=piece.layer.name, scores=scaled)


def _place_mean(
    draft: KerasDraft, piece: pieces.DotPiece, one: LayerOutput, two: LayerOutput
) -> None:
    layer = piece.layer
    weights, steps = (one, two) if one.scores else (two, one)
    scores = weights.scores
    assert scores is not None
    axes = _axes(piece, one, two)
    axes = axes if one.scores is not None or axes is None else axes[::-1]
    # Of many queries, other orders have the features before the steps.
    is_mean = axes == (len(weights.shape), 1) and (one.scores is not None or axes == (1, 1))
    if not scores.normal or steps.scores is not None:
        draft.check_whole(layer, weights)
        return
    if steps.node != scores.memory.node:
        message = "weighs other steps than those whose scores these are"
        draft.doubt(layer, f"{message}; rnnspec does not support that")
    if not is_mean:
        message = "expected the steps of the weights and of the sequence"
        draft.account.refuse(
            f"{layer.name}.axes", f"{message}, received {show_value(piece.axes)}", "E703"
        )
    if scores.memory.masked:
        message = "weighs padding, too, since Dot and Activation read no mask, and rnnspec leaves"
        draft.doubt(layer, f"{message} it out; expected keras.layers.Attention")
    certain = draft.now.certain and weights.certain and steps.certain
    draft.now = replace(scores.queries, certain=certain)
    width = steps.shape[-1] or 1
    node = unplaced.attention(
        layer.name, steps.node, steps.node, width, additive=False, scale=scores.scale
    )
    draft.add(node, layer)
