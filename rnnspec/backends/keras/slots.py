"""The place of each canonical array in Keras, whose layout is the canonical one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rnnspec.backends.contract import Slots
from rnnspec.backends.keras.cells import attributes
from rnnspec.backends.keras.formulas import names_in_class
from rnnspec.backends.keras.layers import layer_name, parts_of
from rnnspec.backends.slots import Slot, learned_slots, slots_by_name
from rnnspec.ir.cells import gates, has_recurrent_bias
from rnnspec.ir.nodes import (
    AttentionPooling,
    ComposedNode,
    EquationCell,
    Layer,
    LearnedFormula,
    Recurrent,
)
from rnnspec.ir.params import cell_params, directions, params

if TYPE_CHECKING:
    from collections.abc import Iterator


_STORED = {"out in": "in out"}
"""The axes of a matrix of equations: Keras's initializers take the fans from (in, out)."""
_ASKING = "attention."
"""The beginning of the names of the arrays with which a recurrent layer attends to another."""


def slots(layer: Layer) -> tuple[Slot, ...]:
    """Return a slot for each canonical array of a layer."""
    if layer.shares:
        return ()
    match layer:
        case Recurrent():
            asking = (
                Slot(
                    param=param.name,
                    path=f"cell.{param.name.removeprefix(_ASKING)}",
                    axes=param.axes,
                )
                for param in params(layer)
                if param.name.startswith(_ASKING)
            )
            ways = directions(layer)
            learned = learned_slots(layer, "kernel", row=0)
            return (*learned, *(slot for way in ways for slot in _direction(layer, way)), *asking)
        case AttentionPooling(query=None):
            # Without a hidden layer, the layer that scores the steps has the name of the attention.
            *hidden, query = slots_by_name(layer, {"query": "kernel"})
            return (*hidden, replace(query, module=parts_of(layer).get("query")))
        case LearnedFormula():
            return slots_by_name(layer, names_in_class(layer), _STORED)
        case ComposedNode():
            return slots_by_name(layer, {"gamma": "kernel", "beta": "bias", "score": "kernel"})
        case _:
            return slots_by_name(layer)


def _direction(layer: Recurrent, prefix: str) -> Iterator[Slot]:
    cell = f"{prefix.removesuffix('.')}_layer.cell." if prefix else "cell."
    cell = f"{cell}cell." if layer.attention else cell
    if isinstance(layer.cell, EquationCell):
        names = attributes(layer.cell)
        for param in cell_params(layer, prefix):
            path = cell + names[param.name.removeprefix(prefix)]
            yield Slot(param=param.name, path=path, axes=_STORED.get(param.axes, param.axes))
        return
    # The canonical order is Keras's, so no gate is moved.
    order = gates(layer.standard_cell)

    def slot(name: str, path: str, axes: str, row: int | None = None) -> Slot:
        return Slot(param=prefix + name, path=cell + path, axes=axes, gates=order, row=row)

    yield slot("kernel", "kernel", "in (gate out)")
    yield slot("recurrent_kernel", "recurrent_kernel", "in (gate out)")
    if not layer.bias:
        return
    # With reset_after, Keras stacks the biases of input and state: (2, gates * units).
    # Source: https://keras.io/api/layers/recurrent_layers/gru/.
    if has_recurrent_bias(layer.standard_cell):
        yield slot("bias", "bias", "(gate out)", 0)
        yield slot("recurrent_bias", "bias", "(gate out)", 1)
    else:
        yield slot("bias", "bias", "(gate out)")


SLOTS = Slots(slots=slots, module=layer_name)
