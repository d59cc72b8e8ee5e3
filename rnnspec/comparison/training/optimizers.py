"""The optimizers, written out on the canonical arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

import numpy as np

from rnnspec.backends.optimizers import Optimizer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from rnnspec.backends.optimizers import Cause
    from rnnspec.slots import Array

    Arrays = dict[str, Array]
    Update = Callable[[Arrays, Arrays], Arrays]

# Rates larger than usual, so that 20 steps move every array by far more than the tolerance.
SGD = Optimizer("SGD", rate=0.1)
ADAM = Optimizer("Adam", rate=0.01)
ADAMW = Optimizer("AdamW", rate=0.01, decay=0.1)


def scaled(given: Optimizer, share: float) -> Optimizer:
    """Return an optimizer with a share of its rate."""
    return replace(given, rate=share * given.rate)


def update_of(given: Optimizer, habits: Collection[Cause] = ()) -> Update:
    """Return a new update, with the habits of a framework.

    An update is a function of (arrays, gradients) that returns the next arrays.
    """
    match given.name:
        case "SGD":
            return sgd(given.rate)
        case "Adam" | "AdamW":
            return adam(given, habits)
        case _:
            assert_never(given.name)


def sgd(rate: float) -> Update:
    """Return the update of plain stochastic gradient descent."""

    def update(arrays: Arrays, gradients: Arrays) -> Arrays:
        return {name: arrays[name] - rate * gradients[name] for name in gradients}

    return update


def adam(given: Optimizer, habits: Collection[Cause] = ()) -> Update:
    """Return the update of Adam, and of AdamW if there is a decay.

    Sources: Kingma and Ba, 2015, algorithm 1, and for an epsilon before the bias correction the end
    of section 2; Loshchilov and Hutter, 2019, algorithm 2, with the decay scaled by the rate, as in
    every framework.
    """
    # The moments belong to this update function, of which each training makes a new one.
    first: Arrays = {}
    second: Arrays = {}
    steps = 0
    settings = np.array([given.beta_1, given.beta_2, given.decay])
    if "rounded" in habits:
        settings = settings.astype(np.float32).astype(np.float64)
    *betas, decay = settings

    def update(arrays: Arrays, gradients: Arrays) -> Arrays:
        nonlocal steps
        steps += 1
        for name, gradient in gradients.items():
            g = gradient.astype(np.float64)
            first[name] = given.beta_1 * first.get(name, 0.0) + (1.0 - given.beta_1) * g
            second[name] = given.beta_2 * second.get(name, 0.0) + (1.0 - given.beta_2) * g**2
        return {
            name: arrays[name] - given.rate * (_direction(name) + decay * arrays[name])
            for name in gradients
        }

    def _direction(name: str) -> Array:
        mean, square = (1.0 - beta**steps for beta in betas)
        root = np.sqrt(square)
        epsilon = given.epsilon / root if "epsilon" in habits else given.epsilon
        direction: Array = first[name] / mean / (np.sqrt(second[name]) / root + epsilon)
        return direction

    return update
