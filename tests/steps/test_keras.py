"""The Keras source in step form: the names of inputs and outputs."""

from __future__ import annotations

import pytest
from steps.models import EACH, each_of

from rnnspec.ir import steps

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize(("entrance", "head"), EACH)
def test_inputs_and_outputs_have_the_names_of_the_states(entrance: str, head: str) -> None:
    made = each_of("keras", entrance, head)
    states = {state.name: (None, state.size) for state in steps.states(made.program.network)}
    assert {each.name: each.shape for each in made.model.inputs if each.name in states} == states
    assert {each.name for each in made.model.inputs} == {"inputs", *states}
    assert set(made.model.output) == {"output", *states}
