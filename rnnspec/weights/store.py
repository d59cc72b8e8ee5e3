"""Read and write the canonical arrays of any live model through the slot tables of a backend."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.model_files import ModelArrays
from rnnspec.backends.slots import Slot, pack, shape_in, unpack
from rnnspec.errors import UsageError, brief
from rnnspec.errors.arguments import received
from rnnspec.ir.params import Param, params
from rnnspec.weights.caller_arrays import MODEL_DTYPES, ArrayError, real_array, round_to_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike

    from rnnspec.backends import Backend
    from rnnspec.backends.model_files import FrameworkArrays
    from rnnspec.backends.slots import Array
    from rnnspec.ir.nodes import Network


Place = tuple[str, str, Param, Slot]
"""The canonical name of an array, its layer in the framework, its parameter, and its slot."""

_MOST_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class Store:
    """Access to the canonical arrays of every model with the structure of ``network``.

    ``network`` is arranged by the emitter of ``backend``. A model need not come from rnnspec: it
    may be loaded from a file, copied, or wrapped for training. ``parameters`` has, for each layer
    whose cell is given by equations of the language, the array and the gate of each parameter.
    """

    backend: Backend
    network: Network
    parameters: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)

    @property
    def places(self) -> tuple[Place, ...]:
        """The place of each canonical array, in the order of the network."""
        table = self.backend.slots
        return tuple(
            (f"{layer.name}.{param.name}", slot.module or table.module(layer), param, slot)
            for layer in self.network.layers
            for param, slot in zip(params(layer), table.slots(layer), strict=True)
        )

    @property
    def zeros(self) -> dict[str, int]:
        """The number of zeros that writing adds to the arrays of each layer that has any."""
        zeros: defaultdict[str, int] = defaultdict(int)
        for name, _, param, slot in self.places:
            if slot.addend is not None:
                zeros[name.partition(".")[0]] += prod(param.shape)
        return zeros

    def fits(self, model: Any) -> bool:
        """True if ``model`` has exactly the arrays of the network."""
        try:
            self.check(model)
        except UsageError:
            return False
        return True

    def check(self, model: Any) -> None:
        """Raise UsageError unless ``model`` has exactly the arrays of the network.

        The error lists the arrays that are missing, unexpected, or of another shape or dtype.
        """
        _check(self.places, self._arrays_of(model))

    def read(self, model: Any) -> dict[str, Array]:
        """Return copies of all canonical arrays by name, in the order of the network.

        Raises:
            UsageError: the model has another structure.
        """
        return self.gather(self._arrays_of(model))

    def gather(self, arrays: FrameworkArrays) -> dict[str, Array]:
        """Return all canonical arrays in ``arrays``.

        Raises:
            UsageError: ``arrays`` has another structure.
        """
        _check(self.places, arrays)
        return gather(self.places, arrays.get)

    def write(self, model: Any, arrays: Mapping[str, ArrayLike]) -> None:
        """Replace all canonical arrays; the dtype and the device of the model do not change.

        Those of a cell may be given by the names and in the shapes of its equations.

        Raises:
            UsageError: the model has another structure, or an array is missing, unknown or does
                not fit. In this case nothing is written.
        """
        inside, places = self._arrays_of(model), self.places
        types = _check(places, inside)
        _check_mapping(arrays)
        arrays = self._join_parameters(arrays)
        _check_names(places, arrays)
        _put(inside, places, arrays, types)

    def _join_parameters(self, arrays: Mapping[str, ArrayLike]) -> Mapping[str, ArrayLike]:
        """Return arrays in which those of equations are put together, where all of a layer are."""
        joined = dict(arrays)
        for layer in self.network.layers:
            own = self.parameters.get(layer.name, {})
            names = {place: name for name, place in own.items()}
            for param in params(layer) if own else ():
                prefix, _, array = f"{layer.name}.{param.name}".rpartition(".")
                parts = [f"{prefix}.{names[array, gate]}" for gate in param.gates]
                # The arrays with which a layer attends have no gates.
                if parts and joined.keys() >= set(parts):
                    values = (np.asarray(joined.pop(part)) for part in parts)
                    joined[f"{prefix}.{array}"] = np.concatenate([v.T for v in values], axis=-1)
        return joined

    def read_one(self, model: Any, name: str) -> Array:
        """Return a copy of one canonical array.

        Raises:
            UsageError: the name is unknown, or the array in the model does not fit.
        """
        arrays, place = self._arrays_of(model), self._place(name)
        _check_each((place,), arrays)
        return gather((place,), arrays.get)[name]

    def write_one(self, model: Any, name: str, array: Array) -> None:
        """Replace one canonical array, and leave the others unchanged.

        Raises:
            UsageError: the name is unknown, or the array does not fit.
        """
        inside, places = self._arrays_of(model), (self._place(name),)
        _put(inside, places, {name: array}, _check_each(places, inside))

    def _place(self, name: str) -> Place:
        place = next((place for place in self.places if place[0] == name), None)
        if place is None:
            raise UsageError(f"unknown array '{name}'")
        return place

    def _arrays_of(self, model: Any) -> ModelArrays:
        runtime = self.backend.runtime
        inner = runtime.unwrap(model)
        if inner is None:
            title = self.backend.title
            raise UsageError(f"expected a model of {title}, received {received(model)}")
        return ModelArrays(runtime, inner)


def gather(places: Iterable[Place], get: Callable[[str, str], Array]) -> dict[str, Array]:
    """Return canonical arrays by name; ``get(layer, path)`` gives those of the framework."""
    arrays = {}
    for name, layer, param, slot in places:
        array = get(layer, slot.path)
        if slot.addend is not None:
            array = array + get(layer, slot.addend)
        arrays[name] = unpack(param, slot, array if slot.row is None else array[slot.row])
    return arrays


Types = dict[tuple[str, str], str]


def _put(
    inside: ModelArrays,
    places: tuple[Place, ...],
    arrays: Mapping[str, ArrayLike],
    types: Types,
) -> None:
    """Replace the arrays of a model at some places."""
    packed: dict[tuple[str, str], Array] = {}
    # Everything is converted before the first array is written.
    for name, layer, param, slot in places:
        key = (layer, slot.path)
        array = pack(param, slot, _round_array(name, param, arrays, types[key]))
        if slot.row is None:
            packed[key] = array
        else:
            # The other rows of a stacked array belong to other canonical arrays.
            packed[key] = packed[key] if key in packed else inside.get(*key)
            packed[key][slot.row] = array
        if slot.addend is not None:
            packed[layer, slot.addend] = np.zeros_like(packed[key])
    for (layer, path), array in packed.items():
        inside.runtime.put(inside.model, layer, path, array)


def _check(places: tuple[Place, ...], arrays: FrameworkArrays) -> Types:
    """Return the dtype of each array of the framework; raise one error with all problems."""
    known = {(layer, path) for _, layer, _, slot in places for path in slot.paths}
    left = [f"unexpected: {name} of {shape}" for name, shape in arrays.other_shapes(known).items()]
    return _check_each(places, arrays, left)


def _check_each(
    places: tuple[Place, ...], arrays: FrameworkArrays, left: Iterable[str] = ()
) -> Types:
    types: Types = {}
    missing, unfit = list[str](), list[str]()
    for place, path in ((p, path) for p in places for path in p[3].paths):
        name, layer, *_ = place
        try:
            types[layer, path] = _dtype(place, path, arrays)
        except LookupError:
            missing.append(f"missing: {name} (at {layer}.{path})")
        except _UnfitError as error:
            unfit.append(str(error))
    # Each kind is cut separately, so that no kind of problem hides another.
    if problems := [_join_problems(kind) for kind in (missing, [*left], unfit) if kind]:
        raise UsageError(f"the model has another structure: {'; '.join(problems)}")
    return types


class _UnfitError(Exception):
    """An array of a model does not fit; the text says why."""


def _dtype(place: Place, path: str, arrays: FrameworkArrays) -> str:
    """Return the dtype of the array at one path of a place.

    Raises:
        LookupError: the model has no array there.
        _UnfitError: the array does not fit.
    """
    name, layer, param, slot = place
    actual = arrays.array_type(layer, path)
    expected = shape_in(param, slot)
    # A stacked array has an extra leading axis.
    shape = actual.shape if slot.row is None else actual.shape[1:]
    if shape != expected or (slot.row is not None and actual.shape[0] <= slot.row):
        raise _UnfitError(f"{name}: expected the shape {expected} in the model, received {shape}")
    if actual.dtype not in MODEL_DTYPES:
        types = ", ".join(MODEL_DTYPES)
        dtype = actual.dtype or "an array without data (on the device meta)"
        raise _UnfitError(f"{name}: expected one of the types {types}, received {dtype}")
    return actual.dtype


def _check_mapping(arrays: object) -> None:
    if not isinstance(arrays, Mapping):
        raise UsageError(f"expected a mapping of arrays by name, received {received(arrays)}")


def _check_names(places: tuple[Place, ...], arrays: Mapping[str, ArrayLike]) -> None:
    """Raise UsageError unless ``arrays`` has each name and no other."""
    names = dict.fromkeys(name for name, *_ in places)
    problems = [f"missing array '{n}'" for n in names if n not in arrays]
    problems += [f"unknown array '{brief(n)}'" for n in arrays if n not in names]
    if problems:
        raise UsageError(_join_problems(problems))


def _join_problems(problems: list[str]) -> str:
    more = len(problems) - _MOST_PROBLEMS
    listed = problems[:_MOST_PROBLEMS] + ([f"{more} more such problems"] if more > 0 else [])
    return "; ".join(listed)


def _round_array(name: str, param: Param, arrays: Mapping[str, ArrayLike], dtype: str) -> Array:
    try:
        return round_to_model(real_array(lambda: arrays[name], param.shape), dtype)
    except ArrayError as error:
        raise UsageError(f"{name}: {error}") from None
