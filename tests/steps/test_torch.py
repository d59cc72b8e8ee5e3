"""The PyTorch source in step form: its states, and ``torch.jit.script``."""

from __future__ import annotations

import pytest
from steps.models import EACH, each_of

from rnnspec.ir import steps

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.parametrize(("entrance", "head"), EACH)
def test_script(entrance: str, head: str) -> None:
    made = each_of("torch", entrance, head)
    scripted = torch.jit.script(made.model)
    batch = torch.from_numpy(made.batch)
    states = scripted.initial_states(batch)
    assert states.keys() == made.model.initial_states(batch[:1]).keys()
    for chunk in batch.split([1, 4, batch.shape[1] - 5], 1):
        with torch.no_grad():
            wanted, _ = made.model(chunk, states)
            found, states = scripted(chunk, states)
        torch.testing.assert_close(found, wanted, rtol=0.0, atol=1e-12)


def test_states_have_the_shapes_of_pytorch() -> None:
    made = each_of("torch", "masked", "max")
    zeros = made.model.initial_states(torch.from_numpy(made.batch[:5]))
    found = {name: tuple(state.shape) for name, state in zeros.items()}
    assert found["lstm_1_c"] == (2, 5, 4)
    assert found["gru_1_h"] == (1, 5, 4)
    assert found["max_pooling_1_count"] == (5, 1)
    # The second layer of the stack has its states in those of the first.
    names = {state.name for state in steps.states(made.program.network)}
    assert names - found.keys() == {"lstm_2_h", "lstm_2_c"}
    assert all(state.dtype == torch.float64 for state in zeros.values())


def test_gradients_flow_through_chunks() -> None:
    made = each_of("torch", "features", "mean")
    batch = torch.from_numpy(made.batch)
    _, states = made.model(batch[:, :4])
    output, _ = made.model(batch[:, 4:], states)
    whole, _ = made.model(batch)
    weight = made.model.get_parameter("lstm_1.weight_hh_l0")
    (found,) = torch.autograd.grad(output.sum(), weight)
    (wanted,) = torch.autograd.grad(whole.sum(), weight)
    torch.testing.assert_close(found, wanted, rtol=0.0, atol=1e-10)
