"""A random batch for a network, with every pattern of padding where it has a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import numpy as np

from rnnspec.ir.nodes import Input, NumericInput, TokenInput

if TYPE_CHECKING:
    from rnnspec.layout import Array

ROWS = 6
STEPS_OF_ANY_LENGTH = 12


def draw_batch(entrance: Input, rng: np.random.Generator) -> Array:
    """Return tokens (rows, steps) as int32, or numbers (rows, steps, features) as float64.

    Where padding is possible the rows are: none, right, left, inside, all but one step, and a
    row of padding alone. A real step then holds the value of padding now and then, though not in
    every feature.
    """
    steps = STEPS_OF_ANY_LENGTH if entrance.steps is None else entrance.steps
    real = _padding(rng, steps) if entrance.masked else np.ones((ROWS, steps), dtype=bool)
    match entrance:
        case TokenInput(vocabulary=size):
            first = 1 if entrance.masked and size > 1 else 0
            return np.where(real, rng.integers(first, size, real.shape), 0).astype(np.int32)
        case NumericInput(features=features, mask_value=value):
            numbers = rng.standard_normal((*real.shape, features))
            if value is None:
                return numbers
            if features > 1:
                numbers[..., 0] = np.where(rng.random(real.shape) < 0.5, value, numbers[..., 0])
            return np.where(real[..., np.newaxis], numbers, value)
        case _:
            assert_never(entrance)


def _padding(rng: np.random.Generator, steps: int) -> Array:
    """Return what is true at real steps, (rows, steps)."""
    at = np.arange(steps)
    cut = rng.integers(1, steps + 1)
    rows = [
        np.ones(steps, dtype=bool),
        at < cut,
        at >= steps - cut,
        rng.random(steps) < 0.5,
        at == rng.integers(0, steps),
        np.zeros(steps, dtype=bool),
    ]
    return np.stack(rows)
