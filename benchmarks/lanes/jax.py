"""Cases on JAX: the model of rnnspec and one with nnx.RNN, with equal weights."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import rnnspec
from benchmarks import batch
from benchmarks.handwritten.jax import stack
from benchmarks.lane import Prepared
from benchmarks.names import NNX_RNN, OURS
from benchmarks.networks import Case, text
from benchmarks.race import Run


def prepare(case: Case) -> Prepared:
    """Build the contestants of a case, and check that they are the same network."""
    tokens, labels = map(jnp.asarray, batch.draw(case.batch, padded=case.padded))
    ours = rnnspec.build(rnnspec.loads(text(case)), "jax", seed=0)
    models = {OURS: ours}
    output: Any = _inferred(ours, tokens)()
    if not case.padded and (theirs := stack(case.network)) is not None:
        theirs.take({name: jnp.asarray(a) for name, a in rnnspec.read_weights(ours).items()})
        found: Any = _inferred(theirs, tokens)()
        np.testing.assert_allclose(found, output, rtol=1e-3, atol=1e-5)
        models[NNX_RNN] = theirs
    return Prepared(_runs(case, models, tokens, labels), np.asarray(output).ravel().tolist())


def _runs(case: Case, models: Mapping[str, Any], tokens: Any, labels: Any) -> dict[str, Run]:
    # Compiled by the warm-up round of the race.
    if case.training:
        return {name: _trained(model, tokens, labels) for name, model in models.items()}
    return {name: _inferred(model, tokens) for name, model in models.items()}


def _inferred(model: nnx.Module, tokens: Any) -> Run:
    view = nnx.view(model, deterministic=True, raise_if_not_found=False)
    infer = nnx.jit(lambda model, x: model(x))
    return lambda: jax.block_until_ready(infer(view, tokens))


def _trained(model: nnx.Module, tokens: Any, labels: Any) -> Run:
    view = nnx.view(model, deterministic=False, raise_if_not_found=False)
    optimizer = nnx.Optimizer(view, optax.sgd(batch.RATE), wrt=nnx.Param)

    def loss(model: Any) -> Any:
        output = model(tokens, logits=True)
        return optax.sigmoid_binary_cross_entropy(output, labels).mean()

    def step(model: Any, optimizer: Any) -> Any:
        value, gradients = nnx.value_and_grad(loss)(model)
        optimizer.update(model, gradients)
        return value

    compiled = nnx.jit(step)
    return lambda: jax.block_until_ready(compiled(view, optimizer))
