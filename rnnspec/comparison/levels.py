"""How far a comparison goes, and how large a difference is still called equal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from rnnspec.errors import UsageError

if TYPE_CHECKING:
    from rnnspec.slots import Array

LEVELS = ("counts", "forward", "gradients", "training")
"""Each level includes those before it."""

DEFAULT_LEVEL = "gradients"

TOLERANCES: dict[str, dict[str, float]] = {
    "float64": {"forward": 1e-9, "gradients": 1e-7, "training": 1e-7},
    "float32": {"forward": 1e-5, "gradients": 1e-4, "training": 1e-3},
}
"""By dtype and level, of ``distance``."""


def levels_up_to(level: str) -> tuple[str, ...]:
    """Return the levels that ``level`` includes.

    Raises:
        UsageError: there is no such level.
    """
    if level not in LEVELS:
        raise UsageError(f"unknown level '{level}'; there are {', '.join(LEVELS)}")
    return LEVELS[: LEVELS.index(level) + 1]


def tolerances(dtype: str) -> dict[str, float]:
    """Return the tolerance of each level for numbers of type ``dtype``.

    Raises:
        UsageError: there is no such dtype.
    """
    if dtype not in TOLERANCES:
        raise UsageError(f"unknown dtype '{dtype}'; there are {' and '.join(TOLERANCES)}")
    return TOLERANCES[dtype]


def distance(one: Array, other: Array) -> float:
    """Return the largest difference, relative where ``other`` is larger than 1 somewhere.

    It is infinite where the shapes differ or a number is not finite.
    """
    if one.shape != other.shape:
        return math.inf
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return math.inf
    difference = np.abs(one.astype(np.float64) - other.astype(np.float64))
    scale = max(1.0, float(np.max(np.abs(other), initial=0.0)))
    return float(np.max(difference, initial=0.0)) / scale
