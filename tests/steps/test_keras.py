"""The Keras source in step form: the names of inputs and outputs."""

from __future__ import annotations

import numpy as np
import pytest
from offered import import_later
from steps.models import EACH, each_of

from rnnspec.comparison.levels import distance
from rnnspec.ir import forms

keras = import_later("keras")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize(("entrance", "head"), EACH)
def test_inputs_and_outputs_have_the_names_of_the_states(entrance: str, head: str) -> None:
    made = each_of("keras", entrance, head)
    states = {state.name: (None, state.size) for state in forms.states(made.program.network)}
    assert {
        network_input.name: network_input.shape
        for network_input in made.model.inputs
        if network_input.name in states
    } == states
    assert {network_input.name for network_input in made.model.inputs} == {"inputs", *states}
    assert set(made.model.output) == {"output", *states}


def test_a_chunk_of_numpy_beside_states_that_are_tensors() -> None:
    made = each_of("keras", "features", "mean")
    chunk = made.batch[:, :2]
    _, states = made.step(chunk)
    tensors = {name: keras.ops.convert_to_tensor(state) for name, state in states.items()}
    expected = made.model({"inputs": keras.ops.convert_to_tensor(chunk), **tensors})
    found = made.model.predict_on_batch({"inputs": chunk, **tensors})
    assert distance(found["output"], np.asarray(expected["output"])) < made.near
    # As the documentation says, with this advice.
    with pytest.raises(ValueError, match="you cannot mix tensors and non-tensors"):
        made.model({"inputs": chunk, **tensors})
