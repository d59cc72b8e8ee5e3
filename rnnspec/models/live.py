"""The public functions that read and write the weights of live models."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rnnspec import pipeline
from rnnspec.backends import BACKENDS
from rnnspec.errors import UsageError, listed
from rnnspec.errors.arguments import received
from rnnspec.lowering import array_places
from rnnspec.weights.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import ArrayLike

    from rnnspec.backends import Backend
    from rnnspec.backends.slots import Array
    from rnnspec.pipeline import Generated, Source


def read_weights(model: Any, spec: Source | None = None) -> dict[str, Array]:
    """Return copies of all canonical arrays of a model.

    Args:
        model: a live model with the structure of the spec. It may be built by any code, loaded from
            a file, copied, or wrapped by ``DistributedDataParallel`` or ``torch.compile``.
        spec: a path or the result of ``load``. Optional for models from ``rnnspec.build``.

    Returns:
        Arrays by canonical name (``lstm_1.recurrent_kernel``), in the order of the network and
        in the dtype of the model, or float32 if that is bfloat16. Kernels have the shape
        (in, gates * out); the gates are in the order i f c o in an LSTM and z r h in a GRU.

    Raises:
        SpecError: the spec is invalid.
        UnsupportedError: the backend of the model cannot honour a key of the spec.
        UsageError: ``model`` is not a model; it has another structure (the message lists arrays
            that are missing, unexpected or of another shape); or ``spec`` is needed.
    """
    return _store(model, spec).read(model)


def write_weights(model: Any, arrays: Mapping[str, ArrayLike], spec: Source | None = None) -> None:
    """Replace all canonical arrays of a model.

    Args:
        model: a live model, as for ``read_weights``; its dtype and device do not change.
        arrays: all canonical arrays, with the names and shapes of ``read_weights``: lists, NumPy
            arrays, or tensors of a framework. A cell whose equations are those of a layer of the
            language may have its parameters by their own names, as ``summary`` shows them. Values
            are rounded to the dtype of the model; infinities and NaN are kept.
        spec: a path or the result of ``load``. Optional for models from ``rnnspec.build``.

    Raises:
        SpecError: the spec is invalid.
        UnsupportedError: the backend of the model cannot honour a key of the spec.
        UsageError: a name is missing or unknown, a shape is wrong, an array is not real or has a
            value out of range for the dtype of the model, or ``read_weights`` would refuse the
            model. In these cases nothing is written.
    """
    _store(model, spec).write(model, arrays)


def _store(model: Any, spec: Source | None) -> Store:
    if spec is None:
        if (generated := find_origin(model)) is not None:
            return generated.store
        expected = "expected a model that rnnspec.build made, or its spec as well"
        raise UsageError(f"{expected}; received {received(model)}")
    program = pipeline.program(spec)
    # The first one: a model can belong to two backends.
    for backend, _ in _owners(model):
        forms = pipeline.forms_of(program, backend)
        places = array_places(program.spec)
        stores = [
            Store(backend, pipeline.arrange(program, backend, form), places) for form in forms
        ]
        # If the model has the structure of no form, the error is about the first one.
        return next((store for store in stores if store.fits(model)), stores[0])
    titles = listed([backend.title for backend in BACKENDS.values()], "or")
    raise UsageError(f"expected a model of {titles}, received {received(model)}")


def find_origin(model: Any) -> Generated | None:
    """Return the source of a model, which may be wrapped, or None if rnnspec did not build it."""
    # A wrapper is another object, of a class that no generated module defines.
    several = (model, *(unwrapped for _, unwrapped in _owners(model)))
    return next(filter(None, map(pipeline.origin, several)), None)


def _owners(model: Any) -> Iterator[tuple[Backend, Any]]:
    """Yield each backend to which a model belongs, with the unwrapped model.

    Only frameworks that are already imported are asked, because no other can have made the model.
    With the PyTorch engine of Keras, a model belongs to both; Keras is first in the registry.
    """
    for backend in BACKENDS.values():
        loaded = not backend.distribution or backend.distribution in sys.modules
        if backend.level is not None and loaded and backend.installed:
            inner = backend.runtime.unwrap(model)
            if inner is not None:
                yield backend, inner
