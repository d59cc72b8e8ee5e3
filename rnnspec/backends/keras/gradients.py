"""Gradients of Keras models, through the interface of each engine."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from rnnspec.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rnnspec.backends.contract import Learner
    from rnnspec.slots import Array


_STEPS_WORTH_TRACING = 32


def learner(model: keras.Model, variables: Sequence[Any], *, training: bool) -> Learner:
    """Return a function that computes the loss and its gradients from (inputs, target, weight).

    Raises:
        BackendError: Keras runs on an engine that is not supported here.
    """
    engines: dict[str, Callable[[keras.Model, Sequence[Any], bool], Learner]] = {
        "tensorflow": _tensorflow,
        "torch": _torch,
        "jax": _jax,
    }
    engine = keras.backend.backend()
    if engine not in engines:
        raise BackendError(f"no gradients for Keras on {engine}; compare with --level forward")
    return engines[engine](model, variables, training)


def _loss(output: Any, target: Any, weight: Any) -> Any:
    error = output - keras.ops.cast(target, output.dtype)
    return keras.ops.sum(keras.ops.cast(weight, output.dtype) * error**2) / 2


def _tensorflow(model: keras.Model, variables: Sequence[Any], training: bool) -> Learner:
    import tensorflow as tf

    values = [variable.value for variable in variables]

    def eager(inputs: Any, target: Any, weight: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = _loss(model(inputs, training=training), target, weight)
        found = tape.gradient(loss, values, unconnected_gradients="zero")
        # The gradient of an embedding has only the rows that were looked up.
        # Source: https://www.tensorflow.org/api_docs/python/tf/IndexedSlices.
        return loss, [tf.convert_to_tensor(gradient) for gradient in found]

    traced = tf.function(eager)
    calls = count()

    def run(inputs: Array, target: Array, weight: Array) -> tuple[float, list[Array]]:
        # Tracing takes about a second: longer than one eager call over a few steps, and shorter
        # than one over many.
        once = next(calls) == 0 and inputs.shape[1] < _STEPS_WORTH_TRACING
        compute = eager if once else traced
        loss, found = compute(*map(tf.constant, (inputs, target, weight)))
        return float(loss), [gradient.numpy() for gradient in found]

    return run


def _torch(model: keras.Model, variables: Sequence[Any], training: bool) -> Learner:
    import torch

    def run(inputs: Array, target: Array, weight: Array) -> tuple[float, list[Array]]:
        batch, goal, share = map(keras.ops.convert_to_tensor, (inputs, target, weight))
        loss = _loss(model(batch, training=training), goal, share)
        values = [variable.value for variable in variables]
        found = torch.autograd.grad(loss, values, materialize_grads=True)
        return float(loss.detach()), [gradient.numpy(force=True) for gradient in found]

    return run


def _jax(model: keras.Model, variables: Sequence[Any], training: bool) -> Learner:
    import jax

    trained = list(model.trainable_variables)
    # By identity: == on variables of Keras compares their elements.
    at = [next(i for i, each in enumerate(trained) if each is v) for v in variables]
    fixed = [variable.value for variable in model.non_trainable_variables]

    @jax.jit  # type: ignore[untyped-decorator]
    def traced(values: Any, inputs: Any, target: Any, weight: Any) -> Any:
        def loss(values: Any) -> Any:
            output, _ = model.stateless_call(values, fixed, inputs, training=training)
            return _loss(output, target, weight)

        return jax.value_and_grad(loss)(values)

    def run(inputs: Array, target: Array, weight: Array) -> tuple[float, list[Array]]:
        loss, found = traced([variable.value for variable in trained], inputs, target, weight)
        return float(loss), [np.asarray(found[i]) for i in at]

    return run
