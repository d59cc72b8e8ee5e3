"""Gradients of one scalar loss with respect to every canonical array.

The reference computes derivatives by complex step: with an array shifted by i h along a direction,
the imaginary part of the loss divided by h is the derivative along that direction, exact to
rounding because nothing is subtracted. This needs only the forward equations, which the level
before has compared. Source: Squire and Trapp, 1998. Each gradient is compared along one random
direction, in which an error in any element shows; between backends, every element is compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rnnspec.comparison import reference
from rnnspec.ir.params import named_params
from rnnspec.weights.store import gather

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rnnspec.comparison.case import Case, Live
    from rnnspec.slots import Array

    Gradients = Callable[[Array, Array, Array], tuple[float, dict[str, Array]]]

# Without a subtraction there is no cancellation, so the step can be this small.
_STEP = 1e-30


def gradients_of(live: Live, *, training: bool = False) -> Gradients:
    """Return a function of (batch, target, weight) that returns a loss and its gradients.

    The model runs as in ``training`` or as in inference. The loss is
    sum(weight (output - target)^2) / 2. The gradients are by canonical name, in the dtype of the
    model; arrays that are not trainable have none.
    """
    places = [place for place in live.store.places if place[2].trainable]
    keys = trained_keys(live)
    learn = live.backend.runtime.learner(live.model, keys, training=training)

    def run(batch: Array, target: Array, weight: Array) -> tuple[float, dict[str, Array]]:
        loss, found = learn(batch, target, weight)
        kept = dict(zip(keys, found, strict=True))
        return loss, gather(places, lambda *key: kept[key])

    return run


def trained_keys(live: Live) -> list[tuple[str, str]]:
    """Return (layer, path) of each array of the framework that is trained."""
    places = [place for place in live.store.places if place[2].trainable]
    # Several canonical arrays may share one array of the framework: ask for its gradient once.
    return list(dict.fromkeys((layer, slot.path) for _, layer, _, slot in places))


def directional_derivatives(case: Case) -> dict[str, Array]:
    """Return the reference's derivative of the loss along a direction of each array."""

    def along(name: str, direction: Array) -> float:
        arrays = {**case.arrays, name: case.arrays[name] + 1j * _STEP * direction}
        # Layers before that of the array are not affected by the shift.
        layer = name.partition(".")[0]
        output = reference.run_on(case.network, arrays, case.batch, case.truth, layer).output
        loss = np.sum(case.weight * (output - case.target) ** 2) / 2.0
        return float(loss.imag) / _STEP

    return {name: np.array(along(name, direction)) for name, direction in _directions(case)}


def along_directions(case: Case, gradients: Mapping[str, Array]) -> dict[str, Array]:
    """Return the derivatives of a backend along the same directions."""
    return {
        # In float64, so that a sum over many elements adds no rounding errors of its own.
        name: np.array(np.vdot(gradients[name].astype(np.float64), direction))
        for name, direction in _directions(case)
    }


def _directions(case: Case) -> Iterator[tuple[str, Array]]:
    """Yield a random direction for each trainable array."""
    # A generator of its own, so that the directions do not depend on how the rest is drawn.
    rng = np.random.default_rng((case.seed, 2))
    for name, _, param in named_params(case.network):
        if param.trainable:
            yield name, rng.standard_normal(param.shape)
