"""Sizes that are right one by one, and together make an array that nothing can address."""

from __future__ import annotations

from math import prod

from rnnspec.ir.nodes import Embedding, Layer, Shape
from rnnspec.ir.params import params

MAX_AXIS = 2**31 - 1
"""The largest size of one axis: what a 32-bit index can address on every backend."""
MAX_NUMBERS = (2**63 - 1) // 8
"""How many numbers an array has at most: in float64, what a 64-bit count of bytes can say."""

_NEVER_TOO_LARGE = 2**28
"""Layers of widths below this have no array that is too large, whatever their gates."""


def too_large(layer: Layer) -> str | None:
    """Say which array of ``layer`` is too large, or that a row which leaves it is, or return None.

    What a layer before it made too large is not its fault.
    """
    widths = [layer.input[-1] or 0, layer.output[-1] or 0]
    if isinstance(layer, Embedding):
        widths.append(layer.vocabulary)
    if max(widths) < _NEVER_TOO_LARGE or too_large_shape("", layer.input):
        return None
    arrays: dict[str, Shape] = {f"{layer.name}.{each.name}": each.shape for each in params(layer)}
    arrays[f"a row that leaves {layer.name}"] = layer.output
    return next(filter(None, (too_large_shape(*each) for each in arrays.items())), None)


def too_large_shape(what: str, shape: Shape) -> str | None:
    """Say that ``what`` is too large if its ``shape`` is, or return None."""
    sizes = [size for size in shape if size is not None]
    if max(sizes, default=1) <= MAX_AXIS and prod(sizes) <= MAX_NUMBERS:
        return None
    return (
        f"too large: {what} would be {' x '.join(f'{size:,}' for size in sizes)} numbers; an axis "
        f"has at most {MAX_AXIS:,}, an array {MAX_NUMBERS:,}"
    )
