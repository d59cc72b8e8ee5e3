"""Distributions of initial arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


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


# A new kind of initializer goes here; mypy then reports every match that does not handle it.
Initializer = GlorotUniform | HeUniform | LecunUniform | Orthogonal | Uniform | Normal | Constant

NAMED: dict[str, Initializer] = {
    "glorot_uniform": GlorotUniform(),
    "he_uniform": HeUniform(),
    "lecun_uniform": LecunUniform(),
    "orthogonal": Orthogonal(),
    "zeros": Constant(0.0),
    "ones": Constant(1.0),
}
"""The initializers that have a name in the language."""
# By their text, because -0.0 equals 0.0.
_NAMES = {repr(initializer): name for name, initializer in NAMED.items()}


def in_words(initializer: Initializer) -> Any:
    """Return an initializer as a spec writes it: ``zeros``, ``{uniform: 0.05}``."""
    if name := _NAMES.get(repr(initializer)):
        return name
    values = [getattr(initializer, field.name) for field in fields(initializer)]
    return {type(initializer).__name__.lower(): values[0] if len(values) == 1 else values}
