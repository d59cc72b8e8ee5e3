"""A few steps of plain SGD and of Adam, from the same arrays on the same batches.

The optimizers are those of ``optimizers``, on the canonical arrays: the frameworks' own differ in
details that are not part of the network. The losses and gradients are the framework's own, so a
fault in one step affects every later one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rnnspec.comparison.levels import distance, tolerances
from rnnspec.comparison.training.optimizers import ADAM, SGD, scaled, update_of

if TYPE_CHECKING:
    from rnnspec.backends.optimizers import Step
    from rnnspec.comparison.case import Case, Live
    from rnnspec.comparison.gradients import Gradients
    from rnnspec.comparison.training.optimizers import Update
    from rnnspec.slots import Array

STEPS = 20
_SHARES = tuple(2.0**-halvings for halvings in range(9))
# About a thousand times the relative rounding error of one operation.
_NUDGE = {"float64": 1e-12, "float32": 1e-4}


def train(
    case: Case, live: Live, gradients: Gradients, *, share: float = 1.0, nudge: float = 0.0
) -> dict[str, Array]:
    """Return, for each optimizer, the loss at every step and the arrays after the last.

    Learning rates and initial arrays are multiplied by ``share``, and each element of the arrays is
    moved up or down by a relative ``nudge``.
    """
    found: dict[str, Array] = {}
    for given in (SGD, ADAM):
        step = written_out(live, gradients, update_of(scaled(given, share)))
        values = take_steps(case, live, step, share=share, nudge=nudge)
        found |= {f"{given.name.lower()}: {key}": array for key, array in values.items()}
    return found


def take_steps(
    case: Case, live: Live, step: Step, *, share: float = 1.0, nudge: float = 0.0
) -> dict[str, Array]:
    """Return ``losses``, the loss at every step, and the arrays after the last."""
    rng = np.random.default_rng(case.seed)
    start = {
        name: share * array * (1.0 + nudge * rng.choice((-1.0, 1.0), array.shape))
        for name, array in case.arrays.items()
    }
    live.store.write(live.model, start)
    losses = np.array([step(*_draw_step(case, number)) for number in range(STEPS)])
    return {"losses": losses, **live.store.read(live.model)}


def written_out(live: Live, gradients: Gradients, update: Update) -> Step:
    """Return a function that takes a step by ``update``, with the framework's gradients."""

    def step(batch: Array, target: Array, weight: Array) -> float:
        loss, found = gradients(batch, target, weight)
        kept = live.store.read(live.model)
        # Computed in float64 in either dtype, so it adds no difference between backends.
        arrays = {key: value.astype(np.float64) for key, value in kept.items()}
        live.store.write(live.model, {**arrays, **update(arrays, found)})
        return loss

    return step


def steady_share(case: Case, live: Live, gradients: Gradients) -> float:
    """Return the largest share of rates and arrays at which rounding errors stay small.

    If gradients explode, as they may with an unbounded state, any two orders of summation end at
    different losses, so a comparison would mean nothing.
    """
    limit = 100.0 * tolerances(case.dtype)["training"]
    for share in _SHARES:
        plain, nudged = (
            train(case, live, gradients, share=share, nudge=nudge)
            for nudge in (0.0, _NUDGE[case.dtype])
        )
        if all(distance(nudged[name], plain[name]) < limit for name in plain):
            break
    return share


def _draw_step(case: Case, step: int) -> tuple[Array, Array, Array]:
    """Return the batch, the target and the weight of a step, the same for every optimizer."""
    rng = np.random.default_rng((case.seed, step))
    batch = case.another_batch(rng)
    real = case.real(batch)
    target = rng.standard_normal(real.shape)
    # Half the mean squared error over the elements that are not padding.
    return batch, target, real / real.sum()
