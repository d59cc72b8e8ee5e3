"""The steps of a sequence that a picture shows."""

from __future__ import annotations

from cases import cases

from rnnspec.drawing.steps import Steps
from rnnspec.ir.nodes import Window
from rnnspec.words import WindowPadding

# Of nine steps, the first three and the last have columns, and the last is padding.
NINE = Steps(length=9, columns=4, name="T", padded=True)


@cases(
    ("size", "stride", "padding", "columns", "padded"),
    [
        (2, 1, "valid", 4, True),
        (3, 1, "valid", 4, True),
        (3, 1, "same", 4, True),
        (2, 2, "valid", 3, True),
        (3, 2, "same", 3, True),
    ],
)
def test_the_results_of_windows_that_have_columns(
    size: int, stride: int, padding: WindowPadding, columns: int, padded: bool
) -> None:
    window = Window(size=size, stride=stride, dilation=1, padding=padding)
    after = NINE.after(window, "T")
    assert (after.columns, after.padded) == (columns, padded)
