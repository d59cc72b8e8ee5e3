"""What the nodes behind numbers say of them for every input, where samples show only some.

Whatever samples cannot show is a doubt: a limit that none of them reaches, a choice that all of
them make alike, and every function of the input but a comparison with the number of padding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from rnnspec.importing.layer_graph import RefusedError
from rnnspec.importing.onnx import numbers, settings
from rnnspec.importing.onnx.bounds import (
    BINARY,
    UNBOUNDED,
    Bounds,
    add,
    bounded,
    exactly,
    maximum,
    minimum,
    multiply,
    of_shapes,
    size_of,
    subtract,
)
from rnnspec.importing.onnx.values import DoubtError, Known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rnnspec.importing.onnx.graph import Node
    from rnnspec.importing.onnx.probes import Setting
    from rnnspec.importing.onnx.values import Probed
    from rnnspec.slots import Array

NO_END = 2**31 - 1
"""An end of a slice from which on it is no limit."""
_MOST_LIMITS = 4
_NARROW = {"u1": 255, "i1": 127, "u2": 65_535, "i2": 32_767, "f2": 2048}
"""The number up to which a type has all whole ones, if sizes and tokens can be larger."""
_MOVED: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(
        ("Identity", "Cast", "CastLike", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze",
         "Slice", "Gather", "GatherElements", "GatherND", "ReverseSequence", "Split", "Expand",
         "Tile"),
        (0,),
    ),
    "Where": (1, 2),
    "ScatterElements": (0, 2),
    "Pad": (0, 2),
}  # fmt: skip
"""Operators whose results are numbers of some of their inputs, in other places."""
_WITH_SIZES = frozenset(
    {"Range", "ConstantOfShape", "Expand", "Tile", "Reshape", "Slice", "Pad", "TopK", "OneHot"}
    | {"Split"}
)
"""Operators whose results have a shape that follows from the numbers of their inputs."""
_SWAPPED = {
    "Equal": "Equal",
    "Less": "Greater",
    "Greater": "Less",
    "LessOrEqual": "GreaterOrEqual",
    "GreaterOrEqual": "LessOrEqual",
}


def trace(
    node: Node, inputs: Sequence[Known | None], outputs: Sequence[Probed], setting: Setting
) -> tuple[Known, ...]:
    """Return the numbers that a node computes, with what it says of them."""
    name = inputs[0].name if inputs and inputs[0] is not None else ""
    tracing = _Tracing(node, inputs, setting)
    return tuple(
        replace(tracing.output(samples, i), name=name) for i, samples in enumerate(outputs)
    )


def check_slices(
    node: Node, parts: Sequence[Mapping[int, slice]], shapes: Sequence[tuple[int, ...]]
) -> None:
    """Check that no end of a slice is beyond an open size in all probes.

    Raises:
        DoubtError: one is.
    """
    for axis in parts[0]:
        counts = [shape[axis] for shape in shapes]
        beyond = [
            any(
                end is not None and abs(end) < NO_END and not -count <= end <= count
                for end in (part[axis].start, part[axis].stop)
            )
            for part, count in zip(parts, counts, strict=True)
        ]
        if all(beyond) and len(set(counts)) > 1:
            first = parts[0][axis]
            message = (
                f"takes a part from {first.start} to {first.stop} of an axis whose size is open; "
                "expected all of it, or ends that any size has"
            )
            raise DoubtError(node, message)


@dataclass(frozen=True, slots=True)
class _Tracing:
    """A node with its inputs."""

    node: Node
    inputs: Sequence[Known | None]
    setting: Setting

    def output(self, samples: Probed, index: int) -> Known:
        """Return an output."""
        given = [value for value in self.inputs if value is not None]
        op = self.node.op
        doubts = [value.doubt_of_shape for value in given]
        first = 0 if op in ("Range", "ConstantOfShape") else 1
        doubts += [value.doubt for value in given[first:] if op in _WITH_SIZES]
        of_shape = next((doubt for doubt in doubts if doubt is not None), None)
        try:
            self._check_slice()
        except DoubtError as error:
            of_shape = of_shape or error
        doubt = next((value.doubt for value in given if value.doubt is not None), None)
        doubt = of_shape if op in ("Shape", "Size") else doubt or of_shape
        if doubt is not None:
            return Known(samples, doubt=doubt, doubt_of_shape=of_shape)
        if all(_is_constant(value) for value in given):
            return Known(samples)
        try:
            if any(value.kind != "derived" for value in given):
                known = self._of_input(samples)
            else:
                known = Known(samples, bounds=self._bounds(samples, index))
            self._check_reach(known)
        except DoubtError as error:
            return Known(samples, doubt=error, doubt_of_shape=error if op == "Range" else None)
        return known

    # Numbers of the input

    def _of_input(self, samples: Probed) -> Known:
        """Return what follows from the input itself.

        Raises:
            DoubtError: it is more than its padding.
        """
        node, op = self.node, self.node.op
        if op in ("Shape", "Size"):
            return Known(samples, bounds=self._bounds(samples, 0))
        if op in _MOVED or op == "Concat":
            places = _MOVED.get(op, range(len(self.inputs)))
            data = [self.inputs[i] for i in places if i < len(self.inputs)]
            others = [value for i, value in enumerate(self.inputs) if i not in places]
            if not any(_is_raw(value) for value in others):
                return self._moved(samples, [value for value in data if value is not None])
        raw = next(value for value in self.inputs if _is_raw(value))
        assert raw is not None, "it is of the input"
        tokens = self.setting.tokens
        other = self._other(raw)
        if op in _SWAPPED and other is not None:
            return self._compared(samples, raw, other)
        match op:
            case "Abs" if raw.kind == "magnitude" or not self.setting.filler:
                return Known(samples, kind="magnitude")
            case "ReduceMax" | "ReduceSum" if raw.kind == "magnitude" or tokens:
                return Known(samples, kind="magnitude")
            case "Sign" if raw.kind == "magnitude" or tokens:
                return Known(samples, bounds=BINARY)
            case "Min" | "Clip" if tokens and BINARY.fits(samples) and self._is_cut_at_one(raw):
                return Known(samples, bounds=BINARY)
            case "Mul" if other is not None and _is_zero(other):
                return Known(samples, bounds=_ZERO)
            case "Mul" if other is not None and all(
                np.isin(array, (0, 1)).all() for array in other.samples
            ):
                return Known(samples, kind=raw.kind)
            case "Add" | "Sub" if other is not None and _is_zero(other) and raw is self.inputs[0]:
                return Known(samples, kind=raw.kind)
            case _:
                message = (
                    f"{op} changes the numbers of the input{self._limits()}; expected the input as "
                    "it is, or a comparison with the number of padding"
                )
                raise DoubtError(node, message)

    def _other(self, raw: Known) -> Known | None:
        """Return the other one of two inputs, None if that is of the input, too."""
        others = [value for value in self.inputs if value is not raw]
        return others[0] if len(others) == 1 and not _is_raw(others[0]) else None

    def _moved(self, samples: Probed, data: Sequence[Known]) -> Known:
        """Return numbers of the input in other places, some of them perhaps those of padding."""
        raw = [value for value in data if _is_raw(value)]
        if self.node.op == "Cast":
            return self._cast(samples, raw[0])
        allowed = {0.0, self.setting.filler}
        for value in data:
            if not _is_raw(value) and not all(
                set(np.unique(array).tolist()) <= allowed for array in value.samples
            ):
                message = (
                    f"puts other numbers among those of the input{self._limits()}; expected the "
                    "number of padding alone"
                )
                raise DoubtError(self.node, message)
        first = raw[0].kind
        same = all(value.kind == first for value in raw)
        return Known(samples, kind=first if same else "magnitude")

    def _cast(self, samples: Probed, raw: Known) -> Known:
        """Return numbers of the input of another type, which has all of them, or truth values."""
        to = settings.DTYPES.get(self.node.attributes["to"], "")
        if to == "?" and (raw.kind == "magnitude" or not self.setting.filler):
            return Known(samples, bounds=BINARY)
        is_exact = to not in ("", "?", *_NARROW) if self.setting.tokens else to.startswith("f")
        if not is_exact:
            message = "casts the input to a type that lacks some of its numbers"
            raise DoubtError(self.node, message)
        return Known(samples, kind=raw.kind)

    def _compared(self, samples: Probed, raw: Known, other: Known) -> Known:
        """Return a comparison that tells padding from steps.

        Raises:
            DoubtError: it tells other numbers apart.
        """
        op = self.node.op if raw is self.inputs[0] else _SWAPPED[self.node.op]
        constant = other.same_array if _is_constant(other) else None
        whole = self.setting.tokens
        zero = raw.kind == "magnitude" or whole
        if constant is not None and constant.size == 1:
            limit = float(constant.flat[0])
            if zero:
                below = op in ("Equal", "LessOrEqual", "Greater")
                least = 0.0 if below else np.nextafter(0.0, 1.0)
                most = 0.0 if op == "Equal" else (1.0 if whole else 0.0)
                most = np.nextafter(1.0, 0.0) if whole and below and op != "Equal" else most
                if least <= limit <= most:
                    return Known(samples, bounds=BINARY)
                if limit < 0:
                    truth = op in ("Greater", "GreaterOrEqual")
                    return Known(samples, bounds=exactly(np.array(float(truth))))
            elif op == "Equal" and limit == self.setting.filler:
                return Known(samples, bounds=BINARY)
        single = constant is not None and constant.size == 1
        what = f"{limit:g}" if single else "other numbers"
        message = f"compares the input with {what}; expected the number of padding"
        raise DoubtError(self.node, message)

    def _is_cut_at_one(self, raw: Known) -> bool:
        """Return whether tokens become 0 and 1."""
        others = [value for value in self.inputs if value is not None and value is not raw]
        values = [float(v) for each in others for v in np.ravel(each.samples[0])]
        if self.node.op == "Clip":
            attributes = self.node.attributes
            values += [float(attributes[key]) for key in ("min", "max") if key in attributes]
        return bool(values) and max(values) == 1.0 and min(values) >= 0.0 and len(values) <= 2

    # Numbers of sizes and of padding

    def _check_reach(self, known: Known) -> None:
        """Check that all that a node decides is seen in the samples, or is so for every size.

        Raises:
            DoubtError: it is not.
        """
        if known.kind != "derived" or known.doubt is not None:
            return
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
            stuck |= not flat.size and self.node.op == "Range"
        if stuck:
            self._doubt()

    def _doubt(self) -> None:
        message = (
            f"{self.node.op} of sizes or padding{self._limits()} is not the same for all of them; "
            "expected no limit that some sizes reach and others do not"
        )
        raise DoubtError(self.node, message)

    def _limits(self) -> str:
        """Return the constants of a node, for messages."""
        constants = [
            value.same_array for value in self.inputs if value is not None and _is_constant(value)
        ]
        limits = [float(array.flat[0]) for array in constants if array is not None and array.size]
        attributes = self.node.attributes
        limits += [float(attributes[key]) for key in ("min", "max") if key in attributes]
        shown = " and ".join(f"{limit:g}" for limit in limits[:_MOST_LIMITS])
        return f" with {shown}" if shown else ""

    def _check_slice(self) -> None:
        if self.node.op != "Slice":
            return
        several = [
            [None if value is None else value.samples[i] for value in self.inputs]
            for i in range(self._count)
        ]
        x = self.inputs[0]
        assert x is not None, "it has been computed"
        parts = [settings.slices_of(self.node, each) for each in several]
        rank = x.samples[0].ndim
        if all(array.ndim == rank for array in x.samples):
            at = [{axis % rank: part for axis, part in each.items()} for each in parts]
            check_slices(self.node, at, [array.shape for array in x.samples])

    @property
    def _count(self) -> int:
        return next(len(value.samples) for value in self.inputs if value is not None)

    def _bounds(self, samples: Probed, index: int) -> Bounds:
        """Return the bounds of what is computed of numbers that are none of the input.

        Raises:
            DoubtError: no sample reaches a limit.
        """
        bounds = self._raw_bounds(samples, index)
        shapes = {array.shape for array in samples}
        if bounds.low.ndim and shapes != {bounds.low.shape}:
            bounds = bounds.whole
        return bounds if bounds.fits(samples) else UNBOUNDED

    def _raw_bounds(self, samples: Probed, index: int) -> Bounds:
        node, op = self.node, self.node.op
        if op in ("Shape", "Size"):
            x = self.inputs[0]
            assert x is not None, "it has been computed"
            if op == "Size":
                size = size_of([array.size for array in x.samples])
                return bounded(size, size)
            return of_shapes([array.tolist() for array in samples])
        if op == "Concat":
            return self._joined(samples)
        given = [_bounds_of(value) for value in self.inputs]
        if op == "Where":
            return self._chosen(given)
        if op == "Cast" and settings.DTYPES.get(node.attributes["to"]) == "?":
            return self._truth(given[0].is_at_least(_ONE), _equal(given[0], _ZERO))
        if op == "Cast" and (most := _NARROW.get(settings.DTYPES.get(node.attributes["to"], ""))):
            limits = exactly(np.array(-most)), exactly(np.array(most))
            if not (given[0].is_at_least(limits[0]) & limits[1].is_at_least(given[0])).all():
                self._doubt()
        if op in _MOVED and op not in ("Pad", "ScatterElements"):
            return self._moved_bounds(given[0], index)
        if (truth := self._decided(given)) is not None:
            return self._truth(*truth)
        if op in ("Min", "Max", "Clip", "Relu"):
            return self._limited(given)
        return self._computed(given, samples)

    def _truth(self, always: Array, never: Array) -> Bounds:
        """Return the bounds of truth values."""
        return _ONE.where(always & ~never, _ZERO.where(never & ~always, BINARY))

    def _decided(self, given: Sequence[Bounds]) -> tuple[Array, Array] | None:
        """Return where a condition holds always, and where it never does; None if it is none."""
        match self.node.op, given:
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

    def _chosen(self, given: Sequence[Bounds]) -> Bounds:
        condition, x, y = given
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

    def _joined(self, samples: Probed) -> Bounds:
        given = [_bounds_of(value) for value in self.inputs]
        shape = samples[0].shape
        fixed = all(array.shape == shape for array in samples)
        if fixed and all(each.low.ndim for each in given):
            low, high = (
                np.concatenate(sides, self.node.attributes["axis"])
                for sides in ([each.low for each in given], [each.high for each in given])
            )
            return Bounds(low, high)
        return reduce(Bounds.union, (each.whole for each in given))

    def _limited(self, given: Sequence[Bounds]) -> Bounds:
        """Return the bounds of the smallest or the largest of some numbers.

        Raises:
            DoubtError: no sample shows one of them.
        """
        op = self.node.op
        pairs: list[tuple[str, Bounds, Probed]] = []
        values = [None if value is None else value.samples for value in self.inputs]
        if op == "Relu":
            pairs.append(("Max", exactly(np.array(0)), (np.array(0),) * self._count))
        elif op == "Clip":
            for i, key in ((1, "min"), (2, "max")):
                way = "Max" if key == "min" else "Min"
                if len(values) > i and (limit := values[i]) is not None:
                    pairs.append((way, given[i], limit))
                elif key in self.node.attributes:
                    stated = np.asarray(self.node.attributes[key])
                    pairs.append((way, exactly(stated), (stated,) * self._count))
        else:
            for bounds, limit in zip(given[1:], values[1:], strict=True):
                assert limit is not None, "it has been computed"
                pairs.append((op, bounds, limit))
        first = values[0]
        assert first is not None, "it has been computed"
        result, now = given[0], first
        for way, bounds, limit in pairs:
            decided = result.is_at_least(bounds) | bounds.is_at_least(result)
            greater = [np.greater(a, b) for a, b in zip(now, limit, strict=True)]
            less = [np.less(a, b) for a, b in zip(now, limit, strict=True)]
            shown = _is_shown(greater, decided) and _is_shown(less, decided)
            if not shown and not _is_guard(way, result, bounds):
                self._doubt()
            result = (maximum if way == "Max" else minimum)(result, bounds)
            function = np.maximum if way == "Max" else np.minimum
            now = tuple(function(a, b) for a, b in zip(now, limit, strict=True))
        return result

    # Arithmetic

    def _computed(self, given: Sequence[Bounds], samples: Probed) -> Bounds:
        """Return the bounds of the result of arithmetic.

        Raises:
            DoubtError: no sample shows all of it.
        """
        node, (x, *more) = self.node, given
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
                return self._over_axes(x, first.samples, samples)

    def _over_axes(self, x: Bounds, before: Probed, after: Probed) -> Bounds:
        """Return the bounds of statistics and of what has a shape of its own."""
        match self.node.op:
            case "ReduceMax" | "ReduceMin":
                self._check_extreme(x, before, after)
                return x.whole
            case "ReduceMean" | "AveragePool":
                return x.whole
            case "ReduceSum" if x.is_at_least(_ZERO).all():
                pairs = zip(before, after, strict=True)
                count = of_shapes([[a.size // max(b.size, 1)] for a, b in pairs]).whole
                return Bounds(_ZERO.low, multiply(x.whole, count).high)
            case "ConstantOfShape":
                return exactly(np.ravel(self.node.attributes.get("value", np.zeros(1)))[0])
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
        if not _is_shown([~each for each in same], np.zeros((), bool)):
            self._doubt()
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
            taken = [np.take(array, place, axis) for array in before]
            if all((np.ravel(a) == np.ravel(b)).all() for a, b in zip(taken, after, strict=True)):
                one = Bounds(x.low[place], x.high[place]) if x.low.ndim == 1 else None
                if one is None or not (one.is_at_least(x) | x.is_at_least(one)).all():
                    self._doubt()


_ZERO, _ONE = exactly(np.array(0)), exactly(np.array(1))


def _is_raw(value: Known | None) -> bool:
    return value is not None and value.kind != "derived"


def _is_constant(value: Known) -> bool:
    """Return whether numbers follow from constants alone."""
    first, *others = value.samples
    return value.kind == "derived" and all(other is first for other in others)


def _is_zero(value: Known) -> bool:
    return not any(array.any() for array in value.samples) and bool(
        value.bounds.is_exact.all() or _is_constant(value)
    )


def _bounds_of(value: Known | None) -> Bounds:
    if value is None:
        return UNBOUNDED
    return exactly(value.samples[0]) if _is_constant(value) else value.bounds


def _equal(x: Bounds, y: Bounds) -> Array:
    """Return where two numbers are the same for every size."""
    return x.is_at_least(y) & y.is_at_least(x)


def _is_shown(flags: Sequence[Array], decided: Array) -> bool:
    """Return whether something holds in a sample, where it is not decided."""
    shapes = {np.shape(each) for each in flags}
    if decided.ndim and shapes == {decided.shape}:
        return bool((np.any(flags, axis=0) | decided).all())
    return bool(decided.all()) or any(np.any(each) for each in flags)


def _is_guard(way: str, x: Bounds, y: Bounds) -> bool:
    """Return whether a count is kept from being 0, which a division or an index needs."""
    return way == "Max" and any(
        a.is_at_least(_ZERO).all() and _ONE.is_at_least(b).all() for a, b in ((x, y), (y, x))
    )
