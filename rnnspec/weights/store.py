"""The canonical arrays of a live model, read and written through its backend's slot tables."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from rnnspec.errors import UsageError
from rnnspec.ir.params import Param, params
from rnnspec.slots import Slot, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import ArrayLike

    from rnnspec.backends import Backend
    from rnnspec.ir.nodes import Network
    from rnnspec.slots import Array


Place = tuple[str, str, Param, Slot]


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
    found = found or _BY_MODULE.get(type(model).__module__)
    if found is None:
        raise UsageError(f"expected a model that rnnspec.build made, received {type(model)}")
    return found


def read_weights(model: Any) -> dict[str, Array]:
    """Return a copy of every canonical array of a model that ``rnnspec.build`` made.

    Returns:
        Arrays by canonical name (``lstm_1.recurrent_kernel``), in the network's order, in the
        model's own dtype. Kernels are (in, gates * out), the gates of an LSTM in the order
        i f c o, of a GRU z r h.

    Raises:
        UsageError: the model has another origin.
    """
    made = origin(model)
    get = made.backend.runtime.get
    return gather(placed(made), lambda layer, path: get(model, layer, path))


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
        arrays: all canonical arrays, by the names and in the shapes of ``read_weights``.

    Raises:
        UsageError: a name is missing or unknown, a shape is wrong, an array holds no real
            numbers, or the model has another origin. Nothing is written then.
    """
    made = origin(model)
    given = _checked(made, arrays)
    kept: defaultdict[tuple[str, str], list[tuple[int, Array]]] = defaultdict(list)
    for name, layer, param, slot in placed(made):
        kept[layer, slot.path].append((slot.row or 0, pack(param, slot, given[name])))
    for (layer, path), rows in kept.items():
        in_order = [array for _, array in sorted(rows, key=itemgetter(0))]
        array = np.stack(in_order) if len(rows) > 1 else in_order[0]
        made.backend.runtime.put(model, layer, path, array)


def placed(made: Origin) -> Iterator[Place]:
    """Yield each canonical array: its name, the framework's layer, what it is, where it is kept."""
    table = made.backend.slots
    for layer in made.network.layers:
        for param, slot in zip(params(layer), table.slots(layer), strict=True):
            yield f"{layer.name}.{param.name}", table.module(layer), param, slot


def read_array(model: Any, name: str) -> Array:
    """Return a copy of one canonical array of a model that ``rnnspec.build`` made.

    Raises:
        UsageError: there is none of that name, or the model has another origin.
    """
    made = origin(model)
    get = made.backend.runtime.get
    return gather([_place(made, name)], lambda layer, path: get(model, layer, path))[name]


def write_array(model: Any, name: str, array: Array) -> None:
    """Replace one canonical array; the model's other arrays are not touched.

    Raises:
        UsageError: there is none of that name, its shape is another, or the model has another
            origin.
    """
    made = origin(model)
    _, layer, param, slot = _place(made, name)
    if array.shape != param.shape:
        raise UsageError(f"{name}: expected the shape {param.shape}, received {array.shape}")
    packed = pack(param, slot, array)
    if slot.row is not None:
        stacked = made.backend.runtime.get(model, layer, slot.path)
        stacked[slot.row] = packed
        packed = stacked
    made.backend.runtime.put(model, layer, slot.path, packed)


def _place(made: Origin, name: str) -> Place:
    found = next((place for place in placed(made) if place[0] == name), None)
    if found is None:
        raise UsageError(f"unknown array '{name}'")
    return found


def _checked(made: Origin, arrays: Mapping[str, ArrayLike]) -> dict[str, Array]:
    wanted = {name: param.shape for name, _, param, _ in placed(made)}
    if problems := [f"missing array '{n}'" for n in wanted if n not in arrays] + [
        f"unknown array '{n}'" for n in arrays if n not in wanted
    ]:
        raise UsageError("; ".join(problems))
    given: dict[str, Array] = {name: np.asarray(arrays[name]) for name in wanted}
    for name, shape in wanted.items():
        if given[name].shape != shape:
            raise UsageError(f"{name}: expected the shape {shape}, received {given[name].shape}")
        if given[name].dtype.kind not in "fiu":
            raise UsageError(f"{name}: expected numbers, received {given[name].dtype}")
    return given
