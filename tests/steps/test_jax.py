"""The JAX source in step form: its states under ``nnx.jit`` and ``nnx.grad``, and their dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from offered import import_later
from steps.models import each_of, stepped

from rnnspec.comparison.levels import distance
from rnnspec.ir import forms

jax = import_later("jax")
nnx = import_later("flax.nnx")

TEXT = """\
version: 1
name: net
input: {features: 3}
rnn: [{type: lstm, units: 4}]
head: {pooling: mean, units: 1}
"""


def test_chunks_of_one_size_are_compiled_once() -> None:
    made = each_of("jax", "masked", "max")
    traced = []

    def step(model: Any, chunk: Any, states: Any) -> Any:
        traced.append(chunk.shape)
        return model(chunk, states)

    compiled = nnx.jit(step)
    with jax.enable_x64(True):
        states = made.model.initial_states(made.batch)
        assert states.keys() == {state.name for state in forms.states(made.program.network)}
        for start in (0, 3, 6):
            output, states = compiled(made.model, made.batch[:, start : start + 3], states)
            assert distance(np.asarray(output), made.wanted(start + 3)) < 1e-12
    assert len(traced) == 1


def test_gradients_flow_through_chunks() -> None:
    made = stepped("jax", TEXT)

    def chunked(model: Any) -> Any:
        _, states = model(made.batch[:, :4])
        output, _ = model(made.batch[:, 4:], states)
        return output.sum()

    with jax.enable_x64(True):
        found = nnx.jit(nnx.grad(chunked))(made.model)
        wanted = nnx.jit(nnx.grad(lambda model: model(made.batch)[0].sum()))(made.model)
        for one, other in zip(*map(jax.tree.leaves, (found, wanted)), strict=True):
            assert distance(np.asarray(one), np.asarray(other)) < 1e-10


@pytest.mark.parametrize("dtype", ["float16", "int32"])
def test_features_of_another_dtype_are_taken(dtype: str) -> None:
    made = stepped("jax", TEXT)
    chunk = np.rint(made.batch).astype(dtype)
    with jax.enable_x64(True):
        _, states = made.model(chunk)
        _, after = made.model(chunk, states)
    assert {state.dtype for state in after.values()} == {np.dtype("float64")}
