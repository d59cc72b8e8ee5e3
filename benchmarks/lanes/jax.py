"""Cases on JAX, compiled, with equal weights: the model of rnnspec and nnx.RNN by hand."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import rnnspec
from benchmarks.handwritten.jax import AROUND, STACKS, Stack
from benchmarks.lanes.steps import Step, prepare_loops, tokens
from benchmarks.networks import LAYERS, NNX_RNN, OURS, RATE, STOCK, UNITS, Case
from benchmarks.processes import Prepared
from benchmarks.race import Run


def prepare(case: Case) -> Prepared:
    """Build the contestants of a case, and check that they are the same network."""
    ours = case.build("jax")
    if case.network in LAYERS:
        return _prepare_layers(case, ours)
    models = {OURS: ours}
    if case.network in STACKS and not case.padded:
        models[NNX_RNN] = Stack(*STACKS[case.network])
        models[NNX_RNN].take(rnnspec.read_weights(ours))
    if case.stepped:
        return _prepare_steps(case, ours, models[NNX_RNN])
    batch, labels = map(jnp.asarray, case.draw())
    outputs = [np.asarray(_infer(model, batch)()) for model in models.values()]
    for output in outputs:
        np.testing.assert_allclose(output, outputs[0], rtol=1e-3, atol=1e-5)
    # Compiled by the warm-up round of the race.
    runs = {
        name: _train(model, batch, labels) if case.training else _infer(model, batch)
        for name, model in models.items()
    }
    return Prepared(runs, outputs[0].ravel().tolist())


def _view(model: nnx.Module, *, training: bool) -> Any:
    """Return the model in training or in inference."""
    modes = {"deterministic": not training, "use_running_average": not training}
    return nnx.view(model, **modes, raise_if_not_found=False)


def _infer(model: nnx.Module, batch: Any, *, training: bool = False) -> Any:
    view = _view(model, training=training)
    infer = nnx.jit(lambda model, x: model(x))
    return lambda: jax.block_until_ready(infer(view, batch))


def _train(model: nnx.Module, batch: Any, labels: Any = None) -> Run:
    """Return a training step, which makes the outputs small if there are no labels."""
    view = _view(model, training=True)
    optimizer = nnx.Optimizer(view, optax.sgd(RATE), wrt=nnx.Param)

    def loss(model: Any) -> Any:
        if labels is None:
            return sum(jnp.square(output).mean() for output in jax.tree.leaves(model(batch)))
        output = model(batch, logits=True)
        return optax.sigmoid_binary_cross_entropy(output, labels).mean()

    def step(model: Any, optimizer: Any) -> Any:
        value, gradients = nnx.value_and_grad(loss)(model)
        optimizer.update(model, gradients)
        return value

    compiled = nnx.jit(step)
    return lambda: jax.block_until_ready(compiled(view, optimizer))


def _prepare_layers(case: Case, ours: Any) -> Prepared:
    """Build a network with layers around the recurrent ones, and the same in stock modules."""
    theirs, batch = AROUND[case.network](padded=case.padded), jnp.asarray(case.draw()[0])
    theirs.take(rnnspec.read_weights(ours))
    models = {OURS: ours, STOCK: theirs}
    # First as in inference: a pass in training changes moving arrays.
    for training in (False, True) if case.training else (False,):
        outputs = (_infer(model, batch, training=training)() for model in models.values())
        for mine, other in zip(*map(jax.tree.leaves, outputs), strict=True):
            # The output of a padded step is up to each.
            real = np.asarray(batch != 0) if mine.ndim > 2 else ...
            np.testing.assert_allclose(mine[real], other[real], rtol=1e-3, atol=1e-4)
    run = _train if case.training else _infer
    return Prepared({name: run(model, batch) for name, model in models.items()}, [])


def _prepare_steps(case: Case, ours: Any, theirs: Stack) -> Prepared:
    """Build the step form, and a loop of ``nnx.OptimizedLSTMCell``."""
    chunks, singles = tokens(case, jnp.asarray)
    zeros = jnp.zeros((case.batch, UNITS))
    states = [(zeros, zeros) for _ in theirs.layers]
    return prepare_loops(
        {
            OURS: (_compile(ours, type(ours).__call__), chunks, ours.initial_states(chunks[0])),
            "loop of nnx.OptimizedLSTMCell": (_compile(theirs, Stack.step), singles, states),
        }
    )


def _compile(model: Any, step: Any) -> Step:
    """Return a compiled step; the model is split into graph and arrays once."""
    graph, arrays = nnx.split(model)
    compiled = jax.jit(lambda arrays, *inputs: step(nnx.merge(graph, arrays), *inputs))
    # A stream waits for the output of each step.
    return lambda tokens, states: jax.block_until_ready(compiled(arrays, tokens, states))
