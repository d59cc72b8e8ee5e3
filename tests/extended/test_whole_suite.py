"""Cases of the conformance suite in all formats."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rnnspec.backends import having, needs
from rnnspec_conformance import models, suite
from rnnspec_conformance.cases import CASES
from rnnspec_conformance.layout import Case

MOST_BYTES = 12_000_000
"""Of all cases in all formats."""
EVERY = 8
"""One case in how many is written; all are in the formats that take the least time."""
OTHERS = (
    *("lstm-second-bias", "backward-last-state", "state-carried", "padding-inside"),
    *("conv-same-even-kernel", "tied-weights", "two-outputs", "dropout-in-inference"),
)
"""Cases of every form, of padding and of several outputs, which are written too."""
FORMATS = [*(backend.name for backend in having(needs.FILES)), models.CANONICAL]
# In the other order, and without what this process has built before.
AGAIN = """
import sys
from pathlib import Path
from rnnspec_conformance import suite
from rnnspec_conformance.cases import CASES

cases = {case.name: case for case in CASES}
folder, formats, *names = sys.argv[1:]
suite.write(Path(folder), [cases[name] for name in names], formats.split(","))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("conformance") / "suite"


@pytest.fixture(scope="module")
def written(folder: Path) -> tuple[Case, ...]:
    chosen = [case for case in CASES if case in CASES[::EVERY] or case.name in OTHERS]
    return suite.write(folder, chosen, formats=FORMATS)


def test_all_models_of_a_case_compute_its_outputs(folder: Path, written: tuple[Case, ...]) -> None:
    """Writing compares each model, loaded from its files, with the reference."""
    for case in written:
        # What is run before the first chunk, and how such a file is written, is an ONNX file only.
        names = ("attention-begin", "attention-continue", "onnx-")
        whole = {"canonical", "onnx"} if case.name.startswith(names) else {*FORMATS}
        assert {*case.models} == whole, case.refused
    share = len(written) / len(CASES)
    assert sum(path.stat().st_size for path in folder.rglob("*")) < MOST_BYTES * share


def test_two_processes_write_the_same_bytes(
    folder: Path, written: tuple[Case, ...], tmp_path: Path
) -> None:
    names = [case.name for case in written[::-9]]
    command = [sys.executable, "-c", AGAIN, str(tmp_path / "other"), ",".join(FORMATS), *names]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run(command, check=True, env=environment, capture_output=True)
    one, other = tree(folder), tree(tmp_path / "other")
    # These list the cases.
    for file in ("suite.json", "README.md"):
        del other[file]
    assert {name.partition("/")[0] for name in other} == {*names, "LICENSE"}
    one = {name: content for name, content in one.items() if name.partition("/")[0] in names}
    assert one.keys() == {name for name in other if name != "LICENSE"}
    assert [name for name in one if one[name] != other[name]] == []
    assert not any(str(tmp_path).encode() in content for content in other.values())


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
