"""Live models of any backend, run as by their users."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.backends.slots import Array, Batch


_MANY_STEPS = 100
"""From here on, compiling a loop of Keras takes less time than running it step by step."""


def outputs(model: Any, batch: Batch, *, training: bool) -> Array:
    """Return the output for a batch, in training (with dropout) or in inference.

    Named outputs are side by side, sorted by name.
    """
    output = _output(model, batch, training=training)
    if not isinstance(output, dict):
        return np.array(output)
    parts = [np.array(output[name]) for name in sorted(output)]
    return np.concatenate([part.reshape(len(part), -1) for part in parts], 1)


def _output(model: Any, batch: Batch, *, training: bool) -> Any:
    keras = sys.modules.get("keras")
    # With the PyTorch engine, a Keras model is a PyTorch module too.
    if keras is not None and isinstance(model, keras.Model):
        arrays = batch.values() if isinstance(batch, Mapping) else (batch,)
        if max((*array.shape, 0)[1] for array in arrays) > _MANY_STEPS and not training:
            return model.predict_on_batch(batch)
        output = model(batch, training=training)
        return keras.tree.map_structure(keras.ops.convert_to_numpy, output)
    nnx = sys.modules.get("flax.nnx")
    if nnx is not None and isinstance(model, nnx.Module):
        view = nnx.view(
            model,
            deterministic=not training,
            use_running_average=not training,
            raise_if_not_found=False,
        )
        double = any(
            leaf.dtype == np.float64
            for leaf in sys.modules["jax"].tree.leaves(nnx.state(model, nnx.Param))
        )
        with sys.modules["jax"].enable_x64(double):
            output, draws = _compiled()(*nnx.split(view), batch)
            nnx.update(view, draws)
            return output
    if not hasattr(model, "train"):  # a graph of ONNX, or compiled C
        return model(batch)
    import torch

    with torch.no_grad():
        result = model.train(training)(torch.from_numpy(batch))
    if isinstance(result, dict):
        return {name: head.numpy() for name, head in result.items()}
    return result.numpy()


@cache
def _compiled() -> Callable[..., Any]:
    """Return a function that calls a split module of Flax, compiled once for equal modules.

    Without it, JAX compiles every loop of every layer again in each call.
    """
    import jax
    from flax import nnx

    def call(graph: Any, state: Any, batch: Any) -> tuple[Any, Any]:
        # A generator that counts its draws has to be made where it is used.
        module = nnx.merge(graph, jax.tree.map(lambda leaf: leaf, state))
        return module(batch), nnx.state(module, nnx.RngState)

    compiled: Callable[..., Any] = jax.jit(call, static_argnums=0)
    return compiled


def seed(value: int) -> None:
    """Seed the generators of all loaded frameworks, which draw masks and weights."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(value)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(value)
