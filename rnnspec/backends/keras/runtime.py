"""Keras itself: live models with their counts, arrays and files."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from threading import RLock
from typing import TYPE_CHECKING, Any, assert_never

import keras
import numpy as np

from rnnspec.backends.contract import NO_CLASSES, ArrayType, Runtime, Trace
from rnnspec.backends.keras.backend import KERAS
from rnnspec.backends.keras.gradients import (
    STEPS_WORTH_TRACING,
    join,
    loss_and_gradients,
    outputs_of,
)
from rnnspec.backends.keras.layers import layer_name, parts_of
from rnnspec.backends.keras.outputs import engine, output_of, precision
from rnnspec.backends.model_files import load_entry
from rnnspec.backends.slots import by_name
from rnnspec.errors import BackendError, brief
from rnnspec.files.model import SPEC_KEY
from rnnspec.ir.nodes import learned_of
from rnnspec.ir.params import Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path
    from types import ModuleType

    from rnnspec.backends.contract import Learner
    from rnnspec.backends.optimizers import Optimizer, OptimizerStep
    from rnnspec.backends.slots import Array, Batch
    from rnnspec.ir.nodes import Layer
    from rnnspec.source.code import Source


_ONE_AT_A_TIME = RLock()
"""Held while a model is built, because Keras's default dtype is shared by all threads."""
_BEGIN = "build_begin"
"""The function of generated source that makes the model of the first states."""


@dataclass(frozen=True, slots=True)
class Begin:
    """The model of the first states, as the attribute ``begin`` of a model in step form.

    Keras saves a model that is an attribute of another one; this has a file of its own.
    """

    model: keras.Model

    def __call__(self, inputs: Any) -> Any:
        """Return the states before the first chunk, by name."""
        return self.model(inputs)


class KerasRuntime(Runtime):
    """Keras, on any of its engines."""

    def version(self) -> str:
        """Return Keras's version and the engine it runs on."""
        return f"Keras {keras.__version__} on {keras.backend.backend()}"

    def instantiate(
        self,
        module: ModuleType,
        source: Source,
        dtype: str,
        *,
        drawn: bool,  # noqa: ARG002 - drawing takes little
    ) -> keras.Model:
        """Return the model that the generated function makes, in ``dtype``."""
        if dtype == "float64":
            _keep_float64()
        with _using(_registered(vars(module))), _dtype(dtype):
            model = getattr(module, source.entry)()
            if hasattr(module, _BEGIN):
                model.begin = Begin(getattr(module, _BEGIN)())
            return model

    def forget(self) -> None:
        """Forget the names of layers and operations, which Keras numbers in the whole process."""
        keras.utils.clear_session(free_memory=False)

    def layer_count(self, model: keras.Model, layer: Layer) -> int:
        """Return the parameter count of one layer, 0 for a layer made of operations."""
        children = _layers(model)
        names = [layer_name(layer), *parts_of(layer).values()]
        names += [vector.name for vector in learned_of(layer)]
        return sum(int(children[name].count_params()) for name in names if name in children)

    def layer_type(self, model: keras.Model, layer: Layer) -> str:
        """Return the name of the class of one layer, empty if it is made of operations."""
        child = _layers(model).get(layer_name(layer))
        return type(child).__name__ if child else ""

    def counts(self, model: keras.Model) -> Counts:
        """Return the parameter counts of the whole model according to Keras."""
        return Counts(
            trainable=_size(_weights(model, "trainable_weights")),
            non_trainable=_size(_weights(model, "non_trainable_weights")),
        )

    def precision(self, model: keras.Model) -> str:
        """Return the least exact dtype in which a layer of a model computes."""
        return precision(model)

    def unwrap(self, model: Any) -> keras.Model | None:
        """Return a model as it is: nothing wraps a Keras model."""
        return model if isinstance(model, keras.Model) else None

    def array_type(self, model: keras.Model, layer: str, path: str) -> ArrayType:
        """Return the dtype and shape of one array."""
        try:
            variable = _variable(model, layer, path)
            return ArrayType(str(variable.dtype), tuple(variable.shape))
        # Keras raises ValueError for an unknown layer.
        except (AttributeError, ValueError) as error:
            raise LookupError(str(error)) from error

    def other_shapes(
        self, model: keras.Model, known: Collection[tuple[str, str]]
    ) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all weights that are not at a known (layer, path)."""
        # By identity: == on variables of Keras compares their elements.
        known_ids = set[int]()
        for key in known:
            with suppress(AttributeError, ValueError):
                known_ids.update(map(id, _variables(model, *key)))
        # Nothing is learned by an array without elements, as the kernel beside a bias alone.
        return {
            variable.path: tuple(variable.shape)
            for part in _models(model)
            for variable in part.weights
            if id(variable) not in known_ids and 0 not in variable.shape
        }

    def get(self, model: keras.Model, layer: str, path: str) -> Array:
        """Return a copy of one array."""
        array = np.array(keras.ops.convert_to_numpy(_variable(model, layer, path)))
        # NumPy has no bfloat16: the dtype that ml_dtypes adds is of the kind V, as void is.
        return array.astype(np.float32) if array.dtype.kind == "V" else array

    def put(self, model: keras.Model, layer: str, path: str, array: Array) -> None:
        """Replace one array; Keras casts it to the variable's dtype."""
        for variable in _variables(model, layer, path):
            variable.assign(array)

    def trace(self, model: keras.Model, layers: Sequence[str], inputs: Batch) -> Trace:
        """Run one forward pass in inference, and record the input of each layer of the model."""
        first = dict(_inputs_of(model, layers))
        output = outputs_of(model)
        results = [*output.values()] if isinstance(output, dict) else [output]
        named = model.input if isinstance(inputs, dict) else model.inputs[0]
        # A second model over the same layers, because Keras has no hooks.
        with _recursion(len(model.layers)):
            probe = keras.Model(named, [*first.values(), *results])
        with _no_advice():
            # The only one of a list of outputs is returned without the list.
            values = [*map(np.asarray, keras.tree.flatten(_outputs(probe, inputs)))]
        inside, outputs = values[: len(first)], values[len(first) :]
        whole = (
            join(dict(zip(output, outputs, strict=True)), output)
            if isinstance(output, dict)
            else outputs[0]
        )
        return Trace(dict(zip(first, inside, strict=True)), np.asarray(whole))

    def begin(self, model: keras.Model, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the states of a model in step form before the first chunk."""
        with _no_advice():
            first = _outputs(model.begin.model, dict(inputs))
        return {name: np.asarray(value) for name, value in first.items()}

    def step(
        self, model: keras.Model, chunk: Batch, states: Mapping[str, Array] | None
    ) -> tuple[Array, dict[str, Array]]:
        """Return the output for the steps so far, and the new states, by name."""
        first, *_ = model.input
        chunks = dict(chunk) if isinstance(chunk, Mapping) else {first: chunk}
        names = [name for name in model.input if name not in chunks]
        if states is None and hasattr(model, "begin"):
            # Without another input, the first chunk tells the number of sequences.
            is_named = isinstance(model.begin.model.input, dict)
            with _no_advice():
                begun = {first: chunks[first]} if is_named else chunks[first]
                states = _outputs(model.begin.model, begun)
        elif states is None:
            rows = len(chunks[first])
            states = {
                name: np.zeros((rows, *(n or 0 for n in shape[1:])), model.input[name].dtype)
                for name, shape in ((name, model.input[name].shape) for name in names)
            }
        with _no_advice():
            outputs = _outputs(model, {**chunks, **states})
        after = {name: np.asarray(outputs[name]) for name in names}
        results = [name for name in model.output if name not in after]
        whole = join(outputs, results) if len(results) > 1 else outputs[results[0]]
        return np.asarray(whole), after

    def learner(
        self, model: keras.Model, keys: Sequence[tuple[str, str]], *, training: bool
    ) -> Learner:
        """Return a function that computes the loss and the gradients of the arrays at ``keys``.

        Raises:
            BackendError: Keras runs on an engine that is not supported here.
        """
        variables = [_variable(model, layer, path) for layer, path in keys]
        compute = loss_and_gradients(model, variables, training=training)

        def run(inputs: Batch, target: Array, weight: Array) -> tuple[float, list[Array]]:
            loss, gradients = compute(inputs, target, weight)
            return float(loss), [
                np.array(keras.ops.convert_to_numpy(gradient)) for gradient in gradients
            ]

        return run

    def own_steps(
        self, model: keras.Model, keys: Sequence[tuple[str, str]], *, training: bool, summed: bool
    ) -> Callable[[Optimizer], OptimizerStep]:
        """Return a function that returns the step of one of Keras's own optimizers.

        Unless ``summed``, the optimizer gets the gradient of an embedding as when Keras trains: on
        TensorFlow, with a row for each token of the batch.
        """
        variables = [_variable(model, layer, path) for layer, path in keys]
        compute = loss_and_gradients(model, variables, training=training, summed=summed)

        def make_step(settings: Optimizer) -> OptimizerStep:
            # The learning rate is a variable of the dtype ``keras.config.floatx()``.
            with _ONE_AT_A_TIME, _dtype(str(variables[0].dtype)):
                optimizer = _make_optimizer(settings)
                optimizer.build(variables)

            def step(inputs: Batch, target: Array, weight: Array) -> float:
                loss, gradients = compute(inputs, target, weight)
                optimizer.apply(gradients, variables)
                return float(loss)

            return step

        return make_step

    def save(self, model: keras.Model, folder: Path, name: str, source: str, spec: str) -> None:
        """Write ``NAME.keras`` with the text of the spec in its metadata, which Keras ignores.

        One model gives the same bytes every time, without the date and without addresses in memory.
        """
        if len(parts := _models(model)) > 1:
            self.save(parts[1], folder, f"{name}_begin", source, spec)
        whole, bare = folder / f"{name}.keras", folder / f"{name}.bare.keras"
        model.save(bare)
        with zipfile.ZipFile(bare) as old, zipfile.ZipFile(whole, "w") as new:
            for part in old.infolist():
                undated = zipfile.ZipInfo(part.filename)
                undated.file_size = part.file_size
                with old.open(part) as read, new.open(undated, "w") as written:
                    if part.filename.endswith(".json"):
                        data = _reproducible(json.load(read), {})
                        data |= {SPEC_KEY: spec} if part.filename == "metadata.json" else {}
                        written.write(json.dumps(data).encode())
                    else:
                        shutil.copyfileobj(read, written, 2**20)
        bare.unlink()

    def reload(self, folder: Path, name: str, source: Source) -> keras.Model:
        """Return the model in ``NAME.keras``, with the classes of a source beside it."""
        beside = (folder / f"{name}.py").exists()
        space = load_entry(folder, name, source.entry).__globals__ if beside else {}
        with _using(_registered(space)):
            model = keras.saving.load_model(folder / f"{name}.keras")
            if (begin := folder / f"{name}_begin.keras").exists():
                model.begin = Begin(keras.saving.load_model(begin))
            return model

    def open_original(self, path: Path, classes: Mapping[str, type] = NO_CLASSES) -> keras.Model:
        """Return the model in a file of any version of Keras, not compiled.

        Keras imports the modules that the file names, so its configuration must be checked before.
        ``classes`` have the names under which Keras registers them.

        Raises:
            BackendError: Keras does not open it.
        """
        try:
            with _no_advice(), warnings.catch_warnings(), _using(classes):
                # Keras has other habits now than when the file was written.
                warnings.simplefilter("ignore")
                return keras.saving.load_model(path, compile=False, safe_mode=True)
        except Exception as error:  # whatever becomes of a file of another version
            raise BackendError(f"{self.version()} does not open it ({brief(error)})") from error

    def output(self, model: keras.Model, inputs: Batch) -> Array:
        """Return the output of a model in inference, which may take batches of one size only."""
        with _no_advice():
            return output_of(model, partial(_predict, model), inputs)

    def scale(self, model: keras.Model, share: float) -> None:
        """Multiply every array of a model."""
        model.set_weights([share * array for array in model.get_weights()])


def _predict(model: keras.Model, batch: Batch) -> Any:
    """Return the outputs of a model of anybody's, run as its users run it."""
    # Compiled for one length, TimeDistributed fails at another.
    if any(isinstance(layer, keras.layers.TimeDistributed) for layer in model._flatten_layers()):  # noqa: SLF001
        return model(batch, training=False)
    return model.predict_on_batch(batch)


def _outputs(model: keras.Model, batch: Batch) -> Any:
    """Return the outputs of a model of generated source in inference, as arrays."""
    # TensorFlow takes far longer to trace a model for one batch than to run it over a few steps.
    steps = max((array.shape[1] for array in by_name(batch).values() if array.ndim > 1), default=1)
    if engine(keras) == "tensorflow" and steps < STEPS_WORTH_TRACING:
        # Keras takes no mixture of tensors and arrays.
        return keras.tree.map_structure(np.asarray, model(batch, training=False))
    return model.predict_on_batch(batch)


def _keep_float64() -> None:
    """Make every engine compute float64 models in float64, from now on.

    JAX disables float64 by default. On all engines but TensorFlow, Keras's table of result types
    maps float64 to float32, so that a product of float64 matrices is float32 on PyTorch. Models in
    float32 are not affected.
    Sources: https://docs.jax.dev/en/latest/default_dtypes.html,
    https://github.com/keras-team/keras/issues/23704.
    """
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)
    from keras.src.backend.common import dtypes

    # A private table, which other versions of Keras may lack.
    getattr(dtypes, "BIT64_TO_BIT32_DTYPE", {})["float64"] = "float64"
    if keras.backend.backend() == "tensorflow":
        from keras.src import backend

        # TensorFlow rounds the slope to float32.
        backend.nn.leaky_relu = _leaky_relu


def _leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    return keras.ops.where(x > 0, x, negative_slope * x)


def _registered(space: Mapping[str, Any]) -> dict[str, type]:
    """Return the layers among the names of a module, by the names that Keras has for them."""
    classes = [value for value in space.values() if isinstance(value, type)]
    # Typing has a class of the name of an operation, Any.
    classes = [class_ for class_ in classes if issubclass(class_, keras.layers.Layer)]
    return {keras.saving.get_registered_name(class_): class_ for class_ in classes}


@contextmanager
def _using(classes: Mapping[str, type]) -> Iterator[None]:
    """Let Keras find these classes by their names, which others of the process may have too.

    ``Bidirectional`` and ``load_model`` look up the class of a layer. ``custom_object_scope`` does
    not hold inside a layer: there the registered class of a name comes first.
    """
    registry = keras.saving.get_custom_objects()
    with _ONE_AT_A_TIME:
        before = dict(registry)
        registry.update(classes)
        try:
            yield
        finally:
            registry.clear()
            registry.update(before)


@contextmanager
def _dtype(dtype: str) -> Iterator[None]:
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    # Layers follow the policy, ``keras.Input`` follows floatx.
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


def _models(model: keras.Model) -> list[keras.Model]:
    """Return a model, and the one of its first states if it has any."""
    return (
        [model, model.begin.model] if isinstance(getattr(model, "begin", None), Begin) else [model]
    )


def _layers(model: keras.Model) -> dict[str, Any]:
    return {layer.name: layer for part in _models(model) for layer in part.layers}


_OF_FUNCTIONS = ("ExpandDims", "OnesLike", "Pad")
_REPEATED = "bf,bt->btf"


def _inputs_of(model: keras.Model, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield the layers that get the output of another one, and that output."""
    children = _layers(model)
    for name in names:
        # These are before the layer itself.
        before = (children.get(f"{name}_{role}") for role in ("padding", "scores", "sum"))
        child = next(filter(None, before), children.get(KERAS.reserved_names.attribute(name)))
        # A reshape gets a part of the steps, and a layer that scales what functions have computed.
        others = (keras.layers.Reshape, keras.layers.EinsumDense)
        if child is None or isinstance(child, others):
            continue
        # An embedding with several inputs has that of another layer.
        if isinstance(child, keras.layers.Embedding) and len(child._inbound_nodes) > 1:  # noqa: SLF001
            continue
        tensor = child.input[0] if isinstance(child.input, list) else child.input
        made_by = tensor._keras_history.operation  # noqa: SLF001
        # A vector is repeated before it is joined, and steps are added before a maximum; a learned
        # state gets a number.
        is_other = type(made_by).__name__ in _OF_FUNCTIONS
        is_other |= getattr(made_by, "subscripts", "") == _REPEATED
        if type(made_by).__name__ == "Where":
            # The mean of real steps gets zeros for the others, of steps that are added too.
            filled = keras.tree.flatten(made_by.input)
            makers = (type(slot._keras_history.operation).__name__ for slot in filled)  # noqa: SLF001
            is_other |= "Pad" in makers
        # A layer that is a bias alone gets no features.
        if tensor.shape[-1] != 0 and not is_other:
            yield name, tensor


def _size(weights: Sequence[Any]) -> int:
    # A dropout layer's seed is a variable to Keras, but its summary does not count it.
    return sum(int(np.prod(weight.shape)) for weight in weights)


def _variable(model: keras.Model, layer: str, path: str) -> Any:
    return _variables(model, layer, path)[0]


def _variables(model: keras.Model, layer: str, path: str) -> list[Any]:
    """Return an array of a layer, which a model and that of its first states may share.

    Raises:
        ValueError: there is no such layer.
    """
    parts = [part for part in _models(model) if layer in {own.name for own in part.layers}]
    return [attrgetter(path)(part.get_layer(layer)) for part in parts or [model]]


def _weights(model: keras.Model, kind: str) -> list[Any]:
    """Return the weights of a model, and those that only the model of its first states has."""
    whole, *others = _models(model)
    own = {layer.name for layer in whole.layers}
    layers = [layer for part in others for layer in part.layers if layer.name not in own]
    return [*getattr(whole, kind), *(array for layer in layers for array in getattr(layer, kind))]


@contextmanager
def _recursion(calls: int) -> Iterator[None]:
    # Keras walks a model by recursion, one call for each layer.
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + calls)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


@contextmanager
def _no_advice() -> Iterator[None]:
    # TensorFlow warns when several models are run once each, which is what a comparison does, and
    # Keras, through absl, of what it does not need in a file.
    loggers = [logging.getLogger(name) for name in ("tensorflow", "absl")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _reproducible(value: Any, numbers: dict[int, int]) -> Any:
    """Return JSON of Keras with shared objects numbered from 1, and without the date."""
    match value:
        case dict():
            items = {key: _reproducible(inner, numbers) for key, inner in value.items()}
            items.pop("date_saved", None)
            if isinstance(shared := items.get("shared_object_id"), int):
                items["shared_object_id"] = numbers.setdefault(shared, len(numbers) + 1)
            return items
        case list():
            return [_reproducible(item, numbers) for item in value]
        case _:
            return value


def _make_optimizer(settings: Optimizer) -> keras.optimizers.Optimizer:
    common = {"beta_1": settings.beta_1, "beta_2": settings.beta_2, "epsilon": settings.epsilon}
    match settings.name:
        case "SGD":
            return keras.optimizers.SGD(settings.rate)
        case "Adam":
            return keras.optimizers.Adam(settings.rate, **common)
        case "AdamW":
            return keras.optimizers.AdamW(settings.rate, **common, weight_decay=settings.decay)
        case _:
            assert_never(settings.name)


RUNTIME = KerasRuntime()
