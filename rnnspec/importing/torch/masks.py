"""Sizes, dtypes, packed sequences and masks: functions about the numbers beside features."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.importing.graph.bounds import shape_bounds
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.values import Argument, Known, Tensor
from rnnspec.importing.torch import layers, shapes
from rnnspec.importing.torch.values import (
    LENGTHS,
    ModuleArray,
    NonTensor,
    Packed,
    Several,
    State,
    States,
    Value,
    Zeros,
    describe,
    is_size,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.importing.torch.operators import Operators

_INTEGERS = ("torch.int64", "torch.int32", "torch.int16", "torch.int8", "torch.uint8")


_CASTS = ("torch.float16", "torch.bfloat16", "torch.bool", "torch.complex64", "torch.complex128")

AT_LEAST_ONE = "at least 1 of "
"""The prefix of the name of lengths that are at least 1."""


# Dtypes and sizes


def is_input(x: Any) -> bool:
    """True if a value is the input."""
    return (isinstance(x, Tensor) and x.at <= 0 and x.formula is None) or (
        isinstance(x, Known) and x.kind == "input"
    )


def cast(m: Operators, x: Any) -> Value:
    """Return a value in another floating dtype."""
    if isinstance(x, Known) and x.kind == "derived":
        return replace(m.as_floats(x), name=x.name)
    m.scope.casts |= not isinstance(x, Argument)
    return shapes.pass_on(m, x)


def detach(m: Operators, x: Any) -> Value:
    """Return a value as it is, without its gradient."""
    if isinstance(x, Tensor):
        m.scope.account.leave("detach")
    return shapes.pass_on(m, x)


def to(m: Operators, x: Any, *args: Any, **kwargs: Any) -> Value:
    """Return a value in another dtype or on another device."""
    for target in (*args, *kwargs.values()):
        if str(target) == "torch.bool" and isinstance(x, Known):
            return as_mask(m, x)
        if str(target) in _CASTS:
            raise RefusedError(f"expected float32 or float64, received {target}", "E703")
        if str(target) in _INTEGERS:
            return long(m, x)
        if str(target).startswith("torch.float"):
            return cast(m, x)
    return shapes.pass_on(m, x)


def long(m: Operators, x: Any) -> Value:
    """Return a value as integers: tokens, or lengths."""
    if isinstance(x, Tensor) and x.at > 0:
        raise RefusedError("expected a cast to integers of tokens alone, received it behind layers")
    if is_input(x):
        m.scope.casts_to_integers = True
    if isinstance(x, Known) and x.kind == "derived":
        return replace(m.as_integers(x), name=x.name)
    return shapes.pass_on(m, x)


def size(m: Operators, x: Any, dim: Any = None) -> Value:
    """Return a size, or all of them."""
    sizes = _sizes(m, x)
    if sizes is None:
        return NonTensor()
    if dim is None:
        return sizes
    return m.run("Gather", sizes, shapes.axis_number(dim, len(sizes.samples[0])), axis=0)


def _sizes(m: Operators, x: Any) -> Known | None:
    """Return all sizes of a value, None if they are not known."""
    scope, rows = m.scope, m.scope.probes.rows
    match x:
        case Tensor() | Known():
            return m.compute("Shape", x)
        case ModuleArray():
            shapes = [scope.shape_of(x)] * len(rows)
        case States(number=number, at=at, swapped=swapped):
            units = scope.width(at)
            shapes = [(count, number) if swapped else (number, count) for count in rows]
            shapes = [(*shape, (units or 0) // x.directions) for shape in shapes]
        case State(states=states):
            units = scope.width(states.at)
            shapes = [(count, (units or 0) // states.directions) for count in rows]
        case Argument():
            shapes = [(count,) for count in rows]
        case _:
            return None
    bounds = shape_bounds([list(shape) for shape in shapes])
    return Known(tuple(np.array(shape, np.int64) for shape in shapes), bounds=bounds)


def rank(m: Operators, x: Any) -> Value:
    """Return the number of axes."""
    return m.run("Size", m.run("Shape", x)) if isinstance(x, Tensor | Known) else NonTensor()


def number_of_elements(m: Operators, x: Any) -> Value:
    """Return the number of elements."""
    return m.run("Size", x) if isinstance(x, Tensor | Known) else NonTensor()


def attribute(m: Operators, x: Any, name: str) -> Value:
    """Return an attribute of a tensor, or the values of a maximum."""
    match name:
        case "shape":
            return size(m, x)
        case "ndim":
            return rank(m, x)
        case "device" | "dtype":
            return NonTensor()
        case "data":
            return detach(m, x)
        case "values" if isinstance(x, Several):
            value: Value = x.items[0]
            return value
        case "T" | "mT" if isinstance(x, ModuleArray):
            return replace(x, turned=not x.turned)
        case "T" | "mT":
            raise RefusedError(f"expected shapes.transpose(0, 1), received .{name}")
        case _:
            raise RefusedError(
                f"rnnspec does not support the attribute '{name}' of {describe(x)}", "E701"
            )


def arange(m: Operators, *ends: Any, **_: Any) -> Value:
    """Return numbers in a row."""
    start, limit, step = (0, *ends, 1) if len(ends) == 1 else (*ends, 1)[:3]
    return m.run("Range", start, limit, step)


def zeros(m: Operators, *_: Any, **named: Any) -> Value:
    """Return zeros."""
    m.scope.casts |= str(named.get("dtype")).startswith("torch.float")
    return Zeros()


def unwritten(m: Operators, *_: Any) -> Value:
    """Return a new tensor whose numbers are not written yet."""
    del m
    return NonTensor()


# Packed sequences


def pack(
    m: Operators, x: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> Value:
    """Return a packed sequence."""
    scope = m.scope
    value = scope.in_place(scope.settle(scope.operand(x), in_any_row=True))
    if not isinstance(lengths, Known | Argument) or is_size(lengths):
        message = "expected lengths that are an argument of forward"
        counted = ", or tokens that are counted, (x != 0).sum(1)" if scope.tokens else ""
        raise RefusedError(
            f"{message}{counted}, received {describe(lengths)}; with example=(x, lengths) they are"
        )
    known = m.numbers(lengths)
    if known.samples[0].ndim != 1:
        raise RefusedError("expected one axis of lengths, received several", "E703")
    layers.lay_out_recurrent(scope, value, batch_first=batch_first)
    if known.name.startswith(AT_LEAST_ONE):
        scope.account.infer("a sequence of padding only has no step; in the module it has one")
    if LENGTHS not in known.name:
        scope.counted = True
        scope.note_lengths("")
    lengths_of = scope.probes.lengths
    if value.rows is not None:
        lengths_of = tuple(a[row] for a, row in zip(lengths_of, value.rows, strict=True))
    if not all(map(np.array_equal, known.arrays, lengths_of)):
        raise RefusedError("expected the tokens of each sequence counted, received those of a step")
    # Lengths that forward itself sorts may come in any order.
    is_sorted = all((np.diff(array) <= 0).all() for array in known.arrays)
    scope.decreasing |= enforce_sorted and not is_sorted
    return Packed(value)


def pad(
    m: Operators, x: Any, batch_first: bool = False, padding_value: float = 0.0,
    **_: Any,
) -> Value:  # fmt: skip
    """Return a packed sequence with its padding, and the lengths."""
    if not isinstance(x, Packed):
        raise RefusedError(f"expected a packed sequence, received {describe(x)}")
    if padding_value != 0.0:
        raise RefusedError(f"padding_value: expected 0.0, received {padding_value}", "E703")
    axes = ("B", "T", "F") if batch_first else ("T", "B", "F")
    lengths = m.numbers(Argument(m.scope.lengths))
    return Several((replace(x.steps, axes=axes, filler=0.0), lengths))


# Masks


def as_mask(m: Operators, x: Any) -> Value:
    """Return which tokens are not 0, or a mask as it is."""
    return m.as_truth(x) if isinstance(x, Known) and x.kind == "derived" else _not_zero(m, x)


def _not_zero(m: Operators, x: Any) -> Known:
    """Return which tokens are not 0.

    Raises:
        RefusedError: it is not about the tokens of the input.
    """
    if not isinstance(x, Known) or not is_input(x) or not m.scope.probes.setting.of(x.at).tokens:
        received = "features" if is_input(x) else describe(x)
        message = f"expected the tokens of the input, whose padding is 0, received {received}"
        raise RefusedError(f"{message}; give lengths as an argument of forward")
    return m.compute("Not", m.run("Equal", x, 0))


EXCHANGE = "; exchange the two tokens in the vocabulary, and their rows of the embedding"


def compare(op: str, expected: int, advice: str = "") -> Callable[..., Value]:
    """Return a comparison, of tokens with a number that tells them from 0, or of sizes."""

    def run(m: Operators, x: Any, y: Any) -> Value:
        if isinstance(x, Known | Argument) and not is_input(x):
            result = m.run("Equal" if op == "Differ" else op, x, y)
            return m.run("Not", result) if op == "Differ" else result
        if isinstance(x, Tensor) and x.numbers is not None and isinstance(y, int | float):
            equal = m.run("Equal", x, float(y))
            return equal if op == "Equal" else m.run("Not", equal)
        mask = _not_zero(m, x)
        if op == "Less":
            raise RefusedError("expected tokens compared with 0, received another comparison")
        if not isinstance(y, int | float) or y != expected:
            message = f"expected {expected}, as padding is token 0, received {describe(y)}{advice}"
            raise RefusedError(message, "E703")
        return m.run("Not", mask) if op in ("Equal", "LessOrEqual") else mask

    return run


def invert(m: Operators, x: Any) -> Value:
    """Return which tokens are 0, or are not if ``x`` says which are."""
    if not isinstance(x, Known):
        raise RefusedError(f"expected which tokens are 0, received {describe(x)}")
    return m.compute("Not", x)


def count_nonzero(m: Operators, x: Any, dim: Any = None) -> Value:
    """Return how many tokens are not 0."""
    return reduce_numbers(m, as_mask(m, x), "Sum", dim, keepdim=False)


def both(m: Operators, x: Any, y: Any) -> Value:
    """Return where two masks are true."""
    if not isinstance(x, Known) or not isinstance(y, Known):
        raise RefusedError(f"expected two masks, received {describe(x)} and {describe(y)}")
    return m.compute("And", x, y)


def any_true(m: Operators, x: Any, dim: Any = None, keepdim: bool = False) -> Value:
    """Return where any of the truth values along an axis holds."""
    if not isinstance(x, Known):
        raise RefusedError(f"expected which numbers are padding, received {describe(x)}")
    return m.as_truth(reduce_numbers(m, x, "Max", dim, keepdim=keepdim))


def _fill(m: Operators, condition: Any, x: Any, y: Any) -> Value:
    """Return the numbers of ``x`` where a mask is true, and those of ``y`` where it is not."""
    if not isinstance(condition, Known):
        raise RefusedError(
            f"expected a mask of the tokens that are 0, received {describe(condition)}"
        )
    for value in (x, y):
        if isinstance(value, bool) or not isinstance(value, int | float | Zeros | Tensor | State):
            message = f"expected a number in place of padding, received {describe(value)}"
            raise RefusedError(message)
    return m.apply_mask("Where", condition, m.numbers(x), m.numbers(y))


def masked_fill(m: Operators, x: Any, mask: Any, value: Any) -> Value:
    """Return a tensor with a number where a mask is true."""
    return _fill(m, mask, value, x)


def where(m: Operators, condition: Any, x: Any, y: Any) -> Value:
    """Return a tensor with a number where a mask is false."""
    return _fill(m, condition, x, y)


def reduce_numbers(m: Operators, x: Any, op: str, dim: Any, *, keepdim: bool) -> Value:
    """Return a statistic of known numbers over an axis, or over all of them."""
    known = m.as_integers(x)
    axes = None if dim is None else (shapes.axis_number(dim, known.samples[0].ndim),)
    named = {} if axes is None else {"axes": axes}
    return m.run(f"Reduce{op}", known, keepdims=int(keepdim), **named)
