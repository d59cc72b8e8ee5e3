"""The settings of one layer in a configuration of Keras, each of which is accounted for."""

from __future__ import annotations

import math
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np

from rnnspec.errors import UsageError
from rnnspec.importing.imported import Account, show_value
from rnnspec.importing.keras.arrays import Foreign, Version
from rnnspec.importing.keras.files import MODULES, is_generated
from rnnspec.ir import initializers, nodes
from rnnspec.words import Activation, CellActivation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rnnspec.ir.initializers import Initializer


MODELS = ("Sequential", "Model", "Functional")
_OPERATIONS = ("keras.ops", "keras.src.ops")
MAX_SIZE = 2**31 - 1
_ABSENT: Any = object()
# How numbers are kept, what a layer was given for building, and what only seeds or speeds it up.
_WITHOUT_EFFECT = ("name", "build_config", "seed", "implementation", "shared_object_id")
_EXACT = ("float32", "float64")
_INTEGERS = ("int32", "int64", "uint8", "int8", "int16")
_ROUNDED = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16")


def foreign(account: Account, layer: Any, path: str = "") -> Foreign:
    """Return one layer of a configuration; ``path`` says where it is.

    Raises:
        UsageError: it is none.
    """
    match layer:
        case {"class_name": str(kind), "config": dict(config)}:
            name = layer.get("name", config.get("name"))
            # Files of Keras 2.0 have layers without a name.
            name = name if isinstance(name, str) else kind
            custom = _custom(account, layer, name)
            return Foreign(kind, name, config, custom, operation=_is_operation(layer))
        case _:
            expected = "expected the configuration of a layer"
            raise wrong(account, path, f"{expected}, received {show_value(layer)}")


def wrong(account: Account, path: str, message: str) -> UsageError:
    """Return the error about a configuration that Keras would not write."""
    return UsageError(f"{path}: {message}" if path else message, account.source)


def _custom(account: Account, layer: Mapping[str, Any], name: str) -> str:
    """Return the name of a class that is not Keras's own, empty for others."""
    for key in ("registered_name", "module"):
        if not isinstance(value := layer.get(key), str | None):
            raise wrong(
                account, f"{name}.{key}", f"expected a string, received {show_value(value)}"
            )
    kind, registered, module = (
        layer["class_name"],
        layer.get("registered_name"),
        layer.get("module"),
    )
    if is_generated(layer):
        return ""
    if registered not in (None, kind):
        return str(registered)
    if module is not None and module.partition(".")[0] not in MODULES:
        return f"{module}.{kind}"
    return ""


def _is_operation(layer: Mapping[str, Any]) -> bool:
    match layer:
        case {"module": str(module)}:
            return module.startswith(_OPERATIONS)
        # HDF5 files of Keras 3 have no modules.
        case {"class_name": "ZerosLike" | "OnesLike"}:
            return True
        # All settings of a layer have these.
        case {"inbound_nodes": [{"args": _}, *_], "config": config}:
            return "trainable" not in config and "dtype" not in config
        case _:
            return False


def in_float32(value: float) -> float:
    """Round a ``value`` up to 1e30 as Keras does before it compares, in float64 too."""
    (exact,) = struct.unpack("f", struct.pack("f", value))
    return float(exact)


_INITIALIZERS = {"kernel": "glorot_uniform", "recurrent": "orthogonal", "bias": "zeros"}
"""The initializer of each role, if a layer states none."""


class Settings:
    """The settings of the layer ``name``: each is taken once, and ``close`` refuses the others."""

    def __init__(
        self, account: Account, version: Version, name: str, config: Mapping[str, Any]
    ) -> None:
        self.account = account
        self.version = version
        self.name = name
        self._config = {key: _plain(value) for key, value in config.items()}
        for key in _WITHOUT_EFFECT:
            self._config.pop(key, None)

    @contextmanager
    def inside(self, path: str, config: Mapping[str, Any]) -> Iterator[Settings]:
        """Yield the settings of a layer inside this one, and refuse those that are not taken."""
        inner = Settings(self.account, self.version, path, config)
        inner.common()
        yield inner
        inner.close()

    def refuse(self, key: str, message: str, code: str = "E703") -> None:
        """Record that a setting cannot be carried over."""
        self.account.refuse(f"{self.name}.{key}" if key else self.name, message, code)

    def states(self, key: str) -> bool:
        """True if a setting is in the file and not yet taken."""
        return key in self._config

    def take(self, key: str, default: Any = _ABSENT) -> Any:
        """Return a setting as it is, or ``default`` if it is absent."""
        value = self._config.pop(key, default)
        if value is _ABSENT:
            self._other(key, "this setting", value)
            return None
        return value

    def peek(self, key: str) -> Any:
        """Return a setting that is still to be taken, or None."""
        return self._config.get(key)

    def flag(self, key: str, default: Any = _ABSENT) -> bool:
        """Return a boolean."""
        value = self._config.pop(key, default)
        if not isinstance(value, bool):
            self._other(key, "true or false", value)
        return value is True

    def size(self, key: str) -> int:
        """Return a positive integer."""
        value = self._config.pop(key, _ABSENT)
        # Some old files have sizes as floats.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not int or not 1 <= value <= MAX_SIZE:
            self._other(key, f"an integer from 1 to {MAX_SIZE:,}", value)
            return 1
        return value

    def size_over_steps(self, key: str, default: int | None = None) -> int:
        """Return a positive integer, by itself or the only one of a list."""
        value = self._config.get(key)
        if isinstance(value, list | tuple) and len(value) == 1:
            self._config[key] = value[0]
        if value is None and default is not None:
            self._config[key] = default
        return self.size(key)

    def number(self, key: str, default: Any = _ABSENT) -> float:
        """Return a finite number."""
        value = self._config.pop(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._other(key, "a number", value)
            return 0.0
        if not abs(value) <= 1e30 or math.isnan(value):
            self._other(key, "a finite number", value)
            return 0.0
        return float(value)

    def rate(self, key: str, default: Any = _ABSENT) -> float:
        """Return the rate of a dropout; null is none."""
        if self._config.get(key, 0.0) is None:
            self._config[key] = 0.0
        value = self.number(key, default)
        if not 0.0 <= value < 1.0:
            self._other(key, "a rate from 0 to below 1", value)
            return 0.0
        return value

    def only(self, key: str, *allowed: Any, why: str, default: Any = None) -> Any:
        """Take a setting that has to have one of the ``allowed`` values if it is there."""
        value = self._config.pop(key, default)
        if not any(type(value) is type(other) and value == other for other in (*allowed, default)):
            expected = " or ".join(show_value(other) for other in allowed)
            self.refuse(key, f"expected {expected}, received {show_value(value)}; {why}")
        return value

    def expect_steps_first(self) -> None:
        """Take the order of the axes."""
        self.only("data_format", "channels_last", why="rnnspec supports only the steps first")

    def leave_training(self, *keys: str) -> None:
        """Take settings that act in training only, and name those that are set."""
        for key in keys:
            if self._config.pop(key, None) is not None:
                self.account.leave(key, self.name)

    def initializers(self, *, bias: bool, recurrent: bool = False) -> dict[str, Initializer | None]:
        """Take the initializers of each role, and leave what else these arrays are trained with."""
        roles = [role for role in _INITIALIZERS if recurrent or role != "recurrent"]
        for role in roles:
            self.leave_training(f"{role}_regularizer", f"{role}_constraint")
        self.leave_training("activity_regularizer")
        by_role = {
            role: initializer(self.take(f"{role}_initializer", _INITIALIZERS[role]))
            for role in roles
        }
        return {role: value for role, value in by_role.items() if bias or role != "bias"}

    def drop(self, *keys: str) -> None:
        """Take settings that change no number that the model computes."""
        for key in keys:
            self._config.pop(key, None)

    def common(self, *, tokens: bool = False) -> None:
        """Take the settings that every layer has; with ``tokens``, its dtype may be of integers."""
        if self._config.pop("trainable", True) is not True:
            self.account.leave("trainable: false", self.name)
        self._dtype(_INTEGERS if tokens else ())
        self.only("quantization_config", why="quantized layers compute other numbers")
        self.only("lora_rank", why="merge the LoRA weights before saving")

    def _dtype(self, more: tuple[str, ...]) -> None:
        policy = _policy(self._config.pop("dtype", "float32"))
        if policy in _ROUNDED:
            self.account.leave(f"dtype {policy}", self.name, "computed in float32 instead")
            self.account.differ(f"the original computes in {policy}")
        elif policy not in (*_EXACT, *more):
            self.refuse("dtype", f"expected {' or '.join(_EXACT)}, received {show_value(policy)}")

    def close(self) -> None:
        """Refuse every setting that was not taken."""
        for key in self._config:
            value = show_value(self._config[key])
            self.refuse(
                key,
                f"expected no such setting, received {value}: its meaning is not known here, so it "
                "is not ignored; remove it from the architecture and pass that with --config",
                "E702",
            )

    def _other(self, key: str, expected: str, value: Any) -> None:
        received = "none" if value is _ABSENT else show_value(value)
        self.refuse(key, f"expected {expected}, received {received}")


def _plain(value: Any) -> Any:
    """Return a number that Keras 2 keeps as an array as a number."""
    match value:
        case {"class_name": "__numpy__", "config": {"value": int() | float() as number}}:
            return number
        case np.ndarray() | np.generic() if value.ndim == 0:
            return value.item()
        case _:
            return value


def _policy(value: Any) -> Any:
    match value:
        case {"config": {"name": str(name)}, "class_name": "DTypePolicy" | "Policy" | "PolicyV1"}:
            return name
        case None:
            return "float32"
        case _:
            return value


def initializer(value: Any) -> Initializer | None:
    """Return an initializer of Keras, or None if rnnspec has none that is the same."""
    match value:
        case str(name):
            return _initializer_named(name, {})
        case {"class_name": str(name), "config": dict(config)}:
            return _initializer_named(name, config)
        case _:
            return None


def _initializer_named(name: str, config: dict[str, Any]) -> Initializer | None:
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
            low, high = number("minval", -0.05), number("maxval", 0.05)
            symmetric = low is not None and high is not None and low == -high and high > 0.0
            return initializers.Uniform(high) if symmetric else None
        case "randomnormal" | "normal" if number("mean", 0.0) == 0.0:
            deviation = number("stddev", 0.05)
            return initializers.Normal(deviation) if deviation and deviation > 0.0 else None
        case "variancescaling":
            return _scaled_initializer(config)
        case _:
            return None


def _numbers(config: dict[str, Any]) -> Any:
    def number(key: str, default: float) -> float | None:
        value = config.get(key, default)
        fits = type(value) in (int, float) and abs(value) <= 1e30
        return float(value) if fits else None

    return number


def _scaled_initializer(config: dict[str, Any]) -> Initializer | None:
    match config:
        case {"distribution": "uniform", "mode": "fan_avg", "scale": 1 | 1.0}:
            return initializers.GlorotUniform()
        case {"distribution": "uniform", "mode": "fan_in", "scale": 2 | 2.0}:
            return initializers.HeUniform()
        case {"distribution": "uniform", "mode": "fan_in", "scale": 1 | 1.0}:
            return initializers.LecunUniform()
        case _:
            return None


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
    value = settings.take(key, default)
    if value is None:
        value = "linear"
    word = "silu" if value == "swish" else value
    if word == "hard_sigmoid" and settings.version.major < 3:
        word = LEGACY
        what = f"{key} {LEGACY}, which {settings.version} calls hard_sigmoid"
        settings.account.infer(what, settings.name)
        settings.account.differ("Keras 3 reads hard_sigmoid in this file as another function")
    if _is_legacy(value):
        word = LEGACY
    if isinstance(word, str) and word in words:
        return word
    known = ", ".join(words)
    what = f"the function {show_value(value)}" if isinstance(value, dict) else show_value(value)
    settings.refuse(
        key, f"expected one of {known}; received {what}, which rnnspec does not support"
    )
    return default


def _is_legacy(value: Any) -> bool:
    """True if an activation is hard_sigmoid(1.2 x), as rnnspec says it in Keras 3."""
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
    settings.only("axis", -1, why="rnnspec supports only the softmax over the features", default=-1)
    return "softmax"


def _relu(settings: Settings) -> nodes.Activation:
    settings.only("threshold", 0.0, 0, None, why="rnnspec supports only the threshold 0")
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
    settings.only("alpha", 1.0, 1, why="rnnspec supports only the factor 1", default=1.0)
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
            with settings.inside(path, inner.config) as inner_settings:
                return ACTIVATIONS[kind](inner_settings)
        case _:
            return dense_activation(settings)
