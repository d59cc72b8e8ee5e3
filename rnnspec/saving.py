"""Save a live model, completely or not at all, and return the code that loads it."""

from __future__ import annotations

import os
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from rnnspec import files
from rnnspec.backends import BACKENDS, having
from rnnspec.backends.needs import SINGLE_FILE
from rnnspec.errors import OutputError, UsageError, listed, printable
from rnnspec.files.model import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rnnspec.backends import Backend
    from rnnspec.files import Inputs
    from rnnspec.pipeline import Generated


def file_names(backend: Backend, name: str) -> tuple[str, ...]:
    """Return the names of the files of a network."""
    return tuple(file.format(name=name) for file in backend.files)


def output_paths(output: Path, generated: Generated) -> list[Path]:
    """Return the paths of the files that ``save`` writes."""
    backend = generated.backend
    if backend.suffix:
        return [output]
    return [output / name for name in file_names(backend, generated.network.name)]


def loading(output: Path, generated: Generated) -> list[str]:
    """Return the lines of Python that load the files from ``save``."""
    # ``path`` is the last file, the one with the weights.
    path = output_paths(output, generated)[-1]
    words = {
        "name": generated.network.name,
        "entry": generated.entry,
        "macro": generated.entry.upper(),
        "file": printable(path.name),
        "arguments": dict(generated.backend.arguments).get(generated.form, ""),
        "path": str(path),
        "folder": str(output),
    }
    lines = (*generated.before_loading, *generated.backend.loading)
    return [line.format_map(words) for line in lines]


def check_output(output: Path, backend: Backend, name: str, *, force: bool, inputs: Inputs) -> None:
    """Raise, before any slow work, if the result could not be written.

    Raises:
        UsageError: the path does not fit the backend, is one of ``inputs``, or exists and
            ``force`` is not given.
        OutputError: the path is not writable.
    """
    check = partial(files.check_target, force=force, inputs=inputs)
    names = file_names(backend, name)
    if backend.suffix:
        if output.suffix != backend.suffix:
            message = f"expected a path that ends in {backend.suffix}{_instead(output)}"
            raise UsageError(message, str(output))
        check(output)
    elif not is_folder(output) and not os.path.lexists(output):
        hint = _instead(output) or f"; write {str(output.with_suffix(''))!r}"
        message = (
            f"expected the path of a folder, for {listed(names)}, received one that ends in "
            f"{output.suffix}{hint}"
        )
        raise UsageError(message, str(output))
    elif files.check_target_folder(output):
        for file in names:
            check(output / file)


def is_folder(output: Path) -> bool:
    """Return whether a path is a folder, or may be the name of a new one: it has no ending."""
    # Path.is_dir raises if a name is too long. A name such as model-1.0 has no ending.
    return os.path.isdir(output) or not re.match(r"\.[^\W\d]", output.suffix)  # noqa: PTH112


def is_single_file(output: Path) -> bool:
    """Return whether a path has the ending of the one file that a backend writes only on request.

    A folder that exists may have that ending too.
    """
    endings = [backend.single_suffix for backend in having(SINGLE_FILE)]
    return output.suffix in endings and not os.path.isdir(output)  # noqa: PTH112


def _instead(output: Path) -> str:
    """Return who writes files with the ending of ``output``, empty if nobody does."""
    suffix = output.suffix
    writers = [f"backend {name}" for name, backend in BACKENDS.items() if backend.suffix == suffix]
    if suffix == SUFFIX:
        writers.append("'rnnspec convert'")
    return f"; {listed(writers)} writes {suffix}" if suffix and writers else ""


def save(  # noqa: PLR0913 - each is needed for the files
    output: Path,
    generated: Generated,
    spec: str,
    model: Any,
    *,
    force: bool,
    verify: Callable[[Path], None] = lambda _: None,
) -> None:
    """Write the files of a model to a temporary folder, call ``verify`` on it, and move them.

    Raises:
        UsageError: a file exists by now, and ``force`` is not given.
        OutputError: the files cannot be written.
    """
    backend, name = generated.backend, generated.network.name
    # On the file system of the output: a move from another one would be a copy, so not atomic.
    with files.staged(output if output.is_dir() else output.parent) as folder:
        staged = folder / name
        staged.mkdir()
        try:
            write(generated, model, staged, spec)
        except (OSError, SafetensorError) as error:  # either, if the disk is full
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            raise OutputError(f"cannot be written: {reason}", str(output)) from error
        verify(staged)
        if backend.suffix:
            files.publish({staged / f"{name}{backend.suffix}": output}, force=force)
        else:
            files.publish_folder(staged, output, force=force)


def write(generated: Generated, model: Any, folder: Path, spec: str) -> None:
    """Write the files of a model into a folder."""
    backend, name = generated.backend, generated.network.name
    backend.runtime.save(model, folder, name, generated.text, spec)
    if backend.files == (backend.single_file,):
        backend.runtime.unite(folder, name)
