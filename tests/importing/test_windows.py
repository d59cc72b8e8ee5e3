"""Windows with steps that other tools add: those of the language read the same steps."""

from __future__ import annotations

from itertools import product

from rnnspec.importing.graph.windows import fit_convolution, fit_window
from rnnspec.ir.nodes import Window

SIZES = (1, 2, 3, 4)


def steps_read(window: Window, before: int, after: int, steps: int) -> list[list[int | None]]:
    """Return the steps that each window reads, None for those that are added."""
    last = before + steps + after - window.reach
    starts = range(-before, last - before, window.stride)
    places = [[start + window.dilation * i for i in range(window.size)] for start in starts]
    return [[at if 0 <= at < steps else None for at in several] for several in places]


def test_fitting_windows_read_the_same_steps() -> None:
    fitted = set[tuple[str, bool]]()
    settings = product(SIZES, (1, 2, 3), (1, 2), range(5), range(5))
    for size, stride, dilation, before, after in settings:
        valid = Window(size=size, stride=stride, dilation=dilation, padding="valid")
        for fixed in (None, *range(1, 9)):
            window = fit_window(valid, (before, after), fixed)
            if window is None:
                assert max(before, after) > valid.reach
                continue
            word = "numbers" if isinstance(window.padding, tuple) else window.padding
            fitted.add((word, fixed is None))
            for steps in range(valid.reach + 1, 12) if fixed is None else (fixed,):
                expected = steps_read(valid, before, after, steps)
                assert steps_read(window, *window.added(steps), steps) == expected
                assert window.count(steps) == len(expected) or not expected
    paddings = ("valid", "causal", "same", "numbers")
    assert fitted == {(padding, is_open) for padding in paddings for is_open in (True, False)}


def test_a_convolution_is_causal_without_its_last_steps() -> None:
    valid = Window(size=3, stride=1, dilation=2, padding="valid")
    window, surplus = fit_convolution(valid, (4, 4), None) or (valid, 0)
    assert (window.padding, surplus) == ("causal", 4)
    whole = steps_read(valid, 4, 4, 7)
    assert steps_read(window, *window.added(7), 7) == whole[:-surplus]
    assert fit_convolution(valid, (5, 0), None) is None
