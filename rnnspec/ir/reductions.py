"""Reductions over the steps of a sequence: what each statistic of a pooling is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from rnnspec.words import Statistic

if TYPE_CHECKING:
    from collections.abc import Mapping

HIGHEST = 3e38
"""More than networks compute in float32; not infinite, as of infinity alone there is no softmax."""
LOWEST = -HIGHEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """A statistic over the steps, or the choice of a step.

    ``noun`` is its name in a sentence. ``states`` are those of step form, by their names in a
    recipe. ``joins`` is the arithmetic that makes one statistic of those of two parts of a
    sequence; a step of ``filler`` changes none. ``skips_padding`` is false if a mask is refused.
    ``if_padded`` is the effect of a padded step that no mask tells, empty if it is not known.
    ``no_step_form`` is the reason why it has none, empty if it has one.
    """

    noun: str
    states: Mapping[str, str]
    joins: Literal["add", "maximum", "minimum"] = "add"
    filler: float = 0.0
    skips_padding: bool = True
    if_padded: str = ""
    no_step_form: str = ""

    @property
    def counts(self) -> bool:
        """True if a state is the number of steps so far."""
        return "count" in self.states


REDUCTIONS: dict[Statistic, Reduction] = {
    "last": Reduction(noun="last", states={"latest": "last"}),
    "first_step": Reduction(
        noun="first step",
        states={},
        skips_padding=False,
        no_step_form="the first step is in an earlier chunk",
    ),
    "last_step": Reduction(
        noun="last step", states={}, skips_padding=False, if_padded="the last step may be padding"
    ),
    "mean": Reduction(
        noun="mean",
        states={"total": "sum", "count": "count"},
        if_padded="it counts in the mean",
    ),
    "max": Reduction(
        noun="maximum",
        joins="maximum",
        filler=LOWEST,
        states={"highest": "max", "count": "count"},
        if_padded="the maximum may come from it",
    ),
    "min": Reduction(
        noun="minimum",
        joins="minimum",
        filler=HIGHEST,
        states={"lowest": "min", "count": "count"},
        if_padded="the minimum may come from it",
    ),
    "sum": Reduction(noun="sum", states={"total": "sum"}, if_padded="it counts in the sum"),
}
"""All of them, in the order in which a message proposes them."""
# mypy does not look for missing keys.
assert REDUCTIONS.keys() == set(get_args(Statistic)), "a statistic without its reduction"
