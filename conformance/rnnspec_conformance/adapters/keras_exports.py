"""Files that ``Model.export`` of Keras writes, on the engine that it is set to.

ONNX files run in ONNX Runtime, LiteRT files in LiteRT, saved models in TensorFlow or OpenVINO.
"""

from __future__ import annotations

import tempfile
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from .cases import open_onnx, read_example
from .keras_models import open_called_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import numpy as np

    from .keras_models import KerasModel


def version() -> str:
    """Return the name and version of the tool."""
    engine = keras.backend.backend()
    return f"Keras {keras.__version__}, {engine} {version_of(engine).partition('+')[0]}"


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Export the model of a case, and open what was written."""
    model = open_called_model(case)
    with tempfile.TemporaryDirectory() as folder:
        if tool.startswith("keras-onnx"):
            path = Path(folder, "model.onnx")
            model.model.export(path, format="onnx", verbose=False)
            return model.by_position(open_onnx(path))
        if tool.startswith("keras-litert"):
            from .litert_files import open_litert

            path = Path(folder, "model.tflite")
            sizes = {} if tool == "keras-litert" else _fix_sizes(case, model)
            if tool == "keras-litert-torch":
                _allow_64_bits()
            model.model.export(path, format="litert", verbose=False, **sizes)
            return model.by_position(open_litert(path.read_bytes()))
        model.model.export(folder, verbose=False)
        if tool == "keras-openvino":
            return _open_in_openvino(folder, model)
        import tensorflow as tf

        reloaded = tf.saved_model.load(folder)

        def run(inputs: list[np.ndarray]) -> list[np.ndarray]:
            return model.to_arrays(reloaded.serve(model.arrange(inputs)))

        return run


def _fix_sizes(case: Path, model: KerasModel) -> dict[str, Any]:
    """Return a signature with the sizes of the first call.

    LiteRT needs no operators of TensorFlow then, and from PyTorch, Keras exports no others.
    """
    shapes = {
        name: array.shape for name, array in zip(model.inputs, read_example(case), strict=True)
    }
    specs = {
        name: keras.InputSpec(shape=shapes[name], dtype=dtype, name=name)
        for name, dtype in model.types.items()
    }
    return {"input_signature": [specs if len(specs) > 1 else next(iter(specs.values()))]}


def _allow_64_bits() -> None:
    """Let a process export more than one model with tokens.

    litert-torch sets this when it is imported, and Keras undoes it after each export:
    https://github.com/keras-team/keras/pull/22758
    """
    import jax

    jax.config.update("jax_enable_x64", True)


def _open_in_openvino(
    folder: str, model: KerasModel
) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    import openvino

    # Without the hint, a processor with bfloat16 rounds to it.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.compile_model(openvino.convert_model(folder), "CPU", options)

    def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
        result = compiled(
            [array.astype(dtype) for array, dtype in zip(arrays, model.types.values(), strict=True)]
        )
        return [result[at] for at in range(len(compiled.outputs))]

    return model.by_position(run)
