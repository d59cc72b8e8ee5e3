"""The NumPy reference against Keras, on words that only the IR can say so far, and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import rnnspec
from rnnspec import compiler
from rnnspec.backends import get
from rnnspec.errors import UnsupportedError
from rnnspec.ir import nodes
from rnnspec.parity import reference
from rnnspec.weights.draw import draw_scaled
from rnnspec.weights.live import write_weights

GRU = nodes.GRU(activation="tanh", recurrent_activation="sigmoid", reset_after=True)
LSTM = nodes.LSTM(activation="tanh", recurrent_activation="sigmoid", forget_bias=1.0)


def network(cell: nodes.Cell) -> nodes.Network:
    text = "version: 1\nname: net\ninput: {length: 5, features: 3}\nrnn: {type: gru, units: 4}\n"
    whole = compiler.lower(rnnspec.loads(text))
    (layer,) = whole.layers
    assert isinstance(layer, nodes.Recurrent)
    return replace(whole, layers=(replace(layer, cell=cell),))


@pytest.mark.parametrize(
    "cell",
    [
        GRU,
        replace(GRU, reset_after=False),
        replace(GRU, activation="sigmoid", recurrent_activation="tanh"),
        replace(LSTM, activation="sigmoid", recurrent_activation="tanh"),
        nodes.SimpleRNN(activation="sigmoid"),
    ],
    ids=repr,
)
def test_every_cell_the_ir_can_say_is_keras_s(cell: nodes.Cell) -> None:
    whole = network(cell)
    arrays = draw_scaled(whole, 3)
    batch = np.random.default_rng(4).standard_normal((2, 5, 3))
    model = compiler.instantiate(whole, get("keras"), "net.yaml", "float64")
    write_weights(model, arrays)
    found = get("keras").runtime.trace(model, ["gru_1"], batch).output
    assert np.max(np.abs(found - reference.run(whole, arrays, batch).output)) < 1e-13


@pytest.mark.parametrize(
    ("cell", "key"),
    [
        (replace(GRU, reset_after=False), "reset_after"),
        (replace(GRU, activation="sigmoid"), "activation"),
        (replace(LSTM, recurrent_activation="tanh"), "recurrent_activation"),
        (nodes.SimpleRNN(activation="sigmoid"), "activation"),
    ],
)
def test_a_word_that_torch_s_fused_layers_cannot_honour_is_refused(
    cell: nodes.Cell, key: str
) -> None:
    with pytest.raises(UnsupportedError) as caught:
        compiler.generate(network(cell), get("torch"), "net.yaml")
    (refusal,) = caught.value.refusals
    assert (refusal.layer, refusal.key, refusal.alternatives) == ("gru_1", key, ("keras",))
    assert str(caught.value).startswith(f"net.yaml: error: gru_1.{key}: torch cannot do this: ")


def test_one_lstm_step_by_hand() -> None:
    whole = network(LSTM)
    arrays = {
        "gru_1.kernel": np.zeros((3, 16)),
        "gru_1.recurrent_kernel": np.zeros((4, 16)),
        "gru_1.bias": np.repeat([0.1, 0.2, 0.3, 0.4], 4),
    }
    output = reference.run(whole, arrays, np.zeros((1, 5, 3))).output

    def sigmoid(x: float) -> float:
        return float(1.0 / (1.0 + np.exp(-x)))

    c = 0.0
    for t in range(5):
        c = sigmoid(0.2) * c + sigmoid(0.1) * np.tanh(0.3)
        assert np.allclose(output[0, t], sigmoid(0.4) * np.tanh(c), rtol=0.0, atol=1e-15)
