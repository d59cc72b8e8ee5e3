"""The backends there are. A framework is imported when its runtime is asked for, never before."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

from rnnspec.errors import BackendError, UsageError

if TYPE_CHECKING:
    from rnnspec.backends.base import Emitter, Runtime, Slots


@dataclass(frozen=True, slots=True)
class Backend:
    """One backend: how it is called, what it needs, and its three modules.

    ``suffix`` is the ending of the single file that ``build`` writes; empty where it is a folder.
    ``loading`` is Python that makes it a model again; name, entry, path and folder are filled in.
    """

    name: str
    title: str
    minimum: tuple[int, int]
    suffix: str = ""
    loading: tuple[str, ...] = ()

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
        except Exception as error:  # Keras raises ValueError for an engine it does not know
            raise BackendError(f"{self.title} cannot be imported: {error}") from error

    def require(self) -> None:
        """Raise BackendError unless the framework is installed and recent enough."""
        from importlib import metadata

        if not self.installed:
            raise BackendError(f"{self.title} is not installed: pip install 'rnnspec[{self.name}]'")
        try:
            found = metadata.version(self.name)
        except metadata.PackageNotFoundError:
            return  # A build under another name, keras-nightly say: its import will tell.
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
        Backend(
            "keras",
            "Keras",
            minimum=(3, 5),
            suffix=".keras",
            loading=("import keras", "model = keras.saving.load_model({path!r})"),
        ),
        Backend(
            "torch",
            "PyTorch",
            minimum=(2, 6),
            loading=(
                "import sys",
                "from safetensors.torch import load_file",
                "sys.path.append({folder!r})",
                "from {name} import {entry}",
                "model = {entry}()",
                "model.load_state_dict(load_file({path!r}))",
            ),
        ),
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


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
