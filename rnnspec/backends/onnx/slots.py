"""The place of each canonical array in ONNX: gates i o f c and z r h, output axis first.

Source: https://onnx.ai/onnx/operators/onnx__LSTM.html and onnx__GRU.html. A layer that runs step by
step in a ``Scan`` keeps its arrays as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from rnnspec.backends.onnx.cells import stepwise_reason
from rnnspec.backends.onnx.names import BIAS, HALVES, array
from rnnspec.backends.onnx.scan import title
from rnnspec.ir.nodes import (
    GRU,
    LSTM,
    Cell,
    Dense,
    Dropout,
    Embedding,
    Layer,
    LayerNorm,
    Network,
    Normalize,
    Pooling,
    Recurrent,
    Repeat,
    Residual,
    SimpleRNN,
)
from rnnspec.ir.params import directions, has_recurrent_bias, params
from rnnspec.slots import Slot, shape_in

Weight = tuple[str, tuple[int, ...], bool]
"""The name and the shape of an array in the graph, and true if it is trained."""


def slots(layer: Layer) -> tuple[Slot, ...]:
    """Return a slot for each canonical array of a layer."""
    match layer:
        case Embedding():
            return (Slot(param="embeddings", path="W", axes="token out"),)
        case Recurrent() if stepwise_reason(layer):
            return tuple(_unchanged(layer))
        case Recurrent():
            return tuple(
                slot
                for row, prefix in enumerate(directions(layer))
                for slot in _direction(layer, prefix, row)
            )
        case Dense():
            kernel = Slot(param="kernel", path="W", axes="in out")
            bias = Slot(param="bias", path=BIAS, axes="out")
            return (kernel, bias) if layer.bias else (kernel,)
        case LayerNorm():
            gamma = Slot(param="gamma", path="Scale", axes="out")
            return (gamma, Slot(param="beta", path=BIAS, axes="out"))
        case Dropout() | Pooling() | Repeat() | Residual() | Normalize():
            return ()
        case _:
            assert_never(layer)


def module(layer: Layer) -> str:
    """Return the name of the layer, with which the names of its arrays begin."""
    return layer.name


def _unchanged(layer: Recurrent) -> Iterator[Slot]:
    for param in params(layer):
        direction, dot, name = param.name.rpartition(".")
        path = title(direction + dot) + "_".join(map(str.capitalize, name.split("_")))
        yield Slot(param=param.name, path=path, axes=param.axes, gates=param.gates)


def _direction(layer: Recurrent, prefix: str, row: int) -> Iterator[Slot]:
    order = _gates(layer.cell)

    def slot(name: str, path: str, axes: str) -> Slot:
        return Slot(param=prefix + name, path=path, axes=axes, gates=order, row=row)

    yield slot("kernel", "W", "(gate out) in")
    yield slot("recurrent_kernel", "R", "(gate out) in")
    if layer.bias:
        yield slot("bias", "Wb", "(gate out)")
        if has_recurrent_bias(layer.cell):
            yield slot("recurrent_bias", "Rb", "(gate out)")


def _gates(cell: Cell) -> str:
    match cell:
        case SimpleRNN():
            return "h"
        case LSTM():
            return "iofc"
        case GRU():
            return "zrn"
        case _:
            assert_never(cell)


def weights(network: Network) -> tuple[Weight, ...]:
    """Return every array of the graph, each once, in the order of the network."""
    found: dict[str, Weight] = {}
    for layer in network.layers:
        by_name = {param.name: param for param in params(layer)}
        for slot in slots(layer):
            param = by_name[slot.param]
            shape = shape_in(param, slot)
            if slot.path in HALVES:
                # Both biases are halves of one array; the second one may stay zero.
                shape = (2 * shape[0],)
            if slot.row is not None:
                assert isinstance(layer, Recurrent)
                shape = (len(directions(layer)), *shape)
            name = array(layer.name, BIAS if slot.path in HALVES else slot.path)
            found[name] = (name, shape, param.trainable)
    return tuple(found.values())
