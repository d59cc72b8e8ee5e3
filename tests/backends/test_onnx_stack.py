"""Stacks in ONNX: windows, masks, norms, joins, poolings, tied weights and named outputs."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from cases import cases
from mutation import source_edited
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get, refusals
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_input
from rnnspec.comparison.case import Case
from rnnspec.comparison.levels import distance
from rnnspec.errors import ParityError, UsageError
from rnnspec.ir.nodes import least_steps
from rnnspec.models.building import Output, build_model

if TYPE_CHECKING:
    from pathlib import Path

    from rnnspec.ir.forms import Form

onnx: Any = import_later("onnx")
onnxruntime: Any = import_later("onnxruntime")

TOLERANCE = 1e-5

INPUTS = {
    "tokens": "embedding: {vocabulary: 9, dim: 3}",
    "masked tokens": "embedding: {vocabulary: 9, dim: 3, mask_zero: true}",
    "masked numbers": "input: {features: 3, mask_value: 0.5}",
    "numbers of a length": "input: {features: 3, length: 14}",
}
LSTM = "{type: lstm, units: 4}"
CONV = "{type: conv, filters: 5, kernel_size: 3"
STACKS = {
    "conv": f"[{CONV}, activation: {{leaky_relu: 0.2}}}}, {LSTM}]",
    "same": f"[{CONV}, padding: same, stride: 2, activation: softmax}}, {LSTM}]",
    "causal": f"[{CONV}, padding: causal, dilation: 2, bias: false}}, {{type: batch_norm}}, "
    f"{LSTM}]",
    "even": f"[{{type: conv, filters: 2, kernel_size: 4, padding: same, dilation: 2}}, {LSTM}]",
    "one step": f"[{{type: conv, filters: 2, kernel_size: 1, stride: 3, padding: same}}, {LSTM}]",
    "max": f"[{{type: max_pool, size: 3, stride: 2}}, {LSTM}, {{type: max_pool, size: 2}}]",
    "max same": f"[{{type: max_pool, size: 3, stride: 2, padding: same}}, {LSTM}]",
    "average": f"[{{type: average_pool, size: 2}}, {LSTM}, {{type: average_pool, size: 3}}]",
    "average same": f"[{{type: average_pool, size: 4, stride: 3, padding: same}}, {LSTM}]",
    "run": f"[{CONV}, activation: relu}}, {{type: batch_norm}}, {{type: max_pool, size: 2}}, "
    f"{CONV}, padding: same}}, {{type: activation, activation: {{clipped_relu: 0.3}}}}, "
    f"{{type: dense, units: 3, activation: tanh}}, {LSTM}]",
    "behind": f"[{LSTM}, {CONV}, padding: causal}}, {{type: layer_norm}}, "
    "{type: gru, units: 3, bidirectional: true}, {type: max_pool, size: 2, stride: 1}]",
    "norms": "[{type: batch_norm}, {type: gru, units: 3, layer_norm: true, residual: true}, "
    "{type: batch_norm, epsilon: 0.01}, {type: activation, activation: softmax}, "
    "{type: gru, units: 3, activation: silu}, {type: batch_norm}]",
    "join": f"[{{type: dense, units: 2, name: a}}, {CONV}, padding: same, name: b}}, "
    "{type: concat, of: [b, a]}, {type: lstm, units: 2, name: c}, {type: concat, of: [a, c, b]}]",
}
HEADS = {
    "as it is": "head: {pooling: none}",
    "several": "head: {pooling: [max, mean, {attention: {units: 2}}, {attention: {}}], "
    "hidden: [{units: 3}, {type: batch_norm}], units: 2}",
    "heads": "heads: {tags: {pooling: none, units: 2}, one: {pooling: sum}, all: {pooling: none}}",
}


def text_of(network_input: str, stack: str, head: str = "head: {pooling: mean}") -> str:
    return f"version: 1\nname: net\n{network_input}\nrnn: {stack}\n{head}\n"


def is_equal(text: str, form: Form = "inference") -> None:
    report = rnnspec.parity(
        rnnspec.loads(text), ["onnx"], level="forward", dtype="float32", form=form
    )
    assert report.equal, (text, report.differences)


STREAMS = {
    "conv": f"[{CONV}, padding: causal, activation: {{leaky_relu: 0.2}}}}, {LSTM}]",
    "conv of one step": f"[{{type: conv, filters: 2, kernel_size: 1, padding: causal}}, {LSTM}]",
    "two": f"[{CONV}, padding: causal, dilation: 3, bias: false}}, {{type: batch_norm}}, "
    f"{CONV}, padding: causal, name: x}}, {LSTM}, {{type: concat, of: [x, lstm_1]}}]",
    "behind": f"[{{type: dense, units: 2}}, {LSTM}, {CONV}, padding: causal}}, "
    "{type: activation, activation: softmax}]",
}


def test_the_last_inputs_are_a_state() -> None:
    text = text_of(INPUTS["masked numbers"], STREAMS["conv"], "head: {pooling: none}")
    model = rnnspec.build(rnnspec.loads(text), "onnx", seed=1, form="step")
    session = onnxruntime.InferenceSession(model.to_proto().SerializeToString())
    shapes = {input_.name: input_.shape for input_ in session.get_inputs()}
    assert shapes["conv_1_inputs"] == ["batch", 2, 3]
    assert session.get_outputs()[1].name == "conv_1_inputs_next"
    chunk = np.full((2, 3, 3), 0.5, np.float32)
    chunk[0, 1] = 7.0
    _, states = model.step(chunk)
    # A padded step has its place, and is zeros.
    np.testing.assert_array_equal(states["conv_1_inputs"][0], [[7.0] * 3, [0.0] * 3])
    np.testing.assert_array_equal(states["conv_1_inputs"][1], np.zeros((2, 3)))


WINDOWS = [
    f"{{type: {kind}: {size}, stride: {stride}, padding: {padding}}}"
    for kind, size, stride, padding in itertools.product(
        ("conv, filters: 2, kernel_size", "max_pool, size", "average_pool, size"),
        (1, 2, 5),
        (1, 2, 3),
        ("valid", "same"),
    )
]


@pytest.mark.parametrize("network_input", ["input: {features: 3}", INPUTS["masked numbers"]])
def test_windows_over_every_length(network_input: str) -> None:
    compared = 0
    for window in WINDOWS:
        text = text_of(network_input, f"[{window}, {LSTM}]", "head: {pooling: none}")
        program = pipeline.reads(text)
        if refusals(get("onnx"), program.network, "inference"):
            continue
        model = rnnspec.build(program.spec, "onnx", seed=1)
        arrays = {name: a.astype(np.float64) for name, a in rnnspec.read_weights(model).items()}
        for steps in range(least_steps(program.network), 10):
            batch = draw_input(program.network.input, np.random.default_rng(steps), steps)
            batch = batch.astype(np.float32)
            truth = reference.run(program.network, arrays, batch).output
            real = reference.masks(program.network, batch).get("lstm_1", ...)
            found = model(batch)
            assert found.shape == truth.shape
            assert np.isfinite(found).all()
            assert distance(found[real], truth[real]) < TOLERANCE, (window, steps)
            compared += 1
    assert compared > 200


@pytest.mark.parametrize(
    ("window", "reason"),
    [
        ("{type: conv, filters: 2, kernel_size: 3, dilation: 2, stride: 2", "has a dilation"),
        ("{type: conv, filters: 2, kernel_size: 2, stride: 3", "longer than the window"),
        ("{type: max_pool, size: 2, stride: 3", "longer than the window"),
    ],
)
def test_what_no_auto_pad_can_say_needs_a_length(window: str, reason: str) -> None:
    stack = f"[{window}, padding: same, name: w}}, {LSTM}]"
    program = pipeline.reads(text_of("input: {features: 2}", stack))
    (found,) = refusals(get("onnx"), program.network, "inference")
    assert (found.layer, found.key) == ("w", "padding")
    assert reason in found.reason
    assert found.reason.endswith("set 'input.length'")
    for length in range(4, 10):
        is_equal(text_of(f"input: {{features: 2, length: {length}}}", stack))


def test_too_few_steps() -> None:
    # ONNX Runtime would pool a part of a window.
    stack = f"[{{type: max_pool, size: 3}}, {LSTM}]"
    model = rnnspec.build(rnnspec.loads(text_of("input: {features: 2}", stack)), "onnx", seed=1)
    assert model(np.ones((1, 3, 2), np.float32)).shape == (1, 4)
    with pytest.raises(UsageError, match=r"expected \(batch, steps > 2, 2\), received \(1, 2, 2\)"):
        model(np.ones((1, 2, 2), np.float32))
    head = "head: {pooling: {last_steps: 3}}"
    text = text_of("input: {features: 2}", LSTM, head)
    whole = rnnspec.build(rnnspec.loads(text), "onnx", seed=1).to_proto()
    session = onnxruntime.InferenceSession(whole.SerializeToString())
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument):
        session.run(None, {"inputs": np.ones((1, 2, 2), np.float32)})


@cases("network_input, stack", [*itertools.product(INPUTS, STACKS)])
def test_the_input_of_each_layer_can_be_observed(network_input: str, stack: str) -> None:
    text = text_of(INPUTS[network_input], STACKS[stack], HEADS["several"])
    case = Case.of(pipeline.reads(text), 1, "float32")
    live = case.build(get("onnx"))
    case.reset(live)
    names = [layer.name for layer in case.network.layers]
    trace = live.runtime.trace(live.model, names, case.batch)
    assert list(trace.inputs) == names
    masks = reference.masks(case.network, case.batch)
    sources = {layer.name: layer.source for layer in case.network.layers}
    for before, name in zip([None, *names], names, strict=False):
        expected = case.truth.inputs[name]
        found, real = trace.inputs[name], masks.get(sources[name] or before or "", ...)
        if "concat" not in name:
            assert found.shape == expected.shape
            assert distance(found[real], expected[real]) < TOLERANCE, name


def nodes_of(text: str) -> list[Any]:
    from onnx import parser

    return list(parser.parse_model(rnnspec.codegen(rnnspec.loads(text), "onnx")).graph.node)


def test_one_pair_of_transposes_around_a_run() -> None:
    stack = (
        f"[{CONV}, activation: relu}}, {{type: batch_norm}}, {{type: max_pool, size: 2}}, "
        f"{CONV}}}, {{type: average_pool, size: 2}}, {{type: activation, activation: tanh}}, "
        f"{LSTM}]"
    )
    operators = [node.op_type for node in nodes_of(text_of("input: {features: 3}", stack))]
    assert operators == [
        *("Transpose", "Conv", "Relu", "BatchNormalization", "MaxPool"),
        *("Conv", "AveragePool", "Tanh", "Transpose", "LSTM", "Squeeze", "ReduceMean"),
    ]


def test_every_value_of_a_graph_is_used() -> None:
    # ONNX Runtime warns of constants that are not.
    for network_input, stack, head in itertools.product(INPUTS, STACKS, HEADS):
        text = text_of(INPUTS[network_input], STACKS[stack], HEADS[head])
        graph = onnx.parser.parse_model(rnnspec.codegen(rnnspec.loads(text), "onnx")).graph
        used = {name for node in graph.node for name in node.input}
        bodies = [
            attribute.g
            for node in graph.node
            for attribute in node.attribute
            if attribute.HasField("g")
        ]
        used |= {name for body in bodies for node in body.node for name in node.input}
        assert {each.name for each in (*graph.initializer, *graph.value_info)} <= used, text


TIED = "head: {pooling: none, units: 40, tied: true"
TIED_INPUT = "embedding: {vocabulary: 40, dim: 4, mask_zero: true}"


@pytest.mark.parametrize(
    "head", [f"{TIED}}}", f"{TIED}, bias: false}}", TIED.replace("none", "sum") + "}"]
)
def test_a_tied_kernel_is_the_array_of_the_embedding(head: str) -> None:
    text = text_of(TIED_INPUT, LSTM, head)
    is_equal(text)
    is_equal(text, "step")
    model = rnnspec.build(rnnspec.loads(text), "onnx", seed=1)
    stored = [each.name for each in model.to_proto().graph.initializer]
    assert "dense_1_W" not in stored
    assert stored.count("embedding_1_W") == 1
    before = model(np.array([[1, 2, 0]]))
    arrays = rnnspec.read_weights(model)
    # The vector of a token that is not in the batch is a column of the kernel.
    arrays["embedding_1.embeddings"][7] += 1.0
    rnnspec.write_weights(model, arrays)
    changed = model(np.array([[1, 2, 0]])) != before
    assert changed[..., 7].any()
    assert not np.delete(changed, 7, axis=-1).any()


def test_a_tied_kernel_is_that_of_the_rounded_embedding(tmp_path: Path) -> None:
    text = text_of("embedding: {vocabulary: 900, dim: 16}", "{type: lstm, units: 16}")
    text = text.replace("{pooling: mean}", "{pooling: none, units: 900, tied: true}")
    path = tmp_path / "net.onnx"
    built = build_model(
        pipeline.reads(text), get("onnx"), seed=1, output=Output(path), options={"quantize": "int8"}
    )
    assert built.equal[1] == "quantized to int8: embedding_1 and lstm_1; not dense_1"
    # One array for both, in bytes.
    assert path.stat().st_size < 900 * 16 * 2


def test_moving_arrays_are_not_trainable() -> None:
    text = text_of("input: {features: 3}", f"[{{type: batch_norm}}, {LSTM}]")
    model = rnnspec.build(rnnspec.loads(text), "onnx", seed=1)
    assert model.frozen == {"batch_norm_1_Mean", "batch_norm_1_Var"}
    counts = get("onnx").runtime.counts(model)
    assert (counts.non_trainable, counts.trainable) == (6, 6 + 128)


def test_outputs_have_the_names_of_the_heads(tmp_path: Path) -> None:
    text = text_of(INPUTS["masked tokens"], STACKS["run"], HEADS["heads"])
    path = tmp_path / "net.onnx"
    build_model(pipeline.reads(text), get("onnx"), seed=1, output=Output(path))
    session = onnxruntime.InferenceSession(path)
    assert [(output.name, output.shape) for output in session.get_outputs()] == [
        ("tags", ["batch", "output_steps", 2]),
        ("one", ["batch", 4]),
        ("all", ["batch", "output_steps", 4]),
    ]
    tokens = np.array([[1, 2, 3, 4, 5, 6, 0, 0]])
    outputs = get("onnx").runtime.open_original(path)(tokens)
    assert {name: output.shape for name, output in outputs.items()} == {
        "tags": (1, 3, 2),
        "one": (1, 4),
        "all": (1, 3, 4),
    }
    for name, output in zip(outputs, session.run(None, {"inputs": tokens}), strict=True):
        np.testing.assert_array_equal(outputs[name], output)


def test_one_named_head_is_a_mapping_too() -> None:
    text = text_of("input: {features: 2}", LSTM, "heads: {only: {pooling: none, units: 3}}")
    is_equal(text)
    model = rnnspec.build(rnnspec.loads(text), "onnx", seed=1)
    assert model(np.ones((2, 4, 2), np.float32))["only"].shape == (2, 4, 3)


SPOILT = text_of(
    "input: {features: 3, mask_value: 0.5, length: 12}",
    f"[{CONV}, padding: same, activation: {{leaky_relu: 0.2}}}}, {{type: batch_norm}}, "
    "{type: max_pool, size: 2}, {type: average_pool, size: 3, stride: 1, padding: same}, "
    f"{CONV}, padding: causal}}, {LSTM}]",
    "head: {pooling: {attention: {units: 3}}, units: 2, activation: {clipped_relu: 0.2}}",
)
UNMASKED = text_of(
    "input: {features: 3}",
    "[{type: average_pool, size: 2, padding: same, stride: 1}, {type: simple, units: 3}]",
    "head: {pooling: [sum, last], units: 2}",
)


@cases(
    "text, edit, layer",
    [
        (SPOILT, ("Where (Mask_NCW, Input_NCW, Zero)", "Identity (Input_NCW)"), "conv_1"),
        (SPOILT, ("alpha = 0.2>", "alpha = 0.3>"), "conv_1"),
        (SPOILT, ("pads = [1, 1]> (conv_1", "pads = [2, 0]> (conv_1"), "conv_1"),
        (SPOILT, ("epsilon = 0.001", "epsilon = 0.1"), "batch_norm_1"),
        (SPOILT, ("_1_Mean, batch_norm_1_Var", "_1_Var, batch_norm_1_Mean"), "batch_norm_1"),
        (SPOILT, ("batch_norm_1_NCW, Lowest)", "batch_norm_1_NCW, Zero)"), "max_pool_1"),
        (SPOILT, ("Step_1 = {1}", "Step_1 = {0}"), "average_pool_1"),
        (SPOILT, ("Div (average_pool_1_Total", "Mul (average_pool_1_Total"), "average_pool_1"),
        (SPOILT, ("pads = [2, 0]> (conv_2", "pads = [0, 2]> (conv_2"), "conv_2"),
        (SPOILT, ("_1_Score, Lowest", "_1_Score, Zero"), "attention_pooling_1"),
        (SPOILT, ("Softmax <axis = 0>", "Softmax <axis = 1>"), "attention_pooling_1"),
        (SPOILT, ("Clip (dense_1_Sum, Zero,", "Clip (dense_1_Sum, Lowest,"), "dense_1"),
        (UNMASKED, ("pads = [0, 1]", "pads = [1, 0]"), "average_pool_1"),
        (UNMASKED, ("AveragePool <", "AveragePool <count_include_pad = 1, "), "average_pool_1"),
        (UNMASKED, ("ReduceSum", "ReduceMean"), "sum_pooling_1"),
    ],
)
def test_a_file_that_differs_is_not_written(
    tmp_path: Path, text: str, edit: tuple[str, str], layer: str
) -> None:
    text += "initializers: {bias: {uniform: 1}, kernel: {uniform: 1}}\n"
    program, output = pipeline.reads(text), Output(tmp_path / "net.onnx")
    with source_edited("onnx", [edit]), pytest.raises(ParityError) as caught:
        build_model(program, get("onnx"), seed=1, output=output)
    assert [difference.layer for difference in caught.value.differences] == [layer]
    assert not list(tmp_path.iterdir())


FILES = (
    text_of(INPUTS["masked tokens"], STACKS["run"], HEADS["heads"]),
    text_of(INPUTS["masked numbers"], STACKS["join"], HEADS["several"]),
    text_of(TIED_INPUT, LSTM, f"{TIED}}}"),
)


@pytest.mark.parametrize("text", FILES)
def test_a_file_comes_back(tmp_path: Path, text: str) -> None:
    from rnnspec.importing.run import take

    path = tmp_path / "net.onnx"
    built = build_model(pipeline.reads(text), get("onnx"), seed=1, output=Output(path))
    taken = take(path)
    assert taken.text == text
    for name, array in rnnspec.read_weights(built.model).items():
        np.testing.assert_array_equal(taken.arrays[name], array)


def test_a_thousand_windows_behind_padding_are_source() -> None:
    conv = "- {type: conv, filters: 1, kernel_size: 2}\n" * 1000
    text = f"version: 1\nname: net\ninput: {{features: 1, mask_value: 0}}\nrnn:\n{conv}- {LSTM}\n"
    source = rnnspec.codegen(rnnspec.loads(text), "onnx", form="inference")
    assert source.count("= Conv") == 1000
