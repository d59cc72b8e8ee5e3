"""Slots, which locate canonical arrays in a backend, and conversion in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from rnnspec.ir.nodes import INPUT
from rnnspec.ir.params import Param, axis_groups, params, shape_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from numpy.typing import NDArray

    from rnnspec.ir.nodes import Layer, Recurrent

    Array = NDArray[Any]
    # By name for a network with named inputs, otherwise that of its only input.
    Batch = Mapping[str, Array] | Array


def by_name(batch: Batch) -> Mapping[str, Array]:
    """Return the arrays of a batch by the names of their inputs."""
    return batch if isinstance(batch, Mapping) else {INPUT: batch}


def as_batch(arrays: Mapping[str, Array]) -> Batch:
    """Return what a model takes, given the arrays by the names of their inputs."""
    # One of several inputs may have this name too.
    return arrays[INPUT] if [*arrays] == [INPUT] else arrays


def map_batch(function: Callable[[Array], Array], batch: Batch) -> Batch:
    """Return a batch with another array for each of its arrays."""
    if isinstance(batch, Mapping):
        return {name: function(array) for name, array in batch.items()}
    return function(batch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The place of one array of a layer.

    ``param`` is the name of the array within the layer, and ``path`` the attribute path to it from
    the framework's layer. ``axes`` and ``gates`` describe its layout there, in the notation of
    ``ir.params.Param``. ``row`` is the index on the leading axis if a framework stacks several
    canonical arrays in one of its own. If a framework adds up two arrays of this layout, the other
    one is at ``addend``: reading returns the sum, and writing fills the addend with zeros.
    ``module`` is the name of the framework's layer if it is not that of the layer's other arrays.
    """

    param: str
    path: str
    axes: str
    gates: str = ""
    row: int | None = None
    addend: str | None = None
    module: str | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of all arrays of the framework that hold this one."""
        return (self.path,) if self.addend is None else (self.path, self.addend)


def slots_by_name(
    layer: Layer,
    paths: Mapping[str, str] = MappingProxyType({}),
    axes: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Slot, ...]:
    """Return the slots of arrays as they are, but for other ``paths`` by name, and other ``axes``.

    ``axes`` has the layout in the framework by the canonical one.
    """
    return tuple(
        Slot(
            param=param.name,
            path=paths.get(param.name, param.name),
            axes=axes.get(param.axes, param.axes),
            gates=param.gates,
        )
        for param in params(layer)
    )


def learned_slots(layer: Recurrent, path: str = "vector", row: int | None = None) -> Iterator[Slot]:
    """Yield the slots of the first states that are arrays of a layer, each in a module."""
    for vector in layer.learned:
        yield Slot(param=vector.param, path=path, axes="out", row=row, module=vector.name)


def shape_in(param: Param, slot: Slot) -> tuple[int, ...]:
    """Return the shape of an array in the framework, without a stacked axis."""
    return shape_of(slot.axes, dict(param.sizes))


def pack(param: Param, slot: Slot, array: Array) -> Array:
    """Return a canonical array in the framework's layout (without a stacked leading axis)."""
    return _rearrange(array, param, (param.axes, param.gates), (slot.axes, slot.gates))


def unpack(param: Param, slot: Slot, array: Array) -> Array:
    """Return the canonical array that a framework keeps in ``slot``."""
    return _rearrange(array, param, (slot.axes, slot.gates), (param.axes, param.gates))


def _rearrange(
    array: Array, param: Param, source: tuple[str, str], target: tuple[str, str]
) -> Array:
    sizes = dict(param.sizes)
    expected = shape_of(source[0], sizes)
    # Callers have checked shapes, with messages of their own: this catches a wrong table of slots.
    if array.shape != expected:
        raise ValueError(f"{param.name}: expected shape {expected}, received {array.shape}")
    # One axis per name while gates and axes are reordered; merged axes are split and merged again.
    names = [name for group in axis_groups(source[0]) for name in group]
    split = array.reshape([sizes[name] for name in names])
    if source[1] != target[1]:
        order = [source[1].index(gate) for gate in target[1]]
        split = split.take(order, axis=names.index("gate"))
    target_names = [name for group in axis_groups(target[0]) for name in group]
    moved = split.transpose([names.index(name) for name in target_names])
    return packed(moved).reshape(shape_of(target[0], sizes))


_BLOCK = 64


def packed(array: Array) -> Array:
    """Return an array as it is if its elements are in order, and a copy of it otherwise."""
    import numpy as np  # The tables alone are used without it.

    if array.ndim < 2 or array.flags.c_contiguous:
        return np.asarray(array, order="C")  # A scalar stays one.
    copy = np.empty(array.shape, array.dtype)
    # In columns that the processor's cache holds: NumPy alone would take three times as long.
    for at in range(0, array.shape[-1], _BLOCK):
        copy[..., at : at + _BLOCK] = array[..., at : at + _BLOCK]
    return copy


def is_finite(array: Array) -> bool:
    """True if every element of an array is a finite number."""
    import numpy as np

    # The sum is not finite if one element is not. It may also overflow.
    with np.errstate(all="ignore"):
        total = array.sum()
    return bool(np.isfinite(total) or np.isfinite(array).all())
