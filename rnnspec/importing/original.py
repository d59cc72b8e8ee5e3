"""Run what a model was read from, and compare it with the NumPy reference that has its arrays."""

from __future__ import annotations

import math
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.backends.model_files import reader
from rnnspec.backends.slots import as_batch, by_name
from rnnspec.comparison import reference
from rnnspec.comparison.batch import ROWS, STEPS_OF_ANY_LENGTH, draw_input
from rnnspec.comparison.case import random_split, step_through
from rnnspec.comparison.levels import distance, tolerances
from rnnspec.comparison.verify import (
    DTYPE,
    LONGEST,
    batches,
    case_of,
    in_float64,
    in_words,
    steady_case,
)
from rnnspec.errors import BackendError, ModelError, Problem, brief
from rnnspec.files.regular import opened
from rnnspec.importing.assemble import ImportedModel
from rnnspec.ir.nodes import (
    Pooling,
    Recurrent,
    SequenceInput,
    TokenInput,
    attention_of,
    least_steps,
)
from rnnspec.ir.params import directions, used_params
from rnnspec.source.execute import execute
from rnnspec.weights.caller_arrays import as_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rnnspec.backends import Backend
    from rnnspec.backends.slots import Array, Batch
    from rnnspec.comparison.case import Case
    from rnnspec.ir.nodes import Layer, Network, Shape
    from rnnspec.pipeline import Generated, Program

_MOST_NUMBERS = 2**26
"""The most numbers of all layers for one batch: half a gigabyte in float64."""
_MOST_STEPS = 2**15
"""The most steps of all recurrent layers for one batch."""
_MOST_LIMITS = 4
"""The most sizes in a file beyond which it is run."""
_LARGEST_SIZE = 512
_MOST_PRODUCTS = 2**23
"""The most products of two numbers for one of these batches."""
_LARGEST_NUMBER = 1e5
_MOST_TOKENS = 64
_LARGEST_OUTPUT = 1e30
_ROUNDING = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
"""The relative rounding error of one number, for dtypes that have no tolerance of their own."""
_LARGEST_ROUNDING = 0.25
"""The largest tolerance with which a comparison still tells networks apart."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A batch of the network, what the original takes for it, and what messages call that.

    ``lengths`` are the numbers of real steps, None if no step is padding.
    """

    batch: Batch
    inputs: Any
    title: str = "random batches"
    lengths: Any = None


@dataclass(frozen=True, slots=True)
class Original:
    """The original of a model, ready to be run.

    ``source`` is what errors are about, ``what`` its name within a sentence, and ``framework`` has
    a version. ``output`` returns the output for what is given, in inference, and ``dtype`` is the
    least exact one that it computes in, with functions of an absolute ``function_error``. ``scale``
    multiplies its arrays, if they may be changed. A ``live`` model has to run; a file is another
    matter, as the framework that is installed may be another one than that which wrote it.
    ``inputs`` are what it calls the inputs of the network, if it has other names.
    With ``padded_at_end``, it takes sequences with padding at their end alone, and with ``longest``
    those of at most so many steps. ``limits`` are numbers beyond which it may compute otherwise.
    """

    source: str
    what: str
    framework: str
    output: Callable[[Trial], Array]
    dtype: str = DTYPE
    function_error: float = 0.0
    scale: Callable[[float], None] | None = None
    live: bool = False
    inputs: Mapping[str, str] = field(default_factory=dict)
    padded_at_end: bool = False
    longest: int | None = None
    limits: tuple[float, ...] = ()

    def draw(self, network: Network) -> Iterator[Trial]:
        """Yield the batches that written files are checked with, as the original takes them."""
        shapes = set[tuple[tuple[int, ...], ...]]()
        for batch in map(partial(self.trial, network), batches(network, self.longest)):
            shape = tuple(array.shape for array in by_name(batch.batch).values())
            # All batches of a network of fixed length are alike.
            if shape not in shapes:
                shapes.add(shape)
                yield batch

    def trial(self, network: Network, drawn: Batch) -> Trial:
        """Return a batch as the original takes it, with the inputs under its own names."""
        batch = _padded_at_end(network, drawn) if self.padded_at_end else drawn
        own = {self.inputs.get(name, name): array for name, array in by_name(batch).items()}
        return Trial(batch, own if isinstance(batch, dict) else batch)

    def failed(self, trial: Trial, error: Exception) -> str:
        """Return why an error is no difference.

        Raises:
            ModelError: it is one.
        """
        reason = f"{self.framework} does not run it ({brief(error)})"
        if self.live:
            shape = tuple(array.shape for array in by_name(trial.batch).values())
            said = shape[0] if len(shape) == 1 else shape
            self.differs(f"on a random batch of shape {said}, {reason}")
        return reason

    def difference(self, trial: Trial, layer: str, far: float, tolerated: float) -> str:  # noqa: ARG002 - others have several results
        """Return how an output differs from that of a layer."""
        return (
            f"on {trial.title}, expected the output of {self.what} in {self.framework} within "
            f"{tolerated:.2g}, received a difference of {far:.3g}"
        )

    def differs(self, message: str) -> NoReturn:
        """Raise the error for another result."""
        raise ModelError((Problem(self.source, message, code="E709"),))


@dataclass(frozen=True, slots=True)
class Compared:
    """The result of a comparison: with what, and its ``outcome``.

    If there was none, ``reason`` says why.
    """

    what: str
    framework: str = ""
    outcome: str = ""
    reason: str = ""

    def __str__(self) -> str:
        if self.reason:
            return f"not compared with {self.what}: {self.reason}"
        return f"compared with {self.what} in {self.framework}: {self.outcome}"


def compare_file(
    path: Path, model: ImportedModel, importing: Callable[[Backend], None]
) -> Compared:
    """Compare a file, opened by its own framework, with the reference.

    Args:
        path: the file.
        model: what was read from it.
        importing: called before a framework is needed.

    Raises:
        ModelError: they differ.
    """
    imported, what = model.imported, "the original"
    # Before the file is opened, too: a small one can state long sequences.
    if reason := "; ".join(imported.unlike) or _too_large(model.program.network):
        return Compared(what, reason=reason)
    backend = get(imported.opener)
    try:
        importing(backend)
        output, scale = _runner(path, model, backend)
    except BackendError as error:
        return Compared(what, reason=brief(error.message))
    except Exception as error:  # noqa: BLE001 - of a framework, which may raise anything
        return Compared(what, reason=f"{backend.title} does not open it ({brief(error)})")
    original = Original(
        source=str(path),
        what=what,
        framework=backend.runtime.version(),
        output=lambda trial: output(trial.inputs),
        function_error=backend.function_error,
        scale=scale,
        inputs=imported.inputs,
        padded_at_end=imported.padded_at_end,
        limits=imported.limits,
    )
    return compare(original, model.program, model.arrays)


def compare(original: Original, program: Program, arrays: Mapping[str, Array]) -> Compared:
    """Compare an original with the reference, on the batches that written files are checked with.

    Raises:
        ModelError: they differ.
    """
    if reason := _too_large(program.network):
        return Compared(original.what, reason=reason)
    farthest, rounding = 0.0, 0.0
    dtype = "float64" if original.dtype == "float64" else DTYPE
    exact = in_float64(arrays)
    for trial in original.draw(program.network):
        case = case_of(program, exact, trial.batch, dtype)
        try:
            output = original.output(trial)
        except ModelError:
            raise
        except Exception as error:  # noqa: BLE001 - of a framework, which may raise anything
            return Compared(original.what, reason=original.failed(trial, error))
        distances = _distances(case, output)
        tolerated = _limits(case, original, distances)
        largest = max(tolerated.values())
        if not (largest <= _LARGEST_ROUNDING or original.scale):
            reason = f"rounding to {original.dtype} alone moves its output by up to {largest:.2g}"
            return Compared(original.what, reason=reason)
        _check(original, trial, distances, tolerated)
        farthest, rounding = max(farthest, *distances.values()), max(rounding, largest)
    closer = ""
    if farthest > tolerances(DTYPE)["forward"] and original.scale:
        smaller = steady_case(program, arrays, original.function_error, original.longest)
        if smaller is not None:
            case, share = smaller
            original.scale(share)
            trial = original.trial(program.network, case.batch)
            case = case_of(program, case.arrays, trial.batch)
            distances = _distances(case, original.output(trial))
            _check(original, trial, distances, _limits(case, original, distances))
            closer = "with smaller arrays"
    for drawn in _beyond(program.network, arrays, original.limits):
        trial = original.trial(program.network, drawn)
        case = case_of(program, arrays, trial.batch, dtype)
        if not np.abs(case.truth.output).max() < _LARGEST_OUTPUT:
            continue
        try:
            output = original.output(trial)
        except Exception:  # noqa: BLE001, S112 - of a framework, which may lack the memory for it
            continue
        distances = _distances(case, output)
        if not max(distances.values()) <= tolerances(DTYPE)["forward"]:
            _check(original, trial, distances, _limits(case, original, distances))
    words = in_words(farthest, rounding, closer, original.dtype)
    return Compared(original.what, original.framework, words)


def _beyond(
    network: Network, arrays: Mapping[str, Array], limits: Sequence[float]
) -> Iterator[Array]:
    """Yield batches of an only input with sizes, numbers and tokens just beyond limits."""
    rng = np.random.default_rng(0)
    if not limits or network.named_inputs:
        return
    least, steps = least_steps(network), network.input.steps
    whole = sorted({int(limit) for limit in limits if limit == int(limit)})
    # Every array is multiplied at each step.
    per_step = sum(array.size for array in arrays.values())
    for size in [limit for limit in whole if 1 < limit <= _LARGEST_SIZE][-_MOST_LIMITS:]:
        if steps is None and size >= least and 2 * (size + 1) * per_step < _MOST_PRODUCTS:
            yield draw_input(network.input, rng, size + 1)[:2]
        if (size + 1) * (steps or least) * per_step < _MOST_PRODUCTS:
            batch = draw_input(network.input, rng, least)
            yield np.resize(batch, (size + 1, *batch.shape[1:]))
    length = max(least, STEPS_OF_ANY_LENGTH)
    if ROWS * (steps or length) * per_step >= _MOST_PRODUCTS:
        return
    if isinstance(network.input, TokenInput):
        named = {near for limit in whole for near in (limit - 1, limit, limit + 1)}
        tokens = [token for token in sorted(named) if 0 < token < network.input.vocabulary]
        if tokens:
            drawn = draw_input(network.input, rng, length)
            of_limits = rng.choice(tokens[-_MOST_TOKENS:], drawn.shape)
            yield np.where(drawn == 0, 0, of_limits).astype(drawn.dtype)
        return
    filler = network.input.mask_value
    # Those that random numbers do not reach.
    far = {
        abs(limit) for limit in limits if 0 < abs(limit) < 0.3 or 3 < abs(limit) < _LARGEST_NUMBER
    }
    for limit in sorted(far)[-_MOST_LIMITS:]:
        batch = draw_input(network.input, rng, length)
        scaled = batch * limit
        yield scaled if filler is None else np.where(batch == filler, filler, scaled)


def _check(
    original: Original,
    trial: Trial,
    distances: Mapping[str, float],
    tolerated: Mapping[str, float],
) -> None:
    for name, far in distances.items():
        # Written this way, the test also refuses NaN.
        if not far <= tolerated[name]:
            original.differs(original.difference(trial, name, far, tolerated[name]))


def _runner(
    path: Path, origin: ImportedModel, backend: Backend
) -> tuple[Callable[[Any], Array], Callable[[float], None] | None]:
    """Return a function that runs a file, and one that scales its arrays, if there is one.

    Its framework does, with our source where a file has arrays only.
    """
    form, runtime = origin.imported.source, backend.runtime
    if origin.imported.open_file is not None:
        return origin.imported.open_file(), None
    run: Callable[[Any], Array]
    scale: Callable[[float], None]
    if backend.suffix:
        model = runtime.open_original(path, _own_classes(origin, backend))
        run, scale = partial(runtime.output, model), partial(runtime.scale, model)
    else:
        generated = pipeline.generate(origin.program, backend, form)
        file = reader(backend).files(path)[0]
        model, arrays = _load(file, generated, origin.imported.text), origin.arrays
        run = lambda inputs: runtime.trace(model, [], inputs).output  # noqa: E731
        scale = lambda share: generated.store.write(  # noqa: E731
            model, {name: share * array for name, array in arrays.items()}
        )
    if form == "step":
        run = partial(_run_chunks, backend, model, origin.program.network)
    return run, scale


def _run_chunks(backend: Backend, model: Any, network: Network, inputs: Batch) -> Array:
    """Return the output of a model in step form for a batch in random chunks."""
    steps = reference.steps_of(network, inputs)[network.streams[0]]
    lengths = random_split(steps, np.random.default_rng(0), least_steps(network))
    return step_through(backend, model, network, inputs, lengths)


def of_built(generated: Generated, model: Any, source: str = "model") -> Original:
    """Return a live model of generated source, which may have been changed since."""
    backend, network = generated.backend, generated.program.network

    def run(trial: Trial) -> Array:
        if generated.form == "step":
            return as_array(_run_chunks(backend, model, network, trial.batch))
        return as_array(backend.runtime.trace(model, [], trial.batch).output)

    return Original(
        source=source,
        what=f"the {source}",
        framework=backend.runtime.version(),
        output=run,
        dtype=backend.runtime.precision(model),
        function_error=backend.function_error,
        live=True,
        longest=generated.longest,
    )


def _own_classes(origin: ImportedModel, backend: Backend) -> Mapping[str, type]:
    """Return the classes that a file names, from the source of what was read from it."""
    imported, network = origin.imported, origin.program.network
    if not imported.classes:
        return {}
    text = imported.text or pipeline.generate(origin.program, backend).text
    own = {
        name: value
        for name, value in vars(execute(text, network.name)).items()
        if isinstance(value, type)
    }
    # Keras registers a class as PACKAGE>CLASS.
    pairs = ((name, own.get(name.rpartition(">")[2])) for name in imported.classes)
    return {name: class_ for name, class_ in pairs if class_ is not None}


def _load(path: Path, generated: Generated, text: str) -> Any:
    """Return a model of generated source with the arrays in a file, loaded as a user would."""
    backend, name = generated.backend, generated.network.name
    # Source beside the file is equal, but only the text at hand is sure to stay so.
    with tempfile.TemporaryDirectory(prefix="rnnspec-") as folder:
        source = Path(folder, f"{name}{backend.ending}")
        source.write_text(text, encoding="utf-8", newline="\n")
        with opened(path) as (stream, _), source.with_suffix(path.suffix).open("wb") as copy:
            shutil.copyfileobj(stream, copy)
        return backend.runtime.reload(Path(folder), name, generated.source)


def _padded_at_end(network: Network, batch: Batch) -> Batch:
    """Return a batch with the padding of each sequence at its end, without those of padding alone.

    The batch is returned as it is if its network has no mask.
    """
    moved: dict[str, Array] = {}
    kept: Array | None = None
    for network_input in network.inputs:
        array = moved[network_input.name] = by_name(batch)[network_input.name]
        if isinstance(network_input, SequenceInput) and network_input.masked:
            real = reference.padding_mask(network_input, array)
            order = np.argsort(~real, axis=1, kind="stable")
            order = order.reshape(*order.shape, *[1] * (array.ndim - 2))
            moved[network_input.name] = np.take_along_axis(array, order, axis=1)
            has_steps = np.atleast_1d(real.any(axis=1))
            kept = has_steps if kept is None else kept & has_steps
    if kept is None:
        return batch
    rows = np.flatnonzero(kept) if kept.any() else np.arange(1)
    taken = {name: array[rows] for name, array in moved.items()}
    return as_batch(taken)


def _distances(case: Case, output: Array) -> dict[str, float]:
    """Return how far an output is from that of the reference, for each layer that gives one."""
    network, truth = case.network, case.truth.output
    if output.shape != truth.shape:
        return {layer.name: math.inf for layer in network.results.values()}
    shapes = reference.result_shapes(network, case.batch)
    expected, received, defined = (
        reference.split_outputs(network, array, shapes)
        for array in (truth, output, _where_defined(case))
    )
    return {
        name: distance(received[name][defined[name]], expected[name][defined[name]])
        for name in expected
    }


def _where_defined(case: Case) -> Array:
    """Return where the output of the original is defined, in the shape of the output."""
    real = case.real(case.batch) > 0.0
    layers = case.network.layers
    if any(_weighs_steps(layer) for layer in layers):
        # Keras divides by the number of real steps, 0 in a sequence of padding, and attends to all.
        for network_input in case.network.inputs:
            if isinstance(network_input, SequenceInput) and network_input.masked:
                rows = reference.padding_mask(
                    network_input, by_name(case.batch)[network_input.name]
                ).any(axis=1)
                real &= rows.reshape(-1, *[1] * (real.ndim - 1))
    return real


def _weighs_steps(layer: Layer) -> bool:
    """True if a layer has no mean in a sequence of padding."""
    attention = attention_of(layer)
    return attention.masked if attention else isinstance(layer, Pooling) and layer.masked


def _limits(case: Case, original: Original, distances: Mapping[str, float]) -> dict[str, float]:
    """Return the largest differences that the dtype of the original explains, by layer."""
    if original.dtype not in _ROUNDING:
        limits = case.bounds(original.function_error, distances)
        return {name: limits[name] for name in distances}
    # Eight times what moves the reference if every number is rounded once.
    unit, rng = _ROUNDING[original.dtype], np.random.default_rng(0)
    farthest = dict.fromkeys(distances, unit)
    for _ in range(3):
        arrays = {
            name: array * (1.0 + unit * rng.choice((-1.0, 1.0), array.shape))
            for name, array in case.arrays.items()
        }
        with np.errstate(all="ignore"):
            moved = reference.run(case.network, arrays, case.batch).output
        for name, far in _distances(case, moved).items():
            farthest[name] = max(farthest[name], far)
    return {name: 8.0 * far for name, far in farthest.items()}


def _too_large(network: Network) -> str:
    """Return why a network is not run, empty if it is."""
    numbers, steps = sum(_size(network_input.shape) for network_input in network.inputs), 0
    for layer in network.layers:
        numbers += _size(layer.output)
        if isinstance(layer, Recurrent):
            scanned = _size(layer.input[:1]) * len(directions(layer))
            numbers += scanned * used_params(layer)[0].shape[-1]
            steps += scanned
    if numbers * ROWS <= _MOST_NUMBERS and steps <= _MOST_STEPS:
        return ""
    return f"a sequence of it has {numbers:,} numbers and {steps:,} steps, too many to run here"


def _size(shape: Shape) -> int:
    return math.prod(LONGEST if size is None else size for size in shape)
