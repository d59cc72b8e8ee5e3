"""Live models of Keras, whose configuration and weights are read as those in files are."""

from __future__ import annotations

import sys
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.imported import Account
from rnnspec.backends.keras.foreign.architecture.settings import Version
from rnnspec.backends.keras.foreign.described import Description, described
from rnnspec.backends.keras.foreign.stored.arrays import Stored
from rnnspec.errors import UsageError, brief

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnspec.backends.imported import Imported
    from rnnspec.backends.keras.foreign.architecture.records import Foreign
    from rnnspec.slots import Array


class _Live:
    """The arrays of a live model by layer."""

    def __init__(self, model: Any) -> None:
        self._found = dict(self._layers(model))

    def _layers(self, model: Any, prefix: str = "") -> Iterator[tuple[str, list[Stored]]]:
        for layer in model.layers:
            name = f"{prefix}{layer.name}"
            if hasattr(layer, "layers"):  # a model inside the model
                yield from self._layers(layer, f"{name}.")
            else:
                yield name, self._stored(layer, name)

    @staticmethod
    def _stored(layer: Any, name: str) -> list[Stored]:
        # get_weights has them in Keras's order, without the states of random numbers.
        arrays = [np.asarray(array) for array in layer.get_weights()]
        return [Stored(f"{name}/{at}", array.shape, array.copy) for at, array in enumerate(arrays)]

    def of(self, layer: Foreign) -> Sequence[Stored]:
        """Return the arrays of a layer."""
        return self._found.get(layer.name, [])

    def others(self, used: set[str]) -> Sequence[str]:
        """Return the names of all arrays that are not in ``used``."""
        return [s.name for stored in self._found.values() for s in stored if s.name not in used]

    def groups(self) -> dict[str, list[str]]:
        """Return the names of the arrays of each layer."""
        return {name: [each.name for each in arrays] for name, arrays in self._found.items()}


def read(model: Any, name: str, version: str) -> Imported:
    """Return a live model as ``name``.

    Raises:
        ModelError: the language lacks something in it.
        UsageError: its configuration cannot be read.
    """
    account = Account("model")
    try:
        config = {"class_name": type(model).__name__, "config": model.get_config()}
        source = _Live(model)
    except Exception as error:  # a subclassed model, or one that is not built
        message = f"expected a built model, received an error: {brief(error)}"
        raise UsageError(message, "model") from error
    given = Description("model", Version.of(version), config, name)
    return described(account, given, lambda *_: source)


_LEAST_EXACT = ("float16", "bfloat16", "float32", "float64")


def precision(model: Any) -> str:
    """Return the least exact dtype in which a layer of a live model computes."""
    keras = sys.modules.get("keras")
    # On other engines than TensorFlow, float64 is float32 unless they are told otherwise.
    exact = keras is None or not isinstance(model, keras.Model) or _engine(keras) == "tensorflow"
    found = {str(getattr(each, "compute_dtype", "")) for each in _all_layers(model)}
    found |= set() if exact else {"float32"}
    return next((dtype for dtype in _LEAST_EXACT if dtype in found), "float32")


def _all_layers(model: Any) -> list[Any]:
    # Also those inside wrappers, which have a dtype of their own.
    return [model, *model._flatten_layers()]  # noqa: SLF001 - in Keras 3 and in tf_keras


def framework(model: Any, version: str) -> str:
    """Return the Keras that a live model is of, with its version and its engine."""
    keras = sys.modules.get("keras")
    if keras is not None and isinstance(model, keras.Model):
        return f"Keras {version} on {_engine(keras)}"
    return f"tf_keras {version}"


def output(model: Any, inputs: Array) -> Array:
    """Return the output of a live model in inference, which stays as it is.

    A model may take batches of one size only.
    """
    size = model.inputs[0].shape[0] or len(inputs)
    # The rows begin again where a batch would be too short.
    rows = np.arange(-(-len(inputs) // size) * size).reshape(-1, size) % len(inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = np.concatenate([_call_model(model, inputs[each]) for each in rows])[: len(inputs)]
    # NumPy has no bfloat16: the dtype that ml_dtypes adds is of the kind V, as void is.
    return found.astype(np.float32) if found.dtype.kind == "V" else found


def _call_model(model: Any, batch: Array) -> Array:
    keras = sys.modules.get("keras")
    if keras is None or not isinstance(model, keras.Model):
        return np.asarray(model(batch, training=False))
    # Without a state, nothing is kept of the call, such as a compiled function for predictions.
    held = [each.value for each in model.trainable_variables]
    others = [each.value for each in model.non_trainable_variables]
    call = partial(model.stateless_call, training=False)
    if _engine(keras) == "jax":
        # Compiled as a whole: operation by operation, it takes many times as long.
        call = sys.modules["jax"].jit(call)
    found, _ = call(held, others, batch)
    return np.asarray(keras.ops.convert_to_numpy(found))


def _engine(keras: Any) -> str:
    return str(keras.backend.backend())
