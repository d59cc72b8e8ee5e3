"""Keywords that the language, the network and every backend share, each with one meaning."""

from __future__ import annotations

from typing import Literal

CellActivation = Literal[
    "tanh",
    "sigmoid",
    "relu",
    "hard_sigmoid",
    "legacy_hard_sigmoid",
    "linear",
    "softsign",
    "softplus",
    "elu",
    "selu",
    "silu",
]
"""Activations of gates and states.

``hard_sigmoid`` is relu6(x + 3) / 6, as in Keras 3 and PyTorch, and ``legacy_hard_sigmoid`` is
clip(0.2 x + 0.5, 0, 1), the ``hard_sigmoid`` of Keras 1 and 2. ``elu`` has alpha 1, and
``silu`` is x sigmoid(x), also known as swish.
"""

Activation = Literal[CellActivation, "exponential", "softmax", "log_softmax"]
"""Activations of dense layers; ``softmax`` and ``log_softmax`` are over the features."""

Merge = Literal["concat", "sum", "mul", "ave"]
"""Ways to join the outputs of both directions, feature by feature except for ``concat``."""

Statistic = Literal["mean", "max", "last_step"]
"""Reductions over the time steps of a sequence; ``last_step`` selects the last one."""
