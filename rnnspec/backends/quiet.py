"""What frameworks write to standard error, held back: they log from C++ while they are imported."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def held_back_stderr(keep: Callable[[str], str]) -> Iterator[None]:
    """Hold back the standard error of the process, then write what ``keep`` leaves of it.

    If an exception is raised, all of it is written.
    """
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        before = os.dup(2)
    except OSError:  # there is none
        yield
        return
    # A file, not a pipe, because a full pipe would block the process. The descriptor is replaced,
    # not sys.stderr, because C++ code does not use the latter.
    # Imported here: it loads hashes and random numbers, and most commands need neither.
    import tempfile

    with tempfile.TemporaryFile() as chatter:

        def write_again(filtered: Callable[[str], str]) -> None:
            chatter.seek(0)
            # Written through sys.stderr, which the command line guards against failures.
            if sys.stderr is not None:
                sys.stderr.write(filtered(chatter.read().decode(errors="backslashreplace")))

        try:
            os.dup2(chatter.fileno(), 2)
            yield
        except Exception:
            os.dup2(before, 2)
            write_again(str)
            raise
        else:
            os.dup2(before, 2)
            write_again(keep)
        finally:
            os.dup2(before, 2)
            os.close(before)
