"""ONNX files as exporters write them, or without one thing that ONNX makes optional.

rnnspec leaves out what means nothing. ``torch.onnx`` and tf2onnx write it, and most runtimes are
tried with their files: every output of a recurrent operator has a name, and its first states are
zeros, whose batch size ``Shape`` reads.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Literal

import numpy as np
import onnx
from onnx import helper, numpy_helper

from rnnspec.backends.onnx.slots import FUSED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Omission = Literal["output names", "first states", "unused numbers", "type of zeros"]
"""What a file lacks: ``unused numbers`` are those of activations that take none, in the lists alpha
and beta, and the ``type of zeros`` is the attribute of ``ConstantOfShape``, for float32."""

_OUTPUTS = {"RNN": ("Y", "Y_h"), "GRU": ("Y", "Y_h"), "LSTM": ("Y", "Y_h", "Y_c")}
_FIRST_STATES = 5
"""The place of the first states among the inputs of an operator."""
_NUMBERS = {name: len(numbers) for name, numbers in FUSED.values()}
"""How many of alpha and beta an activation takes."""


def encode(path: Path, omission: Omission | None) -> None:
    """Rewrite a file of rnnspec as exporters would, but without what it omits."""
    model = onnx.load_model(path, load_external_data=False)
    constants = dict[str, int]()
    nodes = [new for node in model.graph.node for new in _rewrite(node, omission, constants)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    # Constants of rnnspec are called after their values.
    present = {tensor.name for tensor in model.graph.initializer}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array([value]), name)
        for name, value in constants.items()
        if name not in present
    )
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _rewrite(
    node: onnx.NodeProto, omission: Omission | None, constants: dict[str, int]
) -> Iterator[onnx.NodeProto]:
    """Yield the nodes that take the place of one, and add the constants that they take."""
    if node.op_type not in _OUTPUTS:
        yield node
        return
    layer, outputs = node.input[1].removesuffix("_W"), _OUTPUTS[node.op_type]
    states = [*node.input[_FIRST_STATES:], "", ""][: len(outputs) - 1]
    if omission != "output names":
        names = zip_longest(node.output, outputs, fillvalue="")
        node.output[:] = [name or f"{layer}_{key}" for name, key in names]
    if omission == "unused numbers":
        _remove_unused_numbers(node)
    if omission != "first states" and not all(states):
        settings = {
            attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute
        }
        directions = 2 if settings.get("direction") == b"bidirectional" else 1
        units = settings["hidden_size"]
        dims = [f"Directions_{directions}", f"{layer}_Zero_Batch", f"Units_{units}"]
        constants |= {"Axis_1": 1, dims[0]: directions, dims[2]: units}
        sizes, shape, zeros = f"{layer}_Sizes", f"{layer}_Zero_Shape", f"{layer}_Zero"
        value = numpy_helper.from_array(np.zeros(1, np.float32))
        typed = {} if omission == "type of zeros" else {"value": value}
        yield helper.make_node("Shape", node.input[:1], [sizes])
        yield helper.make_node("Gather", [sizes, "Axis_1"], dims[1:2])
        yield helper.make_node("Concat", dims, [shape], axis=0)
        yield helper.make_node("ConstantOfShape", [shape], [zeros], **typed)
        inputs = [*node.input, "", ""][:_FIRST_STATES]
        node.input[:] = [*inputs, *(state or zeros for state in states)]
    yield node


def _remove_unused_numbers(node: onnx.NodeProto) -> None:
    settings = {attribute.name: attribute for attribute in node.attribute}
    for count, key in enumerate(("activation_alpha", "activation_beta"), 1):
        if key in settings:
            functions = (name.decode() for name in settings["activations"].strings)
            numbers = zip(settings[key].floats, functions, strict=True)
            settings[key].floats[:] = [x for x, name in numbers if _NUMBERS[name] >= count]
