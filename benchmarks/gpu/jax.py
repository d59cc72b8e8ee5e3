"""JAX: the source is a scan, which XLA compiles; there is no call of cuDNN's recurrent layers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import rnnspec
from benchmarks.gpu.work import CELLS, LARGE, SMALL, Found, Sizes, batch, built
from benchmarks.race import Run


def gpu() -> str:
    """Return the name of the GPU, empty if there is none."""
    return str(jax.devices()[0].device_kind) if jax.default_backend() == "gpu" else ""


def found() -> list[Found]:
    """Check every cell, and measure the LSTM: Flax has no GRU with two biases."""
    return [_cell(cell, LARGE if gpu() else SMALL) for cell in CELLS]


def _cell(cell: str, sizes: Sizes) -> Found:
    case, live = built("jax", cell, sizes)
    ours, found, x = live.model, Found(cell), jnp.asarray(batch(sizes))
    found.path = _path(ours, x)
    found.compare(case, _use_tf32, _inferred(ours, x))
    if cell == "lstm":
        stock = _Stock(sizes)
        stock.take({name: jnp.asarray(a) for name, a in rnnspec.read_weights(ours).items()})
        output, expected = (np.asarray(_inferred(model, x)()) for model in (stock, ours))
        np.testing.assert_allclose(output, expected, rtol=1e-3, atol=1e-4)
        found.measure("inference", _inferred(ours, x), _inferred(stock, x), sizes)
        found.measure("training", _trained(ours, x), _trained(stock, x), sizes)
    return found


class _Stock(nnx.Module):  # type: ignore[misc]
    def __init__(self, sizes: Sizes) -> None:
        rngs, widths = nnx.Rngs(0), (sizes.features, sizes.units)
        cells = (nnx.OptimizedLSTMCell(width, sizes.units, rngs=rngs) for width in widths)
        self.layers = nnx.List(map(nnx.RNN, cells))
        self.dense = nnx.Linear(sizes.units, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers:
            x = layer(x)
        return self.dense(x[:, -1])

    def take(self, arrays: dict[str, jax.Array]) -> None:
        """Write canonical arrays into the model."""
        for number, layer in enumerate(self.layers, 1):
            layer.cell.dense_i.kernel.set_value(arrays[f"lstm_{number}.kernel"])
            layer.cell.dense_h.kernel.set_value(arrays[f"lstm_{number}.recurrent_kernel"])
            layer.cell.dense_h.bias.set_value(arrays[f"lstm_{number}.bias"])
        self.dense.kernel.set_value(arrays["dense_1.kernel"])
        self.dense.bias.set_value(arrays["dense_1.bias"])


def _path(model: nnx.Module, x: jax.Array) -> str:
    """Return how the compiled program runs the recurrent layers."""
    graph, state = nnx.split(model)
    program = jax.jit(lambda state, x: nnx.merge(graph, state)(x)).lower(state, x).compile()
    loops = program.as_text().count(" while(")
    return f"a scan: {loops} loops of XLA, no cuDNN layer"


def _use_tf32(allowed: bool) -> None:
    jax.config.update("jax_default_matmul_precision", "tensorfloat32" if allowed else "float32")


def _inferred(model: nnx.Module, x: jax.Array) -> Run:
    infer = nnx.jit(lambda model, x: model(x))
    return lambda: jax.block_until_ready(infer(model, x))


def _trained(model: nnx.Module, x: jax.Array) -> Run:
    optimizer = nnx.Optimizer(model, optax.sgd(1e-3), wrt=nnx.Param)

    def step(model: Any, optimizer: Any) -> Any:
        value, gradients = nnx.value_and_grad(lambda model: (model(x) ** 2).mean())(model)
        optimizer.update(model, gradients)
        return value

    compiled = nnx.jit(step)
    return lambda: jax.block_until_ready(compiled(model, optimizer))
