"""PyTorch runs the case's source: as it is, compiled, exported, or as TorchScript."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import torch
from torch._inductor import aoti_compile_and_package, aoti_load_package

from .torch_models import dynamic_shapes, open_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    import numpy as np


def version() -> str:
    """Return the name and version of the tool."""
    return f"PyTorch {torch.__version__.partition('+')[0]}"


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Load the model of a case, and compile or export it."""
    model = open_model(case)
    module = model.module
    torch.compiler.reset()
    if tool == "torch":
        return model.runner(module)
    if tool == "torch-compile":
        return model.runner(torch.compile(module))
    if tool == "torch-compile-aot-eager":
        return model.runner(torch.compile(module, backend="aot_eager"))
    if tool == "torch-export":
        program = torch.export.export(module, model.example, dynamic_shapes=dynamic_shapes(model))
        file = io.BytesIO()
        torch.export.save(program, file)
        file.seek(0)
        return model.runner(torch.export.load(file).module())
    if tool == "torch-aot-inductor":
        program = torch.export.export(module, model.example, dynamic_shapes=dynamic_shapes(model))
        return model.runner(aoti_load_package(aoti_compile_and_package(program)))
    if tool == "torchscript-trace":
        # Not strict: heads are returned by name.
        return model.runner(torch.jit.trace(module, model.example, strict=False))  # type: ignore[no-untyped-call]
    scripted: Any = torch.jit.script(module.network if model.inputs[1:] else module)
    if not model.inputs[1:]:
        return model.runner(scripted)
    # TorchScript has no *arguments.
    names = model.inputs[1:]
    return model.runner(lambda x, *states: scripted(x, dict(zip(names, states, strict=True))))
