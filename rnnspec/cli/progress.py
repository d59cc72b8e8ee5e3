"""A progress bar on standard error, where someone is there to see it."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
