"""The optimizers of optax, with every setting stated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import jax.numpy as jnp
import optax
from flax import nnx

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from rnnspec.backends.contract import Learner
    from rnnspec.backends.optimizers import Optimizer, Step
    from rnnspec.slots import Array


def own_step(
    model: nnx.Module,
    names: Sequence[str],
    learn: Learner,
    precision: Callable[[], AbstractContextManager[Any]],
    given: Optimizer,
) -> Step:
    """Return a function that takes a step of an optimizer of optax on the arrays at ``names``."""
    with precision():
        optimizer = nnx.Optimizer(model, _make_optimizer(given), wrt=nnx.Param)

    def step(inputs: Array, target: Array, weight: Array) -> float:
        loss, found = learn(inputs, target, weight)
        gradients = dict(zip(names, found, strict=True))
        with precision():
            flat = [
                (path, variable.replace(jnp.asarray(gradients[".".join(map(str, path))])))
                for path, variable in nnx.to_flat_state(nnx.state(model, nnx.Param))
            ]
            optimizer.update(model, nnx.from_flat_state(flat))
        return loss

    return step


def _make_optimizer(given: Optimizer) -> optax.GradientTransformation:
    betas = {"b1": given.beta_1, "b2": given.beta_2}
    match given.name:
        case "SGD":
            return optax.sgd(given.rate)
        case "Adam":
            return optax.adam(given.rate, **betas, eps=given.epsilon, eps_root=0.0)
        case "AdamW":
            return optax.adamw(
                given.rate, **betas, eps=given.epsilon, eps_root=0.0, weight_decay=given.decay
            )
        case _:
            assert_never(given.name)
