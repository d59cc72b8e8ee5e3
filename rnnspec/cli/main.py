"""Run the application, and turn whatever happens into one message and an exit code."""

from __future__ import annotations

import os
import sys

from rnnspec.cli.signals import Signals
from rnnspec.cli.streams import open_streams

_CRASH = 3
_ENVIRONMENT = 3


def main() -> None:
    """Run ``rnnspec`` and exit.

    Exit codes: 0 success; 1 a spec is wrong; 2 wrong usage; 3 a problem of the environment, or a
    bug in rnnspec; 128 plus the number of the signal that interrupted the run.
    """
    signals = Signals()
    signals.heed()
    open_streams()
    try:
        signals.work()
        message, code = _run_application()
        signals.rest()
    except BaseException:
        if not signals.number:
            raise
        signals.rest()
        message, code = "", 0  # its exception may have been wrapped
    # Results come before messages, even if both are redirected to one file.
    if unwritten := _flush_output():
        message, code = unwritten, _ENVIRONMENT
    # Only now: a signal during the flush must still end in one message and the right exit code.
    signals.leave()
    if signals.number:
        message, code = "rnnspec: interrupted", 128 + signals.number
    if message:
        from rnnspec.cli.messages import tell

        tell(message)
    sys.exit(code)


def _run_application() -> tuple[str, int]:
    """Run the application, and return the message to print, if any, and the exit code."""
    # Plugins of other packages must not change validation, and searching for them takes time.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from rnnspec.cli.guard import guard_streams
    from rnnspec.errors import RnnspecError

    # Before the application is imported, so that no module can keep an unguarded stream.
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
    except Exception as error:  # users must never see a traceback
        if os.environ.get("RNNSPEC_TRACEBACK"):
            raise
        return _crash(error), _CRASH
    return "", 0


def _flush_output() -> str:
    """Flush standard output, and return an error message if that fails."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # The interpreter flushes again at exit, and would print a message of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _environment(error, "standard output")
    return ""


def _environment(error: OSError, what: str = "rnnspec") -> str:
    from rnnspec.errors import printable

    name = f": {error.filename}" if error.filename else ""
    return printable(f"{what}: error: {(error.strerror or str(error)).lower()}{name}")


def _crash(error: Exception) -> str:
    from rnnspec.errors import printable, shortened
    from rnnspec.machine.memory import is_out_of_memory

    what = printable(shortened(f"{type(error).__name__}: {error}"))
    if is_out_of_memory(error):
        return f"rnnspec: error: out of memory: {what}"
    return (
        f"rnnspec: error: {what} (this is a bug in rnnspec; please report it; "
        "RNNSPEC_TRACEBACK=1 shows the traceback)"
    )
