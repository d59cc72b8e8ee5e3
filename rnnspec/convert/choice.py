"""The kind of a file, judged by its path, and by its content if several tools use the ending."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from rnnspec.backends import BACKENDS, get
from rnnspec.backends.needs import FILES
from rnnspec.convert.kinds import CanonicalFile, FrameworkFiles, Kind, Loaded, Source
from rnnspec.errors import UsageError, listed
from rnnspec.importing.origins import ORIGINS, TorchFiles
from rnnspec.importing.run import take

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rnnspec.convert.kinds import Importing
    from rnnspec.pipeline import Program


@dataclass(frozen=True, slots=True)
class ForeignFile:
    """A model that another tool made, whose spec is found by importing it, unless it is named."""

    named: bool

    @property
    def form(self) -> str:
        """The forms of its path, for messages."""
        return " or ".join(origin.form for origin in ORIGINS)

    def recognises(self, path: Path) -> bool:
        """Return whether an input is of this kind."""
        return any(origin.recognises(path) for origin in ORIGINS)

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return the one file."""
        return (path,)

    def spec_text(self, path: Path) -> str:
        """Return the text of the spec that describes the model, empty if the user names one."""
        if self.named:
            return ""
        taken = take(path)
        if taken.imported.guesses:
            message = (
                "a state dict does not say what its modules compute; write its spec with "
                "'rnnspec import', correct what was guessed, and name it with --spec"
            )
            raise UsageError(message, str(path))
        return taken.text

    def read(self, path: Path, program: Program, importing: Importing) -> Loaded:  # noqa: ARG002
        """Return the arrays in an input."""
        taken = take(path, spec=program)
        return Loaded(taken.arrays, taken.imported.left_out)


Found = TypeVar("Found", bound=Source)

KINDS: tuple[Kind, ...] = (
    CanonicalFile(),
    *(FrameworkFiles(backend) for backend in BACKENDS.values() if backend.files),
)
"""All kinds, in the order in which they are tried."""


def kind_of(path: Path, *, named: bool = False) -> Source:
    """Return the kind of an input, of which the user names the spec or not.

    Raises:
        UsageError: the file does not exist, or its path fits no kind.
    """
    if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises if a folder is not readable
        raise UsageError("no such file or folder", str(path))
    foreign = ForeignFile(named)
    # With a spec, a file of a backend is held to what the spec makes, setting by setting.
    strict = named and not TorchFiles().recognises(path)
    sources: tuple[Source, ...] = (*KINDS, foreign) if strict else (foreign, *KINDS)
    found = [kind for kind in sources if kind.recognises(path)]
    return _first(path, found, (*KINDS, foreign))


def kind_named(output: Path, backend: str | None = None) -> Kind:
    """Return the kind of an output, judged by its path, or the one of a named backend.

    A folder without a named backend is of the first one that writes folders.

    Raises:
        UsageError: the path fits no kind, or not the backend.
    """
    kinds: tuple[Kind, ...] = KINDS
    if backend is not None:
        kinds = (FrameworkFiles(get(backend, FILES)),)
    return _first(output, [kind for kind in kinds if kind.is_named(output)], kinds)


def _first(path: Path, found: list[Found], known: Sequence[Source]) -> Found:
    if not found:
        raise UsageError(f"expected {listed([kind.form for kind in known], 'or')}", str(path))
    return found[0]
