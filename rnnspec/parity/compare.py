"""One spec, one set of arrays, one batch: what each backend makes of them, and where it differs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np

from rnnspec.compiler import instantiate, lower
from rnnspec.errors import Difference
from rnnspec.ir.nodes import Input, Network, NumericInput, TokenInput
from rnnspec.ir.params import Counts, count, counts
from rnnspec.parity import reference
from rnnspec.parity.report import Account
from rnnspec.weights.draw import draw_scaled
from rnnspec.weights.live import write_weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rnnspec.backends import Backend
    from rnnspec.backends.base import Trace
    from rnnspec.layout import Array
    from rnnspec.spec.models import Spec

TOLERANCE = 1e-9
"""The largest absolute difference between values that are called equal, in float64."""

_BATCH = 4
_STEPS_OF_ANY_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Run:
    """What one backend made of a case: ``values`` are the output of each layer it shows."""

    backend: str
    account: Account
    values: Mapping[str, Array]
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """A spec with the arrays and the batch that every backend gets, and the reference's values."""

    spec: Spec
    network: Network
    arrays: Mapping[str, Array]
    batch: Array
    truth: Mapping[str, Array]

    @classmethod
    def of(cls, spec: Spec, seed: int) -> Case:
        """Draw the arrays and the batch of a case."""
        network = lower(spec)
        arrays = draw_scaled(network, seed)
        batch = _batch(network.input, np.random.default_rng(seed))
        truth = _values(network, reference.run(network, arrays, batch))
        return cls(spec, network, arrays, batch, truth)

    @property
    def layers(self) -> dict[str, int]:
        """The number of parameters of each layer, by the spec's arithmetic."""
        return {layer.name: count(layer) for layer in self.network.layers}

    @property
    def parameters(self) -> Counts:
        """The number of parameters in all, by the spec's arithmetic."""
        return counts(self.network)

    def run(self, backend: Backend) -> Run:
        """Build the network on ``backend`` and compare it with the arithmetic and the reference."""
        runtime = backend.runtime
        model = instantiate(self.network, backend, self.spec.document.source, "float64")
        held = {name: runtime.layer_count(model, name) for name in self.layers}
        total = runtime.counts(model)
        counted = tuple(self._counted(backend.name, held, total))
        if counted:
            # Arrays of other sizes cannot be written into it, so there is nothing to run.
            account = Account(
                runtime.version(), held, total, math.inf, self.network.layers[-1].name
            )
            return Run(backend.name, account, {}, counted)
        write_weights(model, self.arrays)
        values = _values(self.network, runtime.trace(model, list(held), self.batch))
        distances = {name: distance(values[name], self.truth[name]) for name in values}
        worst = max(distances, key=distances.__getitem__)
        account = Account(runtime.version(), held, total, distances[worst], worst)
        return Run(backend.name, account, values, tuple(self._strayed(backend.name, distances)))

    def _counted(self, backend: str, held: dict[str, int], total: Counts) -> Iterator[Difference]:
        for layer, expected in self.layers.items():
            if held[layer] != expected:
                yield self._difference(backend, layer, "parameters", expected, held[layer])
        wanted, found = self.parameters.as_dict(), total.as_dict()
        for key in wanted:
            if wanted[key] != found[key]:
                quantity = f"{key.replace('_', '-')} parameters"
                yield self._difference(backend, "", quantity, wanted[key], found[key])

    def _strayed(self, backend: str, distances: dict[str, float]) -> Iterator[Difference]:
        """Yield the first layer whose output strays from the reference; those after it follow."""
        for layer, found in distances.items():
            if found > TOLERANCE:
                yield self._stray(backend, layer, "the reference", found)
                return

    def between(self, runs: Sequence[Run]) -> Iterator[Difference]:
        """Yield each pair of backends whose results differ."""
        last = self.network.layers[-1].name
        for one, other in combinations((run for run in runs if run.values), 2):
            if (found := distance(one.values[last], other.values[last])) > TOLERANCE:
                yield self._stray(other.backend, last, one.backend, found)

    def _stray(self, backend: str, layer: str, other: str, found: float) -> Difference:
        expected = f"within {TOLERANCE:g} of {other}"
        return self._difference(backend, layer, "output", expected, f"a difference of {found:.3g}")

    def _difference(
        self, backend: str, layer: str, quantity: str, expected: object, received: object
    ) -> Difference:
        return Difference(self.spec.name, backend, layer, quantity, str(expected), str(received))


def distance(one: Array, other: Array) -> float:
    """Return the largest absolute difference; infinite where a shape differs or a NaN is met."""
    if one.shape != other.shape:
        return math.inf
    found = float(np.max(np.abs(one.astype(np.float64) - other.astype(np.float64)), initial=0.0))
    return math.inf if math.isnan(found) else found


def _values(network: Network, trace: Trace) -> dict[str, Array]:
    """Return the output of each layer that a trace shows: what enters the next one."""
    values = {
        layer.name: trace.inputs[following.name]
        for layer, following in pairwise(network.layers)
        if following.name in trace.inputs
    }
    return {**values, network.layers[-1].name: trace.output}


def _batch(entrance: Input, rng: np.random.Generator) -> Array:
    steps = _STEPS_OF_ANY_LENGTH if entrance.steps is None else entrance.steps
    match entrance:
        case TokenInput(vocabulary=size):
            return rng.integers(0, size, (_BATCH, steps), dtype=np.int32)
        case NumericInput(features=features):
            return rng.standard_normal((_BATCH, steps, features))
