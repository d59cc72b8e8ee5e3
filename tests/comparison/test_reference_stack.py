"""The reference's layers beside the recurrent ones: masks on random specs, and values of others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from cases import cases

from rnnspec import pipeline
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_batch, steps_to_draw
from rnnspec.ir import nodes
from rnnspec.ir.forms import for_inference
from rnnspec.ir.params import named_params
from rnnspec.weights.initial import draw_scaled
from rnnspec_random.layers import Words
from rnnspec_random.strategies import sample, spec_text, specs


def network(
    layers: list[dict[str, Any]],
    head: dict[str, Any] | None = None,
    data: Mapping[str, Any] = MappingProxyType({"features": 3}),
) -> nodes.Network:
    spec: dict[str, Any] = {"version": 1, "name": "net", "input": dict(data), "rnn": layers}
    return pipeline.reads(json.dumps(spec | ({"head": head} if head else {}))).network


@cache
def padded_specs() -> list[Words]:
    """Return random specs whose padded tokens have a vector that nothing else uses."""
    return [
        spec
        for spec in sample(specs(graph=False), 700)
        if spec.get("embedding", {}).get("mask_zero")
        and not any(
            "tied" in head for head in (spec.get("head", {}), *spec.get("heads", {}).values())
        )
    ]


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_what_a_padded_step_holds_never_reaches_a_real_one(*, training: bool) -> None:
    seen = set[str]()
    for spec in padded_specs():
        padded = pipeline.reads(spec_text(spec)).network
        batch = draw_batch(padded, np.random.default_rng(1), steps_to_draw(padded))
        results = []
        for value in (0.5, -40.0):
            arrays = draw_scaled(padded, 0)
            arrays[f"{padded.layers[0].name}.embeddings"][0] = value
            with np.errstate(all="ignore"):
                result = reference.run(padded, arrays, batch, training=training)
            results.append({**reference.outputs(padded, result, batch), **result.moved})
        moving = {name for name, _, p in named_params(padded) if p.learned_from == "batches"}
        assert result.moved.keys() == (moving if training else set())
        # The vectors themselves differ, and what is joined with them.
        for name in (padded.layers[-1].name, *result.moved):
            assert np.array_equal(results[0][name], results[1][name], equal_nan=True), (spec, name)
        seen |= {type(layer).__name__ for layer in padded.layers if getattr(layer, "masked", False)}
    assert seen >= {
        "Conv",
        "WindowPooling",
        "BatchNorm",
        "Pooling",
        "AttentionPooling",
        "Recurrent",
    }


def test_a_network_for_inference_is_the_same_without_dropout() -> None:
    for spec in sample(specs(), 200):
        whole = pipeline.reads(spec_text(spec)).network
        arrays = draw_scaled(whole, 0)
        batch = draw_batch(whole, np.random.default_rng(1), steps_to_draw(whole))
        with np.errstate(all="ignore"):
            one, other = (
                reference.run(each, arrays, batch) for each in (whole, for_inference(whole))
            )
        assert np.array_equal(one.output, other.output, equal_nan=True)


@cases(("mask_value", "real"), [(None, [0, 1, 2, 3, 4]), (2.0, [0, 2, 3]), (2.0, [])])
def test_an_instance_norm_is_over_the_real_steps(mask_value: float | None, real: list[int]) -> None:
    layers = [{"type": "instance_norm", "epsilon": 0.5}, {"type": "gru", "units": 2}]
    data = {"features": 3} | ({} if mask_value is None else {"mask_value": mask_value})
    normed = network(layers, data=data)
    arrays, x = draw_scaled(normed, 0), np.random.default_rng(0).normal(size=(1, 5, 3))
    x[:, [step for step in range(5) if step not in real]] = 2.0
    steps = x[0, real] if real else np.zeros((1, 3))
    expected = (x[0] - steps.mean(axis=0)) / np.sqrt(steps.var(axis=0) + 0.5)
    expected = arrays["instance_norm_1.gamma"] * expected + arrays["instance_norm_1.beta"]
    output = reference.run(normed, arrays, x).outputs["instance_norm_1"][0]
    assert np.allclose(output, expected, atol=1e-14)


WINDOWS = [
    (size, stride, dilation, padding)
    for size, stride, dilation, padding in product(
        (1, 2, 3, 4), (1, 2, 3), (1, 2), ("valid", "same", "causal")
    )
    if dilation == 1 or (size > 1 and stride == 1)
]


@cases("size, stride, dilation, padding", WINDOWS)
def test_a_convolution_is_that_of_keras(
    size: int, stride: int, dilation: int, padding: str
) -> None:
    keras = pytest.importorskip("keras")
    conv = {"type": "conv", "filters": 2, "kernel_size": size, "stride": stride}
    conv |= {"dilation": dilation, "padding": padding}
    net = network([conv, {"type": "gru", "units": 1}])
    arrays, x = draw_scaled(net, 0), np.random.default_rng(1).standard_normal((2, 9, 3))
    layer = keras.layers.Conv1D(
        2, size, strides=stride, dilation_rate=dilation, padding=padding, dtype="float64"
    )
    layer.build(x.shape)
    layer.set_weights([arrays["conv_1.kernel"], arrays["conv_1.bias"]])
    result = reference.run(net, arrays, x).outputs["conv_1"]
    np.testing.assert_allclose(result, keras.ops.convert_to_numpy(layer(x)), atol=1e-12)


@cases(
    "kind, size, stride, padding",
    [*product(("max_pool", "average_pool"), (1, 2, 3, 4), (1, 2, 3), ("valid", "same"))],
)
def test_a_pool_is_that_of_keras(kind: str, size: int, stride: int, padding: str) -> None:
    keras = pytest.importorskip("keras")
    pool = {"type": kind, "size": size, "stride": stride, "padding": padding}
    net = network([pool, {"type": "gru", "units": 1}])
    arrays, x = draw_scaled(net, 0), np.random.default_rng(1).standard_normal((2, 9, 3))
    class_ = "MaxPooling1D" if kind == "max_pool" else "AveragePooling1D"
    layer = getattr(keras.layers, class_)(size, stride, padding, dtype="float64")
    result = reference.run(net, arrays, x).outputs[f"{kind}_1"]
    np.testing.assert_allclose(result, keras.ops.convert_to_numpy(layer(x)), atol=1e-12)


def test_a_batch_norm_is_that_of_keras_in_training() -> None:
    keras = pytest.importorskip("keras")
    net = network([{"type": "batch_norm", "momentum": 0.7}, {"type": "gru", "units": 1}])
    arrays, x = draw_scaled(net, 0), np.random.default_rng(1).standard_normal((4, 9, 3))
    layer = keras.layers.BatchNormalization(momentum=0.7, dtype="float64")
    layer.build(x.shape)
    own = [f"batch_norm_1.{key}" for key in ("gamma", "beta", "moving_mean", "moving_variance")]
    layer.set_weights([arrays[name] for name in own])
    result = reference.run(net, arrays, x, training=True)
    y = keras.ops.convert_to_numpy(layer(x, training=True))
    np.testing.assert_allclose(result.outputs["batch_norm_1"], y, atol=1e-12)
    for name, moved in zip(own[2:], layer.get_weights()[2:], strict=True):
        np.testing.assert_allclose(result.moved[name], moved, atol=1e-12)


def test_attention_by_hand() -> None:
    head = {"pooling": {"attention": {"units": 2, "activation": "relu"}}}
    net = network([{"type": "simple", "units": 2}], head)
    x = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    arrays = {
        "simple_rnn_1.kernel": np.eye(3)[:, :2],
        "simple_rnn_1.recurrent_kernel": np.zeros((2, 2)),
        "simple_rnn_1.bias": np.zeros(2),
        "attention_pooling_1.kernel": np.diag([2.0, -1.0]),
        "attention_pooling_1.bias": np.array([0.0, 0.5]),
        "attention_pooling_1.query": np.array([[1.0], [3.0]]),
    }
    one = np.tanh(1.0)
    # relu(2 tanh(1)) + 3 relu(0.5) at the first step, 3 relu(0.5 - tanh(1)) = 0 at the second.
    scores = np.array([2.0 * one + 1.5, 0.0])
    weights = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(reference.run(net, arrays, x).output, [weights * one], atol=1e-15)
