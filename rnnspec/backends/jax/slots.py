"""The place of each canonical array in Flax: all of them have the canonical layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.contract import Slots
from rnnspec.backends.jax.backend import JAX
from rnnspec.backends.jax.cells import LOCALS, direction_path, variables
from rnnspec.backends.slots import Slot, learned_slots, slots_by_name
from rnnspec.ir.nodes import AttentionPooling, ComposedNode, Layer, LearnedFormula, Recurrent
from rnnspec.ir.params import cell_params, directions
from rnnspec.source.expressions import local_names

if TYPE_CHECKING:
    from collections.abc import Iterator


_PATHS = {
    "embeddings": "embedding",
    "gamma": "scale",
    "beta": "bias",
    "moving_mean": "mean",
    "moving_variance": "var",
}
_ATTENTION_PATHS = {"kernel": "hidden.kernel", "bias": "hidden.bias", "query": "query.kernel"}


def slots(layer: Layer) -> tuple[Slot, ...]:
    """Return a slot for each canonical array of a layer."""
    if layer.shares:
        return ()
    match layer:
        case Recurrent():
            return tuple(_recurrent(layer))
        case AttentionPooling():
            return slots_by_name(layer, _ATTENTION_PATHS)
        case LearnedFormula():
            return slots_by_name(layer, local_names(layer.how.equations, LOCALS))
        case ComposedNode():
            return slots_by_name(layer)
        case _:
            return slots_by_name(layer, _PATHS)


def _recurrent(layer: Recurrent) -> Iterator[Slot]:
    # The generated classes hold the canonical arrays themselves, under their own names, but for the
    # product with which a state asks.
    yield from learned_slots(layer)
    attributes = variables(layer)
    for prefix in directions(layer):
        for param in cell_params(layer, prefix):
            own = param.name.removeprefix(prefix)
            path = direction_path(prefix) + attributes.get(own, own)
            yield Slot(param=param.name, path=path, axes=param.axes, gates=param.gates)
    beside = slots_by_name(layer, {"attention.kernel": "query.kernel"})
    yield from (slot for slot in beside if slot.param.startswith("attention."))


SLOTS = Slots(slots=slots, module=lambda layer: JAX.reserved_names.attribute(layer.name))
