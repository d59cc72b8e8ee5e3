"""A case: a spec with the arrays and the batch for every backend, and the reference's result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec import pipeline
from rnnspec.backends import BACKENDS
from rnnspec.backends.contract import Trace
from rnnspec.backends.slots import by_name
from rnnspec.comparison import reference
from rnnspec.comparison.batch import checked_batch, draw_batch, steps_to_draw
from rnnspec.comparison.levels import distance, tolerances
from rnnspec.comparison.reference import FullTrace
from rnnspec.comparison.rounding import bound, bounds
from rnnspec.ir.nodes import AttentionPooling, Dropout, Layer, Recurrent, least_steps
from rnnspec.ir.params import Counts, count, counts
from rnnspec.weights.initial import draw_scaled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rnnspec.backends import Backend
    from rnnspec.backends.contract import Runtime
    from rnnspec.backends.slots import Array, Batch
    from rnnspec.comparison.batch import CallerBatch
    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Network
    from rnnspec.pipeline import Generated, Program
    from rnnspec.weights.store import Store

    Arrays = Mapping[str, Array]


def batch_of(network: Network) -> str:
    """Return the name of the given batch of a network in messages."""
    return f"the batch for {network.name}"


@dataclass(frozen=True, slots=True)
class Live:
    """A model on its backend, with the arrays of a case."""

    generated: Generated
    model: Any

    @property
    def backend(self) -> Backend:
        """The backend of the model."""
        return self.generated.backend

    @property
    def runtime(self) -> Runtime:
        """The runtime of the backend."""
        return self.backend.runtime

    @property
    def store(self) -> Store:
        """Access to the canonical arrays of the model."""
        return self.generated.store


@dataclass(frozen=True, slots=True)
class Case:
    """A network with arrays and a batch, and ``truth``, the trace of the reference.

    ``batch_is_own`` is true if the caller passed the batch, and false if ``seed`` drew it. ``form``
    is the form of source that every backend is built from; by default each writes its first one.
    """

    program: Program
    seed: int
    dtype: str
    arrays: Mapping[str, Array]
    batch: Batch
    batch_is_own: bool
    truth: FullTrace
    form: Form | None = None

    @classmethod
    def of(
        cls,
        program: Program,
        seed: int,
        dtype: str,
        own_batch: CallerBatch | None = None,
        form: Form | None = None,
    ) -> Case:
        """Draw the arrays of a case, and its batch unless the caller has one of its own.

        Raises:
            UsageError: the given batch does not fit the network.
        """
        network = program.network
        if own_batch is None:
            batch = draw_batch(network, np.random.default_rng(seed), steps_to_draw(network))
        else:
            batch = checked_batch(network, own_batch, batch_of(network))
        arrays, truth = _shrink(network, draw_scaled(network, seed), batch, dtype)
        return cls(program, seed, dtype, arrays, batch, own_batch is not None, truth, form)

    @classmethod
    def to_count(cls, program: Program, seed: int, dtype: str, form: Form | None = None) -> Case:
        """Return a case whose parameters are only counted: it has no arrays and no batch."""
        nothing = np.empty(0)
        return cls(program, seed, dtype, {}, nothing, False, FullTrace({}, nothing, {}, {}), form)

    @property
    def network(self) -> Network:
        """The network to compare."""
        return self.program.network

    @property
    def layers(self) -> dict[str, int]:
        """The parameter count of each layer, computed from the spec."""
        return {layer.name: count(layer) for layer in self.network.layers}

    @property
    def parameters(self) -> Counts:
        """The parameter counts of the network, computed from the spec."""
        return counts(self.network)

    @property
    def last(self) -> str:
        """The name of the last layer."""
        return self.network.last

    def build(self, backend: Backend) -> Live:
        """Return the live model on ``backend``, with arrays of any values."""
        return self._live(backend, self.program)

    @property
    def trains(self) -> bool:
        """True if gradients are taken in training mode, rather than in inference.

        In float32, some generators draw a 0 often enough that a mask drops values even at the rates
        of ``to_train``.
        """
        return self.dtype == "float64"

    def to_train(self, live: Live) -> Live:
        """Return the model to train on the backend of ``live``, with the arrays of the case.

        If the network has dropout, it is another model with rates of nearly 0: masks are drawn and
        applied as in training, so every effect except the dropping can be compared.
        """
        layers = tuple(map(_with_tiny_rates, self.network.layers))
        if self.trains and layers != self.network.layers:
            network = replace(self.network, layers=layers)
            live = self._live(live.backend, replace(self.program, network=network))
        self.reset(live)
        return live

    def _live(self, backend: Backend, program: Program) -> Live:
        generated = pipeline.generate(program, backend, self.form)
        return Live(generated, pipeline.instantiate(generated, self.dtype, drawn=False))

    def reset(self, live: Live) -> None:
        """Write the arrays of the case into a live model."""
        live.store.write(live.model, self.arrays)

    def outputs(self, trace: Trace) -> dict[str, Array]:
        """Return the output of each layer in a trace, which is the input of the next one.

        A masked sequence is reduced to its real time steps, (real steps, features).
        """
        return reference.outputs(self.network, trace, self.batch)

    def bounds(
        self, error: float, distances: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """Return the largest distance of each layer's output that counts as equal.

        ``error`` is the ``function_error`` of the backend. If all ``distances`` are below the least
        that a bound can be, it is not looked for.
        """
        values = self.outputs(self.truth)
        if distances is not None:
            least = {name: bound(values[name], self.dtype) for name in distances}
            if all(distances[name] <= least[name] for name in distances):
                return least
        return bounds(self.network, self.arrays, self.batch, values, dtype=self.dtype, error=error)

    def another_batch(self, rng: np.random.Generator) -> Batch:
        """Return a batch to train on: a new one, or the given one again."""
        return (
            self.batch
            if self.batch_is_own
            else draw_batch(self.network, rng, steps_to_draw(self.network))
        )

    @property
    def target(self) -> Array:
        """The target of each element of the output, in the loss for the gradients."""
        # A generator of its own, so that the target does not depend on how the rest is drawn.
        return np.random.default_rng((self.seed, 1)).standard_normal(self.truth.output.shape)

    @property
    def weight(self) -> Array:
        """The weight of each element of the output in the loss: 1, or 0 at padding."""
        return self.real(self.batch)

    def real(self, batch: Batch) -> Array:
        """Return an array in the shape of the output, 1 at real time steps and 0 at padding."""
        masks = reference.masks(self.network, batch)
        rows = len(next(iter(by_name(batch).values())))
        real = {}
        for name, of_sample in reference.result_shapes(self.network, batch):
            shape, mask = (rows, *of_sample), masks.get(name)
            real[name] = (
                np.ones(shape)
                if mask is None
                else np.broadcast_to(mask[..., np.newaxis], shape).astype(np.float64)
            )
        return reference.join_outputs(self.network, real)


# At this rate of dropout no value is ever dropped in practice, and the scale is nearly 1.
_TINY_RATE = 1e-15


def _with_tiny_rates(layer: Layer) -> Layer:
    match layer:
        case Dropout():
            return replace(layer, rate=min(layer.rate, _TINY_RATE))
        case Recurrent():
            on_state = min(layer.recurrent_dropout, _TINY_RATE)
            dropout = min(layer.dropout, _TINY_RATE)
            return replace(layer, dropout=dropout, recurrent_dropout=on_state)
        case _:
            return layer


_LARGEST_VALUE = 100.0
_MAX_HALVINGS = 8
# Four times the machine epsilon.
_PERTURBATIONS = {"float64": 2.0**-50, "float32": 2.0**-21}


def _shrink(
    network: Network, arrays: dict[str, Array], batch: Batch, dtype: str
) -> tuple[dict[str, Array], FullTrace]:
    """Return arrays small enough that all values stay small, and the reference's trace with them.

    Unbounded activations (such as relu gates) can double the state at each time step, and its
    rounding errors with it, so that a comparison would mean nothing.
    """
    steady = []
    for _ in range(_MAX_HALVINGS):
        trace = _run(network, arrays, batch)
        values = reference.outputs(network, trace, batch)
        # np.max, unlike max, returns NaN if a value is NaN, and NaN is not below the limit.
        largest = np.max([np.max(np.abs(value), initial=0.0) for value in values.values()])
        if largest < _LARGEST_VALUE and _is_steady(network, arrays, batch, dtype, values):
            if _is_certain(network, arrays, batch, dtype, values):
                return arrays, trace
            steady.append((arrays, trace))
        arrays = {name: array / 2.0 for name, array in arrays.items()}
    # Smaller arrays do not help if a norm makes small values large again.
    return steady[0] if steady else (arrays, _run(network, arrays, batch))


def _is_steady(network: Network, arrays: Arrays, batch: Batch, dtype: str, values: Arrays) -> bool:
    """True if arrays perturbed by about a rounding error give nearly the same values."""
    rng = np.random.default_rng(0)
    perturbed = {
        name: array * (1.0 + _PERTURBATIONS[dtype] * rng.choice((-1.0, 1.0), array.shape))
        for name, array in arrays.items()
    }
    moved = reference.outputs(network, _run(network, perturbed, batch), batch)
    limit = tolerances(dtype)["forward"] / 4.0
    return all(distance(moved[name], value) < limit for name, value in values.items())


def _is_certain(network: Network, arrays: Arrays, batch: Batch, dtype: str, values: Arrays) -> bool:
    """True if no difference above the tolerance could be rounding on any backend."""
    if dtype == "float64":
        return True
    # Of all backends, so that the arrays do not depend on which ones are compared.
    error = max(backend.function_error for backend in BACKENDS.values())
    limits = bounds(network, arrays, batch, values, dtype=dtype, error=error)
    return max(limits.values()) <= tolerances(dtype)["forward"]


def _run(network: Network, arrays: Arrays, batch: Batch) -> FullTrace:
    # Overflow is expected while the arrays are still too large.
    with np.errstate(all="ignore"):
        return reference.run(network, arrays, batch)


_SPLITS = 2
_MOST_CHUNKS = 6


def run_forward(generated: Generated, model: Any, case: Case) -> dict[str, Array]:
    """Return the output of each layer for the batch of a case, or of a part of the layers.

    In step form these are only the outputs of the network: of several random splits of the batch
    into chunks, those that are the farthest from the reference.
    """
    if generated.form != "step":
        names = [layer.name for layer in generated.network.layers if not _enters_changed(layer)]
        return case.outputs(generated.backend.runtime.trace(model, names, case.batch))
    network, truth = case.network, case.outputs(case.truth)
    steps = reference.steps_of(network, case.batch)[network.streams[0]]
    rng = np.random.default_rng((case.seed, 2))
    outputs = []
    for _ in range(_SPLITS):
        lengths = random_split(steps, rng, least_steps(network))
        output = step_through(generated.backend, model, network, case.batch, lengths)
        outputs.append(case.outputs(Trace({}, output)))
    return max(outputs, key=lambda own: max(distance(own[name], truth[name]) for name in own))


def _enters_changed(layer: Layer) -> bool:
    """True if a module of PyTorch gets the input of a layer reversed or activated."""
    match layer:
        case Recurrent(backward=backward):
            return backward
        case AttentionPooling(units=None, activation=activation):
            return activation != "linear"
        case _:
            return False


def random_split(steps: int, rng: np.random.Generator, least: int = 1) -> list[int]:
    """Return the lengths of random chunks.

    The first one is as short as a network takes, and the last one a step: source may take a single
    step in another way, and of a vector only the last one is compared.
    """
    cuts = rng.integers(least, steps + 1, rng.integers(0, _MOST_CHUNKS - 1))
    ends = sorted({least, max(least, steps - 1), steps, *map(int, cuts)})
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def step_through(
    backend: Backend, model: Any, network: Network, batch: Batch, lengths: Sequence[int]
) -> Array:
    """Return the output of a model in step form for a batch in chunks of some lengths.

    A sequence has the steps of all chunks, and a vector is that of the last one. Named outputs are
    side by side.
    """
    runtime, others = backend.runtime, dict(by_name(batch))
    whole = {name: others.pop(name) for name in network.streams}
    states = runtime.begin(model, others) if others else None
    chunks: list[dict[str, Array]] = []

    def part(start: int, end: int) -> dict[str, Array]:
        return {name: array[:, start:end] for name, array in whole.items()}

    start, before = 0, reference.result_shapes(network, others | part(0, 0))
    for length in lengths:
        end = start + length
        chunk = part(start, end)
        output, states = runtime.step(
            model, chunk if len(chunk) > 1 else next(iter(chunk.values())), states
        )
        after = reference.result_shapes(network, others | part(0, end))
        shapes = [
            (name, (now[0] - then[0], *now[1:]) if len(now) > 1 else now)
            for (name, then), (_, now) in zip(before, after, strict=True)
        ]
        # A convolution without padding gives nothing for the first steps.
        chunks.append(reference.split_outputs(network, output, shapes))
        start, before = end, after
    outputs = {
        name: np.concatenate([chunk[name] for chunk in chunks], axis=1) if last.ndim > 2 else last
        for name, last in chunks[-1].items()
    }
    return reference.join_outputs(network, outputs)
