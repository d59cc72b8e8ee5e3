"""ExecuTorch runs the case's PyTorch model, lowered to XNNPACK."""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import TYPE_CHECKING

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.runtime import Runtime

from .torch_models import dynamic_shapes, open_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    import numpy as np


def version() -> str:
    """Return the name and version of the tool."""
    return f"ExecuTorch {version_of('executorch')}"


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Export and lower the model of a case.

    The sizes are open, which needs an upper limit, or those of the first call.
    """
    model = open_model(case)
    shapes = dynamic_shapes(model, max=256) if tool == "executorch" else None
    program = torch.export.export(model.module, model.example, dynamic_shapes=shapes)
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    # A method reads the memory of its program, and a program that of its buffer.
    buffer = lowered.to_executorch().buffer
    loaded = Runtime.get().load_program(buffer)
    method = loaded.load_method("forward")

    def execute(*inputs: torch.Tensor) -> Any:
        assert buffer
        assert loaded
        return method.execute(inputs)

    return model.runner(execute)
