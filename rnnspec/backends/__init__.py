"""The backends there are. A framework is imported when its runtime is asked for, never before."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import cast

from rnnspec.backends.base import Emitter, Runtime, Slots
from rnnspec.errors import BackendError, UsageError


@dataclass(frozen=True, slots=True)
class Backend:
    """One backend: how it is called, what it needs, and its three modules.

    ``suffix`` is the ending of the single file that ``build`` writes; empty where it is a folder.
    """

    name: str
    title: str
    minimum: tuple[int, int]
    suffix: str = ""

    @property
    def installed(self) -> bool:
        """Whether the framework can be found; it is not imported."""
        return find_spec(self.name) is not None

    @property
    def emitter(self) -> Emitter:
        """IR -> source."""
        return cast("Emitter", self._module("emit"))

    @property
    def slots(self) -> Slots:
        """Where each canonical array is kept."""
        return cast("Slots", self._module("slots"))

    @property
    def runtime(self) -> Runtime:
        """The framework itself.

        Raises:
            BackendError: it is not installed, too old, or fails to import.
        """
        self.require()
        try:
            return cast("Runtime", self._module("runtime"))
        except ImportError as error:
            raise BackendError(f"{self.title} cannot be imported: {error}") from error

    def require(self) -> None:
        """Raise BackendError unless the framework is installed and recent enough."""
        if not self.installed:
            raise BackendError(f"{self.title} is not installed: pip install 'rnnspec[{self.name}]'")
        found = metadata.version(self.name)
        if _release(found) < self.minimum:
            wanted = ".".join(map(str, self.minimum))
            raise BackendError(
                f"{self.title} {found} is too old, {wanted} is the oldest that works: "
                f"pip install --upgrade 'rnnspec[{self.name}]'"
            )

    def _module(self, name: str) -> object:
        return import_module(f"rnnspec.backends.{self.name}.{name}")


BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        Backend("keras", "Keras", minimum=(3, 5), suffix=".keras"),
        Backend("torch", "PyTorch", minimum=(2, 6)),
    )
}


def get(name: str) -> Backend:
    """Return the backend called ``name``.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in BACKENDS:
        raise UsageError(f"unknown backend '{name}'; there are {' and '.join(BACKENDS)}")
    return BACKENDS[name]


def chosen(name: str | None) -> Backend:
    """Return the backend called ``name``, or without a name the only one installed.

    Raises:
        UsageError: there is none of that name, or there is a choice to make.
        BackendError: none is installed.
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


def _release(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)
