"""Each framework's own optimizers, against the written-out ones with the same settings.

Both train the same model on the same batches, with the framework's gradients. If a framework is
known to differ, the parts of the difference are measured one by one: a written-out optimizer with
the same habit against the plain one, and the framework's own with and without summed gradients.
Only the rest has to be within the tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.comparison.gradients import trained_keys
from rnnspec.comparison.levels import distance, tolerances
from rnnspec.comparison.report import Finding, OwnOptimizer
from rnnspec.comparison.training.optimizers import ADAM, ADAMW, SGD, scaled, update_of
from rnnspec.comparison.training.steps import steady_share, take_steps, written_out

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from rnnspec.backends.optimizers import Cause, Optimizer, Step
    from rnnspec.comparison.case import Case, Live
    from rnnspec.comparison.gradients import Gradients
    from rnnspec.slots import Array

    Values = Mapping[str, Array]


def own_optimizers(
    case: Case, live: Live, gradients: Gradients, share: float
) -> dict[str, OwnOptimizer]:
    """Compare the framework's own optimizers, at a share of the usual rates and arrays."""
    trained = _Trained.of(case, live, gradients)
    return {each.name: trained.settled(each, share) for each in (SGD, ADAM, ADAMW)}


@dataclass(frozen=True, slots=True)
class _Trained:
    """A model to train with one optimizer after another, always from the same arrays.

    ``own`` and ``summed`` return the steps of the framework's own optimizers, with gradients as
    when it trains, and with one gradient for each row of an embedding.
    """

    case: Case
    live: Live
    gradients: Gradients
    own: Callable[[Optimizer], Step]
    summed: Callable[[Optimizer], Step]

    @classmethod
    def of(cls, case: Case, live: Live, gradients: Gradients) -> _Trained:
        """Return a model with the steps of its framework."""
        own_steps = live.backend.runtime.own_steps
        own, summed = (
            own_steps(live.model, trained_keys(live), training=case.trains, summed=summed)
            for summed in (False, True)
        )
        return cls(case, live, gradients, own, summed)

    def settled(self, given: Optimizer, share: float) -> OwnOptimizer:
        """Return the finding at a share at which rounding errors stay small.

        That share takes long to find, so it is computed only if a difference is not explained.
        """
        found = self.finding(given, share)
        if found.rest <= self._allowed:
            return found
        steady = steady_share(self.case, self.live, self.gradients)
        return found if steady >= share else self.finding(given, steady)

    @property
    def _allowed(self) -> float:
        return tolerances(self.case.dtype)["training"]

    def finding(self, given: Optimizer, share: float) -> OwnOptimizer:
        """Compare an optimizer, and if it differs, measure each known cause by itself."""
        given = scaled(given, share)
        ours, theirs = self._written_out(given, share), self._take(self.own(given), share)
        found = _largest(theirs, ours)
        causes = self.live.backend.causes()
        if found.difference <= self._allowed or not causes:
            return OwnOptimizer(found, {}, found.difference)
        summed = self._take(self.summed(given), share)
        parts = {
            cause: _largest(theirs, summed).difference
            if cause == "repeated"
            else _largest(self._written_out(given, share, [cause]), ours).difference
            for cause in causes
        }
        rest = _largest(summed, self._written_out(given, share, causes)).difference
        known = {cause: part for cause, part in parts.items() if part > self._allowed}
        return OwnOptimizer(found, known, rest)

    def _written_out(
        self, given: Optimizer, share: float, habits: Collection[Cause] = ()
    ) -> Values:
        step = written_out(self.live, self.gradients, update_of(given, habits))
        return self._take(step, share)

    def _take(self, step: Step, share: float) -> Values:
        return take_steps(self.case, self.live, step, share=share)


def _largest(one: Values, other: Values) -> Finding:
    """Return the largest difference, and its place."""
    distances = {name: distance(one[name], other[name]) for name in other}
    worst = max(distances, key=distances.__getitem__)
    return Finding(distances[worst], worst, tolerances("float64")["training"])
