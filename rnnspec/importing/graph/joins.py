"""Nodes that combine values: functions of features, sums, and what is put side by side."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.importing.graph import functions, settings
from rnnspec.importing.graph.attention import attention, weigh, weights_of
from rnnspec.importing.graph.equations import OF_TWO, make_formula
from rnnspec.importing.graph.formulas import (
    FeatureFunction,
    apply,
    apply_activation,
    shortest_float,
)
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.layers import pool_steps, score_by
from rnnspec.importing.graph.masks import apply_mask
from rnnspec.importing.graph.pairs import add_all
from rnnspec.importing.graph.scope import ProbedSteps
from rnnspec.importing.graph.shapes import axis_number, constants, normalized_axis
from rnnspec.importing.graph.values import CarriedStates, Known, Tensor, are_equal, describe
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.graph.graph import GraphNode
    from rnnspec.importing.graph.scope import Scope
    from rnnspec.importing.graph.values import Value
    from rnnspec.words import JoinHow, Merge, Statistic

_MOST_NUMBERS = 2**24
"""The most numbers of a function on samples."""
_MERGES: dict[str, Merge] = {"ReduceSum": "sum", "ReduceMean": "ave", "ReduceProd": "mul"}
_HOWS: dict[str, JoinHow] = {"Add": "add", "Mul": "multiply"}
_STATISTICS: dict[str, Statistic] = {
    "ReduceMax": "max",
    "ReduceMean": "mean",
    "ReduceMin": "min",
    "ReduceSum": "sum",
}


def elementwise(scope: Scope, node: GraphNode, inputs: Sequence[Value]) -> Value:
    """Return the result of a function that computes each number from those at the same place.

    Raises:
        RefusedError: it is not supported.
    """
    tensors = [value for value in inputs if isinstance(value, Tensor)]
    known = [value for value in inputs if isinstance(value, Known)]
    if any(value.constant is None for value in known):
        return apply_mask(scope, node, inputs)
    if len(tensors) == 2 and node.op == "Add" and (sums := add_all(scope, *tensors)) is not None:
        return sums
    if len(tensors) == 2 and (joined := _combine(scope, node, *tensors)) is not None:
        return joined
    if len(tensors) == 1 and (halved := _average(scope, node, inputs)) is not None:
        return halved
    if any(tensor.role != "plain" for tensor in tensors):
        other = next(tensor for tensor in tensors if tensor.role != "plain")
        raise RefusedError(f"expected the output of a layer, received {describe(other)}")
    return _apply_to_features(scope, node, inputs, functions.ELEMENTWISE[node.op])


def _apply_to_features(
    scope: Scope,
    node: GraphNode,
    inputs: Sequence[Value],
    function: Any,
    *,
    is_single: bool = False,
) -> Tensor:
    """Return a tensor with a function of its features."""
    tensors = [
        scope.settle(value) if any("TF" in axis for axis in value.axes) else value
        for value in inputs
        if isinstance(value, Tensor)
    ]
    first = tensors[0]
    same = (first.at, first.half, first.is_final, first.part, first.pad, first.surplus)
    for other in tensors[1:]:
        mine = (other.at, other.half, other.is_final, other.part, other.pad, other.surplus)
        moved = not are_equal(first.rows, other.rows) or not are_equal(first.steps, other.steps)
        if mine != same or moved:
            raise RefusedError(
                f"rnnspec does not support {node.op} of the outputs of two layers", "E701"
            )
    rank = max(len(tensor.axes) for tensor in tensors)
    axes = _broadcast([("",) * (rank - len(tensor.axes)) + tensor.axes for tensor in tensors])
    feature = next((i for i, axis in enumerate(axes) if "F" in axis or "U" in axis), -1)
    if feature < 0 and (feature := _new_features(scope, first, inputs, axes)) >= 0:
        axes = (*axes[:feature], "F", *axes[feature + 1 :])
    rest = iter(tensors)
    parts: list[FeatureFunction | Array | None] = []
    for value in inputs:
        if isinstance(value, Tensor):
            tensor = next(rest)
            parts.append(tensor.formula)
        elif value is None:
            continue
        else:
            array = value.constant if isinstance(value, Known) else None
            if array is None:
                raise RefusedError(f"expected the output of a layer, received {describe(value)}")
            parts.append(_along_features(array, feature, rank))
    function = partial(_run_operator, function, node, tuple(value is None for value in inputs))
    # Without an axis of features, there is one feature, or one number for all of them.
    single = is_single or (
        feature < 0
        and all(
            isinstance(part, FeatureFunction) and part.is_single
            for part, value in zip(parts, [v for v in inputs if v is not None], strict=True)
            if isinstance(value, Tensor)
        )
    )
    attributes = node.attributes
    formula = apply(
        node.op, function, tuple(parts), attributes=attributes, is_single=single, origin=node
    )
    return replace(first, axes=axes, formula=formula, filler=None, numbers=None)


def activate(scope: Scope, x: Tensor, activation: nodes.Activation) -> Tensor:
    """Return a tensor behind an activation."""
    value = scope.settle(x) if any("TF" in axis for axis in x.axes) else x
    if value.role != "plain":
        raise RefusedError(f"expected the output of a layer, received {describe(value)}")
    formula = apply_activation(activation, value.formula, scope.op)
    return replace(value, formula=formula, filler=None, numbers=None)


def _new_features(scope: Scope, x: Tensor, inputs: Sequence[Value], axes: tuple[str, ...]) -> int:
    """Return the axis along which constants have a number for each feature, -1 if none has.

    One number for all features, as a norm has it, becomes one for each by them.
    """
    width = scope.features(x)
    for value in inputs:
        array = value.constant if isinstance(value, Known) else None
        if array is None or array.size != width or width == 1:
            continue
        place = array.shape.index(width) - array.ndim + len(axes)
        if 0 <= place < len(axes) and not axes[place]:
            return place
    return -1


def _run_operator(
    function: Any, node: GraphNode, is_left_out: tuple[bool, ...], *arrays: Array
) -> Array:
    """Return the result of an operator, some inputs of which are left out."""
    present = iter(arrays)
    inputs = [None if left_out else next(present) for left_out in is_left_out]
    result: Array = function(node, inputs, _MOST_NUMBERS)
    return result


def _broadcast(several: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the axes of a result.

    Raises:
        RefusedError: they are not those of all of its parts.
    """
    result = list[str]()
    for column in zip(*several, strict=True):
        letters = {axis for axis in column if axis}
        if len(letters) > 1:
            received = " and ".join(describe(Tensor(0, axes)) for axes in several)
            raise RefusedError(f"expected axes that are alike, received {received}")
        result.append(letters.pop() if letters else "")
    return tuple(result)


def _along_features(array: Array, feature: int, rank: int) -> Array:
    """Return a constant as a vector along the features, or as a single number.

    Raises:
        RefusedError: it has other axes.
    """
    if array.size == 1:
        return np.ravel(array)
    place = feature - rank if feature >= 0 else 1
    others = [i for i in range(array.ndim) if i - array.ndim != place]
    if any(array.shape[i] != 1 for i in others):
        raise RefusedError("expected a number for each feature, received an array of other axes")
    # Not a view of it: a front end may know the array itself.
    return array if array.ndim == 1 else np.ravel(array)


def over_features(scope: Scope, node: GraphNode, inputs: Sequence[Value]) -> Tensor:
    """Return a softmax or a norm over the features, or the weights of an attention.

    Raises:
        RefusedError: it is over another axis.
    """
    x = scope.as_tensor(inputs[0])
    axis = normalized_axis(node, x.axes)
    if x.axes[axis] == "T" and node.op == "Softmax":
        return weights_of(scope, x)
    if x.axes[axis] == "U":
        raise RefusedError(f"{node.op} of each direction by itself; expected all features")
    if "F" not in x.axes[axis]:
        raise RefusedError(f"axis: expected that of the features, received that of {describe(x)}")
    if node.op == "LayerNormalization":
        if len(node.outputs) > 1 and any(node.outputs[1:]):
            raise RefusedError("expected one output, received several", "E703")
        return _layer_norm(scope, node, x, inputs)
    if node.op == "LpNormalization" and node.attributes.get("p", 2) != 2:
        raise RefusedError("p: expected 2, received 1", "E703")
    # The features of a sample are the last axis.
    last = replace(node, attributes={"axis": -1})
    return _apply_to_features(scope, last, inputs[:1], functions.OVER_FEATURES[node.op])


def _layer_norm(scope: Scope, node: GraphNode, x: Tensor, inputs: Sequence[Value]) -> Tensor:
    """Return the output of a norm over the features, which are the last axis."""
    scale, offset = [*constants(inputs, "Scale and B"), None, None][1:3]
    if node.attributes.get("axis", -1) not in (-1, len(x.axes) - 1):
        raise RefusedError("axis: expected the last one, received another", "E703")
    value = scope.with_features(scope.settle(x))
    width, arrays = scope.features(value), {}
    for name, array in (("gamma", scale), ("beta", offset)):
        if array is None:
            continue
        numbers = np.ravel(array)
        if numbers.size not in (1, width):
            raise RefusedError(f"expected arrays of {width} numbers", "E707")
        arrays[name] = np.broadcast_to(numbers, width)
    epsilon = shortest_float(settings.epsilon_of(node))
    layer = nodes.LayerNorm(
        name="layer_norm",
        input=(),
        epsilon=epsilon,
        scale=scale is not None,
        offset=offset is not None,
    )
    at = scope.add(layer, value.at, arrays=arrays)
    return replace(value, at=at, numbers=None, filler=None)


def reduce(scope: Scope, node: GraphNode, inputs: Sequence[Value]) -> Tensor:
    """Return a statistic over the steps, over both directions, or over the features.

    Raises:
        RefusedError: it is not supported.
    """
    x = inputs[0]
    if not isinstance(x, Tensor):
        raise RefusedError(f"expected the output of a layer, received {describe(x)}")
    axes = settings.reduced_axes(node, constants(inputs, "axes"), len(x.axes))
    removed = set() if settings.keeps_axes(node) else set(axes)
    statistic = _STATISTICS.get(node.op)
    match [x.axes[axis] for axis in axes if x.axes[axis]]:
        case [] if node.op in functions.OF_ONE_NUMBER:
            result = x
        case []:
            raise RefusedError(f"rnnspec does not support {node.op} of single numbers", "E701")
        case ["T"] if x.role == "weighted" and statistic == "sum":
            at = attention(scope, x.at, x)
            result = Tensor(at, tuple(axis.replace("T", "") for axis in x.axes))
        case ["T"] if statistic:
            result = pool_steps(scope, replace(scope.settle(x), filler=x.filler), statistic)
        case ["D"] if node.op in _MERGES and x.formula is None:
            scope.merge(x.at, _MERGES[node.op])
            axes_left = tuple("F" if axis == "U" else axis.replace("D", "") for axis in x.axes)
            result = replace(x, axes=axes_left, merge=_MERGES[node.op])
        case ["F"] if node.op == "ReduceSum" and (score := _sum_of_products(scope, x)):
            result = replace(score, axes=tuple("" if a == "F" else a for a in score.axes))
        case ["F"]:
            result = reduce_features(scope, node, x, functions.REDUCTIONS[node.op])
        case other:
            words = " and ".join(describe(Tensor(0, (letter,)))[1:-1] for letter in other)
            raise RefusedError(f"rnnspec does not support {node.op} over the {words}", "E701")
    return replace(
        result, axes=tuple(axis for i, axis in enumerate(result.axes) if i not in removed)
    )


def _sum_of_products(scope: Scope, x: Tensor) -> Tensor | None:
    """Return the scores of an attention if a value is the product of steps and a vector."""
    step = scope.steps.get(x.at)
    if x.formula is not None or step is None or not isinstance(step.layer, nodes.Join):
        return None
    if step.layer.how != "multiply" or len(step.sources) != 2 or not scope.is_sequence(x.at):
        return None
    steps, query = sorted(step.sources, key=scope.is_sequence, reverse=True)
    if scope.is_sequence(query) or scope.width(query) != scope.width(steps):
        return None
    return score_by(scope, replace(x, at=steps), Tensor(query, ("B", "F")))


def reduce_features(scope: Scope, node: GraphNode, x: Tensor, function: Any) -> Tensor:
    """Return a statistic of the features, whose axis stays with size 1."""
    last = replace(node, attributes={"axes": (-1,), "keepdims": 1})
    result = _apply_to_features(scope, last, [scope.as_tensor(x)], function, is_single=True)
    axes = tuple("" if axis in ("F", "U") else axis for axis in result.axes)
    return replace(result, axes=axes)


def pool_all(scope: Scope, node: GraphNode, inputs: Sequence[Value]) -> Tensor:
    """Return a statistic over all axes behind the first two, which stay."""
    x = scope.as_tensor(inputs[0])
    op = "ReduceMax" if node.op == "GlobalMaxPool" else "ReduceMean"
    attributes = {"axes": tuple(range(2, len(x.axes))), "keepdims": 1}
    return reduce(scope, replace(node, op=op, attributes=attributes), [x])


# Two tensors


def _combine(scope: Scope, node: GraphNode, x: Tensor, y: Tensor) -> Tensor | None:
    """Return two tensors combined as the language can, None if they may be one function."""
    if node.op == "Mul" and {x.role, y.role} == {"weights", "plain"}:
        return weigh(scope, x, y)
    merges: dict[str, Merge] = {"Add": "sum", "Mul": "mul", "Mean": "ave"}
    if node.op in merges and (scope.same_directions(x, y) or scope.same_directions(y, x)):
        one, two = (x, y) if x.half == 0 else (y, x)
        whole = scope.fuse(one, two)
        scope.merge(whole.at, merges[node.op])
        return replace(whole, merge=merges[node.op])
    if node.op in OF_TWO and x.role == y.role == "plain" and x.at != y.at:
        # A call of a layer stands before another one that shares its arrays.
        first, second = sorted((x, y), key=lambda value: value.at)
        names = ("a", "b") if first is x else ("b", "a")
        return combine_by(scope, OF_TWO[node.op].format(*names), [first, second])
    how = _HOWS.get(node.op)
    if how is None or x.role != "plain" or y.role != "plain":
        return None
    same = (x.at, x.half, x.is_final, x.part) == (y.at, y.half, y.is_final, y.part)
    if same and (how == "multiply" or x.formula or y.formula):
        return None
    return join(scope, how, [x, y])


def combine_by(scope: Scope, text: str, tensors: Sequence[Tensor]) -> Tensor:
    """Return what an equation computes of tensors, which it calls a, b and so on.

    Raises:
        RefusedError: they do not fit, or the language has no such equation.
    """
    parts = [scope.with_features(scope.settle(tensor)) for tensor in tensors]
    widths = dict(zip("abcdefgh", (scope.width(part.at) or 0 for part in parts), strict=False))
    if not all(widths.values()):
        raise RefusedError("expected known numbers of features, received others")
    result = join(scope, make_formula(text, widths), parts)
    scope.equations[result.at] = text
    return result


def join(
    scope: Scope, how: JoinHow | nodes.Formula, tensors: Sequence[Tensor], axis: int | None = None
) -> Tensor:
    """Return tensors side by side, or their sum or product.

    Args:
        scope: the layers.
        how: how they are combined.
        tensors: what is combined: sequences, vectors beside sequences, or vectors.
        axis: the axis along which they stand side by side.

    Raises:
        RefusedError: they do not fit.
    """
    parts = [scope.with_features(scope.settle(tensor)) for tensor in tensors]
    rank = max(len(part.axes) for part in parts)
    parts = [replace(part, axes=("",) * (rank - len(part.axes)) + part.axes) for part in parts]
    plain = [part for part in parts if not scope.is_repeated(part.at)]
    if any(scope.is_sequence(part.at) for part in plain):
        parts = [scope.without_repeat(part, of=plain) for part in parts]
    elif any("T" in part.axes for part in parts):
        parts = [scope.as_steps(part) for part in parts]
    sequences = [part for part in parts if scope.is_sequence(part.at)]
    in_step = iter(scope.in_step(*sequences) if sequences else ())
    parts = [next(in_step) if scope.is_sequence(part.at) else part for part in parts]
    first = next((part for part in parts if scope.is_sequence(part.at)), parts[0])
    of_vector = tuple(axis.replace("T", "") for axis in first.axes)
    if any(
        part.axes != (first.axes if scope.is_sequence(part.at) else of_vector) for part in parts
    ):
        received = " and ".join(map(describe, parts))
        raise RefusedError(f"expected axes that are alike, received {received}")
    if axis is not None and first.axes[axis] != "F":
        raise RefusedError(f"axis: expected the features, received that of {describe(first)}")
    sizes = [scope.features(part) for part in parts]
    others = set(sizes) - {max(sizes)} - (set() if how in ("add", "concat") else {1})
    if how != "concat" and others:
        message = f"expected as many features, received {' and '.join(map(str, sizes))}"
        raise RefusedError(message, "E707")
    merged = scope.sequences_of_all(sequence.at for sequence in sequences)
    places = [part.at for part in parts]
    if how == "add" and len(parts) == len(sequences) and len(set(places)) == len(places):
        # It may be that of a recurrent layer and its input.
        places.sort(reverse=True)
        layer: nodes.Layer = nodes.Residual(name="add", input=(), start="")
    else:
        name = how if isinstance(how, str) else "formula"
        layer = nodes.Join(name=name, how=how, input=(), of=(), inputs=())
    at = scope.add(layer, *places, sequences=merged, is_vector=not sequences)
    return Tensor(at, first.axes, steps=first.steps)


def _average(scope: Scope, node: GraphNode, inputs: Sequence[Value]) -> Tensor | None:
    """Return the mean of both directions, or None."""
    half = {"Mul": 0.5, "Div": 2.0}.get(node.op)
    match inputs:
        case [Tensor(formula=None, at=at) as x, Known() as y] | [
            Known() as y,
            Tensor(formula=None, at=at) as x,
        ]:
            number = y.constant
            is_half = number is not None and number.size == 1 and float(number.flat[0]) == half
            if is_half and at and x.merge == "sum" and scope.average(at):
                return replace(x, merge="ave")
        case _:
            pass
    return None


def concatenate(scope: Scope, node: GraphNode, inputs: Sequence[Value]) -> Value:
    """Put features, the directions of a layer, or vectors of several layers one after the other."""
    tensors: list[Tensor] = []
    for value in inputs:
        tensors += value.parts if isinstance(value, CarriedStates) else [scope.as_tensor(value)]
    rank = len(tensors[0].axes)
    if any(len(tensor.axes) != rank for tensor in tensors):
        raise RefusedError("expected tensors with as many axes, received others", "E707")
    axis = axis_number(node.attributes["axis"], rank)
    parts: list[Tensor] = []
    for tensor in tensors:
        if parts and scope.same_directions(parts[-1], tensor):
            parts[-1] = scope.fuse(parts[-1], tensor)
        elif (
            parts
            and scope.backward_may_be_first
            and tensor.axes[axis] == "F"
            and scope.same_directions(tensor, parts[-1])
        ):
            parts[-1] = replace(scope.fuse(tensor, parts[-1]), backward_first=True)
        else:
            parts.append(tensor)
    if len(parts) == 1:
        whole = parts[0]
        axes = list(whole.axes)
        if not axes[axis] and any(letter == "F" for letter in axes):
            # The directions have an axis of their own.
            axes = ["U" if letter == "F" else letter for letter in axes]
            axes[axis] = "D"
        elif axes[axis] != "F":
            raise RefusedError("expected directions side by side, received another order")
        return replace(whole, axes=tuple(axes))
    if all(part.axes[axis] in ("", "D") and part.axis("B") >= 0 for part in parts) and not any(
        part.axis("T") >= 0 or (scope.is_sequence(part.at) and not (part.is_final or part.steps))
        for part in parts
    ):
        parts = [
            part if part.is_final or part.half is not None else scope.settle(part) for part in parts
        ]
        sizes = tuple(2 if part.axes[axis] else 1 for part in parts)
        return CarriedStates(tuple(parts), sizes, axis)
    if any(part.axes[axis] == "T" for part in parts):
        return _append(scope, parts, axis)
    return join(scope, "concat", parts, axis)


def _append(scope: Scope, tensors: Sequence[Tensor], axis: int) -> Tensor:
    """Return sequences one behind the other; a vector with an axis of size 1 there is one step.

    Raises:
        RefusedError: they have other axes or other numbers of features.
    """
    parts = [scope.in_place(scope.with_features(scope.settle(tensor))) for tensor in tensors]
    first = next(part for part in parts if part.axes[axis] == "T")
    of_vector = tuple("" if letter == "T" else letter for letter in first.axes)
    if any(
        part.axes != (first.axes if scope.is_sequence(part.at) else of_vector) for part in parts
    ):
        received = " and ".join(map(describe, parts))
        raise RefusedError(f"expected axes that are alike, received {received}")
    sizes = [scope.features(part) for part in parts]
    if len({*sizes}) > 1:
        message = f"expected as many features, received {' and '.join(map(str, sizes))}"
        raise RefusedError(message, "E707")
    one = (1,) * len(scope.probes.rows)
    counts = (scope.sizes(part, "T") if scope.is_sequence(part.at) else one for part in parts)
    steps = tuple(map(sum, zip(*counts, strict=True)))
    real = tuple(
        np.ones((rows, count), dtype=bool)
        for rows, count in zip(scope.probes.rows, steps, strict=True)
    )
    layer = nodes.Append(name="concat", input=(), of=(), inputs=())
    places = (part.at for part in parts)
    at = scope.add(layer, *places, sequences=ProbedSteps(steps, real))
    return Tensor(at, first.axes)
