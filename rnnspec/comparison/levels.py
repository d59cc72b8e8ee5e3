"""Levels of comparison, and the tolerance of each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from rnnspec.backends.base import LEVELS
from rnnspec.backends.needs import IN_WORDS
from rnnspec.backends.optimizers import OPTIMIZERS
from rnnspec.errors import UsageError
from rnnspec.errors.arguments import one_of

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array
    from rnnspec.ir.forms import Form

DEFAULT_LEVEL = "gradients"
_HIGHEST_TO_DEPLOY = "forward"

TOLERANCES: dict[str, dict[str, float]] = {
    "float64": {"forward": 1e-9, "gradients": 1e-7, "training": 1e-7},
    "float32": {"forward": 1e-5, "gradients": 1e-4, "training": 1e-3},
}
"""The largest ``distance`` that counts as equal, by dtype and level.

In float32, each output has its own bound in place of that of ``forward``, from ``rounding``. Where
it is larger, arrays are made smaller if that helps.
"""


def levels_up_to(level: str) -> tuple[str, ...]:
    """Return the levels that ``level`` includes.

    Raises:
        UsageError: the level is unknown.
    """
    one_of("level", level, LEVELS)
    return LEVELS[: LEVELS.index(level) + 1]


def level_for(level: str | None, form: Form | None) -> str:
    """Return the named level, or the default one for a form of source.

    Raises:
        UsageError: the level is unknown, or compares training and the form has none.
    """
    if form is None or form == "training":
        return DEFAULT_LEVEL if level is None else one_of("level", level, LEVELS)
    highest = _HIGHEST_TO_DEPLOY
    level = highest if level is None else one_of("level", level, LEVELS)
    if LEVELS.index(level) > LEVELS.index(highest):
        message = f"source {IN_WORDS[form]} does not train; it is compared up to {highest}"
        raise UsageError(f"{message}, received the level {level}")
    return level


def trains_own(optimizer: str, level: str | None, dtype: str) -> bool:
    """True if the frameworks' own optimizers are to be compared.

    Raises:
        UsageError: the name is unknown, or the level or the dtype rules it out.
    """
    if one_of("optimizer", optimizer, OPTIMIZERS) == "reference":
        return False
    if level not in {None, "training"}:
        raise UsageError(
            f"the optimizer own is compared at the level training, received the level {level}; "
            "leave it out"
        )
    if dtype != "float64":
        raise UsageError(f"the optimizer own is compared in float64, received the dtype {dtype}")
    return True


def tolerances(dtype: str) -> dict[str, float]:
    """Return the tolerance of each level in ``dtype``.

    Raises:
        UsageError: the dtype is unknown.
    """
    return TOLERANCES[one_of("dtype", dtype, TOLERANCES)]


def distance(one: Array, other: Array) -> float:
    """Return the largest difference, relative to the largest value of ``other`` if that is above 1.

    The distance is infinite if the shapes differ or a value is not finite.
    """
    # Shapes that differ might broadcast.
    if one.shape != other.shape:
        return math.inf
    # A comparison with NaN is always false, so a NaN would count as within the tolerance.
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return math.inf
    difference = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return float(np.max(difference, initial=0.0)) / size_of(other)


def size_of(value: Array) -> float:
    """Return the largest absolute value, or 1 if that is larger.

    Differences are relative to it: absolute below 1, since relative differences of values near 0
    are rounding errors.
    """
    return max(1.0, float(np.max(np.abs(value), initial=0.0)))
