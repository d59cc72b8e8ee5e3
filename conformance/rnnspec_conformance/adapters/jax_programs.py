"""JAX runs the case's Flax source: compiled, or exported by ``jax.export`` with open sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax

from .jax_models import open_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np


def version() -> str:
    """Return the name and version of the tool."""
    return f"JAX {jax.__version__}"


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Load the model of a case; a program that is exported goes through its bytes."""
    model = open_model(case)
    function = jax.jit(model.function)
    if tool == "jax":
        return model.runner(function)
    exported = jax.export.export(function)(*model.open_shapes())
    return model.runner(jax.export.deserialize(exported.serialize()).call)
