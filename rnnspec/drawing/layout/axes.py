"""Time axes: which steps are drawn, and where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rnnspec.drawing.options import Options
from rnnspec.ir.nodes import Network, Recurrent, Repeat, Residual

PITCH = 126.0
WIDE_PITCH = 142.0
"""The distance of two columns, and that of a bidirectional layer."""
ROOM_FOR_RESIDUAL = 14.0
ROOM_FOR_DOTS = 100.0
MOST_COMPLETE = 5
"""The length up to which every step is drawn."""


@dataclass(frozen=True, slots=True)
class Column:
    """One time step, or the place of a vector if ``step`` is empty. ``padded``: it is padding."""

    x: float
    step: str
    padded: bool = False

    @property
    def id(self) -> str:
        """The end of the names of its nodes."""
        return "pad" if self.padded else self.step

    def name(self, layer: str) -> str:
        """Return the name of the node of a layer in this column."""
        return f"{layer}@{self.id}" if self.step else layer


@dataclass(frozen=True, slots=True)
class Axis:
    """The columns of a sequence; ``dots`` is the place of the steps that are not drawn.

    ``length`` is the index of the last step, which is T if the length is open.
    """

    columns: tuple[Column, ...]
    length: str
    dots: float | None = None

    @property
    def gaps(self) -> Iterator[tuple[Column, Column, bool]]:
        """Each column and the next, and whether dots stand between the two."""
        pairs = list(pairwise(self.columns))
        for index, (one, other) in enumerate(pairs):
            yield one, other, self.dots is not None and index == len(pairs) - 1


def folded(network: Network, x: float) -> list[Axis]:
    """Return the axes of the folded form: one column for all steps."""
    return [Axis((Column(x, "t"),), _name(length)) for length in _lengths(network)]


def axes(network: Network, options: Options, x: float) -> list[Axis]:
    """Return the axis of the input and of each repeat, all of one width, from ``x`` on."""
    first, *repeats = _lengths(network)
    drawn = [
        _steps_to_draw(first, options.steps),
        *(_steps_to_draw(steps, None) for steps in repeats),
    ]
    pitch = _pitch(network)
    width = max((len(steps) - 1) * pitch + (ROOM_FOR_DOTS if dots else 0) for steps, dots in drawn)
    return [
        _axis(steps, dots, x, width, padded=not index and network.input.masked)
        for index, (steps, dots) in enumerate(drawn)
    ]


def _steps_to_draw(length: int | None, asked: int | None) -> tuple[list[str], bool]:
    """Return the steps that are drawn, and whether some are left out before the last."""
    if length is not None and (length <= MOST_COMPLETE if asked is None else length == asked):
        return [str(step) for step in range(1, length + 1)], False
    first = range(1, asked or 4)
    return [*map(str, first), _name(length)], True


def _lengths(network: Network) -> list[int | None]:
    """Return the length of the input and of each repeat."""
    repeats = [layer.steps for layer in network.layers if isinstance(layer, Repeat)]
    return [network.input.steps, *repeats]


def _name(length: int | None) -> str:
    return "T" if length is None else str(length)


def _pitch(network: Network) -> float:
    layers = network.layers
    both = any(isinstance(layer, Recurrent) and layer.merge is not None for layer in layers)
    residual = any(isinstance(layer, Residual) for layer in layers)
    return (WIDE_PITCH if both else PITCH) + (ROOM_FOR_RESIDUAL if residual else 0)


def _axis(steps: Sequence[str], dots: bool, x: float, width: float, *, padded: bool) -> Axis:
    number = len(steps)
    padded = padded and number > 1  # the only step of a sequence is not drawn as padding
    if number == 1:
        return Axis((Column(x + width / 2, steps[0]),), steps[-1])
    pitch = (width - (ROOM_FOR_DOTS if dots else 0)) / (number - 1)
    columns = [Column(x + index * pitch, step) for index, step in enumerate(steps[:-1])]
    columns.append(Column(x + width, steps[-1], padded))
    middle = (columns[-2].x + columns[-1].x) / 2 if dots else None
    return Axis(tuple(columns), steps[-1], middle)
