"""A model whose configuration and arrays are at hand, wherever they come from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnspec.backends.imported import Account, Became, Imported
from rnnspec.backends.keras.foreign.architecture.chain import Chain, Placed
from rnnspec.backends.keras.foreign.architecture.graph import layers_of
from rnnspec.backends.keras.foreign.architecture.layers import piece_of
from rnnspec.backends.keras.foreign.architecture.pieces import WITH_ARRAYS
from rnnspec.backends.keras.foreign.architecture.records import Foreign, snake
from rnnspec.backends.keras.foreign.architecture.settings import Version
from rnnspec.backends.keras.foreign.stored.arrays import canonical
from rnnspec.errors import few
from rnnspec.ir.nodes import Dense, Embedding, LayerNorm, Network, Recurrent, Repeat
from rnnspec.ir.params import params

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rnnspec.backends.keras.foreign.stored.arrays import Source, Stored
    from rnnspec.ir.nodes import Layer
    from rnnspec.slots import Array

    Arrays = Callable[[Account, Sequence[Foreign], Sequence[Foreign]], Source]
    """The arrays, given all layers in order, and those that have arrays."""


@dataclass(frozen=True, slots=True)
class Description:
    """The configuration of a model, the version of Keras and the form of file it is from.

    ``name`` is that of the network.
    """

    form: str
    version: Version
    config: Any
    name: str


def described(account: Account, given: Description, arrays: Arrays) -> Imported:
    """Return the model with a configuration.

    Raises:
        ModelError: the language lacks something in it, or arrays are not those of its layers.
        UsageError: this is no configuration of a model.
    """
    layers = layers_of(account, given.config)
    account.check()
    version = _version(account, given, layers)
    account.check()
    read = [piece_of(account, version, layer) for layer in layers]
    account.check()
    pieces = [piece for piece in read if piece is not None]
    own = [piece.layer for piece in pieces if isinstance(piece, WITH_ARRAYS)]
    source = arrays(account, layers, own)
    chain = Chain(account, pieces)
    chain.build(lambda layer: _features(source.of(layer)))
    account.check()
    found = canonical(account, chain.placed, source)
    account.check()
    form, names = f"{given.form} of {version}", _given_names(chain)
    return _imported(account, form, _network(chain, given.name), found, names)


def _version(account: Account, given: Description, layers: Sequence[Foreign]) -> Version:
    """Return the version whose defaults and activations hold: the configuration's own, if stated.

    The text of ``to_json`` states none since Keras 3, whose settings show it.
    """
    stated = given.config.get("keras_version") if isinstance(given.config, dict) else None
    version = Version.of(stated)
    if not version.text and any(map(_is_of_keras_3, layers)):
        version = given.version if given.version.major >= 3 else Version("3, by its settings", 3, 0)
    version = version if version.text else given.version
    if not version.text:
        account.infer(f"the file states no version; its defaults are read as those of {version}")
    if version.major < 2:
        message = f"expected Keras 2 or 3, received {version}: load and save it with Keras 2 first"
        account.refuse("model", message, "E702")
    return version


def _is_of_keras_3(layer: Foreign) -> bool:
    match layer.config:
        case {"batch_shape": _} | {"dtype": {"class_name": "DTypePolicy"}}:
            return True
        case _:
            return False


def _features(stored: Sequence[Stored]) -> int | None:
    return stored[0].shape[0] if stored and len(stored[0].shape) == 2 else None


def arrays_of(
    account: Account, form: str, version: Version, known: Network, source: Arrays
) -> Imported:
    """Return the arrays of a known network, which no configuration describes.

    Raises:
        ModelError: they are not those of its layers.
    """
    layers = [Foreign(_kind(node), node.name, {}) for node in known.layers]
    placed = [Placed(*pair) for pair in zip(known.layers, layers, strict=True)]
    own = [each.layer for each in placed if params(each.node)]
    stored = source(account, layers, own)
    _check_number(account, own, stored)
    account.check()
    arrays = canonical(account, placed, stored)
    account.check()
    for each in placed:
        if params(each.node):
            account.became.append(Became(each.layer.name, each.layer.kind, each.node.name))
    account.infer("activations, masks and dropout are those of the spec: the file has arrays only")
    account.differ("the file has arrays only")
    return _imported(
        account, f"{form} of {version if version.text else 'Keras'}", known, arrays, {}
    )


def _check_number(account: Account, layers: Sequence[Foreign], source: Source) -> None:
    """Refuse arrays of another number of layers, which would be as many reasons."""
    ignored = account.ignored(source.others(set()))
    groups = [
        name for name, own in source.groups().items() if own and not ignored.keys() >= set(own)
    ]
    if len(groups) != len(layers):
        message = (
            f"expected the arrays of {len(layers)} layers ({few([each.name for each in layers])}), "
            f"received those of {len(groups)}: {few(groups) or 'none'}"
        )
        more = len(groups) > len(layers)
        way_out = account.way_out(["LAYER/*"]) if more else account.reminder()
        account.refuse("model", message + way_out, "E706" if more else "E705")


def _imported(
    account: Account,
    form: str,
    network: Network,
    arrays: Mapping[str, Array],
    names: Mapping[str, str],
) -> Imported:
    return Imported(
        network=network,
        arrays=arrays,
        names=names,
        form=form,
        layers=tuple(account.became),
        left_out=account.left_out,
        inferred=account.inferred,
        opener="keras",
        unlike=account.unlike,
    )


def _kind(node: Layer) -> str:
    """Return the class of Keras for a node."""
    match node:
        case Recurrent(merge=None):
            return type(node.cell).__name__
        case Recurrent():
            return "Bidirectional"
        case LayerNorm():
            return "LayerNormalization"
        case _:
            return type(node).__name__


def _network(chain: Chain, name: str) -> Network:
    """Return the network of a chain that was built without a problem."""
    layers = tuple(each.node for each in chain.placed)
    return Network(name=name, description="", input=chain.input, layers=layers)


def _given_names(chain: Chain) -> dict[str, str]:
    """Return the names in the file by those of the nodes, without those that Keras made up."""
    found = {}
    for each in chain.placed:
        made_up = re.fullmatch(rf"{snake(each.layer.kind)}(_?\d+)?", each.layer.name)
        named = isinstance(each.node, Embedding | Recurrent | Repeat | Dense)
        if named and not made_up:
            found[each.node.name] = each.layer.name
    return found
