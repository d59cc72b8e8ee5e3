"""The spec and the network of a model of another tool: lowering gives its layers their places."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import zip_longest
from textwrap import fill
from typing import TYPE_CHECKING, Any

from rnnspec import pipeline
from rnnspec.backends import reserved_names
from rnnspec.errors import ModelError, Problem, SpecError, brief, listed
from rnnspec.ir import nodes
from rnnspec.raising import raise_spec
from rnnspec.spec.names import check_layer_name, check_network_name
from rnnspec.spec.write import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rnnspec.importing.imported import Account, Imported
    from rnnspec.pipeline import Program
    from rnnspec.reserved_names import ReservedNames
    from rnnspec.slots import Array


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """An imported model: the text of its spec, its network, and its canonical arrays.

    ``imported`` accounts for what was in the file.
    """

    text: str
    program: Program
    arrays: Mapping[str, Array]
    imported: Imported


def assemble(  # noqa: PLR0913 - all of a network
    account: Account,
    name: str,
    network_input: nodes.Input,
    layers: Sequence[nodes.Layer],
    kinds: Mapping[str, str],
    *,
    outputs: Sequence[tuple[str, str]] = (),
) -> nodes.Network:
    """Return the network that has ``layers`` in their order.

    Args:
        account: the account of the model.
        name: the name of the network.
        network_input: its input.
        layers: its layers without a place: with their names in the model (``start`` of a residual
            is such a name too), no shape and no mask. Lowering gives them their places.
        kinds: the classes of layers in the model by their names there, for errors.
        outputs: the name of each output with that of its layer, if they have names.

    Raises:
        ModelError: the model is not supported.
    """
    draft = nodes.Network(
        name=name,
        description="",
        inputs=(network_input,),
        layers=tuple(map(_without_idle_dilation, layers)),
        outputs=tuple(outputs),
    )
    _check_branches(account, draft)
    try:
        words = raise_spec(draft, account.source, placed=False)
    except ModelError as error:
        types = {layer.name: type(layer).__name__ for layer in layers}
        raise ModelError(
            tuple(_in_words_of_model(problem, types, kinds) for problem in error.problems)
        ) from None
    network = _read_spec(dump(words), account.source).network
    placed = map(_with_place, draft.layers, network.layers)
    rest = draft.layers[len(network.layers) :]
    check_same(account.source, replace(draft, layers=(*placed, *rest)), network)
    _check_sources(account, draft, network)
    return network


def _without_idle_dilation(layer: nodes.Layer) -> nodes.Layer:
    """Return a layer without a dilation that has no effect, which a spec must not have."""
    if isinstance(layer, nodes.Conv) and layer.window.size == 1:
        return replace(layer, window=replace(layer.window, dilation=1))
    return layer


def _check_branches(account: Account, draft: nodes.Network) -> None:
    """Check that behind the first branch there are only layers that a head may have.

    Raises:
        ModelError: a branch has others.
    """
    branched = False
    for layer in draft.layers:
        branched = branched or layer.source is not None
        if layer.source == nodes.INPUT or (branched and isinstance(layer, _OF_STACK)):
            message = "expected one chain of layers up to the poolings and the heads, received"
            account.refuse(layer.name, f"{message} this layer in a branch", "E704")
    account.check()


_OF_STACK = (
    nodes.Embedding,
    nodes.Recurrent,
    nodes.Repeat,
    nodes.Conv,
    nodes.WindowPooling,
    nodes.Residual,
)
"""The layers that no head has."""


def _check_sources(account: Account, draft: nodes.Network, network: nodes.Network) -> None:
    """Check that each layer takes the outputs that it takes in the model.

    Raises:
        ModelError: it takes others in a spec.
    """
    names = {nodes.INPUT: nodes.INPUT}
    names |= {
        lowered.name: layer.name
        for layer, lowered in zip(draft.layers, network.layers, strict=True)
    }
    lowered_sources = nodes.sources(network)
    for layer, (expected, lowered) in zip(
        draft.layers,
        zip(nodes.sources(draft).values(), lowered_sources.values(), strict=True),
        strict=True,
    ):
        received = tuple(names[name] for name in lowered)
        if received != expected:
            message = f"takes the output of {listed(expected)}, expected that of {listed(received)}"
            account.refuse(
                layer.name, f"{message}: rnnspec supports only one chain of layers", "E704"
            )
    for (name, layer_name), (_, lowered_name) in zip(draft.outputs, network.outputs, strict=True):
        if names[lowered_name] != layer_name:
            message = f"the output {name} is that of {layer_name}, which no head can give"
            account.refuse(layer_name, message, "E704")
    account.check()


def _in_words_of_model(
    problem: Problem, types: Mapping[str, str], kinds: Mapping[str, str]
) -> Problem:
    """Return a problem with the class that a layer has in the model in place of its node's."""
    name = problem.where
    if name not in kinds or not problem.message.startswith(types[name]):
        return problem
    return replace(problem, message=kinds[name] + problem.message.removeprefix(types[name]))


def _with_place(layer: Any, lowered: nodes.Layer) -> nodes.Layer:
    """Return a layer in the place that lowering gives it; what it says itself is its own."""
    keys_of_layer = {field.name for field in fields(layer)}
    keys = ("name", "input", "source", "masked", "start", "of", "inputs", "backward", "tied")
    place = [key for key in keys if key in keys_of_layer]
    placed: nodes.Layer = replace(layer, **{key: getattr(lowered, key, None) for key in place})
    return placed


def write_spec(source: str, imported: Imported) -> ImportedModel:
    """Return a model with the text of its spec, where layers have their names in the model.

    Raises:
        ModelError: the spec would be wrong.
    """
    names = {ours: theirs for ours, theirs in imported.names.items() if is_layer_name(theirs)}
    others = {layer.name for layer in imported.network.layers} - set(names)
    # Heads have names among those of layers.
    others |= {name for name, _ in imported.network.outputs}
    unique = {ours: theirs for ours, theirs in names.items() if theirs not in others}
    named = rename(imported, unique)
    text = _with_guesses(dump(raise_spec(named.network, source)), imported.guesses)
    return ImportedModel(text, _read_spec(text, source), named.arrays, named)


def _read_spec(text: str, source: str) -> Program:
    try:
        return pipeline.reads(text, source)
    except SpecError as error:
        problems = tuple(
            Problem(
                source, f"the spec would be wrong: {problem.message}", problem.where, code="E704"
            )
            for problem in error.problems
        )
        raise ModelError(problems) from None


def rename(imported: Imported, names: Mapping[str, str]) -> Imported:
    """Return a model with some layers under other names."""

    def new_name(name: str) -> str:
        return names.get(name, name)

    layers = list[nodes.Layer]()
    for layer in imported.network.layers:
        source = layer.source and new_name(layer.source)
        renamed: nodes.Layer = replace(layer, name=new_name(layer.name), source=source)
        match renamed:
            case nodes.Residual(start=start):
                renamed = replace(renamed, start=new_name(start))
            case nodes.Join(of=of):
                renamed = replace(renamed, of=tuple(map(new_name, of)))
            case nodes.Dense(tied=str() as tied):
                renamed = replace(renamed, tied=new_name(tied))
            case _:
                pass
        layers.append(renamed)
    arrays = {}
    for path, array in imported.arrays.items():
        layer_name, _, rest = path.partition(".")
        arrays[f"{names.get(layer_name, layer_name)}.{rest}"] = array
    became = tuple(
        replace(
            layer, became=re.sub(r"^\w+", lambda word: names.get(word[0], word[0]), layer.became)
        )
        for layer in imported.layers
    )
    outputs = tuple((name, new_name(layer)) for name, layer in imported.network.outputs)
    network = replace(imported.network, layers=tuple(layers), outputs=outputs)
    return replace(imported, network=network, arrays=arrays, layers=became)


def check_same(source: str, expected: nodes.Network, received: nodes.Network) -> None:
    """Check that two networks have the same layers.

    Raises:
        ModelError: one differs; the problems are all of its settings that do.
    """
    pairs = zip_longest((expected.input, *expected.layers), (received.input, *received.layers))
    for one, two in pairs:
        if one != two:
            where = getattr(one or two, "name", "input")
            problems = [
                Problem(source, message, f"{where}{key and '.'}{key}", code="E704")
                for key, message in _differences(one, two)
            ]
            raise ModelError(tuple(problems))


def _differences(one: Any, two: Any) -> Iterator[tuple[str, str]]:
    if type(one) is not type(two):
        words = {"NumericInput": "features", "TokenInput": "tokens", "NoneType": "no layer"}
        kinds = (type(side).__name__ for side in (one, two))
        expected, received = (words.get(kind, kind) for kind in kinds)
        yield "", f"expected {expected}, received {received}"
        return
    for field in fields(one):
        before, after = getattr(one, field.name), getattr(two, field.name)
        if before != after and is_dataclass(before) and type(before) is type(after):
            yield from ((f"{field.name}.{key}", what) for key, what in _differences(before, after))
        elif before != after:
            yield field.name, f"expected {brief(repr(before))}, received {brief(repr(after))}"


def _with_guesses(text: str, guesses: Sequence[tuple[str, str]]) -> str:
    """Return the text of a spec with a comment for each guess, above the section it is about.

    A guess about a section that the spec does not need stands at the end.
    """

    def comment(guess: str) -> str:
        return fill(f"guessed: {guess}", 100, initial_indent="# ", subsequent_indent="#   ")

    left, lines = list(guesses), list[str]()
    for line in text.splitlines():
        # Sections begin in the first column, and nothing else does.
        section = line.partition(":")[0]
        lines += [comment(guess) for where, guess in left if where == section]
        left = [pair for pair in left if pair[0] != section]
        lines.append(line)
    lines += [comment(f"{where}: {guess}") for where, guess in left]
    return "\n".join(lines) + "\n"


def name_network(text: str) -> str:
    """Return a name of a network that is made from any text."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:50]
    for candidate in (name, f"net_{name}", f"{name}_net"):
        if _is_valid(check_network_name, candidate):
            return candidate
    return "imported_net"


def is_layer_name(name: str) -> bool:
    """True if a layer, or a head, can have a name."""
    return _is_valid(check_layer_name, name)


def _is_valid(check: Callable[[str, tuple[ReservedNames, ...]], str], name: str) -> bool:
    try:
        check(name, reserved_names())
    except ValueError:
        return False
    return True
