"""Live models of Keras: those that rnnspec builds come back as their own specs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec import pipeline
from rnnspec.errors import ModelError, UsageError

GALLERY = sorted((Path(__file__).parents[2] / "specs").glob("*.yaml"))


@pytest.fixture
def keras() -> Any:
    return pytest.importorskip("keras")


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_the_gallery(keras: Any, path: Path) -> None:
    wanted = pipeline.read(path)
    model = rnnspec.build(wanted.spec, "keras", seed=1)
    found = rnnspec.from_keras(model, wanted.network.name)
    network = pipeline.program(found.spec).network
    assert network == replace(wanted.network, description="")
    for name, array in rnnspec.read_weights(model).items():
        np.testing.assert_array_equal(found.arrays[name], array)


def test_a_model_that_cannot_be_taken_over(keras: Any) -> None:
    class Own(keras.layers.LSTM):  # type: ignore[misc]
        pass

    model = keras.Sequential([keras.Input((5, 3)), Own(2)])
    with pytest.raises(ModelError, match="Own' is not Keras's own, and foreign code is not run"):
        rnnspec.from_keras(model)
    with pytest.raises(UsageError, match="expected a Keras model, received 3"):
        rnnspec.from_keras(3)
    with pytest.raises(ModelError, match="expected an input of shape"):
        rnnspec.from_keras(keras.Sequential([keras.layers.LSTM(2)]))
