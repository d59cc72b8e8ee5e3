"""Signals that ask the process to stop.

This module and those it imports are loaded before anything is heeded, so they are few and small.
"""

from __future__ import annotations

import os
import signal
import sys

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_PATIENCE = 2.0
"""Seconds that an interrupted run waits for whoever reads its output."""


class InterruptedRun(BaseException):
    """A signal asked the process to stop; ``except Exception`` lets it pass."""


class Signals:
    """The first signal that asks the process to stop; a second one ends it at once.

    ``number`` is that signal, or 0. It is raised at most once, and only between ``work`` and
    ``rest``, so that unfinished files are removed on the way out. Foreign code may swallow or wrap
    what was raised (class creation before Python 3.12 wraps it in a RuntimeError), so ``number``
    alone says whether the run was interrupted.
    """

    def __init__(self) -> None:
        self.number = 0
        self._heeded: list[int] = []
        self._raises = False

    def heed(self) -> None:
        """Take note of signals from here on, except those that the parent has us ignore."""
        for name in _NAMES:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                self._heeded.append(number)
                signal.signal(number, self._heard)
        if hasattr(signal, "SIGPIPE"):
            # A reader that has gone, as in ``rnnspec summary ... | head``, ends this quietly.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)

    def work(self) -> None:
        """Raise InterruptedRun at a signal from here on, also at one noted before."""
        self._raises = True
        if self.number:
            raise InterruptedRun

    def rest(self) -> None:
        """Raise nothing from here on; the output of an interrupted run has two seconds left."""
        self._raises = False
        if self.number:
            self._hurry()

    def leave(self) -> None:
        """Let a signal end the process from here on: nothing is left to lose."""
        self._stop_heeding()
        if self.number and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _stop_heeding(self) -> None:
        for number in self._heeded:
            signal.signal(number, signal.SIG_DFL)

    def _heard(self, number: int, frame: object) -> None:
        del frame
        self.number = number
        # Raised in a finalizer, or too late to be raised, it would be printed with a traceback.
        sys.unraisablehook = lambda _: None
        self._stop_heeding()
        if not self._raises:
            self._hurry()
            return
        self._raises = False
        raise InterruptedRun

    def _hurry(self) -> None:
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + self.number))
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
