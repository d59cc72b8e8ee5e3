"""Share slow work among processes that are prepared once, such as by importing frameworks.

A pool of ``concurrent.futures`` cannot tell which item a dead process had, or how it died, and it
waits for running items when it is interrupted. Here every process has a pipe of its own.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rnnspec.errors import BackendError, GenerationError
from rnnspec.workers.signals import become_worker, without_signals, without_sigpipe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

T = TypeVar("T")
R = TypeVar("R")

# Frameworks keep what they compile: a process grows by about 10 MB with each spec.
MOST = 100
"""The number of items after which a process is replaced by a new one."""


@dataclass(frozen=True, slots=True)
class Work(Generic[T, R]):
    """A task for each item, and ``prepare``, called once per process.

    Both are pickled. ``name`` names an item if its process dies. No item after the first one with a
    result for which ``ends`` is true is needed.
    """

    task: Callable[[T], R]
    prepare: Callable[[], None]
    name: Callable[[T], str]
    ends: Callable[[R], bool] = lambda _: False

    def shared(
        self, items: Sequence[T], jobs: int, done: Callable[[str], None] = lambda _: None
    ) -> list[R]:
        """Return the results of the items in order, up to the one that ends the work.

        Args:
            items: one item per call of the task.
            jobs: the number of processes.
            done: called with the name of each item when it is done.

        Raises:
            BackendError: a process died; the message names its item.
            Exception: a task or the preparation raised it.
        """
        with without_sigpipe():
            return _Sharing(self, items, min(jobs, len(items)), done).run()


@dataclass(slots=True)
class _Worker:
    """A process, the index of its item, and the number of items that it has been given."""

    process: SpawnProcess
    connection: Connection
    index: int = -1
    given: int = 0

    @classmethod
    def start(cls, work: Work[Any, Any]) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        target = work.prepare, work.task
        process = context.Process(target=_serve, args=(theirs, *target), daemon=True)
        process.start()
        # Otherwise the pipe would stay open, and the death of the process unnoticed.
        theirs.close()
        return cls(process, ours)

    def give(self, index: int, item: object) -> None:
        self.index = index
        self.given += 1
        # If it has died, that shows when its result is read.
        with suppress(OSError):
            self.connection.send(item)

    def result(self, name: str) -> Any:
        try:
            error, result = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            raise BackendError(_death(name, self.process.exitcode or 0)) from None
        if error is not None:
            raise error
        return result

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


def _death(name: str, code: int) -> str:
    how = f"with the exit code {code}"
    if code < 0:
        how = f"by {signal.Signals(-code).name}"
    return (
        f"the process that compared {name} was ended {how}; the memory may not be enough: "
        "try fewer --jobs, or this spec alone"
    )


@dataclass(slots=True)
class _Sharing(Generic[T, R]):
    """The state of shared work: the workers, and the results by index."""

    work: Work[T, R]
    items: Sequence[T]
    jobs: int
    done: Callable[[str], None]
    workers: list[_Worker] = field(default_factory=list)
    results: dict[int, R] = field(default_factory=dict)
    following: int = 0
    needed: int = 0
    """The number of items whose results are needed."""

    def run(self) -> list[R]:
        self.needed = len(self.items)
        try:
            for _ in range(self.jobs):
                self._begin()
            while not all(index in self.results for index in range(self.needed)):
                ready = wait([each.connection for each in self.workers])
                for worker in [each for each in self.workers if each.connection in ready]:
                    self._receive(worker)
        finally:
            for worker in self.workers:
                worker.end()
        return [self.results[index] for index in range(self.needed)]

    def _begin(self) -> None:
        # A signal is heard only after the worker is in the list of those to end.
        with without_signals():
            worker = _Worker.start(self.work)
            self.workers.append(worker)
        self._give(worker)

    def _give(self, worker: _Worker) -> None:
        if self.following < self.needed:
            worker.give(self.following, self.items[self.following])
            self.following += 1
        else:
            self._end(worker)

    def _receive(self, worker: _Worker) -> None:
        name = self.work.name(self.items[worker.index])
        result = worker.result(name)
        self.results[worker.index] = result
        if self.work.ends(result):
            self.needed = min(self.needed, worker.index + 1)
        self.done(name)
        if worker.given < MOST or self.following >= self.needed:
            self._give(worker)
        else:
            self._end(worker)
            self._begin()

    def _end(self, worker: _Worker) -> None:
        worker.end()
        self.workers.remove(worker)


def _serve(
    connection: Connection, prepare: Callable[[], None], task: Callable[[Any], object]
) -> None:
    """Answer each item with an error or None, and its result."""
    become_worker()
    begun = False
    while True:
        try:
            item = connection.recv()
        except (EOFError, OSError):  # the parent has ended
            return
        try:
            if not begun:
                prepare()
                begun = True
            answer: tuple[Exception | None, object] = None, task(item)
        except Exception as error:  # noqa: BLE001 - frameworks raise errors of any kind
            answer = _portable(error), None
        connection.send(answer)


def _portable(error: Exception) -> Exception:
    """Return an error that reaches the parent: some of frameworks cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - its own bytes
    except Exception:  # noqa: BLE001 - raised by methods of the error's class
        return GenerationError(f"{type(error).__name__}: {error}")
    return error
