"""``rnnspec completion``: what real shells complete, and that a file name runs nothing."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from offered import shipped

from rnnspec.cli import completers
from rnnspec.comparison.levels import TOLERANCES

Run = Callable[..., Any]
CASES = [
    ("rnnspec vali", {"validate"}),
    ("rnnspec codegen --backend ", {backend.name for backend in shipped()}),
    ("rnnspec validate --format s", {"sarif"}),
    ("rnnspec build net.yaml --quantize i", {"int8"}),
    ("rnnspec parity --back", {"--backend"}),
    ("rnnspec parity -b keras,t", {"keras,torch"}),
    ("rnnspec parity --level gr", {"gradients"}),
    ("rnnspec parity --dtype ", set(TOLERANCES)),
    ("rnnspec lint --select L101,L10", {f"L101,L10{n}" for n in range(2, 10)}),
    ("rnnspec explain L30", {f"L30{n}" for n in range(1, 9)}),
    ("rnnspec init --network tag", {"tagger"}),
    ("rnnspec completion f", {"fish"}),
    ("rnnspec draw --theme p", {"print"}),
    ("rnnspec conformance r", {"run", "report"}),
    ("rnnspec conformance run --case backward-la", {"backward-last-state"}),
    ("rnnspec conformance run --tool onnxruntime,tract-f", {"onnxruntime,tract-fixed"}),
    ("rnnspec conformance write suite --format onnx,ke", {"onnx,keras"}),
    ("rnnspec summary deep", {"deep/", "deep/net.yaml", "deep/other.yml"}),
    ("rnnspec diff ./deep/n", {"./deep/net.yaml"}),
]
HOSTILE = ["$(touch ran).yaml", "a;touch ran.yaml", "\\$(touch ran).yaml", "`touch ran`.yaml"]


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have specs beside other files, and ``rnnspec`` on the path."""
    (tmp_path / "deep").mkdir()
    for name in ("deep/net.yaml", "deep/other.yml", "deep/text.md", "deep/.hidden.yaml", *HOSTILE):
        (tmp_path / name).write_text("")
    tools = tmp_path / ".tools"
    tools.mkdir()
    command = tools / "rnnspec"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rnnspec "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    for name in ("PYTHONSTARTUP", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)


def shell(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def printed(*command: str) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.splitlines()


def in_bash(line: str) -> set[str]:
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    code = (
        "source <(rnnspec completion bash)\n"
        f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}\n"
        '_rnnspec_completion rnnspec; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return set(printed(shell("bash"), "--norc", "-c", code)) - {""}


def in_fish(line: str) -> set[str]:
    code = f"rnnspec completion fish | source; complete -C '{line}'"
    return {each.split("\t")[0] for each in printed(shell("fish"), "--no-config", "-c", code)}


@pytest.mark.parametrize(("line", "expected"), CASES, ids=[line for line, _ in CASES])
def test_bash_completes(line: str, expected: set[str]) -> None:
    assert expected <= in_bash(line) <= expected


def test_fish_completes() -> None:
    shell("fish")
    for line, expected in CASES[:3]:
        assert in_fish(line) == expected
    assert "deep/" in in_fish("rnnspec summary dee")


def test_zsh_completes() -> None:
    path = shell("zsh")
    assert "rnnspec validate" in typed(
        [path, "-f", "-i"],
        [
            "autoload -U compinit; compinit -u -D\n",
            "source <(rnnspec completion zsh); print READY\n",
        ],
        "rnnspec vali\t",
        "rnnspec validate",
    )


def typed(command: list[str], setup: list[str], keys: str, wanted: str) -> str:
    """Return what a shell on a terminal shows after some keys, once ``wanted`` is there."""
    child, terminal = pty.fork()
    if not child:
        os.environ["TERM"] = "dumb"
        os.execv(command[0], command)
    shown, pending = "", [*setup, keys]
    end = time.monotonic() + 60
    try:
        os.write(terminal, "".join(setup).encode())
        while time.monotonic() < end and wanted not in shown:
            if select.select([terminal], [], [], 0.2)[0]:
                shown += os.read(terminal, 4096).decode(errors="replace")
            if "\nREADY" in shown and pending:
                pending = []
                os.write(terminal, keys.encode())
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    return shown


def test_powershell_has_a_script(run: Run) -> None:
    ran = run("completion", "powershell")
    assert "Register-ArgumentCompleter -Native -CommandName rnnspec" in ran.out


def test_another_shell_is_refused(run: Run) -> None:
    ran = run("completion", "tcsh")
    assert (ran.code, ran.out) == (2, "")
    assert "unknown shell 'tcsh'; expected bash, zsh, fish or powershell" in ran.err


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_a_file_name_runs_nothing(name: str) -> None:
    code = {
        "bash": 'source <(rnnspec completion bash); COMP_WORDS=(rnnspec summary ""); COMP_CWORD=2; '
        "_rnnspec_completion rnnspec",
        "zsh": "compdef() { }; source <(rnnspec completion zsh); "
        "_arguments() { eval ws=\\( ${1[6,-2]} \\) }; _files() { }; "
        'words=(rnnspec summary ""); CURRENT=3; _rnnspec_completion',
        "fish": "rnnspec completion fish | source; complete -C 'rnnspec summary '",
    }[name]
    subprocess.run([shell(name), "-c", code], check=False, capture_output=True, timeout=60)
    assert not Path("ran").exists()
    assert completers.specs("") == ["deep/", "deep/net.yaml", "deep/other.yml"]


def test_what_may_not_be_read_is_not_completed() -> None:
    assert completers.specs("nosuch/") == []
    assert completers.specs("a\0") == []
    assert completers.specs("deep/.h") == ["deep/.hidden.yaml"]


def test_a_completion_imports_no_framework() -> None:
    code = (
        "import sys, atexit\nfrom rnnspec.cli import main\n"
        "atexit.register(lambda: print('loaded:', *sys.modules))\n"
        "sys.argv = ['rnnspec']\nmain()"
    )
    environment = {
        **os.environ,
        "COMP_WORDS": "rnnspec parity --dtype ",
        "COMP_CWORD": "3",
        "_RNNSPEC_COMPLETE": "complete_bash",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    answer, _, modules = done.stdout.partition("loaded:")
    assert answer.split() == ["float64", "float32"]
    assert not {"torch", "keras", "tensorflow", "numpy", "yaml"} & set(modules.split())
