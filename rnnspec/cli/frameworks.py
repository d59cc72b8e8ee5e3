"""Import frameworks without their log messages."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rnnspec.errors import BackendError
from rnnspec.files import NO_WORKING_FOLDER, has_working_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rnnspec.backends import Backend


def import_required(backend: Backend) -> None:
    """Import the runtime of a backend that is installed and recent enough.

    Raises:
        BackendError: it is not, or fails to import.
    """
    backend.require()
    import_quietly([backend])


def import_quietly(backends: Iterable[Backend]) -> None:
    """Import the runtime of each backend; print its log messages only if the import fails.

    Raises:
        BackendError: one is not installed, too old, or fails to import.
    """
    # If the current folder was removed, oneMKL in PyTorch cannot load and ends the process.
    if not has_working_folder():
        raise BackendError(NO_WORKING_FOLDER)
    # TensorFlow logs CPU features from C++, where Python's logging settings have no effect.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _held_back_stderr():
        for backend in backends:
            _ = backend.runtime


@contextmanager
def _held_back_stderr() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    # A file, not a pipe, because a full pipe would block the import. The descriptor is replaced,
    # not sys.stderr, because C++ code does not use the latter.
    with tempfile.TemporaryFile() as chatter:
        try:
            os.dup2(chatter.fileno(), 2)
            yield
        except Exception:
            os.dup2(kept, 2)
            chatter.seek(0)
            # Written through sys.stderr, which ignores failures, so that the error is still raised.
            sys.stderr.write(chatter.read().decode(errors="backslashreplace"))
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
