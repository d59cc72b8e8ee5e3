"""Gradients on every backend, and a few steps of training with them.

The loss and its gradients are the framework's. The reference computes derivatives by complex step:
with an array shifted by i h along a direction, the imaginary part of the loss divided by h is the
derivative along that direction, exact to rounding because nothing is subtracted. This needs only
the forward equations, which the level before has compared. Source: Squire and Trapp, 1998. Each
gradient is compared along one random direction, in which an error in any element shows; between
backends, every element is compared.

The optimizers are written out on the canonical arrays, since the frameworks' own differ in details
that are not part of the network; a fault in one step affects every later one. The frameworks' own
are compared with these on request. Both train the same model on the same batches. If a framework is
known to differ, the parts of the difference are measured one by one: a written-out optimizer with
the same habit against the plain one, and the framework's own with and without summed gradients.
Only the rest must be within the tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

import numpy as np

from rnnspec.backends.optimizers import Optimizer
from rnnspec.comparison import reference
from rnnspec.comparison.levels import distance, tolerances
from rnnspec.comparison.report import Finding, OwnOptimizer
from rnnspec.ir.params import named_params
from rnnspec.weights.store import gather

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from rnnspec.backends.optimizers import Cause, OptimizerStep
    from rnnspec.backends.slots import Array, Batch
    from rnnspec.comparison.case import Case, Live

    Gradients = Callable[[Batch, Array, Array], tuple[float, dict[str, Array]]]
    Arrays = dict[str, Array]
    Update = Callable[[Arrays, Arrays], Arrays]
    Values = Mapping[str, Array]


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
    if not keys:
        return lambda *_: (0.0, {})
    learn = live.backend.runtime.learner(live.model, keys, training=training)

    def run(batch: Batch, target: Array, weight: Array) -> tuple[float, dict[str, Array]]:
        loss, gradients = learn(batch, target, weight)
        by_key = dict(zip(keys, gradients, strict=True))
        return loss, gather(places, lambda *key: by_key[key])

    return run


def trained_keys(live: Live) -> list[tuple[str, str]]:
    """Return (layer, path) of each array of the framework that is trained."""
    places = [place for place in live.store.places if place[2].trainable]
    # Several canonical arrays may share one array of the framework: ask for its gradient once.
    return list(dict.fromkeys((layer, slot.path) for _, layer, _, slot in places))


def directional_derivatives(case: Case) -> dict[str, Array]:
    """Return the reference's derivative of the loss along a direction of each array."""
    # In training, but without dropout.
    truth = (
        reference.run(case.network, case.arrays, case.batch, training=True)
        if _moving(case)
        else case.truth
    )

    def along(name: str, direction: Array) -> float:
        arrays = {**case.arrays, name: case.arrays[name] + 1j * _STEP * direction}
        # Layers before that of the array are not affected by the shift.
        layer = name.partition(".")[0]
        # A branch that is not taken may be infinite.
        with np.errstate(all="ignore"):
            result = reference.run_on(
                case.network, arrays, case.batch, truth, layer, training=case.trains
            )
        output = result.output
        loss = np.sum(case.weight * (output - case.target) ** 2) / 2.0
        return float(loss.imag) / _STEP

    return {name: np.array(along(name, direction)) for name, direction in _directions(case)} | dict(
        truth.moved
    )


def _moving(case: Case) -> list[str]:
    """Return the names of the arrays that batches move."""
    arrays = named_params(case.network) if case.trains else ()
    return [name for name, _, param in arrays if param.learned_from == "batches"]


def moved_arrays(case: Case, live: Live) -> dict[str, Array]:
    """Return the arrays of a model that batches move, which the gradients of one have moved."""
    return {name: live.store.read_one(live.model, name) for name in _moving(case)}


def along_directions(case: Case, gradients: Mapping[str, Array]) -> dict[str, Array]:
    """Return the derivatives of a backend along the same directions, and the moved arrays."""
    directions = dict(_directions(case))
    moved = {name: array for name, array in gradients.items() if name not in directions}
    return moved | {
        # In float64, so that a sum over many elements adds no rounding errors of its own.
        name: np.array(np.vdot(gradients[name].astype(np.float64), direction))
        for name, direction in directions.items()
    }


def _directions(case: Case) -> Iterator[tuple[str, Array]]:
    """Yield a random direction for each trainable array."""
    # A generator of its own, so that the directions do not depend on how the rest is drawn.
    rng = np.random.default_rng((case.seed, 2))
    for name, _, param in named_params(case.network):
        if param.trainable:
            yield name, rng.standard_normal(param.shape)


# Rates larger than usual, so that 20 steps move every array by far more than the tolerance.
SGD = Optimizer("SGD", rate=0.1)
ADAM = Optimizer("Adam", rate=0.01)
ADAMW = Optimizer("AdamW", rate=0.01, decay=0.1)


def update_of(optimizer: Optimizer, habits: Collection[Cause] = ()) -> Update:
    """Return a new update, with the habits of a framework.

    An update is a function of (arrays, gradients) that returns the next arrays.
    """
    match optimizer.name:
        case "SGD":
            rate = optimizer.rate
            return lambda arrays, slopes: {key: arrays[key] - rate * slopes[key] for key in slopes}
        case "Adam" | "AdamW":
            return adam(optimizer, habits)
        case _:
            assert_never(optimizer.name)


def adam(optimizer: Optimizer, habits: Collection[Cause] = ()) -> Update:
    """Return the update of Adam, and of AdamW if there is a decay.

    Sources: Kingma and Ba, 2015, algorithm 1, and for an epsilon before the bias correction the end
    of section 2; Loshchilov and Hutter, 2019, algorithm 2, with the decay scaled by the rate, as in
    every framework.
    """
    # Each training makes its own update function, so the moments are kept here.
    first: Arrays = {}
    second: Arrays = {}
    steps = 0
    settings = np.array([optimizer.beta_1, optimizer.beta_2, optimizer.decay])
    if "rounded" in habits:
        settings = settings.astype(np.float32).astype(np.float64)
    *betas, decay = settings

    def update(arrays: Arrays, gradients: Arrays) -> Arrays:
        nonlocal steps
        steps += 1
        mean, square = (1.0 - beta**steps for beta in betas)
        root = np.sqrt(square)
        epsilon = optimizer.epsilon / root if "epsilon" in habits else optimizer.epsilon
        moved: Arrays = {}
        for name, gradient in gradients.items():
            g = gradient.astype(np.float64)
            beta_1, beta_2 = optimizer.beta_1, optimizer.beta_2
            first[name] = beta_1 * first.get(name, 0.0) + (1.0 - beta_1) * g
            second[name] = beta_2 * second.get(name, 0.0) + (1.0 - beta_2) * g**2
            direction = first[name] / mean / (np.sqrt(second[name]) / root + epsilon)
            moved[name] = arrays[name] - optimizer.rate * (direction + decay * arrays[name])
        return moved

    return update


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
    results: dict[str, Array] = {}
    for optimizer in (SGD, ADAM):
        update = update_of(replace(optimizer, rate=share * optimizer.rate))
        step = step_by(update, live, gradients)
        values = take_steps(case, live, step, share=share, nudge=nudge)
        results |= {f"{optimizer.name.lower()}: {key}": array for key, array in values.items()}
    return results


def take_steps(
    case: Case, live: Live, step: OptimizerStep, *, share: float = 1.0, nudge: float = 0.0
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


def step_by(update: Update, live: Live, gradients: Gradients) -> OptimizerStep:
    """Return a function that takes a step by ``update``, with the framework's gradients."""

    def step(batch: Batch, target: Array, weight: Array) -> float:
        loss, slopes = gradients(batch, target, weight)
        stored = live.store.read(live.model)
        # Computed in float64 in either dtype, so it adds no difference between backends.
        arrays = {key: value.astype(np.float64) for key, value in stored.items()}
        live.store.write(live.model, {**arrays, **update(arrays, slopes)})
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


def _draw_step(case: Case, step: int) -> tuple[Batch, Array, Array]:
    """Return the batch, the target and the weight of a step, the same for every optimizer."""
    rng = np.random.default_rng((case.seed, step))
    batch = case.another_batch(rng)
    real = case.real(batch)
    target = rng.standard_normal(real.shape)
    # Half the mean squared error over the elements that are not padding, if there are any.
    return batch, target, real / max(real.sum(), 1.0)


def own_optimizers(
    case: Case, live: Live, gradients: Gradients, share: float
) -> dict[str, OwnOptimizer]:
    """Compare the framework's own optimizers, at a share of the usual rates and arrays."""
    learner = _Learner.of(case, live, gradients)
    return {
        optimizer.name: learner.steady_finding(optimizer, share) for optimizer in (SGD, ADAM, ADAMW)
    }


@dataclass(frozen=True, slots=True)
class _Learner:
    """A model to train with one optimizer after another, always from the same arrays.

    ``own_step`` and ``summed_step`` return the steps of the framework's own optimizers, with
    gradients as when it trains, and with one gradient for each row of an embedding.
    """

    case: Case
    live: Live
    gradients: Gradients
    own_step: Callable[[Optimizer], OptimizerStep]
    summed_step: Callable[[Optimizer], OptimizerStep]

    @classmethod
    def of(cls, case: Case, live: Live, gradients: Gradients) -> _Learner:
        """Return a model with the steps of its framework."""
        own_steps = live.backend.runtime.own_steps
        own_step, summed_step = (
            own_steps(live.model, trained_keys(live), training=case.trains, summed=summed)
            for summed in (False, True)
        )
        return cls(case, live, gradients, own_step, summed_step)

    def steady_finding(self, optimizer: Optimizer, share: float) -> OwnOptimizer:
        """Return the finding at a share at which rounding errors stay small.

        That share takes long to find, so it is computed only if a difference is not explained.
        """
        finding = self.finding(optimizer, share)
        if finding.rest <= tolerances(self.case.dtype)["training"]:
            return finding
        steady = steady_share(self.case, self.live, self.gradients)
        return finding if steady >= share else self.finding(optimizer, steady)

    def finding(self, optimizer: Optimizer, share: float) -> OwnOptimizer:
        """Compare an optimizer, and if it differs, measure each known cause by itself."""
        optimizer = replace(optimizer, rate=share * optimizer.rate)
        ours, theirs = (
            self._reference(optimizer, share),
            self._take(self.own_step(optimizer), share),
        )
        worst = _largest_difference(theirs, ours)
        tolerance = tolerances(self.case.dtype)["training"]
        causes = self.live.backend.causes()
        if worst.difference <= tolerance or not causes:
            return OwnOptimizer(worst, {}, worst.difference)
        summed = self._take(self.summed_step(optimizer), share)
        parts = {
            cause: _largest_difference(theirs, summed).difference
            if cause == "repeated"
            else _largest_difference(self._reference(optimizer, share, [cause]), ours).difference
            for cause in causes
        }
        rest = _largest_difference(summed, self._reference(optimizer, share, causes)).difference
        known = {cause: part for cause, part in parts.items() if part > tolerance}
        return OwnOptimizer(worst, known, rest)

    def _reference(
        self, optimizer: Optimizer, share: float, habits: Collection[Cause] = ()
    ) -> Values:
        step = step_by(update_of(optimizer, habits), self.live, self.gradients)
        return self._take(step, share)

    def _take(self, step: OptimizerStep, share: float) -> Values:
        return take_steps(self.case, self.live, step, share=share)


def _largest_difference(one: Values, other: Values) -> Finding:
    """Return the largest difference, and its place."""
    distances = {name: distance(one[name], other[name]) for name in other}
    worst = max(distances, key=distances.__getitem__)
    return Finding(distances[worst], worst, tolerances("float64")["training"])
