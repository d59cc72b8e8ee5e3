"""If many processes write to the same path at the same time, exactly one succeeds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PARALLEL = """
import json, multiprocessing, sys
from pathlib import Path
from rnnspec import files
from rnnspec.errors import RnnspecError

way, rounds = sys.argv[1], 12

def refuse(*_):
    raise PermissionError

def write(mine, number):
    target = Path(str(number))
    if way in ("file", "no links"):
        files.write_file(target, mine, force=False)
        return
    with files.staged(Path(".")) as folder:
        made = folder / "made"
        made.mkdir()
        for name in ("a", "b"):
            (made / name).write_text(mine)
        if way == "folder":
            files.publish({made: target}, force=False)
        else:
            files.publish({made / name: target / name for name in ("a", "b")}, force=False)

def run(mine, barrier, told):
    if way == "no links":
        Path.hardlink_to = refuse
    for number in range(rounds):
        barrier.wait(60)
        try:
            write(mine, number)
            told.put((number, mine, 0))
        except RnnspecError as error:
            told.put((number, mine, error.exit_code))

context = multiprocessing.get_context("fork")
barrier, told = context.Barrier(8), context.Queue()
if way == "two files":
    for number in range(rounds):
        Path(str(number)).mkdir()
workers = [context.Process(target=run, args=(str(mine), barrier, told)) for mine in range(8)]
for worker in workers:
    worker.start()
print(json.dumps([told.get(timeout=60) for _ in range(8 * rounds)]))
for worker in workers:
    worker.join(60)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes are forks")
@pytest.mark.parametrize("way", ["file", "no links", "folder", "two files"])
def test_of_eight_that_write_to_one_place_one_does(tmp_path: Path, way: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PARALLEL, way],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    told = json.loads(done.stdout)
    for number in range(12):
        codes = {mine: code for each, mine, code in told if each == number}
        assert sorted(codes.values()) == [0, *[2] * 7]
        (winner,) = [mine for mine, code in codes.items() if code == 0]
        target = tmp_path / str(number)
        written = sorted(target.iterdir()) if target.is_dir() else [target]
        assert len(written) == (2 if way in ("folder", "two files") else 1)
        assert {path.read_text() for path in written} == {winner}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
