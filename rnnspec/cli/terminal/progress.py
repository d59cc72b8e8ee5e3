"""A progress bar on standard error, where someone is there to see it."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LARGE = 2**25
"""Bytes that are read in the blink of an eye."""


@contextmanager
def progress(steps: int) -> Iterator[Callable[[str], None]]:
    """Yield a function that says what begins now: something first, then each of ``steps``."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    # A descriptor of its own: the frameworks' chatter is held back by redirecting the common one.
    with (
        os.fdopen(os.dup(sys.stderr.fileno()), "w") as terminal,
        Progress(*columns, console=Console(file=terminal), transient=True) as bar,
    ):
        task = bar.add_task("starting", total=steps)
        begun = count(-1)

        def step(what: str) -> None:
            bar.update(task, description=what, completed=max(0, next(begun)))

        yield step


@contextmanager
def reading() -> Iterator[Callable[[int, int], None]]:
    """Yield a function that is told how many bytes of how many are read; a large file has a bar."""
    with ExitStack() as shown:
        update: list[Callable[[int], None]] = []

        def told(done: int, total: int) -> None:
            if total >= _LARGE and not update and sys.stderr.isatty():
                update.append(shown.enter_context(_bytes(total)))
            for each in update:
                each(done)

        yield told


@contextmanager
def _bytes(total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (BarColumn(), DownloadColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading word vectors", total=total)
        yield lambda done: bar.update(task, completed=done)
