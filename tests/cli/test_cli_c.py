"""C on the command line: compilers that are missing or do not work, options, implicit choice."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cases import cases
from offered import require, shipped

from rnnspec.backends import BACKENDS, choose, needs, option_needs
from rnnspec.backends.c import compiler
from rnnspec.errors import BackendError

Run = Callable[..., Any]
CC = compiler.command()
BOTH = """\
version: 1
name: both
input: {features: 32}
rnn: {type: lstm, units: 64, bidirectional: true}
head: {units: 1}
"""


@pytest.fixture(autouse=True)
def _compiler() -> None:
    require("c")


@cases(
    ("value", "message"),
    [
        ("/nosuch/cc", "no C compiler: '/nosuch/cc' was not found; install one, or set CC to its"),
        ('cc "', "no C compiler: 'cc \"' was not found; install one, or set CC to its path"),
        (f"{CC} -include nosuch.h", f"{CC} -include nosuch.h cannot compile C: "),
        ("true", "true cannot compile C: it wrote no file"),
        (
            f"{CC} -fvisibility=hidden",
            f"what {CC} compiles has no function rnnspec_array; expected a",
        ),
    ],
)
def test_a_compiler_that_does_not_work_is_one_error(
    run: Run,
    entries: Run,
    spec: str,
    value: str,
    message: str,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CC", value)
        ran = run("build", spec, "-b", "c", "-o", "out")
        # Source needs no compiler.
        assert run("codegen", spec, "-b", "c").code == 0
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith(f"rnnspec: error: {message}")
    assert (ran.err.count("\n"), "bug" in ran.err) == (1, False)
    assert entries() == {spec}


def test_doctor_shows_the_compiler(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [" ".join(row.split()) for row in run("doctor").out.splitlines()]
    assert f"c {compiler.version()}" in rows
    monkeypatch.setenv("CC", "nosuch_cc")
    ran = run("doctor")
    missing = "no compiler: 'nosuch_cc' was not found; install one, or set CC to its path"
    assert f"c {missing}" in [" ".join(row.split()) for row in ran.out.splitlines()]
    assert (ran.code, ran.err) == (0, "")


def test_a_compiler_alone_is_no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    for backend in shipped():
        if backend.distribution:
            absent = replace(backend, distribution="nosuch", needed=())
            monkeypatch.setitem(BACKENDS, backend.name, absent)
    with pytest.raises(BackendError, match=r"pip install '.*\[onnx.* or --backend c$"):
        choose(None, needs.FILES)
    present = replace(BACKENDS["torch"], distribution="numpy")
    monkeypatch.setitem(BACKENDS, "torch", present)
    assert choose(None, needs.FILES) is present
    assert choose(None, needs.FILES, *option_needs({"target": "avx2"})).name == "c"


def test_a_single_header_is_c(run: Run, entries: Run, spec: str) -> None:
    assert run("build", spec, "--seed", 1, "--single-header", "-o", "small.h").code == 0
    assert run("build", spec, "--seed", 1, "-o", "other.h").code == 0
    assert Path("small.h").read_text() == Path("other.h").read_text()
    assert run("build", spec, "--seed", 1, "-o", "small.onnx").code == 0
    ran = run("convert", "small.onnx", "other.h", "--force")
    assert ran.code == 0
    # What a program does with the lines that are printed: it links and runs.
    include = ran.out.split("To load it, without rnnspec:\n")[1]
    arrays = "static float y[SMALL_OUTPUTS], workspace[SMALL_WORKSPACE];\n"
    main = "int main(void) { return !(small_self_test(y, workspace) <= 1e-6f); }\n"
    Path("main.c").write_text(f"{include}{arrays}{main}")
    subprocess.run([compiler.command(), "main.c", "-o", "main", "-lm"], check=True)
    subprocess.run(["./main"], check=True)
    assert run("build", spec, "-b", "c", "-o", "folder").code == 0
    assert run("codegen", spec, "-o", "source.h").code == 0
    for source in ("folder", "small.h"):
        ran = run("convert", source, "out.safetensors")
        assert ran.code == 2
        assert "received C source, which is not read; name the model that it was" in ran.err
    assert entries() == {
        *(spec, "small.h", "other.h", "source.h", "main.c", "main"),
        "small.onnx",
        *("folder", "folder/small.h", "folder/small.c"),
    }


@cases(
    ("words", "message"),
    [
        (["-b", "c", "--single-header"], "--single-header needs -o: the path of the header"),
        (
            ["-b", "keras", "--single-header", "-o", "x.h"],
            "keras cannot write a single header; c can",
        ),
        (["-b", "keras", "-o", "x.h"], "keras cannot write a single header; c can"),
        (["-b", "keras", "--max-steps", 9], "keras cannot limit the steps of a sequence; c can"),
        (
            ["-b", "c", "--target", "neon"],
            "unknown target 'neon'; expected portable, avx2, avx512 or cortex-m",
        ),
    ],
)
def test_options_that_do_not_fit(
    run: Run, entries: Run, spec: str, words: list[Any], message: str
) -> None:
    ran = run("build", spec, *words)
    assert (ran.code, ran.out, ran.err) == (2, "", f"rnnspec: error: {message}\n")
    assert entries() == {spec}


def test_int8_takes_every_kernel_however_long_its_comment(run: Run) -> None:
    Path("both.yaml").write_text(BOTH)
    ran = run("build", "both.yaml", "-b", "c", "--quantize", "int8", "--seed", 1, "-o", "both")
    assert (ran.code, ran.err) == (0, "")
    assert "quantized to int8: bidirectional_1 and dense_1\n" in ran.out


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals")
def test_an_interrupt_ends_a_compiler_and_takes_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, pid = tmp_path / "temporary", tmp_path / "pid"
    folder.mkdir()
    script = tmp_path / "compiler"
    script.write_text(f'touch "$TMPDIR/cc1.s"\nsleep 60 &\necho $! > {pid}\nwait\n')
    monkeypatch.setenv("CC", f"sh {script}")
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    def interrupt(number: int, frame: object) -> None:
        # The compiler has started its other process.
        if not pid.exists() or not pid.read_text():
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            return
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(KeyboardInterrupt):
            compiler.compile_library("int one;")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert list(folder.iterdir()) == []
    # A process that was killed needs a moment to end.
    end = time.monotonic() + 30
    while not has_ended(int(pid.read_text())):
        assert time.monotonic() < end, "the other process of the compiler is still there"
        time.sleep(0.01)


def has_ended(process: int) -> bool:
    """True if a process is not there, or waits for a parent that asks how it ended."""
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return True
    except FileNotFoundError:  # no Linux, or it has ended since: the next question tells
        return False
    return state == "Z"
