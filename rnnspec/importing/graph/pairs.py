"""Attention of a sequence of queries to the steps of another sequence, from its scores on."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from rnnspec.importing.graph import settings
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.masks import LOWEST
from rnnspec.importing.graph.shapes import (
    axis_number,
    constants,
    normalized_axis,
    squeezed_axes,
)
from rnnspec.importing.graph.values import Known, Pairs, Tensor, describe
from rnnspec.importing.unplaced import attention
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.graph.graph import GraphNode
    from rnnspec.importing.graph.layer_graph import GraphLayer
    from rnnspec.importing.graph.scope import Scope
    from rnnspec.importing.graph.values import Value


def multiply_all(scope: Scope, x: Tensor, y: Tensor) -> Pairs | None:
    """Return the products of all steps of two sequences, None if these are others."""
    if (x.axes, y.axes) != (("B", "T", "F"), ("B", "F", "T")):
        return None
    factors = [_factor(value) for value in (x, y)]
    one, two = (
        scope.in_place(scope.settle(value if factor is None else replace(value, formula=None)))
        for value, factor in zip((x, y), factors, strict=True)
    )
    _check_width(scope, one, two)
    scale = float(np.prod([1.0 if factor is None else factor for factor in factors]))
    return Pairs(one, two, ("B", "1", "2"), "scores", scale)


def _factor(x: Tensor) -> float | None:
    """Return the number that the features of a layer are multiplied by, None if that is no layer's.

    Queries are scaled before the products as well as after them.
    """
    formula = x.formula if x.role == "plain" else None
    if formula is None:
        return None
    match formula.op, formula.parts:
        case ("Mul", (None, np.ndarray(size=1) as number)) | (
            "Mul",
            (np.ndarray(size=1) as number, None),
        ):
            return float(number.flat[0])
        case "Div", (None, np.ndarray(size=1) as number) if number.any():
            return 1 / float(number.flat[0])
        case _:
            return None


def add_all(scope: Scope, x: Tensor, y: Tensor) -> Pairs | None:
    """Return the sums of all steps of two sequences, None if these are others."""
    orders: dict[tuple[str, ...], int] = {("B", "T", "", "F"): 1, ("B", "", "T", "F"): 2}
    if x.axes == y.axes or not {x.axes, y.axes} <= orders.keys():
        return None
    if x.role != "plain" or y.role != "plain":
        return None
    one, two = (
        scope.in_place(scope.settle(value))
        for value in sorted((x, y), key=lambda v: orders[v.axes])
    )
    _check_width(scope, one, two)
    return Pairs(one, two, ("B", "1", "2", "F"), "sums")


def _check_width(scope: Scope, one: Tensor, two: Tensor) -> None:
    widths = scope.features(one), scope.features(two)
    if widths[0] != widths[1]:
        message = f"expected queries and steps of one size, received {widths[0]} and {widths[1]}"
        raise RefusedError(f"{message} features", "E707")


def read(scope: Scope, node: GraphNode, inputs: Sequence[Value]) -> Value:  # noqa: PLR0912 - a branch for each
    """Return the output of an operator that takes scores or weights.

    Raises:
        RefusedError: rnnspec does not support it there.
    """
    x = next(value for value in inputs if isinstance(value, Pairs))
    match node.op:
        case "Shape":
            samples = tuple(settings.part_of_shape(node, shape) for shape in _shapes(scope, x))
            return Known(samples)
        case "Transpose":
            return replace(x, axes=tuple(x.axes[i] for i in settings.order_of(node, len(x.axes))))
        case "Unsqueeze" | "Squeeze":
            return _change_axes(scope, node, x, inputs)
        case "Tanh" if x.stage == "sums":
            return replace(x, stage="hidden")
        case "MatMul" if x.stage == "hidden":
            kernel = inputs[1].constant if isinstance(inputs[1], Known) else None
            if kernel is None or kernel.shape != (scope.features(x.one), 1) or x.axes[-1] != "F":
                raise RefusedError(f"expected one vector for the scores, {_received(inputs)}")
            scored = scope.add_scores(x.one, arrays={"kernel": kernel})
            return score(x, scored)
        case "IsNaN" if x.stage == "weights":
            return replace(x, stage="absent")
        case "Where" if x.stage in ("weights", "absent"):
            return _keep(scope, inputs)
        case "MatMul" if x.stage == "weights":
            return _mix(scope, inputs)
        case "Add" | "Sub" | "Mul" | "Div" if x.stage == "scores":
            return _scale(scope, node, x, inputs)
        case "Where" if x.stage == "scores":
            return _choose(scope, x, inputs)
        case "Softmax" if x.stage == "scores":
            return _normalize(scope, node, x)
        case _:
            pass
    raise RefusedError(f"rnnspec does not support {node.op} of {describe(x)}", "E701")


def score(x: Pairs, at: int) -> Pairs:
    """Return one score of each query and step, by the dense layer at a place."""
    axes = tuple("" if axis == "F" else axis for axis in x.axes)
    return replace(x, stage="scores", axes=axes, scored=at)


def _received(inputs: Sequence[Value]) -> str:
    return "received " + " and ".join(describe(value) for value in inputs)


def _shapes(scope: Scope, x: Pairs) -> list[tuple[int, ...]]:
    """Return the shape for each probe."""
    number = len(scope.probes.rows)
    sizes = {
        "B": scope.probes.rows,
        "1": scope.sizes(x.one, "T"),
        "2": scope.sizes(x.two, "T"),
        "F": (scope.features(x.one),) * number,
        "": (1,) * number,
    }
    return list(zip(*(sizes[axis] for axis in x.axes), strict=True))


def _change_axes(scope: Scope, node: GraphNode, x: Pairs, inputs: Sequence[Value]) -> Pairs:
    if node.op == "Unsqueeze":
        axes = settings.axes_of(node, constants(inputs, "axes"))
        rank = len(x.axes) + len(axes or ())
        added = {axis_number(axis, rank) for axis in axes or ()}
        rest = iter(x.axes)
        return replace(x, axes=tuple("" if i in added else next(rest, "") for i in range(rank)))
    removed = squeezed_axes(node, inputs, x.axes, _shapes(scope, x), describe(x))
    return replace(x, axes=tuple(axis for i, axis in enumerate(x.axes) if i not in removed))


def _scale(scope: Scope, node: GraphNode, x: Pairs, inputs: Sequence[Value]) -> Pairs:
    """Return scores multiplied by a number, or scores of padding with a low number added."""
    first, second = inputs
    other = second if isinstance(first, Pairs) else first
    if not isinstance(other, Known):
        raise RefusedError(f"rnnspec does not support {node.op} of {_received(inputs)}", "E701")
    number = other.constant if other.kind == "derived" and other.same_array is not None else None
    if number is not None and number.size == 1:
        value = float(number.flat[0])
        match node.op:
            case "Mul":
                return replace(x, scale=x.scale * value, shift=x.shift * value)
            case "Div" if second is other and value:
                return replace(x, scale=x.scale / value, shift=x.shift / value)
            case "Add" | "Sub" if second is other or node.op == "Add":
                # A softmax is the same without it, but for a number at some steps only.
                return replace(x, shift=x.shift + (value if node.op == "Add" else -value))
            case _:
                pass
    if node.op == "Add" or (node.op == "Sub" and second is other):
        arrays = [np.asarray(array) * (1 if node.op == "Add" else -1) for array in other.arrays]
        if all(((array == 0) | (array <= LOWEST)).all() for array in arrays):
            return _leave_out(scope, x, [array == 0 for array in arrays])
    raise RefusedError(f"rnnspec does not support {node.op} of {_received(inputs)}", "E701")


def _choose(scope: Scope, x: Pairs, inputs: Sequence[Value]) -> Pairs:
    """Return scores with a low number at padding."""
    condition, one, two = inputs
    if not isinstance(condition, Known):
        raise RefusedError(f"expected a condition of the input, received {describe(condition)}")
    chosen = [array.astype(bool) for array in condition.arrays]
    if isinstance(one, Pairs) and isinstance(two, Pairs):
        if one.shift < two.shift:
            one, two, chosen = two, one, [~array for array in chosen]
        same = all(
            getattr(one, field.name) == getattr(two, field.name)
            for field in fields(Pairs)
            if field.name != "shift"
        )
        if same and two.shift - one.shift <= LOWEST:
            return _leave_out(scope, one, chosen)
        raise RefusedError(f"rnnspec does not support a choice of {_received(inputs[1:])}", "E701")
    if two is x:
        one, two, chosen = two, one, [~array for array in chosen]
    number = two.constant if isinstance(two, Known) else None
    if one is not x or number is None or (number != number.flat[0]).any():
        raise RefusedError(f"rnnspec does not support a choice of {_received(inputs[1:])}", "E701")
    if float(number.flat[0]) > LOWEST:
        message = f"expected at most {LOWEST:g} at padding, received {float(number.flat[0]):g}"
        raise RefusedError(message, "E703")
    return _leave_out(scope, x, chosen)


def _keep(scope: Scope, inputs: Sequence[Value]) -> Pairs:
    """Return weights with zeros at padding, or where they are no numbers.

    The latter is so in a sequence of padding alone, which has zeros in rnnspec.
    """
    match inputs:
        case [Known() as real, Pairs(stage="weights") as x, Known() as number] if (
            (constant := number.constant) is not None and not constant.any() and x.masked
        ):
            return _leave_out(scope, x, [array.astype(bool) for array in real.arrays])
        case [Pairs(stage="absent"), Known() as number, Pairs(stage="weights") as x] if (
            constant := number.constant
        ) is not None and not constant.any():
            return x
        case _:
            message = f"rnnspec does not support a choice of {_received(inputs[1:])}"
            raise RefusedError(message, "E701")


def _leave_out(scope: Scope, x: Pairs, real: Sequence[Array]) -> Pairs:
    """Return scores without those of the steps where a condition does not hold: padding.

    Raises:
        RefusedError: the condition is another.
    """
    shapes = _shapes(scope, x)
    full = [
        array.reshape((1,) * (len(e) - array.ndim) + array.shape)
        for array, e in zip(real, shapes, strict=True)
    ]
    if any(
        a not in (1, b)
        for array, e in zip(full, shapes, strict=True)
        for a, b in zip(array.shape, e, strict=True)
    ):
        raise RefusedError(
            "expected a condition with the axes of the scores, received others", "E707"
        )
    for axis, causal in product(("2", "1", ""), (False, True)):
        side = x.one if axis == "1" else x.two
        if not (axis or causal) or (axis and all(mask.all() for mask in scope.real(side))):
            continue
        expected: list[Array] = [np.ones((), dtype=bool)] * len(shapes)
        if axis:
            expected = [_align(x, mask, axis) for mask in scope.real(side)]
        if causal:
            seen = (_seen(x, shape) for shape in shapes)
            expected = [one & other for one, other in zip(expected, seen, strict=True)]
        if not all(
            np.array_equal(np.broadcast_to(one, shape), np.broadcast_to(other, shape))
            for one, other, shape in zip(full, expected, shapes, strict=True)
        ):
            continue
        if axis and x.masked not in ("", axis):
            raise RefusedError("leaves out queries, too; rnnspec leaves out steps only")
        return replace(x, masked=axis or x.masked, causal=causal or x.causal)
    if all(array.all() for array in real):
        return x
    raise RefusedError("expected a condition that is true at real steps, received another")


def _align(x: Pairs, mask: Array, axis: str) -> Array:
    """Return a mask, (batch, steps), with the axes of scores, along one of theirs."""
    batch, place = x.axes.index("B"), x.axes.index(axis)
    others = [i for i in range(len(x.axes)) if i not in (batch, place)]
    return np.expand_dims(mask if batch < place else mask.T, others)


def _seen(x: Pairs, shape: tuple[int, ...]) -> Array:
    """Return true where a step, along the axis 2, is not behind its query."""
    query, step = (
        np.arange(shape[place]).reshape([-1 if i == place else 1 for i in range(len(shape))])
        for place in map(x.axes.index, "12")
    )
    return np.asarray(step <= query)


def _normalize(scope: Scope, node: GraphNode, x: Pairs) -> Pairs:
    axis = x.axes[normalized_axis(node, x.axes)]
    if axis not in ("1", "2"):
        raise RefusedError("axis: expected that of the steps, received another", "E703")
    if x.masked not in ("", axis):
        raise RefusedError("leaves out queries at padding; rnnspec leaves out steps only")
    if x.causal and axis != "2":
        raise RefusedError("leaves out steps before the query; rnnspec leaves out later ones only")
    memory = x.one if axis == "1" else x.two
    if not x.masked and not all(mask.all() for mask in scope.real(memory)):
        message = "weighs padding, too; rnnspec leaves it out, as masked_fill with -inf does"
        raise RefusedError(message)
    return replace(x, stage="weights", over=axis)


def _mix(scope: Scope, inputs: Sequence[Value]) -> Tensor:
    """Return the steps of a sequence, mixed by the weights for each query.

    Raises:
        RefusedError: the weights are those of other steps.
    """
    first, second = inputs
    x, values = (first, second) if isinstance(first, Pairs) else (second, first)
    assert isinstance(x, Pairs), "of the caller"
    memory = scope.in_place(scope.settle(values))
    asked = "1" if x.over == "2" else "2"
    if isinstance(first, Pairs):
        fits = x.axes == ("B", asked, x.over) and memory.axes == ("B", "T", "F")
        axes: tuple[str, ...] = ("B", "T", "F")
    else:
        fits = x.axes == ("B", x.over, asked) and memory.axes == ("B", "F", "T")
        axes = ("B", "F", "T")
    if not fits:
        raise RefusedError(f"expected a product over the steps, {_received(inputs)}")
    queries, keys = (x.two, x.one) if x.over == "1" else (x.one, x.two)
    at = _attend(scope, x, queries.at, keys.at, memory.at)
    scope.masked[at] = bool(x.masked)
    if x.masked:
        what = "a sequence of padding alone has the context 0"
        scope.account.infer(what, scope.op.where if scope.op else "")
    return Tensor(at, axes)


def _attend(scope: Scope, x: Pairs, queries: int, keys: int, over: int) -> int:
    """Add the attention of queries to the steps at a place, and return its place."""
    width = scope.width(over) or 1
    if x.causal and scope.sizes(x.one, "T") != scope.sizes(x.two, "T"):
        raise RefusedError("expected as many queries as steps, since no query sees later steps")
    if x.scored is None:
        usual = ((scope.width(keys) or 1) // x.heads) ** -0.5
        # Files have it in float32.
        scale = usual if np.isclose(x.scale, usual, rtol=1e-6, atol=0) else x.scale
        if keys != over and x.heads == 1 and _is_projection(scope, keys, over):
            # q . (U m + b) is (q U') . m, and a number that is the same for all steps.
            queries, keys = (
                scope.project(_projection(scope, keys, over), queries, turned=True),
                over,
            )
        layer = attention("attention", "", "", width, additive=False, scale=scale)
        layer = replace(layer, heads=x.heads, causal=x.causal)
        return scope.add(layer, queries, *dict.fromkeys((over, keys)))
    if x.scale != 1:
        message = f"scales an additive score by {x.scale:g}; rnnspec does not support that"
        raise RefusedError(message, "E703")
    steps = _projection(scope, keys, over)
    asked = scope.steps.get(queries)
    if asked is None or not isinstance(asked.layer, nodes.Dense) or asked.layer.tied:
        message = "expected queries that a dense layer gives, behind which scores are added up"
        raise RefusedError(message)
    key = scope.project(steps, over, with_bias_of=(asked,))
    query = scope.project(asked, asked.sources[0], with_bias_of=None)
    layer = replace(attention("attention", "", "", width, additive=True), causal=x.causal)
    return scope.add_additive(layer, (query, over, key), scope.steps[x.scored])


def _projection(scope: Scope, keys: int, over: int) -> GraphLayer:
    """Return the dense layer that gives the keys of the steps at a place.

    Raises:
        RefusedError: they are others.
    """
    if not _is_projection(scope, keys, over):
        message = "expected keys that are the steps that are mixed, or a dense layer of these"
        raise RefusedError(f"{message}, received others")
    return scope.steps[keys]


def _is_projection(scope: Scope, keys: int, over: int) -> bool:
    """True if a dense layer of the steps at a place gives the keys."""
    step = scope.steps.get(keys)
    return (
        step is not None
        and isinstance(step.layer, nodes.Dense)
        and step.layer.activation == "linear"
        and not step.layer.tied
        and step.sources[0] == over
    )
