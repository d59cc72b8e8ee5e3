"""The PyTorch source in step form: its states, and the tools of PyTorch that take it."""

from __future__ import annotations

from typing import Any

import pytest
from offered import import_later
from steps.models import EACH, each_of

from rnnspec.ir import forms

torch = import_later("torch")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.mark.parametrize(("entrance", "head"), EACH)
def test_script(entrance: str, head: str) -> None:
    made = each_of("torch", entrance, head)
    scripted = torch.jit.script(made.model)
    batch = torch.from_numpy(made.batch)
    states = scripted.initial_states(batch)
    assert states.keys() == made.model.initial_states(batch[:1]).keys()
    is_equal(made.model, scripted, [1, 4, batch.shape[1] - 5], batch)


def is_equal(model: Any, other: Any, lengths: list[int], batch: Any) -> None:
    """Run chunks of these lengths, each from the states that the other model left."""
    states = model.initial_states(batch)
    for chunk in batch[:, : sum(lengths)].split(lengths, 1):
        with torch.no_grad():
            wanted, _ = model(chunk, states)
            found, states = other(chunk, states)
        torch.testing.assert_close(found, wanted, rtol=0.0, atol=1e-12)


def test_compile() -> None:
    made = each_of("torch", "masked", "max")
    # As for inference: not the inductor, and not fullgraph.
    torch.compiler.reset()
    compiled = torch.compile(made.model, backend="aot_eager")
    is_equal(made.model, compiled, [1, 4, 3], torch.from_numpy(made.batch))


@pytest.mark.parametrize("head", ["mean", "max"])
def test_export_without_padding(head: str) -> None:
    # With padding, torch.export of PyTorch 2.13 cannot trace its own pack_padded_sequence.
    made = each_of("torch", "features", head)
    batch, dynamic = torch.from_numpy(made.batch), torch.export.Dim.DYNAMIC
    states = made.model.initial_states(batch[:2])
    shapes = ({0: dynamic}, {name: {state.ndim - 2: dynamic} for name, state in states.items()})
    model = made.model.eval()
    given = (batch[:2, :3], states)
    exported = torch.export.export(model, given, dynamic_shapes=shapes).module()
    is_equal(model, exported, [3, 3, 3], batch)


def test_states_have_the_shapes_of_pytorch() -> None:
    made = each_of("torch", "masked", "max")
    zeros = made.model.initial_states(torch.from_numpy(made.batch[:5]))
    found = {name: tuple(state.shape) for name, state in zeros.items()}
    assert found["lstm_1_c"] == (2, 5, 4)
    assert found["gru_1_h"] == (1, 5, 4)
    assert found["max_pooling_1_count"] == (5, 1)
    # The second layer of the stack has its states in those of the first.
    names = {state.name for state in forms.states(made.program.network)}
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
