"""A trained model, from its file to a spec and canonical arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rnnspec import pipeline
from rnnspec.backends import Backend
from rnnspec.diff import diff
from rnnspec.errors import UsageError
from rnnspec.importing.assemble import Taken, check_same, name_network, rename, write_spec
from rnnspec.importing.kinds import Request, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from rnnspec.diff import Diff
    from rnnspec.pipeline import Program


__all__ = ["Taken", "check_spec", "network_name", "take"]

_MOST_CHANGES = 5


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
    """Return the model in a file or folder.

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
    kind = kind_of(path)
    kind.check_options(path, config, ignore)
    if spec is None and kind.spec_text is not None:
        spec = check_spec(path, kind.spec_text(path), None, allow_outside=True)
    chosen = name or network_name(path)
    request = Request(name=chosen, config=config, spec=spec, ignore=ignore, importing=importing)
    imported = kind.read(path, request)
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


def check_spec(path: Path, text: str, named: Program | None, *, allow_outside: bool) -> Program:
    """Return the spec of a file: the named one, or the one whose text the file contains.

    Raises:
        SpecError: the spec in the file is invalid.
        UsageError: there is no spec, or the networks of the two specs differ.
    """
    if not text:
        if named is None:
            raise UsageError(
                "contains no spec; name the spec it was built from with --spec", str(path)
            )
        return named
    inside = pipeline.reads(text, f"{path} (the spec in it)", allow_outside=allow_outside)
    if named is None:
        return inside
    # The arrays fit both specs, but which of the two networks was trained cannot be known.
    if _comparable(inside) != _comparable(named):
        what = "; ".join(_changes(diff(inside, named))) or "other initial weights"
        raise UsageError(f"contains another network than {named.source}: {what}", str(path))
    return named


def _comparable(program: Program) -> object:
    # A description is only a comment in the source.
    return replace(program.network, description="")


def _changes(differences: Diff) -> Iterator[str]:
    """Yield the first differences between the spec in a file and the named spec."""
    lines = [
        f"{change.key}: {change.before} in the file, {change.after} in the spec"
        for change in differences.network
    ]
    for layer in differences.layers:
        name = layer.before.name if layer.before else layer.after.name if layer.after else ""
        lines += [
            f"{name}.{change.key}: {change.before} in the file, {change.after} in the spec"
            for change in layer.changes
        ]
        if layer.state in ("added", "removed"):
            lines.append(
                f"{name}: only {'in the spec' if layer.state == 'added' else 'in the file'}"
            )
    yield from lines[:_MOST_CHANGES]
