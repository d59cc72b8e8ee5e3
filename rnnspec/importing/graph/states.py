"""Vectors of several layers, one after the other: their final states, or what they begin with."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from rnnspec.importing.graph import settings
from rnnspec.importing.graph.bounds import shape_bounds
from rnnspec.importing.graph.joins import join
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.parts import gather, take
from rnnspec.importing.graph.shapes import axis_number, constants, numbers_of_probe, transpose
from rnnspec.importing.graph.values import CarriedStates, Known, Tensor, describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.importing.graph.graph import GraphNode
    from rnnspec.importing.graph.scope import Scope
    from rnnspec.importing.graph.values import Value


def part_of_states(
    scope: Scope, node: GraphNode, x: CarriedStates, inputs: Sequence[Value]
) -> Value:
    """Return some of several vectors, or all of them with their axes in another order.

    Raises:
        RefusedError: rnnspec does not support it.
    """
    rank, number = len(x.parts[0].axes), sum(x.sizes)
    match node.op:
        case "Shape":
            shapes = [list(shape) for shape in _shapes_of_states(scope, x)]
            samples = tuple(settings.part_of_shape(node, tuple(shape)) for shape in shapes)
            return Known(samples, bounds=shape_bounds([part.tolist() for part in samples]))
        case "Reshape":
            return _reshape_states(scope, node, x, inputs)
        case "Transpose":
            order = settings.order_of(node, rank)
            turned = tuple(transpose(scope, node, part) for part in x.parts)
            return CarriedStates(turned, x.sizes, order.index(x.axis))
        case "Gather" if axis_number(node.attributes.get("axis", 0), rank) == x.axis:
            index = constants(inputs, "indices")[1]
            if index is None:
                raise RefusedError("expected indices, received none", "E703")
        case "Gather":
            return _each(x, [gather(scope, node, part, inputs) for part in x.parts])
        case "Slice":
            slices = settings.slices_of(node, constants(inputs, "starts and ends"))
            if {axis_number(axis, rank) for axis in slices} != {x.axis}:
                raise RefusedError("expected a part of the layers, received another")
            index = np.arange(number)[next(iter(slices.values()))]
        case _:
            raise RefusedError(f"rnnspec does not support {node.op} of {describe(x)}", "E701")
    owners = [(i, j) for i, size in enumerate(x.sizes) for j in range(size)]
    if any(not -number <= i < number for i in np.ravel(index)):
        raise RefusedError(f"expected one of {number} states, received others", "E707")
    chosen = [owners[int(i)] for i in np.ravel(index)]
    if not chosen or (index.ndim != 1 and len(chosen) > 1):
        raise RefusedError("expected the states of some layers, received others")
    parts, sizes = list[Tensor](), list[int]()
    for owner, several in groupby(chosen, key=lambda one: one[0]):
        local = np.array([j for _, j in several])
        local = local.reshape(index.shape) if len(chosen) == 1 else local
        part = take(scope, x.parts[owner], x.axis, (local,) * len(scope.probes.rows))
        assert isinstance(part, Tensor), "a part of a tensor"
        parts.append(part)
        sizes.append(len(np.ravel(local)))
    return parts[0] if len(parts) == 1 else CarriedStates(tuple(parts), tuple(sizes), x.axis)


def _each(x: CarriedStates, parts: Sequence[Value]) -> CarriedStates:
    tensors = tuple(part for part in parts if isinstance(part, Tensor))
    if [len(part.axes) for part in tensors] != [len(part.axes) for part in x.parts]:
        raise RefusedError("takes a part of the batch, which rnnspec does not support")
    return replace(x, parts=tensors)


def _shapes_of_states(scope: Scope, x: CarriedStates) -> list[tuple[int, ...]]:
    shapes = scope.shape(x.parts[0])
    return [(*shape[: x.axis], sum(x.sizes), *shape[x.axis + 1 :]) for shape in shapes]


def _reshape_states(
    scope: Scope, node: GraphNode, x: CarriedStates, inputs: Sequence[Value]
) -> CarriedStates | Tensor:
    """Return the states of several layers by layer and direction, or all of them side by side."""
    before = _shapes_of_states(scope, x)
    shapes = [
        settings.new_shape(node, numbers_of_probe(inputs, i), shape)
        for i, shape in enumerate(before)
    ]
    ways = x.sizes[0]
    by_layer = [(len(x.parts), ways, *shape[1:]) for shape in before]
    if shapes == before:
        return x
    if x.axis == 0 and set(x.sizes) == {ways} and shapes == by_layer:
        parts = tuple(
            replace(
                part,
                axes=("", *("D" if i == 0 and ways == 2 else a for i, a in enumerate(part.axes))),
            )
            for part in x.parts
        )
        return CarriedStates(parts, (1,) * len(parts), 0)
    if all(
        part.axes[0] == "B" and target == (shape[0], int(np.prod(shape[1:])))
        for part in x.parts
        for shape, target in zip(before, shapes, strict=True)
    ):
        flat = [scope.settle(replace(part, axes=("B", "F"))) for part in x.parts]
        return join(scope, "concat", flat, 1)
    if all(len(target) == 2 for target in shapes) and x.axis == 0:
        raise RefusedError(
            "puts states of different sequences side by side; expected the batch first, "
            "h.transpose(0, 1).reshape(batch, -1)"
        )
    raise RefusedError(f"expected a shape that rnnspec supports, received {shapes[0]}", "E704")
