"""A live module of PyTorch and its network, run on the same inputs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.comparison.reference import split_outputs
from rnnspec.errors import ModelError, Problem, UsageError, brief
from rnnspec.importing.torch import graph
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnspec.importing.assemble import Taken
    from rnnspec.importing.torch.values import Layout
    from rnnspec.slots import Array

_TOLERANCE = 1e-9
"""The largest difference in float64, relative to the largest value or to 1."""
_ROWS = 3


class _ModuleError(Exception):
    """An error that a module raised for its inputs."""


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Inputs of ``forward``, what messages call them, and those of the network.

    ``lengths`` are the numbers of real steps, None if no step is padding.
    """

    title: str
    values: tuple[Any, ...]
    given: Array
    lengths: Any


def compare_module(module: Any, example: tuple[Any, ...], taken: Taken, layout: Layout) -> str:
    """Check that a network has the results of its module, on an example and on random inputs.

    Returns a sentence on what was compared.

    Random ones that a module refuses are passed over if there is an example. The module is not
    changed, and neither are PyTorch's random numbers.

    Args:
        module: the module.
        example: the inputs of its ``forward``, empty if there are none.
        taken: the network and its arrays.
        layout: how the inputs and the result of the module differ from those of the network.

    Raises:
        ModelError: a result differs.
        UsageError: the module fails on the example, or there is none and it fails on random inputs.
    """
    with graph.randomness_kept(module):
        runs = _Runs(module, taken, layout)
        network = taken.program.network
        several = [_of_example(example, network.input, layout)] if example else []
        if several:
            runs.compare(several)
        where = "the example and random inputs" if example else "random inputs"
        try:
            dtype = runs.compare(list(_draw(module, network, layout)))
        except UsageError:
            if not example:
                raise
            # Twice, because a module may keep something from one call to the next.
            dtype, where = runs.compare(several * 2), "the example"
    version = get("torch").runtime.version()
    return f"compared with the module in {version}: equal on {where} ({dtype})"


class _Runs:
    """The module and its network, each in both dtypes, made when they are first needed."""

    def __init__(self, module: Any, taken: Taken, layout: Layout) -> None:
        self._module = module
        self._taken = taken
        self._layout = layout
        self._networks: dict[str, Any] = {}

    @cached_property
    def _inference(self) -> pipeline.Generated:
        # The form without initial weights, which take longer to draw than the rest to run.
        return pipeline.generate(self._taken.program, get("torch"), "inference")

    def compare(self, several: Sequence[_Inputs]) -> str:
        """Compare the results for several inputs, one after the other on one copy of the module.

        Returns the dtype: float32 only where a module fails in float64 or rounds by itself.
        """
        dtype = "float64"
        try:
            problem = self._difference("float64", several)
        except _ModuleError as failure:
            dtype = "float32"
            try:
                problem = self._difference(dtype, several)
            except _ModuleError:
                title = several[0].title
                advice = "" if title == "the example" else "; give inputs that it takes as example="
                message = f"expected a module that runs on {title}, received an error: {failure}"
                raise UsageError(f"{message}{advice}", "module") from failure.__cause__
        else:
            if problem and self._layout.casts:
                dtype = "float32"
                problem = self._difference(dtype, several)
        if problem:
            raise ModelError((Problem("module", problem, code="E709"),))
        return dtype

    def _difference(self, dtype: str, several: Sequence[_Inputs]) -> str:
        """Return how the results differ, empty if they are equal."""
        copied = self._copy(dtype)
        for place, inputs in enumerate(several):
            difference = self._distance(copied, inputs, dtype)
            if difference and place:
                fresh = self._distance(self._copy(dtype), inputs, dtype)
                if not fresh:
                    return (
                        f"on {inputs.title}, expected the result of a first call, received a "
                        "result that depends on the call before: the module keeps a state"
                    )
            if difference:
                return (
                    f"on {inputs.title}, expected the result of the module, received {difference}"
                )
        return ""

    def _copy(self, dtype: str) -> Any:
        try:
            return graph.runnable(self._module, dtype)
        except UsageError:
            raise
        except Exception as error:  # of its own train, or of a device without float64
            raise _ModuleError(brief(error)) from error

    def _distance(self, module: Any, inputs: _Inputs, dtype: str) -> str:
        try:
            results = graph.outcome(module, inputs.values, dtype)
        except Exception as error:
            raise _ModuleError(brief(error)) from error
        given = inputs.given
        if dtype == "float32" and given.dtype.kind == "f":
            given = given.astype(np.float32)
        found = self._outputs("float64", given)
        # What float32 costs the network itself is what it may cost the module.
        rounded = self._outputs("float32", given) if dtype == "float32" else found
        if len(results) != len(found):
            return f"{len(results)} results in place of {len(found)}"
        for which, layout in enumerate(self._layout.results):
            lengths = inputs.lengths if layout.padded else None
            wanted = results[which]
            if wanted.ndim == len(layout.order):
                wanted = wanted.transpose(layout.order)
            far = _difference(found[which], rounded[which], wanted, lengths, dtype)
            if far:
                return f"{far} in '{layout.name}'" if layout.name else far
        return ""

    def _outputs(self, dtype: str, given: Array) -> list[Array]:
        generated = self._inference
        if dtype not in self._networks:
            model = pipeline.instantiate(generated, dtype, drawn=False)
            generated.store.write(model, self._taken.arrays)
            self._networks[dtype] = model
        output = generated.backend.runtime.trace(self._networks[dtype], [], given).output
        network = self._taken.program.network
        parts = split_outputs(network, output)
        return [parts[layer.name] for layer in network.results.values()]


def _difference(found: Array, rounded: Array, wanted: Array, lengths: Any, dtype: str) -> str:
    """Return how a result differs from that of the module, empty if they are equal.

    ``rounded`` is the result in ``dtype``. ``lengths`` are None if no step of it is padding.
    """
    if lengths is not None:
        found, rounded = (each[:, : wanted.shape[1]] for each in (found, rounded))
        if found.shape == wanted.shape:  # at padding, the result is unspecified
            is_real = np.arange(wanted.shape[1]) < graph.array(lengths)[:, np.newaxis]
            found, rounded, wanted = (each[is_real] for each in (found, rounded, wanted))
    if found.size != wanted.size:
        return f"shape {found.shape} in place of {wanted.shape}"
    # The module may have squeezed a last axis of size 1.
    wanted = wanted.reshape(found.shape)
    scale = float(np.abs(wanted).max(initial=1.0, where=np.isfinite(wanted)))
    tolerance = _TOLERANCE * scale
    if dtype == "float32":
        cost = float(np.abs(rounded - found).max(initial=0.0, where=np.isfinite(rounded)))
        tolerance = 8 * cost + 16 * float(np.finfo(np.float32).eps) * scale
    unequal = found != wanted  # leaves out equal infinities, which have no difference
    far = float(np.abs(found[unequal] - wanted[unequal]).max(initial=0.0))
    return "" if far <= tolerance else f"a difference of {far:.3g}"


def _of_example(example: tuple[Any, ...], wanted: nodes.Input, layout: Layout) -> _Inputs:
    try:
        given = graph.array(example[0])
    except Exception as error:
        message = f"expected tensors, received an error: {brief(error)}"
        raise UsageError(message, "example") from error
    axes = "(batch, steps)" if isinstance(wanted, nodes.TokenInput) else "(batch, steps, features)"
    if given.ndim != axes.count(",") + 1:
        raise UsageError(f"expected the shape {axes}, received {given.shape}", "example")
    given = given.transpose(np.argsort(layout.order))
    given = given.astype(np.int64) if isinstance(wanted, nodes.TokenInput) else given
    lengths = example[layout.lengths] if layout.lengths else None
    if layout.counted:
        lengths = np.count_nonzero(given, axis=1)
    return _Inputs("the example", example, given, lengths)


def _draw(module: Any, network: nodes.Network, layout: Layout) -> Iterator[_Inputs]:
    """Yield random inputs with different numbers of steps, padded at the end if there are lengths.

    Without lengths no step is padding, so zeros at the start and at the end are steps like others.
    """
    rng, rows = np.random.default_rng(0), layout.batch or _ROWS
    wanted = network.input
    least = nodes.least_steps(network)
    several = dict.fromkeys((max(7, least + 4), max(4, least + 1), least))
    for steps in (wanted.steps,) if wanted.steps else several:
        given = _values(rng, wanted, rows, steps)
        lengths = np.linspace(steps, 1, rows).round().astype(np.int64)
        if not (layout.lengths or layout.counted):
            if rows > 1:
                given[0, steps // 2 + 1 :] = 0
                given[1, : steps // 2] = 0
            yield _inputs(module, given, lengths, layout)
            continue
        orders = (lengths,) if layout.decreasing else (lengths, np.roll(lengths, 1))
        for order in orders:
            padded = given.copy()
            padded[np.arange(steps) >= order[:, np.newaxis]] = 0
            yield _inputs(module, padded, order, layout)


def _inputs(module: Any, given: Array, lengths: Array, layout: Layout) -> _Inputs:
    values = given.transpose(layout.order)
    kind = "tokens" if given.ndim == 2 else "features"
    title = f"random {kind} of shape {values.shape}"
    if layout.lengths or layout.counted:
        title += f" with lengths {', '.join(map(str, lengths))}"
    inputs = graph.inputs_of(module, values, lengths, layout.inputs)
    return _Inputs(title, inputs, given, lengths)


def _values(rng: np.random.Generator, wanted: nodes.Input, rows: int, steps: int) -> Array:
    match wanted:
        case nodes.TokenInput(vocabulary=vocabulary, mask_zero=masks):
            values: Array = rng.integers(min(int(masks), vocabulary - 1), vocabulary, (rows, steps))
            return values
        case nodes.NumericInput(features=features):
            return rng.standard_normal((rows, steps, features))
