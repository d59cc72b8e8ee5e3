"""Signals that ask the process to stop.

A signal that arrives before ``heed`` ends in a traceback, so this module imports little.
"""

from __future__ import annotations

import os
import signal
import sys

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_PATIENCE = 2.0
"""Seconds that an interrupted run waits for the reader of its output."""


class InterruptedRun(BaseException):
    """A signal asked the process to stop. It derives from BaseException, as KeyboardInterrupt."""


class Signals:
    """The first signal that asks the process to stop; a second one ends it at once.

    ``number`` is that signal, or 0. InterruptedRun is raised at most once, and only between
    ``work`` and ``rest``, so that unfinished files are removed. Other code may swallow or wrap the
    exception (before Python 3.12, class creation wraps it in a RuntimeError), so only ``number``
    tells whether the run was interrupted.
    """

    def __init__(self) -> None:
        self.number = 0
        self._heeded: list[int] = []
        self._raises = False

    def heed(self) -> None:
        """Start to handle signals, except those that the parent process chose to ignore."""
        for name in _NAMES:
            number = getattr(signal, name, None)
            # nohup ignores SIGHUP, and a shell without job control ignores SIGINT in the
            # background.
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                self._heeded.append(number)
                signal.signal(number, self._heard)
        if hasattr(signal, "SIGPIPE"):
            # If the reader is gone, as in ``rnnspec summary ... | head``, end without a message.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)

    def work(self) -> None:
        """Raise InterruptedRun at the first signal, or now if one has already arrived."""
        self._raises = True
        if self.number:
            raise InterruptedRun

    def rest(self) -> None:
        """Stop raising; an interrupted run has two more seconds to write its output."""
        self._raises = False
        if self.number:
            self._hurry()

    def leave(self) -> None:
        """Let signals end the process again: all output is written."""
        self._stop_heeding()
        if self.number and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _stop_heeding(self) -> None:
        for number in self._heeded:
            signal.signal(number, signal.SIG_DFL)

    def _heard(self, number: int, frame: object) -> None:
        del frame
        self.number = number
        # An exception in a finalizer cannot propagate; Python would print it with a traceback.
        sys.unraisablehook = lambda _: None
        self._stop_heeding()
        if not self._raises:
            self._hurry()
            return
        self._raises = False
        raise InterruptedRun

    def _hurry(self) -> None:
        if hasattr(signal, "setitimer"):
            # os._exit does not flush, which is what hangs if nobody reads from a full pipe.
            signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + self.number))
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
