"""The rows and columns of a picture: which layers and which time steps are drawn, and where.

A row is a layer, or dots for many layers that are alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from rnnspec.drawing.options import Options
from rnnspec.errors import UsageError
from rnnspec.ir.nodes import Dropout, Layer, LayerNorm, Network, Recurrent, Repeat, Residual

_MOST_ALIKE = 6
"""The longest run of equal blocks that is drawn in full."""
_MOST_ROWS = 60
"""The largest number of rows of a picture."""
_MOST_COMPLETE = 5
"""The length up to which every step is drawn."""
_PITCH, _WIDE_PITCH = 126.0, 142.0
"""The distance of two columns, and that of a bidirectional layer."""
_ROOM_FOR_RESIDUAL = 14.0
_ROOM_FOR_DOTS = 100.0


@dataclass(frozen=True, slots=True)
class Hidden:
    """Layers that are alike, in the middle of a run: dots stand for them."""

    layers: tuple[Layer, ...]


Row = Layer | Hidden
Block = tuple[Layer, ...]


def rows(network: Network) -> list[Row]:
    """Return the rows from the input upwards.

    Raises:
        UsageError: there are too many for a picture.
    """
    rows: list[Row] = []
    for _, blocks in groupby(_blocks(network.layers), lambda block: [*map(_anonymous, block)]):
        run = list(blocks)
        if len(run) > _MOST_ALIKE:
            inner = tuple(layer for block in run[1:-1] for layer in block)
            rows += [*run[0], Hidden(inner), *run[-1]]
        else:
            rows += [layer for block in run for layer in block]
    if len(rows) > _MOST_ROWS:
        raise UsageError(
            f"{network.name} has {len(rows)} rows to draw, expected at most {_MOST_ROWS}; "
            "'rnnspec summary' prints them as a table"
        )
    return rows


def _blocks(layers: Sequence[Layer]) -> Iterator[Block]:
    """Yield each layer with the dropout before it, its layer norm and its residual."""
    block: list[Layer] = []
    for layer in layers:
        belongs = isinstance(layer, LayerNorm | Residual)
        if not belongs and any(not isinstance(member, Dropout) for member in block):
            yield tuple(block)
            block = []
        block.append(layer)
    if block:
        yield tuple(block)


def _anonymous(layer: Layer) -> Layer:
    """Return what layers that are alike have in common."""
    match layer:
        case Recurrent():
            return replace(layer, name="", input=(), return_sequences=True)
        case Residual():
            return replace(layer, name="", input=(), start="")
        case _:
            return replace(layer, name="", input=())


@dataclass(frozen=True, slots=True)
class Column:
    """One time step, or the place of a vector if ``step`` is empty. ``padded``: it is padding."""

    x: float
    step: str
    padded: bool = False

    def name(self, layer: str) -> str:
        """Return the name of the node of a layer in this column."""
        return f"{layer}@{'pad' if self.padded else self.step}" if self.step else layer


@dataclass(frozen=True, slots=True)
class Axis:
    """The columns of a sequence; ``dots`` is the place of the steps that are not drawn.

    ``length`` is the index of the last step, which is T if the length is open.
    """

    columns: tuple[Column, ...]
    length: str
    dots: float | None = None


def axes(network: Network, options: Options) -> list[Axis]:
    """Return the axis of the input and of each repeat, all of one width.

    In the folded form, each has one column for all steps.
    """
    layers = network.layers
    both = any(isinstance(layer, Recurrent) and layer.merge is not None for layer in layers)
    repeats = [layer.steps for layer in layers if isinstance(layer, Repeat)]
    lengths = [network.input.steps, *repeats]
    if options.form == "folded":
        return [Axis((Column(0.0, "t"),), _last_step(length)) for length in lengths]
    pitch = _WIDE_PITCH if both else _PITCH
    pitch += _ROOM_FOR_RESIDUAL if any(isinstance(layer, Residual) for layer in layers) else 0
    steps = [_steps_to_draw(length, None) for length in repeats]
    steps.insert(0, _steps_to_draw(network.input.steps, options.steps))
    width = max((len(drawn) - 1) * pitch + (_ROOM_FOR_DOTS if dots else 0) for drawn, dots in steps)
    return [
        _axis(drawn, dots, width, padded=not index and network.input.masked)
        for index, (drawn, dots) in enumerate(steps)
    ]


def _steps_to_draw(length: int | None, most: int | None) -> tuple[list[str], bool]:
    """Return the steps that are drawn, and whether some are left out before the last."""
    if length is not None and (length <= _MOST_COMPLETE if most is None else length == most):
        return [str(step) for step in range(1, length + 1)], False
    return [*map(str, range(1, most or 4)), _last_step(length)], True


def _last_step(length: int | None) -> str:
    return "T" if length is None else str(length)


def _axis(steps: Sequence[str], dots: bool, width: float, *, padded: bool) -> Axis:
    gaps = len(steps) - 1
    if not gaps:  # the only step of a sequence is not drawn as padding
        return Axis((Column(width / 2, steps[0]),), steps[-1])
    pitch = (width - (_ROOM_FOR_DOTS if dots else 0)) / gaps
    columns = [Column(index * pitch, step) for index, step in enumerate(steps[:-1])]
    columns.append(Column(width, steps[-1], padded))
    middle = (columns[-2].x + columns[-1].x) / 2 if dots else None
    return Axis(tuple(columns), steps[-1], middle)
