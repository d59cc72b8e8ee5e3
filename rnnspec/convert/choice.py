"""The kind of a file, judged by its path, and by its content if several tools use the ending."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from rnnspec.backends import BACKENDS, Backend, get, having, lack, needs, single_file
from rnnspec.backends.contract import DEFAULTS, SourceOptions
from rnnspec.backends.needs import FILES, SINGLE_FILE
from rnnspec.convert.kinds import CanonicalFile, FrameworkFiles, Kind, Source
from rnnspec.errors import UsageError, listed
from rnnspec.files.regular import missing
from rnnspec.importing.origins import ORIGINS, check_whole
from rnnspec.importing.run import take
from rnnspec.saving import is_single_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rnnspec.convert.kinds import Importing
    from rnnspec.importing.assemble import Taken
    from rnnspec.ir.forms import Form
    from rnnspec.pipeline import Program


@dataclass(frozen=True, slots=True)
class ForeignFile:
    """A model that another tool made, whose spec is found by importing it, unless it is named.

    ``config`` is a file with the architecture, if the model has none. ``ignore`` are patterns of
    the arrays that are left out. ``importing`` is called before a framework is needed.
    """

    named: bool = False
    config: Path | None = None
    ignore: Sequence[str] = ()
    importing: Importing = Backend.require
    _taken: list[Taken] = field(default_factory=list)

    @property
    def paths(self) -> tuple[str, ...]:
        """The forms of its path, for messages."""
        return tuple(origin.form for origin in ORIGINS)

    def recognises(self, path: Path) -> bool:
        """Return whether an input is of this kind."""
        return any(origin.recognises(path) for origin in ORIGINS)

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return the file, and the one with its architecture."""
        return (path,) if self.config is None else (path, self.config)

    def spec_text(self, path: Path) -> str:
        """Return the text of the spec that describes the model, empty if the user names one."""
        if self.named:
            return ""
        taken = take(path, config=self.config, ignore=self.ignore, importing=self.importing)
        if taken.imported.guesses:
            message = (
                "a state dict does not say what its modules compute; write its spec with "
                "'rnnspec import', correct what was guessed, and name it with --spec"
            )
            raise UsageError(message, str(path))
        self._taken.append(taken)
        return taken.text

    def read(self, path: Path, program: Program, importing: Importing) -> Taken:
        """Return the model in an input."""
        if self._taken:
            return self._taken.pop()
        return take(path, config=self.config, spec=program, ignore=self.ignore, importing=importing)


Found = TypeVar("Found", bound=Source)

KINDS: tuple[Kind, ...] = (
    CanonicalFile(),
    *(FrameworkFiles(backend) for backend in BACKENDS.values() if backend.files),
)
"""All kinds, in the order in which they are tried."""


def kind_of(
    path: Path,
    *,
    named: bool = False,
    config: Path | None = None,
    ignore: Sequence[str] = (),
    importing: Importing = Backend.require,
) -> Source:
    """Return the kind of an input.

    Args:
        path: the input.
        named: true if the user names the spec.
        config: a file with the architecture, if the user names one.
        ignore: patterns of the arrays in a file of another tool that are left out.
        importing: called before a framework is needed.

    Raises:
        UsageError: the file does not exist, or its path fits no kind.
    """
    if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises if a folder is not readable
        raise missing(str(path), "no such file or folder")
    check_whole(path)
    said = config is not None or bool(ignore)
    foreign = ForeignFile(named, config, ignore, importing)
    if said and not foreign.recognises(path):
        wanted = "--ignore: expected a Keras file or a state dict"
        wanted = wanted if config is None else "--config: expected a Keras file"
        raise UsageError(f"takes no {wanted}", str(path))
    found: list[Source] = [kind for kind in (foreign, *KINDS) if kind.recognises(path)]
    return _first(path, found, (*KINDS, foreign))


def kind_named(
    output: Path,
    backend: str | None = None,
    form: Form | None = None,
    options: SourceOptions = DEFAULTS,
    *,
    single: bool = False,
) -> Kind:
    """Return the kind of an output, judged by its path, or the one of a named backend.

    A folder without a named backend is of the first one that writes folders. With ``single``, or
    where the ending says so, it is a single file. A kind with source has it in a form.

    Raises:
        UsageError: the path fits no kind, or not the backend, or the kind has no source of this
            form.
    """
    kinds: tuple[Kind, ...] = KINDS
    if single or is_single_file(output):
        able = having(SINGLE_FILE) if backend is None else [get(backend, FILES)]
        kinds = tuple(FrameworkFiles(single_file(each)) for each in able)
    elif backend is not None:
        kinds = (FrameworkFiles(get(backend, FILES)),)
    found = _first(output, [kind for kind in kinds if kind.is_named(output)], kinds)
    asked = form is not None or options != DEFAULTS
    if not asked:
        return found
    if not isinstance(found, FrameworkFiles):
        what = "--target and --max-steps" if form is None else f"--form {form}"
        raise UsageError(f"a .safetensors file of rnnspec has no source; it cannot honour {what}")
    if missing := lack(found.backend, *needs.source(form)):
        raise UsageError(missing)
    return replace(found, written=form, options=options)


def _first(path: Path, found: list[Found], known: Sequence[Source]) -> Found:
    if not found:
        paths = [each for kind in known for each in kind.paths]
        raise UsageError(f"expected {listed(paths, 'or')}", str(path))
    return found[0]
