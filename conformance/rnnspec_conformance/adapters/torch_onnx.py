"""PyTorch's two exporters to ONNX, whose files run in ONNX Runtime."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import torch

from .cases import open_onnx
from .torch_models import dynamic_shapes, open_model

if TYPE_CHECKING:
    from collections.abc import Callable


def version() -> str:
    """Return the name and version of the tool, and of what runs its files."""
    return f"PyTorch {torch.__version__.partition('+')[0]}, ONNX Runtime {onnxruntime.__version__}"


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Export the model of a case with open sizes, and open the file."""
    model = open_model(case)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        if tool == "torch-onnx-dynamo":
            torch.onnx.export(
                model.module,
                model.example,
                path,
                dynamo=True,
                dynamic_shapes=dynamic_shapes(model),
                verbose=False,
            )
        else:
            names = ["x", *model.inputs[1:]]
            outputs = [f"{name}_out" for name in model.outputs]
            axes = dict(zip(names, map(list, model.open_axes), strict=True))
            axes |= {f"{name}_out": axes[name] for name in names if name in model.outputs}
            torch.onnx.export(
                model.module,
                model.example,
                path,
                dynamo=False,
                input_names=names,
                output_names=outputs,
                dynamic_axes=axes,
            )
        run = open_onnx(path)

    def call(inputs: list[np.ndarray]) -> list[np.ndarray]:
        return model.to_arrays(run([tensor.numpy() for tensor in model.to_tensors(inputs)]))

    return call
