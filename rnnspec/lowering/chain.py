"""The chain of layers while a spec is lowered."""

from __future__ import annotations

from collections import Counter

from rnnspec.errors import Problem
from rnnspec.ir import nodes
from rnnspec.ir.params import too_large
from rnnspec.spec import models

Path = tuple[str | int, ...]
"""The keys and indices that lead to a value of the spec."""


class Chain:
    """The layers so far, the problems, and the name counters, shape and mask for the next layer."""

    def __init__(self, spec: models.Spec, network_input: nodes.Input) -> None:
        self.spec = spec
        self.input = network_input
        self.layers: list[nodes.Layer] = []
        self.problems: list[Problem] = []
        self.shape: nodes.Shape = network_input.shape
        self.masked = network_input.masked
        self._numbers: Counter[str] = Counter()
        self._names: set[str] = set()
        self._large: set[Path] = set()

    def refuse(self, path: Path, message: str, *, code: str, key: bool = False) -> None:
        """Record a problem with the value at ``path``, or with its key."""
        self.problems.append(self.spec.document.problem(path, message, code=code, key=key))

    def name(self, kind: str, path: Path, given: str | None = None) -> str:
        """Return the name of the next layer of a kind: ``given``, or the kind and its number."""
        # Layers with a given name count too, so naming one does not rename those after it.
        self._numbers[kind] += 1
        name = given or f"{kind}_{self._numbers[kind]}"
        if name in self._names:
            self.refuse(path, f"another layer is already named '{name}'", code="E415")
        self._names.add(name)
        return name

    def add(self, layer: nodes.Layer, path: Path | None = None) -> None:
        """Append a layer; ``path`` leads to the size that it is reported at if it is too large."""
        self.layers.append(layer)
        self.shape = layer.output
        # Copies made by 'layers' share a path, and are reported once.
        if path is not None and path not in self._large and (message := too_large(layer)):
            self._large.add(path)
            self.refuse(path, message, code="E417")
