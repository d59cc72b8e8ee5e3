"""tf2onnx converts the case's Keras model; its files run in ONNX Runtime."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import tensorflow as tf
import tf2onnx

from .cases import open_onnx
from .keras_models import open_called_model

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


def version() -> str:
    """Return the name and version of the tool."""
    return (
        f"tf2onnx {tf2onnx.__version__}, Keras {keras.__version__} on TensorFlow {tf.__version__}"
    )


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Convert the model of a case with open sizes, and open the file."""
    del tool
    model = open_called_model(case)
    # Sequential models of Keras 3 fail, and so do inputs by name:
    # https://github.com/onnx/tensorflow-onnx/issues/2448
    functional = keras.Model(model.model.inputs, model.model.outputs)
    signature = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name) for tensor in functional.inputs
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        tf2onnx.convert.from_keras(
            functional, input_signature=signature, opset=18, output_path=str(path)
        )
        return model.by_position(open_onnx(path))
