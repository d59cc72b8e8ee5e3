"""Standard input, output and error, in whatever state the parent process left them."""

from __future__ import annotations

import io
import os
import sys

TYPE_CHECKING = False  # until signals are handled, an interrupt prints a traceback
if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def open_streams() -> None:
    """Make printing safe: streams may be closed, full, or unable to encode the text of a spec."""
    # Open descriptors 0 to 2 if they are closed, because the next opened file would take them.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
        # By default, child processes would lack them: https://peps.python.org/pep-0446/
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - open until the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - likewise
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        # Its encoding may be ASCII or Latin-1, where one character of a description would end the
        # run.
        reconfigure(errors="backslashreplace")
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _best_effort(sys.stderr)


class _BestEffort(io.FileIO):
    """A file that drops output which cannot be written."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write ``data``, or drop it, and return the number of bytes."""
        try:
            return super().write(data) or len(memoryview(data))
        except OSError:
            return len(memoryview(data))


def _best_effort(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """Return standard error that never raises: the results and the exit code matter more."""
    raw = getattr(stream.buffer, "raw", stream.buffer)  # python -u has no buffer
    # A test or an embedding program has replaced it, and expects its own object to stay.
    if not isinstance(raw, io.FileIO) or raw.fileno() != 2:
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_BestEffort(2, "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=True,
    )
