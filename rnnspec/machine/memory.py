"""The memory of this machine, and the sentence for what does not fit into it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rnnspec.errors import OutOfMemoryError, brief

if TYPE_CHECKING:
    from collections.abc import Iterator

# As each framework words it: they raise types of their own, or RuntimeError.
_WORDS = ("allocate memory", "out of memory", "OOM when")


def check_memory(size: int, what: str) -> None:
    """Raise OutOfMemoryError if ``what`` takes more bytes than the machine has.

    NumPy and the frameworks reserve memory that is not there, and the system then ends the process.
    """
    try:
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return
    if size > available > 0:
        raise OutOfMemoryError(
            f"out of memory: {what} take {_gibibytes(size)}, and this machine has "
            f"{_gibibytes(available)}"
        )


@contextmanager
def memory_for(size: int, what: str) -> Iterator[None]:
    """Say in an error about memory that ``what`` takes ``size`` bytes."""
    check_memory(size, what)
    try:
        yield
    except OutOfMemoryError:
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        message = f"out of memory: {brief(error)}; {what} take {_gibibytes(size)}"
        raise OutOfMemoryError(message) from error


def is_out_of_memory(error: Exception) -> bool:
    """True if a library had too little memory."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _WORDS)


def _gibibytes(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"
