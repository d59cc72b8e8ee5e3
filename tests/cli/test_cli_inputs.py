"""Wrong specs and unreadable inputs: every command reports the place, and does nothing else."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

from cases import cases

Run = Callable[..., Any]

HEAD = "version: 1\nname: net\n"
GOOD = HEAD + "input: {features: 3}\nrnn: {type: lstm, units: 4}\n"
FAULTS: dict[str, tuple[bytes, str, str]] = {
    "binary": (b"PK\x03\x04\x00\xff\xfe", "1:6", "0xFF"),
    "misspelt": (GOOD.replace("lstm", "lsmt").encode(), "4:13", "did you mean 'lstm'?"),
    "broken_promise": (GOOD.encode() + b"expect: {parameters: 1}\n", "5:22", "1 parameters"),
    "odd_escapes": (GOOD.replace("net", '"n\\e[31m"').encode(), "2:7", "U+001B"),
}
COMMANDS = {
    "validate": ["validate"],
    "summary": ["summary"],
    "summary --json": ["summary", "--json"],
    "build": ["build", "--backend", "torch", "-o", "out"],
    "codegen": ["codegen", "--backend", "keras", "-o", "out.py"],
    "draw": ["draw", "-o", "out.svg"],
    "parity": ["parity"],
}


# Each fault in a command that checks and in one that processes, and one of them in each command.
@cases(
    "command, fault",
    {
        f"{name}: {fault}": (command, FAULTS[fault])
        for name, command in COMMANDS.items()
        for fault in (FAULTS if name in ("validate", "codegen") else ["misspelt"])
    },
)
def test_a_wrong_spec_is_refused_with_its_place(
    run: Run, entries: Run, command: list[str], fault: tuple[bytes, str, str]
) -> None:
    content, place, message = fault
    Path("bad.yaml").write_bytes(content)
    ran = run(*command, "bad.yaml")
    first = ran.err.splitlines()[0]
    assert ran.code == 1
    # Commands that check print a summary; commands that process specs print nothing.
    assert ran.out.partition("(")[0] == ("1 spec: 1 wrong " if command == ["validate"] else "")
    assert first.startswith(f"bad.yaml:{place}")
    assert ": error: " in first
    assert message in first
    assert entries() == {"bad.yaml"}


@cases("command, path", product(COMMANDS.values(), ["none.yaml", "folder"]))
def test_an_input_that_cannot_be_read(
    run: Run, entries: Run, command: list[str], path: str
) -> None:
    Path("folder").mkdir(exist_ok=True)
    ran = run(*command, path)
    of_one_spec = command[0] in ("summary", "build", "draw")
    folder = "expected a file, received a folder" if of_one_spec else "this is a folder without any"
    message = folder if path == "folder" else "no such file"
    count = "1 spec: 1 cannot be read\n" if command == ["validate"] else ""
    assert (ran.code, ran.out) == (2, count)
    assert ran.err.startswith(f"{path}: error: {message}")
    assert entries() == {"folder"}


@cases("command", ["validate", "parity"])
def test_every_bad_file_is_reported(run: Run, spec: str, command: str) -> None:
    Path("a.yaml").write_text(GOOD.replace("4}", "0}") + "x: 1\n")
    Path("b.yaml").write_text("")
    ran = run(command, "a.yaml", spec, "b.yaml")
    assert ran.code == 1
    starts = [line.split(" ")[0] for line in ran.err.splitlines() if ": error: " in line]
    assert starts == ["a.yaml:4:26:", "a.yaml:5:1:", "b.yaml:1:1:"]
    ran = run(command, "a.yaml", "none.yaml", "b.yaml")
    assert ran.code == 2
    for path in ("a.yaml:4:26:", "none.yaml:", "b.yaml:1:1:"):
        assert f"{path} error:" in ran.err


def test_good_files(run: Run, spec: str) -> None:
    ran = run("validate", spec)
    assert (ran.code, ran.out, ran.err) == (0, "small.yaml: valid\n", "")
    Path("other.yaml").write_text(GOOD)
    ran = run("validate", spec, "other.yaml")
    assert (ran.code, ran.out, ran.err) == (0, "2 specs: valid\n", "")


ODD = "new\nline\x1b[31m\u202e.yaml"


def test_a_path_of_odd_characters_is_escaped(run: Run, spec: str) -> None:
    escaped = r"new\nline\x1b[31m\u202e.yaml"
    assert run("validate", ODD).err == f"{escaped}: error: no such file\n"
    Path(ODD).write_text(Path(spec).read_text())
    assert run("validate", ODD).out == f"{escaped}: valid\n"
    Path(ODD).write_text("")
    assert run("summary", ODD).err.startswith(f"{escaped}:1:1: error: ")
    assert run("codegen", spec, "-b", "torch", "-o", ODD, "--force").out == f"wrote {escaped}\n"
