"""Run the application, and turn whatever happens into one message and an exit code."""

from __future__ import annotations

import os
import sys

from rnnspec.cli.signals import Signals
from rnnspec.cli.streams import open_streams

_CRASH = 3
_ENVIRONMENT = 3
_NO_MEMORY = ("allocate memory", "out of memory", "OOM when")  # each framework's own words


def main() -> None:
    """Run ``rnnspec`` and exit.

    0: success. 1: a spec is wrong. 2: wrong usage. 3: the environment, or a bug in rnnspec.
    128 and the number of a signal: interrupted by it.
    """
    signals = Signals()
    signals.heed()
    open_streams()
    try:
        signals.work()
        message, code = _outcome()
        signals.rest()
    except BaseException:
        if not signals.number:
            raise
        signals.rest()
        message, code = "", 0  # the signal is the cause, whatever became of its exception
    # Results before messages, also where both end up in one file.
    if unwritten := _flushed():
        message, code = unwritten, _ENVIRONMENT
    signals.leave()
    if signals.number:
        message, code = "rnnspec: interrupted", 128 + signals.number
    if message:
        from rnnspec.cli.terminal.messages import tell

        tell(message)
    sys.exit(code)


def _outcome() -> tuple[str, int]:
    """Return what is left to say, and the exit code."""
    # What another package plugs into pydantic has no say here, and takes time to be looked for.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from rnnspec.cli.terminal.guard import guard_streams
    from rnnspec.errors import RnnspecError

    guard_streams()
    try:
        from rnnspec.cli.app import app
        from rnnspec.cli.commands.completion import answer_shells

        answer_shells()

        app(prog_name="rnnspec")
    except RnnspecError as error:
        return str(error), error.exit_code
    except SystemExit as stop:
        return "", stop.code if isinstance(stop.code, int) else _CRASH
    except OSError as error:
        return _environment(error), _ENVIRONMENT
    except Exception as error:  # a traceback reaching a user is a defect
        if os.environ.get("RNNSPEC_TRACEBACK"):
            raise
        return _crash(error), _CRASH
    return "", 0


def _flushed() -> str:
    """Write out what was printed; return what to say where that fails."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # The interpreter will flush once more, and would complain in its own words.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _environment(error, "standard output")
    return ""


def _environment(error: OSError, what: str = "rnnspec") -> str:
    from rnnspec.errors import printable

    name = f": {error.filename}" if error.filename else ""
    return printable(f"{what}: error: {(error.strerror or str(error)).lower()}{name}")


def _crash(error: Exception) -> str:
    from rnnspec.errors import printable

    what = printable(f"{type(error).__name__}: {error}")
    if isinstance(error, MemoryError) or any(words in what for words in _NO_MEMORY):
        return f"rnnspec: error: out of memory: {what}"
    return (
        f"rnnspec: error: {what} (this is a fault of rnnspec, please report it; "
        "RNNSPEC_TRACEBACK=1 shows where)"
    )
