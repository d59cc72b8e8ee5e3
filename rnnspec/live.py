"""The weights of live models, whoever made them: the public functions."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rnnspec import pipeline
from rnnspec.arguments import received
from rnnspec.backends import BACKENDS
from rnnspec.errors import UsageError
from rnnspec.weights.origins import origin
from rnnspec.weights.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import ArrayLike

    from rnnspec.backends import Backend
    from rnnspec.pipeline import Source
    from rnnspec.slots import Array


def read_weights(model: Any, spec: Source | None = None) -> dict[str, Array]:
    """Return a copy of every canonical array of a model.

    Args:
        model: a live model with the structure of the spec, whoever made it: built, loaded from a
            file, copied, or wrapped by ``DistributedDataParallel`` or ``torch.compile``.
        spec: a path, or what ``load`` returned; may be left out for what ``rnnspec.build`` made.

    Returns:
        Arrays by canonical name (``lstm_1.recurrent_kernel``), in the network's order, in the
        model's own dtype, or float32 where that is bfloat16. Kernels are (in, gates * out), the
        gates of an LSTM in the order i f c o, of a GRU z r h.

    Raises:
        SpecError: the spec is wrong.
        UnsupportedError: the backend of the model cannot honour a word of the spec.
        UsageError: the model has another structure, with all that is missing, left over or of
            another shape; it is no model; or there is no ``spec`` and ``build`` did not make it.
    """
    return _store(model, spec).read(model)


def write_weights(model: Any, arrays: Mapping[str, ArrayLike], spec: Source | None = None) -> None:
    """Replace every canonical array of a model.

    Args:
        model: a live model, as for ``read_weights``; its dtype and device stay.
        arrays: all canonical arrays, by the names and in the shapes of ``read_weights``: lists,
            NumPy's arrays or a framework's. Their numbers are rounded to the model's dtype; an
            infinity or NaN stays one.
        spec: a path, or what ``load`` returned; may be left out for what ``rnnspec.build`` made.

    Raises:
        SpecError: the spec is wrong.
        UnsupportedError: the backend of the model cannot honour a word of the spec.
        UsageError: a name is missing or unknown, a shape is wrong, an array holds no real
            numbers or one that the model's dtype cannot hold, or ``read_weights`` would refuse
            the model. Nothing is written then.
    """
    _store(model, spec).write(model, arrays)


def _store(model: Any, spec: Source | None) -> Store:
    if spec is None:
        return _origin(model)
    given = pipeline.program(spec)
    for backend, _ in _unwrapped(model):
        return Store(backend, pipeline.arranged(given, backend))
    titles = " or ".join(backend.title for backend in BACKENDS.values())
    raise UsageError(f"expected a model of {titles}, received {received(model)}")


def _origin(model: Any) -> Store:
    for each in (model, *(inner for _, inner in _unwrapped(model))):
        if (found := origin(each)) is not None:
            return found
    wanted = "expected a model that rnnspec.build made, or its spec as well"
    raise UsageError(f"{wanted}; received {received(model)}")


def _unwrapped(model: Any) -> Iterator[tuple[Backend, Any]]:
    """Yield each backend whose model this is, with what is inside of it.

    A model exists only if its framework is imported, so no other framework is. On Keras's PyTorch
    engine, a model is one of both: Keras comes first in the registry.
    """
    for backend in BACKENDS.values():
        loaded = not backend.distribution or backend.distribution in sys.modules
        if backend.level is not None and loaded:
            inner = backend.runtime.unwrap(model)
            if inner is not None:
                yield backend, inner
