"""Inputs that are broken or from other programs: one clear error, and nothing is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from convert.conftest import FILES, OUTPUTS, TEXT, arrays_of, write_input
from offered import require
from safetensors.numpy import load_file, save_file

from rnnspec.backends import get, needs

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Run = Callable[..., Any]
Refused = Callable[..., str]


def stored(kind: str) -> Path:
    """Return a file that contains the arrays."""
    path = Path(FILES[kind])
    return path / "moved.safetensors" if path.is_dir() else path


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_cut_short(refused: Refused, spec: str, kind: str) -> None:
    write_input(kind)
    whole = stored(kind).read_bytes()
    for size in (0, 1, 9, len(whole) // 2, len(whole) - 1):
        stored(kind).write_bytes(whole[:size])
        message = refused(FILES[kind], "out.safetensors", "--spec", spec)
        assert message.startswith(FILES[kind])
        assert ": error: expected " in message


@pytest.mark.parametrize("kind", FILES)
def test_the_spec_of_another_network(refused: Refused, kind: str) -> None:
    write_input(kind)
    Path("other.yaml").write_text(TEXT.replace("units: 3, bid", "units: 5, bid"))
    imported = kind in ("keras", "onnx")
    code = 1 if imported else 2
    message = refused(FILES[kind], "out.safetensors", "--spec", "other.yaml", code=code)
    if imported:
        assert "bidirectional_1.units: expected 5, received 3 [E704]" in message
    else:
        assert "than other.yaml: bidirectional_1.units: 3 in the file, 5 in the spec" in message


@pytest.mark.parametrize("kind", ["torch", "canonical"])
def test_another_structure(refused: Refused, kind: str) -> None:
    write_input(kind)
    arrays = load_file(stored(kind))
    name = {"torch": "dense_2.weight", "canonical": "dense_2.kernel"}[kind]
    bias = arrays.pop("dense_2.bias")
    save_file(
        {**arrays, name: np.ones((3, 3), np.float32), "more": bias},
        stored(kind),
        metadata={"rnnspec": TEXT},
    )
    message = refused(FILES[kind], "out.keras")
    assert message.startswith(f"{FILES[kind]}: error: ")
    for part in (
        "missing: dense_2.bias",
        "unexpected: more",
        "dense_2.kernel: expected the shape ",
    ):
        assert part in message


# The spec of any other file is found by importing it.
@pytest.mark.parametrize("kind", ["torch", "canonical"])
def test_no_spec(refused: Refused, kind: str) -> None:
    write_input(kind)
    save_file(load_file(stored(kind)), stored(kind))
    assert "contains no spec; name the spec" in refused(FILES[kind], OUTPUTS[kind])


def test_a_wrong_spec_in_the_metadata(run: Run, entries: Run) -> None:
    save_file(arrays_of(TEXT), "in.safetensors", metadata={"rnnspec": "version: 1\n"})
    ran = run("convert", "in.safetensors", "out")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("in.safetensors (the spec in it):1:1: error: missing key 'name'")
    assert entries() == {"in.safetensors"}


@pytest.mark.parametrize("kind", FILES)
def test_the_input_is_not_replaced(refused: Refused, spec: str, kind: str) -> None:
    write_input(kind)
    Path(OUTPUTS[kind]).symlink_to(FILES[kind])
    for output in (FILES[kind], OUTPUTS[kind]):
        message = refused(FILES[kind], output, "--spec", spec, "--force")
        inputs = (stored(kind), f"{FILES[kind]}/moved.py")
        assert any(f"is the input {path}" in message for path in inputs)


def test_numbers_that_are_none(refused: Refused) -> None:
    arrays = arrays_of(TEXT)
    for value in (np.nan, np.inf):
        arrays["dense_1.kernel"][0, 0] = value
        save_file(arrays, "in.safetensors", metadata={"rnnspec": TEXT})
        assert "dense_1.kernel: expected finite numbers" in refused("in.safetensors", "out")
    integers = {name: array.astype(np.int32) for name, array in arrays_of(TEXT).items()}
    save_file(integers, "in.safetensors", metadata={"rnnspec": TEXT})
    assert "expected F16, F32, F64, BF16 numbers" in refused("in.safetensors", "out")


@cases(
    ("words", "message"),
    [
        (["no.keras", "out"], "no.keras: error: no such file or folder"),
        (
            ["in.safetensors", "out.h5"],
            "expected NAME.keras, NAME.onnx, NAME.safetensors, a folder of PyTorch, a fo",
        ),
        (["moved.yaml", "out"], "expected a Keras file (.h5, .hdf5 or .keras), arrays that rn"),
        (["in.safetensors", "-"], "expected the path of a folder"),
        (["empty", "out.keras"], "a folder of JAX, C source of rnnspec (.h) or a folder of C"),
        (["in.safetensors", "no/out.keras"], "no: error: no such folder"),
    ],
)
def test_wrong_requests(refused: Refused, spec: str, words: list[str], message: str) -> None:
    write_input("canonical")
    Path("empty").mkdir(exist_ok=True)
    code = 3 if "no such folder" in message else 2
    assert message in refused(*words, code=code)


def test_a_result_that_differs_is_not_written(
    refused: Refused, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(backend, needs.FILES)
    write_input("canonical")
    saving = get(backend).runtime
    save, put = saving.save, saving.put

    def spoilt(model: Any, *rest: Any) -> None:
        place = {"torch": "weight", "onnx": "W"}.get(backend, "kernel")
        put(model, "dense_1", place, saving.get(model, "dense_1", place) + np.float32(1e-3))
        save(model, *rest)

    monkeypatch.setattr(saving, "save", spoilt)
    output = OUTPUTS.get(backend, "out")
    message = refused("in.safetensors", output, "--backend", backend, code=1)
    assert "dense_1.kernel: array: expected the array of the input" in message


def test_a_source_that_differs_is_not_written(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    write_input("canonical")
    saving = get("torch").runtime
    save = saving.save

    def spoilt(model: Any, folder: Path, name: str, source: str, spec: str) -> None:
        assert "relu" in source
        save(model, folder, name, source.replace("relu", "sigmoid"), spec)

    monkeypatch.setattr(saving, "save", spoilt)
    message = refused("in.safetensors", "out", code=1)
    assert re.search(r"dense_1: output: expected within \S+e-\d+ of the reference", message)


def test_arrays_too_large_for_the_output_are_not_read(refused: Refused) -> None:
    Path("large.yaml").write_text(
        "version: 1\nname: large\nembedding: {vocabulary: 20000000, dim: 32}\n"
        "rnn: {type: lstm, units: 2}\n"
    )
    # Other arrays: to read them would be another error.
    save_file(arrays_of(TEXT), "in.safetensors")
    message = refused("in.safetensors", "out.onnx", "--spec", "large.yaml", code=1)
    assert "not supported by onnx: the arrays have 2.4 GiB together" in message
