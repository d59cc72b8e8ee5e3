"""Conversion of a trained model from one kind of file to another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rnnspec import pipeline
from rnnspec.diff import Diff, diff
from rnnspec.errors import UsageError
from rnnspec.slots import is_finite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rnnspec.convert.kinds import Importing, Source
    from rnnspec.importing.assemble import Taken
    from rnnspec.pipeline import Program

_MOST_CHANGES = 5


def spec_for(kind: Source, path: Path, named: Program | None, *, allow_outside: bool) -> Program:
    """Return the spec of a file: the named one, or the one that the file contains.

    Raises:
        SpecError: the spec in the file is invalid.
        UsageError: there is no spec, or the networks of the two specs differ.
    """
    text = kind.spec_text(path)
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


def _changes(found: Diff) -> Iterator[str]:
    """Yield the first differences between the spec in a file and the named spec."""
    lines = [
        f"{each.key}: {each.before} in the file, {each.after} in the spec" for each in found.network
    ]
    for layer in found.layers:
        name = layer.before.name if layer.before else layer.after.name if layer.after else ""
        lines += [
            f"{name}.{each.key}: {each.before} in the file, {each.after} in the spec"
            for each in layer.changes
        ]
        if layer.state in ("added", "removed"):
            lines.append(
                f"{name}: only {'in the spec' if layer.state == 'added' else 'in the file'}"
            )
    yield from lines[:_MOST_CHANGES]


def read(kind: Source, path: Path, program: Program, importing: Importing) -> Taken:
    """Return the model in a file.

    Raises:
        UsageError: the file cannot be read, has another structure than the spec, or contains
            numbers that are not finite.
    """
    found = kind.read(path, program, importing)
    # The comparison after writing would refuse NaN and infinity too, but blame the conversion.
    for name, array in found.arrays.items():
        if not is_finite(array):
            raise UsageError(f"{name}: expected finite numbers, received others", str(path))
    return found
