"""Keywords that the language, the network and backends share, and names that a backend uses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterator

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

Direction = Literal["forward", "backward"]
"""The direction in which a recurrent layer reads its sequence."""

JoinHow = Literal["concat", "add", "multiply"]
"""Ways to join the outputs of layers: side by side, or element by element."""

Statistic = Literal["last", "mean", "max", "min", "sum", "first_step", "last_step"]
"""Reductions over the time steps of a sequence.

``first_step`` and ``last_step`` select one, and ``last`` the final state of each direction.
"""

POOLING_FUNCTIONS = frozenset(
    f"{of}_{statistic}" for of in ("masked", "running") for statistic in get_args(Statistic)
)
"""The names of functions of statistics in generated source."""

WindowStatistic = Literal["max", "average"]
"""Reductions of each window of a sequence."""

WindowPadding = Literal["valid", "same", "causal"]
"""The steps that windows may see outside the sequence: none, as many as needed, or earlier ones."""

Score = Literal["dot", "scaled_dot", "general", "additive"]
"""Scores of a query q and a step m of what it attends to."""

Attended = Literal["context", "weights", "scores"]
"""What an attention gives of each query: the mean of the steps, or what it is weighted by."""

MEANINGS = {
    "merge": {
        "concat": "Concatenation, twice as wide.",
        "sum": "Their sum.",
        "mul": "Their product.",
        "ave": "Their mean.",
    },
    "direction": {
        "forward": "From the first time step to the last.",
        "backward": "From the last time step to the first.",
    },
    "initial_state": {
        "zeros": "0 everywhere.",
        "learned": "Arrays of the layer, zeros before training, the same for each sequence.",
        "given": "An input for each state, and an output with its last value.",
    },
    "axis": {
        "features": "The features of each step side by side.",
        "steps": "The steps of one behind those of the other; a vector is one step.",
    },
    "per": {
        "step": "Something at each time step.",
        "sequence": "One vector or label for each sequence.",
    },
    "score": {
        "dot": "q . m",
        "scaled_dot": "q . m, divided by the square root of their size.",
        "general": "q W m, with a matrix W.",
        "additive": "v . tanh(W q + U m + b), with matrices W and U and a vector v.",
    },
    "output": {
        "context": "The mean of the steps.",
        "weights": "The weights of the steps.",
        "scores": "The scores before the softmax, 0 at padding.",
    },
    "padding": {
        "valid": "None: windows lie inside the sequence.",
        "same": "On both sides, the odd one after it: steps / stride windows, rounded up.",
        "causal": "Before the sequence: no window sees a later step.",
    },
    "pooling": {
        "last": "The final state of each direction.",
        "first_step": "The output at the first time step.",
        "last_step": "The output at the last time step, where the backward direction begins.",
        "mean": "The mean over all time steps that are not padding.",
        "max": "The maximum over all time steps that are not padding.",
        "min": "The minimum over all time steps that are not padding.",
        "sum": "The sum over all time steps that are not padding.",
        "flatten": "All time steps one after the other, in one vector.",
        "none": "An output at every time step.",
    },
    "normalize": {
        "none": "The vector as it is.",
        "l2": "x / max(norm, 1e-12), with the Euclidean norm.",
    },
    "activation": {
        "linear": "x",
        "sigmoid": "1 / (1 + exp(-x))",
        "softmax": "exp(x), divided by the sum over all units: probabilities of classes.",
        "tanh": "The hyperbolic tangent.",
        "relu": "max(x, 0)",
        "log_softmax": "The logarithm of the softmax: log-probabilities of classes.",
        "exponential": "exp(x)",
        "softplus": "log(1 + exp(x))",
        "hard_sigmoid": "x / 6 + 1 / 2, between 0 and 1.",
        "legacy_hard_sigmoid": (
            "x / 5 + 1 / 2, between 0 and 1: the hard_sigmoid of Keras 1 and 2."
        ),
        "softsign": "x / (1 + abs(x))",
        "elu": "x if it is positive, otherwise exp(x) - 1.",
        "selu": "1.0507 x if it is positive, otherwise 1.7581 (exp(x) - 1).",
        "silu": "x sigmoid(x), also known as swish.",
    },
    "initializer": {
        "glorot_uniform": "Uniform, with variance 2 / (inputs + outputs).",
        "he_uniform": "Uniform, with variance 2 / inputs.",
        "lecun_uniform": "Uniform, with variance 1 / inputs.",
        "orthogonal": "A random matrix with orthonormal rows or columns.",
        "zeros": "0 everywhere.",
        "ones": "1 everywhere.",
    },
}
"""The meaning of each fixed value, as editors show it, by what it is a value of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservedNames:
    """The names that one backend uses.

    ``in_source`` are modules, classes and functions in the generated source, in lower case; no
    network can have their names. ``in_class`` are attributes and variables of the generated class
    or function, and ``in_framework`` are names that the framework uses in every model, as is any
    name that the regular expression ``framework_pattern`` matches. A layer with such a name has
    another one in the source. No input can have one that ``framework_pattern`` matches, and
    ``framework_reason`` says in a message what the framework uses it for, after the name.
    """

    in_source: frozenset[str] = frozenset()
    in_class: frozenset[str] = frozenset()
    in_framework: frozenset[str] = frozenset()
    framework_pattern: str = ""
    framework_reason: str = ""

    def attribute(self, layer: str) -> str:
        """Return what the source calls a layer: its name, with an underscore if that is taken."""
        is_taken = any(
            stem in self.in_class
            or stem in self.in_framework
            or re.fullmatch(self.framework_pattern, stem)
            for stem in _stems(layer)
        )
        return f"{layer}_" if is_taken else layer

    def parameter(self, network_input: str) -> str:
        """Return what methods of the source call the parameter of an input, likewise."""
        taken = self.in_source | NOT_PARAMETERS
        return f"{network_input}_" if taken.intersection(_stems(network_input)) else network_input


def _stems(name: str) -> Iterator[str]:
    """Yield a name without each number of underscores at its end.

    If one of these is taken, the name gets one more: then no two names become one.
    """
    return (name[:end] for end in range(len(name.rstrip("_")), len(name) + 1))


NOT_PARAMETERS = frozenset(
    """
    dict float int jax jnp len list logits max nn nnx range self states sum super torch tuple type
    zip
    """.split()  # noqa: SIM905 - names side by side are easier to check
)
"""Names in the methods of a network that the parameter of an input would hide."""


NO_NAMES = ReservedNames()
