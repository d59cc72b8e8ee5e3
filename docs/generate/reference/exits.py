"""The reference of the exit codes, read from the errors, the commands and the signals."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

from docs.generate.markdown import table
from docs.generate.reference.commands import all_commands
from rnnspec import errors

_HEAD = """# Exit codes

[Commands](commands.md#exit-codes) has them in a few words. This page is read from the code.

## By error

Each error that a command prints is an exception of the library, which has the exit code. If several
files are read, the highest code counts.
"""
_COMMANDS = """## By command

All commands exit with 0 on success and as above otherwise. These say more:
"""
_SIGNALS = """## By signal

128 plus the number of the signal:
"""
_HEEDED = ("SIGHUP", "SIGINT", "SIGPIPE", "SIGTERM")
_SENTENCE = re.compile(r"Exit code: ([^.]*\.)")


def exit_page() -> dict[str, str]:
    """Return the page of the exit codes."""
    # Windows has neither SIGHUP nor SIGPIPE.
    here = [name for name in _HEEDED if hasattr(signal, name)]
    signals = [(str(128 + signal.Signals[name]), f"`{name}`") for name in here]
    parts = [_HEAD, exceptions(), _COMMANDS, table(("command", "exit code"), _commands())]
    return {
        "reference/exit-codes.md": "\n".join([*parts, _SIGNALS, table(("code", "of"), signals)])
    }


def exceptions() -> str:
    """Return the table of the errors of the library."""
    rows = [
        (f"`rnnspec.errors.{error.__name__}`", _first_line(error), str(error.exit_code))
        for error in _classes(errors.RnnspecError)
    ]
    return table(("exception", "meaning", "exit code"), rows)


def _first_line(error: type[errors.RnnspecError]) -> str:
    return (error.__doc__ or "").partition("\n")[0].replace("``", "`")


def _classes(base: type[errors.RnnspecError]) -> Iterator[type[errors.RnnspecError]]:
    if not base.__name__.startswith("_"):
        yield base
    for subclass in base.__subclasses__():
        yield from _classes(subclass)


def _commands() -> Iterator[tuple[str, str]]:
    """Yield each command whose help describes its exit codes, with the description."""
    for name, command in all_commands():
        if sentence := _SENTENCE.search(" ".join(command.help.split())):
            yield f"`rnnspec {name}`", sentence[1]
