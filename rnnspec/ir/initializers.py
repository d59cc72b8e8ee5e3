"""Distributions of initial arrays."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GlorotUniform:
    """U(-a, a) with a = sqrt(6 / (fan in + fan out)). Source: Glorot and Bengio, 2010."""


@dataclass(frozen=True, slots=True)
class HeUniform:
    """U(-a, a) with a = sqrt(6 / fan in). Source: He et al., 2015."""


@dataclass(frozen=True, slots=True)
class LecunUniform:
    """U(-a, a) with a = sqrt(3 / fan in). Source: LeCun et al., 1998."""


@dataclass(frozen=True, slots=True)
class Orthogonal:
    """A (semi-)orthogonal matrix, uniform over all of them. Source: Saxe et al., 2014."""


@dataclass(frozen=True, slots=True)
class Uniform:
    """U(-limit, limit)."""

    limit: float


@dataclass(frozen=True, slots=True)
class Normal:
    """N(0, stddev ** 2), not truncated."""

    stddev: float


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value in every element."""

    value: float


Initializer = GlorotUniform | HeUniform | LecunUniform | Orthogonal | Uniform | Normal | Constant
