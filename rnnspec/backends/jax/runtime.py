"""JAX and Flax themselves: live modules with their counts, arrays and files."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from inspect import signature
from math import prod
from typing import TYPE_CHECKING, Any, assert_never

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from safetensors.flax import load_file
from safetensors.numpy import save_file

from rnnspec.backends.contract import ArrayType, Runtime, Trace, least_exact
from rnnspec.backends.jax.backend import JAX
from rnnspec.backends.model_files import load_entry, write_by_name
from rnnspec.backends.slots import by_name as arrays_by_name
from rnnspec.ir.nodes import learned_of
from rnnspec.ir.params import Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import ModuleType

    from rnnspec.backends.contract import Learner
    from rnnspec.backends.optimizers import Optimizer, OptimizerStep
    from rnnspec.backends.slots import Array, Batch
    from rnnspec.ir.nodes import Layer
    from rnnspec.source.code import Source


class JaxRuntime(Runtime):
    """JAX and Flax."""

    def version(self) -> str:
        """Return the versions of JAX and Flax."""
        return f"JAX {jax.__version__} with Flax {flax.__version__}"

    def instantiate(
        self, module: ModuleType, source: Source, dtype: str, *, drawn: bool
    ) -> nnx.Module:
        """Return an instance of the generated class, in ``dtype``.

        Its arrays are 0 unless they have to be ``drawn``.
        """
        class_ = getattr(module, source.entry)
        model = _make(class_) if drawn else _make_zeros(class_)
        if dtype != "float32":
            with _enable_x64():
                for variable in _variables(model).values():
                    # By NumPy: JAX would compile the conversion of each shape.
                    variable.set_value(jax.device_put(np.asarray(variable).astype(dtype)))
                for _, child in nnx.iter_modules(model):
                    if isinstance(child, nnx.Embed):  # converts its array to a dtype of its own
                        child.dtype = child.param_dtype = jnp.dtype(dtype)
        return model

    def layer_count(self, model: nnx.Module, layer: Layer) -> int:
        """Return the parameter count of one layer, 0 for a layer without a module."""
        names = (_attribute(layer.name), *(vector.name for vector in learned_of(layer)))
        children = (getattr(model, name, None) for name in names)
        return sum(sum(_sizes(child, ...)) for child in children if child is not None)

    def layer_type(self, model: nnx.Module, layer: Layer) -> str:
        """Return the name of Flax's class of one layer, empty if the source has no such module."""
        child = getattr(model, _attribute(layer.name), None)
        kind = type(child.forward_layer if isinstance(child, nnx.Dict) else child)
        # A class of the source itself, such as MaskedGRULayer, says nothing to others.
        return kind.__name__ if kind.__module__.startswith("flax.") else ""

    def counts(self, model: nnx.Module) -> Counts:
        """Return the parameter counts of the whole model according to Flax."""
        trainable = sum(_sizes(model, nnx.Param))
        return Counts(trainable=trainable, non_trainable=sum(_sizes(model, ...)) - trainable)

    def precision(self, model: nnx.Module) -> str:
        """Return the least exact dtype of the arrays of a model."""
        return least_exact(str(variable.dtype) for variable in _variables(model).values())

    def unwrap(self, model: Any) -> nnx.Module | None:
        """Return a module as it is: nothing wraps a module of Flax."""
        return model if isinstance(model, nnx.Module) else None

    def array_type(self, model: nnx.Module, layer: str, path: str) -> ArrayType:
        """Return the dtype and shape of one array."""
        try:
            variable = _variable(model, [layer, *path.split(".")])
            return ArrayType(str(variable.dtype), tuple(variable.shape))
        except AttributeError as error:
            raise LookupError(str(error)) from error

    def other_shapes(
        self, model: nnx.Module, known: Collection[tuple[str, str]]
    ) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all arrays that are not at a known (layer, path)."""
        names = {f"{layer}.{path}" for layer, path in known}
        arrays = _variables(model)
        return {name: tuple(array.shape) for name, array in arrays.items() if name not in names}

    def get(self, model: nnx.Module, layer: str, path: str) -> Array:
        """Return a copy of one array."""
        array = np.array(_variable(model, [layer, *path.split(".")]).get_value())
        # NumPy has no bfloat16: the dtype that ml_dtypes adds is of the kind V, as void is.
        return array.astype(np.float32) if array.dtype.kind == "V" else array

    def put(self, model: nnx.Module, layer: str, path: str, array: Array) -> None:
        """Replace one array, keeping its dtype and device."""
        variable = _variable(model, [layer, *path.split(".")])
        before = variable.get_value()
        # An array committed to a device has everything compiled again that was compiled without it.
        place = before.sharding if before.committed else None
        # Only where it is enabled does an array of NumPy stay in float64.
        with _enable_x64() if before.dtype == jnp.float64 else nullcontext():
            variable.set_value(jax.device_put(np.array(array, before.dtype), place))

    def trace(self, model: nnx.Module, layers: Sequence[str], inputs: Batch) -> Trace:
        """Run one forward pass in inference, and record the input of each layer with a module."""
        graph, state = nnx.split(_view(model, training=False))

        def run(state: Any, batch: Any) -> tuple[Any, Mapping[str, Any]]:
            inputs_of: dict[str, Any] = {}
            probe = nnx.merge(graph, state)
            for name in layers:
                child = getattr(probe, _attribute(name), None)
                if isinstance(child, nnx.Dict):  # of both directions
                    child.forward_layer = _Noted(name, child.forward_layer, inputs_of)
                elif child is not None:
                    setattr(probe, _attribute(name), _Noted(name, child, inputs_of))
            return _join(_call(probe, batch)), inputs_of

        with _precision(model):
            compiled = jax.jit(run, compiler_options=_QUICKLY)
            output, inputs_of = compiled(state, _inputs(model, inputs))
            return Trace({name: np.asarray(x) for name, x in inputs_of.items()}, np.asarray(output))

    def begin(self, model: nnx.Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the states before the first chunk, by name."""
        with _precision(model):
            states = _run_begin(*nnx.split(model), _inputs(model, inputs))
            return {name: np.asarray(state) for name, state in states.items()}

    def step(
        self, model: nnx.Module, chunk: Batch, states: Mapping[str, Array] | None
    ) -> tuple[Array, dict[str, Array]]:
        """Return the output for the steps so far, and the new states, by name."""
        with _precision(model):
            before = dict(states) if states else None
            chunks = [_input(model, array) for array in arrays_by_name(chunk).values()]
            output, after = _run_step(*nnx.split(model), chunks, before)
            return np.asarray(output), {name: np.asarray(state) for name, state in after.items()}

    def learner(
        self, model: nnx.Module, keys: Sequence[tuple[str, str]], *, training: bool
    ) -> Learner:
        """Return a function that computes the loss and the gradients of the arrays at ``keys``."""
        running = _view(model, training=training)
        names = [".".join(key) for key in keys]

        def loss(trained: Any, rest: Any, graph: Any, batch: tuple[Any, ...]) -> tuple[Any, Any]:
            # A generator that counts its draws has to be made where it is used.
            probe = nnx.merge(graph, trained, jax.tree.map(lambda leaf: leaf, rest))
            x, target, weight = batch
            value = jnp.sum(weight * (_join(_call(probe, x)) - target) ** 2) / 2
            return value, nnx.state(probe, nnx.Any(nnx.RngState, nnx.BatchStat))

        derived = jax.value_and_grad(loss, has_aux=True)
        compute = jax.jit(derived, static_argnums=2, compiler_options=_QUICKLY)

        def run(inputs: Batch, target: Array, weight: Array) -> tuple[float, list[Array]]:
            with _precision(model):
                graph, trained, rest = nnx.split(running, nnx.Param, ...)
                x = _inputs(model, inputs)
                batch = (x, *(jnp.asarray(values, _dtype(model)) for values in (target, weight)))
                (value, moved), gradients = compute(trained, rest, graph, batch)
                # The view has the variables of the model.
                nnx.update(running, moved)
                by_name = {
                    ".".join(map(str, path)): gradient
                    for path, gradient in nnx.to_flat_state(gradients)
                }
                return float(value), [np.asarray(by_name[name].get_value()) for name in names]

        return run

    def own_steps(
        self,
        model: nnx.Module,
        keys: Sequence[tuple[str, str]],
        *,
        training: bool,
        summed: bool,  # noqa: ARG002 - the gradient of a lookup always is
    ) -> Callable[[Optimizer], OptimizerStep]:
        """Return a function that returns the step of one of the optimizers of optax."""
        names = [".".join(key) for key in keys]
        learn = self.learner(model, keys, training=training)

        def make_step(settings: Optimizer) -> OptimizerStep:
            with _precision(model):
                optimizer = nnx.Optimizer(model, _make_optimizer(settings), wrt=nnx.Param)

            def step(inputs: Batch, target: Array, weight: Array) -> float:
                loss, slopes = learn(inputs, target, weight)
                gradients = dict(zip(names, slopes, strict=True))
                with _precision(model):
                    flat = [
                        (path, variable.replace(jnp.asarray(gradients[".".join(map(str, path))])))
                        for path, variable in nnx.to_flat_state(nnx.state(model, nnx.Param))
                    ]
                    optimizer.update(model, nnx.from_flat_state(flat))
                return loss

            return step

        return make_step

    def save(self, model: nnx.Module, folder: Path, name: str, source: str, spec: str) -> None:
        """Write ``NAME.py`` and ``NAME.safetensors``, its arrays with the spec as metadata."""
        # save_file writes the memory of an array as it is, whatever its strides.
        arrays = {
            key: np.array(variable.get_value(), order="C")
            for key, variable in _variables(model).items()
        }
        write_by_name(folder, name, source, spec, "jax", partial(save_file, arrays))

    def reload(self, folder: Path, name: str, source: Source) -> nnx.Module:
        """Return an instance of the generated class with the arrays in ``NAME.safetensors``."""
        model = _make_zeros(load_entry(folder, name, source.entry))
        arrays = load_file(folder / f"{name}.safetensors")
        nnx.update(model, nnx.traversals.unflatten_mapping(arrays, sep="."))
        return model


def _join(output: jax.Array | dict[str, jax.Array]) -> jax.Array:
    """Return the only output, or named ones as (batch, all of their numbers).

    Inside what is compiled: its results have the names in another order.
    """
    if not isinstance(output, dict):
        return output
    return jnp.concatenate([part.reshape(len(part), -1) for part in output.values()], axis=1)


def _view(model: nnx.Module, *, training: bool) -> nnx.Module:
    """Return a module with the same variables that runs as in training, or as in inference."""
    view: nnx.Module = nnx.view(
        model,
        deterministic=not training,
        use_running_average=not training,
        raise_if_not_found=False,
    )
    return view


def _precision(model: nnx.Module) -> AbstractContextManager[Any]:
    dtypes = {variable.dtype for variable in _variables(model).values()}
    # Without variables, the dtype of the input decides.
    return _enable_x64() if np.dtype("float64") in dtypes or not dtypes else nullcontext()


def _sizes(model: nnx.Module, kind: Any) -> Iterator[int]:
    state = nnx.state(model, nnx.All(kind, nnx.Not(nnx.RngState)))
    return (prod(array.shape) for _, array in nnx.to_flat_state(state))


class _Noted(nnx.Module):  # type: ignore[misc]
    """A module that notes the first input of another one, which it calls."""

    def __init__(self, name: str, inner: Any, inputs_of: dict[str, Any]) -> None:
        self.name = name
        self.inner = inner
        self.note = inputs_of.setdefault

    def __call__(self, x: jax.Array, *others: Any, **options: Any) -> Any:
        self.note(self.name, x)
        return self.inner(x, *others, **options)

    def __getattr__(self, name: str) -> Any:
        # Of an embedding to which another layer is tied.
        return getattr(vars(self)["inner"], name)


# A comparison runs a model a few times: compiling it takes longer than all of them, and half as
# long at this level.
_QUICKLY = {"xla_backend_optimization_level": 0}


def _attribute(layer: str) -> str:
    return JAX.reserved_names.attribute(layer)


def _inputs(model: nnx.Module, inputs: Batch) -> Any:
    """Return the only input of a model, or inputs by the names of their parameters."""
    if isinstance(inputs, Mapping):
        parameter = JAX.reserved_names.parameter
        return {parameter(name): _input(model, array) for name, array in inputs.items()}
    return _input(model, inputs)


def _call(model: Any, inputs: Any) -> Any:
    return model(**inputs) if isinstance(inputs, dict) else model(inputs)


def _input(model: nnx.Module, inputs: Array) -> jax.Array:
    if inputs.dtype.kind != "f":
        return jnp.asarray(inputs)
    return jnp.asarray(inputs, _dtype(model))


def _dtype(model: nnx.Module) -> Any:
    # A network of cells without parameters computes in the dtype of its input.
    return next((variable.dtype for variable in _variables(model).values()), None)


@partial(jax.jit, static_argnums=0, compiler_options=_QUICKLY)
def _run_step(graph: Any, state: Any, chunks: list[jax.Array], states: Any) -> Any:
    output, after = nnx.merge(graph, state)(*chunks, states)
    return _join(output), after


@partial(jax.jit, static_argnums=0, compiler_options=_QUICKLY)
def _run_begin(graph: Any, state: Any, inputs: Any) -> Any:
    return nnx.merge(graph, state).begin(**inputs)


def _make(class_: Any) -> nnx.Module:
    """Return an instance of a generated class with initial weights."""
    # JAX has no global generator: without a seed, each model is drawn from another one.
    # Of __init__, because the metaclass of modules hides it; source for inference takes none.
    draws = "rngs" in signature(class_.__init__).parameters
    model: nnx.Module = class_(rngs=nnx.Rngs(secrets.randbits(31))) if draws else class_()
    return model


def _make_zeros(class_: Any) -> nnx.Module:
    """Return an instance of a generated class with zeros, and with generators of its own."""
    # JAX compiles each draw of each shape, which takes longer than to compile a small model.
    graph, state = nnx.split(nnx.eval_shape(partial(_make, class_)))

    def zeros(leaf: jax.ShapeDtypeStruct) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.key(secrets.randbits(31))
        return jax.device_put(np.zeros(leaf.shape, leaf.dtype))

    model: nnx.Module = nnx.merge(graph, jax.tree.map(zeros, state))
    return model


def _enable_x64() -> AbstractContextManager[Any]:
    """Return a context in which float64 can be used."""
    # For this thread only, and only for a while: the setting belongs to the user.
    context: AbstractContextManager[Any] = jax.enable_x64(True)
    return context


def _variables(model: nnx.Module) -> dict[str, Any]:
    """Return the variables of a model by name, without the states of its generators."""
    state = nnx.to_flat_state(nnx.state(model, nnx.Not(nnx.RngState)))
    return {".".join(map(str, path)): _variable(model, path) for path, _ in state}


def _variable(model: Any, path: Sequence[Any]) -> Any:
    """Return the variable at a path of names of attributes and numbers of entries."""
    for name in path:
        model = model[name] if isinstance(name, int) else getattr(model, name)
    return model


def _make_optimizer(settings: Optimizer) -> optax.GradientTransformation:
    betas = {"b1": settings.beta_1, "b2": settings.beta_2}
    match settings.name:
        case "SGD":
            return optax.sgd(settings.rate)
        case "Adam":
            return optax.adam(settings.rate, **betas, eps=settings.epsilon, eps_root=0.0)
        case "AdamW":
            return optax.adamw(
                settings.rate,
                **betas,
                eps=settings.epsilon,
                eps_root=0.0,
                weight_decay=settings.decay,
            )
        case _:
            assert_never(settings.name)


RUNTIME = JaxRuntime()
