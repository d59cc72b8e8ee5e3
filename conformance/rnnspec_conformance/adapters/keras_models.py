"""The Keras model of a case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

from .cases import load_source, order_outputs, read_case, read_example

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any


@dataclass(frozen=True)
class KerasModel:
    """The model of a case, and the names of its inputs and outputs in the order of the case."""

    model: Any
    inputs: list[str]
    outputs: list[str]

    @property
    def types(self) -> dict[str, str]:
        """The types of the inputs by name, in the order in which Keras flattens them."""
        return {tensor.name: tensor.dtype for tensor in self.model.inputs}

    @property
    def flat_outputs(self) -> list[str]:
        """The names of the outputs, in the order in which Keras flattens them."""
        return sorted(self.outputs)

    def arrange(self, arrays: list[np.ndarray]) -> Any:
        """Return the inputs of a call: one array, or several by name."""
        if len(arrays) == 1:
            return arrays[0].astype(next(iter(self.types.values())))
        pairs = zip(self.inputs, arrays, strict=True)
        return {name: array.astype(self.types[name]) for name, array in pairs}

    def to_arrays(self, output: Any) -> list[np.ndarray]:
        """Return the outputs of a call in the order of the case."""
        return [np.asarray(value) for value in order_outputs(output, self.outputs)]

    def by_position(
        self, function: Callable[[list[np.ndarray]], Sequence[np.ndarray]]
    ) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
        """Return a function of a case, for one that takes and returns arrays as Keras orders."""

        def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
            by_name = dict(zip(self.inputs, arrays, strict=True))
            feed = [by_name[name] for name in self.types] if len(arrays) > 1 else arrays
            results = dict(zip(self.flat_outputs, function(feed), strict=True))
            return [results[name] for name in self.outputs]

        return run


def open_model(case: Path) -> KerasModel:
    """Load the file of a case, after the source that registers its classes if it has some."""
    data = read_case(case)
    keras.backend.clear_session()
    path = case / data["models"]["keras"]
    if path.is_dir():
        _, source = load_source(case, "keras")
        path = source.with_suffix(".keras")
    return KerasModel(keras.saving.load_model(path), data["inputs"], data["outputs"])


def open_called_model(case: Path) -> KerasModel:
    """Like ``open_model``, but called once: Keras exports only such models."""
    model = open_model(case)
    model.model(model.arrange(read_example(case)))
    return model
