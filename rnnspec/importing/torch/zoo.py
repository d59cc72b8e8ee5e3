"""Layers of torchrecurrent as cells of the zoo, by their class; its code is not imported."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.slots import Array
    from rnnspec.words import Activation


@dataclass(frozen=True, slots=True)
class ZooLayer:
    """A class of torchrecurrent as a cell of the zoo; ``torchrecurrent.toml`` explains each key."""

    cell: str
    arrays: Mapping[str, str]
    functions: Mapping[str, Activation] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, int] = field(default_factory=dict)

    def parameters(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Return the parameters of the cell of the zoo, given the arrays of a cell of PyTorch."""
        parameters: dict[str, Array] = {}
        for array, names in self.arrays.items():
            parts = np.split(arrays[array], len(names.split()))
            for name, part in zip(names.split(), parts, strict=True):
                parameters[name] = parameters[name] + part if name in parameters else part
        return parameters


@lru_cache
def zoo_layers() -> Mapping[str, ZooLayer]:
    """Return the layers of torchrecurrent by their class."""
    text = Path(__file__).with_name("torchrecurrent.toml").read_text(encoding="utf-8")
    return {kind: ZooLayer(**keys) for kind, keys in tomllib.loads(text).items()}
