"""Docstrings of helpers that the generated sources of several backends have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.ir.cells import gates
from rnnspec.source.code import Code, docstring

if TYPE_CHECKING:
    from rnnspec.ir.nodes import Recurrent

LEGACY_HARD_SIGMOID = "Return clip(0.2 x + 0.5, 0, 1), which Keras 1 and 2 called hard_sigmoid."

ASKS = "attend(q, {}) is the mean of the memory, weighted for the query q."
ATTENDS = "Each x goes with a context: the mean of a memory for the state before the step."
RETURNS = {
    "all": docstring(["Return the outputs, (batch, steps, units)."]),
    "some": docstring(
        ["Return the outputs, (batch, steps, units), or the last state, (batch, units)."]
    ),
    "none": docstring(["Return the last state, (batch, units)."]),
    "with_state": docstring(
        ["Return the outputs, (batch, steps, units), and the state after them."]
    ),
    "with_contexts": docstring(
        ["Return the outputs, the contexts of all steps, and the state after them."]
    ),
}
"""Docstrings for what a class of recurrent layers returns, by the ``sequences`` of the class."""


def recurrent_docstring(summary: str, layer: Recurrent, *, drops_input: bool) -> Code:
    """Return the docstring of a class that runs a layer: a summary, and its masks in training."""
    if not layer.recurrent_dropout:
        return docstring([summary])
    if len(gates(layer.standard_cell)) == 1:
        masks = "a sequence has one mask on the state"
        masks += " and one on the input" if drops_input else ""
    elif drops_input:
        masks = "each gate has two masks a sequence, one on the input, one on the state"
    else:
        masks = "each gate has one mask a sequence, on the state"
    return docstring([summary, "", f"In training {masks}."])
