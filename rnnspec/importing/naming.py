"""Names of imported networks and layers: those of the file where the language takes them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from rnnspec.backends import taken_names
from rnnspec.errors import ModelError, Problem
from rnnspec.ir import nodes
from rnnspec.spec.names import check_layer_name, check_network_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rnnspec.backends.imported import Imported
    from rnnspec.slots import Array
    from rnnspec.taken_names import TakenNames


def network_name(path: Path) -> str:
    """Return the name of the network in a file: that of the file, in letters that a name has."""
    return network_name_of(path.name.partition(".")[0])


def network_name_of(text: str) -> str:
    """Return a name of a network that is made from any text."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:50]
    for candidate in (name, f"net_{name}", f"{name}_net"):
        if _valid(check_network_name, candidate):
            return candidate
    return "imported_net"


def name_layers(imported: Imported) -> tuple[nodes.Network, dict[str, Array]]:
    """Return the network and its arrays, each layer by its name in the file if it may have it."""
    names = {
        ours: theirs for ours, theirs in imported.names.items() if _valid(check_layer_name, theirs)
    }
    taken = {each.name for each in imported.network.layers} - set(names)
    unique = {ours: theirs for ours, theirs in names.items() if theirs not in taken}
    return renamed(imported.network, unique), renamed_arrays(imported.arrays, unique)


def renamed_layers(imported: Imported, network: nodes.Network) -> Imported:
    """Return an account of a model in which layers have their names in ``network``."""
    pairs = zip(imported.network.layers, network.layers, strict=True)
    names = {one.name: two.name for one, two in pairs}
    layers = tuple(
        replace(
            each, became=re.sub(r"^\w+", lambda found: names.get(found[0], found[0]), each.became)
        )
        for each in imported.layers
    )
    return replace(imported, layers=layers)


def in_words_of_file(error: ModelError, imported: Imported, network: nodes.Network) -> ModelError:
    """Return an error about ``network`` with the names and the classes of layers in the file.

    ``network`` has the layers of ``imported``, perhaps under other names.
    """
    pairs = zip(network.layers, imported.network.layers, strict=True)
    before = {layer.name: (type(layer).__name__, lowered.name) for layer, lowered in pairs}
    made = {each.became.partition(" (")[0]: each for each in imported.layers}

    def worded(problem: Problem) -> Problem:
        name, dot, key = problem.where.partition(".")
        kind, lowered = before.get(name, ("", ""))
        theirs = made.get(lowered)
        if theirs is None:
            return problem
        message = problem.message
        if message.startswith(kind):
            message = theirs.type + message.removeprefix(kind)
        return replace(problem, where=f"{theirs.layer}{dot}{key}", message=message)

    return ModelError(tuple(map(worded, error.problems)))


def renamed(network: nodes.Network, names: Mapping[str, str]) -> nodes.Network:
    """Return the network with some layers under other names."""
    layers = list[nodes.Layer]()
    for layer in network.layers:
        name = names.get(layer.name, layer.name)
        if isinstance(layer, nodes.Residual):
            layers.append(replace(layer, name=name, start=names.get(layer.start, layer.start)))
        else:
            layers.append(replace(layer, name=name))
    return replace(network, layers=tuple(layers))


def renamed_arrays(arrays: Mapping[str, Array], names: Mapping[str, str]) -> dict[str, Array]:
    """Return the arrays of a network with some layers under other names."""
    found = {}
    for name, array in arrays.items():
        layer, _, rest = name.partition(".")
        found[f"{names.get(layer, layer)}.{rest}"] = array
    return found


def _valid(check: Callable[[str, tuple[TakenNames, ...]], str], name: str) -> bool:
    try:
        check(name, taken_names())
    except ValueError:
        return False
    return True
