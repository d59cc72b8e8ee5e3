"""PyTorch's own optimizers, with every setting stated."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends.contract import Learner
    from rnnspec.backends.optimizers import Optimizer, Step
    from rnnspec.slots import Array


def own_step(parameters: Sequence[torch.nn.Parameter], learn: Learner, given: Optimizer) -> Step:
    """Return a function that takes a step of an optimizer of ``torch.optim``."""
    optimizer = _make_optimizer(given, parameters)

    def step(inputs: Array, target: Array, weight: Array) -> float:
        loss, found = learn(inputs, target, weight)
        for parameter, gradient in zip(parameters, found, strict=True):
            parameter.grad = torch.from_numpy(gradient)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step


def _make_optimizer(
    given: Optimizer, parameters: Sequence[torch.nn.Parameter]
) -> torch.optim.Optimizer:
    betas = given.beta_1, given.beta_2
    match given.name:
        case "SGD":
            return torch.optim.SGD(parameters, lr=given.rate)
        case "Adam":
            return torch.optim.Adam(parameters, lr=given.rate, betas=betas, eps=given.epsilon)
        case "AdamW":
            return torch.optim.AdamW(
                parameters, lr=given.rate, betas=betas, eps=given.epsilon, weight_decay=given.decay
            )
        case _:
            assert_never(given.name)
