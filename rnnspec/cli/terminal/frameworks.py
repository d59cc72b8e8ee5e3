"""Import frameworks without what they say about themselves."""

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


def import_quietly(backends: Iterable[Backend]) -> None:
    """Import the runtime of each backend; its chatter is shown only if the import fails.

    Raises:
        BackendError: one is not installed, too old, or fails to import.
    """
    # In such a folder PyTorch's oneMKL cannot load, and ends the process itself.
    if not has_working_folder():
        raise BackendError(NO_WORKING_FOLDER)
    # TensorFlow logs its CPU features, below Python's reach, unless told not to, and then some.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _held_back_stderr():
        for backend in backends:
            _ = backend.runtime


@contextmanager
def _held_back_stderr() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        try:
            os.dup2(chatter.fileno(), 2)
            yield
        except Exception:
            os.dup2(kept, 2)
            chatter.seek(0)
            # Through Python's own stream: if this cannot be written, the message still counts.
            sys.stderr.write(chatter.read().decode(errors="backslashreplace"))
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
