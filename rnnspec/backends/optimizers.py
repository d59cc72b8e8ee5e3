"""Optimizers with every setting stated, and known differences of the frameworks' own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array, Batch

OPTIMIZERS = ("reference", "own")
"""Optimizers that training compares: the written-out ones, or each framework's own too."""

Name = Literal["SGD", "Adam", "AdamW"]

Cause = Literal["epsilon", "rounded", "repeated"]


class OptimizerStep(Protocol):
    """One step of an optimizer, which changes the arrays of a model."""

    def __call__(self, inputs: Batch, target: Array, weight: Array, /) -> float:
        """Take the step, and return the loss before it."""


@dataclass(frozen=True, slots=True)
class Optimizer:
    """An optimizer and its settings. ``decay`` is decoupled, and scaled by the rate."""

    name: Name
    rate: float
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    decay: float = 0.0


CAUSES: dict[Cause, str] = {
    "epsilon": "epsilon is added before the bias correction, not after it",
    "rounded": "the bias correction and the decay have their settings in float32",
    "repeated": "gradients of a repeated token are squared before they are summed, not after",
}
"""Why a framework's own optimizer takes other steps than the published algorithm.

Adam's authors describe both orders of epsilon: https://github.com/tensorflow/tensorflow/issues/9047.
"""
