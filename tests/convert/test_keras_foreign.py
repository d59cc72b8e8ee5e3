"""Keras files that rnnspec did not write, converted without a spec."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from importing.old import reviews
from offered import import_later
from safetensors.numpy import load_file

from rnnspec.weights.file import read_spec_text

import_later("h5py")

Run = Callable[..., Any]


def test_to_pytorch(run: Run) -> None:
    pytest.importorskip("torch")
    reviews("in.h5")
    ran = run("convert", "in.h5", "out")
    assert (ran.code, ran.err) == (0, "")
    assert "\nnot carried over: kernel_regularizer of dense (acts in training only)\n" in ran.out
    assert "\nequal to the NumPy reference with the same arrays: largest difference " in ran.out
    assert "class NetIn" in Path("out/net_in.py").read_text()


def test_to_one_canonical_file(run: Run) -> None:
    path = reviews("in.h5")
    assert run("import", path, "-o", "reviews.yaml").code == 0
    ran = run("convert", path, "out.safetensors", "--spec", "reviews.yaml")
    assert (ran.code, ran.err) == (0, "")
    assert read_spec_text(Path("out.safetensors")) == Path("reviews.yaml").read_text()
    wanted = load_file("reviews.safetensors")
    for name, array in load_file("out.safetensors").items():
        np.testing.assert_array_equal(array, wanted[name])


def test_a_spec_of_another_model(run: Run) -> None:
    reviews("in.h5")
    Path("other.yaml").write_text(
        "version: 1\nname: other\nembedding: {vocabulary: 500, dim: 8}\nrnn: {type: gru, units: 2}"
    )
    before = set(Path().iterdir())
    ran = run("convert", "in.h5", "out.safetensors", "--spec", "other.yaml")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "in.h5: error: input.steps: expected None, received 80 [E704]\n"
        "in.h5: error: input.mask_zero: expected False, received True [E704]\n"
    )
    assert set(Path().iterdir()) == before


def test_a_state_dict_of_pytorch(run: Run) -> None:
    torch: Any = pytest.importorskip("torch")
    pytest.importorskip("keras")
    modules = {"rnn": torch.nn.LSTM(3, 4, batch_first=True), "out": torch.nn.Linear(4, 1)}
    torch.save(torch.nn.ModuleDict(modules).state_dict(), "in.pt")
    ran = run("convert", "in.pt", "out.keras")
    assert (ran.code, ran.out) == (2, "")
    assert "name it with --spec" in ran.err
    ran = run("import", "in.pt", "-o", "net.yaml")
    assert (ran.code, ran.err) == (0, "")
    assert "next: rnnspec import in.pt --spec net.yaml --force" in ran.out
    ran = run("convert", "in.pt", "out.keras", "--spec", "net.yaml")
    assert (ran.code, ran.err) == (0, "")
    assert "\nequal to the NumPy reference with the same arrays: largest difference " in ran.out
    import keras

    batch = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
    found = keras.saving.load_model("out.keras").predict(batch, verbose=0)
    with torch.no_grad():
        steps, _ = modules["rnn"](torch.from_numpy(batch))
        wanted = modules["out"](steps[:, -1]).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-6)
