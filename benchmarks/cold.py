"""Whole processes: commands of rnnspec, and the imports that they need."""

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
    """A failed measurement."""


# Runs a command and prints the modules that it imported, without rnnspec's own.
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
# Imports the same modules and does nothing else.
_IMPORT = """\
from importlib import import_module
for name in {names!r}:
    import_module(name)
"""
# Prints those of the modules that can be imported by name.
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
    """Return the standard output of a command; an error includes its standard error."""
    given = {**os.environ, **environment}
    ended = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, check=False)
    if ended.returncode:
        errors = ended.stderr.decode(errors="replace")
        raise BenchmarkError(f"{' '.join(command[:4])} exited with {ended.returncode}:\n{errors}")
    return ended.stdout


def process(*command: str) -> Run:
    """Return a run of a command to its end, without its output."""
    # Captured, because drawing in a terminal takes time too.
    return lambda: output(*command)


def python(code: str) -> Run:
    """Return a run of Python code in a fresh interpreter."""
    return process(sys.executable, "-c", code)


def imports_of(arguments: Sequence[str]) -> str:
    """Return Python code that imports all modules a command imports, except those of rnnspec."""
    # The command prints its own output first.
    names = json.loads(output(sys.executable, "-c", _LIST, *arguments).splitlines()[-1])
    kept = json.loads(output(sys.executable, "-c", _KEEP.format(names=names)))
    return _IMPORT.format(names=kept)
