"""Worker processes: how work is shared among them, and how they start and end.

Only the parent handles signals, and no worker outlives it.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rnnspec.errors import BackendError, GenerationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future, ProcessPoolExecutor

T = TypeVar("T")
R = TypeVar("R")

# NPROC is read by XLA (DefaultThreadPoolSize in xla/pjrt/utils.cc), the next two by TensorFlow.
_LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NPROC",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)

_STOPPING = frozenset(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)

# Starting a process costs about as much as checking a hundred specs.
_WORTH_A_PROCESS = 250
_MOST_AT_ONCE = 50

# Frameworks keep what they compile: a process grows by about 10 MB with each spec.
MOST = 100
"""The number of items after which a process is replaced by a new one."""


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    # A container or taskset may allow fewer cores than the machine has. os.process_cpu_count would
    # know, but needs Python 3.13.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def single_threaded() -> Iterator[None]:
    """Limit frameworks imported here, or by new processes, to one thread; the user's limits stand.

    The order of additions in a sum, and with it the last digits, depends on the number of threads.
    """
    added = [name for name in _LIMITS if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def map_in_order(function: Callable[[T], R], items: Sequence[T], jobs: int) -> list[R]:
    """Return the result of ``function`` for each item, in order, computed by ``jobs`` processes.

    0 chooses the number of processes from the number of items and of cores.
    """
    jobs = min(jobs or min(count_cores(), len(items) // _WORTH_A_PROCESS), len(items))
    if jobs < 2:
        return list(map(function, items))
    # Four chunks per process even out slow specs; fewer, larger chunks cost less in the queue.
    size = max(1, min(_MOST_AT_ONCE, len(items) // (4 * jobs)))
    # A forked process has everything imported. On macOS fork is unsafe; Windows has none.
    with _pool(jobs, "fork" if sys.platform == "linux" else "spawn") as pool:
        with _signals_blocked():
            results = pool.map(function, items, chunksize=size)
        return list(results)


@dataclass(frozen=True, slots=True)
class Work(Generic[T, R]):
    """A task for each item, and ``prepare``, called once per process, such as to import frameworks.

    Both are pickled. ``name`` names an item if its process dies. No item after the first one with a
    result for which ``ends`` is true is needed.
    """

    task: Callable[[T], R]
    prepare: Callable[[], None]
    name: Callable[[T], str]
    ends: Callable[[R], bool] = lambda _: False

    def share(
        self, items: Sequence[T], jobs: int, done: Callable[[str], None] = lambda _: None
    ) -> list[R]:
        """Return the results of the items in order, up to the one that ends the work.

        If a process dies, the items that were being computed are computed again, one at a time.

        Args:
            items: one item per call of the task.
            jobs: the number of processes.
            done: called with the name of each item when it is done.

        Raises:
            BackendError: a process died of its item; the message names it.
            Exception: a task or the preparation raised it.
        """
        results = dict[int, R]()
        needed = len(items)

        def keep(index: int, result: R) -> None:
            nonlocal needed
            results[index] = result
            if self.ends(result):
                needed = min(needed, index + 1)
            done(self.name(items[index]))

        following = 0
        while following < needed:
            upto = min(following + MOST * jobs, needed)
            lost = list[int]()
            with _pool(min(jobs, upto - following)) as pool:
                running: dict[Future[R], int] = {}
                while not lost and (running or following < min(upto, needed)):
                    while len(running) < jobs and following < min(upto, needed):
                        running[self._submit(pool, items[following])] = following
                        following += 1
                    lost = _collect(running, keep)
            for index in lost:
                if index < needed:
                    keep(index, self._alone(items[index]))
        return [results[index] for index in range(needed)]

    def _submit(self, pool: ProcessPoolExecutor, item: T) -> Future[R]:
        # The pool starts a process when it needs one, which must not receive a signal before it is
        # set up.
        with _signals_blocked():
            return pool.submit(_do_task, self.prepare, self.task, item)

    def _alone(self, item: T) -> R:
        """Return the result of an item, computed in a process of its own."""
        import multiprocessing
        from concurrent.futures.process import BrokenProcessPool

        with _pool(1) as pool:
            future = self._submit(pool, item)
            (process,) = multiprocessing.active_children()
            try:
                return future.result()
            except BrokenProcessPool:
                pool.shutdown()  # whose thread waits for the process, and then knows its exit code
                code = process.exitcode or 0
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with the exit code {code}"
        raise BackendError(
            f"the process that compared {self.name(item)} was ended {how}; the memory may not be "
            "enough: try fewer --jobs, or this spec alone"
        )


def _collect(running: dict[Future[R], int], keep: Callable[[int, R], None]) -> list[int]:
    """Wait for a result, and take all that are there out of ``running``.

    Returns the items whose results are lost because a process died.
    """
    from concurrent.futures import FIRST_COMPLETED, wait
    from concurrent.futures.process import BrokenProcessPool

    lost = list[int]()
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        index = running.pop(future)
        try:
            result = future.result()
        except BrokenProcessPool:
            # All futures fail if one process dies, which need not be this one's.
            lost = sorted([index, *lost, *running.values()])
            running.clear()
            break
        keep(index, result)
    return lost


_READY = set[object]()


def _do_task(prepare: Callable[[], None], task: Callable[[T], R], item: T) -> R:
    """Do a task in a worker, after its preparation."""
    import pickle

    try:
        # Not as the initializer of the pool, whose errors are printed with their traceback.
        if not _READY:
            prepare()
            _READY.add(True)
        return task(item)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 - its own bytes
        except Exception:  # noqa: BLE001 - raised by methods of the error's class
            # Errors of frameworks may not reach the parent as they are.
            raise GenerationError(f"{type(error).__name__}: {error}") from None
        raise


@contextmanager
def _pool(jobs: int, method: str = "spawn") -> Iterator[ProcessPoolExecutor]:
    """Yield a pool whose processes are ended at once if the work ends early."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    context: Any = multiprocessing.get_context(method)
    with _sigpipe_ignored():
        pool = ProcessPoolExecutor(jobs, context, _become_worker)
        try:
            yield pool
        except BaseException:
            _end(pool)
            raise
        pool.shutdown()


def _end(pool: ProcessPoolExecutor) -> None:
    """End a pool without waiting for what its processes do."""
    import multiprocessing

    for process in multiprocessing.active_children():
        process.kill()
    # Waits for its threads, which may still be writing to a process: SIGPIPE must be ignored.
    pool.shutdown(cancel_futures=True)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block signals while processes start: a worker must not receive one before it is set up."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    # It starts with the first process, and then unblocks signals for those that follow. Source:
    # ResourceTracker.ensure_running of CPython.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _sigpipe_ignored() -> Iterator[None]:
    """Ignore SIGPIPE, so that the parent sees an error if a worker has died, and can report it."""
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
