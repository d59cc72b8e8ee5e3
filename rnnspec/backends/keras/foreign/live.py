"""Live models of Keras, whose configuration and weights are read as those in files are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.imported import Account
from rnnspec.backends.keras.foreign.architecture.settings import Version
from rnnspec.backends.keras.foreign.described import Description, described
from rnnspec.backends.keras.foreign.stored.arrays import Stored
from rnnspec.errors import UsageError, brief

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnspec.backends.imported import Imported
    from rnnspec.backends.keras.foreign.architecture.records import Foreign


class _Live:
    """The arrays of a live model by layer."""

    def __init__(self, model: Any) -> None:
        self._found = dict(self._layers(model))

    def _layers(self, model: Any, prefix: str = "") -> Iterator[tuple[str, list[Stored]]]:
        for layer in model.layers:
            name = f"{prefix}{layer.name}"
            if hasattr(layer, "layers"):  # a model inside the model
                yield from self._layers(layer, f"{name}.")
            else:
                yield name, self._stored(layer, name)

    @staticmethod
    def _stored(layer: Any, name: str) -> list[Stored]:
        # get_weights has them in Keras's order, without the states of random numbers.
        arrays = [np.asarray(array) for array in layer.get_weights()]
        return [Stored(f"{name}/{at}", array.shape, array.copy) for at, array in enumerate(arrays)]

    def of(self, layer: Foreign) -> Sequence[Stored]:
        """Return the arrays of a layer."""
        return self._found.get(layer.name, [])

    def others(self, used: set[str]) -> Sequence[str]:
        """Return the names of all arrays that are not in ``used``."""
        return [s.name for stored in self._found.values() for s in stored if s.name not in used]

    def groups(self) -> dict[str, list[str]]:
        """Return the names of the arrays of each layer."""
        return {name: [each.name for each in arrays] for name, arrays in self._found.items()}


def read(model: Any, name: str, version: str) -> Imported:
    """Return a live model as ``name``.

    Raises:
        ModelError: the language lacks something in it.
        UsageError: its configuration cannot be read.
    """
    account = Account("model")
    try:
        config = {"class_name": type(model).__name__, "config": model.get_config()}
        source = _Live(model)
    except Exception as error:  # a subclassed model, or one that is not built
        message = f"expected a built model, received an error: {brief(error)}"
        raise UsageError(message, "model") from error
    given = Description("model", Version.of(version), config, name)
    return described(account, given, lambda *_: source)
