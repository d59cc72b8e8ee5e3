"""Checks of the assumptions of code generation.

Shapes chain, residuals add inputs of their own shape, names are valid identifiers, and numbers are
finite. A network that fails here got past validation, so the fault is rnnspec's.
"""

from __future__ import annotations

import keyword
import math
import re
from dataclasses import fields, is_dataclass
from functools import cache, lru_cache
from typing import Any

from rnnspec.errors import GenerationError
from rnnspec.ir.nodes import (
    INPUT,
    Concat,
    Dense,
    EquationCell,
    Network,
    Recurrent,
    Residual,
    Shape,
    sources,
)

# As in the spec. Names become identifiers and paths in generated source, so they are checked again.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


def verify(network: Network) -> Network:
    """Return ``network`` unchanged.

    Raises:
        GenerationError: a shape, a name or a number is not one that backends can rely on.
    """
    names = [network.name, *(layer.name for layer in network.layers)]
    # Without the network's own name: it is the name of the class, which a layer may share.
    _require(len(set(names[1:])) == len(names[1:]), "two layers have the same name")
    for name in names:
        # Soft keywords, such as 'match', are valid identifiers.
        valid = _NAME.fullmatch(name) is not None and not keyword.iskeyword(name)
        _require(valid, f"{name!r} is not a valid name")
    inputs: dict[str, Shape] = {}
    outputs = {INPUT: network.input.shape}
    for layer, taken in zip(network.layers, sources(network).values(), strict=True):
        # A layer takes only what is before it in the list.
        shapes = [outputs.get(name) for name in taken]
        shape = shapes[0]
        _require(
            layer.input == shape, f"{layer.name} expects shape {layer.input}, received {shape}"
        )
        kind: Any = type(layer)
        values = [getattr(layer, name) for name in _field_names(kind)]
        finite = all(_is_finite(value) for value in values if not isinstance(value, str))
        _require(finite, f"{layer.name} contains a non-finite number")
        match layer:
            case Recurrent(cell=EquationCell() as cell):
                parameters = [name for name, _ in cell.equations.parameters]
                fits = [name for name, _ in cell.initializers] == parameters
                _require(fits, f"{layer.name} has initial values of other parameters")
            case Residual(start=start):
                fits = inputs.get(start) == shape
                _require(fits, f"{layer.name} adds the input of {start} to shape {shape}")
            case Concat():
                fits = list(layer.inputs) == shapes
                _require(fits, f"{layer.name} expects shapes {layer.inputs}, received {shapes}")
            case Dense(tied=str() as tied):
                fits = outputs.get(tied) == (*network.input.shape, layer.features)
                _require(fits, f"{layer.name} is tied to {tied}, which has other vectors")
            case _:
                pass
        # After the check, so that a residual cannot start at itself.
        inputs[layer.name] = layer.input
        outputs[layer.name] = layer.output
    for name, result in network.outputs:
        valid = _NAME.fullmatch(name) is not None and not keyword.iskeyword(name)
        _require(valid and result in outputs, f"{name!r} is not an output of {result}")
    names = [name for name, _ in network.outputs]
    _require(len(set(names)) == len(names), "two outputs have the same name")
    return network


# Layers differ in their names, but share most cells, rates and initializers: cache by value.
@lru_cache(maxsize=1024)
def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    # Integers, flags and None have no fields, and pass.
    kind: Any = type(value)
    return all(_is_finite(getattr(value, name)) for name in _field_names(kind))


@cache
def _field_names(kind: Any) -> tuple[str, ...]:
    """Return the field names of a dataclass, empty for any other type."""
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise GenerationError(message)
