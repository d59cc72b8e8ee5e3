"""One function over many inputs, on several cores where that pays."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.context import BaseContext

T = TypeVar("T")
R = TypeVar("R")

# Starting a process costs about as much as checking a hundred specs.
_WORTH_A_PROCESS = 250
_MOST_AT_ONCE = 50


def mapped(function: Callable[[T], R], items: Sequence[T], jobs: int) -> list[R]:
    """Return what ``function`` makes of each item, in order, by ``jobs`` processes.

    0 stands for as many as the number of items and the cores are worth.
    """
    jobs = min(jobs or min(_cores(), len(items) // _WORTH_A_PROCESS), len(items))
    if jobs < 2:
        return list(map(function, items))
    from concurrent.futures import ProcessPoolExecutor

    size = max(1, min(_MOST_AT_ONCE, len(items) // (4 * jobs)))
    with ProcessPoolExecutor(jobs, _context(), _leave_signals) as pool:
        try:
            return list(pool.map(function, items, chunksize=size))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _context() -> BaseContext:
    import multiprocessing

    # A fork has everything imported already. Elsewhere it is not safe, or not there.
    return multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")


def _leave_signals() -> None:
    """Let the parent alone answer an interrupt, and end at once when it ends us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("SIGTERM", "SIGHUP"):
        if number := getattr(signal, name, None):
            signal.signal(number, signal.SIG_DFL)
