"""Statements of the step form that are the same in every backend whose source is Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.expressions import Assign, Call, Name
from rnnspec.ir.steps import states_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnspec.backends.expressions import Expression, Statement
    from rnnspec.ir.nodes import Pooling


def running(
    layer: Pooling, inputs: Expression, states: Sequence[Expression]
) -> Iterator[Statement]:
    """Yield the call of a mean or maximum over the steps so far, which assigns its new states."""
    names = [state.name for state in states_of(layer)]
    mask = (Name("mask"),) if layer.masked else ()
    made = Call(Name(f"running_{layer.statistic}"), (inputs, *mask, *states))
    if layer.statistic == "mean":
        yield Assign(("x", *names), made)
    else:
        # The maximum is a state itself.
        yield Assign(tuple(names), made)
        yield Assign("x", Name(names[0]))
