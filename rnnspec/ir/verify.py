"""Prove what code generation takes for granted.

Shapes chain, residuals look back at what has their shape, names are names, numbers are finite.

A spec that fails here got past validation, so the fault is rnnspec's.
"""

from __future__ import annotations

import keyword
import math
import re
from dataclasses import fields, is_dataclass
from functools import cache, lru_cache
from typing import Any

from rnnspec.errors import GenerationError
from rnnspec.ir.nodes import Layer, Network, Residual, Shape

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


def verify(network: Network) -> Network:
    """Return ``network`` unchanged.

    Raises:
        GenerationError: a shape, a name or a number is not what a backend may rely on.
    """
    names = [network.name, *(layer.name for layer in network.layers)]
    _require(len(set(names[1:])) == len(names[1:]), "two layers have the same name")
    for name in names:
        valid = _NAME.fullmatch(name) is not None and not keyword.iskeyword(name)
        _require(valid, f"{name!r} is no name")
    shape = network.input.shape
    entered: dict[str, Shape] = {}
    for layer in network.layers:
        _require(layer.input == shape, f"{layer.name} expects {layer.input} but is given {shape}")
        _require(_finite(layer), f"{layer.name} holds a number that is not finite")
        if isinstance(layer, Residual):
            fits = entered.get(layer.start) == shape
            _require(fits, f"{layer.name} adds what entered {layer.start} to {shape}")
        entered[layer.name] = shape
        shape = layer.output
    return network


def _finite(layer: Layer) -> bool:
    kind: Any = type(layer)
    values = [getattr(layer, name) for name in _names(kind)]
    return all(_is_finite(value) for value in values if not isinstance(value, str))


# Layers differ by their names, and hardly in the cells, rates and initializers that they hold.
@lru_cache(maxsize=1024)
def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    kind: Any = type(value)
    return all(map(_is_finite, [getattr(value, name) for name in _names(kind)]))


@cache
def _names(kind: Any) -> tuple[str, ...]:
    """Return the fields of a dataclass, and none of another type."""
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise GenerationError(message)
