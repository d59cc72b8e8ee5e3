"""Keras loads the case's file and runs it, on the engine that it is set to."""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import TYPE_CHECKING

import keras

from .keras_models import open_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np


def version() -> str:
    """Return the name and version of the tool."""
    engine = keras.backend.backend()
    return f"Keras {keras.__version__}, {engine} {version_of(engine).partition('+')[0]}"


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Open the model of a case."""
    del tool
    model = open_model(case)
    return lambda inputs: model.to_arrays(model.model.predict_on_batch(model.arrange(inputs)))
