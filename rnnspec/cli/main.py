"""Run the application, and turn whatever happens into one message and an exit code."""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import Any

from rnnspec.cli.messages import tell
from rnnspec.errors import RnnspecError, printable

_CRASH = 3
_ENVIRONMENT = 3
_NO_MEMORY = re.compile(r"allocate memory|out of memory|OOM when")  # each framework's own words


class _InterruptedError(BaseException):
    """A signal asked us to stop. No Exception, so that nothing on the way out takes it for one."""


def main() -> None:
    """Run ``rnnspec`` and exit: 0 well, 1 wrong spec, 2 wrong usage, 3 environment or our fault."""
    _open_streams()
    _heed_signals()
    # What another package plugs into pydantic has no say here, and takes time to be looked for.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    message, code = _outcome()
    # Results before messages, also where both end up in one file.
    if unwritten := _flushed():
        message, code = unwritten, _ENVIRONMENT
    if message:
        tell(message)
    sys.exit(code)


def _outcome() -> tuple[str, int]:
    """Return what is left to say, and the exit code."""
    from rnnspec.cli.app import app

    try:
        app(prog_name="rnnspec")
    except RnnspecError as error:
        return str(error), error.exit_code
    except SystemExit as stop:
        return "", stop.code if isinstance(stop.code, int) else _CRASH
    except _InterruptedError as stop:
        return "rnnspec: interrupted", 128 + int(stop.args[0])
    except OSError as error:
        return _environment(error), _ENVIRONMENT
    except Exception as error:  # noqa: BLE001 - a traceback reaching a user is a defect
        return _crash(error), _CRASH
    return "", 0


def _open_streams() -> None:
    """Have somewhere to print: streams may be closed, or unable to encode what a spec says."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - open until the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - likewise
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="backslashreplace")


def _heed_signals() -> None:
    """Leave by an exception, so that unfinished files are removed; a second signal is final."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    if hasattr(signal, "SIGPIPE"):
        # A reader that has gone, as in ``rnnspec summary ... | head``, ends this quietly.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def _interrupt(number: int, frame: Any) -> None:
    del frame
    signal.signal(number, signal.SIG_DFL)
    raise _InterruptedError(number)


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
    name = f": {error.filename}" if error.filename else ""
    return printable(f"{what}: error: {(error.strerror or str(error)).lower()}{name}")


def _crash(error: Exception) -> str:
    if os.environ.get("RNNSPEC_TRACEBACK"):
        raise error
    what = printable(f"{type(error).__name__}: {error}")
    if isinstance(error, MemoryError) or _NO_MEMORY.search(what):
        return f"rnnspec: error: out of memory: {what}"
    return (
        f"rnnspec: error: {what} (this is a fault of rnnspec, please report it; "
        "RNNSPEC_TRACEBACK=1 shows where)"
    )
