"""The registry of backends. A framework is imported only when its runtime is needed."""

from __future__ import annotations

from rnnspec.arguments import one_of
from rnnspec.backends.base import Backend
from rnnspec.backends.keras.backend import KERAS
from rnnspec.backends.torch.backend import TORCH
from rnnspec.errors import BackendError, UsageError

__all__ = ["BACKENDS", "Backend", "chosen", "get"]

BACKENDS: dict[str, Backend] = {backend.name: backend for backend in (KERAS, TORCH)}


def get(name: str) -> Backend:
    """Return the backend named ``name``.

    Raises:
        UsageError: no backend has that name.
    """
    return BACKENDS[one_of("backend", name, BACKENDS)]


def chosen(name: str | None) -> Backend:
    """Return the backend named ``name``, or without a name the only one installed.

    Raises:
        UsageError: no backend has that name, or several are installed and none is named.
        BackendError: no backend is installed.
    """
    if name is not None:
        return get(name)
    installed = [backend for backend in BACKENDS.values() if backend.installed]
    if not installed:
        extras = " or ".join(f"pip install 'rnnspec[{each}]'" for each in BACKENDS)
        raise BackendError(f"no backend is installed: {extras}")
    if len(installed) > 1:
        names = " or ".join(backend.name for backend in installed)
        raise UsageError(f"several backends are installed; choose one with --backend {names}")
    return installed[0]
