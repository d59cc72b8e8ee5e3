"""Files that the suites write: many specs, a deep spec, word vectors, and trained models."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.networks import ROOT

_SPEC = ROOT / "specs" / "stacked_lstm.yaml"
_DIM, _WORDS, _BLOCK = 300, 10_000, 1000
_VECTORS_SPEC = f"""\
version: 1
name: pretrained
embedding:
  vocabulary: {_WORDS}
  dim: {_DIM}
  weights: vectors.txt
  words: words.txt
rnn: {{type: lstm, units: 32}}
head: {{units: 1, activation: sigmoid}}
"""
_FEATURES = 40


def deep_spec(folder: Path, layers: int) -> Path:
    """Write a spec with many layers."""
    path = folder / f"deep_{layers}.yaml"
    layer = "  - {type: lstm, units: 8, dropout: 0.1}\n"
    head = "version: 1\nname: deep\ninput: {features: 8}\nrnn:\n"
    path.write_text(head + layer * layers, "utf-8")
    return path


def many_specs(folder: Path, number: int) -> Path:
    """Write many specs into a folder, with different texts, so that no cache can help."""
    place = folder / f"many_{number}"
    place.mkdir(exist_ok=True)
    text = _SPEC.read_text("utf-8")
    for index in range(number):
        (place / f"spec_{index:05}.yaml").write_text(f"{text}# {index}\n", "utf-8")
    return place


def vectors(folder: Path, size: int) -> None:
    """Write ``spec.yaml``, ``words.txt`` and a ``vectors.txt`` of at least ``size`` bytes.

    The words of the vocabulary are spread over the whole file. Vectors repeat, words do not.
    """
    rows = np.random.default_rng(0).uniform(-1, 1, (_BLOCK, _DIM))
    lines = [" {}\n".format(" ".join(f"{n:.5f}" for n in row)).encode() for row in rows]
    count = max(_WORDS, size // len(lines[0]) + 1)
    (folder / "spec.yaml").write_text(_VECTORS_SPEC, "utf-8")
    # Spread out, so that no reader can stop early.
    words = [f"w{number}\n" for number in range(0, count, max(1, count // _WORDS))]
    (folder / "words.txt").write_text("".join(words[:_WORDS]), "utf-8")
    with (folder / "vectors.txt").open("wb") as file:
        for start in range(0, count, _BLOCK):
            block = range(start, min(start + _BLOCK, count))
            file.write(b"".join(b"w%d%s" % (n, lines[n % _BLOCK]) for n in block))


def trained(path: Path, units: int) -> Path:
    """Write an LSTM of two layers with a dense layer, as Keras 2 or PyTorch does."""
    shapes: dict[str, tuple[int, ...]] = {}
    if path.suffix == ".h5":
        for name, width in (("first", _FEATURES), ("second", units)):
            shapes[f"{name}/kernel:0"] = (width, 4 * units)
            shapes[f"{name}/recurrent_kernel:0"] = (units, 4 * units)
            shapes[f"{name}/bias:0"] = (4 * units,)
        shapes |= {"last/kernel:0": (units, 1), "last/bias:0": (1,)}
        _write_keras(path, units, _arrays(shapes))
    else:
        from safetensors.numpy import save_file

        for layer, width in enumerate((_FEATURES, units)):
            shapes[f"rnn.weight_ih_l{layer}"] = (4 * units, width)
            shapes[f"rnn.weight_hh_l{layer}"] = (4 * units, units)
            shapes |= {f"rnn.bias_{half}_l{layer}": (4 * units,) for half in ("ih", "hh")}
        save_file(_arrays(shapes | {"out.weight": (1, units), "out.bias": (1,)}), path)
    return path


def _arrays(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    # So small that a long sum stays bounded.
    return {name: rng.standard_normal(shape, dtype="f4") / 50 for name, shape in shapes.items()}


def _write_keras(path: Path, units: int, arrays: dict[str, Any]) -> None:
    import h5py

    settings = {"units": units, "recurrent_activation": "sigmoid"}
    first = {"batch_input_shape": [None, 5, _FEATURES], "return_sequences": True}
    layers = [
        {"class_name": "LSTM", "config": {"name": "first", **settings, **first}},
        {"class_name": "LSTM", "config": {"name": "second", **settings}},
        {"class_name": "Dense", "config": {"name": "last", "units": 1}},
    ]
    model = {"class_name": "Sequential", "config": {"name": "net", "layers": layers}}
    names = ("first", "second", "last")
    with h5py.File(path, "w") as file:
        groups = file.create_group("model_weights")
        for name in names:
            group = groups.create_group(name)
            members = [key for key in arrays if key.startswith(f"{name}/")]
            group.attrs["weight_names"] = [key.encode() for key in members]
            for key in members:
                group[key] = arrays[key]
        groups.attrs["layer_names"] = [name.encode() for name in names]
        file.attrs["model_config"] = json.dumps(model).encode()
        file.attrs["keras_version"] = b"2.2.4"
