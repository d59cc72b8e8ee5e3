"""Graphs of layers in Keras: masks of joins, first and final states, and both files of steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from graphs import JOINS
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.models import saving
from rnnspec.models.building import Output, build_model

if TYPE_CHECKING:
    from pathlib import Path

keras = import_later("keras")

MASKED = """\
    left_mask = keras.ops.any(keras.ops.not_equal(inputs["left"], 0.0), axis=-1)
    right_mask = keras.ops.any(keras.ops.not_equal(inputs["right"], 0.0), axis=-1)
    x = keras.layers.Concatenate(name="side")(
        [left, right, repeat_like(inputs["basin"], left)]
    )
    side_mask = keras.ops.logical_and(left_mask, right_mask)
    reader = keras.layers.GRU(4, return_sequences=True, name="reader")(
        x, mask=side_mask
    )
    total = keras.layers.Add(name="total")(
        [left, same_steps(right, left), keras.ops.expand_dims(inputs["basin"], 1)]
    )
"""
STREAM = """\
version: 1
name: stream
inputs:
  words: {embedding: {vocabulary: 9, dim: 3, mask_zero: true}}
  spoken: {embedding: words}
stream: spoken
rnn:
- {type: lstm, of: words, units: 4, name: encoder}
- {type: concat, of: [spoken, encoder.cell], name: both}
- {type: conv, filters: 3, kernel_size: 3, padding: [2, 0]}
- {type: lstm, units: 4, initial_state: {of: encoder}, name: trunk}
- {type: gru, units: 3, initial_state: learned}
heads:
  whole: {pooling: mean, units: 2}
  each: {of: trunk, pooling: none, units: 2}
"""


def load(text: str) -> Any:
    return rnnspec.loads(text)


def test_a_join_passes_the_steps_on_that_are_real_in_all_parts() -> None:
    assert MASKED in rnnspec.codegen(load(JOINS), "keras")


def test_a_mask_that_keras_passes_on_is_no_argument() -> None:
    one = "rnn:\n- {type: concat, of: [left, left], name: side}\n- {type: gru, units: 2}\n"
    text = JOINS[: JOINS.index("  right")] + one
    assert "mask=" not in rnnspec.codegen(load(text), "keras")


def test_sequences_of_a_sum_have_equal_steps() -> None:
    model = rnnspec.build(
        load(JOINS.replace("concat, of: [left, right,", "concat, of: [left,")), "keras"
    )
    batch = {"left": np.ones((2, 5, 3)), "right": np.ones((2, 1, 3)), "basin": np.ones((2, 3))}
    # Keras alone would repeat the only step.
    with pytest.raises(Exception, match=r"(?s)must be equal.*\[2,1,3\].*\[2,5,0\]"):
        model(batch)


def test_the_first_states_of_a_step_form_have_a_file_of_their_own(tmp_path: Path) -> None:
    program, backend, path = pipeline.reads(STREAM), get("keras"), tmp_path / "own.keras"
    # Compares the loaded files with the reference.
    built = build_model(program, backend, "step", 3, Output(path))
    assert {file.name for file in tmp_path.iterdir()} == {"own.keras", "own_begin.keras"}
    *_, load_model, load_begin = saving.loading(path, built.generated)
    space: dict[str, Any] = {"keras": keras}
    exec(f"{load_model}\n{load_begin}", space)
    words, spoken = np.array([[3, 0, 5, 1]]), np.array([[2, 4, 0, 7, 8]])
    states = space["begin"].predict_on_batch({"words": words})
    outputs = [
        states := space["model"].predict_on_batch(
            {"spoken": chunk} | names_of(space["model"], states)
        )
        for chunk in (spoken[:, :2], spoken[:, 2:])
    ]
    whole = rnnspec.build(program.spec, "keras", seed=3)({"words": words, "spoken": spoken})
    np.testing.assert_allclose(outputs[-1]["whole"], whole["whole"], atol=1e-6)
    each = np.concatenate([output["each"] for output in outputs], axis=1)
    real = spoken != 0
    np.testing.assert_allclose(each[real], np.asarray(whole["each"])[real], atol=1e-6)


def names_of(model: Any, outputs: Any) -> dict[str, Any]:
    """Return the states among the outputs of a model."""
    return {name: outputs[name] for name in model.input if name in outputs}


def test_shared_vectors_are_written_into_both_models() -> None:
    model = rnnspec.build(load(STREAM), "keras", seed=3, form="step")
    arrays = [part.get_layer("words_embedding").embeddings for part in (model, model.begin.model)]
    first, second = map(np.asarray, arrays)
    np.testing.assert_array_equal(first, second)
    assert (
        rnnspec.read_weights(model).keys()
        == rnnspec.read_weights(rnnspec.build(load(STREAM), "keras", seed=3)).keys()
    )


def test_named_outputs_are_compared_in_their_order() -> None:
    from rnnspec.backends.keras.gradients import join

    outputs = {"a": np.ones((1, 2)), "b": np.zeros((1, 1))}
    np.testing.assert_array_equal(join(outputs, ["b", "a"]), [[0, 1, 1]])


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("name: trunk", "name: spoken_masking", "spoken_masking"),
        ("whole: {", "trunk_h: {", "trunk_h"),
    ],
)
def test_names_of_layers_of_keras_and_of_states_are_taken(old: str, new: str, name: str) -> None:
    text = STREAM.replace("of: trunk,", "of: both,").replace(old, new)
    text = text.replace("spoken: {embedding: words}", "spoken: {features: 3, mask_value: 0}")
    network = pipeline.reads(text).network
    refusals = get("keras").emitter.refusals(network, "step")
    assert [refusal.layer for refusal in refusals] == [name]
