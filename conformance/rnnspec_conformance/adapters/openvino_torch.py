"""OpenVINO converts the case's PyTorch model itself, and runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openvino
import torch

from .torch_models import open_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np


def version() -> str:
    """Return the name and version of the tool."""
    torch_version = torch.__version__.partition("+")[0]
    return f"OpenVINO {openvino.__version__.partition('-')[0]}, PyTorch {torch_version}"


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Convert and compile the model of a case, whose sizes stay open."""
    del tool
    model = open_model(case)
    converted = openvino.convert_model(model.module, example_input=model.example)
    # Without the hint, a processor with bfloat16 rounds to it.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.compile_model(converted, "CPU", options)

    def run(inputs: list[np.ndarray]) -> list[np.ndarray]:
        result = compiled([tensor.numpy() for tensor in model.to_tensors(inputs)])
        return model.to_arrays([result[at] for at in range(len(compiled.outputs))])

    return run
