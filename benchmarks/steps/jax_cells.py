"""One step at a time in JAX: the step form against a loop of ``nnx.OptimizedLSTMCell``.

Both are split into graph and arrays once, and compiled as functions of the arrays.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

import rnnspec
from benchmarks.handwritten.jax import Stack, stack
from benchmarks.lane import Prepared
from benchmarks.names import OURS
from benchmarks.networks import Case
from benchmarks.steps.loop import UNITS, Step, built, drawn, looped, prepared


def prepare(case: Case) -> Prepared:
    """Build the contestants of a case, and check that they are the same network."""
    ours, theirs = built(case, "jax"), stack(case.network)
    assert theirs is not None
    theirs.take({name: jnp.asarray(a) for name, a in rnnspec.read_weights(ours).items()})
    chunks = [jnp.asarray(chunk) for chunk in drawn(case)]
    singles = [chunk[:, 0] for chunk in chunks]
    zeros = jnp.zeros((case.batch, UNITS))
    return prepared(
        {
            OURS: looped(_compiled(ours), chunks, ours.initial_states(chunks[0])),
            "loop of nnx.OptimizedLSTMCell": looped(
                _compiled(theirs), singles, [(zeros, zeros) for _ in theirs.layers]
            ),
        }
    )


def _compiled(model: Any) -> Step:
    graph, arrays = nnx.split(model)

    def step(arrays: Any, tokens: jax.Array, states: Any) -> Any:
        there = nnx.merge(graph, arrays)
        run = _cells if isinstance(there, Stack) else type(there).__call__
        return run(there, tokens, states)

    compiled = jax.jit(step)
    # A stream waits for the output of each step.
    return lambda tokens, states: jax.block_until_ready(compiled(arrays, tokens, states))


def _cells(model: Stack, tokens: jax.Array, states: Any) -> Any:
    """Return the output for tokens (batch,), and the new states."""
    x, after = model.embedding(tokens), []
    for layer, state in zip(model.layers, states, strict=True):
        new, x = layer.cell(state, x)
        after.append(new)
    return jax.nn.sigmoid(model.dense(x)), after
