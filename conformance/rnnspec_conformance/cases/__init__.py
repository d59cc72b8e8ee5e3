"""The catalogue of cases, by subject."""

from rnnspec_conformance.cases import (
    attention,
    calls,
    cells,
    encoding,
    numbers,
    padding,
    recurrent,
    stack,
)
from rnnspec_conformance.scenario import Scenario

CASES: tuple[Scenario, ...] = (
    *recurrent.CASES,
    *calls.CASES,
    *padding.CASES,
    *stack.CASES,
    *numbers.CASES,
    *cells.CASES,
    *attention.CASES,
    *encoding.CASES,
)
"""All cases in the order of a suite."""
