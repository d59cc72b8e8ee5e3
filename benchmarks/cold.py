"""Whole processes: rnnspec's commands, and what they cannot do without."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from benchmarks.race import Run

ROOT = Path(__file__).resolve().parent.parent
SPEC = "specs/stacked_lstm.yaml"
SCRIPT = str(Path(sysconfig.get_path("scripts")) / "rnnspec")


class BenchmarkError(Exception):
    """Something that was to be measured failed."""


_LIST = """\
import atexit, json, sys
before = set(sys.modules)
def loaded():
    own = ("rnnspec", "__main__")
    found = [n for n in sys.modules if n not in before and n.partition(".")[0] not in own]
    print(json.dumps(found), flush=True)
atexit.register(loaded)
from rnnspec.cli import main
main()
"""
_IMPORT = """\
from importlib import import_module
for name in {names!r}:
    import_module(name)
"""
_KEEP = """\
import json
from importlib import import_module
kept = []
for name in {names!r}:
    try:
        import_module(name)
    except ImportError:
        continue
    kept.append(name)
print(json.dumps(kept))
"""


def output(*command: str, **environment: str) -> bytes:
    """Return what a command prints; what it says on standard error is shown if it fails."""
    given = {**os.environ, **environment}
    ended = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, check=False)
    if ended.returncode:
        said = ended.stderr.decode(errors="replace")
        raise BenchmarkError(f"{' '.join(command[:4])} exited with {ended.returncode}:\n{said}")
    return ended.stdout


def process(*command: str) -> Run:
    """Return a run of a command to its end, its output thrown away."""
    return lambda: output(*command)


def python(code: str) -> Run:
    """Return a run of some Python in a fresh interpreter."""
    return process(sys.executable, "-c", code)


def imports_of(arguments: Sequence[str]) -> str:
    """Return Python that imports whatever a command of rnnspec imports, but rnnspec itself."""
    names = json.loads(output(sys.executable, "-c", _LIST, *arguments).splitlines()[-1])
    kept = json.loads(output(sys.executable, "-c", _KEEP.format(names=names)))
    return _IMPORT.format(names=kept)
