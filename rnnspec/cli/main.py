"""Run the application, and turn whatever happens into one message and an exit code."""

from __future__ import annotations

import os
import signal
import sys

from rnnspec.errors import RnnspecError, printable

_CRASH = 3
_INTERRUPTED = 130


def main() -> None:
    """Run ``rnnspec`` and exit: 0 well, 1 wrong spec, 2 wrong usage, 3 environment or our fault."""
    if hasattr(signal, "SIGPIPE"):
        # A reader that has gone, as in ``rnnspec summary ... | head``, ends this quietly.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(_run())


def _run() -> int:
    from rnnspec.cli.app import app

    try:
        app()
    except RnnspecError as error:
        _complain(str(error))
        return error.exit_code
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else _CRASH
    except KeyboardInterrupt:
        _complain("rnnspec: interrupted")
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a traceback reaching a user is a defect
        return _crashed(error)
    return 0


def _crashed(error: Exception) -> int:
    if os.environ.get("RNNSPEC_TRACEBACK"):
        raise error
    what = printable(f"{type(error).__name__}: {error}")
    _complain(
        f"rnnspec: error: {what} (this is a fault of rnnspec, please report it; "
        "RNNSPEC_TRACEBACK=1 shows where)"
    )
    return _CRASH


def _complain(text: str) -> None:
    print(text, file=sys.stderr)
