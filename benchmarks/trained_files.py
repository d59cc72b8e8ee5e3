"""Large files of trained models, as Keras 2 and PyTorch write them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_FEATURES = 40


def _arrays(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    # So small that a long sum stays bounded.
    return {name: rng.standard_normal(each, dtype="f4") / 50 for name, each in shapes.items()}


def keras_file(path: Path, units: int) -> Path:
    """Write an LSTM of two layers with a dense layer."""
    import h5py

    layers, width = list[dict[str, Any]](), _FEATURES
    with h5py.File(path, "w") as file:
        groups = file.create_group("model_weights")
        for name, last in (("first", False), ("second", True)):
            arrays = _arrays({"kernel": (width, 4 * units), "recurrent_kernel": (units, 4 * units),
                              "bias": (4 * units,)})  # fmt: skip
            _add(groups, name, arrays)
            config = {"name": name, "units": units, "recurrent_activation": "sigmoid"}
            layers.append(
                {"class_name": "LSTM", "config": {**config, "return_sequences": not last}}
            )
            width = units
        _add(groups, "last", _arrays({"kernel": (units, 1), "bias": (1,)}))
        layers.append({"class_name": "Dense", "config": {"name": "last", "units": 1}})
        layers[0]["config"]["batch_input_shape"] = [None, 5, _FEATURES]
        groups.attrs["layer_names"] = [each["config"]["name"].encode() for each in layers]
        model = {"class_name": "Sequential", "config": {"name": "net", "layers": layers}}
        file.attrs["model_config"] = json.dumps(model).encode()
        file.attrs["keras_version"] = b"2.2.4"
    return path


def _add(groups: Any, name: str, arrays: Mapping[str, Any]) -> None:
    group = groups.create_group(name)
    group.attrs["weight_names"] = [f"{name}/{key}:0".encode() for key in arrays]
    for key, array in arrays.items():
        group[f"{name}/{key}:0"] = array


def state_dict(path: Path, units: int) -> Path:
    """Write the state dict of an LSTM of two layers with a dense layer."""
    from safetensors.numpy import save_file

    shapes: dict[str, tuple[int, ...]] = {"out.weight": (1, units), "out.bias": (1,)}
    for layer, width in enumerate((_FEATURES, units)):
        shapes |= {
            f"rnn.weight_ih_l{layer}": (4 * units, width),
            f"rnn.weight_hh_l{layer}": (4 * units, units),
            f"rnn.bias_ih_l{layer}": (4 * units,),
            f"rnn.bias_hh_l{layer}": (4 * units,),
        }
    save_file(_arrays(shapes), path)
    return path


MAKERS: dict[str, Callable[[Path, int], Path]] = {"h5": keras_file, "safetensors": state_dict}
"""The function that writes a file, by its ending."""
