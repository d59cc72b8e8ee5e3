"""Apply one function to many inputs, on several cores if that is faster."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

from rnnspec.workers.cores import cores
from rnnspec.workers.signals import become_worker, without_signals, without_sigpipe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
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
    jobs = min(jobs or min(cores(), len(items) // _WORTH_A_PROCESS), len(items))
    if jobs < 2:
        return list(map(function, items))
    from concurrent.futures import ProcessPoolExecutor

    # Four chunks per process even out slow specs; fewer, larger chunks cost less in the queue.
    size = max(1, min(_MOST_AT_ONCE, len(items) // (4 * jobs)))
    with without_sigpipe(), ProcessPoolExecutor(jobs, _context(), become_worker) as pool:
        try:
            with without_signals():
                results = pool.map(function, items, chunksize=size)
            return list(results)
        except BaseException:
            # Leaving the 'with' block waits for the pool, so first cancel what is queued.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _context() -> BaseContext:
    import multiprocessing

    # A forked process has everything imported. On macOS fork is unsafe; Windows has none.
    return multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
