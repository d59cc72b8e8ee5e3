"""The place of each canonical array in Keras, whose layout is the canonical one."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.contract import Slots
from rnnspec.backends.keras.layers import parts_of
from rnnspec.ir.cells import gates, has_recurrent_bias
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
from rnnspec.ir.params import directions
from rnnspec.slots import Slot

if TYPE_CHECKING:
    from collections.abc import Iterator


def slots(layer: Layer) -> tuple[Slot, ...]:
    """Return a slot for each canonical array of a layer."""
    if isinstance(layer, ParameterFree):
        return ()
    match layer:
        case Embedding():
            return (Slot(param="embeddings", path="embeddings", axes="token out"),)
        case Recurrent():
            return tuple(slot for prefix in directions(layer) for slot in _direction(layer, prefix))
        case Dense():
            kernel = Slot(param="kernel", path="kernel", axes="in out")
            own = () if layer.tied else (kernel,)
            return (*own, _BIAS) if layer.bias else own
        case Conv():
            kernel = Slot(param="kernel", path="kernel", axes="step in out")
            return (kernel, _BIAS) if layer.bias else (kernel,)
        case Attention():
            kernel = Slot(param="kernel", path="kernel", axes="in out")
            # Without a hidden layer, the layer that scores the steps has the name of the attention.
            module = parts_of(layer).get("query")
            query = Slot(param="query", path="kernel", axes="in out", module=module)
            return (query,) if layer.units is None else (kernel, _BIAS, query)
        case LayerNorm():
            return _vectors("gamma", "beta")
        case BatchNorm():
            return _vectors("gamma", "beta", "moving_mean", "moving_variance")
        case _:
            assert_never(layer)


_BIAS = Slot(param="bias", path="bias", axes="out")


def _vectors(*names: str) -> tuple[Slot, ...]:
    return tuple(Slot(param=name, path=name, axes="out") for name in names)


def _direction(layer: Recurrent, prefix: str) -> Iterator[Slot]:
    cell = f"{prefix.removesuffix('.')}_layer.cell." if prefix else "cell."
    # The canonical order is Keras's, so no gate is moved.
    order = gates(layer.cell)

    def slot(name: str, path: str, axes: str, row: int | None = None) -> Slot:
        return Slot(param=prefix + name, path=cell + path, axes=axes, gates=order, row=row)

    yield slot("kernel", "kernel", "in (gate out)")
    yield slot("recurrent_kernel", "recurrent_kernel", "in (gate out)")
    if not layer.bias:
        return
    # With reset_after, Keras stacks the biases of input and state: (2, gates * units).
    # Source: https://keras.io/api/layers/recurrent_layers/gru/.
    if has_recurrent_bias(layer.cell):
        yield slot("bias", "bias", "(gate out)", 0)
        yield slot("recurrent_bias", "bias", "(gate out)", 1)
    else:
        yield slot("bias", "bias", "(gate out)")


SLOTS = Slots(slots=slots)
