"""Activations as operators of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnnspec.backends.onnx.graph import Attribute, Builder
    from rnnspec.words import Activation

_OPERATORS: dict[Activation, tuple[str, dict[str, Attribute]]] = {
    "linear": ("Identity", {}),
    "tanh": ("Tanh", {}),
    "sigmoid": ("Sigmoid", {}),
    "relu": ("Relu", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "legacy_hard_sigmoid": ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}),
    "softsign": ("Softsign", {}),
    "softplus": ("Softplus", {}),
    "elu": ("Elu", {"alpha": 1.0}),
    "selu": ("Selu", {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}),
    "exponential": ("Exp", {}),
    "softmax": ("Softmax", {"axis": -1}),
    "log_softmax": ("LogSoftmax", {"axis": -1}),
}


def activated(into: Builder, name: str, x: str, activation: Activation) -> str:
    """Add an activation of ``x`` that is named ``name``, and return that."""
    if activation == "silu":
        # An operator since version 24, which few runtimes have.
        return into.add(name, "Mul", x, into.add(f"{name}_Sigmoid", "Sigmoid", x))
    operator, attributes = _OPERATORS[activation]
    return into.add(name, operator, x, **attributes)
