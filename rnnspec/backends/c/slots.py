"""The place of each canonical array: a live model keeps them as they are."""

from rnnspec.backends.contract import Slots
from rnnspec.backends.slots import slots_by_name

SLOTS = Slots(slots=slots_by_name)
