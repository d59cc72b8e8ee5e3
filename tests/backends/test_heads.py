"""Heads of attention are those of ``nn.MultiheadAttention`` and of Keras, with their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from offered import import_later, require

from rnnspec import pipeline
from rnnspec.comparison import reference
from rnnspec.weights.initial import draw_scaled

torch, keras = import_later("torch"), import_later("keras")

SPEC = """\
version: 1
name: net
inputs:
  asks: {{features: 8}}
  keys: {{features: 3{padding}}}
  values: {{features: 3{padding}}}
rnn:
  - {{type: gru, units: 5, of: keys, name: read}}
  - {{type: attention, of: asks, over: read, values: keys, heads: 2, units: 8, name: a{more}}}
heads: {{one: {{of: a, pooling: none}}, two: {{of: values, pooling: none, units: 1}}}}
"""
BATCH = {
    name: np.random.default_rng(at).standard_normal((3, steps, size))
    for at, (name, steps, size) in enumerate(
        (("asks", 4, 8), ("keys", 5, 3), ("values", 5, 3)), start=1
    )
}
REAL = np.array([[1, 1, 1, 0, 0], [0, 1, 0, 1, 1], [1, 1, 1, 1, 1]], dtype=bool)
WEIGHTS = np.random.default_rng(4).standard_normal((3, 4, 8))
"""What the outputs are multiplied with, so that each has a gradient of its own."""
PARTS = ("query", "keys", "values")


def generated(backend: str, *, padding: bool, more: str = "") -> tuple[Any, Any, dict[str, Any]]:
    """Return a live model in float64, what moves its arrays, and these."""
    text = SPEC.format(padding=", mask_value: 0" if padding else "", more=more)
    program = pipeline.reads(text)
    made = pipeline.generate(program, require(backend), "training")
    live, arrays = pipeline.instantiate(made, "float64"), draw_scaled(program.network, 0)
    made.store.write(live, arrays)
    return live, made.store, arrays


def batch(*, padding: bool) -> dict[str, Any]:
    real = dict.fromkeys(("keys", "values"), REAL[..., np.newaxis] if padding else 1.0)
    return {name: array * real.get(name, 1.0) for name, array in BATCH.items()}


@pytest.mark.parametrize("padding", [False, True])
@pytest.mark.parametrize("bias", [True, False])
def test_equal_to_the_heads_of_pytorch(*, bias: bool, padding: bool) -> None:
    live, _, arrays = generated("torch", padding=padding, more="" if bias else ", bias: false")
    inputs = {name: torch.from_numpy(x) for name, x in batch(padding=padding).items()}
    theirs = torch.nn.MultiheadAttention(
        8, 2, bias=bias, kdim=5, vdim=3, batch_first=True, dtype=torch.float64
    )
    own = {part: theirs.get_parameter(f"{part[0]}_proj_weight") for part in PARTS}
    with torch.no_grad():
        for part, weight in own.items():
            weight.copy_(torch.from_numpy(arrays[f"a_{part}.kernel"].T))
        theirs.out_proj.weight.copy_(torch.from_numpy(arrays["a_output.kernel"].T))
        if bias:
            biases = np.concatenate([arrays[f"a_{part}.bias"] for part in PARTS])
            theirs.in_proj_bias.copy_(torch.from_numpy(biases))
            theirs.out_proj.bias.copy_(torch.from_numpy(arrays["a_output.bias"]))
    read = live.read(inputs["keys"], *([torch.from_numpy(REAL)] if padding else []))
    read = read if torch.is_tensor(read) else read[0]
    ignored = torch.from_numpy(~REAL) if padding else None
    expected, _ = theirs(inputs["asks"], read, inputs["keys"], key_padding_mask=ignored)
    output = live(**inputs)["one"]
    assert torch.abs(output - expected).max() < 1e-14
    weights = torch.from_numpy(WEIGHTS)
    (output * weights).sum().backward()
    (expected * weights).sum().backward(inputs=[*theirs.parameters()])
    pairs = [(live.get_parameter(f"a_{part}.weight"), own[part]) for part in PARTS]
    pairs.append((live.a_output.weight, theirs.out_proj.weight))
    for one, other in pairs:
        assert torch.abs(one.grad - other.grad).max() < 1e-13
        assert other.grad.abs().max() > 1e-2
    if bias:
        ours = torch.cat([live.get_parameter(f"a_{part}.bias").grad for part in PARTS])
        assert torch.abs(ours - theirs.in_proj_bias.grad).max() < 1e-13


@pytest.mark.parametrize("padding", [False, True])
def test_equal_to_the_heads_of_keras(*, padding: bool) -> None:
    live, _, arrays = generated("keras", padding=padding)
    if keras.backend.backend() != "tensorflow":
        pytest.skip("gradients are those of TensorFlow")
    tf = pytest.importorskip("tensorflow")
    inputs = {name: tf.constant(x) for name, x in batch(padding=padding).items()}
    # It casts 1 / sqrt(key_dim) by way of float32, which is exact for 4.
    theirs = keras.layers.MultiHeadAttention(2, 4, output_shape=8, dtype="float64")
    reader = keras.Model(live.inputs, live.get_layer("read").output)
    read = reader(inputs)
    mask = np.repeat(REAL[:, np.newaxis], 4, axis=1) if padding else None
    theirs(inputs["asks"], inputs["keys"], read)
    for name, dense in zip(PARTS, ("query", "key", "value"), strict=True):
        kernel, bias = (arrays[f"a_{name}.{array}"] for array in ("kernel", "bias"))
        getattr(theirs, f"{dense}_dense").set_weights(
            [kernel.reshape(-1, 2, 4), bias.reshape(2, 4)]
        )
    output_kernel = arrays["a_output.kernel"].reshape(2, 4, 8)
    theirs.output_dense.set_weights([output_kernel, arrays["a_output.bias"]])
    with tf.GradientTape(persistent=True) as tape:
        output = live(inputs)["one"]
        expected = theirs(inputs["asks"], inputs["keys"], read, attention_mask=mask)
        ours, other = tf.reduce_sum(output * WEIGHTS), tf.reduce_sum(expected * WEIGHTS)
    assert np.abs(output - expected).max() < 1e-14
    layers = [live.get_layer(f"a_{part}") for part in (*PARTS, "output")]
    denses = [theirs.query_dense, theirs.key_dense, theirs.value_dense, theirs.output_dense]
    for layer, dense in zip(layers, denses, strict=True):
        one = tape.gradient(ours, layer.trainable_variables[0].value)
        gradient = tape.gradient(other, dense.trainable_variables[0].value)
        assert np.abs(np.ravel(one) - np.ravel(gradient)).max() < 1e-13
        assert np.abs(gradient).max() > 1e-2


SELF = """\
version: 1
name: net
inputs: {text: {features: 8}, other: {features: 2}}
rnn:
  - {type: gru, units: 2, of: other}
  - {type: attention, of: text, over: text, heads: 2, units: 8, causal: true, name: a}
heads: {one: {of: a, pooling: none}, two: {of: gru_1}}
"""


def test_equal_to_the_causal_heads_of_both() -> None:
    program = pipeline.reads(SELF)
    arrays = draw_scaled(program.network, 0)
    x = np.random.default_rng(0).standard_normal((3, 5, 8))
    outputs = reference.run(program.network, arrays, {"text": x, "other": x[..., :2]}).outputs
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=True).double()
    kernels = np.concatenate([arrays[f"a_{part}.kernel"].T for part in PARTS])
    state = {
        "in_proj_weight": kernels,
        "in_proj_bias": np.concatenate([arrays[f"a_{part}.bias"] for part in PARTS]),
        "out_proj.weight": arrays["a_output.kernel"].T,
        "out_proj.bias": arrays["a_output.bias"],
    }
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    steps, later = torch.from_numpy(x), torch.ones(5, 5, dtype=torch.bool).triu(1)
    expected, _ = theirs(steps, steps, steps, attn_mask=later, is_causal=True)
    assert np.abs(outputs["a_output"] - expected.detach().numpy()).max() < 1e-14
    layer = keras.layers.MultiHeadAttention(2, 4, dtype="float64")
    layer(x, x, use_causal_mask=True)
    for name, dense in zip(PARTS, ("query", "key", "value"), strict=True):
        kernel, bias = (arrays[f"a_{name}.{array}"] for array in ("kernel", "bias"))
        getattr(layer, f"{dense}_dense").set_weights([kernel.reshape(-1, 2, 4), bias.reshape(2, 4)])
    output_kernel = arrays["a_output.kernel"].reshape(2, 4, 8)
    layer.output_dense.set_weights([output_kernel, arrays["a_output.bias"]])
    kept = keras.ops.convert_to_numpy(layer(x, x, use_causal_mask=True))
    assert np.abs(outputs["a_output"] - kept).max() < 1e-14


def test_parameters_are_counted_as_by_pytorch() -> None:
    live, _, arrays = generated("torch", padding=False)
    theirs = torch.nn.MultiheadAttention(8, 2, kdim=5, vdim=3)
    expected = sum(parameter.numel() for parameter in theirs.parameters())
    assert sum(array.size for name, array in arrays.items() if name.startswith("a_")) == expected
    own = (parameter for name, parameter in live.named_parameters() if name.startswith("a_"))
    assert sum(parameter.numel() for parameter in own) == expected


def test_heads_that_see_nothing_give_the_bias_of_the_output() -> None:
    """Where nothing is real, PyTorch's layer gives NaN, so ours is not that layer."""
    live, _, arrays = generated("torch", padding=True)
    inputs = {name: torch.from_numpy(x) for name, x in batch(padding=True).items()}
    inputs["keys"][1] = 0.0
    output = live(**inputs)["one"].detach()
    np.testing.assert_array_equal(output[1], np.tile(arrays["a_output.bias"], (4, 1)))
    theirs = torch.nn.MultiheadAttention(8, 2, kdim=3, vdim=3, batch_first=True).double()
    ignored = (inputs["keys"] == 0).all(dim=-1)
    expected, _ = theirs(*(inputs[name] for name in BATCH), key_padding_mask=ignored)
    assert expected[1].isnan().all()
