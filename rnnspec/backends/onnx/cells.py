"""Recurrent layers with a fused operator: ``RNN``, ``LSTM`` and ``GRU``.

Source: https://onnx.ai/onnx/operators/onnx__LSTM.html, and likewise for the other two. Layout 0:
ONNX Runtime refuses layout 1, and other runtimes ignore it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.onnx.graph import Node
from rnnspec.backends.onnx.names import BIAS, array
from rnnspec.ir.nodes import GRU, LSTM, Cell, Recurrent, SimpleRNN
from rnnspec.ir.params import directions

if TYPE_CHECKING:
    from rnnspec.backends.onnx.graph import Attribute, Builder
    from rnnspec.words import CellActivation

# Softplus is not here: in the fused operators of ONNX Runtime it is infinite above 88.
FUSED: dict[CellActivation, tuple[str, tuple[float, ...]]] = {
    "tanh": ("Tanh", ()),
    "sigmoid": ("Sigmoid", ()),
    "relu": ("Relu", ()),
    "hard_sigmoid": ("HardSigmoid", (1 / 6, 0.5)),
    "legacy_hard_sigmoid": ("HardSigmoid", (0.2, 0.5)),
    "linear": ("Affine", (1.0, 0.0)),
    "softsign": ("Softsign", ()),
    "elu": ("Elu", (1.0,)),
}
"""Activations of the fused operators, each with its alpha and beta."""


def activations(cell: Cell) -> tuple[CellActivation, ...]:
    """Return the activations of a cell in the order of its operator."""
    match cell:
        case SimpleRNN(activation=activation):
            return (activation,)
        case LSTM(activation=activation, recurrent_activation=recurrent):
            return (recurrent, activation, activation)
        case GRU(activation=activation, recurrent_activation=recurrent):
            return (recurrent, activation)
        case _:
            assert_never(cell)


def stepwise_reason(layer: Recurrent) -> str:
    """Return the key that no fused operator can honour, empty if one can honour all."""
    if layer.cell.activation not in FUSED:
        return "activation"
    fused = all(each in FUSED for each in activations(layer.cell))
    return "" if fused else "recurrent_activation"


def operator(cell: Cell) -> str:
    """Return the operator of a cell."""
    match cell:
        case SimpleRNN():
            return "RNN"
        case LSTM():
            return "LSTM"
        case GRU():
            return "GRU"
        case _:
            assert_never(cell)


def fused(into: Builder, layer: Recurrent, x: str, lengths: str) -> str:
    """Add a fused layer that reads ``x``, and return its output or final state.

    ``lengths`` is the value with the number of real steps of each sequence, empty if there is none.
    """
    result = array(layer.name, "Y" if layer.return_sequences else "Y_h")
    outputs = (result,) if layer.return_sequences else ("", result)
    into.node(operated(layer, outputs, x, lengths))
    return _merged(into, layer, result)


def operated(layer: Recurrent, outputs: tuple[str, ...], x: str, *optional: str) -> Node:
    """Return the node of a fused layer that reads ``x``.

    ``optional`` are the number of real steps and the initial states; those left out are empty.
    """
    arrays = [array(layer.name, path) for path in ("W", "R")]
    further = [array(layer.name, BIAS) if layer.bias else "", *optional]
    while further and not further[-1]:
        further.pop()
    attributes = tuple(_attributes(layer).items())
    return Node(outputs, operator(layer.cell), (x, *arrays, *further), attributes)


def _attributes(layer: Recurrent) -> dict[str, Attribute]:
    said: dict[str, Attribute] = {"hidden_size": layer.units}
    if layer.merge is not None:
        said["direction"] = "bidirectional"
    if isinstance(layer.cell, GRU) and layer.cell.reset_after:
        said["linear_before_reset"] = 1
    return said | _functions(layer)


_DEFAULTS = {"RNN": ("tanh",), "LSTM": ("sigmoid", "tanh", "tanh"), "GRU": ("sigmoid", "tanh")}


def _functions(layer: Recurrent) -> dict[str, Attribute]:
    """Return the attributes for activations, none for the operator's own."""
    if activations(layer.cell) == _DEFAULTS[operator(layer.cell)]:
        return {}
    functions = [FUSED[each] for each in activations(layer.cell)] * len(directions(layer))
    # Each function takes the next value, if it takes one at all.
    alphas = tuple(values[0] for _, values in functions if values)
    betas = tuple(values[1] for _, values in functions if len(values) > 1)
    said: dict[str, Attribute] = {"activations": tuple(name for name, _ in functions)}
    return (
        said
        | ({"activation_alpha": alphas} if alphas else {})
        | ({"activation_beta": betas} if betas else {})
    )


def _merged(into: Builder, layer: Recurrent, result: str) -> str:
    """Remove the axis of the directions, which is before that of the batch."""
    if layer.merge == "concat":
        # Next to the features, both are one axis.
        order = (0, 2, 1, 3) if layer.return_sequences else (1, 0, 2)
        beside = into.add(f"{result}_Beside", "Transpose", result, perm=order)
        shape = into.integers(f"Joined_{len(order) - 1}", *[0] * (len(order) - 2), -1)
        return into.add(layer.name, "Reshape", beside, shape)
    axis = 1 if layer.return_sequences else 0
    at = into.integers(f"Axis_{axis}", axis)
    if layer.merge is None:
        return into.add(layer.name, "Squeeze", result, at)
    return into.add(layer.name, _REDUCTIONS[layer.merge], result, at, keepdims=0)


_REDUCTIONS = {"sum": "ReduceSum", "ave": "ReduceMean", "mul": "ReduceProd"}
