"""Which form a recurrent layer takes: fused or step by step, one module or one a direction."""

from __future__ import annotations

from typing import assert_never

from rnnspec.ir.nodes import GRU, LSTM, Cell, CellActivation, Recurrent, SimpleRNN


def stepwise_reason(layer: Recurrent) -> str:
    """Return the word that no fused layer can honour, empty where one can."""
    if layer.recurrent_dropout:
        return "recurrent_dropout"
    match layer.cell:
        # PyTorch's own runs over padding too, where a state without a bound can overflow.
        case SimpleRNN(activation="relu") if layer.masked:
            return "activation"
        case SimpleRNN(activation=activation):
            return "" if activation in ("tanh", "relu") else "activation"
        case LSTM(activation=activation, recurrent_activation=recurrent):
            return _gated(activation, recurrent)
        case GRU(reset_after=False):
            return "reset_after: false"
        case GRU(activation=activation, recurrent_activation=recurrent):
            return _gated(activation, recurrent)
        case _:
            assert_never(layer.cell)


def _gated(activation: str, recurrent_activation: str) -> str:
    if activation != "tanh":
        return "activation"
    return "" if recurrent_activation == "sigmoid" else "recurrent_activation"


def is_fused(layer: Recurrent) -> bool:
    """Tell whether one of PyTorch's own layers computes it, in one kernel over all steps."""
    return not stepwise_reason(layer)


def is_wrapped(layer: Recurrent) -> bool:
    """Tell whether a module that knows of padding stands around one of PyTorch's own."""
    return layer.masked and is_fused(layer)


def splits_directions(layer: Recurrent) -> bool:
    """Tell whether the two directions are two modules.

    Each needs a dropout mask of its own, or an order of its own where there is padding.
    """
    apart = layer.dropout > 0 or layer.masked or not is_fused(layer)
    return layer.merge is not None and apart


def drops_inside(layer: Recurrent) -> bool:
    """Tell whether the cell itself drops its input: one mask a gate, with recurrent dropout."""
    return layer.recurrent_dropout > 0


def state_is_pair(layer: Recurrent) -> bool:
    """Tell whether the module returns its final state as PyTorch's pair (h, c)."""
    lstm = isinstance(layer.cell, LSTM) and is_fused(layer)
    return lstm and not layer.masked and not splits_directions(layer)


def module_path(layer: Recurrent, direction: str) -> tuple[str, str]:
    """Return the path to the module of a direction (``forward.`` or empty), and a name suffix."""
    masked = "layer." if is_wrapped(layer) else ""
    if splits_directions(layer):
        return f"{direction.removesuffix('.')}_layer.{masked}", ""
    return masked, "_reverse" if direction == "backward." else ""


def cell_activations(cell: Cell) -> tuple[CellActivation, ...]:
    """Return the activations of a cell: of its candidate, and of its gates where it has them."""
    if isinstance(cell, SimpleRNN):
        return (cell.activation,)
    return (cell.activation, cell.recurrent_activation)
