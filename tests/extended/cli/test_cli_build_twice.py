"""Builds in two processes, with other hashes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli.test_cli_build import OUTPUT

from rnnspec.backends import needs


@pytest.mark.needs(needs.FILES)
def test_one_spec_and_seed_give_the_same_bytes(spec: str, backend: str, tmp_path: Path) -> None:
    contents = []
    for number in ("1", "2"):
        folder = tmp_path / number
        folder.mkdir()
        command = ["build", str(Path(spec).absolute()), "--backend", backend, "--seed", "1"]
        command += ["-o", str(folder / OUTPUT[backend])]
        subprocess.run(
            [sys.executable, "-m", "rnnspec", *command],
            env={**os.environ, "PYTHONHASHSEED": number},
            check=True,
            capture_output=True,
        )
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        contents.append([(path.name, path.read_bytes()) for path in files])
    assert contents[0] == contents[1]
