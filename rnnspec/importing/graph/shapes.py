"""Nodes that move axes, or lay out what is along them in another way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rnnspec.importing.graph import settings
from rnnspec.importing.graph.bounds import interval, shape_bounds, size_of
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.scope import restart_with
from rnnspec.importing.graph.values import Known, Tensor, describe
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.graph.graph import GraphNode
    from rnnspec.importing.graph.scope import Scope
    from rnnspec.importing.graph.values import Value


def numbers_of_probe(inputs: Sequence[Value], i: int) -> list[Array | None]:
    """Return the plain numbers among the inputs of a node for one probe."""
    return [value.arrays[i] if isinstance(value, Known) else None for value in inputs]


def constants(inputs: Sequence[Value], what: str) -> list[Array | None]:
    """Return the inputs of a node behind the first one, which must be constants.

    Raises:
        RefusedError: one is none.
    """
    arrays: list[Array | None] = [None]
    for value in inputs[1:]:
        constant = value.constant if isinstance(value, Known) else None
        if value is not None and constant is None:
            raise RefusedError(f"{what}: expected constants, received {describe(value)}")
        arrays.append(constant)
    return arrays


def axis_number(axis: int, rank: int) -> int:
    """Return the number of an axis from the front.

    Raises:
        RefusedError: there is none.
    """
    if not -rank <= axis < rank:
        raise RefusedError(f"expected the number of one of {rank} axes, received {axis}", "E703")
    return axis % rank


def normalized_axis(node: GraphNode, axes: Sequence[str]) -> int:
    """Return the axis that a softmax or a norm is over: of several, the one whose size is not 1.

    Raises:
        RefusedError: it is over several.
    """
    first, *others = settings.normalized_axes(node, len(axes))
    several = [axis for axis in (first, *others) if axes[axis]]
    if len(several) > 1:
        message = f"before opset 13, {node.op} is over all axes from this one on together"
        raise RefusedError(f"axis: {message}; expected the last one, received {first}", "E703")
    return several[0] if others and several else first


def size(scope: Scope, node: GraphNode, x: Tensor, _: Sequence[Value] = ()) -> Known:
    """Return the sizes of the axes of a tensor, or of all of it."""
    shapes = scope.shape(x)
    if node.op == "Size":
        count = size_of([int(np.prod(shape)) for shape in shapes])
        samples = tuple(np.array(np.prod(shape), np.int64) for shape in shapes)
        return Known(samples, bounds=interval(count, count))
    samples = tuple(settings.part_of_shape(node, shape) for shape in shapes)
    return Known(samples, bounds=shape_bounds([part.tolist() for part in samples]))


def transpose(scope: Scope, node: GraphNode, x: Tensor, _: Sequence[Value] = ()) -> Tensor:
    """Give the axes another order."""
    del scope
    rank = len(x.axes)
    order = settings.order_of(node, rank)
    if sorted(order) != list(range(rank)):
        raise RefusedError(f"perm: expected an order of {rank} axes, received {order}", "E703")
    return replace(x, axes=tuple(x.axes[i] for i in order))


def squeeze(scope: Scope, node: GraphNode, x: Tensor, inputs: Sequence[Value]) -> Tensor:
    """Remove axes of size 1."""
    removed = squeezed_axes(node, inputs, x.axes, scope.shape(x), describe(x))
    axes_left = tuple(axis for i, axis in enumerate(x.axes) if i not in removed)
    if scope.probes.setting.is_single and "B" in x.axes and "B" not in axes_left:
        axes_left = tuple("BT" if axis == "T" else axis for axis in axes_left)
    return with_axes(scope, x, axes_left)


def squeezed_axes(
    node: GraphNode,
    inputs: Sequence[Value],
    axes: Sequence[str],
    shapes: Sequence[tuple[int, ...]],
    what: str,
) -> set[int]:
    """Return the axes that are removed from a value.

    Args:
        node: the node.
        inputs: what it takes.
        axes: the letters of the axes of the value.
        shapes: its shape for each probe.
        what: what messages call it.

    Raises:
        RefusedError: their size is not 1, or it is not the same ones for every input.
    """
    rank, named = len(axes), settings.axes_of(node, constants(inputs, "axes"))
    if named is None:
        removed = {i for i in range(rank) if not axes[i]}
        if any(shape[i] == 1 for shape in shapes for i in range(rank) if i not in removed):
            message = "removes every axis of size 1, with a single sequence or step another one"
            raise RefusedError(f"axes: {message}; expected the numbers of axes, received none")
    else:
        removed = {axis_number(axis, rank) for axis in named}
    if any(shape[i] != 1 for shape in shapes for i in removed):
        raise RefusedError(f"expected axes of size 1, received those of {what}", "E707")
    return removed


def with_axes(scope: Scope, x: Tensor, axes: tuple[str, ...]) -> Tensor:
    """Return a tensor with other axes, without one of the steps if there is a single step."""
    if x.axis("T") < 0 or any("T" in axis for axis in axes):
        return replace(x, axes=axes)
    steps = x.steps or tuple(np.zeros((rows, 1), int) for rows in scope.probes.rows)
    return replace(x, axes=axes, steps=tuple(positions[:, 0] for positions in steps), numbers=None)


def unsqueeze(scope: Scope, node: GraphNode, x: Tensor, inputs: Sequence[Value]) -> Tensor:
    """Add axes of size 1."""
    del scope
    axes = settings.axes_of(node, constants(inputs, "axes")) or ()
    rank = len(x.axes) + len(axes)
    added = {axis_number(axis, rank) for axis in axes}
    rest = iter(x.axes)
    return replace(x, axes=tuple("" if i in added else next(rest, "") for i in range(rank)))


def reshape(scope: Scope, node: GraphNode, x: Tensor, inputs: Sequence[Value]) -> Tensor:
    """Give a tensor another shape, in which what lies along the axes is grouped otherwise."""
    try:
        shapes = [
            settings.new_shape(node, numbers_of_probe(inputs, i), shape)
            for i, shape in enumerate(scope.shape(x))
        ]
    except (ValueError, IndexError) as error:
        raise RefusedError(f"its shape cannot be computed: {error}", "E707") from None
    if len({len(shape) for shape in shapes}) > 1:
        raise RefusedError("expected a shape with a fixed number of axes, received others")
    axes = _regroup(scope, x, shapes)
    if axes is None:
        _look_for_length(scope, x, shapes)
        few = ", ".join(map(str, shapes[0]))
        message = f"from {describe(x)}, received ({few}) where that is {scope.shape(x)[0]}"
        raise RefusedError(f"expected a shape that rnnspec supports, {message}", "E704")
    return with_axes(scope, x, axes)


def _look_for_length(scope: Scope, x: Tensor, shapes: Sequence[tuple[int, ...]]) -> None:
    """Have the graph read again with the number of steps that a shape fixes, if it fixes one.

    Raises:
        RestartError: it does.
    """
    steps, targets = (
        x.axis("T"),
        {shape[x.axis("T")] for shape in shapes if x.axis("T") < len(shape)},
    )
    whole = scope.is_sequence(x.at) and scope.sequences(x.at).steps == scope.probes.steps
    if steps >= 0 and x.axes[steps] == "T" and len(targets) == 1 and whole:
        restart_with(scope, "T", targets.pop())
    batch = x.axis("B")
    sizes = {shape[batch] for shape in shapes if 0 <= batch < len(shape)}
    if len(sizes) == 1 and all(len(shape) >= len(x.axes) for shape in shapes):
        restart_with(scope, "B", sizes.pop())


def _regroup(scope: Scope, x: Tensor, shapes: Sequence[tuple[int, ...]]) -> tuple[str, ...] | None:
    """Return the axes of another shape, None if they cut those of a tensor into pieces."""
    letters = "".join(x.axes)
    if "B" not in letters or not scope.probes.setting.is_single:
        return _group(scope, x, letters, shapes)
    # The axis of a batch of one may be anywhere, and is one of its own if there is one.
    rest = letters.replace("B", "")
    places = range(len(rest) + 1)
    found = [_group(scope, x, f"{rest[:i]}B{rest[i:]}", shapes) for i in places]
    several = [axes for axes in found if axes is not None]
    return next((axes for axes in several if "B" in axes), next(iter(several), None))


def _group(
    scope: Scope, x: Tensor, order: str, shapes: Sequence[tuple[int, ...]]
) -> tuple[str, ...] | None:
    """Return the axes of a shape in which the letters come one after the other, or None."""
    letters = list(order)
    sizes = {letter: scope.sizes(x, letter) for letter in letters}
    axes = list[str]()
    for column in zip(*shapes, strict=True):
        axis, product = "", (1,) * len(column)
        while product != column or (
            # An axis of size 1 is that of a single sequence, say, if it comes next.
            not axis and letters and set(sizes[letters[0]]) == {1}
        ):
            if not letters:
                return None
            if (
                letters[0] == "F"
                and (has_directions(scope, x) or _may_be_directions(scope, x))
                and any(a * b > c for a, b, c in zip(product, sizes["F"], column, strict=True))
            ):
                letters[:1] = ["D", "U"]
                sizes |= {letter: scope.sizes(x, letter) for letter in "DU"}
            letter = letters.pop(0)
            axis += letter
            product = tuple(a * b for a, b in zip(product, sizes[letter], strict=True))
            if any(a > b for a, b in zip(product, column, strict=True)):
                return None
        axes.append(axis.replace("DU", "F"))
    if any(set(sizes[letter]) != {1} for letter in letters):
        return None
    if letters[:1] == ["U"] and axes and axes[-1].endswith("D"):
        # Of one unit, the features are as many as the directions.
        axes[-1] = f"{axes[-1][:-1]}F"
    return tuple(axes)


def _may_be_directions(scope: Scope, x: Tensor) -> bool:
    """True if a vector may be two states, with which both directions of a layer begin."""
    return not scope.is_sequence(x.at) and x.half is None and scope.features(x) % 2 == 0


def has_directions(scope: Scope, x: Tensor) -> bool:
    """True if a value has the features of both directions of a layer."""
    layer = scope.steps[x.at].layer if x.at > 0 else None
    return x.half is None and isinstance(layer, nodes.Recurrent) and layer.merge == "concat"


def expand(scope: Scope, node: GraphNode, x: Tensor, inputs: Sequence[Value]) -> Tensor:
    """Repeat a vector as steps, or leave a tensor as it is."""
    shapes, targets = scope.shape(x), list[tuple[int, ...]]()
    for i, shape in enumerate(shapes):
        target = numbers_of_probe(inputs, i)[1]
        if target is None:
            raise RefusedError("expected sizes that follow from the input, received others")
        target = np.ravel(target)
        if node.op == "Tile":
            targets.append(tuple(int(a) * b for a, b in zip(target, shape, strict=True)))
            continue
        try:
            targets.append(np.broadcast_shapes(shape, tuple(map(int, target))))
        except ValueError as error:
            raise RefusedError(f"{node.op} does not fit: {error}", "E707") from None
    axes = ("",) * (len(targets[0]) - len(x.axes)) + x.axes
    changed = {
        i
        for shape, other in zip(shapes, targets, strict=True)
        for i in range(len(other))
        if ((1,) * (len(other) - len(shape)) + shape)[i] != other[i]
    }
    if not changed:
        return replace(x, axes=axes)
    steps = {shape[i] for shape in targets for i in changed}
    if x.formula is not None and x.formula.is_single and changed and steps == {scope.features(x)}:
        # One number for all features, such as their norm, becomes one for each.
        axes = tuple("F" if i in changed else axis for i, axis in enumerate(axes))
        return replace(x, axes=axes, formula=replace(x.formula, is_single=False))
    letters = "".join(axis for axis in axes if axis)
    if len(changed) != 1 or sorted(letters) != ["B", "F"]:
        raise RefusedError("expected a vector repeated as a fixed number of steps, received others")
    (place,) = changed
    vector = replace(scope.settle(x), axes=axes)
    counts = tuple(shape[place] for shape in targets)
    if len(steps) > 1:
        return scope.repeat_like(vector, counts, place)
    return scope.repeat(vector, steps.pop(), place)
