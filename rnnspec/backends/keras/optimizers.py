"""Keras's own optimizers, with every setting stated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import keras

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rnnspec.backends.optimizers import Optimizer, Step
    from rnnspec.slots import Array


def own_step(
    variables: Sequence[Any], compute: Callable[..., tuple[Any, list[Any]]], given: Optimizer
) -> Step:
    """Return a function that takes a step of an optimizer of ``keras.optimizers``.

    The learning rate is a variable of the dtype ``keras.config.floatx()``.
    """
    optimizer = _make_optimizer(given)
    optimizer.build(variables)

    def step(inputs: Array, target: Array, weight: Array) -> float:
        loss, found = compute(inputs, target, weight)
        optimizer.apply(found, variables)
        return float(loss)

    return step


def _make_optimizer(given: Optimizer) -> keras.optimizers.Optimizer:
    common = {"beta_1": given.beta_1, "beta_2": given.beta_2, "epsilon": given.epsilon}
    match given.name:
        case "SGD":
            return keras.optimizers.SGD(given.rate)
        case "Adam":
            return keras.optimizers.Adam(given.rate, **common)
        case "AdamW":
            return keras.optimizers.AdamW(given.rate, **common, weight_decay=given.decay)
        case _:
            assert_never(given.name)
