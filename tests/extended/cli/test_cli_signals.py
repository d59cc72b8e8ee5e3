"""Signals end a run with 128 plus their number at any time, and leave nothing half done."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

# A shell ignores SIGINT in commands that it starts in the background, and nohup ignores SIGHUP.
HEEDING = """
import os, signal, sys, time
from pathlib import Path
for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    signal.signal(getattr(signal, name), signal.SIG_DFL)
wanted = getattr(signal, sys.argv.pop())
from rnnspec.cli import main
"""

SAVING = f"""{HEEDING}
from rnnspec.backends import get

def save(model, folder, name, source, spec):
    (folder / (name + ".py")).write_text("half")
    os.kill(os.getpid(), wanted)
    time.sleep(60)

get("torch").runtime.save = save
main()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_an_interrupted_run(python: Run, entries: Run, spec: str, name: str) -> None:
    pytest.importorskip("torch")
    Path("made").mkdir()
    Path("made/small.py").write_text("old")
    words = ["build", spec, "-b", "torch", "-o", "made", "--force"]
    ran = python(SAVING, *words, name)
    assert (ran.code, ran.out) == (128 + getattr(signal, name), "")
    assert ran.err == "rnnspec: interrupted\n"
    assert Path("made/small.py").read_text() == "old"
    assert entries() == {spec, "made", "made/small.py"}


SWEEP = f"""{HEEDING}
import json
points, warm = json.loads(sys.argv.pop()), sys.argv.pop() == "warm"

def run(point):
    '''Run the command, and send the signal at the call or return of that number.'''
    seen = 0

    def count(frame, event, argument):
        nonlocal seen
        seen += 1
        if seen == point:
            os.kill(os.getpid(), wanted)

    sys.setprofile(count)
    try:
        main()
    finally:
        sys.setprofile(None)
        Path("seen").write_text(str(seen))

def forked(point):
    '''Return the exit code and what was printed; the process ends as every Python does.'''
    pid = os.fork()
    if not pid:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), number)
        run(point)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code, Path("out").read_text(), Path("err").read_text()

if warm:
    try:
        main()
    except SystemExit:
        pass
# Once before the calls are counted, because the first process may compile modules.
assert forked(0)[0] == 0
assert forked(0)[0] == 0
total = int(Path("seen").read_text())
for point in points:
    at = int(point * total) if isinstance(point, float) else point % total
    print(json.dumps(forked(at)), file=sys.stderr)
"""
START = list(range(2, 40, 4))
END = list(range(-120, 0, 4))
"""Among the last calls, the result is printed and flushed, and the process exits."""


@pytest.mark.parametrize(
    ("state", "points"),
    [("warm", [*START, *END]), ("cold", [(index + 0.5) / 8 for index in range(8)])],
)
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_at_any_time(
    python: Run, spec: str, name: str, state: str, points: list[float]
) -> None:
    number = getattr(signal, name)
    words = ("validate", spec, state, json.dumps(points), name)
    ran = python(SWEEP, *words, PYTHONUNBUFFERED="")
    assert ran.code == 0, ran.err
    outcomes = [json.loads(line) for line in ran.err.splitlines()]
    assert len(outcomes) == len(points)
    for code, _, err in outcomes:
        # Before the first import and after the last output, the signal itself ends the process.
        assert (code, err) in {(128 + number, "rnnspec: interrupted\n"), (-number, "")}
    printed = [out for _, out, _ in outcomes]
    assert set(printed) <= {"", f"{spec}: valid\n"}
    # Where modules are imported, foreign code may swallow the interrupt: then the run goes on, and
    # it ends with the result and the code of the signal.
    if state == "warm":
        assert all(len(one) <= len(next_) for one, next_ in pairwise(printed)), "a result is lost"
        assert printed[-1]


FOREIGN = f"""{HEEDING}
from rnnspec.cli import inputs
how, check = sys.argv.pop(), inputs.check

class Named:
    def __set_name__(self, owner, name):
        os.kill(os.getpid(), wanted)

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), wanted)

def swallow():
    try:
        os.kill(os.getpid(), wanted)
    except BaseException:
        pass

def checked(item):
    if how == "wrapped":
        type("Wrapping", (), {{"field": Named()}})
    elif how == "finalized":
        Finalized()
    else:
        swallow()
    return check(item)

inputs.check = checked
main()
"""


@pytest.mark.parametrize("how", ["wrapped", "finalized", "swallowed"])
def test_foreign_code_may_wrap_or_swallow_an_interrupt(python: Run, spec: str, how: str) -> None:
    ran = python(FOREIGN, "validate", spec, how, "SIGTERM", RNNSPEC_TRACEBACK="1")
    assert (ran.code, ran.err) == (143, "rnnspec: interrupted\n")


PRINTING = f"""{HEEDING}
from rnnspec.cli import inputs

def checked(item):
    print("a result")
    os.kill(os.getpid(), wanted)

inputs.check = checked
main()
"""


def test_a_reader_that_reads_nothing(spec: str) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    process = subprocess.Popen(
        [sys.executable, "-c", PRINTING, "validate", spec, "SIGTERM"],
        stdout=writer,
        env=os.environ | {"PYTHONUNBUFFERED": ""},
    )
    try:
        assert process.wait(timeout=60) == 143
    finally:
        process.kill()
        os.close(reader)
        os.close(writer)


SHARED = f"""{HEEDING}
from rnnspec.cli import inputs
whom, check, parent = sys.argv.pop(), inputs.check, os.getpid()

def checked(item):
    first = item.path.endswith("0.yaml")
    if first and whom == "parent":
        os.kill(parent, wanted)  # not getppid(), which may be another process by now
    elif first:
        os.killpg(parent, wanted)
    if whom == "parent":
        time.sleep(150)
    return check(item)

inputs.check = checked
main()
"""


@pytest.mark.parametrize(
    ("whom", "name", "code"),
    [("all", "SIGINT", 130), ("all", "SIGTERM", 143), ("parent", "SIGKILL", -9)],
)
def test_processes_that_share_the_files(tmp_path: Path, whom: str, name: str, code: int) -> None:
    text = "version: 1\nname: net\ninput: {features: 3}\nrnn: {type: lstm, units: 3}\n"
    for number in range(8):
        (tmp_path / f"{number}.yaml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", SHARED, "validate", ".", "--jobs", "4", whom, name],
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
        timeout=120,  # ends only if no process is left that holds the pipes
    )
    told = "rnnspec: interrupted\n" if code > 0 else ""
    assert (done.returncode, done.stdout, done.stderr) == (code, "", told)


TREE = """
import subprocess, sys, time
from pathlib import Path

child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
Path("child").write_text(str(child.pid))
time.sleep(1000)
"""


def test_no_tool_of_conformance_outlives_an_interrupted_run() -> None:
    pytest.importorskip("onnxruntime")
    from rnnspec_conformance import suite
    from rnnspec_conformance.cases import CASES

    suite.write(Path("suite"), CASES[:1], ["onnx"])
    Path("tree.py").write_text(TREE)
    command = f"'{sys.executable}' tree.py {{model}} {{inputs}} {{outputs}}"
    words = ["conformance", "run", "--suite", "suite", "--command", command]
    run = subprocess.Popen(
        [sys.executable, "-m", "rnnspec", *words], stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: Path("child").exists() and Path("child").read_text() != "")
        child = int(Path("child").read_text())
        run.send_signal(signal.SIGINT)
        assert run.communicate(timeout=60)[1] == "rnnspec: interrupted\n"
        assert run.returncode == 128 + signal.SIGINT
        wait_for(lambda: not is_running(child))
    finally:
        run.kill()
        run.wait()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
