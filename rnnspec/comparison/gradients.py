"""Gradients of one scalar loss with respect to every canonical array.

The reference takes them by complex step: with an array shifted by i h in some direction, the
imaginary part of the loss over h is its derivative along that direction, exact to rounding since
nothing is subtracted. It needs no derivation of its own, only the forward equations, which the
level before has compared. Source: Squire and Trapp, 1998. An array is judged along a random
direction, in which an error in any element shows; between backends every element is compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rnnspec.comparison import reference
from rnnspec.ir.params import named_params
from rnnspec.weights.store import gather, origin, placed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rnnspec.comparison.case import Case, Live
    from rnnspec.slots import Array

    Gradients = Callable[[Array, Array, Array], tuple[float, dict[str, Array]]]

_STEP = 1e-30


def gradients_of(live: Live, *, training: bool = False) -> Gradients:
    """Return a function of (batch, target, weight) that gives a loss and its gradients.

    The model runs as in ``training`` or as in inference. The loss is
    sum(weight (output - target)^2) / 2; the gradients come by canonical name, in the model's
    dtype. Arrays that are not trained have none.
    """
    places = [place for place in placed(origin(live.model)) if place[2].trainable]
    keys = list(dict.fromkeys((layer, slot.path) for _, layer, _, slot in places))
    learn = live.backend.learning.learner(live.model, keys, training=training)

    def run(batch: Array, target: Array, weight: Array) -> tuple[float, dict[str, Array]]:
        loss, found = learn(batch, target, weight)
        kept = dict(zip(keys, found, strict=True))
        return loss, gather(places, lambda *key: kept[key])

    return run


def directional_derivatives(case: Case) -> dict[str, Array]:
    """Return the reference's derivative of the loss along the direction of each array."""

    def along(name: str, direction: Array) -> float:
        arrays = {**case.arrays, name: case.arrays[name] + 1j * _STEP * direction}
        # Layers before that of the array do what they did without a shift.
        layer = name.partition(".")[0]
        output = reference.run_on(case.network, arrays, case.batch, case.truth, layer).output
        loss = np.sum(case.weight * (output - case.target) ** 2) / 2.0
        return float(loss.imag) / _STEP

    return {name: np.array(along(name, direction)) for name, direction in _directions(case)}


def along_directions(case: Case, gradients: Mapping[str, Array]) -> dict[str, Array]:
    """Return a backend's derivatives along the same directions."""
    return {
        name: np.array(np.vdot(gradients[name].astype(np.float64), direction))
        for name, direction in _directions(case)
    }


def _directions(case: Case) -> Iterator[tuple[str, Array]]:
    """Yield a random direction for each array that is trained."""
    rng = np.random.default_rng((case.seed, 2))
    for name, _, param in named_params(case.network):
        if param.trainable:
            yield name, rng.standard_normal(param.shape)
