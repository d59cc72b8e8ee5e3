"""The catalogue of cases."""

from rnnspec.conformance.cases import recurrent
from rnnspec.conformance.scenario import Scenario

CASES: tuple[Scenario, ...] = recurrent.CASES
"""All cases in the order of a suite."""
