"""The pieces of a Keras model, placed one after the other in a draft of the network."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from rnnspec.importing.imported import show_value
from rnnspec.importing.keras import pieces
from rnnspec.importing.keras.attention import (
    normalize_scores,
    place_attention,
    place_dot,
    scale_scores,
)
from rnnspec.importing.keras.draft import KerasDraft, LayerOutput, keeps_zeros
from rnnspec.importing.keras.pieces import Piece
from rnnspec.importing.keras.recurrent import (
    place_last_step,
    place_recurrent,
    place_residual,
)
from rnnspec.importing.keras.settings import in_float32
from rnnspec.importing.keras.windows import (
    place_conv,
    place_window_pooling,
    place_zero_padding,
)
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rnnspec.importing.keras.arrays import Foreign
    from rnnspec.words import JoinHow

    Features = Callable[[Foreign], int | None] | None
    """Tells the number of features that go into a layer, by its arrays."""


def place_pieces(draft: KerasDraft, features: Features) -> None:
    """Place every piece of a draft. What does not fit is refused in its account.

    Without ``features``, the arrays are not looked at.
    """
    starts: list[Piece] = [piece for piece in draft.pieces if isinstance(piece, pieces.InputPiece)]
    rest: list[Piece] = [
        piece for piece in draft.pieces if not isinstance(piece, pieces.InputPiece)
    ]
    if not rest:
        message = "expected layers behind the input, received none"
        draft.account.refuse(draft.pieces[0].layer.name, message, "E704")
        return
    for first in starts or [draft.pieces[0]]:
        rest = _begin(draft, first, rest, features)
    start = draft.now
    for piece in rest:
        taken = [
            draft.output(*tensor) if tensor[0] in draft.outputs else start
            for tensor in piece.layer.tensors
        ] or [start]
        states = taken[len(taken) - piece.layer.states :]
        inputs = draft.join_halves(taken[: len(taken) - piece.layer.states])
        draft.now = inputs[-1]
        draft.now = replace(
            draft.now,
            certain=all(output.certain for output in taken),
            ranked=all(output.ranked for output in taken),
        )
        if isinstance(piece, pieces.Lacking):
            draft.now = replace(draft.now, certain=False, ranked=False)
        else:
            _place(draft, piece, inputs, states)
        draft.outputs[piece.layer.name] = draft.now
    for _, layer, number in draft.results:
        if layer in draft.outputs:
            draft.check_padding(layer, draft.output(layer, number))


def _begin(draft: KerasDraft, first: Piece, rest: list[Piece], features: Features) -> list[Piece]:
    """Take an input: tokens or a label behind an embedding, or numbers, perhaps with a mask.

    Returns the pieces behind it.
    """
    is_layer = isinstance(first, pieces.InputPiece)
    shape = first.shape if isinstance(first, pieces.InputPiece) else None
    shape = shape if shape is not None else pieces.stated_shape(first.layer)
    readers = draft.readers_of(first.layer.name) if is_layer else rest[:1]
    # A chain without an input begins with the layer that reads it.
    key = first.layer.name if is_layer else ""
    name = draft.input_names.get(key, nodes.INPUT)
    embedding = next(
        (
            piece.node
            for piece in readers
            if isinstance(piece, pieces.Layer) and isinstance(piece.node, nodes.Embedding)
        ),
        None,
    )
    masking = next((piece for piece in readers if isinstance(piece, pieces.Masking)), None)
    masking = masking if len(readers) == 1 else None
    draft.padding[key] = None
    if embedding and all(
        isinstance(piece, pieces.Layer) and isinstance(piece.node, nodes.Embedding)
        for piece in readers
    ):
        certain = _take_tokens(draft, key, name, embedding, shape)
    elif shape is not None and len(shape) == 1 and shape[0] is not None and name != nodes.INPUT:
        draft.inputs[key] = nodes.VectorInput(name=name, features=shape[0], state=False)
        certain = True
    else:
        if masking is not None:
            rest = [piece for piece in rest if piece is not masking]
            _take_masking(draft, key, masking)
        certain = _take_numbers(draft, key, name, first, rest, shape, features)
    draft.now = LayerOutput(
        name,
        draft.inputs[key].shape,
        masked=draft.padding[key] is not None,
        certain=certain,
        ranked=certain,
        zeros=masking is not None,
        origin=key,
    )
    if is_layer:
        draft.outputs[first.layer.name] = draft.now
    if masking is not None:
        draft.outputs[masking.layer.name] = draft.now
    return rest


def _take_tokens(
    draft: KerasDraft, key: str, name: str, embedding: nodes.Embedding, shape: nodes.Shape | None
) -> bool:
    """Take tokens, or a label, as an input, and return true if their shape is known."""
    if shape == () and name != nodes.INPUT:
        draft.inputs[key] = nodes.LabelInput(name=name, vocabulary=embedding.vocabulary)
        return True
    certain = shape is None or len(shape) == 1
    steps = embedding.input[0] if shape is None or not certain else shape[0]
    if not certain:
        message = f"expected tokens of shape (batch, steps), received {(None, *(shape or ()))}"
        draft.account.refuse(embedding.name, message, "E704")
    uses_mask = _uses_mask(draft, key, embedding.name, masked=embedding.masked)
    draft.padding[key] = 0.0 if uses_mask else None
    draft.inputs[key] = nodes.TokenInput(
        name=name, steps=steps, vocabulary=embedding.vocabulary, mask_zero=uses_mask
    )
    return certain


def _take_masking(draft: KerasDraft, key: str, masking: pieces.Masking) -> None:
    """Take the value of padding from a layer that makes a mask, if a layer uses it."""
    used = _uses_mask(draft, key, masking.layer.name, masked=True)
    draft.padding[key] = masking.value if used else None
    where = draft.input_names.get(key, nodes.INPUT)
    draft.became.append((masking.layer, None, f"{where}.mask_value" if used else "nothing"))
    if not used and masking.value != 0.0:
        message = "sets padding to zero, for layers that have no mask; expected the "
        draft.refuse(masking.layer, f"{message}mask_value 0.0")


def _take_numbers(  # noqa: PLR0913, PLR0917 - an input, and what is behind it
    draft: KerasDraft,
    key: str,
    name: str,
    first: Piece,
    rest: list[Piece],
    shape: nodes.Shape | None,
    features: Features,
) -> bool:
    """Take numbers as the input, and return true if their shape is known."""
    numbers = _find_numbers(draft, rest, shape, features)
    # Before a layer that was refused the input may be anything.
    known = shape is not None or features is not None
    if numbers is None and known and not isinstance(next(iter(rest), None), pieces.Lacking):
        received = "no shape" if shape is None else f"the shape {(None, *shape)}"
        message = "expected an input of shape (batch, steps, features)"
        draft.account.refuse(first.layer.name, f"{message}, received {received}", "E704")
    steps, width = numbers or (None, 1)
    draft.inputs[key] = nodes.NumericInput(
        name=name, steps=steps, features=width, mask_value=draft.padding[key]
    )
    return numbers is not None


def _uses_mask(draft: KerasDraft, key: str, layer: str, *, masked: bool) -> bool:
    """True if any layer uses the mask that a layer makes of an input."""
    is_read = key in draft.masks.read
    if masked and not is_read:
        lost = f", which Keras drops at {draft.masks.dropped}" if draft.masks.dropped else ""
        draft.account.infer(f"no mask, as no layer uses that of Keras{lost}", layer)
    return masked and is_read


def _find_numbers(
    draft: KerasDraft, rest: Sequence[Piece], shape: nodes.Shape | None, features: Features
) -> tuple[int | None, int] | None:
    """Return the steps and the features of the input, from its shape or the first kernel."""
    match shape:
        case (steps, int(width)):
            return steps, width
        case None | (_, None):
            first = next((piece for piece in rest if pieces.has_arrays(piece)), None)
            number = features(first.layer) if first and features else None
            if first is None or number is None:
                return None
            draft.account.infer(f"input.features {number}, from its kernel", first.layer.name)
            return (shape[0] if shape else None), number
        case _:
            return None


def _place(  # noqa: PLR0912 - a branch for each kind of piece
    draft: KerasDraft,
    piece: pieces.Known,
    inputs: Sequence[LayerOutput],
    states: Sequence[LayerOutput],
) -> None:
    layer = piece.layer
    padding = draft.padding.get(layer.mask_input)
    if layer.mask is not None and (
        padding is None
        or in_float32(layer.mask) != in_float32(padding)
        or draft.now.origin not in ("", layer.mask_input)
    ):
        expected = "none" if padding is None else f"{padding!r}"
        draft.doubt(layer, f"expected the padding {expected}, received a mask of {layer.mask!r}")
    node = piece.node if isinstance(piece, pieces.Layer) else None
    if not isinstance(node, nodes.Windowed):
        draft.check_padding(layer.name, draft.now)
    for output in inputs:
        reads_scores = isinstance(piece, pieces.DotPiece | pieces.Scaled | pieces.Activated)
        if not (isinstance(piece, pieces.Flip) or (reads_scores and output.scores)):
            draft.check_whole(layer, output)
            if output.scores is not None:
                # They have no features, which whatever takes them would need.
                draft.now = replace(output, certain=False)
                return
    match piece:
        case pieces.AttentionPiece():
            place_attention(draft, piece, inputs)
        case pieces.DotPiece():
            place_dot(draft, piece, inputs)
        case pieces.Activated() if draft.now.scores is not None:
            normalize_scores(draft, piece, draft.now.scores)
        case pieces.Scaled():
            scale_scores(draft, piece)
        case pieces.RecurrentPiece():
            place_recurrent(draft, piece, states)
        case pieces.NormPiece():
            _place_norm(draft, piece)
        case pieces.Activated():
            _place_activation(draft, piece)
        case pieces.Layer(node=node):
            _place_node(draft, layer, node)
        case pieces.ZeroPadding():
            place_zero_padding(draft, piece)
        case pieces.Reshape():
            _place_reshape(draft, piece)
        case pieces.AddPiece():
            if piece.how == "multiply" or not place_residual(draft, piece, inputs):
                _place_join(draft, layer, piece.how, inputs)
        case pieces.Flip():
            if not draft.now.reversed:
                draft.doubt(layer, "expected the steps of a layer with go_backwards=True")
            draft.now = replace(draft.now, reversed=False)
        case pieces.ConcatPiece():
            _place_concat(draft, piece, inputs)
        case pieces.Identity():
            pass
        case pieces.Masking() | pieces.InputPiece():
            draft.refuse(layer, "expected a mask on the input only, received one inside")
        case _:
            assert_never(piece)


def _place_node(  # noqa: PLR0912 - a branch for each kind of node
    draft: KerasDraft, layer: Foreign, node: nodes.Layer
) -> None:
    match node:
        case nodes.Conv():
            place_conv(draft, layer, node)
        case nodes.WindowPooling():
            place_window_pooling(draft, layer, node)
        case nodes.Dense():
            _place_dense(draft, layer, node)
        case nodes.Embedding():
            _place_embedding(draft, layer, node)
        case nodes.Pooling(statistic="last_step"):
            place_last_step(draft, layer)
        case nodes.Pooling():
            _place_pooling(draft, layer, node)
        case nodes.Dropout(rate=0.0):
            draft.leave_out(layer, "a dropout of rate 0")
        case nodes.Dropout():
            if node.variational:
                draft.expect_rank(layer, 2)
            draft.add(node, layer)
        case nodes.LastSteps():
            draft.expect_rank(layer, 2)
            if draft.now.masked:
                draft.doubt(layer, "reads the last steps, which are padding in a shorter sequence")
            draft.add(node, layer)
        case nodes.Repeat():
            draft.expect_rank(layer, 1)
            draft.add(node, layer)
        case nodes.Transpose():
            draft.expect_rank(layer, 2)
            if draft.now.masked:
                draft.doubt(layer, "makes features of padding; rnnspec does not support that")
            elif draft.now.shape[0] is None:
                message = "needs a fixed number of steps, received sequences of any length"
                draft.doubt(layer, message)
                draft.now = replace(draft.now, shape=(1, *draft.now.shape[1:]))
            draft.add(node, layer)
        case nodes.Normalize():
            if len(draft.now.shape) != 2:
                draft.expect_rank(layer, 1)
            draft.add(node, layer)
        case _:
            raise AssertionError(f"no class of Keras is read as {type(node).__name__}")


def _place_norm(draft: KerasDraft, piece: pieces.NormPiece) -> None:
    layer, now = piece.layer, draft.now
    match piece.axis:
        case [int(only)] | int(only) if type(only) is int and only in (-1, len(now.shape)):
            pass
        case axis:
            message = f"expected -1 (the features), received {show_value(axis)}"
            if now.ranked:
                draft.account.refuse(f"{layer.name}.axis", message, "E703")
    if isinstance(piece.node, nodes.BatchNorm):
        masked = now.masked and len(now.shape) > 1
        has_mask = draft.masks.at[layer.name].present
        if has_mask != masked or (masked and piece.counts_padding):
            what = "how padding counts in the statistics of a batch"
            draft.account.leave(what, layer.name)
    draft.add(piece.node, layer)


def _place_embedding(draft: KerasDraft, layer: Foreign, node: nodes.Embedding) -> None:
    inputs = {declared.name: declared for declared in draft.inputs.values()}
    taken = inputs.get(draft.now.node)
    if not isinstance(taken, nodes.TokenInput | nodes.LabelInput):
        if draft.placed or draft.now.certain:
            draft.refuse(layer, "expected an embedding of the input only, received one inside")
        draft.now = replace(draft.now, certain=False)
        return
    if taken.vocabulary != node.vocabulary:
        message = f"expected the {taken.vocabulary} tokens of the other embedding of its input"
        draft.doubt(layer, f"{message}, received {node.vocabulary}")
    if node.shares is not None:
        node = replace(node, shares=draft.outputs[node.shares].node)
    draft.add(replace(node, masked=False), layer)


def _place_dense(draft: KerasDraft, layer: Foreign, node: nodes.Dense) -> None:
    if layer.tied:
        tied = draft.outputs[layer.tied].node if layer.tied in draft.outputs else layer.tied
        embedding = draft.by_name.get(tied)
        if embedding and draft.now.shape[-1] != getattr(embedding.node, "dim", None):
            message = f"expected {getattr(embedding.node, 'dim', None)} features"
            draft.doubt(layer, f"{message}, received {draft.now.shape[-1]}")
        node = replace(node, tied=tied)
    draft.add(node, layer)


def _place_activation(draft: KerasDraft, piece: pieces.Activated) -> None:
    layer, now = piece.layer, draft.now
    if piece.node.activation == "linear":
        draft.leave_out(layer, "the activation 'linear'")
        return
    if piece.masks and draft.masks.at[layer.name].present and len(now.shape) == 2:
        draft.doubt(layer, "applies the mask of the steps to the features")
    before = draft.placed[-1] if draft.placed else None
    node = before.node if before else None
    if (
        before is not None
        and isinstance(node, nodes.Dense | nodes.Conv)
        and node.activation == "linear"
        and node.name == now.node
        # Nothing else takes it without the activation.
        and all(draft.readers[name] <= 1 for name in layer.inputs)
    ):
        before.node = replace(node, activation=piece.node.activation)
        draft.became.append((layer, before, "{name}.activation"))
        draft.now = replace(now, zeros=now.zeros and keeps_zeros(before.node))
        return
    draft.add(piece.node, layer)


def _place_pooling(draft: KerasDraft, layer: Foreign, node: nodes.Pooling) -> None:
    draft.expect_rank(layer, 2)
    if draft.now.masked and (node.statistic != "mean" or layer.operation):
        spec_pooling = f"'pooling: {node.statistic}' of a masked sequence does not"
        message = f"the {node.reduction.noun} of Keras counts padding, {spec_pooling}"
        draft.doubt(layer, message)
    elif node.statistic == "mean":
        draft.check_mask(layer)
    if node.statistic == "mean" and draft.now.masked:
        draft.account.infer(
            "a sequence of padding alone has the mean 0, where Keras has no number", layer.name
        )
    draft.add(node, layer)


def _place_reshape(draft: KerasDraft, piece: pieces.Reshape) -> None:
    """Read a change of shape as one that the language has a word for."""
    layer, now = piece.layer, draft.now
    shape = now.shape
    known = None not in shape
    size = math.prod(length or 0 for length in shape)
    target = piece.shape if piece.shape is not None else (size if known else -1,)
    free = -math.prod(target)
    if known and target.count(-1) == 1 and free and size % free == 0:
        target = tuple(size // free if length == -1 else length for length in target)
    if target == shape or (target[:1] == (-1,) and target[1:] == shape[1:] and len(shape) > 1):
        draft.leave_out(layer, layer.kind)
    elif len(shape) == 2 and len(target) == 1:
        if now.masked:
            message = "puts padding among the features; rnnspec does not support that"
            draft.doubt(layer, message)
        if shape[0] is None:
            draft.doubt(layer, "needs a fixed number of steps, received sequences of any length")
            draft.now = replace(now, shape=(1,), masked=False)
        else:
            draft.add(nodes.Flatten(name=layer.name, input=()), layer)
    elif len(shape) == 1 and target == (1, *shape):
        draft.add(nodes.Repeat(name=layer.name, input=(), steps=1), layer)
    elif now.certain:
        message = f"expected the same shape or a vector, received {target} for {shape}"
        draft.account.refuse(f"{layer.name}.target_shape", message, "E703")
        draft.now = replace(now, certain=False, ranked=False)


def _place_concat(
    draft: KerasDraft, piece: pieces.ConcatPiece, inputs: Sequence[LayerOutput]
) -> None:
    layer, rank = piece.layer, len(inputs[0].shape)
    if any(len(output.shape) != rank for output in inputs):
        draft.doubt(layer, "expected vectors, or sequences, received both")
        return
    if piece.axis in (1, -2) and rank == 2 and not isinstance(piece.axis, bool):
        _place_append(draft, layer, inputs)
        return
    if piece.axis not in (-1, rank) or isinstance(piece.axis, bool):
        steps = "1 (the steps) or " if rank == 2 else ""
        message = f"expected {steps}-1 (the features), received {show_value(piece.axis)}"
        draft.account.refuse(f"{layer.name}.axis", message, "E703")
    if len(inputs) == 1:
        # Both directions of a state may be one output.
        if len(layer.inputs) == 1:
            draft.leave_out(layer, "a join of one layer")
        draft.now = inputs[0]
        return
    _place_join(draft, layer, "concat", inputs)


def _place_append(draft: KerasDraft, layer: Foreign, inputs: Sequence[LayerOutput]) -> None:
    """Place sequences one behind the other."""
    widths = [output.shape[-1] for output in inputs]
    if len({*widths}) > 1:
        draft.doubt(layer, f"expected outputs of equal size, received those of {widths}")
    if any(output.masked for output in inputs):
        draft.doubt(layer, "puts padding between steps; rnnspec does not support that")
    for output in inputs:
        draft.check_padding(layer.name, output)
    inputs = [
        _without_repeat(draft, output, "a vector that is one step")
        if output.shape[0] == 1
        else output
        for output in inputs
    ]
    now = draft.now
    draft.now = replace(inputs[0], certain=now.certain, ranked=now.ranked, masked=False)
    node = nodes.Append(
        name=layer.name,
        input=inputs[0].shape,
        of=tuple(output.node for output in inputs),
        inputs=tuple(output.shape for output in inputs),
    )
    draft.add(node, layer)


def _place_join(
    draft: KerasDraft, layer: Foreign, how: JoinHow, inputs: Sequence[LayerOutput]
) -> None:
    """Place a join of vectors and sequences."""
    sequences = [output for output in inputs if len(output.shape) > 1]
    if len({output.masked for output in sequences}) > 1:
        draft.doubt(layer, "joins a sequence with a mask and one without")
    if len({output.origin for output in sequences if output.masked}) > 1:
        message = "joins sequences with the masks of two inputs: for Keras a step is real if one"
        draft.doubt(layer, f"{message} is, for rnnspec if all are")
    widths = [output.shape[-1] for output in inputs]
    most = max(width or 0 for width in widths)
    if how != "concat" and any(
        width != most and not (how == "multiply" and width == 1) for width in widths
    ):
        draft.doubt(layer, f"expected outputs of equal size, received those of {widths}")
    if layer.operation and 0 < len(sequences) < len(inputs):
        draft.doubt(layer, "expected vectors, or sequences, received both")
    for output in inputs:
        draft.check_padding(layer.name, output)
    inputs = [
        _without_repeat(draft, output, "a vector beside sequences")
        if _is_beside(draft, output, sequences)
        else output
        for output in inputs
    ]
    main = sequences[0] if sequences else inputs[0]
    draft.now = replace(
        main,
        certain=draft.now.certain,
        ranked=draft.now.ranked,
        shape=inputs[0].shape,
        zeros=all(output.zeros for output in inputs),
        half=None,
    )
    draft.add(
        nodes.Join(
            how=how,
            name=layer.name,
            input=inputs[0].shape,
            of=tuple(output.node for output in inputs),
            inputs=tuple(output.shape for output in inputs),
        ),
        layer,
    )


def _is_beside(draft: KerasDraft, output: LayerOutput, sequences: Sequence[LayerOutput]) -> bool:
    """True if a join has sequences that are no repeats, of as many steps as an output."""
    return any(
        other.node != output.node
        and other.shape[0] == output.shape[0]
        and not isinstance(getattr(draft.by_name.get(other.node), "node", None), nodes.Repeat)
        for other in sequences
    )


def _without_repeat(draft: KerasDraft, output: LayerOutput, became: str) -> LayerOutput:
    """Return the vector that is repeated for one join only, which became something there."""
    placed = draft.by_name.get(output.node)
    if placed is None or not isinstance(placed.node, nodes.Repeat) or placed.node.like:
        return output
    if draft.readers[placed.layer.name] > 1:
        return output
    at = draft.placed.index(placed)
    source = placed.node.source or (draft.placed[at - 1].node.name if at else draft.now.node)
    if at + 1 < len(draft.placed) and draft.placed[at + 1].node.source is None:
        after = draft.placed[at + 1]
        if not isinstance(after.node, nodes.Joined):
            after.node = replace(after.node, source=placed.node.name)
    del draft.placed[at]
    draft.became = [entry for entry in draft.became if entry[1] is not placed]
    draft.became.append((placed.layer, None, became))
    return replace(output, node=source, shape=output.shape[1:])
