"""The time steps that a picture shows, which of them a window gathers, and whose padding is used.

A sequence is shown in full, or by its first steps and its last; the steps between are hidden.
"""

from __future__ import annotations

from dataclasses import dataclass

from rnnspec.ir.nodes import (
    Attention,
    Conv,
    LastSteps,
    Network,
    Recurrent,
    Repeat,
    Residual,
    SequenceInput,
    Window,
    WindowPooling,
    masks,
    paced_by,
    sources,
)

_MANY = 1000
"""A number of steps that stands for any number."""
_MOST_LINES = 5
"""The size up to which all steps of a window are drawn."""
_MOST_FIRST = 5
"""The largest number of first steps that have columns for the sake of windows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The steps of a sequence of ``length`` in ``columns``, the last one included.

    ``name`` is the number of the last step. ``padded``: the last step is drawn as padding.
    """

    length: int
    columns: int
    name: str
    padded: bool = False

    @property
    def has_hidden(self) -> bool:
        """True if steps before the last are hidden."""
        return self.columns < self.length

    @property
    def labels(self) -> tuple[str, ...]:
        """The number of each step that has a column."""
        return (*map(str, range(1, self.columns)), self.name)

    def column(self, step: int) -> int | None:
        """Return the column of a step, both counted from 0, or None if it is hidden."""
        if step == self.length - 1:
            return self.columns - 1
        return step if step < self.columns - 1 else None

    def step(self, column: int) -> int:
        """Return the step that a column shows."""
        return self.length - 1 if column == self.columns - 1 else column

    def after(self, window: Window, name: str) -> Steps:
        """Return the steps of the results of a window that have columns.

        These are the ones whose window begins at a step that is shown, and the last.
        """
        length = window.count(self.length) or 1
        if self.has_hidden:
            first = range(min(self.columns, length) - 1)
            before, _ = window.added(self.length)
            known = sum(step * window.stride - before < self.columns - 1 for step in first)
            columns = known + 1
        else:
            columns = length
        anchor = self.column((length - 1) * window.stride + window.anchor)
        # A hidden step before a padded one may be padding too.
        padded = self.padded and length > 1 and anchor in (None, self.columns - 1)
        return Steps(length=length, columns=columns, name=name, padded=padded)


@dataclass(frozen=True, slots=True)
class Gathered:
    """The steps that one window gathers: columns, hidden steps, and steps added before and after.

    A column that is padding is not among ``columns``. In a window of many steps, only the outer two
    are gathered, and ``dots`` stand for the rest.
    """

    columns: tuple[int, ...]
    hidden: bool
    before: bool
    after: bool
    dots: bool


def gather(window: Window, steps: Steps, results: Steps) -> list[Gathered]:
    """Return the steps that the window of each visible result gathers."""
    return [_gather_one(window, steps, results.step(column)) for column in range(results.columns)]


def _gather_one(window: Window, steps: Steps, result: int) -> Gathered:
    before, _ = window.added(steps.length)
    first = result * window.stride - before
    dots = window.size > _MOST_LINES
    gathered = (
        [first, first + window.reach]
        if dots
        else range(first, first + window.reach + 1, window.dilation)
    )
    inside = [steps.column(step) for step in gathered if 0 <= step < steps.length]
    return Gathered(
        tuple(
            column
            for column in inside
            if column is not None and not (steps.padded and column == steps.columns - 1)
        ),
        hidden=None in inside,
        before=any(step < 0 for step in gathered),
        after=any(step >= steps.length for step in gathered),
        dots=dots,
    )


def input_steps(network: Network, node: SequenceInput, columns: int | None) -> Steps:
    """Return the steps of an input, in ``columns``, or in a usual number of them."""
    windows = list[Window]()
    least = 1
    for layer in network.layers:
        match layer:
            case Repeat(like=None):
                break
            case Conv(window=window) | WindowPooling(window=window):
                windows.append(window)
            case LastSteps(count=count):
                least = count
            case _:
                pass
    length = node.steps
    name = "T" if length is None else str(length)
    if length is None:
        # No window leaves a step of this length over, and few add one to it.
        length = max(_MANY, least)
        for window in reversed(windows):
            is_same = window.padding == "same"
            length = length * window.stride if is_same else window.least(length)
    if columns is None:
        columns = _usual(windows, length)
    masked = node.masked and length > 1
    return Steps(length=length, columns=min(columns, length), name=name, padded=masked)


def _usual(windows: list[Window], length: int) -> int:
    """Return how many steps are shown if nobody chooses: more of them if there are windows."""
    first, stride = 3, 1
    for window in windows:
        first = max(first, min(stride * window.reach + 1, _MOST_FIRST))
        stride *= window.stride
    first = max(first, min(stride + 1, _MOST_FIRST))
    return length if length <= max(first + 1, 5) else first + 1


def steps_of(length: int, name: str) -> Steps:
    """Return the steps of a new sequence, which has no padding."""
    return Steps(length=length, columns=_usual([], length), name=name)


def padding_uses(network: Network) -> set[str]:
    """Return the layers, and the input, whose output at a padded step is used."""
    sources_of = sources(network)
    padded = masks(network)
    uses = {layer.name for layer in network.results.values() if layer.name in padded}
    for layer in reversed(network.layers):
        # A recurrent layer holds its state whatever comes in, and a window skips padding.
        if layer.name in uses and not isinstance(layer, Recurrent | Conv | WindowPooling):
            # An attention has the padding of its queries; that of the memory has no weight.
            read = sources_of[layer.name]
            uses.update(paced_by(layer, read) if isinstance(layer, Attention) else read)
            if isinstance(layer, Residual):
                uses.update(sources_of[layer.start])
    return uses
