"""Progress bars on standard error, if it is a terminal."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LARGE = 2**25
"""The size in bytes from which reading a file takes long enough for a bar."""


@contextmanager
def progress(steps: int) -> Iterator[Callable[[str], None]]:
    """Yield a function to call with a text before the preparation and before each step."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    # A separate descriptor, because descriptor 2 is redirected while frameworks are imported.
    with (
        os.fdopen(os.dup(sys.stderr.fileno()), "w") as terminal,
        Progress(*columns, console=Console(file=terminal), transient=True) as bar,
    ):
        task = bar.add_task("starting", total=steps)
        # The first call announces the preparation, which is not one of the steps.
        begun = count(-1)

        def step(what: str) -> None:
            bar.update(task, description=what, completed=max(0, next(begun)))

        yield step


@contextmanager
def reading() -> Iterator[Callable[[int, int], None]]:
    """Yield a function to call with the bytes read and the total; large files get a bar."""
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
