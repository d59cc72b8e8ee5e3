"""Compare a case on each backend with the spec's counts, the reference and other backends."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

from rnnspec.backends import get, in_form
from rnnspec.comparison.case import run_forward
from rnnspec.comparison.levels import distance, levels_up_to, tolerances
from rnnspec.comparison.report import BackendResult, Finding, OwnOptimizer, SpecParity
from rnnspec.comparison.training import (
    along_directions,
    directional_derivatives,
    gradients_of,
    moved_arrays,
    own_optimizers,
    steady_share,
    train,
)
from rnnspec.errors import Difference
from rnnspec.ir.params import Counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rnnspec.backends import Backend
    from rnnspec.backends.slots import Array
    from rnnspec.comparison.case import Case, Live
    from rnnspec.comparison.training import Gradients

    Values = Mapping[str, Array]


@dataclass(slots=True)
class Comparison:
    """The comparison of a case on one backend after another, up to ``level``.

    With ``own_optimizers``, each framework's own optimizers are compared too.
    """

    case: Case
    level: str
    own_optimizers: bool = False
    _results: dict[str, BackendResult] = field(default_factory=dict)
    _values: dict[str, dict[str, Values]] = field(default_factory=dict)
    _bounds: dict[str, dict[str, float]] = field(default_factory=dict)
    """The bound of each layer's output on each backend, in float32."""
    _truths: dict[str, Values] = field(default_factory=dict)
    _differences: list[Difference] = field(default_factory=list)
    _learners: dict[str, tuple[Live, Gradients]] = field(default_factory=dict)
    _share: float = 1.0
    """The share of the usual rates and arrays in training, the same for every backend."""

    def add(self, backend: Backend) -> None:
        """Build the case on ``backend`` and compare it."""
        live = self.case.build(backend)
        # Without the zeros that stock layers add.
        zeros = live.store.zeros
        # Source for inference has no dropout layers.
        numbers = dict.fromkeys(self.case.layers, 0) | {
            layer.name: live.runtime.layer_count(live.model, layer) - zeros.get(layer.name, 0)
            for layer in live.generated.network.layers
        }
        total = live.runtime.counts(live.model)
        total = Counts(total.trainable - sum(zeros.values()), total.non_trainable)
        wrong = list(self._count_differences(backend.name, numbers, total))
        self._differences += wrong
        # The case's arrays do not fit into a model of other sizes, so there is nothing to run.
        self._values[backend.name] = {} if wrong else self._run(live)
        findings = {
            level: self._compare_level(backend.name, level)
            for level in levels_up_to(self.level)[1:]
        }
        self._results[backend.name] = BackendResult(
            live.runtime.version(),
            numbers,
            total,
            findings,
            live.generated.form,
            self._compare_own(backend),
        )

    def report(self) -> SpecParity:
        """Return the results, with the differences between backends."""
        network = self.case.network
        stock = {
            name: get(name).emitter.stock(in_form(network, result.form))
            for name, result in self._results.items()
        }
        return SpecParity(
            name=self.case.network.name,
            layers=self.case.layers,
            parameters=self.case.parameters,
            backends=self._results,
            stock=stock,
            differences=(*self._differences, *self._pairwise_differences()),
        )

    def _run(self, live: Live) -> dict[str, Values]:
        """Return the values that a backend computes, by level."""
        case, levels = self.case, levels_up_to(self.level)
        values: dict[str, Values] = {}
        if "forward" in levels:
            case.reset(live)
            values["forward"] = run_forward(live.generated, live.model, case)
        if "gradients" in levels:
            live = case.to_train(live)
            gradients = gradients_of(live, training=case.trains)
            _, slopes = gradients(case.batch, case.target, case.weight)
            values["gradients"] = slopes | moved_arrays(case, live)
            if "training" in levels:
                values["training"] = self._train(live, gradients)
        return values

    def _train(self, live: Live, gradients: Gradients) -> Values:
        """Train on one more backend, with a share of rates and arrays at which all are stable.

        The share takes long to find, so it is computed only if backends differ.
        """
        self._learners[live.backend.name] = live, gradients
        values = train(self.case, live, gradients, share=self._share)
        truth = self._truth("training", values)
        distances = {name: distance(values[name], truth[name]) for name in values}
        if not list(self._first_too_far(live.backend.name, "training", distances)):
            return values
        share = steady_share(self.case, live, gradients)
        if share == self._share:
            return values
        # The share holds for all backends, so those before train again.
        self._share = share
        self._truths.pop("training", None)
        for name, (other, learn) in self._learners.items():
            if name != live.backend.name:
                again = train(self.case, other, learn, share=share)
                self._values[name]["training"] = again
                self._truth("training", again)
        return train(self.case, live, gradients, share=share)

    def _compare_own(self, backend: Backend) -> dict[str, OwnOptimizer]:
        """Compare the backend's own optimizers, and record a difference that is not known."""
        if not self.own_optimizers or backend.name not in self._learners:
            return {}
        optimizers = own_optimizers(self.case, *self._learners[backend.name], self._share)
        allowed = tolerances(self.case.dtype)["training"]
        for name, optimizer in optimizers.items():
            if not optimizer.rest <= allowed:
                expected = f"within {allowed:g} of {name} written out"
                received = f"a difference of {optimizer.rest:.3g}"
                where, quantity = optimizer.finding.where, f"{backend.optimizers}.{name}"
                difference = self._difference(backend.name, where, quantity, expected, received)
                self._differences.append(difference)
        return optimizers

    def _compare_level(self, backend: str, level: str) -> Finding:
        """Compare the values of a backend at a level with the truth, and record a difference."""
        values = self._values[backend].get(level)
        if values is None:
            # Nothing was run, because the counts differ.
            return Finding(math.inf, self.case.last, tolerances(self.case.dtype)[level])
        truth = self._truth(level, values)
        compared = along_directions(self.case, values) if level == "gradients" else values
        distances = {name: distance(compared[name], truth[name]) for name in compared}
        if not distances:
            # No array is trained.
            return Finding(0.0, self.case.last, tolerances(self.case.dtype)[level])
        self._differences += self._first_too_far(backend, level, distances)
        allowed = {name: self._tolerance(level, name, backend) for name in distances}
        worst = max(distances, key=lambda name: (distances[name] > allowed[name], distances[name]))
        return Finding(distances[worst], worst, allowed[worst])

    def _tolerance(self, level: str, name: str, *backends: str) -> float:
        """Return the largest distance that counts as equal, on any of some backends."""
        case = self.case
        if level != "forward" or case.dtype == "float64":
            return tolerances(case.dtype)[level]
        for backend in backends:
            if backend not in self._bounds:
                self._bounds[backend] = case.bounds(get(backend).function_error)
        return max(self._bounds[backend][name] for backend in backends)

    def _truth(self, level: str, values: Values) -> Values:
        if level not in self._truths:
            match level:
                case "forward":
                    self._truths[level] = self.case.outputs(self.case.truth)
                case "gradients":
                    self._truths[level] = directional_derivatives(self.case)
                case _:
                    # The reference does not train, so the first backend is the truth.
                    self._truths[level] = values
        return self._truths[level]

    def _count_differences(
        self, backend: str, numbers: dict[str, int], total: Counts
    ) -> Iterator[Difference]:
        for layer, expected in self.case.layers.items():
            if numbers[layer] != expected:
                yield self._difference(backend, layer, "parameters", expected, numbers[layer])
        received = total.as_dict()
        for key, expected in self.case.parameters.as_dict().items():
            if expected != received[key]:
                quantity = f"{key.replace('_', '-')} parameters"
                yield self._difference(backend, "", quantity, expected, received[key])

    def _first_too_far(
        self, backend: str, level: str, distances: dict[str, float]
    ) -> Iterator[Difference]:
        """Yield a difference for the first name above the tolerance; later ones follow from it."""
        other = "the first backend" if level == "training" else "the reference"
        for name, far in distances.items():
            allowed = self._tolerance(level, name, backend)
            if far > allowed:
                yield self._too_far(backend, level, name, other, far=far, allowed=allowed)
                return

    def _pairwise_differences(self) -> Iterator[Difference]:
        """Yield the first difference of each pair of backends at each level, over all elements."""
        # Training has no reference: its backends are compared with the first one already.
        for level in ("forward", "gradients"):
            values_of = {name: v[level] for name, v in self._values.items() if level in v}
            # Two backends may be within the tolerance of the reference, but on opposite sides.
            for one, other in combinations(values_of, 2):
                common = [name for name in values_of[one] if name in values_of[other]]
                distances = {
                    name: distance(values_of[other][name], values_of[one][name]) for name in common
                }
                for name, far in distances.items():
                    allowed = self._tolerance(level, name, one, other)
                    if far > allowed:
                        yield self._too_far(other, level, name, one, far=far, allowed=allowed)
                        break

    def _too_far(  # noqa: PLR0913 - each is in the message
        self, backend: str, level: str, name: str, other: str, *, far: float, allowed: float
    ) -> Difference:
        quantity = {"forward": "output", "gradients": "gradient"}.get(level, level)
        expected = f"within {allowed:.2g} of {other}"
        return self._difference(backend, name, quantity, expected, f"a difference of {far:.3g}")

    def _difference(
        self, backend: str, layer: str, quantity: str, expected: object, received: object
    ) -> Difference:
        return Difference(
            self.case.network.name, backend, layer, quantity, str(expected), str(received)
        )
