"""The place of each canonical array in Flax: all of them have the canonical layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.contract import Slots
from rnnspec.backends.jax.cells import direction_path
from rnnspec.ir.nodes import (
    Attention,
    BatchNorm,
    Conv,
    Dense,
    Embedding,
    Layer,
    LayerNorm,
    ParameterFree,
    Recurrent,
)
from rnnspec.ir.params import directions, params
from rnnspec.slots import Slot

if TYPE_CHECKING:
    from collections.abc import Iterator


_PATHS = {"gamma": "scale", "beta": "bias", "moving_mean": "mean", "moving_variance": "var"}
_ATTENTION_PATHS = {"kernel": "hidden.kernel", "bias": "hidden.bias", "query": "query.kernel"}


def slots(layer: Layer) -> tuple[Slot, ...]:
    """Return a slot for each canonical array of a layer."""
    if isinstance(layer, ParameterFree):
        return ()
    match layer:
        case Embedding():
            return (Slot(param="embeddings", path="embedding", axes="token out"),)
        case Recurrent():
            return tuple(_recurrent(layer))
        case Dense() | Conv() | Attention() | BatchNorm() | LayerNorm():
            paths = _ATTENTION_PATHS if isinstance(layer, Attention) else _PATHS
            return tuple(
                Slot(param=param.name, path=paths.get(param.name, param.name), axes=param.axes)
                for param in params(layer)
            )
        case _:
            assert_never(layer)


def _recurrent(layer: Recurrent) -> Iterator[Slot]:
    # The generated classes hold the canonical arrays themselves, under their own names.
    by_name = {param.name: param for param in params(layer)}
    for prefix in directions(layer):
        for name, param in by_name.items():
            if name.startswith(prefix):
                path = direction_path(prefix) + name.removeprefix(prefix)
                yield Slot(param=name, path=path, axes=param.axes, gates=param.gates)


SLOTS = Slots(slots=slots)
