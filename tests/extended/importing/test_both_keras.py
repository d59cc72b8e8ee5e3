"""What is imported computes what the original does, for each generation of Keras."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from importing import models
from offered import import_later

from rnnspec.comparison import reference
from rnnspec.importing.assemble import Taken
from rnnspec.importing.run import take

import_later("h5py")
NAMES = (
    *("stacked", "tokens", "masked", "residual", "per_step", "pooled", "repeat", "plain"),
    *("nested", "cells", "convolved", "speech", "joined", "poolings", "outputs"),
)


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every model in every kind of file, written by one generation in a process of its own."""
    pytest.importorskip("tensorflow")
    pytest.importorskip(request.param)
    made: Path = tmp_path_factory.mktemp(request.param)
    # Keras decides on a generation when it is imported.
    command = [sys.executable, models.__file__, request.param, str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made


def difference(taken: Taken, saved: Path) -> float:
    """Return how far the reference with the imported arrays is from what the original predicted."""
    with np.load(saved) as held:
        batch, expected = held["batch"], held["expected"]
    arrays = {name: array.astype(np.float64) for name, array in taken.arrays.items()}
    network = taken.program.network
    found = reference.run(network, arrays, batch).output
    assert found.shape == expected.shape
    if network.outputs:
        # A sequence beside others has outputs at padding, which are not specified.
        real = np.ones_like(expected)
        steps = np.repeat(batch != 0, 2, axis=1)
        real[:, : steps.shape[1]] = steps
        found, expected = found * real, expected * real
    return float(np.abs(found - expected).max())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_a_whole_model(folder: Path, name: str, suffix: str) -> None:
    taken = take(folder / f"{name}{suffix}")
    assert difference(taken, folder / f"{name}.npz") < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_weights_with_an_architecture_beside_them(folder: Path, name: str) -> None:
    taken = take(folder / f"{name}.weights.h5", config=folder / f"{name}.json")
    assert difference(taken, folder / f"{name}.npz") < 1e-5


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in NAMES
        if name not in ("per_step", "repeat", "nested", "cells", "convolved", "speech", "outputs")
    ],
)
def test_weights_with_a_spec(folder: Path, name: str) -> None:
    spec = take(folder / f"{name}.h5").program
    taken = take(folder / f"{name}.weights.h5", spec=spec)
    assert difference(taken, folder / f"{name}.npz") < 1e-5
