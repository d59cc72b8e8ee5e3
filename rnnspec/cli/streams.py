"""Standard input, output and error, whatever state the parent left them in."""

from __future__ import annotations

import io
import os
import sys

TYPE_CHECKING = False  # importing typing takes time in which an interrupt is a traceback
if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def open_streams() -> None:
    """Have somewhere to print: streams may be closed, full, or unable to encode a spec's text."""
    _fill_descriptors()
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - open until the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - likewise
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="backslashreplace")
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _best_effort(sys.stderr)


def _fill_descriptors() -> None:
    """Open descriptors 0 to 2 if closed: the next files to be opened would take their place."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


class _BestEffort(io.FileIO):
    """A file that drops what cannot be written."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Return how many bytes are dealt with."""
        try:
            return super().write(data) or len(memoryview(data))
        except OSError:
            return len(memoryview(data))


def _best_effort(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """Return standard error without its failures: results and exit code matter more."""
    raw = getattr(stream.buffer, "raw", stream.buffer)  # itself, if Python is unbuffered
    if not isinstance(raw, io.FileIO) or raw.fileno() != 2:
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_BestEffort(2, "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=True,
    )
