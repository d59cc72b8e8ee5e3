"""Conversion between all kinds of files: equal arrays, and the messages to the user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convert.conftest import FILES, OUTPUTS, TEXT, arrays_of, tree, write_input
from safetensors.numpy import load_file, save_file

from rnnspec import pipeline
from rnnspec.backends import BACKENDS, get
from rnnspec.backends.model_files import weights_in
from rnnspec.errors import UsageError
from rnnspec.importing.kinds import kind_of
from rnnspec.importing.run import take
from rnnspec.models.saving import output_for
from rnnspec.weights.file import read_arrays, read_spec_text

# Keras 3.15 has an __array__ method without 'copy', which NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Run = Callable[..., Any]


def held(path: str, kind: str) -> dict[str, Any]:
    """Return the canonical arrays in a file."""
    if kind == "canonical":
        return read_arrays(Path(path), pipeline.reads(TEXT).network)
    return dict(take(weights_in(Path(path))).arrays)


# All arrays pass through their canonical form, so it is enough to read and write each kind once.
WRITTEN = {
    "keras": ["out.keras"],
    "torch": ["out/moved.py", "out/moved.safetensors"],
    "jax": ["out_jax/moved.py", "out_jax/moved.safetensors"],
    "onnx": ["out.onnx"],
    "canonical": ["out.safetensors"],
}
PAIRS = list(pairwise([*FILES, *FILES][: len(FILES) + 1]))


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_each_kind_to_another(run: Run, spec: str, source: str, target: str) -> None:
    pytest.importorskip(target if target != "canonical" else "numpy")
    write_input(source)
    before = tree(Path())
    given = ["--spec", spec] if source == "keras" else []
    given += ["--backend", "jax"] if target == "jax" else []
    ran = run("convert", FILES[source], OUTPUTS[target], *given)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == f"read 21 arrays from {FILES[source]}"
    assert lines[1 : 1 + len(WRITTEN[target])] == [f"wrote {name}" for name in WRITTEN[target]]
    assert {*tree(Path())} == {*before, *WRITTEN[target]}
    assert "not carried over" not in ran.out
    assert "To load it, without rnnspec:" in lines
    (equal,) = (line for line in lines if line.startswith("equal to "))
    what = "what was read: " if target == "canonical" else "the NumPy reference with the same"
    assert equal.startswith(f"equal to {what}")
    assert (" in forward (float32)" in equal) == (target != "canonical")
    (compared,) = (line for line in lines if "compared with the original" in line)
    run_in = "not compared with the original: a .safetensors file of rnnspec has arrays and a spec"
    run_in = run_in if source == "canonical" else "compared with the original in "
    assert compared.startswith(run_in)
    wanted = arrays_of(TEXT)
    found = held(OUTPUTS[target], target)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_a_canonical_file_is_a_model(run: Run) -> None:
    pytest.importorskip("torch")
    write_input("torch")
    ran = run("convert", "in", "out.safetensors")
    assert ran.code == 0
    assert "not a PyTorch state dict" in ran.out
    assert "rnnspec convert out.safetensors FOLDER" in ran.out
    assert read_spec_text(Path("out.safetensors")) == TEXT
    assert list(load_file("out.safetensors")) == sorted(arrays_of(TEXT))


def test_the_written_spec_is_the_named_one(run: Run) -> None:
    write_input("canonical")
    text = TEXT.replace("name: moved\n", "name: moved\ndescription: the same\n")
    Path("same.yaml").write_text(text)
    assert run("convert", "in.safetensors", "out.safetensors", "--spec", "same.yaml").code == 0
    assert read_spec_text(Path("out.safetensors")) == text


@pytest.mark.parametrize("target", ["torch", "canonical"])
def test_numbers_of_other_precision(run: Run, target: str) -> None:
    arrays = {name: each.astype(np.float64) for name, each in arrays_of(TEXT).items()}
    exact = {name: array + 1e-9 for name, array in arrays.items()}
    save_file(exact, "in.safetensors", metadata={"rnnspec": TEXT})
    ran = run("convert", "in.safetensors", OUTPUTS[target])
    assert ran.code == 0
    assert ("rounded to float32" in ran.out) == (target == "torch")
    if target == "canonical":
        assert load_file("out.safetensors")["dense_1.kernel"].dtype == np.float64


def test_a_state_dict_in_bfloat16(run: Run) -> None:
    torch = pytest.importorskip("torch")
    path = write_input("torch")
    from safetensors.torch import load_file as load
    from safetensors.torch import save_file as save

    file = path / "moved.safetensors"
    state = {name: tensor.to(torch.bfloat16) for name, tensor in load(file).items()}
    save(state, file, metadata={"rnnspec": TEXT})
    assert run("convert", "in", "out.safetensors").code == 0
    found = load_file("out.safetensors")["dense_1.kernel"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, state["dense_1.weight"].float().numpy().T)


def test_nothing_in_the_input_is_run(run: Run) -> None:
    path = write_input("torch")
    (path / "moved.py").write_text("open('marker', 'w')\n")
    assert run("convert", "in", "out").code == 0
    assert not Path("marker").exists()
    assert "class Moved" in Path("out/moved.py").read_text()


def test_the_command_writes_into_a_folder_and_replaces_only_with_force(run: Run) -> None:
    pytest.importorskip("torch")
    write_input("canonical")
    Path("out").mkdir()
    Path("out/other.txt").write_text("kept")
    assert run("convert", "in.safetensors", "out").code == 0
    again = run("convert", "in.safetensors", "out")
    assert (again.code, again.out) == (2, "")
    assert "already exists; use --force or force=True to replace it" in again.err
    assert run("convert", "in.safetensors", "out", "--force").code == 0
    assert Path("out/other.txt").read_text() == "kept"


def test_a_new_backend_brings_its_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    new = replace(get("jax"), name="new", title="New", files=("{name}.new",))
    monkeypatch.setitem(BACKENDS, "new", new)
    assert output_for(Path("net.new")).paths == ("NAME.new",)
    Path("net.yaml").touch()
    with pytest.raises(UsageError, match=r" or a \.new file of New, received a spec; "):
        kind_of(Path("net.yaml"))


def test_built_arrays_without_their_spec_take_a_named_one() -> None:
    pytest.importorskip("torch")
    (path,) = write_input("torch").glob("*.safetensors")
    save_file(load_file(path), path, metadata={"framework": "torch"})
    named = pipeline.reads(TEXT)
    taken = take(path, spec=named)
    assert (taken.program, taken.imported.source) == (named, "training")
    with pytest.raises(UsageError, match="contains no spec; expected a file of 'rnnspec build'"):
        take(path)
