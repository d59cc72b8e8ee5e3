"""Modules of Flax: new ones, and their variables by name."""

from __future__ import annotations

import secrets
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager


def made(class_: Any) -> nnx.Module:
    """Return an instance of a generated class with initial weights."""
    # JAX has no global generator: without a seed, each model is drawn from another one.
    # Of __init__, because the metaclass of modules hides it; source for inference takes none.
    draws = "rngs" in signature(class_.__init__).parameters
    model: nnx.Module = class_(rngs=nnx.Rngs(secrets.randbits(31))) if draws else class_()
    return model


def zeros(class_: Any) -> nnx.Module:
    """Return an instance of a generated class with zeros, and with generators of its own."""
    # JAX compiles each draw of each shape, which takes longer than to compile a small model.
    graph, state = nnx.split(nnx.eval_shape(partial(made, class_)))
    model: nnx.Module = nnx.merge(graph, jax.tree.map(_zero, state))
    return model


def _zero(leaf: jax.ShapeDtypeStruct) -> jax.Array:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.key(secrets.randbits(31))
    return jax.device_put(np.zeros(leaf.shape, leaf.dtype))


def enabled_x64() -> AbstractContextManager[Any]:
    """Return a context in which float64 can be used."""
    # For this thread alone, and only for a while: the setting belongs to the user.
    context: AbstractContextManager[Any] = jax.enable_x64(True)
    return context


def arrays(model: nnx.Module) -> dict[str, Any]:
    """Return the variables of a model by name, without the states of its generators."""
    found = nnx.to_flat_state(nnx.state(model, nnx.Not(nnx.RngState)))
    return {".".join(map(str, path)): variable(model, path) for path, _ in found}


def variable(model: Any, path: Sequence[Any]) -> Any:
    """Return the variable at a path of names of attributes and numbers of entries."""
    for name in path:
        model = model[name] if isinstance(name, int) else getattr(model, name)
    return model
