"""Live models that rnnspec built, saved as any kind of file once they were run."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from offered import import_later, require

import rnnspec
from rnnspec.backends import BACKENDS, needs
from rnnspec.errors import ModelError, UsageError

SPEC = rnnspec.loads("""
version: 1
name: net
embedding: {vocabulary: 7, dim: 3, mask_zero: true}
rnn: {type: lstm, units: 4, bidirectional: true, dropout: 0.2}
head: {units: 2, pooling: mean}
""")
FILES = ["net.safetensors", "net.onnx", "net.keras", "torch", "jax", "net.h"]


@pytest.mark.needs(needs.MODEL)
def test_a_trained_model_is_every_kind_of_file(backend: str, tmp_path: Path) -> None:
    require(backend, SPEC)
    model = rnnspec.build(SPEC, backend, seed=1)
    arrays = {name: array + 0.25 for name, array in rnnspec.read_weights(model).items()}
    rnnspec.write_weights(model, arrays)
    name = FILES[list(BACKENDS).index(backend) % len(FILES)]
    rnnspec.save(model, tmp_path / name, name if name in BACKENDS else None)
    assert (tmp_path / name).exists()
    rnnspec.save(model, tmp_path / "again.safetensors")
    again = rnnspec.read_weights(rnnspec.build(tmp_path / "again.safetensors", backend))
    for key, array in arrays.items():
        np.testing.assert_array_equal(again[key], array)


def test_forms_wrappers_copies_and_dtypes(tmp_path: Path) -> None:
    torch = import_later("torch")
    model = rnnspec.build(SPEC, "torch", seed=1)
    for number, other in enumerate(
        (
            torch.nn.DataParallel(model),
            copy.deepcopy(model).double(),
            copy.deepcopy(model).bfloat16(),
        )
    ):
        rnnspec.save(other, tmp_path / f"{number}.safetensors")
    forward = rnnspec.loads(SPEC.document.text.replace("bidirectional: true, ", ""))
    step = rnnspec.build(forward, "torch", seed=1, form="step")
    rnnspec.save(step, tmp_path / "folder", "torch", form="inference")
    assert model.training
    assert "Dropout" not in (tmp_path / "folder" / "net.py").read_text()


def test_a_model_that_was_changed_is_not_saved(tmp_path: Path) -> None:
    torch = import_later("torch")
    model = rnnspec.build(SPEC, "torch", seed=1)
    model.dense_1.register_forward_hook(lambda _module, _inputs, output: output + 1.0)
    with pytest.raises(ModelError, match=r"expected the output of the model .* \[E709\]"):
        rnnspec.save(model, tmp_path / "net.safetensors")
    for other in (3, torch.nn.LSTM(2, 3)):
        with pytest.raises(UsageError, match=r"expected a model that rnnspec\.build made"):
            rnnspec.save(other, tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())
