"""Bounds of numbers that follow from sizes and padding, and limits that no sample reaches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from rnnspec.importing.graph import numbers, settings
from rnnspec.importing.graph.bounds import (
    BINARY,
    UNBOUNDED,
    Bounds,
    add,
    constant_bounds,
    interval,
    maximum,
    minimum,
    multiply,
    shape_bounds,
    size_of,
    subtract,
)
from rnnspec.importing.graph.graph import DoubtError
from rnnspec.importing.graph.layer_graph import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.graph.graph import GraphNode
    from rnnspec.importing.graph.values import Known, Probed

_FEW_NUMBERS = 64
"""The most numbers of an array with a bound for each of them."""
_MOST_LIMITS = 4
NARROW = {"u1": 255, "i1": 127, "u2": 65_535, "i2": 32_767, "f2": 2048, "bf2": 256}
"""The number up to which a type has all whole ones, if sizes and tokens can be larger."""
_MOVING = (
    *("Identity", "Cast", "CastLike", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"),
    *("Slice", "Gather", "GatherElements", "GatherND", "ReverseSequence", "Split", "Expand"),
    "Tile",
)


def bounds_of(
    node: GraphNode, inputs: Sequence[Known | None], samples: Probed, index: int = 0
) -> Bounds:
    """Return the bounds of an output of a node.

    Raises:
        DoubtError: no sample reaches a limit of it.
    """
    bounds = _Derived(node, inputs).bounds(samples, index)
    shapes = {array.shape for array in samples}
    if bounds.low.ndim and shapes != {bounds.low.shape}:
        bounds = bounds.whole
    return bounds if bounds.fits(samples) else UNBOUNDED


def check_reach(node: GraphNode, inputs: Sequence[Known | None], known: Known) -> None:
    """Check that all that a node decides is seen in the samples, or is so for every size.

    Raises:
        DoubtError: it is not.
    """
    exact = known.bounds.is_exact
    if exact.all():
        return
    samples = known.samples
    if exact.ndim and all(array.shape == exact.shape for array in samples):
        still = np.array([(array == samples[0]) for array in samples]).all(0) & ~exact
        stuck = bool(still.any())
    else:
        flat = np.concatenate([np.ravel(array) for array in samples])
        stuck = bool(flat.size) and bool((flat == flat[0]).all())
        stuck |= not flat.size and node.op == "Range"
    if stuck:
        raise _doubt(node, inputs)


def limits_of(node: GraphNode, inputs: Sequence[Known | None]) -> str:
    """Return the constants of a node, for messages."""
    arrays = [value.samples[0] for value in inputs if value is not None and is_constant(value)]
    limits = [float(array.flat[0]) for array in arrays if array.size]
    attributes = node.attributes
    limits += [float(attributes[key]) for key in ("min", "max") if key in attributes]
    words = " and ".join(f"{limit:g}" for limit in limits[:_MOST_LIMITS])
    return f" with {words}" if words else ""


def is_constant(value: Known) -> bool:
    """True if numbers follow from constants alone."""
    first, *others = value.samples
    return value.kind == "derived" and all(other is first for other in others)


def type_of_cast(node: GraphNode, inputs: Sequence[Known | None]) -> str:
    """Return the type that numbers are cast to, empty if they are not."""
    if node.op not in ("Cast", "CastLike"):
        return ""
    like = inputs[1] if len(inputs) > 1 else None
    return settings.type_of_cast(node, None if like is None else like.samples[0])


def _doubt(node: GraphNode, inputs: Sequence[Known | None]) -> DoubtError:
    return DoubtError(
        node,
        f"{node.op} of sizes or padding{limits_of(node, inputs)} is not the same for all of them; "
        "expected no limit that some sizes reach and others do not",
    )


@dataclass(frozen=True, slots=True)
class _Derived:
    """A node with its inputs, none of which is that of the graph."""

    node: GraphNode
    inputs: Sequence[Known | None]

    def bounds(self, samples: Probed, index: int) -> Bounds:
        """Return the bounds of an output."""
        node, op = self.node, self.node.op
        if op in ("Shape", "Size"):
            x = self.inputs[0]
            assert x is not None, "it has been computed"
            if op == "Size":
                size = size_of([array.size for array in x.samples])
                return interval(size, size)
            return shape_bounds([array.tolist() for array in samples])
        if op == "Concat":
            return self._concat_bounds(samples)
        bounds = [_bounds_of(value) for value in self.inputs]
        if op == "Where":
            return self._choice_bounds(bounds)
        to = type_of_cast(node, self.inputs)
        if to == "?":
            return self._truth_bounds(bounds[0].is_at_least(_ONE), _equal(bounds[0], _ZERO))
        if most := NARROW.get(to):
            limits = constant_bounds(np.array(-most)), constant_bounds(np.array(most))
            if not (bounds[0].is_at_least(limits[0]) & limits[1].is_at_least(bounds[0])).all():
                raise _doubt(self.node, self.inputs)
        if op in _MOVING:
            return self._moved_bounds(bounds[0], index)
        if (truth := self._decide(bounds)) is not None:
            return self._truth_bounds(*truth)
        if op in ("Min", "Max", "Clip", "Relu"):
            return self._limit_bounds(bounds)
        return self._arithmetic_bounds(bounds, samples)

    def _truth_bounds(self, always: Array, never: Array) -> Bounds:
        """Return the bounds of truth values."""
        return _ONE.where(always & ~never, _ZERO.where(never & ~always, BINARY))

    def _decide(self, bounds: Sequence[Bounds]) -> tuple[Array, Array] | None:
        """Return where a condition holds always, and where it never does; None if it is none."""
        match self.node.op, bounds:
            case "Less", [x, y]:
                return y.is_at_least(add(x, _ONE)), x.is_at_least(y)
            case "Greater", [x, y]:
                return x.is_at_least(add(y, _ONE)), y.is_at_least(x)
            case "LessOrEqual", [x, y]:
                return y.is_at_least(x), x.is_at_least(add(y, _ONE))
            case "GreaterOrEqual", [x, y]:
                return x.is_at_least(y), y.is_at_least(add(x, _ONE))
            case "Equal", [x, y]:
                apart = x.is_at_least(add(y, _ONE)) | y.is_at_least(add(x, _ONE))
                return _equal(x, y), apart
            case "Not", [x]:
                return _ZERO.is_at_least(x), x.is_at_least(_ONE)
            case "And", [x, y]:
                true = x.is_at_least(_ONE) & y.is_at_least(_ONE)
                return true, _ZERO.is_at_least(x) | _ZERO.is_at_least(y)
            case "Or", [x, y]:
                false = _ZERO.is_at_least(x) & _ZERO.is_at_least(y)
                return x.is_at_least(_ONE) | y.is_at_least(_ONE), false
            case _:
                return None

    def _choice_bounds(self, bounds: Sequence[Bounds]) -> Bounds:
        condition, x, y = bounds
        always, never = condition.is_at_least(_ONE), _ZERO.is_at_least(condition)
        return x.where(always, y.where(never, x.union(y)))

    def _moved_bounds(self, bounds: Bounds, index: int) -> Bounds:
        """Return the bounds of numbers that are elsewhere."""
        if not bounds.low.ndim:
            return bounds
        arrays = [None if value is None else value.same_array for value in self.inputs[1:]]
        if any(a is None and v is not None for a, v in zip(arrays, self.inputs[1:], strict=True)):
            return bounds.whole
        if self.node.op in ("Cast", "CastLike"):
            return bounds
        try:
            low, high = (
                numbers.compute(self.node, [side, *arrays])[index]
                for side in (bounds.low, bounds.high)
            )
        except RefusedError:
            return bounds.whole
        return Bounds(low, high)

    def _concat_bounds(self, samples: Probed) -> Bounds:
        bounds = [_bounds_of(value) for value in self.inputs]
        shape = samples[0].shape
        fixed = all(array.shape == shape for array in samples)
        if fixed and samples[0].size <= _FEW_NUMBERS:
            shapes = [value.samples[0].shape for value in self.inputs if value is not None]
            low, high = (
                # One bound may be that of all numbers.
                np.concatenate(
                    [np.broadcast_to(*pair) for pair in zip(sides, shapes, strict=True)],
                    self.node.attributes["axis"],
                )
                for sides in ([inner.low for inner in bounds], [inner.high for inner in bounds])
            )
            return Bounds(low, high)
        return reduce(Bounds.union, (inner.whole for inner in bounds))

    def _limit_bounds(self, input_bounds: Sequence[Bounds]) -> Bounds:
        """Return the bounds of the smallest or the largest of some numbers.

        Raises:
            DoubtError: no sample shows one of them.
        """
        op = self.node.op
        pairs: list[tuple[str, Bounds, Probed]] = []
        values = [None if value is None else value.samples for value in self.inputs]
        first = values[0]
        assert first is not None, "it has been computed"
        count = len(first)
        if op == "Relu":
            pairs.append(("Max", constant_bounds(np.array(0)), (np.array(0),) * count))
        elif op == "Clip":
            for i, key in ((1, "min"), (2, "max")):
                way = "Max" if key == "min" else "Min"
                if len(values) > i and (limit := values[i]) is not None:
                    pairs.append((way, input_bounds[i], limit))
                elif key in self.node.attributes:
                    stated = np.asarray(self.node.attributes[key])
                    pairs.append((way, constant_bounds(stated), (stated,) * count))
        else:
            for bounds, limit in zip(input_bounds[1:], values[1:], strict=True):
                assert limit is not None, "it has been computed"
                pairs.append((op, bounds, limit))
        result, now = input_bounds[0], first
        for way, bounds, limit in pairs:
            decided = result.is_at_least(bounds) | bounds.is_at_least(result)
            greater = [np.greater(a, b) for a, b in zip(now, limit, strict=True)]
            less = [np.less(a, b) for a, b in zip(now, limit, strict=True)]
            reached = _is_shown(greater, decided) and _is_shown(less, decided)
            if not reached and not _is_guard(way, result, bounds):
                raise _doubt(self.node, self.inputs)
            result = (maximum if way == "Max" else minimum)(result, bounds)
            function = np.maximum if way == "Max" else np.minimum
            now = tuple(function(a, b) for a, b in zip(now, limit, strict=True))
        return result

    # Arithmetic

    def _arithmetic_bounds(self, input_bounds: Sequence[Bounds], samples: Probed) -> Bounds:
        """Return the bounds of the result of arithmetic.

        Raises:
            DoubtError: no sample shows all of it.
        """
        node, (x, *more) = self.node, input_bounds
        first = self.inputs[0]
        assert first is not None, "it has been computed"
        match node.op, more:
            case "Add", [y]:
                return add(x, y)
            case "Sub", [y]:
                return subtract(x, y)
            case "Mul", [y]:
                return multiply(x, y)
            case "Neg", []:
                return subtract(_ZERO, x)
            case "Div", [y] if first.samples[0].dtype.kind in "iu":
                return self._quotient(x, y)
            case "Mod", [y]:
                return self._remainder(x, y, first.samples, samples)
            case "Range", [limit, delta]:
                # The last one is before the limit.
                if delta.is_at_least(_ONE).all():
                    return Bounds(x.whole.low, subtract(limit.whole, _ONE).high)
                return Bounds(add(limit.whole, _ONE).low, x.whole.high)
            case _:
                return self._statistic_bounds(x, first.samples, samples)

    def _statistic_bounds(self, x: Bounds, before: Probed, after: Probed) -> Bounds:
        """Return the bounds of statistics and of what has a shape of its own."""
        match self.node.op:
            case "ReduceMax" | "ReduceMin":
                self._check_extreme(x, before, after)
                return x.whole
            case "ReduceMean" | "AveragePool":
                return x.whole
            case "ReduceSum" if x.is_at_least(_ZERO).all():
                pairs = zip(before, after, strict=True)
                count = shape_bounds([[a.size // max(b.size, 1)] for a, b in pairs]).whole
                return Bounds(_ZERO.low, multiply(x.whole, count).high)
            case "ConstantOfShape":
                return constant_bounds(np.ravel(self.node.attributes.get("value", np.zeros(1)))[0])
            case "CumSum" | "ArgMax" | "ArgMin" if x.is_at_least(_ZERO).all():
                return Bounds(_ZERO.low, UNBOUNDED.high)
            case _:
                return UNBOUNDED

    def _quotient(self, x: Bounds, y: Bounds) -> Bounds:
        """Return the bounds of whole numbers that are divided, towards zero."""
        if (y.is_exact & _ONE.is_at_least(y) & y.is_at_least(_ONE)).all():
            return x
        whole = x.is_at_least(_ZERO).all() and y.is_at_least(_ONE).all()
        return Bounds(_ZERO.low, x.whole.high) if whole else UNBOUNDED

    def _remainder(self, x: Bounds, y: Bounds, before: Probed, after: Probed) -> Bounds:
        if (x.is_at_least(_ZERO) & y.is_at_least(add(x, _ONE))).all():
            return x
        same = [np.equal(a, b) for a, b in zip(before, after, strict=True)]
        if not _is_shown([~equal for equal in same], np.zeros((), bool)):
            raise _doubt(self.node, self.inputs)
        return Bounds(_ZERO.low, subtract(y.whole, _ONE).high)

    def _check_extreme(self, x: Bounds, before: Probed, after: Probed) -> None:
        """Check that it is not the same one along an axis that is always the largest, say.

        Raises:
            DoubtError: it is in the samples, and may be another one for other sizes.
        """
        constants = [None if value is None else value.same_array for value in self.inputs]
        axes = settings.axes_of(self.node, constants)
        axis = axes[0] if axes is not None and len(axes) == 1 else None
        counts = {1 if axis is None else array.shape[axis] for array in before}
        if before[0].ndim == 1:
            axis, counts = 0, {len(array) for array in before}
        if axis is None or len(counts) > 1 or counts == {1}:
            return
        for place in range(counts.pop()):
            candidates = [np.take(array, place, axis) for array in before]
            if all(
                (np.ravel(a) == np.ravel(b)).all() for a, b in zip(candidates, after, strict=True)
            ):
                one = Bounds(x.low[place], x.high[place]) if x.low.ndim == 1 else None
                if one is None or not (one.is_at_least(x) | x.is_at_least(one)).all():
                    raise _doubt(self.node, self.inputs)


_ZERO, _ONE = constant_bounds(np.array(0)), constant_bounds(np.array(1))


def _bounds_of(value: Known | None) -> Bounds:
    if value is None:
        return UNBOUNDED
    return constant_bounds(value.samples[0]) if is_constant(value) else value.bounds


def _equal(x: Bounds, y: Bounds) -> Array:
    """Return where two numbers are the same for every size."""
    return x.is_at_least(y) & y.is_at_least(x)


def _is_shown(flags: Sequence[Array], decided: Array) -> bool:
    """True if something holds in a sample, where it is not decided."""
    shapes = {np.shape(flag) for flag in flags}
    if decided.ndim and shapes == {decided.shape}:
        return bool((np.any(flags, axis=0) | decided).all())
    return bool(decided.all()) or any(np.any(flag) for flag in flags)


def _is_guard(way: str, x: Bounds, y: Bounds) -> bool:
    """True if a count is kept from being 0, which a division or an index needs."""
    return way == "Max" and any(
        a.is_at_least(_ZERO).all() and _ONE.is_at_least(b).all() for a, b in ((x, y), (y, x))
    )
