"""Activations and initializers of Keras in the words of the language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, get_args

from rnnspec.backends.imported import said
from rnnspec.ir import initializers
from rnnspec.words import Activation, CellActivation

if TYPE_CHECKING:
    from rnnspec.backends.keras.foreign.architecture.settings import Settings
    from rnnspec.ir.initializers import Initializer

LEGACY = "legacy_hard_sigmoid"
CELL_WORDS = get_args(CellActivation)
DENSE_WORDS = get_args(Activation)


def cell_activation(settings: Settings, key: str, default: str) -> CellActivation:
    """Return the activation of gates or candidates; see ``activation``."""
    return cast("CellActivation", activation(settings, key, CELL_WORDS, default))


def dense_activation(settings: Settings, key: str = "activation") -> Activation:
    """Return the activation of a dense layer; see ``activation``."""
    return cast("Activation", activation(settings, key, DENSE_WORDS, "linear"))


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
    if isinstance(word, str) and word in words:
        return word
    known = ", ".join(words)
    what = f"the function {said(given)}" if isinstance(given, dict) else said(given)
    settings.refuse(key, f"expected one of {known}; received {what}, which the language lacks")
    return default


def initializer(value: Any) -> Initializer | None:
    """Return an initializer of Keras, or None if the language has none that is the same."""
    match value:
        case str(name):
            return _named(name, {})
        case {"class_name": str(name), "config": dict(config)}:
            return _named(name, config)
        case _:
            return None


def _named(name: str, config: dict[str, Any]) -> Initializer | None:
    number = _numbers(config)
    match name.replace("_", "").lower():
        case "glorotuniform":
            return initializers.GlorotUniform()
        case "heuniform":
            return initializers.HeUniform()
        case "lecununiform":
            return initializers.LecunUniform()
        # As Keras 3.5 and 3.6 call it.
        case "orthogonal" | "orthogonalinitializer" if number("gain", 1.0) == 1.0:
            return initializers.Orthogonal()
        case "zeros" | "zero":
            return initializers.Constant(0.0)
        case "ones" | "one":
            return initializers.Constant(1.0)
        case "constant" if (value := number("value", 0.0)) is not None:
            return initializers.Constant(value)
        case "randomuniform" | "uniform":
            return _uniform(number("minval", -0.05), number("maxval", 0.05))
        case "randomnormal" | "normal" if number("mean", 0.0) == 0.0:
            deviation = number("stddev", 0.05)
            return initializers.Normal(deviation) if deviation and deviation > 0.0 else None
        case "variancescaling":
            return _scaled(config)
        case _:
            return None


def _numbers(config: dict[str, Any]) -> Any:
    def number(key: str, default: float) -> float | None:
        value = config.get(key, default)
        fits = type(value) in (int, float) and abs(value) <= 1e30
        return float(value) if fits else None

    return number


def _uniform(low: float | None, high: float | None) -> Initializer | None:
    if low is None or high is None or low != -high or high <= 0.0:
        return None
    return initializers.Uniform(high)


def _scaled(config: dict[str, Any]) -> Initializer | None:
    match config:
        case {"distribution": "uniform", "mode": "fan_avg", "scale": 1 | 1.0}:
            return initializers.GlorotUniform()
        case {"distribution": "uniform", "mode": "fan_in", "scale": 2 | 2.0}:
            return initializers.HeUniform()
        case {"distribution": "uniform", "mode": "fan_in", "scale": 1 | 1.0}:
            return initializers.LecunUniform()
        case _:
            return None
