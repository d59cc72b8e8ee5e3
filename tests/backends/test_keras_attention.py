"""Attention in Keras beside the layers that Keras has, and in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from graphs import ATTENDING
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.models.building import Output, build_model

if TYPE_CHECKING:
    from pathlib import Path

keras = import_later("keras")

ASKED = """\
version: 1
name: asked
inputs:
  queries: {{features: 3}}
  memory: {{features: 3{padding}}}
stream: queries
rnn:
  - {{type: simple, units: 3, of: queries, name: reader}}
  - {{type: attention, of: reader, over: memory, score: {dot}, name: dot}}
  - {{type: attention, of: reader, over: memory, score: additive, units: 4, name: additive}}
heads: {{dots: {{of: dot, pooling: none}}, sums: {{of: additive, pooling: none}}}}
"""
STOCK = '    dot = keras.layers.Attention(name="dot")([reader, inputs["memory"]])\n'


def loads(*, padding: str = "", dot: str = "dot") -> rnnspec.Spec:
    return rnnspec.loads(ASKED.format(padding=padding, dot=dot))


@pytest.mark.parametrize("padding", ["", ", mask_value: 0"])
def test_equal_to_the_layers_of_keras_where_a_step_is_real(padding: str) -> None:
    model = rnnspec.build(loads(padding=padding, dot="scaled_dot"), "keras", seed=1)
    random = np.random.default_rng(0)
    queries, memory = random.normal(size=(4, 3, 3)), random.normal(size=(4, 6, 3))
    real = random.random((4, 6)) > 0.4
    real[:, 2] = True
    memory *= real[:, :, None] if padding else 1.0
    batch = {"queries": queries.astype(np.float32), "memory": memory.astype(np.float32)}
    outputs = model(batch)
    layers = {layer.name: layer for layer in model.layers}
    asked = layers["reader"](batch["queries"])
    mask = [None, keras.ops.convert_to_tensor(real)] if padding else None
    dot, additive = keras.layers.Attention(use_scale=True), keras.layers.AdditiveAttention()
    sums = [
        layers["additive_query"](asked),
        batch["memory"],
        layers["additive_keys"](batch["memory"]),
    ]
    dot.build([(4, 3, 3), (4, 6, 3)])
    additive.build([tuple(part.shape) for part in sums])
    dot.scale.assign(3**-0.5)
    additive.scale.assign(layers["additive"].kernel[:, 0])
    expected = {
        "dots": dot([asked, batch["memory"]], mask=mask),
        "sums": additive(sums, mask=mask),
    }
    for name, output in expected.items():
        np.testing.assert_allclose(outputs[name], output, rtol=0.0, atol=1e-6)


def test_the_layer_of_keras_is_written_where_it_means_the_same() -> None:
    assert STOCK in rnnspec.codegen(loads(), "keras")
    for other in (loads(padding=", mask_value: 0"), loads(dot="scaled_dot")):
        assert "keras.layers.Attention" not in rnnspec.codegen(other, "keras")


# Keras warns of a memory of one step, whose weight is always 1.
@pytest.mark.filterwarnings("ignore:(?s).*softmax over axis:UserWarning")
def test_files_hold_what_a_layer_attends_with(tmp_path: Path) -> None:
    # Compares the loaded files with the reference.
    output = Output(tmp_path / "own.keras")
    built = build_model(pipeline.reads(ATTENDING), get("keras"), "step", 3, output)
    assert "equal" in built.equal[0]
