"""The columns of a picture in text: which time steps are shown, and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rnnspec.ir.nodes import Input, Layer, Network, Recurrent, Residual

DOTS = "···"
SIDE = 2
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Column:
    """One time step; ``step`` is its number, ``T`` for the last of any number."""

    step: str
    x: int
    padded: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """The columns of a sequence; with ``dots``, steps are left out before the last column."""

    columns: tuple[Column, ...]
    dots: bool

    @property
    def real(self) -> tuple[Column, ...]:
        """The columns that are not padding."""
        return tuple(each for each in self.columns if not each.padded)

    @property
    def middle(self) -> int:
        """The place between the first and the last column that are not padding."""
        return (self.real[0].x + self.real[-1].x) // 2


@dataclass(frozen=True, slots=True)
class Grid:
    """The measures of a picture.

    ``shown`` is the number of columns before the dots, 0 in the folded form, and ``chosen`` the
    number of columns of the input if someone chose it. The two cells of a bidirectional layer are
    ``SIDE`` columns left and right of their step.
    """

    shown: int
    pitch: int
    left: int
    chosen: int | None = None

    @property
    def folded(self) -> bool:
        """True if all time steps share one column."""
        return self.shown == 0

    def input_axis(self, given: Input) -> Axis:
        """Return the columns of the input; the last one is padding if some steps may be."""
        shown = self._columns(given.steps) if self.chosen is None else self.chosen
        return self._axis(given.steps, shown, masked=given.masked)

    def axis(self, steps: int) -> Axis:
        """Return the columns of a sequence of so many steps, none of them padding."""
        return self._axis(steps, self._columns(steps), masked=False)

    def dots(self, axis: Axis) -> int:
        """Return the place of the dots, before the last column."""
        return axis.columns[-1].x - self.pitch

    def _columns(self, steps: int | None) -> int:
        # The dots take the place of one column.
        return steps if steps is not None and steps <= self.shown + 2 else self.shown + 1

    def _axis(self, steps: int | None, shown: int, *, masked: bool) -> Axis:
        if self.folded:
            return Axis((Column("", self.left),), dots=False)
        last, dots = "T" if steps is None else str(steps), shown != steps
        places = [self.left + self.pitch * index for index in range(shown)]
        if dots and shown > 1:
            places[-1] += self.pitch - 1
        numbers = [*map(str, range(1, shown)), last]
        columns = list(map(Column, numbers, places))
        if masked and shown > 1:
            columns[-1] = Column("", places[-1], padded=True)
        return Axis(tuple(columns), dots)


def grids(network: Network, steps: int | None) -> Iterator[Grid]:
    """Yield the grid that shows so many ``steps``, or by default several, from wide to narrow."""
    both = any(isinstance(layer, Recurrent) and layer.merge for layer in network.layers)
    adds = any(isinstance(layer, Residual) for layer in network.layers)
    pitch = {(False, False): 8, (False, True): 10, (True, False): 10, (True, True): 13}[both, adds]
    for shown in range(_SHOWN, 0, -1) if steps is None else [_SHOWN]:
        yield Grid(shown, pitch, 7 + SIDE * both, steps)


FOLDED = Grid(shown=0, pitch=0, left=4)
"""The grid of the folded form."""


def side_lines(network: Network, grid: Grid) -> dict[str, int]:
    """Return, by the first layer of a residual block, how far right of a step its line goes up."""
    offsets: dict[str, int] = {}
    layers = {layer.name: index for index, layer in enumerate(network.layers)}
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Residual):
            block = network.layers[layers[layer.start] : index]
            offsets[layer.start] = 7 if grid.folded else 6 if any(map(_both, block)) else 3
    return offsets


def _both(layer: Layer) -> bool:
    return isinstance(layer, Recurrent) and layer.merge is not None


def used_padding(network: Network) -> list[bool]:
    """Return, for the input and each layer, whether its output at a padded step is used."""
    used = [False] * len(network.layers) + [network.pads]
    places = {layer.name: index for index, layer in enumerate(network.layers)}
    for index in range(len(network.layers) - 1, -1, -1):
        layer = network.layers[index]
        if not used[index + 1] or isinstance(layer, Recurrent):
            continue  # a recurrent layer holds its state whatever comes in
        used[index] = True
        if isinstance(layer, Residual):
            used[places[layer.start]] = True
    return used
