"""The settings of one layer in a configuration of Keras, each of which is accounted for."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnspec.backends.imported import Account, said

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SIZE = 2**31 - 1
_ABSENT: Any = object()
# How numbers are kept, what a layer was given for building, and what only seeds or speeds it up.
_WITHOUT_EFFECT = ("name", "build_config", "seed", "implementation", "shared_object_id")
_EXACT = ("float32", "float64")
_INTEGERS = ("int32", "int64", "uint8", "int8", "int16")
_ROUNDED = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16")


@dataclass(frozen=True, slots=True)
class Version:
    """The version of Keras that wrote a file; ``major`` is 2 if the file does not say."""

    text: str
    major: int
    minor: int

    @classmethod
    def of(cls, text: object) -> Version:
        """Return the version in a text such as ``2.2.4-tf``."""
        found = re.match(r"(\d{1,4})\.(\d{1,4})", text) if isinstance(text, str) else None
        if found is None:
            return cls("", 2, 0)
        return cls(str(text)[:40], int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"Keras {self.text}" if self.text else "Keras 2"


def in_float32(value: float) -> float:
    """Return what Keras compares with in place of a ``value`` up to 1e30, in float64 too."""
    (exact,) = struct.unpack("f", struct.pack("f", value))
    return float(exact)


class Settings:
    """The settings of the layer ``name``: each is taken once, and ``close`` refuses the others."""

    def __init__(
        self, account: Account, version: Version, name: str, config: Mapping[str, Any]
    ) -> None:
        self.account = account
        self.version = version
        self.name = name
        self._config = dict(config)
        for key in _WITHOUT_EFFECT:
            self._config.pop(key, None)

    def refuse(self, key: str, message: str, code: str = "E703") -> None:
        """Record that a setting cannot be carried over."""
        self.account.refuse(f"{self.name}.{key}" if key else self.name, message, code)

    def states(self, key: str) -> bool:
        """Return whether a setting is in the file and not yet taken."""
        return key in self._config

    def take(self, key: str, default: Any = _ABSENT) -> Any:
        """Return a setting as it is, or ``default`` if it is absent."""
        value = self._config.pop(key, default)
        if value is _ABSENT:
            self._other(key, "this setting", value)
            return None
        return value

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
        if not any(type(value) is type(each) and value == each for each in (*allowed, default)):
            wanted = " or ".join(said(each) for each in allowed)
            self.refuse(key, f"expected {wanted}, received {said(value)}; {why}")
        return value

    def trained(self, *keys: str) -> None:
        """Take settings that act in training only, and name those that are set."""
        for key in keys:
            if self._config.pop(key, None) is not None:
                self.account.leave(key, self.name)

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
            self.refuse("dtype", f"expected {' or '.join(_EXACT)}, received {said(policy)}")

    def close(self) -> None:
        """Refuse every setting that was not taken."""
        for key in self._config:
            value = said(self._config[key])
            self.refuse(
                key,
                f"expected no such setting, received {value}: its meaning is not known here, so it "
                "is not ignored; remove it from the architecture and pass that with --config",
                "E702",
            )

    def _other(self, key: str, wanted: str, value: Any) -> None:
        received = "none" if value is _ABSENT else said(value)
        self.refuse(key, f"expected {wanted}, received {received}")


def _policy(value: Any) -> Any:
    match value:
        case {"config": {"name": str(name)}, "class_name": "DTypePolicy" | "Policy" | "PolicyV1"}:
            return name
        case None:
            return "float32"
        case _:
            return value
