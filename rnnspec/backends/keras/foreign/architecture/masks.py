"""Masks that Keras 3 writes into a graph as operations on the input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.backends.keras.foreign.architecture.records import Foreign, Node

_DEEPEST = 50
_LARGEST = 1e30
_OTHER = "has a mask that is not that of the input, which the language lacks"


class MaskError(Exception):
    """A mask that is not made from the padding of the input."""


class Masks:
    """The operations of a graph that compute masks."""

    def __init__(
        self, layers: Mapping[str, Foreign], calls: Mapping[str, tuple[Node, ...]]
    ) -> None:
        self._layers = layers
        self._calls = calls
        # What was found, as a hostile graph has as many paths as it likes.
        self._found: dict[tuple[str, str], float] = {}

    def padding(self, mask: Any, first: str) -> float:
        """Return the value of padding: the mask is true where the input ``first`` is another.

        Raises:
            MaskError: the mask is another.
        """
        match mask:
            case {"config": {"keras_history": [str(name), int(), int()]}}:
                return self._of(name, first, 0)
            case [str(name), int(), int()]:
                return self._of(name, first, 0)
            case _:
                raise MaskError(_OTHER)

    def _of(self, name: str, first: str, depth: int) -> float:
        if (name, first) not in self._found:
            self._found[name, first] = self._made_by(name, first, depth)
        return self._found[name, first]

    def _made_by(self, name: str, first: str, depth: int) -> float:
        layer, calls = self._layers.get(name), self._calls.get(name, ())
        if layer is None or layer.custom or len(calls) != 1 or depth > _DEEPEST:
            raise MaskError(_OTHER)
        inputs = [source for source, _, _ in calls[0].inputs]
        match layer.kind, inputs, calls[0].constants:
            case "NotEqual", [source], [int() | float() as value] if source == first:
                # Keras compares with numbers of 32 or 64 bits.
                if type(value) is not bool and abs(value) < _LARGEST:
                    return float(value)
            case "Any", [source], [] if layer.config.get("axis") in (-1, [-1], 2):
                return self._of(source, first, depth + 1)
            case "ConvertToTensor", [source], []:
                return self._of(source, first, depth + 1)
            # Both sides of a residual have the mask of the input.
            case "LogicalOr" | "LogicalAnd", [one, other], []:
                value = self._of(one, first, depth + 1)
                if one == other or value == self._of(other, first, depth + 1):
                    return value
            case _:
                pass
        raise MaskError(_OTHER)
