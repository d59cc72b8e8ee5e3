"""The place of each canonical array: a live model keeps them as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.contract import Slots
from rnnspec.ir.params import params
from rnnspec.slots import Slot

if TYPE_CHECKING:
    from rnnspec.ir.nodes import Layer


def slots(layer: Layer) -> tuple[Slot, ...]:
    """Return a slot for each array of a layer."""
    return tuple(Slot(param=p.name, path=p.name, axes=p.axes, gates=p.gates) for p in params(layer))


SLOTS = Slots(slots=slots)
