"""Windows over the steps, as other tools add zeros to a sequence for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.ir.nodes import Window
    from rnnspec.words import WindowPadding


def fit_convolution(
    valid: Window, added: tuple[int, int], steps: int | None
) -> tuple[Window, int] | None:
    """Return the windows of a convolution, and by how many steps its output is too long.

    See ``fit_window``. With as many zeros behind a sequence as before it, a causal one is too long.
    """
    reach = valid.reach
    if reach and added == (reach, reach) and valid.stride == 1:
        return replace(valid, padding="causal"), reach
    window = fit_window(valid, added, steps)
    return None if window is None else (window, 0)


def fit_window(
    valid: Window,
    added: Sequence[int],
    steps: int | None,
    paddings: Sequence[WindowPadding] = ("valid", "causal", "same"),
) -> Window | None:
    """Return the windows of the language that read the steps that ``valid`` ones read.

    None if there are none.

    Args:
        valid: windows inside of what they read.
        added: the number of steps that are added before and after every sequence.
        steps: the number of steps of every sequence, None if it is open.
        paddings: the paddings to try.
    """
    before, after = added
    for padding in paddings:
        window = replace(valid, padding=padding)
        if steps is not None:
            alike = window.added(steps)[0] == before
            alike &= window.count(steps) == valid.count(before + steps + after)
        else:
            # With a stride, what 'same' adds depends on the length, and sequences of any length
            # have as many windows only if nothing is left at their end.
            alike = window.added(max(valid.reach, 1)) == (before, after)
            alike &= padding != "same" or valid.stride == 1
        if alike:
            return window
    return None
