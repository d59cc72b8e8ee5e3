"""The arrays in a folder that rnnspec built come back exactly, with the spec in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import offered
import pytest
from safetensors.numpy import load_file, save_file

from rnnspec import backends, pipeline
from rnnspec.convert.choice import kind_named
from rnnspec.errors import UsageError
from rnnspec.files.headers import read_metadata
from rnnspec.importing.run import take
from rnnspec.weights.initial import draw_scaled

# Dropout and reset_after say what the arrays alone do not.
TEXT = """\
version: 1
name: tagger  # a comment stays too
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn:
  - {type: lstm, units: 4, dropout: 0.5, layer_norm: true}
  - {type: gru, units: 2, bidirectional: true}
head: {pooling: none, units: 2}
"""

FOLDERS = [each.name for each in backends.BACKENDS.values() if len(each.files) > 1]


@pytest.fixture(params=FOLDERS)
def built(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, dict[str, Any]]:
    offered.require(request.param)
    program = pipeline.reads(TEXT)
    drawn = draw_scaled(program.network, 1)
    arrays = {name: array.astype(np.float32) for name, array in drawn.items()}
    kind = kind_named(tmp_path / "tagger", request.param)
    kind.write(tmp_path / "tagger", program, arrays, lambda _: None, force=False)
    return tmp_path / "tagger" / "tagger.safetensors", arrays


def test_the_spec_and_the_arrays_come_back(built: tuple[Path, dict[str, Any]]) -> None:
    path, arrays = built
    taken = take(path)
    assert taken.text == TEXT
    assert not taken.imported.guesses
    assert list(taken.arrays) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(taken.arrays[name], array)


def test_other_arrays_are_refused(built: tuple[Path, dict[str, Any]]) -> None:
    path, _ = built
    metadata, arrays = read_metadata(path), load_file(path)
    del arrays[min(arrays)]
    save_file(arrays, path, metadata=metadata)
    with pytest.raises(UsageError, match="missing: bidirectional_1") as caught:
        take(path)
    assert str(path) in str(caught.value)
