"""One spec with everything that each backend is given, and what the reference makes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec import pipeline
from rnnspec.comparison import reference
from rnnspec.comparison.batch import checked_batch, draw_batch
from rnnspec.comparison.levels import distance, tolerances
from rnnspec.ir.nodes import Dropout, Layer, Recurrent, Repeat
from rnnspec.ir.params import Counts, count, counts
from rnnspec.weights.initial import draw_scaled
from rnnspec.weights.store import write_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.backends import Backend
    from rnnspec.backends.base import Runtime, Trace
    from rnnspec.ir.nodes import Network
    from rnnspec.pipeline import Generated, Program
    from rnnspec.slots import Array

    Arrays = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Live:
    """A model on its backend, holding a case's arrays."""

    generated: Generated
    model: Any

    @property
    def backend(self) -> Backend:
        """The backend it lives on."""
        return self.generated.backend

    @property
    def runtime(self) -> Runtime:
        """The backend's runtime."""
        return self.backend.runtime


@dataclass(frozen=True, slots=True)
class Case:
    """A network with arrays and a batch, and what the reference makes of them.

    ``seed`` draws more of the kind, unless the batch was ``given``.
    """

    program: Program
    seed: int
    dtype: str
    arrays: Mapping[str, Array]
    batch: Array
    given: bool
    truth: Trace

    @classmethod
    def of(cls, program: Program, seed: int, dtype: str, given: Array | None = None) -> Case:
        """Draw the arrays of a case, and its batch unless one is ``given``.

        Raises:
            UsageError: the network does not take the given batch.
        """
        network = program.network
        if given is None:
            batch = draw_batch(network.input, np.random.default_rng(seed))
        else:
            batch = checked_batch(network.input, given, f"the batch for {network.name}")
        arrays, truth = _tame(network, draw_scaled(network, seed), batch, dtype)
        return cls(program, seed, dtype, arrays, batch, given is not None, truth)

    @property
    def network(self) -> Network:
        """The network that is compared."""
        return self.program.network

    @property
    def layers(self) -> dict[str, int]:
        """The number of parameters of each layer, by the spec's arithmetic."""
        return {layer.name: count(layer) for layer in self.network.layers}

    @property
    def parameters(self) -> Counts:
        """The number of parameters in all, by the spec's arithmetic."""
        return counts(self.network)

    @property
    def last(self) -> str:
        """The name of the layer whose output is the result."""
        return self.network.layers[-1].name

    def build(self, backend: Backend) -> Live:
        """Return the live model on ``backend``, with fresh weights."""
        return self._live(backend, self.program)

    @property
    def trains(self) -> bool:
        """Whether the model learns as in training, not as in inference.

        In float32 some generators draw a 0 often enough for a mask to drop something all the same.
        """
        return self.dtype == "float64"

    def to_train(self, live: Live) -> Live:
        """Return the model that learns on the backend of ``live``, with the case's arrays.

        Where there is dropout, it is another with rates of nearly 0: masks are drawn and applied
        as in training, and whatever they do but drop shows.
        """
        layers = tuple(map(_rarely_dropping, self.network.layers))
        if self.trains and layers != self.network.layers:
            network = replace(self.network, layers=layers)
            live = self._live(live.backend, replace(self.program, network=network))
        self.reset(live)
        return live

    def _live(self, backend: Backend, program: Program) -> Live:
        generated = pipeline.generate(program, backend)
        return Live(generated, pipeline.instantiate(generated, self.dtype))

    def reset(self, live: Live) -> None:
        """Write the case's arrays into a live model."""
        write_weights(live.model, self.arrays)

    def outputs(self, trace: Trace) -> dict[str, Array]:
        """Return the output of each layer that a trace shows: what enters the next one.

        Of a masked sequence only the real steps count, as (real steps, features).
        """
        return _outputs(self.network, trace, self.batch)

    def another_batch(self, rng: np.random.Generator) -> Array:
        """Return a batch to train on: one of the kind, or the given one again."""
        return self.batch if self.given else draw_batch(self.network.input, rng)

    def mask(self, batch: Array) -> Array:
        """Return what is true at the real steps of a batch, (rows, steps)."""
        return reference.padding_mask(self.network.input, batch)

    @property
    def target(self) -> Array:
        """What the loss of the gradients wants of each number of the result."""
        return np.random.default_rng((self.seed, 1)).standard_normal(self.truth.output.shape)

    @property
    def weight(self) -> Array:
        """What each number of the result counts in the loss: 1, or 0 at padding."""
        return self.real(self.batch)

    def real(self, batch: Array) -> Array:
        """Return 1 where the result of a batch has a meaning and 0 at padding, in its shape."""
        shape = (len(batch), *self.truth.output.shape[1:])
        if self.last not in _padded(self.network):
            return np.ones(shape)
        return np.broadcast_to(self.mask(batch)[..., np.newaxis], shape).astype(np.float64)


def _padded(network: Network) -> set[str]:
    """Return the layers whose output has padding in it."""
    if not network.input.masked:
        return set()
    before = takewhile(lambda layer: not isinstance(layer, Repeat), network.layers)
    return {layer.name for layer in before if len(layer.output) == 2}


def _outputs(network: Network, trace: Trace, batch: Array) -> dict[str, Array]:
    values = {
        layer.name: trace.inputs[following.name]
        for layer, following in pairwise(network.layers)
        if following.name in trace.inputs
    }
    values[network.layers[-1].name] = trace.output
    padded, mask = _padded(network), reference.padding_mask(network.input, batch)
    return {name: value[mask] if name in padded else value for name, value in values.items()}


_RARELY = 1e-15
"""A rate of dropout by which no number drops in a lifetime of batches, and none is scaled."""


def _rarely_dropping(layer: Layer) -> Layer:
    match layer:
        case Dropout():
            return replace(layer, rate=_rarely(layer.rate))
        case Recurrent():
            rates = _rarely(layer.dropout), _rarely(layer.recurrent_dropout)
            return replace(layer, dropout=rates[0], recurrent_dropout=rates[1])
        case _:
            return layer


def _rarely(rate: float) -> float:
    return min(rate, _RARELY)


_TAME = 100.0
_HALVINGS = 8
_ROUNDED = {"float64": 2.0**-50, "float32": 2.0**-21}
"""Some four times what rounding changes a number by."""


def _tame(
    network: Network, arrays: dict[str, Array], batch: Array, dtype: str
) -> tuple[dict[str, Array], Trace]:
    """Return arrays small enough for the values to stay so, and the reference's trace with them.

    Activations without a bound (relu gates, say) can double a state at every step, and rounding
    with it: nothing could be told from such a network.
    """
    for _ in range(_HALVINGS):
        trace = _run(network, arrays, batch)
        values = _outputs(network, trace, batch)
        # NumPy's maximum, in which a NaN wins and is then no smaller than anything.
        largest = np.max([np.max(np.abs(value), initial=0.0) for value in values.values()])
        if largest < _TAME and _is_steady(network, arrays, batch, dtype, values):
            return arrays, trace
        arrays = {name: array / 2.0 for name, array in arrays.items()}
    return arrays, _run(network, arrays, batch)


def _is_steady(network: Network, arrays: Arrays, batch: Array, dtype: str, values: Arrays) -> bool:
    """Tell whether arrays as good as these give values that would be called equal."""
    rng = np.random.default_rng(0)
    nudged = {
        name: array * (1.0 + _ROUNDED[dtype] * rng.choice((-1.0, 1.0), array.shape))
        for name, array in arrays.items()
    }
    moved = _outputs(network, _run(network, nudged, batch), batch)
    most = tolerances(dtype)["forward"] / 4.0
    return all(distance(moved[name], value) < most for name, value in values.items())


def _run(network: Network, arrays: Arrays, batch: Array) -> Trace:
    with np.errstate(all="ignore"):
        return reference.run(network, arrays, batch)
