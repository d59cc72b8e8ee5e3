"""Builds in two processes, with other hashes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.conftest import Ran
from cli.test_cli_build import OUTPUT

from rnnspec.backends import needs


@pytest.mark.needs(needs.FILES)
def test_one_spec_and_seed_give_the_same_bytes(
    run: Callable[..., Ran], spec: str, backend: str, tmp_path: Path
) -> None:
    command = ["build", str(Path(spec).absolute()), "--backend", backend, "--seed", "1", "-o"]
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    # In this process after whatever it has built before, and in one of its own.
    assert run(*command, here / OUTPUT[backend]).code == 0
    subprocess.run(
        [sys.executable, "-m", "rnnspec", *command, str(there / OUTPUT[backend])],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        check=True,
        capture_output=True,
    )
    assert contents(here) == contents(there)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
