"""The canonical arrays of a live model, read and written through its backend's slot tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from rnnspec.arguments import received
from rnnspec.errors import UsageError, brief
from rnnspec.ir.params import Param, params
from rnnspec.slots import Slot, pack, shape_in, unpack
from rnnspec.weights.given import KEPT, ArrayError, as_kept, real_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import ArrayLike

    from rnnspec.backends import Backend
    from rnnspec.backends.base import Runtime
    from rnnspec.ir.nodes import Network
    from rnnspec.slots import Array


Place = tuple[str, str, Param, Slot]

_MOST_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class Origin:
    """What a live model was built from."""

    backend: Backend
    network: Network


_BY_MODEL: WeakKeyDictionary[Any, Origin] = WeakKeyDictionary()
_BY_MODULE: dict[str, Origin] = {}


def remember(model: Any, backend: Backend, network: Network, module: str) -> None:
    """Note what ``model`` was built from; copies of it are known by their class's ``module``."""
    _BY_MODEL[model] = _BY_MODULE[module] = Origin(backend, network)


def origin(model: Any) -> Origin:
    """Return what ``model`` was built from.

    Raises:
        UsageError: ``rnnspec.build`` did not make it.
    """
    try:
        found = _BY_MODEL.get(model)
    except TypeError:  # no weak reference can be made to it, so it is no model
        found = None
    found = found or _BY_MODULE.get(str(type(model).__module__))
    if found is None:
        raise UsageError(f"expected a model that rnnspec.build made, received {received(model)}")
    return found


def read_weights(model: Any) -> dict[str, Array]:
    """Return a copy of every canonical array of a model that ``rnnspec.build`` made.

    Returns:
        Arrays by canonical name (``lstm_1.recurrent_kernel``), in the network's order, in the
        model's own dtype, or float32 where that is bfloat16. Kernels are (in, gates * out), the
        gates of an LSTM in the order i f c o, of a GRU z r h.

    Raises:
        UsageError: the model has another origin, or no longer holds the arrays it was built with:
            it is on PyTorch's device ``meta``, say, or a layer of it was replaced.
    """
    made = origin(model)
    return _read(made, model, list(placed(made)))


def gather(places: Iterable[Place], kept: Callable[[str, str], Array]) -> dict[str, Array]:
    """Return canonical arrays by name from ``kept(layer, path)``, the framework's own."""
    arrays = {}
    for name, layer, param, slot in places:
        array = kept(layer, slot.path)
        arrays[name] = unpack(param, slot, array if slot.row is None else array[slot.row])
    return arrays


def write_weights(model: Any, arrays: Mapping[str, ArrayLike]) -> None:
    """Replace every canonical array of a model that ``rnnspec.build`` made.

    Args:
        model: the live model; its dtype and device stay.
        arrays: all canonical arrays, by the names and in the shapes of ``read_weights``: lists,
            NumPy's arrays or a framework's. Their numbers are rounded to the model's dtype; an
            infinity or NaN stays one.

    Raises:
        UsageError: a name is missing or unknown, a shape is wrong, an array holds no real
            numbers or one that the model's dtype cannot hold, or ``read_weights`` would refuse
            the model. Nothing is written then.
    """
    made = origin(model)
    runtime = made.backend.runtime
    kept: defaultdict[tuple[str, str], list[tuple[int, Array]]] = defaultdict(list)
    # All is checked and converted before the first array is written.
    for place in _named(made, arrays):
        name, layer, param, slot = place
        rounded = _rounded(name, param, arrays, _held(runtime, model, place))
        kept[layer, slot.path].append((slot.row or 0, pack(param, slot, rounded)))
    for (layer, path), rows in kept.items():
        in_order = [array for _, array in sorted(rows, key=itemgetter(0))]
        array = np.stack(in_order) if len(rows) > 1 else in_order[0]
        runtime.put(model, layer, path, array)


def placed(made: Origin) -> Iterator[Place]:
    """Yield each canonical array: its name, the framework's layer, what it is, where it is kept."""
    table = made.backend.slots
    for layer in made.network.layers:
        for param, slot in zip(params(layer), table.slots(layer), strict=True):
            yield f"{layer.name}.{param.name}", table.module(layer), param, slot


def read_array(model: Any, name: str) -> Array:
    """Return a copy of one canonical array of a model that ``rnnspec.build`` made.

    Raises:
        UsageError: there is none of that name, or ``read_weights`` would refuse the model.
    """
    made = origin(model)
    return _read(made, model, [_place(made, name)])[name]


def write_array(model: Any, name: str, array: Array) -> None:
    """Replace one canonical array; the model's other arrays are not touched.

    Raises:
        UsageError: there is none of that name, or ``write_weights`` would refuse it.
    """
    made = origin(model)
    runtime, place = made.backend.runtime, _place(made, name)
    _, layer, param, slot = place
    rounded = _rounded(name, param, {name: array}, _held(runtime, model, place))
    packed = pack(param, slot, rounded)
    if slot.row is not None:
        stacked = runtime.get(model, layer, slot.path)
        stacked[slot.row] = packed
        packed = stacked
    runtime.put(model, layer, slot.path, packed)


def _place(made: Origin, name: str) -> Place:
    found = next((place for place in placed(made) if place[0] == name), None)
    if found is None:
        raise UsageError(f"unknown array '{name}'")
    return found


def _read(made: Origin, model: Any, places: list[Place]) -> dict[str, Array]:
    runtime = made.backend.runtime
    for place in places:
        _held(runtime, model, place)
    return gather(places, lambda layer, path: runtime.get(model, layer, path))


def _held(runtime: Runtime, model: Any, place: Place) -> str:
    """Return the type of the numbers of an array in the model, which may have changed since."""
    name, layer, param, slot = place
    try:
        held = runtime.held(model, layer, slot.path)
    except LookupError as error:
        message = f"{name}: expected it at {layer}.{slot.path} of the model: {brief(error)}"
        raise UsageError(message) from None
    wanted = shape_in(param, slot)
    # The leading axis is that of arrays kept in one.
    if held.shape[slot.row is not None :] != wanted:
        raise UsageError(f"{name}: expected {wanted} in the model, received {held.shape}")
    if held.dtype not in KEPT:
        types = ", ".join(KEPT)
        found = held.dtype or "one without data (on the device meta)"
        raise UsageError(f"{name}: expected a model in one of {types}, received {found}")
    return held.dtype


def _named(made: Origin, arrays: object) -> list[Place]:
    """Return every place, each of which ``arrays`` must name, and nothing else."""
    places = list(placed(made))
    if not isinstance(arrays, Mapping):
        raise UsageError(f"expected a mapping of arrays by name, received {received(arrays)}")
    wanted = dict.fromkeys(name for name, *_ in places)
    problems = [f"missing array '{n}'" for n in wanted if n not in arrays]
    problems += [f"unknown array '{brief(n)}'" for n in arrays if n not in wanted]
    if len(problems) > _MOST_PROBLEMS:
        problems[_MOST_PROBLEMS:] = [f"{len(problems) - _MOST_PROBLEMS} more such problems"]
    if problems:
        raise UsageError("; ".join(problems))
    return places


def _rounded(name: str, param: Param, arrays: Mapping[str, ArrayLike], dtype: str) -> Array:
    try:
        return as_kept(real_array(lambda: arrays[name], param.shape), dtype)
    except ArrayError as error:
        raise UsageError(f"{name}: {error}") from None
