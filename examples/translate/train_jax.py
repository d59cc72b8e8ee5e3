"""Train the translator of dates in JAX: train_jax.py OUT.safetensors."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from notations import SPEC, batch, train_options
from safetensors.numpy import save_file

import rnnspec


def compute_loss(
    model: nnx.Module, source: jax.Array, target: jax.Array, following: jax.Array
) -> jax.Array:
    """Return the mean cross-entropy of the characters that follow."""
    scores = model(source=source, target=target)
    return -jnp.take_along_axis(scores, following[..., None], axis=-1).mean()


@nnx.jit
def update(model: nnx.Module, optimizer: nnx.Optimizer, *arrays: jax.Array) -> jax.Array:
    """Take a step, and return the loss before it."""
    loss, gradients = nnx.value_and_grad(compute_loss)(model, *arrays)
    optimizer.update(model, gradients)
    return loss


def main() -> None:
    """Train, and write the weights."""
    options = train_options(__doc__ or "")
    random = np.random.default_rng(1)
    model = rnnspec.build(SPEC, "jax", seed=1)
    rate = optax.cosine_onecycle_schedule(options.steps, 5e-3)
    steps = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    optimizer = nnx.Optimizer(model, steps, wrt=nnx.Param)
    for step in range(1, options.steps + 1):
        source, target, following = batch(random, 64)
        # Of one width, for which JAX compiles the step once.
        source = np.pad(source, ((0, 0), (0, 32 - source.shape[1])))
        loss = update(
            model, optimizer, *(jnp.asarray(part) for part in (source, target, following))
        )
        if step % 100 == 0 or step == options.steps:
            print(f"step {step} of {options.steps}: loss {float(loss):.4f}", flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(rnnspec.read_weights(model), options.out)


if __name__ == "__main__":
    main()
