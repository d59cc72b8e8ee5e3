"""The NumPy reference, compared with the cells of every backend and with values by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from offered import able, require

from rnnspec import pipeline
from rnnspec.backends import get, refusals
from rnnspec.backends.needs import dtype, level
from rnnspec.comparison import reference
from rnnspec.comparison.case import Live
from rnnspec.comparison.training import gradients_of
from rnnspec.ir import nodes
from rnnspec.models.live import write_weights
from rnnspec.weights.initial import draw_scaled
from rnnspec.words import CellActivation

GRU = nodes.GRU(activation="tanh", recurrent_activation="sigmoid", reset_after=True)
LSTM = nodes.LSTM(activation="tanh", recurrent_activation="sigmoid", forget_bias=1.0)


def program(cell: nodes.Cell) -> pipeline.Program:
    text = "version: 1\nname: net\ninput: {length: 5, features: 3}\nrnn: {type: gru, units: 4}\n"
    whole = pipeline.reads(text)
    (layer,) = whole.network.layers
    assert isinstance(layer, nodes.Recurrent)
    return replace(whole, network=replace(whole.network, layers=(replace(layer, cell=cell),)))


ACTIVATIONS = get_args(CellActivation)
CELLS = [
    replace(GRU, reset_after=False),
    replace(GRU, activation="elu", recurrent_activation="softsign", reset_after=False),
    *(nodes.SimpleRNN(activation=each) for each in ACTIVATIONS),
    *(
        replace(cell, activation=one, recurrent_activation=other)
        for cell in (GRU, LSTM)
        for one, other in zip(ACTIVATIONS, (*ACTIVATIONS[1:], *ACTIVATIONS), strict=False)
    ),
]


@pytest.mark.parametrize("backend", able(level("forward"), dtype("float64")))
def test_every_cell_the_ir_can_say_is_the_reference_s(backend: str) -> None:
    chosen = require(backend)
    cells = [cell for cell in CELLS if not refusals(chosen, program(cell).network)]
    lines = [f"- {{type: gru, units: 2, of: input, name: n{at}}}" for at in range(len(cells))]
    heads = [f"  h{at}: {{of: n{at}, pooling: none}}" for at in range(len(cells))]
    rest = "\n".join(("rnn:", *lines, "heads:", *heads))
    drawn = pipeline.reads(f"version: 1\nname: net\ninput: {{length: 5, features: 3}}\n{rest}\n")
    layers = zip(drawn.network.layers, cells, strict=True)
    own = [replace(layer, cell=cell) for layer, cell in layers]  # type: ignore[arg-type]
    whole = replace(drawn, network=replace(drawn.network, layers=tuple(own)))
    arrays = draw_scaled(whole.network, 3)
    batch = np.random.default_rng(4).standard_normal((2, 5, 3))
    model = pipeline.instantiate(pipeline.generate(whole, chosen), "float64")
    write_weights(model, arrays)
    found = chosen.runtime.trace(model, [], batch).output
    expected = reference.run(whole.network, arrays, batch).output
    for at, cell in enumerate(cells):
        one, other = (array[..., 2 * at : 2 * at + 2].copy() for array in (found, expected))
        assert np.max(np.abs(one - other)) < 1e-13 * max(1.0, np.max(np.abs(other))), cell


@pytest.mark.parametrize("cell", [GRU, LSTM, nodes.SimpleRNN(activation="tanh")], ids=str)
def test_a_run_goes_on_from_given_states(cell: nodes.Cell) -> None:
    network = program(cell).network
    arrays = draw_scaled(network, 3)
    batch = np.random.default_rng(4).standard_normal((2, 5, 3))
    whole = reference.run(network, arrays, batch)
    first = reference.run(network, arrays, batch[:, :2])
    second = reference.run(network, arrays, batch[:, 2:], states=first.states)
    both = np.concatenate([first.output, second.output], axis=1)
    assert np.allclose(both, whole.output, rtol=0, atol=1e-14)
    assert np.allclose(second.states["gru_1_h"], whole.states["gru_1_h"], rtol=0, atol=1e-14)
    assert np.array_equal(whole.states["gru_1_h"], whole.output[:, -1])


@pytest.mark.parametrize(
    ("activation", "kink"), [("hard_sigmoid", 3.0), ("legacy_hard_sigmoid", 2.5)]
)
@pytest.mark.needs(level("gradients"))
def test_the_gradient_at_a_kink_is_zero(activation: str, kink: float, backend: str) -> None:
    whole = pipeline.reads(
        "version: 1\nname: net\ninput: {length: 1, features: 1}\n"
        "rnn: {type: simple, units: 1, activation: linear, bias: false}\n"
        f"head: {{units: 1, activation: {activation}, bias: false}}"
    )
    require(backend, level("gradients"), whole)
    generated = pipeline.generate(whole, get(backend))
    model = pipeline.instantiate(generated, "float64")
    ones = ("simple_rnn_1.kernel", "simple_rnn_1.recurrent_kernel", "dense_1.kernel")
    write_weights(model, {name: np.ones((1, 1)) for name in ones})
    gradients = gradients_of(Live(generated, model))
    for x in (-kink, kink, 1.0):
        _, found = gradients(np.full((1, 1, 1), x), np.full((1, 1), -9.0), np.ones((1, 1)))
        assert (found["dense_1.kernel"][0, 0] == 0.0) == (x != 1.0)


def test_one_lstm_step_by_hand() -> None:
    whole = program(LSTM).network
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
