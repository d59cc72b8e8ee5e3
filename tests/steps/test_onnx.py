"""The ONNX graph in step form: fused nodes between named states, for any batch and chunk."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from offered import import_later, require_source
from steps.models import EACH, LAYERS, STEP, each_of, stepped

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get, refusals
from rnnspec.errors import UsageError
from rnnspec.ir import forms
from rnnspec_random.strategies import sample, spec_text, specs

import_later("onnx")
onnxruntime: Any = import_later("onnxruntime")


@pytest.mark.parametrize(("entrance", "head"), EACH)
def test_inputs_and_outputs_have_the_names_of_the_states(entrance: str, head: str) -> None:
    made = each_of("onnx", entrance, head)
    session = onnxruntime.InferenceSession(made.model.to_proto().SerializeToString())
    states = {state.name: ["batch", state.size] for state in forms.states(made.program.network)}
    first, *given = session.get_inputs()
    output, *new = session.get_outputs()
    assert (first.name, output.name) == ("inputs", made.program.network.layers[-1].name)
    assert first.shape[:2] == ["batch", "steps"]
    assert {each.name: each.shape for each in given} == states
    assert [(each.name, each.shape) for each in new] == [
        (f"{name}_next", shape) for name, shape in states.items()
    ]


def test_layers_stay_fused() -> None:
    graph = each_of("onnx", "masked", "max").model.proto.graph
    fused = {node.input[1]: node for node in graph.node if node.op_type in ("RNN", "LSTM", "GRU")}
    assert len(fused) == LAYERS.count("type:") + 1
    assert not any(node.op_type == "Scan" for node in graph.node)
    assert list(fused["lstm_2_W"].input)[4:] == ["Lengths", "lstm_2_Given_h", "lstm_2_Given_c"]


def test_random_specs() -> None:
    compared = 0
    for drawn in sample(specs(), 200):
        spec = rnnspec.loads(spec_text(drawn))
        if not refusals(get("onnx"), pipeline.program(spec).network, "step"):
            report = rnnspec.parity(spec, ["onnx"], form="step", dtype="float32")
            assert report.equal, report.differences
            compared += 1
    assert compared > 12


def test_every_activation_of_a_scan_keeps_its_states() -> None:
    text = (
        "version: 1\nname: net\ninput: {features: 2, mask_value: 0}\n"
        "rnn: [{type: lstm, units: 3, activation: silu}, {type: gru, units: 3, activation: selu}]\n"
        "head: {pooling: mean}\n"
    )
    made = stepped("onnx", text)
    padding = np.zeros_like(made.batch[:, :2])
    _, before = made.step(made.batch)
    _, after = made.step(padding, before)
    pooled = ["mean_pooling_1_sum", "mean_pooling_1_count"]
    assert list(after) == ["lstm_1_h", "lstm_1_c", "gru_1_h", *pooled]
    for name, state in before.items():
        np.testing.assert_array_equal(after[name], state)
        assert state.any()


def test_a_layer_with_the_name_of_an_output_is_refused() -> None:
    text = (
        "version: 1\nname: net\ninput: {features: 2}\nrnn: {type: gru, units: 3}\n"
        "head: {name: gru_1_h_next, units: 1}\n"
    )
    (found,) = refusals(require_source("onnx", STEP), pipeline.reads(text).network, "step")
    assert (found.layer, found.key) == ("gru_1_h_next", "name")
    assert found.reason == "in step form, the next state of gru_1 has this name"
    assert {"keras", "torch"} <= set(found.alternatives)


def test_a_call_without_states_says_what_to_do() -> None:
    made = each_of("onnx", "features", "mean")
    with pytest.raises(UsageError, match=r"takes chunks: output, states = model\.step\(chunk, "):
        made.model(made.batch)


def test_states_of_any_kind() -> None:
    torch = pytest.importorskip("torch")
    made = each_of("onnx", "features", "mean")
    chunk = made.batch[:, :2]
    _, states = made.step(chunk)
    expected, _ = made.step(chunk, states)
    kinds = (torch.from_numpy, np.ndarray.tolist, lambda state: state.astype(np.float64))
    for kind in kinds:
        given = {name: kind(state) for name, state in states.items()}
        for batch in (chunk, torch.from_numpy(chunk)):
            output, _ = made.model.step(batch, given)
            np.testing.assert_array_equal(output, expected)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"gru_1_h": np.zeros((1, 4))}, r"gru_1_h: expected the shape \(6, 4\), received \(1, 4\)"),
        ({"gru_1_h": np.full((6, 4), "x")}, "expected numbers as gru_1_h, received <U1"),
        ({"other_h": np.zeros((6, 4))}, r"states: expected .*gru_1_h, .*, received .*other_h"),
    ],
)
def test_states_of_another_network(changed: dict[str, Any], message: str) -> None:
    made = each_of("onnx", "features", "mean")
    _, states = made.step(made.batch)
    with pytest.raises(UsageError, match=message):
        made.model.step(made.batch, states | changed)
