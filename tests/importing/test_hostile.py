"""Model files that are broken, or made to do harm: one clear error, soon."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from cli.conftest import _own_folder
from importing.old import DENSE, LSTM, message, written
from offered import import_later

h5py = import_later("h5py")

__all__ = ["_own_folder"]


def corrupt(change: Callable[[Any], None]) -> Path:
    path = written(LSTM, DENSE)
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def _soft(file: Any) -> None:
    del file["model_weights/dense"]
    file["model_weights/dense"] = h5py.SoftLink("/model_weights/lstm")


def _external(file: Any) -> None:
    del file["model_weights/dense/dense/bias:0"]
    file["model_weights/dense/dense/bias:0"] = h5py.ExternalLink("/etc/passwd", "/x")


def _huge(file: Any) -> None:
    del file["model_weights/dense/dense/kernel:0"]
    file.create_dataset("model_weights/dense/dense/kernel:0", (2**40, 2**20), "f4", chunks=(64, 64))


def _objects(file: Any) -> None:
    del file["model_weights/dense/dense/bias:0"]
    text = h5py.string_dtype()
    file.create_dataset("model_weights/dense/dense/bias:0", (1,), dtype=text)


def _nan(file: Any) -> None:
    file["model_weights/dense/dense/bias:0"][0] = np.nan


def _outside(file: Any) -> None:
    del file["model_weights/dense/dense/bias:0"]
    file.create_dataset(
        "model_weights/dense/dense/bias:0", (1,), "f4", external=[("/etc/passwd", 0, 4)]
    )


def _cycle(file: Any) -> None:
    file["model_weights/dense/loop"] = file["model_weights"]
    del file["model_weights"].attrs["layer_names"]


def _empty(file: Any) -> None:
    file.attrs["model_config"] = '{"class_name": "Sequential", "config": []}'


def _deep(file: Any) -> None:
    file.attrs["model_config"] = "[" * 10_000 + "]" * 10_000


def _twice(file: Any) -> None:
    file.attrs["model_config"] = '{"class_name": "Sequential", "class_name": "Model"}'


def _no_config(file: Any) -> None:
    del file.attrs["model_config"]


@cases(
    ("change", "wanted"),
    [
        (_soft, "dense: expected a group or an array, received a link"),
        (_external, "dense/bias:0: expected a group or an array, received a link"),
        (_huge, ("dense/kernel:0: expected 4,611,686,018,427,387,904 bytes for (1099511627776, "
         "1048576), received 0")),
        (_objects, "dense/bias:0: expected floating-point numbers, received text"),
        (_nan, "dense_1.bias: expected finite numbers, received others [E708]"),
        (_outside, "dense/bias:0: expected an array in this file, received one elsewhere"),
        (_empty, "model: expected layers, received none [E704]"),
        (_deep, "expected the architecture as JSON, received other text: maximum recursion depth"),
        (_twice, "expected the architecture as JSON, received other text: an object has"),
        (_no_config, "contains arrays and no architecture; pass that of model.to_json()"),
    ],
)  # fmt: skip
def test_hostile_files(change: Callable[[Any], None], wanted: str) -> None:
    assert message(corrupt(change)).startswith(f"model.h5: error: {wanted}")


def test_a_cycle_of_groups() -> None:
    path = corrupt(_cycle)
    assert "expected fewer names or levels, received a cycle" in message(path)


def test_a_truncated_file_at_every_length() -> None:
    whole = written(LSTM, DENSE).read_bytes()
    for length in range(0, len(whole), 2999):
        Path("cut.h5").write_bytes(whole[:length])
        assert "expected an HDF5 file, received another or a broken one" in message(Path("cut.h5"))


def test_a_file_that_claims_memory() -> None:
    path = written(LSTM, DENSE)
    whole = bytearray(path.read_bytes())
    # The length of a text and the place of the heap that has it: HDF5 would fill 4 GiB.
    with h5py.File(path) as file:
        long = len(file.attrs["model_config"]).to_bytes(4, "little")
    at = whole.index(long + whole.index(b"GCOL").to_bytes(8, "little"))
    whole[at : at + 8] = b"\xff" * 8
    path.write_bytes(whole)
    assert "it refers to 16 bytes at 4,294,967,295, and has" in message(path)


def test_mutated_files() -> None:
    pytest.importorskip("torch")
    from fuzz import of_models

    accepted = of_models.run(150, seed=3)
    assert 0 < accepted < 150


def archive(**members: bytes) -> Path:
    with zipfile.ZipFile("model.keras", "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name.replace("_", "."), content)
    return Path("model.keras")


def test_archives() -> None:
    assert "an archive without its parts" in message(archive(config_json=b"{}"))
    bomb = bytes(2**28)
    path = archive(config_json=bomb, metadata_json=b"{}")
    assert "config.json has 268,435,456 bytes" in message(path)
    path = archive(config_json=b"{}", metadata_json=b"{}", model_weights_h5=b"no")
    assert "expected an HDF5 file" in message(path)
