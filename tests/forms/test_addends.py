"""An array that PyTorch holds as the sum of two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.errors import UsageError
from rnnspec.weights.store import Store

torch = import_later("torch")

SPEC = rnnspec.loads("""\
version: 1
name: by_hand
input: {features: 3}
rnn:
  - {type: lstm, units: 4, layers: 2, dropout: 0.5}
  - {type: gru, units: 5}
head: {units: 2}
""")
SECOND = "lstm_1.bias_hh_l1"


@pytest.fixture
def model() -> Any:
    from torch import nn

    class ByHand(nn.Module):
        """The network as a person writes it, with the names of the spec."""

        def __init__(self) -> None:
            super().__init__()
            self.lstm_1 = nn.LSTM(3, 4, num_layers=2, batch_first=True)
            self.gru_1 = nn.GRU(4, 5, batch_first=True)
            self.dense_1 = nn.Linear(5, 2)

        def forward(self, x: Any) -> Any:
            x, _ = self.lstm_1(x)
            _, state = self.gru_1(x)
            return self.dense_1(state[-1])

    torch.manual_seed(0)
    return ByHand()


def store() -> Store:
    return pipeline.generate(pipeline.program(SPEC), get("torch"), "inference").store


def test_a_stock_model_moves_to_another_and_computes_the_same(model: Any) -> None:
    arrays = rnnspec.read_weights(model, SPEC)
    both = [getattr(model.lstm_1, f"bias_{kind}_l1").detach().numpy() for kind in ("ih", "hh")]
    np.testing.assert_array_equal(arrays["lstm_2.bias"][:4], (both[0] + both[1])[:4])
    # A GRU has two biases in the spec too.
    hidden = model.gru_1.bias_hh_l0.detach().numpy()
    np.testing.assert_array_equal(arrays["gru_1.recurrent_bias"][10:], hidden[10:])
    x = torch.randn(2, 6, 3)
    for form in ("training", "inference"):
        other = rnnspec.build(SPEC, "torch", form=form).eval()
        rnnspec.write_weights(other, arrays)
        torch.testing.assert_close(other(x), model(x))


def test_writing_fills_the_second_array_with_zeros(model: Any) -> None:
    held = dict(model.named_parameters())
    assert held[SECOND].abs().max() > 0.0
    arrays = rnnspec.read_weights(model, SPEC)
    rnnspec.write_weights(model, arrays, SPEC)
    assert held[SECOND].abs().max() == 0.0
    assert held["gru_1.bias_hh_l0"].abs().max() > 0.0
    again = rnnspec.read_weights(model, SPEC)
    assert all(np.array_equal(again[name], array) for name, array in arrays.items())


def test_one_array_alone_is_read_and_written(model: Any) -> None:
    wanted = np.arange(16, dtype=np.float32)
    assert np.ptp(store().read_one(model, "lstm_2.bias")) > 0.0
    store().write_one(model, "lstm_2.bias", wanted)
    assert dict(model.named_parameters())[SECOND].abs().max() == 0.0
    np.testing.assert_array_equal(store().read_one(model, "lstm_2.bias"), wanted)


def test_a_second_array_that_is_missing_or_misshaped_is_named(model: Any) -> None:
    model.lstm_1.bias_hh_l1 = torch.nn.Parameter(torch.zeros(3))
    with pytest.raises(UsageError, match=r"lstm_2\.bias: expected the shape \(16,\) .* \(3,\)"):
        store().read(model)
    del model.lstm_1.bias_hh_l1
    with pytest.raises(UsageError, match=r"missing: lstm_2\.bias \(at lstm_1\.bias_hh_l1\)"):
        store().read(model)


def test_a_model_of_no_form_is_refused_as_one_for_training(model: Any) -> None:
    model.extra = torch.nn.Linear(1, 1)
    with pytest.raises(UsageError, match=r"unexpected: lstm_1\.bias_hh_l0 of \(16,\)"):
        rnnspec.read_weights(model, SPEC)
