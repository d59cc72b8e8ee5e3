"""Limits on array sizes: sizes valid on their own can make an array too large to address."""

from __future__ import annotations

from math import prod

from rnnspec.ir.nodes import Embedding, Layer, Shape
from rnnspec.ir.params import params

MAX_AXIS = 2**31 - 1
"""The largest axis: every backend can address it with a 32-bit index."""
MAX_ELEMENTS = (2**63 - 1) // 8
"""The largest array: in float64, its size in bytes fits into a 64-bit integer."""

# Below this width, an axis of four gates has fewer than 2**30 elements, and an array of that and
# another axis fewer than 2**58.
_ALWAYS_FITS = 2**28


def too_large(layer: Layer) -> str | None:
    """Return a message about the first array or output of ``layer`` that is too large, or None.

    A layer whose input is too large is left out: the layer before it has the message.
    """
    # The last axis of tokens is the time steps, which may have any length.
    widths = [layer.input[-1] or 0, layer.output[-1] or 0]
    if isinstance(layer, Embedding):
        widths.append(layer.vocabulary)
    # Decides almost every layer without making a list of its arrays.
    if max(widths) < _ALWAYS_FITS or too_large_shape("", layer.input):
        return None
    arrays: dict[str, Shape] = {f"{layer.name}.{each.name}": each.shape for each in params(layer)}
    arrays[f"the output of {layer.name} for one sequence"] = layer.output
    return next(filter(None, (too_large_shape(*each) for each in arrays.items())), None)


def too_large_shape(name: str, shape: Shape) -> str | None:
    """Return a message that ``name`` is too large if its ``shape`` is, or None."""
    sizes = [size for size in shape if size is not None]
    if max(sizes, default=1) <= MAX_AXIS and prod(sizes) <= MAX_ELEMENTS:
        return None
    return (
        f"too large: {name} would have {' x '.join(f'{size:,}' for size in sizes)} elements; the "
        f"maximum is {MAX_AXIS:,} per axis and {MAX_ELEMENTS:,} per array"
    )
