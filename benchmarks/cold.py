"""Cold starts: whole processes, against one that only imports what any such tool must."""

import subprocess
import sys
import sysconfig
from pathlib import Path

from benchmarks.race import Effort, Race, Run, race

ROOT = Path(__file__).resolve().parent.parent
SPEC = "specs/stacked_lstm.yaml"
COMMANDS = ("validate", "summary")
IMPORTS = (
    "import yaml, pydantic",  # pydantic is lazy: this loads hardly any of it
    "import yaml; from pydantic import BaseModel",
)


def cold(effort: Effort) -> Race:
    """Race the commands that need no framework against bare imports of the same interpreter."""
    script = Path(sysconfig.get_path("scripts")) / "rnnspec"
    ours = {f"rnnspec {name}": _process(str(script), name, SPEC) for name in COMMANDS}
    theirs = {f'python -c "{code}"': _process(sys.executable, "-c", code) for code in IMPORTS}
    return race("cold", ours, theirs, effort)


def _process(*command: str) -> Run:
    def run() -> None:
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)

    return run
