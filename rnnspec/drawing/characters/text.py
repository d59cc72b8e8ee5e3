"""The picture of a network as text, for terminals."""

from __future__ import annotations

from typing import Literal, assert_never

from rnnspec.drawing.characters.grid import FOLDED, Grid, grids
from rnnspec.drawing.characters.layers import Picture
from rnnspec.ir.nodes import Network

Form = Literal["unrolled", "folded"]

_WIDTH = 80
_LEAST_MARGIN = 28
_SPACE = 2


def text(
    network: Network, *, form: Form = "unrolled", steps: int | None = None, unicode: bool = True
) -> str:
    """Return a picture in characters: time to the right, layers upwards, their names at the left.

    By default it is at most 80 columns wide: it shows up to three time steps and the last, or the
    folded form if not even one fits. Lines end in a line feed, and the same network gives the same
    text.

    Args:
        network: the network.
        form: ``unrolled``, a column for each time step, or ``folded``, one cell for each layer.
        steps: how many time steps of the input to show, from 2 to as many as there are, the last
            one included, however wide the picture becomes. Unrolled only.
        unicode: draw with box and arrow characters; otherwise in ASCII.
    """
    match form:
        case "folded":
            grid = FOLDED
        case "unrolled":
            grid = _fitting(network, steps)
        case _:
            assert_never(form)
    return _draw(network, grid, unicode=unicode)


def _fitting(network: Network, steps: int | None) -> Grid:
    """Return the widest grid that leaves room for the labels."""
    for grid in grids(network, steps):
        if steps is not None or _margin(network, grid) is not None:
            return grid
    return FOLDED


def _draw(network: Network, grid: Grid, *, unicode: bool) -> str:
    room = _margin(network, grid) or _LEAST_MARGIN
    canvas = Picture(network, grid, room).draw()
    return canvas.draw(max(map(len, canvas.labels)) + _SPACE, unicode=unicode)


def _margin(network: Network, grid: Grid) -> int | None:
    """Return how many columns are left for the labels, or None if they need more."""
    canvas = Picture(network, grid, 1).draw()  # a line for each word
    room = _WIDTH - _SPACE - canvas.width
    return room if room >= max(_LEAST_MARGIN, *map(len, canvas.labels)) else None
