"""Apply one function to many inputs, on several cores if that is faster."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.context import BaseContext

T = TypeVar("T")
R = TypeVar("R")

# Starting a process costs about as much as checking a hundred specs.
_WORTH_A_PROCESS = 250
_MOST_AT_ONCE = 50


def mapped(function: Callable[[T], R], items: Sequence[T], jobs: int) -> list[R]:
    """Return the result of ``function`` for each item, in order, computed by ``jobs`` processes.

    0 chooses the number of processes from the number of items and of cores.
    """
    jobs = min(jobs or min(_cores(), len(items) // _WORTH_A_PROCESS), len(items))
    if jobs < 2:
        return list(map(function, items))
    from concurrent.futures import ProcessPoolExecutor

    # Four chunks per process even out slow specs; fewer, larger chunks cost less in the queue.
    size = max(1, min(_MOST_AT_ONCE, len(items) // (4 * jobs)))
    with _without_sigpipe(), ProcessPoolExecutor(jobs, _context(), _become_worker) as pool:
        try:
            with _without_signals():
                results = pool.map(function, items, chunksize=size)
            return list(results)
        except BaseException:
            # Leaving the 'with' block waits for the pool, so first cancel what is queued.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _cores() -> int:
    # A container or taskset may allow fewer cores than the machine has. os.process_cpu_count would
    # know, but needs Python 3.13.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _context() -> BaseContext:
    import multiprocessing

    # A forked process has everything imported. On macOS fork is unsafe; Windows has none.
    return multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")


_STOPPING = frozenset(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


@contextmanager
def _without_signals() -> Iterator[None]:
    """Block signals while processes start: a worker must not receive one before it is set up."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _without_sigpipe() -> Iterator[None]:
    """Ignore SIGPIPE, so that the pool sees an error if a worker has died, and can report it."""
    if not hasattr(signal, "SIGPIPE"):
        yield
        return
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, before)


def _become_worker() -> None:
    """Ignore the signals that the parent handles, and end when it ends, even if it is killed."""
    from threading import Thread

    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    from multiprocessing import parent_process

    if parent := parent_process():
        parent.join()
    # sys.exit would end only this thread.
    os._exit(1)
