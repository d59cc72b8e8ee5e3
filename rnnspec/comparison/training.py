"""A few steps of plain SGD and of Adam, from the same arrays on the same batches.

The optimizers are implemented here, on the canonical arrays: frameworks put Adam's epsilon in
different places (Keras scales it by the bias correction, PyTorch does not), which is not part of
the network. The losses and gradients are the framework's own, so a fault in one step affects every
later one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rnnspec.comparison.levels import distance, tolerances

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.comparison.case import Case, Live
    from rnnspec.comparison.gradients import Gradients
    from rnnspec.slots import Array

    Arrays = dict[str, Array]
    Update = Callable[[Arrays, Arrays], Arrays]

STEPS = 20
# Larger than usual, so that 20 steps move every array by far more than the tolerance.
_LEARNING_RATES = {"sgd": 0.1, "adam": 0.01}
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
    rng = np.random.default_rng(case.seed)
    start = {
        name: share * array * (1.0 + nudge * rng.choice((-1.0, 1.0), array.shape))
        for name, array in case.arrays.items()
    }
    for name, optimizer in (("sgd", sgd), ("adam", adam)):
        update = optimizer(share * _LEARNING_RATES[name])
        live.store.write(live.model, start)
        losses = [_step(case, live, gradients, update, step) for step in range(STEPS)]
        found[f"{name}: losses"] = np.array(losses)
        found |= {f"{name}: {key}": array for key, array in live.store.read(live.model).items()}
    return found


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


def _step(case: Case, live: Live, gradients: Gradients, update: Update, step: int) -> float:
    # The same batch and target on every backend and for both optimizers.
    rng = np.random.default_rng((case.seed, step))
    batch = case.another_batch(rng)
    real = case.real(batch)
    target = rng.standard_normal(real.shape)
    # Half the mean squared error over the elements that are not padding.
    loss, found = gradients(batch, target, real / real.sum())
    # The update is computed in float64 in either dtype, so it adds no difference between backends.
    arrays = {key: value.astype(np.float64) for key, value in live.store.read(live.model).items()}
    live.store.write(live.model, {**arrays, **update(arrays, found)})
    return loss


def sgd(rate: float) -> Update:
    """Return the update of plain stochastic gradient descent."""

    def update(arrays: Arrays, gradients: Arrays) -> Arrays:
        return {name: arrays[name] - rate * gradients[name] for name in gradients}

    return update


def adam(rate: float, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7) -> Update:
    """Return the update of Adam. Source: Kingma and Ba, 2015, algorithm 1."""
    # The moments belong to this update function, of which each training makes a new one.
    first: Arrays = {}
    second: Arrays = {}
    steps = 0

    def update(arrays: Arrays, gradients: Arrays) -> Arrays:
        nonlocal steps
        steps += 1
        for name, gradient in gradients.items():
            g = gradient.astype(np.float64)
            first[name] = beta_1 * first.get(name, 0.0) + (1.0 - beta_1) * g
            second[name] = beta_2 * second.get(name, 0.0) + (1.0 - beta_2) * g**2
        return {name: arrays[name] - rate * _direction(name) for name in gradients}

    def _direction(name: str) -> Array:
        mean = first[name] / (1.0 - beta_1**steps)
        square = second[name] / (1.0 - beta_2**steps)
        direction: Array = mean / (np.sqrt(square) + epsilon)
        return direction

    return update
