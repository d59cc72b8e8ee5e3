"""The names and the places of arrays in a graph: gates i o f c and z r h, output axis first.

Source: https://onnx.ai/onnx/operators/onnx__LSTM.html and onnx__GRU.html. A layer that runs step by
step in a ``Scan`` keeps its arrays as they are. A layer's own name has no capital letter, so it
clashes with no name that is added here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.contract import Slots
from rnnspec.backends.slots import Slot, learned_slots, shape_in, slots_by_name
from rnnspec.ir.cells import has_recurrent_bias
from rnnspec.ir.fields import Fields
from rnnspec.ir.nodes import (
    GRU,
    LSTM,
    EquationCell,
    Layer,
    LearnedFormula,
    Network,
    Recurrent,
    SimpleRNN,
    StandardCell,
)
from rnnspec.ir.params import directions, params

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array
    from rnnspec.words import CellActivation

INPUT = "inputs"
FORM = "form"
"""The key of the form in the metadata of a file; a file without it is for inference."""
NAMED = "named_outputs"
"""The key that says that the outputs have the names of heads; in step form, it is their number."""
VOCABULARY = "vocabulary"
"""The key of the size of a vocabulary, with the name of the input if it has one."""
BEGIN = "begin"
"""The form of a file that is run once, before the first chunk, and the key that there is one."""
GIVEN, FIRST_STEPS = "given", "first_steps"
"""Keys with the name of a state: an input, and the number of its steps before the first chunk."""
STREAMS = "streams"
"""The key of the number of inputs that come in chunks, if there are several."""
BATCH_SIZE = "batch"
"""The input of such a file if it takes no other: the number of sequences."""
LEAST_STEPS = "least_steps"
"""The key of the smallest number of steps of an input, if it is more than 1."""


def key_about(key: str, graph_input: str) -> str:
    """Return the key of what is said of an input; only one without a name has no name there."""
    return key if graph_input == INPUT else f"{key} {graph_input}"


BATCH = "Batch"
"""The value with the number of sequences, if a vector is the same for each."""
PLACE = "Place"
"""The value with the place of each time step, if real steps are moved to the front."""

MASK = "After_"
"""The beginning of the paths of values about the padding behind windows, or behind a join."""
_ORDERS = {"bfs": "NCW", "bsf": "NWC"}
"""The path of the output of a layer in another order of axes than its own name has."""

BIAS = "B"
HALVES = {"Wb": 0, "Rb": 1}
"""The halves of the bias of a fused layer, as the documentation of ONNX's operators names them."""

# No name in a spec has a capital letter.
_ARRAY = re.compile("([a-z][a-z0-9_]*)_([A-Z][A-Za-z0-9_]*)", re.ASCII)


def array(layer: str, path: str) -> str:
    """Return the name of an array of a layer."""
    return f"{layer}_{path}"


def array_of(name: str) -> tuple[str, str]:
    """Return the layer and the path of an array, both empty for a constant of the graph."""
    match = _ARRAY.fullmatch(name)
    return (match[1], match[2]) if match else ("", "")


def output_name(layer: str, axes: str) -> str:
    """Return the name of the output of a layer, given the order of its axes."""
    return array(layer, _ORDERS[axes]) if axes in _ORDERS else layer


def output_names(layer: str) -> dict[str, tuple[int, int, int]]:
    """Return the names that the output of a layer may have, each with its axes as (b, s, f)."""
    # Only with the steps first are real steps moved to the front.
    return {layer: (1, 0, 2), array(layer, "NCW"): (0, 2, 1), array(layer, "NWC"): (0, 1, 2)}


def after(state: str) -> str:
    """Return the name of a state after the chunk, which is an output of the step form."""
    return f"{state}_next"


def direction_prefix(direction: str) -> str:
    """Return the prefix of the names of a direction's values in a ``Scan``."""
    return f"{direction.removesuffix('.').capitalize()}_" if direction else ""


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


def activations(cell: StandardCell) -> tuple[CellActivation, ...]:
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


_OPERATOR = Fields(
    "Node.source Node.shares Recurrent.backward Recurrent.initial Recurrent.state_names"
)
"""The fields that a fused operator stands for."""


def stepwise_reason(layer: Recurrent) -> str:
    """Return the key that no fused operator can honour, empty if one can honour all."""
    if isinstance(layer.cell, EquationCell):
        return "type"
    for field in _OPERATOR.missing(layer):
        return field
    if layer.standard_cell.activation not in FUSED:
        return "activation"
    fused = all(activation in FUSED for activation in activations(layer.standard_cell))
    return "" if fused else "recurrent_activation"


def slots(layer: Layer) -> tuple[Slot, ...]:
    """Return a slot for each canonical array of a layer."""
    if layer.shares:
        return ()
    match layer:
        case Recurrent():
            of_cell = _unfused_slots if stepwise_reason(layer) else fused_slots
            return (*learned_slots(layer, "Vector"), *of_cell(layer))
        case LearnedFormula():
            paths = {param.name: f"Formula_{param.name}" for param in params(layer)}
            return slots_by_name(layer, paths, {"out in": "in out"})
        case _:
            return slots_by_name(layer, _PATHS, {"step in out": "out in step"})


_PATHS = {
    "embeddings": "W",
    "kernel": "W",
    "bias": BIAS,
    "gamma": "Scale",
    "beta": BIAS,
    "moving_mean": "Mean",
    "moving_variance": "Var",
    "query": "Query",
    "score": "Vector",
}


def _unfused_slots(layer: Recurrent) -> Iterator[Slot]:
    for param in params(layer):
        if param.name.startswith("initial."):
            continue
        direction, dot, name = param.name.rpartition(".")
        words, axes = path_of(name), param.axes
        if isinstance(layer.cell, EquationCell) and direction != "attention":
            words, axes = parameter_path(name), {"out in": "in out"}.get(axes, axes)
        path = direction_prefix(direction + dot) + words
        yield Slot(param=param.name, path=path, axes=axes, gates=param.gates)


def path_of(name: str) -> str:
    """Return the path of a canonical array, without that of its direction."""
    return "_".join(map(str.capitalize, name.split("_")))


def parameter_path(name: str) -> str:
    """Return the path of a parameter of a cell by equations, without that of its direction."""
    return f"Cell_{name}"


def fused_slots(layer: Recurrent) -> Iterator[Slot]:
    """Yield the slots of a layer that is one node; ``row`` is its direction."""
    match layer.standard_cell:
        case SimpleRNN():
            order = "h"
        case LSTM():
            order = "iofc"
        case GRU():
            order = "zrn"
        case _:
            assert_never(layer.standard_cell)
    places = [("kernel", "W", "(gate out) in"), ("recurrent_kernel", "R", "(gate out) in")]
    if layer.bias:
        places.append(("bias", "Wb", "(gate out)"))
        if has_recurrent_bias(layer.standard_cell):
            places.append(("recurrent_bias", "Rb", "(gate out)"))
    for row, prefix in enumerate(directions(layer)):
        for name, path, axes in places:
            yield Slot(param=prefix + name, path=path, axes=axes, gates=order, row=row)


Weight = tuple[str, tuple[int, ...], bool]
"""The name and the shape of an array in the graph, and true if it is trained."""


def weights(network: Network) -> tuple[Weight, ...]:
    """Return every array of the graph, each once, in the order of the network."""
    by_name: dict[str, Weight] = {}
    for layer in network.layers:
        param_of = {param.name: param for param in params(layer)}
        for slot in slots(layer):
            param = param_of[slot.param]
            shape = shape_in(param, slot)
            if slot.path in HALVES:
                # Both biases are halves of one array; the second one may stay zero.
                shape = (2 * shape[0],)
            if slot.row is not None:
                assert isinstance(layer, Recurrent)
                shape = (len(directions(layer)), *shape)
            name = slot_array(layer, slot)
            by_name[name] = (name, shape, param.trainable)
    return tuple(by_name.values())


def slot_array(layer: Layer, slot: Slot) -> str:
    """Return the name of the array in the graph that a slot is in."""
    return array(slot.module or layer.name, BIAS if slot.path in HALVES else slot.path)


def half(bias: Array, path: str) -> Array:
    """Return a view of one half of a fused layer's bias, (directions, gates * units)."""
    size = bias.shape[1] // 2
    start = HALVES[path] * size
    return bias[:, start : start + size]


def find_array(weights: Mapping[str, Array], layer: str, path: str) -> Array:
    """Return the array at a path of a layer, or a view of half of one.

    Raises:
        LookupError: there is none.
    """
    if path not in HALVES:
        return weights[array(layer, path)]
    bias = weights[array(layer, BIAS)]
    if bias.ndim != 2 or bias.shape[1] % 2:
        raise LookupError(f"the bias of {layer} has no halves")
    return half(bias, path)


def other_shapes(
    weights: Mapping[str, Array], known: Collection[tuple[str, str]]
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all arrays that are not at a known (layer, path), by name."""
    names = {array(layer, BIAS if path in HALVES else path) for layer, path in known}
    shapes = {name: array.shape for name, array in weights.items() if name not in names}
    # A cell with a single bias takes the sum of both halves, and the second one is zero.
    single = {layer for layer, path in known if path == "Wb"} - {
        layer for layer, path in known if path == "Rb"
    }
    for layer in single:
        if (bias := weights.get(array(layer, BIAS))) is not None and bias.ndim == 2:
            second = half(bias, "Rb")
            if second.any():
                shapes[array(layer, "Rb")] = second.shape
    return shapes


SLOTS = Slots(slots=slots)
