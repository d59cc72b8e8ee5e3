"""Models in step form, their batches, and the reference."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from offered import require

from rnnspec import pipeline
from rnnspec.backends import Backend, needs, refusals
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_input
from rnnspec.weights.initial import draw_scaled

STEP = needs.form("step")

LAYERS = """\
rnn:
  - {type: lstm, units: 4, layers: 2}
  - {type: gru, units: 4, layer_norm: true, residual: true}
  - {type: simple, units: 3, activation: relu}
  - {type: gru, units: 4, reset_after: false}
  - {type: lstm, units: 3, activation: softsign, recurrent_activation: hard_sigmoid}
"""
INPUTS = {
    "masked": "input: {features: 3, mask_value: -1.0, length: 9}",
    "features": "input: {features: 3}",
    "tokens": "embedding: {vocabulary: 7, dim: 3, mask_zero: true}",
}
HEADS = {
    "mean": "head: {pooling: mean, units: 2, normalize: l2}",
    "max": "head: {pooling: max, units: 2}",
    "list": "head: {pooling: [last, mean], units: 2}",
    "none": "head: {pooling: none, units: 2, activation: softmax}",
}
EACH = [
    ("masked", "max"),
    ("features", "mean"),
    ("tokens", "list"),
]


@dataclass(frozen=True)
class Stepped:
    """A model with arrays and a batch, which may have padding.

    It is in the first dtype of its backend, which is float64 if it has that.
    """

    backend: Backend
    program: pipeline.Program
    model: Any
    arrays: dict[str, Any]
    batch: Any

    @property
    def near(self) -> float:
        """The largest difference that rounding makes."""
        return 1e-12 if self.backend.dtypes[0] == "float64" else 2e-6

    def step(self, chunk: Any, states: Any = None) -> Any:
        return self.backend.runtime.step(self.model, chunk, states)

    def wanted(self, end: int) -> Any:
        """Return what the reference computes for the steps before ``end``."""
        return reference.run(self.program.network, self.arrays, self.batch[:, :end]).output


def stepped(backend: str, text: str) -> Stepped:
    program = pipeline.reads(text)
    chosen = require(backend, STEP)
    if refused := refusals(chosen, program.network, "step"):
        pytest.skip(f"{backend} refuses {refused[0].layer}: {refused[0].reason}")
    generated = pipeline.generate(program, chosen, "step")
    model = pipeline.instantiate(generated, chosen.dtypes[0])
    arrays = draw_scaled(program.network, 3)
    generated.store.write(model, arrays)
    batch = draw_input(program.network.input, np.random.default_rng(3))
    return Stepped(chosen, program, model, arrays, batch)


@cache
def each_of(backend: str, entrance: str, head: str) -> Stepped:
    return stepped(backend, f"version: 1\nname: net\n{INPUTS[entrance]}\n{LAYERS}{HEADS[head]}\n")
