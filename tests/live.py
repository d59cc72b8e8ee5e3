"""Live models of any backend, run as by their users."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.slots import Array


_MANY_STEPS = 100
"""From here on, compiling a loop of Keras takes less time than running it step by step."""


def outputs(model: Any, batch: Array, *, training: bool) -> Array:
    """Return the output for a batch, in training (with dropout) or in inference.

    Named outputs are side by side, sorted by name.
    """
    output = _output(model, batch, training=training)
    if not isinstance(output, dict):
        return np.array(output)
    return np.concatenate(
        [np.array(output[name]).reshape(len(batch), -1) for name in sorted(output)], 1
    )


def _output(model: Any, batch: Array, *, training: bool) -> Any:
    keras = sys.modules.get("keras")
    # With the PyTorch engine, a Keras model is a PyTorch module too.
    if keras is not None and isinstance(model, keras.Model):
        if batch.shape[1] > _MANY_STEPS and not training:
            return model.predict_on_batch(batch)
        output = model(batch, training=training)
        return keras.tree.map_structure(keras.ops.convert_to_numpy, output)
    # Models of backends without a framework of their own are classes of these backends.
    if type(model).__module__.startswith("rnnspec.backends."):
        return model(batch)
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

    # Compiling takes longer than running, and half as long at this level.
    options = {"xla_backend_optimization_level": 0}
    compiled: Callable[..., Any] = jax.jit(call, static_argnums=0, compiler_options=options)
    return compiled


def seed(value: int) -> None:
    """Seed the generators of all loaded frameworks, which draw masks and weights."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(value)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(value)
