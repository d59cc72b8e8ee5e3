"""Graphs of layers in ONNX: named inputs, joins, states, and what begins a step form."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from graphs import ASKING, ATTENDING, GIVEN, JOINED, STREAMED, TRANSLATION
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get, refusals
from rnnspec.comparison.verify import Proof
from rnnspec.errors import UsageError
from rnnspec.ir import nodes
from rnnspec.ir.params import named_params
from rnnspec.models import saving
from rnnspec.models.building import Output

if TYPE_CHECKING:
    from pathlib import Path

    from rnnspec.ir.forms import Form

onnx: Any = import_later("onnx")
onnxruntime: Any = import_later("onnxruntime")

# A last output beside a state, and states that a Scan begins with in both directions.
SCANNED = """\
version: 1
name: scanned
input: {features: 3, mask_value: 0.5}
rnn:
  - {type: lstm, units: 2, activation: softplus, bidirectional: true, initial_state: learned}
head: {pooling: [last, mean]}
"""
PARTS = """\
version: 1
name: parts
inputs:
  a: {features: 3, mask_value: 0}
  b: {features: 2, per: sequence}
rnn:
  - {type: lstm, units: 2, of: a, initial_state: learned, name: cells}
  - {type: gru, units: 2, of: a, direction: backward, name: back}
  - {type: layer_norm, name: norm}
  - {type: pool, pooling: [last, mean], name: pooled}
  - {type: concat, of: [pooled, cells.cell, b]}
"""
WRITTEN: list[tuple[str, Form]] = [
    (text, form)
    for text in (ASKING, ATTENDING, GIVEN, STREAMED, TRANSLATION, SCANNED, PARTS)
    for form in get("onnx").forms
    if form == "inference" or text in {ATTENDING, GIVEN, STREAMED, TRANSLATION}
]


def write(text: str, form: Form, path: Path) -> Any:
    """Return a model whose files were compared with the reference, and checked by ONNX."""
    return write_program(pipeline.reads(text), form, path)


def write_program(program: pipeline.Program, form: Form, path: Path) -> Any:
    """Return the model of a program, like ``write``."""
    backend, text = get("onnx"), program.spec.document.text
    assert not refusals(backend, program.network, form)
    generated = pipeline.generate(program, backend, form)
    model, rng = pipeline.instantiate(generated, drawn=False), np.random.default_rng(3)
    # Learned states begin as zeros.
    arrays = {
        name: rng.uniform(0.1, 0.7, param.shape).astype(np.float32) * (-1) ** len(name)
        if not param.positive
        else rng.uniform(0.5, 1.0, param.shape).astype(np.float32)
        for name, _, param in named_params(program.network)
    }
    generated.store.write(model, arrays)
    proof = Proof(program, generated, arrays)
    saving.save(path, generated, text, model, force=False, verify=proof)
    return model


@pytest.mark.parametrize(("text", "form"), WRITTEN)
def test_a_graph_is_that_of_the_reference_and_comes_back(
    text: str, form: Form, tmp_path: Path
) -> None:
    from rnnspec.backends.onnx.read import READER

    path = tmp_path / "net.onnx"
    model = write(text, form, path)
    assert sorted(READER.files(path)) == sorted(tmp_path.iterdir())
    generated = pipeline.generate(pipeline.reads(text), get("onnx"), form)
    saved = READER.saved(path, generated.network)
    assert saved.problem(generated.text, object) == ""
    for name, array in saved.gather(generated.store.gather).items():
        np.testing.assert_array_equal(array, rnnspec.read_weights(model)[name])


def names_in(graph: Any) -> set[str]:
    """Return all that the nodes of a graph take."""
    bodies = [
        attribute.g
        for node in graph.node
        for attribute in node.attribute
        if attribute.HasField("g")
    ]
    names = {name for node in graph.node for name in node.input}
    return names.union(*map(names_in, bodies))


@pytest.mark.parametrize("text", [JOINED, TRANSLATION, GIVEN, PARTS, ATTENDING, ASKING])
def test_every_value_is_used(text: str) -> None:
    from rnnspec.backends.onnx.read import split_models

    forms = ("inference", "step") if text in {TRANSLATION, GIVEN, ATTENDING} else ("inference",)
    for form in forms:
        source = rnnspec.codegen(rnnspec.loads(text), "onnx", form=form)
        for part in split_models(source):
            graph = onnx.parser.parse_model(part).graph
            # The states after a Scan are outputs of it even if nothing takes them.
            nodes_of = [node for node in graph.node if node.op_type != "Scan"]
            made = {name for node in nodes_of for name in node.output if name}
            made |= {each.name for each in (*graph.initializer, *graph.value_info, *graph.input)}
            assert made <= names_in(graph) | {each.name for each in graph.output}


def test_a_session_begins_with_the_states_of_the_other_file(tmp_path: Path) -> None:
    write(TRANSLATION, "step", tmp_path / "net.onnx")
    begin, step = (
        onnxruntime.InferenceSession(tmp_path / name) for name in ("net_begin.onnx", "net.onnx")
    )
    assert [input_.name for input_ in begin.get_inputs()] == ["source"]
    states = [output.name for output in begin.get_outputs()]
    assert ["target", *states] == [input_.name for input_ in step.get_inputs()]
    first = dict(zip(states, begin.run(None, {"source": np.array([[2, 3, 0]])}), strict=True))
    names = [output.name for output in step.get_outputs()]
    outputs = dict(zip(names, step.run(None, {"target": np.array([[4]]), **first}), strict=True))
    assert outputs["dense_1"].shape == (1, 1, 7)
    held = {name for name in states if name.endswith("_value")}
    assert held
    assert set(outputs) == {"dense_1", *(f"{name}_next" for name in states if name not in held)}


def test_learned_states_begin_without_another_input() -> None:
    text = "version: 1\nname: net\ninput: {features: 2}\n"
    text += "rnn: {type: gru, units: 3, initial_state: learned}\nhead: {pooling: none}\n"
    model = rnnspec.build(rnnspec.loads(text), "onnx", form="step", seed=1)
    arrays = rnnspec.read_weights(model)
    (learned,) = (name for name in arrays if ".initial." in name)
    arrays[learned] = np.array([1.0, -2.0, 3.0])
    rnnspec.write_weights(model, arrays)
    session = onnxruntime.InferenceSession(model.to_proto(model.first).SerializeToString())
    (first,) = session.run(None, {"batch": np.array([2])})
    np.testing.assert_array_equal(first, [[1.0, -2.0, 3.0]] * 2)
    chunk = np.ones((2, 1, 2))
    np.testing.assert_array_equal(model.step(chunk)[0], model.step(chunk, {"gru_1_h": first})[0])


WORDS, POWER = np.ones((2, 4), int), np.ones((2, 4, 3))
BATCH = {"words": WORDS, "power": POWER, "plain": POWER[..., :1], "basin": np.ones((2, 2))}
BATCH["user"] = np.array([0, 4])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ""),
        ({"power": POWER[:, 1:]}, "power: expected 4 steps, as words has, received 3"),
        ({"basin": np.ones((3, 2))}, "basin: expected 2 sequences, as words has, received 3"),
        ({"user": np.array([0, 5])}, "user: expected tokens from 0 to 4, received 5"),
        ({"user": WORDS}, r"user: expected \(batch,\), received \(2, 4\)"),
        ({"other": WORDS}, "inputs: expected words, power, plain, basin, user, received words"),
    ],
)
def test_a_batch_by_names_is_checked(change: dict[str, Any], expected: str) -> None:
    model = rnnspec.build(rnnspec.loads(JOINED), "onnx", seed=1)
    if not expected:
        assert set(model({**BATCH, **change})) == {"one", "two", "three"}
        return
    with pytest.raises(UsageError, match=expected):
        model({**BATCH, **change})


def test_states_come_from_begin() -> None:
    model = rnnspec.build(rnnspec.loads(TRANSLATION), "onnx", form="step", seed=1)
    with pytest.raises(UsageError, match=r"states: expected those of model.begin, received none"):
        model.step(WORDS)
    with pytest.raises(UsageError, match="inputs of begin: expected source, received none"):
        model.begin()
    with pytest.raises(UsageError, match="expected inputs by name, words, power, plain"):
        rnnspec.build(rnnspec.loads(JOINED), "onnx", seed=1)(WORDS)


def test_a_memory_has_one_number_of_steps() -> None:
    text = """\
version: 1
name: net
inputs:
  source: {embedding: {vocabulary: 3, dim: 2, mask_zero: true}}
  target: {features: 2}
stream: target
rnn:
  - {type: gru, units: 3, of: source, name: encoder}
  - {type: gru, units: 3, of: target, name: decoder, initial_state: {of: encoder},
    attention: {over: encoder, score: additive, units: 2}}
head: {pooling: none}
"""
    model = rnnspec.build(rnnspec.loads(text), "onnx", form="step", seed=1)
    states, chunk = model.begin(source=[[1, 2, 0], [0, 0, 0]]), np.ones((2, 1, 2))
    assert states["encoder_mask"].tolist() == [[True, True, False], [False, False, False]]
    output, new_states = model.step(chunk, states)
    assert np.isfinite(output).all()
    assert all(new_states[name] is states[name] for name in ("encoder_value", "encoder_mask"))
    declared = {value.name: value for value in model.proto.graph.input}
    sizes = {name: declared[name].type.tensor_type.shape.dim[1].dim_param for name in states}
    memories = {name for name in states if name.endswith(("_value", "_mask"))}
    assert {name for name, size in sizes.items() if size == "source_steps"} == memories
    mask, keys = states["encoder_mask"], states["decoder_keys_value"]
    for name, value, message in (
        (
            "encoder_mask",
            mask[:, 1:],
            "encoder_mask: expected 3 steps, as encoder_value has, received 2",
        ),
        ("encoder_mask", mask * 1, "encoder_mask: expected true and false, received int64"),
        ("encoder_mask", mask[:1], r"expected the shape \(2, source_steps\), received \(1, 3\)"),
        ("decoder_keys_value", keys[:, :0], r"expected the shape \(2, source_steps, 2\)"),
    ):
        with pytest.raises(UsageError, match=message):
            model.step(chunk, {**states, name: value})


def test_inputs_of_begin_that_are_joined_have_equal_steps() -> None:
    text = """\
version: 1
name: net
inputs:
  one: {features: 2}
  other: {features: 2}
  target: {features: 2}
stream: target
rnn:
  - {type: add, of: [one, other], name: both}
  - {type: gru, units: 2, of: target, attention: {over: both, score: dot}}
head: {pooling: none}
"""
    model = rnnspec.build(rnnspec.loads(text), "onnx", form="step", seed=1)
    with pytest.raises(UsageError, match="other: expected 3 steps, as one has, received 2"):
        model.begin(one=np.ones((1, 3, 2)), other=np.ones((1, 2, 2)))


def test_given_states_are_those_after_padding_alone(tmp_path: Path) -> None:
    model = write(GIVEN, "inference", tmp_path / "net.onnx")
    states = {f"lstm_{n}_{part}": np.full((1, 3), n) for n in (1, 2) for part in "hc"}
    outputs = model({"input": np.full((1, 2, 2), 2.0), **states})
    for name, state in states.items():
        np.testing.assert_array_equal(outputs[f"{name}_next"], state)


def test_a_file_is_not_read_without_the_one_that_begins(tmp_path: Path) -> None:
    from rnnspec.backends.onnx.read import read_own_file

    path, begin = tmp_path / "net.onnx", tmp_path / "net_begin.onnx"
    write(TRANSLATION, "step", path)
    path.rename(tmp_path / "other.onnx")
    with pytest.raises(UsageError, match=r"net_begin.onnx: error: already exists"):
        Output(path).check(pipeline.reads(TRANSLATION), get("onnx"), "step")
    (tmp_path / "other.onnx").rename(path)
    with pytest.raises(UsageError, match="received the one that is run before it"):
        read_own_file(begin)
    begin.unlink()
    with pytest.raises(UsageError, match=r"expected net_begin.onnx beside it"):
        read_own_file(path)


def test_the_features_of_windows_are_normalized(tmp_path: Path) -> None:
    text = "version: 1\nname: net\ninput: {features: 3}\nrnn:\n"
    text += "- {type: conv, filters: 2, kernel_size: 2}\n- {type: normalize}\n"
    write(f"{text}- {{type: gru, units: 2}}\n", "inference", tmp_path / "net.onnx")


def test_a_norm_of_real_steps_is_the_output(tmp_path: Path) -> None:
    text = "version: 1\nname: net\ninput: {features: 3, mask_value: 0}\nrnn:\n"
    text += "- {type: gru, units: 2}\n- {type: instance_norm}\nhead: {pooling: none}\n"
    write(text, "inference", tmp_path / "net.onnx")


def test_a_last_output_is_zeros_where_no_step_is_real(tmp_path: Path) -> None:
    # A final state, which a spec has instead, would be the first one.
    program = pipeline.reads(SCANNED)
    ((name, final),) = program.network.ports.items()
    size = nodes.width(final.output)
    last = nodes.Pooling(
        name=name,
        input=(None, size),
        source=final.layer,
        statistic="last",
        masked=True,
        backward=size // 2,
    )
    sources, layers = program.network.sources, list[nodes.Layer]()
    for layer in program.network.layers:
        is_join = isinstance(layer, nodes.Join)
        layers.append(layer if is_join else replace(layer, source=sources[layer.name][0]))
        layers += [last] if layer.name == final.layer else []
    network = replace(program.network, layers=tuple(layers))
    write_program(replace(program, network=network), "inference", tmp_path / "net.onnx")
