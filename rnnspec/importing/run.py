"""A trained model of another tool, from its file to a spec and canonical arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from rnnspec import pipeline
from rnnspec.backends import Backend
from rnnspec.errors import ModelError, Problem, SpecError, brief
from rnnspec.importing.guesses import with_guesses
from rnnspec.importing.naming import (
    in_words_of_file,
    name_layers,
    network_name,
    renamed,
    renamed_arrays,
    renamed_layers,
)
from rnnspec.importing.origins import Request, origin_of
from rnnspec.ir import nodes
from rnnspec.raising import raise_spec
from rnnspec.spec.write import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rnnspec.backends.imported import Imported
    from rnnspec.pipeline import Program
    from rnnspec.slots import Array


@dataclass(frozen=True, slots=True)
class Taken:
    """An imported model: the text of its spec, its network, and its canonical arrays.

    ``imported`` accounts for what was in the file.
    """

    text: str
    program: Program
    arrays: Mapping[str, Array]
    imported: Imported


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
        return _of_spec(path, spec, imported)
    if imported.spec:
        program = pipeline.reads(imported.spec, str(path), allow_outside=True)
        return Taken(imported.spec, program, imported.arrays, imported)
    return spelled(str(path), imported)


def spelled(source: str, imported: Imported) -> Taken:
    """Return a model with the text of its spec, which is lowered again and compared.

    Raises:
        ModelError: the language cannot express the model.
    """
    network, arrays = name_layers(imported)
    try:
        text, program = _write_spec(source, network, imported.guesses)
    except ModelError as error:
        raise in_words_of_file(error, imported, network) from None
    return Taken(text, program, arrays, renamed_layers(imported, network))


def _write_spec(
    source: str, network: nodes.Network, guesses: Sequence[tuple[str, str]]
) -> tuple[str, Program]:
    """Return the text of the spec of a network, and what it is lowered to, which is the same."""
    text = with_guesses(dump(raise_spec(network, source)), guesses)
    try:
        program = pipeline.reads(text, source)
    except SpecError as error:
        problems = tuple(
            Problem(source, f"the spec would be wrong: {each.message}", each.where, code="E704")
            for each in error.problems
        )
        raise ModelError(problems) from None
    _check(source, network, program.network)
    return text, program


def _check(source: str, wanted: nodes.Network, found: nodes.Network) -> None:
    """Raise ModelError at the first layer that differs, with all of its settings that do."""
    pairs = zip_longest((wanted.input, *wanted.layers), (found.input, *found.layers))
    for one, two in pairs:
        if one != two:
            where = getattr(one or two, "name", "input")
            problems = [
                Problem(source, message, f"{where}{key and '.'}{key}", code="E704")
                for key, message in _differing(one, two)
            ]
            raise ModelError(tuple(problems))


def _differing(one: Any, two: Any) -> Iterator[tuple[str, str]]:
    if type(one) is not type(two):
        wanted, received = (type(each).__name__ if each else "no layer" for each in (one, two))
        yield "", f"expected {wanted}, received {received}"
        return
    for each in fields(one):
        before, after = getattr(one, each.name), getattr(two, each.name)
        if before != after and is_dataclass(before) and type(before) is type(after):
            yield from ((f"{each.name}.{key}", what) for key, what in _differing(before, after))
        elif before != after:
            yield each.name, f"expected {brief(repr(before))}, received {brief(repr(after))}"


def _of_spec(path: Path, spec: Program, imported: Imported) -> Taken:
    """Return the arrays under the names of a named spec, if it describes the same network."""
    pairs = zip(imported.network.layers, spec.network.layers, strict=False)
    names = {one.name: two.name for one, two in pairs}
    _check(str(path), spec.network, renamed(imported.network, names))
    arrays = renamed_arrays(imported.arrays, names)
    return Taken(spec.spec.document.text, spec, arrays, imported)
