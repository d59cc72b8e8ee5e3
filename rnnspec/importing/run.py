"""A trained model of another tool, from its file to a spec and canonical arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rnnspec import pipeline
from rnnspec.errors import ModelError, Problem, SpecError, brief
from rnnspec.importing.guesses import with_guesses
from rnnspec.importing.naming import named, network_name, renamed, renamed_arrays
from rnnspec.importing.origins import Request, origin_of
from rnnspec.ir import nodes
from rnnspec.raising import raised
from rnnspec.spec.write import dump

if TYPE_CHECKING:
    from collections.abc import Mapping
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


def take(
    path: Path, name: str = "", config: Path | None = None, spec: Program | None = None
) -> Taken:
    """Return the model in a file of another tool.

    Args:
        path: the file.
        name: the name of the network; by default that of the file.
        config: a file with the architecture, if the file has none.
        spec: the spec of the model: of a file without architecture, or to be compared with.

    Raises:
        BackendError: a package that reads the file is not installed.
        ModelError: the language cannot express the model, or the spec is of another one.
        UsageError: the file cannot be read.
    """
    known = None if spec is None else spec.network
    request = Request(name=name or network_name(path), config=config, known=known)
    imported = origin_of(path).read(path, request)
    if spec is not None:
        return _of_spec(path, spec, imported)
    return spelled(str(path), imported)


def spelled(source: str, imported: Imported) -> Taken:
    """Return a model with the text of its spec, which is lowered again and compared.

    Raises:
        ModelError: the language cannot express the model.
    """
    network, arrays = named(imported)
    text = with_guesses(dump(raised(network, source)), imported.guesses)
    try:
        program = pipeline.reads(text, source)
    except SpecError as error:
        problems = tuple(
            Problem(source, f"the spec would be wrong: {each.message}", each.where, code="E704")
            for each in error.problems
        )
        raise ModelError(problems) from None
    _check(source, network, program.network)
    return Taken(text, program, arrays, imported)


def _check(source: str, wanted: nodes.Network, found: nodes.Network) -> None:
    """Raise ModelError unless the spec describes the network that was read."""
    if found == wanted:
        return
    pairs = zip((wanted.input, *wanted.layers), (found.input, *found.layers), strict=False)
    one, two = next((pair for pair in pairs if pair[0] != pair[1]), (wanted, found))
    where = getattr(one, "name", "input")
    message = f"expected {_brief(one)}, received {_brief(two)}"
    raise ModelError((Problem(source, message, where, code="E704"),))


def _brief(node: object) -> str:
    return brief(repr(node).removeprefix("nodes."))


def _of_spec(path: Path, spec: Program, imported: Imported) -> Taken:
    """Return the arrays under the names of a named spec, if it describes the same network."""
    pairs = zip(imported.network.layers, spec.network.layers, strict=False)
    names = {one.name: two.name for one, two in pairs}
    _check(str(path), _comparable(renamed(imported.network, names)), _comparable(spec.network))
    arrays = renamed_arrays(imported.arrays, names)
    return Taken(spec.spec.document.text, spec, arrays, imported)


def _comparable(network: nodes.Network) -> nodes.Network:
    """Return a network without its name and description, which change nothing."""
    return replace(network, name="", description="")
