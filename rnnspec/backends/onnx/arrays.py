"""The arrays of a graph by name, in a live model or in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.onnx.names import BIAS, HALVES, array

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rnnspec.slots import Array


def half(bias: Array, path: str) -> Array:
    """Return a view of one half of a fused layer's bias, (directions, gates * units)."""
    size = bias.shape[1] // 2
    start = HALVES[path] * size
    return bias[:, start : start + size]


def found(weights: Mapping[str, Array], layer: str, path: str) -> Array:
    """Return the array at a path of a layer, or a view of half of one.

    Raises:
        LookupError: there is none.
    """
    if path not in HALVES:
        return weights[array(layer, path)]
    bias = weights[array(layer, BIAS)]
    if bias.ndim != 2 or bias.shape[1] % 2:
        raise LookupError(f"the bias of {layer} has no halves")
    return half(bias, path)


def others(
    weights: Mapping[str, Array], known: Collection[tuple[str, str]]
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all arrays that are not at a known (layer, path), by name."""
    names = {array(layer, BIAS if path in HALVES else path) for layer, path in known}
    left = {name: each.shape for name, each in weights.items() if name not in names}
    # A cell with a single bias takes the sum of both halves, and the second one is zero.
    single = {layer for layer, path in known if path == "Wb"} - {
        layer for layer, path in known if path == "Rb"
    }
    for layer in single:
        if (bias := weights.get(array(layer, BIAS))) is not None and bias.ndim == 2:
            second = half(bias, "Rb")
            if second.any():
                left[array(layer, "Rb")] = second.shape
    return left
