"""Outputs are closed and unmapped before they are moved into place: Windows moves no open file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnnspec.files import output

from .conftest import Ran

MAPS = Path("/proc/self/maps")
OPEN = Path("/proc/self/fd")

pytestmark = pytest.mark.skipif(not MAPS.exists(), reason="needs /proc of Linux")


def held(folder: Path) -> set[str]:
    """Return the files below a folder that this process has open or mapped."""
    found = {line.rpartition(" ")[2] for line in MAPS.read_text().splitlines()}
    for descriptor in OPEN.iterdir():
        try:
            found.add(str(descriptor.readlink()))
        except FileNotFoundError:  # that of the listing itself
            continue
    return {name for name in found if name.startswith(f"{folder}/")}


@pytest.fixture
def moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the targets of all moves, each of which is checked."""
    targets: list[Path] = []
    move_all = output.move_all

    def checked(wanted: list[tuple[Path, Path]], **options: Any) -> None:
        assert not held(tmp_path.resolve())
        targets.extend(target for _, target in wanted)
        move_all(wanted, **options)

    monkeypatch.setattr(output, "move_all", checked)
    return targets


@pytest.mark.parametrize("out", ["net.keras", "torch", "jax", "net.onnx"])
def test_a_model_is_closed_before_it_is_moved(
    spec: str, run: Callable[..., Ran], moved: list[Path], out: str
) -> None:
    backend = "keras" if out == "net.keras" else out.removeprefix("net.")
    pytest.importorskip({"onnx": "onnxruntime"}.get(backend, backend))
    assert run("build", spec, "--backend", backend, "-o", out).code == 0
    assert run("convert", out, "weights.safetensors", "--spec", spec).code == 0
    assert run("convert", "weights.safetensors", f"again-{out}", "--backend", backend).code == 0
    assert len(moved) >= 3


def test_a_file_that_is_open_is_noticed(tmp_path: Path) -> None:
    with (tmp_path / "here").open("w"):
        assert held(tmp_path.resolve()) == {str(tmp_path.resolve() / "here")}
