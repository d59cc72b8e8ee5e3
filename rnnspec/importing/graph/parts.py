"""Nodes that take a part of a tensor, or put its steps elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rnnspec.errors import brief
from rnnspec.importing.graph import settings
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.provenance import check_slices
from rnnspec.importing.graph.scope import restart_longer
from rnnspec.importing.graph.shapes import (
    axis_number,
    constants,
    has_directions,
    numbers_of_probe,
    with_axes,
)
from rnnspec.importing.graph.values import Known, Tensor, describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.graph.graph import GraphNode
    from rnnspec.importing.graph.scope import Scope
    from rnnspec.importing.graph.values import Probed, Value


def take_slice(scope: Scope, node: GraphNode, x: Tensor, inputs: Sequence[Value]) -> Value:
    """Take a part of the steps, or of the directions."""
    parts = [
        settings.slices_of(node, numbers_of_probe(inputs, i)) for i in range(len(scope.probes.rows))
    ]
    at = [{axis_number(i, len(x.axes)): part for i, part in slices.items()} for slices in parts]
    check_slices(node, at, scope.shape(x))
    result: Value = x
    for axis in parts[0]:
        number = axis_number(axis, len(x.axes))
        sizes = [shape[number] for shape in scope.shape(x)]
        indices = tuple(
            np.arange(size)[part[axis]] for size, part in zip(sizes, parts, strict=True)
        )
        if not isinstance(result, Tensor):
            raise RefusedError("expected a part of one axis, received one of several")
        result = take(scope, result, number, indices)
    return result


def gather(scope: Scope, node: GraphNode, x: Tensor, inputs: Sequence[Value]) -> Value:
    """Take elements of an axis by their indices."""
    indices = inputs[1]
    if not isinstance(indices, Known):
        raise RefusedError(f"expected indices, received {describe(indices)}")
    axis = axis_number(node.attributes.get("axis", 0), len(x.axes))
    return take(scope, x, axis, indices.arrays)


def take(scope: Scope, x: Tensor, axis: int, indices: Probed) -> Value:
    """Return the elements of an axis at some indices; a single index removes the axis.

    Raises:
        RefusedError: this part is not supported.
    """
    letters = x.axes[axis]
    sizes = [shape[axis] for shape in scope.shape(x)]
    indices = tuple(
        np.where(index < 0, index + number, index)
        for index, number in zip(indices, sizes, strict=True)
    )
    if any(((i < 0) | (i >= number)).any() for i, number in zip(indices, sizes, strict=True)):
        raise RefusedError("takes elements that are not there", "E707")
    rank = indices[0].ndim
    # Everything in its order, or what an axis of size 1 has.
    whole = all(
        i.ndim == 1 and np.array_equal(i, np.arange(number))
        for i, number in zip(indices, sizes, strict=True)
    )
    if whole:
        return x
    if all(number == 1 for number in sizes) and all(i.size == 1 for i in indices):
        middle = () if rank == 0 else (*[""] * (rank - 1), letters)
        return with_axes(scope, x, (*x.axes[:axis], *middle, *x.axes[axis + 1 :]))
    match letters:
        case "D" | "DU" | "F" | "U":
            return _take_direction(scope, x, axis, indices)
        case "T":
            return _take_steps(scope, x, axis, indices)
        case "B":
            return _reorder_batch(scope, x, indices)
        case "BT":
            return _take_rows(scope, x, axis, indices)
        case _:
            raise RefusedError(f"takes a part of {describe(x)} that rnnspec does not support")


def _reorder_batch(scope: Scope, x: Tensor, indices: Probed) -> Tensor:
    """Return the sequences of a batch in another order."""
    rows: list[Array] = []
    if indices[0].ndim != 1:
        raise RefusedError("takes a part of the batch, which rnnspec does not support")
    for i, index in enumerate(indices):
        before = np.arange(scope.probes.rows[i]) if x.rows is None else x.rows[i]
        if not np.array_equal(np.sort(index), np.arange(len(before))):
            raise RefusedError("takes a part of the batch, which rnnspec does not support")
        rows.append(before[index])
    plain = all(np.array_equal(order, np.arange(len(order))) for order in rows)
    steps = x.steps and tuple(a[index] for a, index in zip(x.steps, indices, strict=True))
    return replace(x, rows=None if plain else tuple(rows), steps=steps, numbers=None)


def _take_direction(scope: Scope, x: Tensor, axis: int, indices: Probed) -> Tensor:
    """Return the features of one direction."""
    letters, index = x.axes[axis], np.ravel(indices[0])
    if x.at <= 0 and letters == "D":
        message = "takes the state of one of several layers"
        raise RefusedError(f"{message}; expected an input for the states of each layer")
    if x.formula is not None or not has_directions(scope, x):
        raise RefusedError(_PART)
    units = scope.sizes(x, "U")[0]
    halves = (
        {0: [0], 1: [1]}
        if letters == "D"
        else {
            0: list(range(units)),
            1: list(range(units, 2 * units)),
        }
    )
    for half, features in halves.items():
        if all(np.array_equal(np.ravel(index), features) for index in indices):
            axes = list(x.axes)
            if letters == "D":
                axes[axis : axis + 1] = [""] * indices[0].ndim
                axes = ["F" if letter == "U" else letter for letter in axes]
            return replace(x, axes=tuple(axes), half=half)
    if letters == "D" and np.array_equal(index, [1, 0]):
        raise RefusedError("expected the forward direction before the backward one")
    raise RefusedError(_PART)


_PART = (
    "takes a part of the features, which rnnspec does not support; expected each recurrent "
    "layer as one node LSTM, GRU or RNN"
)


def current_steps(scope: Scope, x: Tensor) -> Probed:
    """Return the step that stands at each position of a sequence."""
    if x.steps is not None:
        return x.steps
    counts = scope.sizes(x, "T")
    return tuple(
        np.broadcast_to(np.arange(count), (rows, count))
        for rows, count in zip(scope.probes.rows, counts, strict=True)
    )


def _take_steps(scope: Scope, x: Tensor, axis: int, indices: Probed) -> Value:
    """Return some steps of a sequence, or one step of each."""
    if any(index.size == 0 for index in indices):
        restart_longer(scope)
        raise RefusedError("takes no steps at all", "E707")
    if x.surplus or any(x.pad):
        return _trim_steps(scope, x, indices)
    before = current_steps(scope, x)
    rank = indices[0].ndim
    if rank > 1:
        raise RefusedError("expected one list of steps, received several")
    if rank == 0:
        axes = (*x.axes[:axis], *x.axes[axis + 1 :])
        steps = tuple(old[:, int(i)] for old, i in zip(before, indices, strict=True))
        _note_step(scope, steps)
        return _without_numbers(replace(x, axes=axes, steps=steps))
    after = tuple(old[:, index] for old, index in zip(before, indices, strict=True))
    if all(index.size == 1 for index in indices) and min(scope.sizes(x, "T")) > 1:
        axes = (*x.axes[:axis], "", *x.axes[axis + 1 :])
        steps = tuple(positions[:, 0] for positions in after)
        _note_step(scope, steps)
        return _without_numbers(replace(x, axes=axes, steps=steps))
    if (last := _last_steps(scope, x, after)) is not None:
        return last
    return _without_numbers(with_steps(scope, x, after))


def _note_step(scope: Scope, steps: Probed) -> None:
    """Note that one step is taken by itself, if it is the same of all sequences."""
    distinct = set(np.concatenate(steps).tolist())
    if len(distinct) == 1 and scope.op is not None:
        scope.single_steps.setdefault(distinct.pop(), scope.op)


def with_steps(scope: Scope, x: Tensor, steps: Probed) -> Tensor:
    """Return a sequence with other steps at its positions."""
    counts = scope.sequences(x.at).steps
    plain = all(
        positions.shape[1] == count and (positions == np.arange(count)).all()
        for positions, count in zip(steps, counts, strict=True)
    )
    return replace(x, steps=None if plain else steps)


def _without_numbers(x: Tensor) -> Tensor:
    return replace(x, numbers=None)


def _trim_steps(scope: Scope, x: Tensor, indices: Probed) -> Tensor:
    """Return a sequence without steps that a window added, or that a causal one does not have."""
    counts = scope.sizes(x, "T")
    surplus = x.surplus
    if not any(x.pad) and all(
        np.array_equal(index, np.arange(count - surplus))
        for index, count in zip(indices, counts, strict=True)
    ):
        return replace(x, surplus=0)
    message = f"expected the first steps without the last {surplus}" if surplus else "expected all"
    raise RefusedError(f"{message}, received others")


def _last_steps(scope: Scope, x: Tensor, steps: Probed) -> Tensor | None:
    """Return the last steps of a sequence, as a fixed number of them, or None."""
    count = steps[0].shape[1]
    totals = scope.sequences(x.at).steps
    if any(
        positions.shape[1] != count or not (positions == np.arange(total - count, total)).all()
        for positions, total in zip(steps, totals, strict=True)
    ) or set(totals) == {count}:
        return None
    solid = scope.in_place(scope.settle(replace(x, steps=None)))
    return replace(solid, at=scope.add_last_steps(solid.at, count))


def _take_rows(scope: Scope, x: Tensor, axis: int, indices: Probed) -> Tensor:
    """Return steps of sequences that stand one below another: of each sequence, its own."""
    before = current_steps(scope, x)
    after: list[Array] = []
    for old, index, rows in zip(before, indices, scope.probes.rows, strict=True):
        count = old.shape[1]
        if index.size % rows:
            raise RefusedError("expected as many steps of each sequence, received others")
        row, step = np.divmod(index.reshape(rows, -1), count)
        if (row != np.arange(rows)[:, None]).any():
            raise RefusedError("expected the steps of each sequence in its own place")
        after.append(np.take_along_axis(old, step, 1))
    single = all(steps.shape[1] == 1 for steps in after) and min(scope.sizes(x, "T")) > 1
    if single:
        axes = (*x.axes[:axis], "B", *x.axes[axis + 1 :])
        picked = tuple(steps[:, 0] for steps in after)
        return _without_numbers(replace(x, axes=axes, steps=picked))
    return _without_numbers(with_steps(scope, x, tuple(after)))


def gather_elements(scope: Scope, node: GraphNode, x: Tensor, inputs: Sequence[Value]) -> Tensor:
    """Take steps by an index for each element, which is the same for all features."""
    indices = inputs[1]
    axis = axis_number(node.attributes.get("axis", 0), len(x.axes))
    if not isinstance(indices, Known) or x.axes[axis] != "T":
        raise RefusedError("expected steps of each sequence by their indices, received others")
    before = current_steps(scope, x)
    after: list[Array] = []
    for i, (old, index) in enumerate(zip(before, indices.arrays, strict=True)):
        at = _index_of_rows(x, axis, index, scope.shape(x)[i])
        after.append(np.take_along_axis(old, np.where(at < 0, at + old.shape[1], at), 1))
    if all(steps.shape[1] == 1 for steps in after) and min(scope.sizes(x, "T")) > 1:
        axes = tuple("" if i == axis else letter for i, letter in enumerate(x.axes))
        return _without_numbers(
            replace(x, axes=axes, steps=tuple(positions[:, 0] for positions in after))
        )
    return _without_numbers(with_steps(scope, x, tuple(after)))


def scatter_elements(scope: Scope, node: GraphNode, x: Tensor, inputs: Sequence[Value]) -> Tensor:
    """Put each step of a sequence at an index, the same for all features."""
    if (reduction := node.attributes.get("reduction", "none")) != "none":
        raise RefusedError(f"reduction: expected none, received {brief(reduction)}", "E703")
    _, indices, updates = inputs
    axis = axis_number(node.attributes.get("axis", 0), len(x.axes))
    if not isinstance(indices, Known) or updates is not x or x.axes[axis] != "T":
        raise RefusedError("expected all steps of each sequence at other places, received others")
    after: list[Array] = []
    for i, (old, index) in enumerate(zip(current_steps(scope, x), indices.arrays, strict=True)):
        at = _index_of_rows(x, axis, index, scope.shape(x)[i])
        if (np.sort(at, 1) != np.arange(old.shape[1])).any():
            raise RefusedError("expected each step at a place of its own, received others")
        moved = np.empty_like(old)
        np.put_along_axis(moved, at, old, 1)
        after.append(moved)
    return _without_numbers(with_steps(scope, x, tuple(after)))


def _index_of_rows(x: Tensor, axis: int, index: Array, shape: tuple[int, ...]) -> Array:
    """Return an index for each element as one for each step of each sequence."""
    batch, rank = x.axis("B"), len(shape)
    rest = [i for i in range(rank) if i not in (axis, batch)]
    # Of fewer features or sequences, it would leave out the others.
    same = index.ndim == rank and all(index.shape[i] == shape[i] for i in (batch, *rest))
    if x.axes.count("B") != 1 or not same:
        raise RefusedError("expected steps of each sequence by their indices, received others")
    ordered = index.transpose([batch, axis, *rest])
    flat = ordered.reshape(shape[batch], index.shape[axis], -1)
    if (flat != flat[..., :1]).any():
        raise RefusedError("expected the same step for all features, received others")
    result: Array = flat[..., 0]
    return result


def gather_nd(scope: Scope, node: GraphNode, x: Tensor, inputs: Sequence[Value]) -> Tensor:
    """Take steps by pairs of a sequence and a step."""
    indices = inputs[1]
    if node.attributes.get("batch_dims", 0) or not isinstance(indices, Known):
        raise RefusedError("expected indices of sequences and steps, received others")
    first = "".join(x.axes[:2])
    if first not in ("BT", "TB") or any(i.shape[-1] != 2 for i in indices.arrays):
        raise RefusedError("expected indices of sequences and steps, received others")
    flat = tuple(
        (pairs[..., first.index("B")] * count + pairs[..., first.index("T")])
        for pairs, count in zip(indices.arrays, scope.sizes(x, "T"), strict=True)
    )
    rows = replace(x, axes=("BT", *x.axes[2:]))
    picked = _take_rows(scope, rows, 0, tuple(np.ravel(row) for row in flat))
    if picked.axes[0] == "BT" and flat[0].ndim == 2:
        return replace(picked, axes=("B", "T", *picked.axes[1:]))
    if picked.axes[0] == "BT":
        raise RefusedError("expected steps of each sequence, received others")
    return picked


def reverse_sequence(scope: Scope, node: GraphNode, x: Tensor, inputs: Sequence[Value]) -> Tensor:
    """Put the first steps of each sequence, a number of its own, in the opposite order."""
    lengths = inputs[1]
    axis = node.attributes.get("time_axis", 0)
    batch = node.attributes.get("batch_axis", 1)
    if not isinstance(lengths, Known) or (x.axes[axis], x.axes[batch]) != ("T", "B"):
        raise RefusedError("expected lengths of sequences, received others")
    after: list[Array] = []
    for old, length in zip(current_steps(scope, x), lengths.arrays, strict=True):
        index = settings.reversed_steps(length, old.shape[1])
        after.append(np.take_along_axis(old, index, 1))
    return _without_numbers(with_steps(scope, x, tuple(after)))


def split(scope: Scope, node: GraphNode, x: Tensor, inputs: Sequence[Value]) -> tuple[Value, ...]:
    """Return the parts of an axis."""
    axis = axis_number(node.attributes.get("axis", 0), len(x.axes))
    stated_sizes = constants(inputs, "split")
    sizes = [shape[axis] for shape in scope.shape(x)]
    parts = [settings.parts_of(node, stated_sizes, number) for number in sizes]
    results: list[Value] = []
    for i in range(len(parts[0])):
        indices = tuple(np.arange(sum(of_probe[:i]), sum(of_probe[: i + 1])) for of_probe in parts)
        results.append(take(scope, x, axis, indices))
    return tuple(results)
