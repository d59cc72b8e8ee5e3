"""The reference's attention is a plain softmax, before or after the cell, and has gradients."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from graphs import ATTENDING

from rnnspec import pipeline
from rnnspec.comparison import reference
from rnnspec.comparison.case import Case
from rnnspec.comparison.training import _directions, directional_derivatives
from rnnspec.ir import nodes
from rnnspec.weights.initial import draw_scaled

SCORES = ("dot", "scaled_dot", "general", "additive")
BATCH = {
    "source": np.random.default_rng(1).standard_normal((4, 5, 3)),
    "target": np.random.default_rng(2).standard_normal((4, 6, 3)),
}
# Padding on the right, inside, everywhere, and nowhere.
REAL = np.array([[1, 1, 1, 0, 0], [1, 0, 1, 1, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=bool)
BATCH["source"][~REAL] = 0.0
BATCH["target"][1, 4:] = BATCH["target"][2, 1] = 0.0


def network(*layers: dict[str, Any]) -> nodes.Network:
    masked = {"features": 3, "mask_value": 0}
    inputs = {"source": masked, "target": masked}
    spec = {"version": 1, "name": "net", "inputs": inputs, "rnn": layers}
    return pipeline.reads(json.dumps(spec)).network


def scored(score: str) -> dict[str, Any]:
    units = {"units": 2} if score == "additive" else {}
    return {"over": "source", "score": score, **units}


def context_of(query: Any, steps: Any, arrays: dict[str, Any], score: str, prefix: str) -> Any:
    """Return the context of one query, by the formulas in the reference of the language."""
    project = arrays.get("layer_query.kernel", arrays.get(f"{prefix}.kernel"))
    scores = []
    for step in steps:
        match score:
            case "dot":
                scores.append(query @ step)
            case "scaled_dot":
                scores.append(query @ step / np.sqrt(len(step)))
            case "general":
                scores.append(query @ project @ step)
            case _:
                key = step @ arrays["layer_keys.kernel"] + arrays["layer_keys.bias"]
                scores.append(np.tanh(query @ project + key) @ arrays[f"{prefix}.score"][:, 0])
    weights = np.exp(scores)
    return sum((w * m for w, m in zip(weights, steps, strict=True)), np.zeros(3)) / (
        weights.sum() or 1.0
    )


@pytest.mark.parametrize("queries", ["sequence", "vector"])
@pytest.mark.parametrize("score", SCORES)
def test_a_context_is_the_mean_of_the_real_steps_by_the_softmax_of_their_scores(
    score: str, queries: str
) -> None:
    gru = {"type": "gru", "units": 3, "of": "target", "name": "decoder"}
    of = "decoder" if queries == "sequence" else "decoder.state"
    attention = {"type": "attention", "of": of, "name": "layer", **scored(score)}
    own = network(gru, attention)
    arrays = draw_scaled(own, 0)
    trace = reference.run(own, arrays, BATCH)
    state = trace.states["decoder_h"][:, np.newaxis]
    asked = trace.outputs["decoder"] if queries == "sequence" else state
    expected = [
        [context_of(query, steps[real], arrays, score, "layer") for query in row]
        for row, steps, real in zip(asked, BATCH["source"], REAL, strict=True)
    ]
    actual = trace.outputs["layer"].reshape(np.shape(expected))
    np.testing.assert_allclose(actual, expected, atol=1e-14)
    assert not actual[2].any()


@pytest.mark.parametrize("score", SCORES)
def test_a_layer_asks_with_its_state_before_the_step(score: str) -> None:
    """A decoder in plain lines, that of Bahdanau; its cell is the simple one."""
    simple = {"type": "simple", "units": 3, "of": "target", "name": "layer"}
    own = network({**simple, "attention": scored(score)})
    arrays = draw_scaled(own, 0)
    kernel, recurrent = arrays["layer.kernel"], arrays["layer.recurrent_kernel"]
    bias, output = arrays["layer.bias"], reference.run(own, arrays, BATCH).output
    for row, (steps, real) in enumerate(zip(BATCH["source"], REAL, strict=True)):
        h = np.zeros(3)
        for t, x in enumerate(BATCH["target"][row]):
            context = context_of(h, steps[real], arrays, score, "layer.attention")
            moved = np.tanh(np.concatenate([x, context]) @ kernel + h @ recurrent + bias)
            h = moved if x.any() else h
            np.testing.assert_allclose(output[row, t], h, atol=1e-13)


def test_the_state_after_a_step_asks_as_that_before_the_next_one() -> None:
    """The layer behind a decoder, that of Luong, is a step ahead of the key, that of Bahdanau."""
    simple = {"type": "simple", "units": 3, "of": "target", "name": "layer"}
    after = {"type": "attention", "name": "after", **scored("scaled_dot")}
    both = {"type": "concat", "of": ["layer.context", "after"]}
    own = network({**simple, "attention": scored("scaled_dot")}, after, both)
    outputs = reference.run(own, draw_scaled(own, 0), BATCH).outputs
    before, behind = outputs["layer_context"], outputs["after"]
    np.testing.assert_allclose(before[:, 1:], behind[:, :-1], atol=1e-14)
    # The first state is zeros, to which all steps are alike.
    mean = BATCH["source"].sum(axis=1) / np.maximum(REAL.sum(axis=1, keepdims=True), 1)
    np.testing.assert_allclose(before[:, 0], mean, atol=1e-14)
    assert np.abs(before - behind).max() > 1e-2


def test_each_array_of_an_attention_has_the_gradient_of_small_differences() -> None:
    """Complex steps go through keys, weights and contexts, also where nothing is real."""
    case = Case.of(pipeline.reads(ATTENDING), 0, "float64")
    exact = directional_derivatives(case)

    def loss(name: str, step: Any) -> float:
        arrays = {**case.arrays, name: case.arrays[name] + step}
        output = reference.run(case.network, arrays, case.batch, training=True).output
        return float(np.sum(case.weight * (output - case.target) ** 2) / 2.0)

    for name, direction in _directions(case):
        ahead, back = (loss(name, sign * 1e-6 * direction) for sign in (1.0, -1.0))
        assert abs((ahead - back) / 2e-6 - exact[name]) < 1e-6, name
        assert exact[name] != 0.0, name
