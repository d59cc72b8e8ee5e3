"""A trial of an HDF5 file in a process of its own, which begins before NumPy and h5py are imported.

HDF5 may hang or end its process over broken bytes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnspec.files.regular import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECONDS = 10
_BYTES_A_SECOND = 2**25
_ZIP = b"PK"


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial that is under way; ``seconds`` is the most that it may take."""

    process: subprocess.Popen[bytes]
    seconds: int

    def problem(self) -> str:
        """Wait for the end, and return what is wrong with the file, empty if HDF5 can read it."""
        try:
            # Not wait, which sleeps up to 50 ms at a time: the end of the output ends this.
            self.process.communicate(timeout=self.seconds)
        except subprocess.TimeoutExpired:
            return f"broken HDF5 file: reading it takes more than {self.seconds} s"
        failed = self.process.returncode != 0
        return "broken HDF5 file: HDF5 fails while reading it" if failed else ""


@contextmanager
def begun(path: Path) -> Iterator[Trial | None]:
    """Yield the trial of a file; an archive, which has to be unpacked first, has none.

    Raises:
        UsageError: the file cannot be read.
    """
    with opened(path) as (stream, size):
        archive = stream.read(len(_ZIP)) == _ZIP
    if archive:
        yield None
        return
    script = Path(__file__).with_name("probe.py")
    command = [sys.executable, "-I", str(script), str(path), str(size)]
    # NumPy's library starts a thread for each core otherwise, before it computes anything.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    # The interpreter that runs this, and a script of ours.
    with subprocess.Popen(  # noqa: S603
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield Trial(process, _SECONDS + size // _BYTES_A_SECOND)
        finally:
            process.kill()
