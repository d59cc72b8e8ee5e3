"""Quantization to int8, by ONNX Runtime's own tool: embeddings, and layers that are an ``LSTM``.

Each layer's weights are rounded, once; what enters an LSTM is rounded at each step. A dense kernel
stays in float32: its error would be the largest, and it is rarely much of a file.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from rnnspec.backends.onnx.cells import stepwise_reason
from rnnspec.backends.onnx.read import QUANTIZED
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.ir.nodes import Layer

_OPERATORS = ["LSTM", "Gather"]
_PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")
"""The mark of a model that was prepared, without which the tool logs a warning."""


def quantizes(layer: Layer) -> bool:
    """Return whether there is an int8 operator for a layer."""
    match layer:
        case nodes.Embedding():
            return True
        case nodes.Recurrent(cell=nodes.LSTM()):
            return not stepwise_reason(layer)
        case _:
            return False


def quantize(path: Path, kind: str) -> None:
    """Quantize an ONNX file in place, and say so in its metadata.

    Raises:
        OSError: a file cannot be written.
    """
    made = onnx.load_model(path, load_external_data=False)
    kept = [(each.key, each.value) for each in made.metadata_props]
    producer = made.producer_name, made.producer_version
    made.metadata_props.add(key=_PREPARED[0], value=_PREPARED[1])
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        other = Path(folder) / path.name
        quantize_dynamic(
            made,
            other,
            op_types_to_quantize=_OPERATORS,
            weight_type=QuantType.QInt8,
            # A scale for each unit of a gate makes up for the range, of 7 bits instead of 8: sums
            # of 8 bits overflow on processors without VNNI.
            per_channel=True,
            reduce_range=True,
        )
        done = onnx.load_model(other, load_external_data=False)
    done.producer_name, done.producer_version = producer
    del done.metadata_props[:]
    for key, value in [*kept, (QUANTIZED, kind)]:
        done.metadata_props.add(key=key, value=value)
    path.write_bytes(done.SerializeToString(deterministic=True))
