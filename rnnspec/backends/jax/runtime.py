"""JAX and Flax themselves: live modules with their counts, arrays and files."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from math import prod
from typing import TYPE_CHECKING, Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from safetensors.flax import load_file
from safetensors.numpy import save_file

from rnnspec.backends.contract import Held, Trace
from rnnspec.backends.jax import live, optimizers
from rnnspec.backends.kept import FRAMEWORK_KEY
from rnnspec.files.arrays import sort_metadata
from rnnspec.ir.params import Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import ModuleType

    from _typeshed import ReadableBuffer as Buffer

    from rnnspec.backends.contract import Learner
    from rnnspec.backends.optimizers import Optimizer, Step
    from rnnspec.ir.nodes import Layer
    from rnnspec.slots import Array


def version() -> str:
    """Return the versions of JAX and Flax."""
    return f"JAX {jax.__version__} with Flax {flax.__version__}"


def instantiate(module: ModuleType, entry: str, dtype: str, *, drawn: bool) -> nnx.Module:
    """Return an instance of the generated class ``entry``, in ``dtype``.

    Its arrays are 0 unless they have to be ``drawn``.
    """
    model = live.made(getattr(module, entry)) if drawn else live.zeros(getattr(module, entry))
    if dtype != "float32":
        with live.enabled_x64():
            for variable in live.arrays(model).values():
                # By NumPy: JAX would compile the conversion of each shape.
                variable.set_value(jax.device_put(np.asarray(variable).astype(dtype)))
            for each in _stock(model):
                each.dtype = each.param_dtype = jnp.dtype(dtype)
    return model


def _stock(model: nnx.Module) -> list[Any]:
    """Return the modules that convert their arrays to a dtype of their own."""
    return [each for _, each in nnx.iter_modules(model) if isinstance(each, nnx.Embed)]


def _precision(model: nnx.Module) -> AbstractContextManager[Any]:
    double = any(each.dtype == jnp.float64 for each in live.arrays(model).values())
    return live.enabled_x64() if double else nullcontext()


def layer_count(model: nnx.Module, layer: Layer) -> int:
    """Return the parameter count of one layer, 0 for a layer without a module."""
    held = getattr(model, layer.name, None)
    return 0 if held is None else sum(_sizes(held, ...))


def _sizes(model: nnx.Module, kind: Any) -> Iterator[int]:
    state = nnx.state(model, nnx.All(kind, nnx.Not(nnx.RngState)))
    return (prod(each.shape) for _, each in nnx.to_flat_state(state))


def layer_type(model: nnx.Module, layer: Layer) -> str:
    """Return the name of Flax's class of one layer, empty if the source has no such module."""
    kind = type(_first(getattr(model, layer.name, None)))
    # A class of the source itself, such as MaskedGRULayer, says nothing to others.
    return kind.__name__ if kind.__module__.startswith("flax.") else ""


def _first(held: Any) -> Any:
    """Return the module that gets a layer's input, the forward one if there are two."""
    return held.forward_layer if isinstance(held, nnx.Dict) else held


def counts(model: nnx.Module) -> Counts:
    """Return the parameter counts of the whole model according to Flax."""
    trainable = sum(_sizes(model, nnx.Param))
    return Counts(trainable=trainable, non_trainable=sum(_sizes(model, ...)) - trainable)


def unwrap(model: Any) -> nnx.Module | None:
    """Return a module as it is: nothing wraps a module of Flax."""
    return model if isinstance(model, nnx.Module) else None


def held(model: nnx.Module, layer: str, path: str) -> Held:
    """Return the dtype and shape of one array."""
    try:
        variable = live.variable(model, [layer, *path.split(".")])
        return Held(str(variable.dtype), tuple(variable.shape))
    except AttributeError as error:
        raise LookupError(str(error)) from error


def others(model: nnx.Module, known: Collection[tuple[str, str]]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all arrays that are not at a known (layer, path)."""
    names = {f"{layer}.{path}" for layer, path in known}
    arrays = live.arrays(model)
    return {name: tuple(each.shape) for name, each in arrays.items() if name not in names}


def get(model: nnx.Module, layer: str, path: str) -> Array:
    """Return a copy of one array."""
    kept = np.array(live.variable(model, [layer, *path.split(".")]).get_value())
    # NumPy has no bfloat16: the dtype that ml_dtypes adds is of the kind V, as void is.
    return kept.astype(np.float32) if kept.dtype.kind == "V" else kept


def put(model: nnx.Module, layer: str, path: str, array: Array) -> None:
    """Replace one array, keeping its dtype and device."""
    variable = live.variable(model, [layer, *path.split(".")])
    before = variable.get_value()
    # An array committed to a device has everything compiled again that was compiled without it.
    place = before.sharding if before.committed else None
    # Only where it is enabled does an array of NumPy stay in float64.
    with live.enabled_x64() if before.dtype == jnp.float64 else nullcontext():
        variable.set_value(jax.device_put(np.array(array, before.dtype), place))


class _Noted(nnx.Module):  # type: ignore[misc]
    """A module that notes the first input of another one, which it calls."""

    def __init__(self, name: str, inner: Any, entered: dict[str, Any]) -> None:
        self.name = name
        self.inner = inner
        self.note = entered.setdefault

    def __call__(self, x: jax.Array, *others: jax.Array) -> Any:
        self.note(self.name, x)
        return self.inner(x, *others)


# A comparison runs a model a few times: compiling it takes longer than all of them, and half as
# long at this level.
_QUICKLY = {"xla_backend_optimization_level": 0}


def trace(model: nnx.Module, layers: Sequence[str], inputs: Array) -> Trace:
    """Run one forward pass in inference, and record the input of each layer with a module."""
    graph, state = nnx.split(nnx.view(model, deterministic=True, raise_if_not_found=False))

    def run(state: Any, x: jax.Array) -> tuple[Any, Mapping[str, Any]]:
        entered: dict[str, Any] = {}
        probe = nnx.merge(graph, state)
        for name in layers:
            if (found := getattr(probe, name, None)) is not None:
                _note(probe, name, found, entered)
        return probe(x), entered

    with _precision(model):
        compiled = jax.jit(run, compiler_options=_QUICKLY)
        output, entered = compiled(state, _input(model, inputs))
        return Trace({name: np.asarray(x) for name, x in entered.items()}, np.asarray(output))


def _note(probe: Any, name: str, found: Any, entered: dict[str, Any]) -> None:
    if isinstance(found, nnx.Dict):
        found.forward_layer = _Noted(name, found.forward_layer, entered)
    else:
        setattr(probe, name, _Noted(name, found, entered))


def _input(model: nnx.Module, inputs: Array) -> jax.Array:
    if inputs.dtype.kind != "f":
        return jnp.asarray(inputs)
    return jnp.asarray(inputs, _dtype(model))


def _dtype(model: nnx.Module) -> Any:
    return next(iter(live.arrays(model).values())).dtype


@partial(jax.jit, static_argnums=0, compiler_options=_QUICKLY)
def _stepped(graph: Any, state: Any, chunk: jax.Array, states: Any) -> Any:
    return nnx.merge(graph, state)(chunk, states)


def step(
    model: nnx.Module, chunk: Array, states: Mapping[str, Array] | None
) -> tuple[Array, dict[str, Array]]:
    """Return the output for the steps so far, and the new states, by name."""
    with _precision(model):
        given = dict(states) if states else None
        output, after = _stepped(*nnx.split(model), _input(model, chunk), given)
        return np.asarray(output), {name: np.asarray(state) for name, state in after.items()}


def learner(model: nnx.Module, keys: Sequence[tuple[str, str]], *, training: bool) -> Learner:
    """Return a function that computes the loss and its gradients for the arrays at ``keys``."""
    running = nnx.view(model, deterministic=not training, raise_if_not_found=False)
    names = [".".join(key) for key in keys]

    def loss(trained: Any, rest: Any, graph: Any, batch: tuple[Any, ...]) -> tuple[Any, Any]:
        # A generator that counts its draws has to be made where it is used.
        probe = nnx.merge(graph, trained, jax.tree.map(lambda leaf: leaf, rest))
        x, target, weight = batch
        return jnp.sum(weight * (probe(x) - target) ** 2) / 2, nnx.state(probe, nnx.RngState)

    derived = jax.value_and_grad(loss, has_aux=True)
    compute = jax.jit(derived, static_argnums=2, compiler_options=_QUICKLY)

    def run(inputs: Array, target: Array, weight: Array) -> tuple[float, list[Array]]:
        with _precision(model):
            graph, trained, rest = nnx.split(running, nnx.Param, ...)
            x = _input(model, inputs)
            batch = (x, *(jnp.asarray(each, _dtype(model)) for each in (target, weight)))
            (value, drawn), found = compute(trained, rest, graph, batch)
            nnx.update(running, drawn)
            by_name = {".".join(map(str, path)): each for path, each in nnx.to_flat_state(found)}
            return float(value), [np.asarray(by_name[name].get_value()) for name in names]

    return run


def own_steps(
    model: nnx.Module,
    keys: Sequence[tuple[str, str]],
    *,
    training: bool,
    summed: bool,  # noqa: ARG001 - the gradient of a lookup always is
) -> Callable[[Optimizer], Step]:
    """Return a function that returns the step of one of the optimizers of optax."""
    names = [".".join(key) for key in keys]
    learn = learner(model, keys, training=training)
    return partial(optimizers.own_step, model, names, learn, lambda: _precision(model))


def save(model: nnx.Module, folder: Path, name: str, source: str, spec: str) -> None:
    """Write ``NAME.py`` and ``NAME.safetensors``, its arrays with the spec in the metadata."""
    (folder / f"{name}.py").write_text(source, encoding="utf-8", newline="\n")
    # save_file writes the memory of an array as it is, whatever its strides.
    arrays = {
        key: np.array(each.get_value(), order="C") for key, each in live.arrays(model).items()
    }
    metadata = {"rnnspec": spec, FRAMEWORK_KEY: "jax"}
    path = folder / f"{name}.safetensors"
    save_file(arrays, path, metadata=metadata)
    sort_metadata(path)


def reload(folder: Path, name: str, entry: str) -> nnx.Module:
    """Return an instance of ``entry`` in ``NAME.py``, with the arrays in ``NAME.safetensors``.

    The module does not stay imported.
    """
    # Not import_module, which would find another module of this name that is imported already.
    loader = _UncachedLoader(name, str(folder / f"{name}.py"))
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    model = live.zeros(getattr(module, entry))
    arrays = load_file(folder / f"{name}.safetensors")
    nnx.update(model, nnx.traversals.unflatten_mapping(arrays, sep="."))
    return model


class _UncachedLoader(SourceFileLoader):
    """A loader that leaves no ``__pycache__`` beside the source."""

    def set_data(self, path: str, data: Buffer, *, _mode: int = 0o666) -> None:
        """Write nothing."""
