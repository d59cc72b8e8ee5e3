"""Other processes: whole commands, and lanes.

A lane is a process with one framework, which stays open and times the runs that it is asked for.
Contestants of several frameworks can alternate in one race without sharing the CPU with each
other's threads: while one process works, the others wait for their next line.
"""

import gc
import json
import os
import select
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from benchmarks.networks import ROOT, Case
from benchmarks.race import Measure, Run, log, seconds

SPEC = "specs/stacked_lstm.yaml"
SCRIPT = str(Path(sysconfig.get_path("scripts")) / "rnnspec")
_TIMEOUT = 120.0
# The number of characters of standard error in an error message.
_STDERR_TAIL = 2000
# Whatever the environment of the caller has: errors only, and oneDNN on.
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}


class BenchmarkError(Exception):
    """A failed measurement."""


def output(*command: str, **environment: str) -> bytes:
    """Return the standard output of a command; an error includes its standard error."""
    variables = {**os.environ, **environment}
    ended = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, check=False)
    if ended.returncode:
        errors = ended.stderr.decode(errors="replace")
        raise BenchmarkError(f"{' '.join(command[:4])} exited with {ended.returncode}:\n{errors}")
    return ended.stdout


def is_installed(package: str) -> bool:
    """True if a package can be imported, and log if it cannot."""
    if find_spec(package) is None:
        log(f"{package} is not installed: skipped")
        return False
    return True


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
    return f"from importlib import import_module\nfor name in {names}: import_module(name)"


# Runs a command and prints the modules that it imported, without rnnspec's own and without those
# that another name stands for, as "os.path" does for "posixpath".
_LIST = """\
import atexit, json, sys
before = set(sys.modules)
def names():
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        if name not in before and spec and spec.name == name and not name.startswith("rnnspec"):
            yield name
atexit.register(lambda: print(json.dumps(list(names())), flush=True))
from rnnspec.cli import main
main()
"""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The contestants of a case in one framework, and the output of rnnspec's model.

    ``measure`` returns the seconds of a run in the lane.
    """

    runs: Mapping[str, Run]
    output: list[float]
    measure: Measure = seconds


class Lane:
    """The near end of a lane. ``module`` is the one in ``benchmarks.lanes`` that prepares cases.

    Raises:
        BenchmarkError: the process has ended, or does not answer in ``timeout`` seconds.
    """

    def __init__(self, module: str, engine: str = "", timeout: float = _TIMEOUT) -> None:
        self.name = engine or module
        self.timeout = timeout
        # Not a pipe: nobody reads it until the process has ended, and a full one would block it.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.processes", module],
            cwd=ROOT,
            env={**os.environ, **_QUIET, **({"KERAS_BACKEND": engine} if engine else {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A lane has nothing to save, and may be in the middle of a long compilation.
        self._process.kill()
        self._process.communicate()
        self._stderr.close()

    def prepare(self, case: Case) -> Prepared:
        """Build the contestants of a case in the lane; each run returns the seconds it took."""
        answer = self._ask({"case": asdict(case)})
        return Prepared({name: self._run(name) for name in answer["names"]}, answer["output"])

    def _run(self, name: str) -> Run:
        # The seconds are measured in the lane, so the time of the pipe does not count.
        return lambda: float(self._ask({"run": name}))

    def _ask(self, question: object) -> Any:
        send, receive = self._process.stdin, self._process.stdout
        assert send is not None
        assert receive is not None
        try:
            send.write(json.dumps(question).encode() + b"\n")
            send.flush()
        except BrokenPipeError:
            raise self._error() from None
        if not select.select([receive], [], [], self.timeout)[0]:
            raise BenchmarkError(f"{self.name} did not answer in {self.timeout:.0f} s")
        if not (line := receive.readline()):
            raise self._error()
        return json.loads(line)

    def _error(self) -> BenchmarkError:
        self._stderr.seek(0)
        errors = self._stderr.read().decode(errors="replace")
        return BenchmarkError(f"{self.name} has ended:\n{errors[-_STDERR_TAIL:]}")


def _serve(module: str) -> None:
    """Answer on the original standard output, which frameworks can no longer print to."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    prepare = import_module(f"benchmarks.lanes.{module}").prepare
    prepared = Prepared({}, [])
    for line in sys.stdin:
        question = json.loads(line)
        if "run" in question:
            answer: object = prepared.measure(prepared.runs[question["run"]])
        else:
            # Free the models of the case before.
            prepared = Prepared({}, [])
            prepared = prepare(Case(**question["case"]))
            answer = {"names": [*prepared.runs], "output": prepared.output}
            # Models live as long as the case: a collection during a run need not look at them.
            gc.unfreeze()
            gc.collect()
            gc.freeze()
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1])
