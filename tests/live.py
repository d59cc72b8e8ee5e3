"""Live models of any backend, run as by their users."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rnnspec.slots import Array


def outputs(model: Any, batch: Array, *, training: bool) -> Array:
    """Return the output for a batch, in training (with dropout) or in inference."""
    keras = sys.modules.get("keras")
    # With the PyTorch engine, a Keras model is a PyTorch module too.
    if keras is not None and isinstance(model, keras.Model):
        return np.array(keras.ops.convert_to_numpy(model(batch, training=training)))
    onnx = sys.modules.get("rnnspec.backends.onnx.runtime")
    if onnx is not None and isinstance(model, onnx.OnnxModel):
        return np.array(model(batch))
    nnx = sys.modules.get("flax.nnx")
    if nnx is not None and isinstance(model, nnx.Module):
        return np.array(
            nnx.view(model, deterministic=not training, raise_if_not_found=False)(batch)
        )
    import torch

    with torch.no_grad():
        result: Array = model.train(training)(torch.from_numpy(batch)).numpy()
        return result


def seed(value: int) -> None:
    """Seed the generators of all loaded frameworks, which draw masks and weights."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(value)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(value)
