"""Layers of torchrecurrent as cells of the zoo, by their class; its code is not imported."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec import pipeline
from rnnspec.ir.nodes import EquationCell, Recurrent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.backends.slots import Array
    from rnnspec.words import Activation

_CLASSES = {"Hardsigmoid": "hard_sigmoid"}
"""The activations whose class in PyTorch has another name, but for its capitals."""


@dataclass(frozen=True, slots=True)
class ZooLayer:
    """A class of torchrecurrent as a cell of the zoo; ``torchrecurrent.toml`` explains each key."""

    cell: str
    arrays: Mapping[str, str]
    functions: Mapping[str, Activation] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, int] = field(default_factory=dict)

    def difference(self, layer: Any, cell: Any) -> str:
        """Return how one of the cells of a layer differs from that of the zoo, or nothing."""
        for attribute, activation in self.functions.items():
            kind = type(getattr(cell, attribute)).__name__
            if _CLASSES.get(kind, kind.lower()) != activation:
                return f"{attribute}: expected {activation}, received nn.{kind}"
        for attribute, value in self.fixed.items():
            received = getattr(layer, attribute)
            if received != value:
                return f"{attribute}: expected {value}, received {received}"
        return ""

    def equations(self, cell: Any, features: int, units: int) -> EquationCell:
        """Return the cell of the zoo with the settings of a cell of torchrecurrent."""
        values = {key: getattr(cell, attribute) for key, attribute in self.settings.items()}
        # torchrecurrent trains some of them.
        keys = {key: v if isinstance(v, int | float) else v.item() for key, v in values.items()}
        spec = {
            "version": 1,
            "name": "net",
            "input": {"features": features},
            "cells": {self.cell: {"from": self.cell}},
            "rnn": {"type": self.cell, "units": units, **keys},
            "head": {"units": 1},
        }
        layer = pipeline.reads(json.dumps(spec), self.cell).network.layers[0]
        assert isinstance(layer, Recurrent)
        assert isinstance(layer.cell, EquationCell), "no cell of torchrecurrent is a built-in one"
        return layer.cell

    def parameters(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Return the parameters of the cell of the zoo, given the arrays of a cell of PyTorch."""
        parameters: dict[str, Array] = {}
        for array, names in self.arrays.items():
            parts = np.split(arrays[array].astype("f8"), len(names.split()))
            for name, part in zip(names.split(), parts, strict=True):
                parameters[name] = parameters[name] + part if name in parameters else part
        return parameters


def zoo_layer(module: Any) -> ZooLayer | None:
    """Return the layer of torchrecurrent that a module is, or None."""
    kind = type(module)
    if kind.__module__.partition(".")[0] != "torchrecurrent":
        return None
    return zoo_layers().get(kind.__name__)


@lru_cache
def zoo_layers() -> Mapping[str, ZooLayer]:
    """Return the layers of torchrecurrent by their class."""
    text = Path(__file__).with_name("torchrecurrent.toml").read_text(encoding="utf-8")
    return {kind: ZooLayer(**keys) for kind, keys in tomllib.loads(text).items()}
