"""The spec and the network of a model of another tool: lowering gives its layers their places."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import zip_longest
from textwrap import fill
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from rnnspec import pipeline
from rnnspec.backends import reserved_names
from rnnspec.errors import ModelError, Problem, SpecError, brief, listed
from rnnspec.importing.taken import LearnedVector, Taken
from rnnspec.ir import nodes
from rnnspec.ir.cells import with_distinct_cells
from rnnspec.raising import raise_spec
from rnnspec.raising.graph import find_projections
from rnnspec.spec.names import (
    NAME_PATTERN,
    check_input_name,
    check_layer_name,
    check_network_name,
)
from rnnspec.spec.write import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.imported import Account, Imported
    from rnnspec.importing.taken import DraftLayer
    from rnnspec.pipeline import Program
    from rnnspec.words import ReservedNames


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """An imported model: the text of its spec, its network, and its canonical arrays.

    ``imported`` accounts for what was in the file.
    """

    text: str
    program: Program
    arrays: Mapping[str, Array]
    imported: Imported


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Assembled:
    """A network, and its layers by the names that these have in the model.

    ``learned`` has the names in the model of the vectors that layers learned to begin as, by those
    of the arrays.
    """

    network: nodes.Network
    by_name: Mapping[str, nodes.Layer]
    learned: Mapping[str, str]

    def pairs(self, originals: Mapping[str, T]) -> list[tuple[T, nodes.Layer]]:
        """Return what each layer was in the model, in the order of the network.

        A final state that is the output of its layer is left out.
        """
        names = {layer.name: name for name, layer in self.by_name.items()}
        layers = (layer for layer in self.network.layers if names.get(layer.name) in originals)
        return [(originals[names[layer.name]], layer) for layer in layers]


def assemble(  # noqa: PLR0913 - all of a network
    account: Account,
    name: str,
    inputs: Sequence[nodes.Input],
    layers: Sequence[DraftLayer],
    kinds: Mapping[str, str],
    *,
    outputs: Sequence[tuple[str, str]] = (),
) -> Assembled:
    """Return the network that has ``layers``, each behind those that it takes.

    Args:
        account: the account of the model.
        name: the name of the network.
        inputs: its inputs; a single one may have no name of its own.
        layers: its layers without a place: with their names in the model (what they take are such
            names too), no shape and no mask. Lowering gives them their places.
        kinds: the classes of layers in the model by their names there, for errors.
        outputs: the name of each output with that of its layer, if they have names.

    Raises:
        ModelError: the model is not supported.
    """
    sequences = [
        network_input.name
        for network_input in inputs
        if isinstance(network_input, nodes.SequenceInput)
    ]
    placed, ports, learned = _without_taken(account, layers, inputs[0].name)
    account.check()
    draft = nodes.Network(
        name=name,
        description="",
        inputs=tuple(inputs),
        layers=tuple(placed),
        outputs=tuple((name, ports.get(layer, layer)) for name, layer in outputs),
        result="" if outputs else ports.get(layers[-1].name, ""),
        streams=tuple(sequences) if len(sequences) == 1 else (),
    )
    draft = with_distinct_cells(_settle_states(*_move_heads(_move_projections(draft))))
    try:
        words = raise_spec(draft, account.source, placed=False)
    except ModelError as error:
        types = {layer.name: type(layer).__name__ for layer in layers}
        raise ModelError(
            tuple(_in_words_of_model(problem, types, kinds) for problem in error.problems)
        ) from None
    network = _read_spec(dump(words), account.source).network
    names = _lowered_names(draft, network)
    lowered = {layer.name: layer for layer in network.layers}
    renamed = {names.get(layer.name, ""): layer for layer in draft.layers}
    placed = [
        _with_place(rename_layer(renamed[name], names), layer) if name in renamed else layer
        for name, layer in lowered.items()
    ]
    rest = [layer for layer in draft.layers if names.get(layer.name) not in lowered]
    placed_inputs = tuple(
        replace(declared, name=names.get(declared.name, declared.name)) for declared in draft.inputs
    )
    expected = replace(draft, inputs=placed_inputs, layers=(*placed, *rest))
    check_same(account.source, expected, network)
    _check_sources(account, draft, network, names)
    by_name = {name: lowered[new] for name, new in names.items() if new in lowered}
    arrays = {
        f"{vector.layer}.{vector.param}": of
        for name, several in learned.items()
        for vector, of in zip(nodes.learned_of(by_name[name]), several, strict=True)
    }
    return Assembled(network, by_name, arrays)


def _without_taken(
    account: Account, layers: Sequence[DraftLayer], first: str
) -> tuple[list[nodes.Layer], dict[str, str], dict[str, tuple[str, ...]]]:
    """Return layers that name ports where they take them, and the port in place of each ``Taken``.

    Each layer that learned its first states comes with the names of the vectors that these were.
    The first layer takes ``first`` if it names nothing.
    """
    placed, ports, previous = list[nodes.Layer](), dict[str, str](), first
    vectors = {layer.name for layer in layers if isinstance(layer, LearnedVector)}
    learned = dict[str, tuple[str, ...]]()
    for draft in layers:
        if isinstance(draft, LearnedVector):
            continue
        main, layer = draft.source or previous, draft
        if isinstance(layer, nodes.Recurrent) and not vectors.isdisjoint(layer.initial):
            names = tuple(name for name in layer.initial if name in vectors)
            known = {name for others in learned.values() for name in others}
            if len(names) < len(layer.initial) or not known.isdisjoint(names):
                message = "expected first states that are all learned, each by one layer alone"
                account.refuse(layer.name, message, "E704")
            layer, learned[layer.name] = replace(layer, initial="learned"), names
        if isinstance(layer, Taken):
            ports[layer.name] = nodes.Port(layer=main, state=layer.state, output=()).name
        else:
            renamed = rename_layer(_prepare(layer), ports)
            is_join = isinstance(renamed, nodes.Joined)
            source = None if is_join else ports.get(main, renamed.source)
            placed.append(replace(renamed, source=source))
            previous = layer.name
    return placed, ports, learned


def _prepare(layer: nodes.Layer) -> nodes.Layer:
    """Return a layer as ``raise_spec`` needs it.

    It has no dilation without effect, and a recurrent one has a shape, which its states need.
    """
    match layer:
        case nodes.Conv(window=window) if window.size == 1:
            return replace(layer, window=replace(window, dilation=1))
        case nodes.Recurrent(input=()):
            return replace(layer, input=(None, 1))
        case _:
            return layer


def _settle_states(draft: nodes.Network, last_item: str) -> nodes.Network:
    """Return a network in which each final state is what lowering makes of it.

    A recurrent layer returns its sequence only if something takes that, or if it is the
    ``last_item`` before the heads, and otherwise the state that is its output.
    """
    sources, ports = nodes.sources(draft), draft.ports.values()
    read = {layer for _, layer in draft.outputs} or {draft.last}
    for layer in draft.layers:
        read.update(sources[layer.name])
    # The contexts of a layer are those of its sequence.
    read.update(port.layer for port in ports if not port.state)
    # Layers that share their arrays return alike.
    owners = {layer.owner for layer in draft.layers if layer.name in read}
    read.update(layer.name for layer in draft.layers if layer.owner in owners)
    settled, replaced = list[nodes.Layer](), dict[str, str]()
    for layer in draft.layers:
        placed = rename_layer(layer, replaced)
        if isinstance(placed, nodes.Recurrent):
            # The port of the state that it returns if it returns no sequence.
            output = placed.ports[0].name if placed.merge in (None, "concat") else ""
            if placed.name not in read:
                keeps = placed.name == last_item and output not in draft.ports
                placed = replace(placed, return_sequences=keeps)
            if output and not placed.return_sequences:
                replaced[output] = placed.name
        settled.append(placed)
    outputs = tuple((name, replaced.get(layer, layer)) for name, layer in draft.outputs)
    result = replaced.get(draft.result, draft.result)
    return replace(draft, layers=tuple(settled), outputs=outputs, result=result)


def _move_projections(draft: nodes.Network) -> nodes.Network:
    """Return a network with the projections of each attention right before it, or behind it."""
    sources = nodes.sources(draft)
    own = find_projections(draft, placed=False)
    moved = {layer.name for block in own.values() for layer in block.layers}
    # In another order, each has to name what it takes.
    layers = [replace(layer, source=sources[layer.name][0]) for layer in draft.layers]
    by_name = {layer.name: layer for layer in layers}
    ordered = list[nodes.Layer]()
    for layer in layers:
        if layer.name in moved:
            continue
        block = own.get(layer.name)
        around = [by_name[one.name] for one in block.layers] if block else []
        behind = [around.pop()] if block and block.output else []
        ordered += [*around, layer, *behind]
    return replace(draft, layers=tuple(ordered))


def _move_heads(draft: nodes.Network) -> tuple[nodes.Network, str]:
    """Return a network with the layers that only a head has behind all others.

    It comes with the name of the last of these others.
    """
    sources = nodes.sources(draft)
    # In another order, each has to name what it takes.
    layers: dict[str, nodes.Layer] = {
        layer.name: replace(layer, source=sources[layer.name][0]) for layer in draft.layers
    }
    results = [layer for _, layer in draft.outputs] or [draft.last]
    readers = Counter(results)
    readers.update(source for taken in sources.values() for source in dict.fromkeys(taken))
    heads = dict[str, None]()

    def is_own(name: str) -> bool:
        return name in layers and readers[name] == 1 and name not in heads

    for result in results:
        head, name = list[str](), result
        while is_own(name) and layers[name].is_pointwise:
            before = layers.get(sources[name][0])
            if isinstance(layers[name], nodes.LayerNorm) and isinstance(before, nodes.Recurrent):
                break
            head.insert(0, name)
            name = sources[name][0]
        if is_own(name) and isinstance(layers[name], nodes.Reducing):
            head.insert(0, name)
        elif is_own(name) and isinstance(join := layers[name], nodes.Join):
            parts = [part for part in join.of if is_own(part)]
            pools = [part for part in parts if isinstance(layers[part], nodes.Reducing)]
            if len(pools) == len(join.of) and len({sources[part][0] for part in pools}) == 1:
                head[:0] = [*pools, name]
        heads |= dict.fromkeys(head)
    rest = [name for name in layers if name not in heads]
    last_item = rest[-1] if rest else ""
    return replace(draft, layers=tuple(layers[name] for name in (*rest, *heads))), last_item


def _lowered_names(draft: nodes.Network, network: nodes.Network) -> dict[str, str]:
    """Return what lowering calls each input and layer of the draft of a network."""

    def has_own_place(layer: nodes.Layer) -> bool:
        return not isinstance(layer, nodes.Embedding)

    def is_declared(network_input: nodes.Input) -> bool:
        return not (isinstance(network_input, nodes.VectorInput) and network_input.state)

    names = dict[str, str]()
    for ours, theirs in zip(
        filter(is_declared, draft.inputs), filter(is_declared, network.inputs), strict=False
    ):
        names[ours.name] = theirs.name
    sources = nodes.sources(network)
    embeddings = {
        sources[layer.name][0]: layer.name
        for layer in network.layers
        if isinstance(layer, nodes.Embedding)
    }
    own = nodes.sources(draft)
    for layer in draft.layers:
        if isinstance(layer, nodes.Embedding):
            names[layer.name] = embeddings.get(names.get(own[layer.name][0], ""), "")
    pairs = list(
        zip(
            filter(has_own_place, draft.layers),
            filter(has_own_place, network.layers),
            strict=False,
        )
    )
    for one, two in pairs:
        names[one.name] = two.name
        if isinstance(one, nodes.Recurrent) and isinstance(two, nodes.Recurrent):
            if one.initial != "learned" and two.initial != "learned":
                for vector, lowered in zip(one.initial, two.initial, strict=False):
                    if vector is not None and lowered is not None:
                        names.setdefault(vector, lowered)
            for state in one.begins_as:
                names[f"{one.name}_{state}_next"] = f"{two.name}_{state}_next"
    for name, port in draft.ports.items():
        names[name] = replace(port, layer=names.get(port.layer, "")).name
    return names


def _check_sources(
    account: Account, draft: nodes.Network, network: nodes.Network, names: Mapping[str, str]
) -> None:
    """Check that each layer takes the outputs that it takes in the model.

    Raises:
        ModelError: it takes others in a spec.
    """
    back = {new: name for name, new in names.items()}
    lowered_sources = nodes.sources(network)
    for name, expected in nodes.sources(draft).items():
        received = tuple(back.get(source, source) for source in lowered_sources[names[name]])
        if received != expected:
            message = f"takes the output of {listed(expected)}, which a spec of it says of"
            account.refuse(name, f"{message} {listed(received)}", "E704")
    lowered = dict(network.outputs)
    states = {
        f"{layer.name}_{state}_next"
        for layer in draft.layers
        if isinstance(layer, nodes.Recurrent)
        for state in layer.begins_as
    }
    for output, layer in draft.outputs:
        # A state of one layer may be called what that of another one is called in the spec.
        own = output if output in lowered and output not in states else names.get(output)
        if lowered.get(own or "") != names[layer]:
            message = f"the output {output} is that of {layer}, which no head can give"
            account.refuse(layer, message, "E704")
    if not (lowered or draft.outputs) and names.get(draft.last) != network.last:
        account.refuse(draft.last, "is the output, which no head can give", "E704")
    account.check()


def _in_words_of_model(
    problem: Problem, types: Mapping[str, str], kinds: Mapping[str, str]
) -> Problem:
    """Return a problem with the class that a layer has in the model in place of its node's."""
    name = problem.where
    if name not in kinds or not problem.message.startswith(types[name]):
        return problem
    return replace(problem, message=kinds[name] + problem.message.removeprefix(types[name]))


def _with_place(layer: nodes.Layer, lowered: nodes.Layer) -> nodes.Layer:
    """Return a layer in the place that lowering gives it; what it says itself is its own."""
    own = {field.name for field in fields(layer)}
    keys = ["input", "source", "masked", "inputs"]
    match layer:
        case nodes.Pooling():
            # The features of the backward direction.
            keys.append("backward")
        case nodes.Repeat(like=str()):
            keys.append("steps")
        case nodes.Attention():
            keys.append("memory")
        case _:
            pass
    place = {key: getattr(lowered, key, None) for key in keys if key in own}
    placed: nodes.Layer = replace(layer, **place)  # type: ignore[arg-type]
    match placed, lowered:
        case nodes.Recurrent(attention=nodes.StepAttention() as own_attention), nodes.Recurrent(
            attention=nodes.StepAttention(width=size, masked=masked)
        ):
            return replace(placed, attention=replace(own_attention, width=size, masked=masked))
        case _:
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
    others |= {network_input.name for network_input in imported.network.inputs}
    unique = {ours: theirs for ours, theirs in names.items() if theirs not in others}
    named = rename(imported, unique)
    taken = [
        f"the layer {theirs} is named {ours}"
        for ours, theirs in imported.names.items()
        if re.fullmatch(NAME_PATTERN, theirs) and not is_layer_name(theirs)
    ]
    named = replace(named, inferred=(*named.inferred, *taken))
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


def rename_as(imported: Imported, spec: nodes.Network) -> Imported:
    """Return a model whose layers and their states have the names that a spec has for them."""
    names, states = dict[str, str](), dict[str, dict[str, str]]()
    for own, its in zip(imported.network.layers, spec.layers, strict=False):
        names[own.name] = its.name
        if isinstance(own, nodes.Recurrent) and isinstance(its, nodes.Recurrent):
            pairs = zip(own.states, its.states, strict=False)
            states[own.name] = {name: other for (name, _), (other, _) in pairs if its.state_names}
    return rename(imported, names, states)


def rename(
    imported: Imported,
    names: Mapping[str, str],
    states: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Imported:
    """Return a model with some layers, and what is named after them, under other names.

    ``states`` has the names of states that get others, by the layer.
    """
    network = imported.network
    names = _with_names_of_states(network, names, states)
    layers = tuple(rename_layer(_rename_states(layer, states), names) for layer in network.layers)
    arrays = {}
    for path, array in imported.arrays.items():
        layer_name, _, rest = path.partition(".")
        if rest.startswith("initial."):
            state = rest.removeprefix("initial.")
            rest = f"initial.{states.get(layer_name, {}).get(state, state)}"
        arrays[f"{names.get(layer_name, layer_name)}.{rest}"] = array
    became = tuple(
        replace(
            layer, became=re.sub(r"^\w+", lambda word: names.get(word[0], word[0]), layer.became)
        )
        for layer in imported.layers
    )
    inputs = tuple(
        replace(network_input, name=names.get(network_input.name, network_input.name))
        for network_input in network.inputs
    )
    outputs = tuple(
        (names.get(name, name), names.get(layer, layer)) for name, layer in network.outputs
    )
    result = names.get(network.result, network.result)
    network = replace(network, inputs=inputs, layers=layers, outputs=outputs, result=result)
    return replace(imported, network=network, arrays=arrays, layers=became)


def _rename_states(layer: nodes.Layer, states: Mapping[str, Mapping[str, str]]) -> nodes.Layer:
    own = states.get(layer.name)
    if own and isinstance(layer, nodes.Recurrent):
        return replace(layer, state_names=tuple(own.values()))
    return layer


def _with_names_of_states(
    network: nodes.Network, names: Mapping[str, str], states: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """Return names with those of the states of each layer that gets another one."""
    result = dict(names)
    for name, own in find_projections(network, placed=True).items():
        for ending, projection in own.by_ending.items():
            result[projection.name] = f"{names.get(name, name)}_{ending}"
    for name, port in network.ports.items():
        state = states.get(port.layer, {}).get(port.state, port.state)
        new = replace(port, layer=names.get(port.layer, port.layer), state=state)
        result[name] = new.name
    for layer in network.layers:
        if isinstance(layer, nodes.Recurrent) and layer.name in names:
            for state in layer.begins_as:
                other = states.get(layer.name, {}).get(state, state)
                for form in ("{}_{}", "{}_{}_next"):
                    before = form.format(layer.name, state)
                    result[before] = form.format(names[layer.name], other)
    return result


def rename_layer(layer: nodes.Layer, names: Mapping[str, str]) -> nodes.Layer:
    """Return a layer under another name, which takes layers and inputs under other names."""

    def new(name: str) -> str:
        return names.get(name, name)

    source, shares = layer.source and new(layer.source), layer.shares and new(layer.shares)
    renamed: nodes.Layer = replace(layer, name=new(layer.name), source=source, shares=shares)
    match renamed:
        case nodes.Residual(start=start):
            return replace(renamed, start=new(start))
        case nodes.Joined(of=of):
            return replace(renamed, of=tuple(map(new, of)))
        case nodes.Dense(tied=str() as tied):
            return replace(renamed, tied=new(tied))
        case nodes.Repeat(like=str() as like):
            return replace(renamed, like=new(like))
        case nodes.AttentionPooling(query=str() as query):
            return replace(renamed, query=new(query))
        case nodes.Attention(over=over, keys=keys):
            return replace(renamed, over=new(over), keys=new(keys))
        case nodes.Recurrent(initial=initial, attention=attention):
            if attention is not None:
                over, keys = new(attention.over), new(attention.keys)
                attention = replace(attention, over=over, keys=keys)
            if initial != "learned":
                initial = tuple(name and new(name) for name in initial)
            return replace(renamed, initial=initial, attention=attention)
        case _:
            return renamed


def check_same(source: str, expected: nodes.Network, received: nodes.Network) -> None:
    """Check that two networks have the same layers.

    Raises:
        ModelError: one differs; the problems are all of its settings that do.
    """
    # Source has a class for each of two cells that settings made of one.
    parts = (
        (*network.inputs, *network.layers)
        for network in map(with_distinct_cells, (expected, received))
    )
    for one, two in zip_longest(*parts):
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
    return _is_valid(lambda own, _: check_layer_name(own), name)


def is_input_name(name: str) -> bool:
    """True if an input can have a name."""
    return _is_valid(check_input_name, name)


def _is_valid(check: Callable[[str, tuple[ReservedNames, ...]], str], name: str) -> bool:
    try:
        check(name, reserved_names())
    except ValueError:
        return False
    return True
