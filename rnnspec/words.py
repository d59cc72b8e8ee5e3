"""Keywords that the language, the network and every backend share, each with one meaning."""

from __future__ import annotations

from typing import Literal

# Keras 1 and 2 had another hard_sigmoid: clip(0.2 x + 0.5, 0, 1).
CellActivation = Literal["tanh", "sigmoid", "relu", "hard_sigmoid", "linear", "softsign", "elu"]
"""Activations of gates and states.

``hard_sigmoid`` is relu6(x + 3) / 6, as in Keras 3 and PyTorch; ``elu`` has alpha 1.
"""

Activation = Literal["linear", "sigmoid", "softmax", "tanh", "relu", "softplus"]
"""Activations of dense layers; ``softmax`` is over the features."""

Merge = Literal["concat", "sum", "mul", "ave"]
"""Ways to join the outputs of both directions, feature by feature except for ``concat``."""

Statistic = Literal["mean", "max"]
"""Statistics over the time steps of a sequence."""
