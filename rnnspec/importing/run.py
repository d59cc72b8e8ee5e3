"""A trained model of another tool, from its file to a spec and canonical arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec import pipeline
from rnnspec.backends import Backend
from rnnspec.importing.assemble import Taken, check_same, name_network, rename, write_spec
from rnnspec.importing.origins import Request, origin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rnnspec.pipeline import Program


__all__ = ["Taken", "network_name", "take"]


def network_name(path: Path) -> str:
    """Return the name of the network in a file: that of the file, in letters that a name has."""
    return name_network(path.name.partition(".")[0])


def take(  # noqa: PLR0913 - each is something to say about a file
    path: Path,
    name: str = "",
    config: Path | None = None,
    spec: Program | None = None,
    ignore: Sequence[str] = (),
    *,
    importing: Callable[[Backend], None] = Backend.require,
) -> Taken:
    """Return the model in a file of another tool.

    Args:
        path: the file.
        name: the name of the network; by default that of the file.
        config: a file with the architecture, if the file has none.
        spec: the spec of the model: of a file without architecture, or to be compared with.
        ignore: patterns of the names of arrays in the file that are left out.
        importing: called before a framework is needed, to check a spec in the file.

    Raises:
        BackendError: a package that reads the file is not installed.
        ModelError: the language cannot express the model, or the spec is of another one.
        UsageError: the file cannot be read.
    """
    chosen = name or network_name(path)
    request = Request(name=chosen, config=config, spec=spec, ignore=ignore, importing=importing)
    imported = origin_of(path).read(path, request)
    if spec is not None:
        # The layers have the names of the spec, if they are the same.
        pairs = zip(imported.network.layers, spec.network.layers, strict=False)
        named = rename(imported, {one.name: two.name for one, two in pairs})
        check_same(str(path), spec.network, named.network)
        return Taken(spec.spec.document.text, spec, named.arrays, imported)
    if imported.spec:
        program = pipeline.reads(imported.spec, str(path), allow_outside=True)
        return Taken(imported.spec, program, imported.arrays, imported)
    return write_spec(str(path), imported)
