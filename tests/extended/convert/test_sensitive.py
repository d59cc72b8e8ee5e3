"""Networks that amplify rounding: right models are converted, and faults in them are found."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from mutation import slots_edited, source_edited
from offered import require
from safetensors.numpy import save_file

from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.comparison import reference
from rnnspec.comparison.verify import Proof, batches, case_of
from rnnspec.errors import ParityError
from rnnspec.ir.params import named_params
from rnnspec.models import saving

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array

Run = Callable[..., Any]
REAL = """\
version: 1
name: net
embedding: {vocabulary: 100, dim: 32}
input: {length: 256}
rnn: {type: lstm, units: 128}
head: {pooling: none, units: 4, activation: softmax}
"""
CHAOTIC = """\
version: 1
name: net
input: {length: 250, features: 3}
rnn:
- {type: lstm, units: 24, layer_norm: true}
- {type: gru, units: 16}
head: {units: 2}
"""


def sensitive(text: str, strength: float) -> dict[str, Array]:
    """Return arrays with recurrent kernels as strong as those of a trained model, or stronger."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, _, param in named_params(pipeline.reads(text).network):
        scale = {2: param.shape[0] ** -0.5, 1: 0.5}[len(param.shape)]
        if name.endswith("recurrent_kernel"):
            scale *= strength
        if name.endswith("embeddings"):
            scale = 1.0
        arrays[name] = (scale * rng.standard_normal(param.shape)).astype(np.float32)
    return arrays


def cost(text: str, arrays: dict[str, Array]) -> float:
    """Return how far the reference in float32 is from itself in float64."""
    network = pipeline.reads(text).network
    batch = next(batches(network))
    assert isinstance(batch, np.ndarray)
    rounded = batch if batch.dtype.kind == "i" else batch.astype(np.float32)
    truth = case_of(pipeline.reads(text), arrays, batch).truth.inputs["dense_1"]
    found = reference.run(network, arrays, rounded).inputs["dense_1"]
    assert found.dtype == np.float32
    return float(np.abs(found - truth).max())


def equal(ran: Any) -> tuple[float, str]:
    """Return the largest difference of a conversion, and what was compared as well."""
    assert (ran.code, ran.err) == (0, "")
    (line,) = (each for each in ran.out.splitlines() if each.startswith("equal to the NumPy "))
    _, _, found = line.partition(": largest difference ")
    found, _, as_well = found.partition(" ")
    return float(found), as_well


def test_a_trained_lstm_over_many_steps(run: Run) -> None:
    require("keras")
    arrays = sensitive(REAL, 3.9)
    assert 1e-5 < cost(REAL, arrays) < 1e-3
    save_file(arrays, "in.safetensors", metadata={"rnnspec": REAL})
    equal(run("convert", "in.safetensors", "in.keras"))
    for target in ("onnx", "torch", "jax"):
        output = f"{target}{require(target).suffix}"
        far, as_well = equal(run("convert", "in.keras", output, "--backend", target))
        assert 1e-5 < far < 1e-3
        assert "where rounding explains" in as_well
        assert "compared with smaller arrays" in as_well
        assert ("float64" in as_well) == ("float64" in get(target).dtypes)


def swapped(backend: str, layer: int) -> AbstractContextManager[None]:
    """Make a backend keep each other's gates in two places of all arrays."""
    node = pipeline.reads(CHAOTIC).network.layers[layer]
    gates = {slot.param: slot.gates for slot in get(backend).slots.slots(node) if slot.gates}
    said = {param: {"gates": f"{order[1]}{order[0]}{order[2:]}"} for param, order in gates.items()}
    return slots_edited(backend, node.name, said)


EPSILON = {
    "keras": ("epsilon=0.001", "epsilon=1e-05"),
    "torch": ("eps=0.001", "eps=1e-05"),
    "jax": ("epsilon=0.001", "epsilon=1e-05"),
    "onnx": ("epsilon = 0.001", "epsilon = 1e-05"),
}
RESET = ("linear_before_reset = 1", "linear_before_reset = 0")
FAULTS = [
    *((name, "gates of the LSTM", partial(swapped, name, 0)) for name in EPSILON),
    *((name, "epsilon", partial(source_edited, name, [edit])) for name, edit in EPSILON.items()),
    ("onnx", "reset gate", partial(source_edited, "onnx", [RESET])),
]


@pytest.mark.parametrize(
    ("target", "plant"),
    [pytest.param(name, plant, id=f"{what}-{name}") for name, what, plant in FAULTS],
)
def test_a_fault_where_float32_says_nothing(
    tmp_path: Path, target: str, plant: Callable[[], AbstractContextManager[None]]
) -> None:
    """In float32 a right model is as far from the reference as a wrong one."""
    path = tmp_path / f"out{require(target).suffix}"
    with plant(), pytest.raises(ParityError) as caught:
        save_verified(path, target)
    (found,) = caught.value.differences
    assert float(found.expected.split()[1]) <= 1e-5
    assert not path.exists()


@pytest.mark.parametrize("target", EPSILON)
def test_a_right_model_where_float32_says_nothing(tmp_path: Path, target: str) -> None:
    path = tmp_path / f"out{require(target).suffix}"
    save_verified(path, target)
    assert path.exists()


def save_verified(path: Path, target: str) -> None:
    """Save a model whose outputs are mostly rounding, after comparing it with the reference."""
    program, arrays = pipeline.reads(CHAOTIC), sensitive(CHAOTIC, 8.0)
    assert cost(CHAOTIC, arrays) > 0.1
    generated = pipeline.generate(program, get(target))
    model = pipeline.instantiate(generated, drawn=False)
    generated.store.write(model, arrays)
    proof = Proof(program, generated, arrays)
    saving.save(path, generated, CHAOTIC, model, force=True, verify=proof)


def test_an_original_where_float32_says_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    opening = require("keras").runtime
    arrays = sensitive(CHAOTIC, 8.0)
    save_file(arrays, "in.safetensors", metadata={"rnnspec": CHAOTIC})
    equal(run("convert", "in.safetensors", "in.keras"))
    ran = run("convert", "in.keras", "out.safetensors")
    assert (ran.code, ran.err) == (0, "")
    assert "compared with the original in Keras 3." in ran.out
    assert "where rounding explains" in ran.out
    opened = opening.open_original

    def spoilt(path: Path, *classes: Any) -> Any:
        model = opened(path, *classes)
        model.get_layer("layer_normalization_1").epsilon = 1e-5
        return model

    monkeypatch.setattr(opening, "open_original", spoilt)
    ran = run("convert", "in.keras", "again.safetensors")
    assert (ran.code, ran.out) == (1, "")
    assert "expected the output of the original in Keras 3." in ran.err
