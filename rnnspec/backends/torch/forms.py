"""The form of a recurrent layer: fused or step by step, one module or one per direction."""

from __future__ import annotations

from typing import assert_never

from rnnspec.backends.torch.stacks import SteppedLayer, StockLayer
from rnnspec.ir.nodes import GRU, LSTM, Recurrent, SimpleRNN
from rnnspec.ir.text import cell_name


def stepwise_reason(layer: Recurrent) -> str:
    """Return the key that no fused layer can honour, empty if a fused layer can honour all."""
    if layer.recurrent_dropout:
        return "recurrent_dropout"
    match layer.cell:
        # The fused layer runs over padding too, where an unbounded state can overflow.
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
    """Return true if a stock layer of PyTorch computes it, in one kernel over all steps."""
    return not stepwise_reason(layer)


def is_wrapped(layer: Recurrent) -> bool:
    """Return true if a stock layer is wrapped in a module that handles padding."""
    return layer.masked and is_fused(layer)


def has_single_step(layer: Recurrent) -> bool:
    """Return true if a chunk of one step is computed by cells, without the layer's own kernel.

    On a CPU, PyTorch computes ``nn.LSTM`` by oneDNN, which takes twice as long for one step.
    """
    stepped = isinstance(layer, SteppedLayer) and isinstance(layer.cell, LSTM)
    return stepped and is_fused(layer) and not layer.masked


def masked_class(layer: Recurrent) -> str:
    """Return the class that wraps a stock layer of a masked network."""
    keeps_cell = isinstance(layer, SteppedLayer) and isinstance(layer.cell, LSTM)
    return "MaskedLSTM" if keeps_cell else "Masked"


def returns_pair(layer: Recurrent) -> bool:
    """Return true if the module returns outputs and states, as stock layers do.

    The generated classes return only the one that is needed.
    """
    return is_fused(layer) and not layer.masked


def splits_directions(layer: Recurrent) -> bool:
    """Return true if the two directions are two modules.

    With dropout, each direction needs its own mask, and with padding its own order of steps.
    """
    apart = layer.dropout > 0 or layer.masked or not is_fused(layer)
    return layer.merge is not None and apart


def has_redundant_bias(layer: Recurrent) -> bool:
    """Return true if a stock layer has two biases of which only the sum matters."""
    # PyTorch has a second bias in every cell because cuDNN has. A GRU's reset gate stands between
    # the two, so it needs both. Source: https://github.com/pytorch/pytorch/issues/750.
    return is_fused(layer) and layer.bias and not isinstance(layer.cell, GRU)


def drops_inside(layer: Recurrent) -> bool:
    """Return true if the cell drops its input itself: with recurrent dropout, one mask per gate."""
    return layer.recurrent_dropout > 0


def module_path(layer: Recurrent, direction: str) -> tuple[str, str]:
    """Return the path to the module of a direction (``forward.`` or empty), and a name suffix."""
    masked = "layer." if is_wrapped(layer) else ""
    if splits_directions(layer):
        return f"{direction_key(direction)}.{masked}", ""
    return masked, "_reverse" if direction == "backward." else ""


def direction_key(direction: str) -> str:
    """Return the key of the module of a direction, where there are two modules."""
    # As in Keras. ``forward`` alone is an attribute of every module, which ModuleDict refuses.
    return f"{direction.removesuffix('.')}_layer"


def cell_class(layer: Recurrent) -> str:
    """Return the class that runs the cell of a layer: a stock class or a generated one."""
    name = cell_name(layer.cell)
    if is_fused(layer):
        single = has_redundant_bias(layer) and not isinstance(layer, StockLayer)
        return f"SingleBias{name}" if single else f"nn.{name}"
    masked = "Masked" if layer.masked else ""
    unbiased = "" if layer.bias else "Unbiased"
    loop = "RecurrentDropout" if layer.recurrent_dropout else "Stepwise"
    return f"{masked}{unbiased}{loop}{name}"
