"""A case as it is declared: a spec, batches and usual mistakes, and what the reference gives.

Everything is drawn from seeds. The arrays and numbers are exact in float32, so a tool and the
reference in float64 start from the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from itertools import count
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from rnnspec import pipeline
from rnnspec.backends import BACKENDS, in_form
from rnnspec.backends.slots import by_name
from rnnspec.comparison import reference
from rnnspec.comparison.levels import size_of, tolerances
from rnnspec.comparison.rounding import bounds
from rnnspec.errors import GenerationError
from rnnspec.ir.forms import State, states
from rnnspec.ir.nodes import Network, NumericInput, Recurrent, SequenceInput, TokenInput
from rnnspec.ir.params import named_params
from rnnspec.weights.initial import draw_scaled
from rnnspec_conformance.layout import Call, Fault

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array
    from rnnspec.backends.slots import Batch as Numbers
    from rnnspec.comparison.reference import FullTrace
    from rnnspec.ir.forms import Form
    from rnnspec.pipeline import Program
    from rnnspec_conformance.encoding import Omission

    Arrays = Mapping[str, Array]
    Change = Callable[[Arrays], Arrays]

NAME = "network"
"""The name of every network, so that a tool's adapter knows those of files and classes."""
FAR = 20.0
"""The least distance of a fault from the truth in some call, in tolerances."""
_LEAST_OUTPUT = 0.01
"""The least absolute value of an output that is not 0: ONNX's own runner compares relatively."""
_MOST_SEEDS = 400


@dataclass(frozen=True, slots=True)
class Batch:
    """The input of one call: a pattern for each sequence, ``x`` a real step, ``.`` a padded one.

    Numbers are drawn from N(0, ``scale``) and shifted by ``shift``. In ``values``, a sequence has
    its own numbers or tokens.
    """

    rows: tuple[str, ...] = ()
    scale: float = 1.0
    shift: float = 0.0
    values: tuple[object, ...] = ()

    def draw(self, network_input: SequenceInput, rng: np.random.Generator) -> Array:
        """Return tokens (batch, steps), or numbers (batch, steps, features) exact in float32."""
        if self.values:
            kind = np.int64 if isinstance(network_input, TokenInput) else np.float32
            return np.asarray(self.values, kind).astype(np.promote_types(kind, np.int64))
        real = np.array([[step == "x" for step in row] for row in self.rows])
        match network_input:
            case TokenInput(vocabulary=size, mask_zero=masked):
                tokens = rng.integers(1 if masked else 0, size, real.shape)
                return np.where(real, tokens, 0).astype(np.int64)
            case NumericInput(features=features, mask_value=value):
                numbers = self.shift + self.scale * rng.standard_normal((*real.shape, features))
                numbers = np.where(real[..., np.newaxis], numbers, value or 0.0)
                return numbers.astype(np.float32).astype(np.float64)


def batch(rows: int = 3, steps: int = 7, scale: float = 1.0, shift: float = 0.0) -> Batch:
    """Return a batch without padding."""
    return Batch(("x" * steps,) * rows, scale, shift)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A usual mistake, as changes of a network, its arrays, its batches, states or outputs.

    ``instead`` are replacements in the text of the spec. An array that only the other network has
    is zeros. ``unmasked`` are layers that do not see the mask, and ``values`` change what a layer
    gives. ``batches`` changes the input of all calls at once. ``keeps_state`` is true if each call
    starts from the state that the one before has left, and ``training`` if norms use the batch.
    ``states`` changes the given states of a network in step form, and ``outputs`` each output but
    the states. With ``reversed_outputs``, they are in the opposite order.
    """

    name: str
    instead: Mapping[str, str] = field(default_factory=dict)
    arrays: tuple[Change, ...] = ()
    unmasked: tuple[str, ...] = ()
    values: Mapping[str, Callable[[Array], Array]] = field(default_factory=dict)
    batches: Callable[[Sequence[Array]], Sequence[Array]] = tuple
    keeps_state: bool = False
    training: bool = False
    states: Change = dict
    outputs: Callable[[Array], Array] = np.asarray
    reversed_outputs: bool = False


_RIGHT = Mistake(name="none")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A case with its numbers."""

    program: Program
    arrays: Arrays
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    calls: tuple[Call, ...]
    faults: tuple[Fault, ...]
    tolerance: float

    def distances(self) -> dict[str, float]:
        """Return the largest difference of each fault from the truth, in tolerances."""
        truth = [call.outputs for call in self.calls]
        return {
            fault.name: _farthest(truth, fault.outputs) / self.tolerance for fault in self.faults
        }


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """The declaration of a case. ``spec`` is its text without ``version`` and ``name``.

    In the form ``step``, each call goes on from the states that the call before it has given, and
    states are inputs and outputs of the network. With ``halved``, a format that adds two biases has
    half of the sum in each. With an ``omission``, the case is about how an ONNX file is written.

    With named inputs, the network is in step form, and a batch is by name: the first one also has
    what does not come in chunks. The model is that of the chunks, or if it ``begins``, what is run
    once before them.
    """

    name: str
    fact: str
    consequence: str
    spec: str
    mistakes: tuple[Mistake, ...]
    batches: tuple[Batch | Mapping[str, Batch], ...] = (batch(),)
    arrays: tuple[Change, ...] = ()
    form: Form = "inference"
    halved: bool = False
    begins: bool = False
    omission: Omission | None = None

    @property
    def text(self) -> str:
        """The whole text of the spec."""
        return f"version: 1\nname: {NAME}\n{self.spec.strip()}\n"

    @cached_property
    def program(self) -> Program:
        """The spec and its network."""
        return pipeline.reads(self.text, f"{self.name}/spec.yaml")

    def draw(self) -> Drawn:
        """Return the case with numbers of the first seed that shows the fact.

        Each fault is far from the truth, and no output is so small that ONNX's own runner, which
        compares relatively, would take rounding for a difference.

        Raises:
            GenerationError: no seed does.
        """
        for seed in count():
            drawn = self._draw(seed)
            small = any(
                np.any((np.abs(output) < _LEAST_OUTPUT) & (output != 0.0))
                for call in drawn.calls
                for output in call.outputs
            )
            if not small:
                near = [name for name, far in drawn.distances().items() if not far >= FAR]
                if not near:
                    return drawn
            if seed == _MOST_SEEDS:
                reason = "an output is nearly 0" if small else f"{near[0]!r} shows nowhere"
                raise GenerationError(f"{self.name}: {reason}")
        raise AssertionError

    def _draw(self, seed: int) -> Drawn:
        network = in_form(self.program.network, self.form)
        arrays = _round_to_float32(_apply_changes(self.arrays, draw_scaled(network, seed)))
        rng = np.random.default_rng((seed, 1))
        batches: list[Numbers] = []
        for declared in self.batches:
            if isinstance(declared, Batch):
                batches.append(declared.draw(network.input, rng))
            else:
                inputs = (
                    network_input
                    for network_input in network.inputs
                    if isinstance(network_input, SequenceInput)
                )
                known = {network_input.name: network_input for network_input in inputs}
                own = {name: each.draw(known[name], rng) for name, each in declared.items()}
                batches.append(own if not batches else {**by_name(batches[0]), **own})
        handed = states(network) if self.form == "step" else ()
        calls = tuple(self._run(network, arrays, batches, handed))
        names = tuple(state.name for state in handed)
        outputs = tuple(network.results) if network.outputs else ("output",)
        taken = ("inputs", *names)
        if self.begins:
            taken, outputs = _others(network), ()
        elif not network.takes_one_array:
            taken = (*network.streams, *names)
            names = tuple(state.name for state in handed if state.kind not in HELD)
        return Drawn(
            self.program,
            arrays,
            taken,
            (*outputs, *names),
            calls,
            tuple(self._fault(mistake, network, arrays, batches) for mistake in self.mistakes),
            _tolerance(network, arrays, batches, joined=bool(handed)),
        )

    def _run(
        self,
        network: Network,
        arrays: Arrays,
        batches: Sequence[Numbers],
        handed: Sequence[State],
        mistake: Mistake = _RIGHT,
    ) -> list[Call]:
        if not network.takes_one_array:
            return list(_run_chunks(network, arrays, batches, handed, mistake, self.begins))
        alone = mistake.batches(cast("Sequence[Array]", batches))
        return _run(network, arrays, alone, handed, mistake)

    def _fault(
        self, mistake: Mistake, network: Network, arrays: Arrays, batches: Sequence[Numbers]
    ) -> Fault:
        if mistake.instead:
            text = self.text
            for old, new in mistake.instead.items():
                assert old in text, f"{self.name}: {mistake.name} replaces {old!r}"
                text = text.replace(old, new)
            network = in_form(_network(text), self.form)
        layers = {layer.name: layer for layer in network.layers}
        for name in mistake.unmasked:
            masked: Any = layers[name]
            assert masked.masked, f"{self.name}: {name} has no mask"
            layers[name] = replace(masked, masked=False)
        network = replace(network, layers=tuple(layers.values()))
        changed = _apply_changes(mistake.arrays, arrays)
        shapes = {name: param.shape for name, _, param in named_params(network)}
        fitting = {name: changed.get(name, np.zeros(shape)) for name, shape in shapes.items()}
        for name, shape in shapes.items():
            assert fitting[name].shape == shape, f"{self.name}: {mistake.name}: {name}"
        handed = states(network) if self.form == "step" else ()
        calls = self._run(network, fitting, batches, handed, mistake)
        spoiled = []
        for call in calls:
            count = len(call.outputs) - len(handed)
            outputs = [mistake.outputs(output) for output in call.outputs[:count]]
            if mistake.reversed_outputs:
                outputs.reverse()
            spoiled.append((*outputs, *call.outputs[count:]))
        return Fault(mistake.name, tuple(spoiled))


@cache
def _network(text: str) -> Network:
    return pipeline.reads(text).network


def _apply_changes(changes: Sequence[Change], arrays: Arrays) -> Arrays:
    for change in changes:
        arrays = change(arrays)
    return arrays


def _round_to_float32(arrays: Arrays) -> dict[str, Array]:
    return {name: array.astype(np.float32).astype(np.float64) for name, array in arrays.items()}


def _run(
    network: Network,
    arrays: Arrays,
    batches: Sequence[Array],
    handed: Sequence[State],
    mistake: Mistake = _RIGHT,
) -> list[Call]:
    """Return each call with the outputs of the reference.

    States are handed on in float32, as between two calls of a model.
    """
    calls: list[Call] = []
    last: Arrays = {}
    for numbers in batches:
        zeros = {
            state.name: np.zeros((len(numbers), *(size or 0 for size in state.shape)))
            for state in handed
        }
        before = {name: last.get(name, first) for name, first in zeros.items()}
        entering = mistake.states(before)
        if handed:
            first = entering
        else:
            first = _states_that_fit(last, numbers) if mistake.keeps_state else {}
        with np.errstate(over="ignore", invalid="ignore"):
            result = reference.run(
                network, arrays, numbers, training=mistake.training, states=first
            )
            for layer, change in mistake.values.items():
                result = _change_value(network, arrays, numbers, result, layer, change)
            for state in handed:
                if state.kind == "sum":
                    add = partial(np.add, entering[state.name])
                    result = _change_value(network, arrays, numbers, result, state.layer, add)
        outputs = reference.split_outputs(
            network, result.output, reference.result_shapes(network, numbers)
        )
        after = {state.name: _state_after(result, state) for state in handed}
        last = _round_to_float32(after) if handed else dict(result.states)
        kind = np.int64 if numbers.dtype.kind in "iu" else np.float32
        calls.append(
            Call(
                (numbers.astype(kind), *(state.astype(np.float32) for state in before.values())),
                (*outputs.values(), *after.values()),
            )
        )
    return calls


HELD = ("value", "mask")
"""The kinds of states that stay as they are: what is computed before the first chunk."""


def _others(network: Network) -> tuple[str, ...]:
    """Return the inputs that do not come in chunks."""
    return tuple(
        network_input.name
        for network_input in network.inputs
        if network_input.name not in network.streams
    )


def _run_chunks(  # noqa: PLR0913, PLR0917 - a run of what is before the chunks, or of these
    network: Network,
    arrays: Arrays,
    batches: Sequence[Numbers],
    handed: Sequence[State],
    mistake: Mistake,
    begins: bool,
) -> Iterator[Call]:
    """Yield each call of the model that is run before the chunks, or of that of the chunks."""
    last: Arrays = {}
    layers = {layer.name: layer for layer in network.layers}
    for numbers in map(by_name, batches):
        chunk = numbers[network.streams[0]]
        result = reference.run(network, arrays, numbers, states=mistake.states(last))
        masks = reference.masks(network, numbers)
        before: dict[str, Array] = {}
        for state in handed:
            layer = layers[state.layer]
            if state.kind in HELD:
                value = masks if state.kind == "mask" else result.outputs
                before[state.name] = value[state.layer]
            elif isinstance(layer, Recurrent) and state.kind in layer.first_states:
                before[state.name] = result.outputs[layer.first_states[state.kind]]
            else:
                before[state.name] = np.zeros((len(chunk), state.size))
        before |= last
        after = {
            state.name: _state_after(result, state) for state in handed if state.kind not in HELD
        }
        if begins:
            given = tuple(array.astype(np.float64) for array in before.values())
            yield Call(tuple(numbers[name] for name in _others(network)), given)
            continue
        entering = (
            array if array.dtype == bool else array.astype(np.float32) for array in before.values()
        )
        kind = np.int64 if chunk.dtype.kind in "iu" else np.float32
        yield Call((chunk.astype(kind), *entering), (result.output, *after.values()))
        last = _round_to_float32(after)


def _state_after(result: FullTrace, state: State) -> Array:
    if state.kind == "sum":
        return result.outputs[state.layer]
    if state.name not in result.states:
        raise GenerationError(f"no case can have the state {state.name}")
    return result.states[state.name]


def _change_value(  # noqa: PLR0913, PLR0917 - a run, and a change of it
    network: Network,
    arrays: Arrays,
    numbers: Array,
    result: FullTrace,
    layer: str,
    change: Callable[[Array], Array],
) -> FullTrace:
    """Return the result of a run in which a layer gives something else."""
    outputs = {**result.outputs, layer: change(result.outputs[layer])}
    names = [other.name for other in network.layers]
    if layer == names[-1]:
        return replace(result, outputs=outputs, output=outputs[layer])
    following = names[names.index(layer) + 1]
    other = reference.run_on(network, arrays, numbers, replace(result, outputs=outputs), following)
    return replace(other, states=result.states)


def _states_that_fit(last: Arrays, numbers: Array) -> dict[str, Array]:
    """Return the states that another batch has left, if it had as many sequences."""
    return {name: state for name, state in last.items() if len(state) == len(numbers)}


def _tolerance(
    network: Network, arrays: Arrays, batches: Sequence[Numbers], *, joined: bool
) -> float:
    """Return the largest absolute difference of an output that float32 explains.

    It is the bound that rnnspec's own comparisons have, at least the tolerance of ``forward`` in
    float32, of the largest value of an output or absolute below 1.
    """
    error = max(backend.function_error for backend in BACKENDS.values())
    largest = 0.0
    if not network.takes_one_array:
        named = [*map(by_name, batches)]
        whole = {
            stream: np.concatenate([each[stream] for each in named], axis=1)
            for stream in network.streams
        }
        batches = [{**named[0], **whole}]
    elif joined:
        batches = [np.concatenate(cast("Sequence[Array]", batches), axis=1)]
    for numbers in batches:
        result = reference.run(network, arrays, numbers)
        values = reference.outputs(network, result, numbers)
        limits = bounds(network, arrays, numbers, values, dtype="float32", error=error)
        for name, value in values.items():
            # States are outputs too.
            if joined or name in {layer.name for layer in network.results.values()}:
                limit = max(limits[name], tolerances("float32")["forward"])
                largest = max(largest, limit * size_of(value))
    # Digits beyond these mean nothing.
    return float(f"{largest:.2g}")


def _farthest(truth: Sequence[Sequence[Array]], fault: Sequence[Sequence[Array]]) -> float:
    """Return the largest difference in any call, infinite if shapes differ or it is not finite."""
    largest = 0.0
    for right, wrong in zip(truth, fault, strict=True):
        for one, other in zip(right, wrong, strict=True):
            if one.shape != other.shape or not np.isfinite(other).all():
                return float("inf")
            largest = max(largest, float(np.max(np.abs(one - other), initial=0.0)))
    return largest


# Changes of arrays.


def permuted(prefix: str, order: str, into: str) -> Change:
    """Return a change that takes gates, which are in ``order``, to be in another order.

    ``prefix`` begins the names of the arrays.
    """
    places = [order.index(gate) for gate in into]

    def change(arrays: Arrays) -> Arrays:
        def move(array: Array) -> Array:
            parts = np.split(array, len(order), axis=-1)
            return np.concatenate([parts[place] for place in places], axis=-1)

        return {
            name: move(array) if name.startswith(prefix) else array
            for name, array in arrays.items()
        }

    return change


def scaled(factor: float, *names: str) -> Change:
    """Return a change that multiplies the named arrays, or all; 0 leaves them out."""
    return replaced(lambda array: factor * array, *names)


def replaced(function: Callable[[Array], Array], *names: str) -> Change:
    """Return a change of the named arrays, or all."""

    def change(arrays: Arrays) -> Arrays:
        assert set(names) <= set(arrays), f"{set(names) - set(arrays)} are not in {set(arrays)}"
        return {
            name: function(array) if not names or name in names else array
            for name, array in arrays.items()
        }

    return change


def exchanged(one: str, other: str) -> Change:
    """Return a change that exchanges the arrays whose names begin with two prefixes."""

    def rename(name: str) -> str:
        if name.startswith(one):
            return other + name.removeprefix(one)
        return one + name.removeprefix(other) if name.startswith(other) else name

    return lambda arrays: {rename(name): array for name, array in arrays.items()}
