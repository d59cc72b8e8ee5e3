"""Each canonical array is kept unchanged, under its own name."""

from rnnspec.backends.contract import Slots
from rnnspec.backends.slots import Slot
from rnnspec.ir.nodes import Layer
from rnnspec.ir.params import params


def slots(layer: Layer) -> tuple[Slot, ...]:
    return tuple(Slot(param=p.name, path=p.name, axes=p.axes, gates=p.gates) for p in params(layer))


SLOTS = Slots(slots=slots)
