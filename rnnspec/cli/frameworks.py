"""Import frameworks without their log messages."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rnnspec.backends.quiet import held_back_stderr
from rnnspec.errors import BackendError
from rnnspec.files import NO_WORKING_FOLDER, has_working_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    with held_back_stderr(lambda _: ""):
        for backend in backends:
            _ = backend.runtime
