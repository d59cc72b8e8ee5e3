"""Gradients of Keras models, through the interface of each engine."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from rnnspec.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rnnspec.backends.slots import Array, Batch

    Computation = Callable[[Batch, Array, Array], tuple[Any, list[Any]]]


_CALLS_WORTH_TRACING = 3
STEPS_WORTH_TRACING = 32
"""So many steps, or more calls of a function, and tracing takes less time than it saves."""
_LEAST_EPSILON = 1e-37
"""Next to nothing, and not 0 in float32."""


def loss_and_gradients(
    model: keras.Model, variables: Sequence[Any], *, training: bool, summed: bool = True
) -> Computation:
    """Return a function of (inputs, target, weight) with results as the engine has them.

    Each call in training moves the moving arrays of batch norms, and draws new masks.

    Unless ``summed``, the gradient of an embedding may have a row for each token that was looked
    up, as it does when Keras trains.

    Raises:
        BackendError: Keras runs on an engine that is not supported here.
    """
    match keras.backend.backend():
        case "tensorflow":
            compute = _tensorflow(model, variables, training, summed)
        case "torch":
            compute = _torch(model, variables, training)
        case "jax":
            compute = _jax(model, variables, training)
        case engine:
            raise BackendError(f"no gradients for Keras on {engine}; compare up to level 'forward'")

    def run(inputs: Batch, target: Array, weight: Array) -> tuple[Any, list[Any]]:
        # Keras adds its epsilon, 1e-7, to the number of real steps of a batch norm with a mask: no
        # difference in float32. Not 0, because a batch may be padding alone.
        epsilon = keras.config.epsilon()
        keras.config.set_epsilon(_LEAST_EPSILON)
        try:
            return compute(inputs, target, weight)
        finally:
            keras.config.set_epsilon(epsilon)

    return run


def outputs_of(model: keras.Model) -> Any:
    """Return the tensor of the only output, or a dict of named ones in their order."""
    # A Sequential has one. ``model.outputs`` is sorted by name.
    output = model.outputs[0] if isinstance(model, keras.Sequential) else model.output
    return output if isinstance(output, dict) else model.outputs[0]


def join(output: Any, names: Iterable[str]) -> Any:
    """Return the only output, or named ones side by side as (batch, all of their numbers).

    The outputs of a call may be sorted by name, so ``names`` has their order.
    """
    if not isinstance(output, dict):
        return output
    parts = [output[name] for name in names]
    flat = [keras.ops.reshape(part, (keras.ops.shape(part)[0], -1)) for part in parts]
    return keras.ops.concatenate(flat, axis=1)


def _loss(model: keras.Model, output: Any, target: Any, weight: Any) -> Any:
    output = join(output, outputs_of(model))
    error = output - keras.ops.cast(target, output.dtype)
    return keras.ops.sum(keras.ops.cast(weight, output.dtype) * error**2) / 2


def _tensorflow(
    model: keras.Model, variables: Sequence[Any], training: bool, summed: bool
) -> Computation:
    import tensorflow as tf

    values = [variable.value for variable in variables]

    def eager(inputs: Any, target: Any, weight: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = _loss(model, model(inputs, training=training), target, weight)
        gradients = tape.gradient(loss, values, unconnected_gradients="zero")
        # The gradient of an embedding has only the rows that were looked up.
        # Source: https://www.tensorflow.org/api_docs/python/tf/IndexedSlices.
        return loss, [*map(tf.convert_to_tensor, gradients)] if summed else gradients

    traced = tf.function(eager)
    calls = count()

    def run(inputs: Batch, target: Array, weight: Array) -> tuple[Any, list[Any]]:
        # To trace and compile it takes as long as four eager calls over a few steps, and no longer
        # than one over many.
        arrays = [inputs] if isinstance(inputs, np.ndarray) else inputs.values()
        steps = max((array.shape[1] for array in arrays if array.ndim > 1), default=1)
        few = next(calls) < _CALLS_WORTH_TRACING and steps < STEPS_WORTH_TRACING
        batch = keras.tree.map_structure(tf.constant, (inputs, target, weight))
        loss, gradients = (eager if few else traced)(*batch)
        return loss, gradients

    return run


def _torch(model: keras.Model, variables: Sequence[Any], training: bool) -> Computation:
    import torch

    def run(inputs: Batch, target: Array, weight: Array) -> tuple[Any, list[Any]]:
        batch, goal, share = keras.tree.map_structure(
            keras.ops.convert_to_tensor, (inputs, target, weight)
        )
        loss = _loss(model, model(batch, training=training), goal, share)
        values = [variable.value for variable in variables]
        gradients = torch.autograd.grad(loss, values, materialize_grads=True)
        return loss.detach(), list(gradients)

    return run


def _jax(model: keras.Model, variables: Sequence[Any], training: bool) -> Computation:
    import jax

    trained = list(model.trainable_variables)
    # By identity: == on variables of Keras compares their elements.
    at = [next(i for i, variable in enumerate(trained) if variable is v) for v in variables]
    moved = list(model.non_trainable_variables)

    @jax.jit  # type: ignore[untyped-decorator]
    def traced(values: Any, others: Any, inputs: Any, target: Any, weight: Any) -> Any:
        def loss(values: Any) -> Any:
            output, after = model.stateless_call(values, others, inputs, training=training)
            return _loss(model, output, target, weight), after

        return jax.value_and_grad(loss, has_aux=True)(values)

    def run(inputs: Batch, target: Array, weight: Array) -> tuple[Any, list[Any]]:
        values, others = ([variable.value for variable in kind] for kind in (trained, moved))
        (loss, after), gradients = traced(values, others, inputs, target, weight)
        for variable, value in zip(moved, after, strict=True):
            variable.assign(value)
        return loss, [gradients[i] for i in at]

    return run
