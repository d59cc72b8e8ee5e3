"""Sizes as polynomials, and the bounds of numbers that hold for every size and every padding."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rnnspec.backends.slots import Array

    Probed = tuple[Array, ...]
    Size = tuple[int, ...]
    """An open size, as its number in each probe: at least 1."""

_FEW = 64
"""The most numbers of an array with bounds for each of them."""
_MOST_TERMS = 16


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A sum of products of open sizes, with a factor for each product; of none is the constant."""

    terms: Mapping[tuple[Size, ...], float]

    def __add__(self, other: Polynomial) -> Polynomial:
        """Return the sum."""
        total = defaultdict(float, self.terms)
        for sizes, factor in other.terms.items():
            total[sizes] += factor
        return Polynomial({sizes: factor for sizes, factor in total.items() if factor})

    def __mul__(self, other: Polynomial) -> Polynomial:
        """Return the product."""
        total = defaultdict[tuple["Size", ...], float](float)
        for one, a in self.terms.items():
            for two, b in other.terms.items():
                total[tuple(sorted(one + two))] += a * b
        return Polynomial({sizes: factor for sizes, factor in total.items() if factor})

    def __sub__(self, other: Polynomial) -> Polynomial:
        """Return the difference."""
        return self + other * number(-1)

    @property
    def constant(self) -> float | None:
        """The number that it is, None if it depends on sizes."""
        return self.terms.get((), 0.0) if set(self.terms) <= {()} else None

    @property
    def least(self) -> float | None:
        """The smallest number that it is for any sizes, None if there may be none."""
        # In the sizes less 1, which are at least 0.
        shifted = defaultdict[tuple["Size", ...], float](float)
        for sizes, factor in self.terms.items():
            for count in range(len(sizes) + 1):
                for part in combinations(sizes, count):
                    shifted[part] += factor
        constant = shifted.pop((), 0.0)
        return constant if all(factor >= 0 for factor in shifted.values()) else None

    def at(self, probe: int) -> float:
        """Return its value for a probe."""
        return sum(
            factor * prod(size[probe] for size in sizes) for sizes, factor in self.terms.items()
        )


def number(value: float) -> Polynomial:
    """Return a constant."""
    return Polynomial({(): value} if value else {})


def size_of(values: Sequence[int]) -> Polynomial:
    """Return a size by what it is in each probe."""
    sizes = tuple(map(int, values))
    return number(sizes[0]) if len(set(sizes)) == 1 else Polynomial({(sizes,): 1.0})


def _at_least(one: Polynomial | None, two: Polynomial | None) -> bool:
    """True if one is never less than another."""
    if one is None or two is None:
        return False
    least = (one - two).least
    return least is not None and least >= 0


def _smaller(one: Polynomial | None, two: Polynomial | None) -> Polynomial | None:
    """Return a bound below both."""
    return one if _at_least(two, one) else two if _at_least(one, two) else None


def _larger(one: Polynomial | None, two: Polynomial | None) -> Polynomial | None:
    """Return a bound above both."""
    return one if _at_least(one, two) else two if _at_least(two, one) else None


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """The bounds of numbers: for each of a few, or, in arrays without axes, for all of them.

    The arrays have polynomials, and None where there is no bound.
    """

    low: Array
    high: Array

    @property
    def is_exact(self) -> Array:
        """Where the numbers are known for every size."""
        return np.asarray(_EXACT(self.low, self.high), bool)

    @property
    def whole(self) -> Bounds:
        """The bounds of all numbers together."""
        if not self.low.ndim:
            return self
        if not self.low.size:
            return UNBOUNDED
        low, high = self.low.flat[0], self.high.flat[0]
        for one, two in zip(self.low.flat[1:], self.high.flat[1:], strict=True):
            low, high = _smaller(low, one), _larger(high, two)
        return interval(low, high)

    def is_at_least(self, other: Bounds) -> Array:
        """Return where no number is less than another."""
        return np.asarray(_AT_LEAST(self.low, other.high), bool)

    def where(self, condition: Array, other: Bounds) -> Bounds:
        """Return these bounds where a condition holds, and others elsewhere."""
        return Bounds(
            np.where(condition, self.low, other.low), np.where(condition, self.high, other.high)
        )

    def union(self, other: Bounds) -> Bounds:
        """Return the bounds of numbers that are from here or from there."""
        low, high = _SMALLER(self.low, other.low), _LARGER(self.high, other.high)
        return Bounds(np.asarray(low), np.asarray(high))

    def fits(self, arrays: Probed) -> bool:
        """True if the numbers of the probes are within the bounds."""
        for i, array in enumerate(arrays):
            low, high = (
                np.array([d if b is None else b.at(i) for b in side.flat]).reshape(side.shape)
                for side, d in ((self.low, -np.inf), (self.high, np.inf))
            )
            if not np.logical_and(low <= array, array <= high).all():
                return False
        return True


def interval(low: Polynomial | None, high: Polynomial | None) -> Bounds:
    """Return bounds of all numbers."""
    sides = np.empty((2,), object)
    sides[:] = [low, high]
    return Bounds(sides[0:1].reshape(()), sides[1:2].reshape(()))


UNBOUNDED = interval(None, None)
BINARY = interval(number(0), number(1))


def constant_bounds(array: Array) -> Bounds:
    """Return the bounds of constants."""
    if array.dtype.kind not in "biuf" or not array.size:
        return UNBOUNDED
    if array.size <= _FEW:
        sides = np.empty(array.shape, object)
        sides.reshape(-1)[:] = [number(float(element)) for element in array.flat]
        return Bounds(sides, sides)
    return interval(number(float(array.min())), number(float(array.max())))


def shape_bounds(shapes: Sequence[Sequence[int]]) -> Bounds:
    """Return the bounds of a shape by what it is in each probe."""
    if len(set(map(len, shapes))) > 1:
        return UNBOUNDED
    sides = np.empty(len(shapes[0]), object)
    sides[:] = [size_of(column) for column in zip(*shapes, strict=True)]
    return Bounds(sides, sides)


def _of_both(function: Callable[[Any, Any], Any]) -> Any:
    return np.frompyfunc(
        lambda one, two: None if one is None or two is None else function(one, two), 2, 1
    )


def _product(one: Polynomial, two: Polynomial) -> Polynomial | None:
    product = one * two
    return product if len(product.terms) <= _MOST_TERMS else None


_EXACT = np.frompyfunc(lambda low, high: low is not None and low == high, 2, 1)
_AT_LEAST = np.frompyfunc(_at_least, 2, 1)
_SMALLER = np.frompyfunc(_smaller, 2, 1)
_LARGER = np.frompyfunc(_larger, 2, 1)
_ANY_LARGER = np.frompyfunc(
    lambda one, two: two if one is None or _at_least(two, one) else one, 2, 1
)
_ANY_SMALLER = np.frompyfunc(
    lambda one, two: two if one is None or _at_least(one, two) else one, 2, 1
)
_SUM = _of_both(lambda one, two: one + two)
_DIFFERENCE = _of_both(lambda one, two: one - two)
_PRODUCT = _of_both(_product)


def add(x: Bounds, y: Bounds) -> Bounds:
    """Return the bounds of sums."""
    return Bounds(np.asarray(_SUM(x.low, y.low)), np.asarray(_SUM(x.high, y.high)))


def subtract(x: Bounds, y: Bounds) -> Bounds:
    """Return the bounds of differences."""
    return Bounds(np.asarray(_DIFFERENCE(x.low, y.high)), np.asarray(_DIFFERENCE(x.high, y.low)))


def multiply(x: Bounds, y: Bounds) -> Bounds:
    """Return the bounds of products, if one of the factors has one sign."""
    zero = constant_bounds(np.array(0))
    if not y.is_at_least(zero).all() and not zero.is_at_least(y).all():
        x, y = y, x
    if zero.is_at_least(y).all() and not y.is_at_least(zero).all():
        minus = multiply(x, subtract(zero, y))
        return subtract(zero, minus)
    if not y.is_at_least(zero).all():
        return UNBOUNDED
    # A negative bound is farthest with the largest factor.
    negative = ~x.is_at_least(zero)
    positive = ~zero.is_at_least(x)
    low = _PRODUCT(x.low, np.where(negative, y.high, y.low))
    high = _PRODUCT(x.high, np.where(positive, y.high, y.low))
    return Bounds(np.asarray(low), np.asarray(high))


def maximum(x: Bounds, y: Bounds) -> Bounds:
    """Return the bounds of the larger ones of two numbers each."""
    low, high = _ANY_LARGER(x.low, y.low), _LARGER(x.high, y.high)
    return Bounds(np.asarray(low), np.asarray(high))


def minimum(x: Bounds, y: Bounds) -> Bounds:
    """Return the bounds of the smaller ones of two numbers each."""
    low, high = _SMALLER(x.low, y.low), _ANY_SMALLER(x.high, y.high)
    return Bounds(np.asarray(low), np.asarray(high))
