"""The activations of cells and layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.ir.nodes import Cell, Dense, Layer, Recurrent, SimpleRNN

if TYPE_CHECKING:
    from rnnspec.words import Activation, CellActivation


def cell_activations(cell: Cell) -> tuple[CellActivation, ...]:
    """Return the activations of a cell: of its candidate, and of its gates if it has any."""
    if isinstance(cell, SimpleRNN):
        return (cell.activation,)
    return (cell.activation, cell.recurrent_activation)


def layer_activations(layer: Layer) -> tuple[Activation, ...]:
    """Return the activations of a layer, none if it is neither recurrent nor dense."""
    if isinstance(layer, Recurrent):
        return cell_activations(layer.cell)
    return (layer.activation,) if isinstance(layer, Dense) else ()
