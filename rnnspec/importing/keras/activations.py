"""Activations of Keras in the words of the language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np

from rnnspec.importing.imported import show_value
from rnnspec.importing.keras.settings import Settings, foreign
from rnnspec.ir import nodes
from rnnspec.words import Activation, CellActivation

if TYPE_CHECKING:
    from collections.abc import Callable

LEGACY = "legacy_hard_sigmoid"
CELL_WORDS = get_args(CellActivation)
DENSE_WORDS = get_args(Activation)


def cell_activation(settings: Settings, key: str, default: str) -> CellActivation:
    """Return the activation of gates or candidates; see ``activation``."""
    return cast("CellActivation", activation(settings, key, CELL_WORDS, default))


def dense_activation(settings: Settings) -> nodes.Activation:
    """Return the activation of anything but a cell; see ``activation``."""
    match settings.peek("activation"):
        case "relu6":
            settings.drop("activation")
            return nodes.ClippedRelu(limit=6.0)
        case "leaky_relu":
            settings.drop("activation")
            # That of the function, where the layer LeakyReLU has 0.3.
            return nodes.LeakyRelu(slope=0.2)
        case _:
            return cast("Activation", activation(settings, "activation", DENSE_WORDS, "linear"))


def activation(settings: Settings, key: str, words: tuple[str, ...], default: str) -> str:
    """Return an activation as a word of the language.

    Before version 3, Keras's ``hard_sigmoid`` is clip(0.2 x + 0.5, 0, 1), now it is
    relu6(x + 3) / 6; the version of the file decides.
    """
    given = settings.take(key, default)
    if given is None:
        given = "linear"
    word = "silu" if given == "swish" else given
    if word == "hard_sigmoid" and settings.version.major < 3:
        word = LEGACY
        what = f"{key} {LEGACY}, which {settings.version} calls hard_sigmoid"
        settings.account.infer(what, settings.name)
        settings.account.differ("Keras 3 reads hard_sigmoid in this file as another function")
    if _is_legacy(given):
        word = LEGACY
    if isinstance(word, str) and word in words:
        return word
    known = ", ".join(words)
    what = f"the function {show_value(given)}" if isinstance(given, dict) else show_value(given)
    settings.refuse(key, f"expected one of {known}; received {what}, which the language lacks")
    return default


def _is_legacy(value: Any) -> bool:
    """Return whether an activation is hard_sigmoid(1.2 x), as rnnspec says it in Keras 3."""
    match value:
        case {
            "class_name": "Pipeline",
            "config": {
                "layers": [
                    {"class_name": "Rescaling", "config": {"scale": scale, "offset": 0 | 0.0}},
                    {"class_name": "Activation", "config": {"activation": "hard_sigmoid"}},
                ]
            },
        }:
            match scale:
                case {"class_name": "__numpy__", "config": {"value": [1.2]}}:
                    return True
                case _:
                    return isinstance(scale, np.ndarray) and scale.tolist() == [1.2]
        case _:
            return False


def _softmax(settings: Settings) -> nodes.Activation:
    settings.only("axis", -1, why="the language has the softmax over the features", default=-1)
    return "softmax"


def _relu(settings: Settings) -> nodes.Activation:
    settings.only("threshold", 0.0, 0, None, why="the language has the threshold 0")
    slope = 0.0 if settings.peek("negative_slope") is None else settings.number("negative_slope")
    settings.drop("negative_slope")
    if settings.peek("max_value") is None:
        settings.drop("max_value")
        return nodes.LeakyRelu(slope=slope) if slope else "relu"
    if slope:
        settings.refuse("max_value", "expected None with a negative_slope, received a number")
    limit = settings.number("max_value")
    if limit <= 0.0:
        settings.refuse("max_value", f"expected a number above 0, received {limit!r}")
    return nodes.ClippedRelu(limit=limit)


def _leaky_relu(settings: Settings) -> nodes.Activation:
    # Keras 2 has another name for it.
    key = "alpha" if settings.states("alpha") else "negative_slope"
    return nodes.LeakyRelu(slope=settings.number(key, 0.3))


def _elu(settings: Settings) -> nodes.Activation:
    settings.only("alpha", 1.0, 1, why="the language has the factor 1", default=1.0)
    return "elu"


ACTIVATIONS: dict[str, Callable[[Settings], nodes.Activation]] = {
    "Activation": dense_activation,
    "Softmax": _softmax,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "ELU": _elu,
}
"""The layers that are an activation."""


def layer_activation(settings: Settings) -> nodes.Activation:
    """Return the activation of a layer: a name, or a layer itself."""
    match settings.peek("activation"):
        case {"class_name": str(kind), "config": dict()} as value if kind in ACTIVATIONS:
            path = f"{settings.name}.activation"
            inner = foreign(settings.account, value, path)
            if inner.custom:
                return dense_activation(settings)
            settings.drop("activation")
            own = Settings(settings.account, settings.version, path, inner.config)
            own.common()
            activation = ACTIVATIONS[kind](own)
            own.close()
            return activation
        case _:
            return dense_activation(settings)
