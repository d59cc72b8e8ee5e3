"""LiteRT runs what litert-torch, formerly ai-edge-torch, converts of the case's PyTorch model."""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import TYPE_CHECKING

import litert_torch
import torch

from .torch_models import open_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    import numpy as np


def version() -> str:
    """Return the name and version of the tool, and of what runs its files."""
    return f"litert-torch {version_of('litert-torch')}, LiteRT {version_of('ai-edge-litert')}"


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Convert the model of a case, with the sizes of the first call."""
    del tool
    model = open_model(case)
    converted = litert_torch.convert(model.module, model.example)

    def run(*inputs: torch.Tensor) -> Any:
        # The file takes 32 bits where the model has 64.
        return converted(*(x.int() if x.dtype == torch.int64 else x for x in inputs))

    return model.runner(run)
