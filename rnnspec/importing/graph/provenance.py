"""Doubts about numbers: what their nodes say for every input, where samples show only some.

Whatever samples cannot show is a doubt: a limit that none of them reaches, a choice that all of
them make alike, and every function of the input but a comparison with the number of padding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from rnnspec.importing.graph import settings
from rnnspec.importing.graph.bounds import BINARY, constant_bounds
from rnnspec.importing.graph.derived import (
    NARROW,
    bounds_of,
    check_reach,
    is_constant,
    limits_of,
    type_of_cast,
)
from rnnspec.importing.graph.graph import DoubtError
from rnnspec.importing.graph.values import Known, RestartError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rnnspec.importing.graph.graph import GraphNode
    from rnnspec.importing.graph.probes import ProbeSetting
    from rnnspec.importing.graph.values import Probed

NO_END = 2**31 - 1
"""An end of a slice from which on it is no limit."""
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
    node: GraphNode,
    inputs: Sequence[Known | None],
    outputs: Sequence[Probed],
    setting: ProbeSetting,
) -> tuple[Known, ...]:
    """Return the numbers that a node computes, with what it says of them."""
    name = inputs[0].name if inputs and inputs[0] is not None else ""
    tracing = _Tracing(node, inputs, setting)
    return tuple(
        replace(tracing.output(samples, i), name=name) for i, samples in enumerate(outputs)
    )


def check_slices(
    node: GraphNode, parts: Sequence[Mapping[int, slice]], shapes: Sequence[tuple[int, ...]]
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

    node: GraphNode
    inputs: Sequence[Known | None]
    setting: ProbeSetting

    def output(self, samples: Probed, index: int) -> Known:
        """Return an output."""
        known_inputs = [value for value in self.inputs if value is not None]
        node, op = self.node, self.node.op
        doubts = [value.doubt_of_shape for value in known_inputs]
        first = 0 if op in ("Range", "ConstantOfShape") else 1
        doubts += [value.doubt for value in known_inputs[first:] if op in _WITH_SIZES]
        of_shape = next((doubt for doubt in doubts if doubt is not None), None)
        try:
            self._check_slice()
        except DoubtError as error:
            of_shape = of_shape or error
        doubt = next((value.doubt for value in known_inputs if value.doubt is not None), None)
        doubt = of_shape if op in ("Shape", "Size") else doubt or of_shape
        if doubt is not None:
            return Known(samples, doubt=doubt, doubt_of_shape=of_shape)
        if all(is_constant(value) for value in known_inputs):
            return Known(samples)
        try:
            if any(value.kind != "derived" for value in known_inputs):
                known = self._of_one_input(samples)
            else:
                known = Known(samples, bounds=bounds_of(node, self.inputs, samples, index))
            if known.kind == "derived":
                check_reach(node, self.inputs, known)
        except DoubtError as error:
            return Known(samples, doubt=error, doubt_of_shape=error if op == "Range" else None)
        return known

    # Numbers of the input

    def _setting(self, raw: Known) -> ProbeSetting:
        return self.setting.of(raw.at)

    def _of_one_input(self, samples: Probed) -> Known:
        """Return numbers that follow from one of the inputs itself.

        Raises:
            DoubtError: it is more than its padding, or they follow from several.
            RestartError: its padding is told apart, and the probes have none.
        """
        places = {value.at for value in self.inputs if value is not None and _is_raw(value)}
        if len(places) > 1:
            raise DoubtError(self.node, "mixes the numbers of two inputs")
        (at,) = places
        known = self._of_input(samples)
        masks = known.kind == "derived" and self.node.op not in ("Shape", "Size", "Mul")
        if masks and not self.setting.of(at).padded:
            raise RestartError(at, padded=True)
        return replace(known, at=at)

    def _of_input(self, samples: Probed) -> Known:
        """Return numbers that follow from the input itself.

        Raises:
            DoubtError: it is more than its padding.
        """
        node, op = self.node, self.node.op
        if op in ("Shape", "Size"):
            return Known(samples, bounds=bounds_of(node, self.inputs, samples))
        if op in _MOVED or op == "Concat":
            places = _MOVED.get(op, range(len(self.inputs)))
            data = [self.inputs[i] for i in places if i < len(self.inputs)]
            others = [value for i, value in enumerate(self.inputs) if i not in places]
            if not any(_is_raw(value) for value in others):
                return self._move_numbers(samples, [value for value in data if value is not None])
        raw = next(value for value in self.inputs if _is_raw(value))
        assert raw is not None, "it is of the input"
        tokens = self._setting(raw).tokens
        other = self._other_input(raw)
        if op in _SWAPPED and other is not None:
            return self._compare_with_padding(samples, raw, other)
        match op:
            case "Abs" if raw.kind == "magnitude" or not self._setting(raw).filler:
                return Known(samples, kind="magnitude")
            case "ReduceMax" | "ReduceSum" if raw.kind == "magnitude" or tokens:
                return Known(samples, kind="magnitude")
            case "Sign" if raw.kind == "magnitude" or tokens:
                return Known(samples, bounds=BINARY)
            case "Min" | "Clip" if tokens and BINARY.fits(samples) and self._is_cut_at_one(raw):
                return Known(samples, bounds=BINARY)
            case "Mul" if other is not None and _is_zero(other):
                return Known(samples, bounds=constant_bounds(np.array(0)))
            case "Mul" if other is not None and all(
                np.isin(array, (0, 1)).all() for array in other.samples
            ):
                return Known(samples, kind=raw.kind)
            case "Add" | "Sub" if other is not None and _is_zero(other) and raw is self.inputs[0]:
                return Known(samples, kind=raw.kind)
            case _:
                message = (
                    f"{op} changes the numbers of the input{limits_of(node, self.inputs)}; "
                    "expected the input as it is, or a comparison with the number of padding"
                )
                raise DoubtError(node, message)

    def _other_input(self, raw: Known) -> Known | None:
        """Return the other one of two inputs, None if that is of the input, too."""
        others = [value for value in self.inputs if value is not raw]
        return others[0] if len(others) == 1 and not _is_raw(others[0]) else None

    def _move_numbers(self, samples: Probed, data: Sequence[Known]) -> Known:
        """Return numbers of the input in other places, some of them perhaps those of padding."""
        raw = [value for value in data if _is_raw(value)]
        if self.node.op in ("Cast", "CastLike"):
            return self._cast(samples, raw[0])
        allowed = {0.0, *(self._setting(value).filler for value in raw)}
        for value in data:
            if not _is_raw(value) and not all(
                set(np.unique(array).tolist()) <= allowed for array in value.samples
            ):
                message = (
                    "puts other numbers among those of the input"
                    f"{limits_of(self.node, self.inputs)}; expected the number of padding alone"
                )
                raise DoubtError(self.node, message)
        kinds = {value.kind for value in raw}
        if len(kinds) > 1 and not self._setting(raw[0]).tokens:
            raise DoubtError(
                self.node, "mixes numbers of the input with others that it makes of it"
            )
        return Known(samples, kind="magnitude" if len(kinds) > 1 else kinds.pop())

    def _cast(self, samples: Probed, raw: Known) -> Known:
        """Return numbers of the input of another type, which has all of them, or truth values."""
        to = type_of_cast(self.node, self.inputs)
        if to == "?" and (raw.kind == "magnitude" or not self._setting(raw).filler):
            return Known(samples, bounds=BINARY)
        tokens = self._setting(raw).tokens
        is_exact = to not in ("", "?", *NARROW) if tokens else to in ("f4", "f8")
        if not is_exact:
            message = "casts the input to a type that lacks some of its numbers"
            raise DoubtError(self.node, message)
        return Known(samples, kind=raw.kind)

    def _compare_with_padding(self, samples: Probed, raw: Known, other: Known) -> Known:
        """Return a comparison that tells padding from steps.

        Raises:
            DoubtError: it tells other numbers apart.
        """
        op = self.node.op if raw is self.inputs[0] else _SWAPPED[self.node.op]
        constant = other.same_array if is_constant(other) else None
        whole = self._setting(raw).tokens
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
                    return Known(samples, bounds=constant_bounds(np.array(float(truth))))
            elif op == "Equal" and limit == self._setting(raw).filler:
                return Known(samples, bounds=BINARY)
        single = constant is not None and constant.size == 1
        what = f"{limit:g}" if single else "other numbers"
        message = f"compares the input with {what}; expected the number of padding"
        raise DoubtError(self.node, message)

    def _is_cut_at_one(self, raw: Known) -> bool:
        """True if tokens become 0 and 1."""
        others = [value for value in self.inputs if value is not None and value is not raw]
        values = [float(v) for value in others for v in np.ravel(value.samples[0])]
        if self.node.op == "Clip":
            attributes = self.node.attributes
            values += [float(attributes[key]) for key in ("min", "max") if key in attributes]
        return bool(values) and max(values) == 1.0 and min(values) >= 0.0 and len(values) <= 2

    def _check_slice(self) -> None:
        if self.node.op != "Slice":
            return
        x = self.inputs[0]
        assert x is not None, "it has been computed"
        several = [
            [None if value is None else value.samples[i] for value in self.inputs]
            for i in range(len(x.samples))
        ]
        parts = [settings.slices_of(self.node, inputs_of_one) for inputs_of_one in several]
        rank = x.samples[0].ndim
        if all(array.ndim == rank for array in x.samples):
            at = [{axis % rank: part for axis, part in slices.items()} for slices in parts]
            check_slices(self.node, at, [array.shape for array in x.samples])


def _is_raw(value: Known | None) -> bool:
    return value is not None and value.kind != "derived"


def _is_zero(value: Known) -> bool:
    """True if numbers are zeros for every size."""
    exact = is_constant(value) or bool(value.bounds.is_exact.all())
    return exact and not any(array.any() for array in value.samples)
