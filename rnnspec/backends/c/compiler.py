"""The C compiler of the machine: ``CC`` if it is set, else ``cc``."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from functools import lru_cache
from pathlib import Path

from rnnspec.errors import BackendError, GenerationError, brief

_SECONDS = 300.0
"""A source of a hundred megabytes takes a minute."""
_SMALLEST = """\
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

float root(float x) {
    return sqrtf(x);
}
"""


def command() -> str:
    """Return the name of the compiler, without its options."""
    return _words()[0]


def _words() -> list[str]:
    value = os.environ.get("CC", "")
    try:
        return shlex.split(value) or ["cc"]
    except ValueError:  # a quotation that does not end
        return [value]


def version() -> str:
    """Return the first line that the compiler prints about its version."""
    try:
        result = subprocess.run(  # noqa: S603 - the compiler that the user has chosen
            [*_words(), "--version"], capture_output=True, check=False, text=True, timeout=10.0
        )
    except (OSError, subprocess.TimeoutExpired):
        return command()
    return next(iter(result.stdout.splitlines()), command())


def compile_library(text: str, *, once: bool = False) -> bytes:
    """Return a shared library of a text, which is kept unless it is compiled only once.

    Raises:
        BackendError: the compiler takes no C at all, such as one whose headers are missing.
        GenerationError: it does not take this text.
    """
    words = (*_words(), "-std=c99", "-O1", "-fPIC", "-shared")
    return _run(text, words) if once else _cached(text, words)


@lru_cache(maxsize=64)
def _cached(text: str, words: tuple[str, ...]) -> bytes:
    return _run(text, words)


def _run(text: str, words: tuple[str, ...]) -> bytes:
    # Imported here: it loads hashes and random numbers, and the record needs neither.
    import tempfile

    with tempfile.TemporaryDirectory(prefix="rnnspec-") as folder:
        source, library = Path(folder, "source.c"), Path(folder, "library.so")
        source.write_text(text, encoding="utf-8")
        code, messages = _call([*words, str(source), "-o", str(library), "-lm"], folder)
        if code or not library.is_file():
            reason = _reason(messages)
            if text == _SMALLEST:
                raise BackendError(f"{shlex.join(_words())} cannot compile C: {reason}")
            # Raises, if the fault is that of the compiler.
            _run(_SMALLEST, words)
            raise GenerationError(f"{words[0]} cannot compile the source: {reason}")
        return library.read_bytes()


def _call(command: list[str], folder: str) -> tuple[int, str]:
    """Run a compiler, and return its exit code and what it prints of errors.

    A compiler is several processes, which have files of their own: with an interrupt, all of them
    end, and their files go with the folder.
    """
    own = {"TMPDIR": folder, "TMP": folder, "TEMP": folder}
    with subprocess.Popen(  # noqa: S603 - the compiler that the user has chosen
        command,
        env=os.environ | own,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            _, messages = process.communicate(timeout=_SECONDS)
        except BaseException as error:
            if hasattr(os, "killpg"):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                message = f"{command[0]} did not compile the source in {_SECONDS:.0f} s"
                raise GenerationError(message) from None
            raise
    return process.returncode, messages


def _reason(messages: str) -> str:
    """Return the first error in what a compiler prints; notes and warnings may precede it."""
    lines = messages.splitlines()
    errors = [line for line in lines if "error" in line]
    return brief((errors or lines or ["it wrote no file"])[0])
