"""Run the command as a user does: in this process, or in its own where necessary."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import HAS_NO_COMPILER, LACK

from rnnspec import cli

SMALL = """\
version: 1
name: small
input: {length: 5}
embedding: {vocabulary: 20, dim: 4}
rnn: {type: lstm, units: 3, dropout: 0.1}
head: {units: 1, activation: sigmoid}
"""


@dataclass(frozen=True)
class Ran:
    """The outcome of one run of the command."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def spec(tmp_path: Path) -> str:
    """The path of a small spec in the current folder."""
    (tmp_path / "small.yaml").write_text(SMALL)
    return "small.yaml"


@pytest.fixture
def _signals() -> Iterator[None]:
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    kept = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture
def run(
    _signals: None, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ran]:
    """A function that runs the command in this process, so that frameworks are imported once."""
    monkeypatch.delenv("RNNSPEC_TRACEBACK", raising=False)

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["rnnspec", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capfd.readouterr()
        if HAS_NO_COMPILER and ": error: no C compiler: " in err:
            pytest.skip(LACK)
        assert isinstance(stopped.value.code, int)
        assert "Traceback" not in out + err
        assert "\x1b" not in out + err
        assert out.isascii(), "box-drawing characters are for terminals"
        return Ran(stopped.value.code, out, err)

    return run


@pytest.fixture
def python() -> Callable[..., Ran]:
    """A function that runs Python source in its own process."""

    def python(source: str, *arguments: object, **environment: str) -> Ran:
        done = subprocess.run(
            [sys.executable, "-c", source, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment},
            timeout=120,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return python


@pytest.fixture
def entries() -> Callable[[], set[str]]:
    """A function that returns every file and folder below the current folder, even hidden ones."""
    return lambda: {str(path) for path in Path().rglob("*")}
