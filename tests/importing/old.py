"""HDF5 files in the layout of Keras 2, written by hand."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rnnspec.errors import ModelError, UsageError
from rnnspec.importing.run import take

STEPS, FEATURES = 5, 3


def layer(kind: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": kind.lower(), **config}}


LSTM = layer("LSTM", units=2, recurrent_activation="sigmoid")
DENSE = layer("Dense", units=1)


def with_input(first: dict[str, Any], *shape: int | None) -> dict[str, Any]:
    return {**first, "config": {**first["config"], "batch_input_shape": [None, *shape]}}


def arrays_of(each: dict[str, Any], width: int) -> tuple[dict[str, Any], int]:
    """Return arrays as Keras has them for a layer, and the width of its output."""
    config, rng = each["config"], np.random.default_rng(0)

    def drawn(*shape: int) -> Any:
        return rng.standard_normal(shape).astype("f4") / 2

    match each["class_name"]:
        case "LSTM":
            u = config["units"] if config["units"] in range(1, 100) else 2
            return {"kernel": drawn(width, 4 * u), "recurrent_kernel": drawn(u, 4 * u),
                    "bias": drawn(4 * u)}, u  # fmt: skip
        case "Dense":
            return {
                "kernel": drawn(width, config["units"]),
                "bias": drawn(config["units"]),
            }, config["units"]
        case "Embedding":
            dim = config["output_dim"]
            return {"embeddings": drawn(config["input_dim"], dim)}, dim
        case _:
            return {}, width


def written(
    *layers: dict[str, Any],
    version: str = "2.2.4",
    path: str = "model.h5",
    shape: tuple[int, ...] = (STEPS, FEATURES),
) -> Path:
    """Write an HDF5 file as Keras 2 does."""
    found = [with_input(layers[0], *shape), *layers[1:]]
    model = {"class_name": "Sequential", "config": {"name": "net", "layers": found}}
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(model).encode()
        file.attrs["keras_version"] = version.encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [each["config"]["name"].encode() for each in found]
        width = shape[-1]
        for each in found:
            arrays, width = arrays_of(each, width)
            name = each["config"]["name"]
            inner = group.create_group(name)
            inner.attrs["weight_names"] = [f"{name}/{key}:0".encode() for key in arrays]
            for key, array in arrays.items():
                inner[f"{name}/{key}:0"] = array
    return Path(path)


def changed(base: dict[str, Any], **config: Any) -> dict[str, Any]:
    return {**base, "config": {**base["config"], **config}}


def reviews(path: str) -> Path:
    """Write the model that the documentation imports, as tf.keras 2.2.4 did."""
    return written(
        layer("Embedding", input_dim=500, output_dim=8, mask_zero=True, input_length=80),
        changed(LSTM, units=16, recurrent_activation="hard_sigmoid", time_major=False, dropout=0.2),
        layer("Dropout", rate=0.5, noise_shape=None, seed=None),
        changed(DENSE, activation="sigmoid", kernel_regularizer={"class_name": "L1L2"}),
        version="2.2.4-tf",
        path=path,
        shape=(80,),
    )


def archived(path: str, old: Path) -> Path:
    """Write the model of an HDF5 file as Keras 3 does: in an archive, its arrays by number."""
    with h5py.File(old) as file, h5py.File("numbered", "w") as numbered:
        config = file.attrs["model_config"]
        for layer, part in (("embedding", ""), ("lstm", "cell/"), ("dense", "")):
            stored = file["model_weights"][layer]
            for at, name in enumerate(stored.attrs["weight_names"]):
                numbered[f"layers/{layer}/{part}vars/{at}"] = stored[name][()]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.0.0"}')
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", Path("numbered").read_bytes())
    return Path(path)


def message(path: Path, **options: Any) -> str:
    with pytest.raises((ModelError, UsageError)) as caught:
        take(path, **options)
    return str(caught.value)
