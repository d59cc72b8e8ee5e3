"""Padded steps in a loss: left out by Keras, and in PyTorch with the help of ``mask``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get

keras = import_later("keras")
torch = import_later("torch")

TOKENS = "embedding: {vocabulary: 9, dim: 3, mask_zero: true}"
NUMBERS = "input: {features: 3, mask_value: -1}"
# The network, the loss in Keras, and the loss in PyTorch.
PADDED = {
    "a probability at each step": (
        f"""\
{TOKENS}
rnn: {{type: lstm, units: 4}}
head: {{pooling: none, units: 1, activation: sigmoid}}""",
        "BinaryCrossentropy",
        "binary_cross_entropy_with_logits",
    ),
    "a class at each step": (
        f"""\
{NUMBERS}
rnn: {{type: gru, units: 3, residual: true, layer_norm: true}}
head: {{pooling: none, hidden: [{{units: 5, activation: tanh}}], units: 3, activation: softmax}}""",
        "SparseCategoricalCrossentropy",
        "cross_entropy",
    ),
    "no head": (
        f"""\
{NUMBERS}
rnn: {{type: simple, units: 2, bidirectional: true}}""",
        "MeanSquaredError",
        "mse_loss",
    ),
    "windows that leave fewer steps": (
        f"""\
{NUMBERS}
rnn:
- {{type: conv, filters: 4, kernel_size: 2, activation: relu}}
- {{type: max_pool, size: 3, stride: 2}}
- {{type: gru, units: 3}}
head: {{pooling: none, units: 3, activation: softmax}}""",
        "SparseCategoricalCrossentropy",
        "cross_entropy",
    ),
    "windows that keep the steps": (
        f"""\
{TOKENS}
rnn:
- {{type: conv, filters: 4, kernel_size: 3, dilation: 2, padding: causal, activation: relu}}
- {{type: average_pool, size: 2, stride: 1, padding: same}}
- {{type: layer_norm}}
- {{type: lstm, units: 2, bidirectional: true}}""",
        "MeanSquaredError",
        "mse_loss",
    ),
}
HEADS = f"""\
{NUMBERS}
rnn: [{{type: conv, filters: 4, kernel_size: 2, padding: same}}, {{type: gru, units: 3}}]
heads:
  kind: {{pooling: none, units: 3, activation: softmax}}
  value: {{pooling: none, units: 2}}
  whole: {{pooling: mean, units: 1}}"""
REPEATED = f"""\
{TOKENS}
rnn: [{{type: lstm, units: 4}}, {{type: repeat, steps: 6}}, {{type: gru, units: 2}}]"""
STEPS, RATE = 5, 0.5


def models(text: str) -> dict[str, Any]:
    """Return the model of each backend in float64, with the same arrays."""
    program = pipeline.reads(f"version: 1\nname: net\n{text}\n")
    arrays = rnnspec.read_weights(rnnspec.build(program.spec, "torch", seed=3))
    made = {
        name: pipeline.instantiate(pipeline.generate(program, get(name)), "float64")
        for name in ("keras", "torch")
    }
    for model in made.values():
        rnnspec.write_weights(model, arrays)
    return made


def batches(text: str, loss: str, width: int) -> list[tuple[Any, Any]]:
    """Return inputs with padding anywhere, and targets; all numbers are exact in float32."""
    rng = np.random.default_rng(4)
    found: list[tuple[Any, Any]] = []
    x: Any
    y: Any
    for _ in range(STEPS):
        if TOKENS in text:
            x = rng.integers(0, 3, (4, 6)) * rng.integers(1, 5, (4, 6))
        else:
            x = rng.integers(0, 16, (4, 6, 3)) / 8
            x[rng.random((4, 6)) < 0.4] = -1
        match loss:
            case "SparseCategoricalCrossentropy":
                y = rng.integers(0, 3, (4, 6))
            case "BinaryCrossentropy":
                y = rng.integers(0, 2, (4, 6, width)).astype(float)
            case _:
                y = rng.integers(-8, 8, (4, 6, width)) / 8
        found.append((x, y))
    return found


def arrays_after(text: str, loss: str, function: str, *, masked: bool) -> dict[str, Any]:
    """Return the trained arrays of each backend; if ``masked``, PyTorch uses real steps only."""
    made = models(text)
    model, net = made["keras"], made["torch"]
    model.compile(keras.optimizers.SGD(RATE), getattr(keras.losses, loss)(dtype="float64"))
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    loss_of, raw = getattr(torch.nn.functional, function), {"logits": True}
    for x, y in batches(text, loss, model.outputs[0].shape[-1]):
        inputs = torch.from_numpy(x)
        output = net(inputs, **(raw if "cross" in function else {}))
        targets = y[:, : output.shape[1]]
        model.train_on_batch(x, targets)
        target = torch.from_numpy(targets)
        real = net.mask(inputs) if masked else torch.ones(output.shape[:2], dtype=torch.bool)
        optimizer.zero_grad()
        loss_of(output[real], target[real]).backward()
        optimizer.step()
    return {name: rnnspec.read_weights(each) for name, each in made.items()}


def largest_difference(learnt: dict[str, Any]) -> float:
    pairs = zip(learnt["keras"].values(), learnt["torch"].values(), strict=True)
    return float(max(np.abs(one - other).max() for one, other in pairs))


@pytest.mark.parametrize("case", PADDED)
def test_a_loss_at_the_real_steps_trains_as_keras_does(case: str) -> None:
    text, loss, function = PADDED[case]
    assert largest_difference(arrays_after(text, loss, function, masked=True)) < 1e-9
    assert largest_difference(arrays_after(text, loss, function, masked=False)) > 1e-3


@pytest.mark.parametrize("masked", [True, False])
def test_the_losses_of_several_heads_train_as_in_keras(masked: bool) -> None:
    made = models(HEADS)
    model, net = made["keras"], made["torch"]
    entropy = keras.losses.SparseCategoricalCrossentropy(dtype="float64")
    squares = {name: keras.losses.MeanSquaredError(dtype="float64") for name in ("value", "whole")}
    model.compile(keras.optimizers.SGD(RATE), {"kind": entropy, **squares})
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    classes = batches(HEADS, "SparseCategoricalCrossentropy", 3)
    values = batches(HEADS, "MeanSquaredError", 2)
    for (x, of_kind), (_, of_value) in zip(classes, values, strict=True):
        of_whole = of_value[:, 0, :1]
        model.train_on_batch(x, {"kind": of_kind, "value": of_value, "whole": of_whole})
        inputs = torch.from_numpy(x)
        output = net(inputs)
        real = net.mask(inputs) if masked else torch.ones(x.shape[:2], dtype=torch.bool)
        entropy_of_kind = torch.nn.functional.nll_loss(
            output["kind"][real].log(), torch.from_numpy(of_kind)[real]
        )
        value = torch.nn.functional.mse_loss(
            output["value"][real], torch.from_numpy(of_value)[real]
        )
        whole = torch.nn.functional.mse_loss(output["whole"], torch.from_numpy(of_whole))
        optimizer.zero_grad()
        (entropy_of_kind + value + whole).backward()
        optimizer.step()
    difference = largest_difference(
        {name: rnnspec.read_weights(each) for name, each in made.items()}
    )
    assert difference < 1e-9 if masked else difference > 1e-3


def test_what_a_repeat_gives_has_no_padding() -> None:
    learnt = arrays_after(REPEATED, "MeanSquaredError", "mse_loss", masked=False)
    assert largest_difference(learnt) < 1e-9
    assert not hasattr(models(REPEATED)["torch"], "mask")
