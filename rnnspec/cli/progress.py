"""Progress bars on standard error, if it is a terminal."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LARGE = 2**25
"""The size in bytes from which reading a file takes long enough for a bar."""


@dataclass(slots=True)
class Clock:
    """The pace of a number of steps, measured from the first one."""

    steps: int
    began: float | None = None

    def pace(self, done: int, now: float) -> str:
        """Return the rate so far and the time left, or an empty text before the first result.

        ``now`` is in seconds.
        """
        if self.began is None or not done:
            self.began = now
            return ""
        seconds = (now - self.began) / done
        if seconds <= 0:
            return ""
        rate = f"{1 / seconds:.1f}/s" if seconds < 1 else f"{60 / seconds:.1f}/min"
        return f"{rate}, {timedelta(seconds=round(seconds * (self.steps - done)))} left"


@contextmanager
def progress(steps: int) -> Iterator[Callable[[str], None]]:
    """Yield a function to call with a text before the preparation and before each step."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    pace = TextColumn("{task.fields[pace]}")
    description = TextColumn("{task.description}", markup=False)
    columns = (BarColumn(20), MofNCompleteColumn(), pace, description)
    # A separate descriptor, because descriptor 2 is redirected while frameworks are imported.
    with (
        os.fdopen(os.dup(sys.stderr.fileno()), "w") as terminal,
        Progress(*columns, console=Console(file=terminal), transient=True) as bar,
    ):
        task = bar.add_task("starting", total=steps, pace="")
        # The first call announces the preparation, which is not one of the steps.
        begun = count(-1)
        clock = Clock(steps)

        def step(what: str) -> None:
            done = max(0, next(begun))
            bar.update(task, description=what, completed=done, pace=clock.pace(done, monotonic()))

        yield step


@contextmanager
def reading() -> Iterator[Callable[[int, int], None]]:
    """Yield a function to call with the bytes read and the total; large files get a bar."""
    with ExitStack() as stack:
        bars: list[Callable[[int], None]] = []

        def update(done: int, total: int) -> None:
            if total >= _LARGE and not bars and sys.stderr.isatty():
                bars.append(stack.enter_context(_bytes(total)))
            for bar in bars:
                bar(done)

        yield update


@contextmanager
def _bytes(total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (BarColumn(), DownloadColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading word vectors", total=total)
        yield lambda done: bar.update(task, completed=done)
