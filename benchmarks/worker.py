"""One framework's races in a process of its own, where no other's threads get in the way."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from benchmarks.cold import ROOT
from benchmarks.race import Effort, Race


def run_apart(framework: str, effort: Effort) -> list[Race]:
    """Run the races of ``torch`` or ``keras`` in a fresh process, and return them."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "races.json"
        command = [sys.executable, "-m", "benchmarks.worker", framework, str(out)]
        quiet = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
        subprocess.run(
            [*command, json.dumps(asdict(effort))],
            cwd=ROOT,
            env={**os.environ, **quiet},
            check=True,
        )
        return [Race(**each) for each in json.loads(out.read_text("utf-8"))]


def _work(framework: str, out: str, effort: str) -> None:
    races = import_module(f"benchmarks.{framework}_steps").races(Effort(**json.loads(effort)))
    Path(out).write_text(json.dumps([asdict(each) for each in races]), "utf-8")


if __name__ == "__main__":
    _work(*sys.argv[1:])
