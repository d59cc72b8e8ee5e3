"""What each layer of a network takes, what takes it, and what a spec calls it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rnnspec.errors import ModelError, Problem
from rnnspec.ir import nodes
from rnnspec.ir.text import default_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rnnspec.lowering.graph import Behind
    from rnnspec.spec import models

Words = dict[str, Any]
RESULT = ""
"""What takes an output of the network, in the place of a layer."""


@dataclass(frozen=True, slots=True)
class Projections:
    """The layers that are arrays of an attention, and what they are computed from."""

    keys: nodes.Dense | None
    query: nodes.Dense | None
    values: nodes.Dense | None = None
    output: nodes.Dense | None = None

    @property
    def by_ending(self) -> dict[str, nodes.Dense]:
        """Those that there are by the ends of their names, in the order of lowering."""
        names = ("keys", "values", "query", "output")
        return {name: layer for name in names if (layer := getattr(self, name)) is not None}

    @property
    def layers(self) -> list[nodes.Dense]:
        """Those that there are, in the order in which lowering adds them."""
        return list(self.by_ending.values())


def find_projections(network: nodes.Network, *, placed: bool) -> dict[str, Projections]:
    """Return the layers that lowering adds before each attention, by the name of the latter.

    They are linear, only the attention takes them, and if the layers are ``placed``, they have the
    names and the places that lowering gives them.
    """
    sources = nodes.sources(network)
    readers = Counter(name for names in sources.values() for name in names)
    readers.update(layer for _, layer in network.outputs)
    layers = network.layers
    places = {layer.name: at for at, layer in enumerate(layers)}
    tied = {layer.tied for layer in layers if isinstance(layer, nodes.Dense)}

    def projection(of: nodes.Layer, name: str, ending: str, behind: int) -> nodes.Dense | None:
        """Return the layer of a name if it is the one so many places before an attention."""
        layer = layers[places[name]] if name in places else None
        # What is behind an attention may be taken by others.
        is_own = readers[name if behind > 0 else of.name] == 1
        if not isinstance(layer, nodes.Dense) or not is_own or layer.activation != "linear":
            return None
        if layer.tied or name in tied:
            return None
        if placed and (name, places[name]) != (of.name + ending, places[of.name] - behind):
            return None
        return layer

    result = dict[str, Projections]()
    for layer in layers:
        attention = nodes.attention_of(layer)
        if attention is None:
            continue
        query = keys = None
        if isinstance(layer, nodes.Attention):
            asked = sources[layer.name][0]
            behind = next((e for e, names in sources.items() if names[0] == layer.name), "")
            if of_heads := _projections_of_heads(layer, asked, projection, behind):
                result[layer.name] = of_heads
                continue
            query = projection(layer, asked, "_query", 1)
            if query is not None and query.bias:
                query = None
            if not attention.additive and attention.scale != 1:
                query = None
        if attention.additive and attention.keys != attention.over:
            keys = projection(layer, attention.keys, "_keys", 1 if query is None else 2)
            is_value = keys is not None and sources[keys.name][0] == attention.over
            if not is_value and not (placed and isinstance(layer, nodes.Attention)):
                keys = None
        result[layer.name] = Projections(keys, query)
    return result


def _projections_of_heads(
    layer: nodes.Attention,
    query: str,
    projection: Callable[[nodes.Layer, str, str, int], nodes.Dense | None],
    behind: str,
) -> Projections | None:
    """Return the layers before heads and the one ``behind`` them, None if not all are there."""
    own = Projections(
        keys=projection(layer, layer.keys, "_keys", 3),
        values=projection(layer, layer.over, "_values", 2),
        query=projection(layer, query, "_query", 1),
        output=projection(layer, behind, "_output", -1),
    )
    is_whole = len(own.layers) == len(("keys", "values", "query", "output"))
    is_alike = len({(part.units, part.bias) for part in own.layers}) == 1
    return own if is_whole and is_alike else None


class GraphReader:
    """The layers of a network but embeddings of inputs and states, with those that take each.

    ``placed`` is true if its layers have names and shapes that lowering makes. ``types`` has the
    type of each layer whose cell the spec gives by its equations. With ``complete``, keys at their
    default are said too.

    Raises:
        ModelError: a layer takes another one that is not before it.
    """

    def __init__(
        self,
        network: nodes.Network,
        source: str,
        types: Mapping[str, str],
        *,
        placed: bool,
        complete: bool = False,
    ) -> None:
        self.network = network
        self.complete = complete
        self.placed = placed
        self.types = types
        self.problems: list[Problem] = []
        self.sources = nodes.sources(network)
        self.by_name: dict[str, nodes.Layer] = {layer.name: layer for layer in network.layers}
        self.inputs = {network_input.name: network_input for network_input in network.inputs}
        self.named = [network_input.name for network_input in self.declared_inputs] != [nodes.INPUT]
        """True if the spec declares its inputs by name."""
        self.embeddings: dict[str, nodes.Embedding] = {}
        """The embedding of each input that has one."""
        for layer in network.layers:
            name = self.sources[layer.name][0]
            if isinstance(layer, nodes.Embedding) and name in self.inputs:
                self.embeddings.setdefault(name, layer)
        self._embedded = {layer.name: name for name, layer in self.embeddings.items()}
        # Walks from a layer to what it takes then end.
        known = set(self.inputs)
        for layer in network.layers:
            if not known.issuperset(self.sources[layer.name]):
                message = "takes the output of a layer that is not before it"
                raise ModelError((Problem(source, message, layer.name, code="E704"),))
            known.add(layer.name)
            known.update(port.name for port in network.ports_of(layer.name))
        self.projections = find_projections(network, placed=placed)
        """The layers that keys of an attention say, by the name of the attention."""
        self._projected = dict[str, str]()
        for name, own in self.projections.items():
            self._projected |= {one.name: name for one in own.layers}
        # To a spec, the layer behind heads is their attention.
        self.sources = {
            name: tuple(map(self._folded, taken)) for name, taken in self.sources.items()
        }
        # An attention takes what its projections do.
        for name in self.projections:
            through = (
                self.sources[one][0] if one in self._projected else one
                for one in self.sources[name]
            )
            main, *others = through
            self.sources[name] = (main, *dict.fromkeys(others))
        self.layers = [
            layer
            for layer in network.layers
            if not self._is_added(layer) and layer.name not in self._embedded
        ]
        self.readers: dict[str, list[str]] = {}
        for layer in network.layers:
            if not self._is_added(layer):
                for name in dict.fromkeys(self.sources[layer.name]):
                    self.readers.setdefault(name, []).append(layer.name)
        self.results = self._results()
        for name in self.results.values():
            self.readers.setdefault(name, []).append(RESULT)
        self.aliases: dict[str, str] = {}
        """The name of the recurrent layer for the last layer of its block."""
        self.pooled: dict[str, str] = {}
        """The names of poolings that have to give the final states of blocks."""
        self._source = source
        self._defaults = self._default_names()
        self._again = nodes.called_again(network) - self._embedded.keys()
        self._sequences = self._find_sequences()
        self._padded = self._find_padded()

    @property
    def declared_inputs(self) -> tuple[nodes.Input, ...]:
        """The inputs but the first states that a caller passes on."""
        return tuple(
            network_input
            for network_input in self.network.inputs
            if not (isinstance(network_input, nodes.VectorInput) and network_input.state)
        )

    def _is_added(self, layer: nodes.Layer) -> bool:
        """True if a layer is no item of its own, but what another one is written with."""
        return layer.name in self._projected

    def _folded(self, name: str) -> str:
        """Return the attention for the layer behind its heads, and any other name as it is."""
        own = self.projections.get(self._projected.get(name, ""))
        return self._projected[name] if own and own.output and own.output.name == name else name

    def _results(self) -> dict[str, str]:
        """Return the layer of each output but the last states, by the name of the output."""
        layers = (layer for layer in self.network.layers if isinstance(layer, nodes.Recurrent))
        last = {
            f"{layer.name}_{state}_next"
            for layer in layers
            for state, vector in layer.first_states.items()
            if isinstance(self.inputs.get(vector), nodes.VectorInput) and self._is_state(vector)
        }
        outputs = {
            name: self._folded(layer) for name, layer in self.network.outputs if name not in last
        }
        if not self.network.outputs:
            return {RESULT: self._folded(self.network.last)}
        if len(outputs) < len(self.network.outputs) and list(outputs) == ["output"]:
            return {RESULT: outputs["output"]}
        return outputs

    def _is_state(self, name: str) -> bool:
        vector = self.inputs.get(name)
        return isinstance(vector, nodes.VectorInput) and vector.state

    def _default_names(self) -> dict[str, str]:
        numbers: Counter[str] = Counter()
        defaults = dict[str, str]()
        for layer in self.network.layers:
            if self._is_added(layer):
                continue
            kind = default_kind(layer)
            if isinstance(layer, nodes.Recurrent) and layer.merge is None:
                kind = self._kind(layer, kind)
            numbers[kind] += 1
            defaults[layer.name] = f"{kind}_{numbers[kind]}"
        if self.named:
            pairs = self._embedded.items()
            defaults |= {layer: f"{name}_embedding" for layer, name in pairs}
        return defaults

    def _kind(self, layer: nodes.Recurrent, standard: str) -> str:
        """Return the type of a layer by equations, and ``standard`` for that of a standard cell."""
        is_own = isinstance(layer.cell, nodes.EquationCell)
        return self.types[layer.name] if is_own else standard

    def _find_sequences(self) -> frozenset[str]:
        """Return the inputs and layers whose value has time steps."""
        found = {
            network_input.name
            for network_input in self.network.inputs
            if isinstance(network_input, nodes.SequenceInput)
        }
        for layer in self.network.layers:
            match layer:
                case nodes.Recurrent(return_sequences=gives_steps):
                    pass
                case _ if layer.time_axis in ("new", "dropped"):
                    gives_steps = layer.time_axis == "new"
                case _:
                    read = nodes.paced_by(layer, self.sources[layer.name])
                    gives_steps = any(name in found for name in read)
            if gives_steps:
                found.update((layer.name, *nodes.contexts_of(self.network, layer)))
        return frozenset(found)

    def _find_padded(self) -> frozenset[str]:
        """Return the inputs and layers whose value may have padding."""
        found = {
            network_input.name for network_input in self.network.inputs if network_input.masked
        }
        for layer in self.network.layers:
            names = self.sources[layer.name]
            read = nodes.paced_by(layer, names)
            has_steps = layer.name in self._sequences or isinstance(layer, nodes.Embedding)
            if has_steps and not isinstance(layer, nodes.Repeat) and found.intersection(read):
                found.update((layer.name, *nodes.contexts_of(self.network, layer)))
        return frozenset(found)

    def is_sequence(self, name: str) -> bool:
        """True if the value of a layer or input has time steps."""
        return name in self._sequences

    def gives_state(self, layer: nodes.Recurrent, behind: Behind) -> bool:
        """True if lowering lets a layer give its final state, with others behind it."""
        return behind.takes_state(replace(layer, masked=self.main(layer) in self._padded))

    def main(self, layer: nodes.Layer) -> str:
        """Return the name of the layer or input that a layer takes, the first of a join."""
        return self.sources[layer.name][0]

    def feeds(self, at: int) -> bool:
        """True if only the next layer takes the output of a layer, as its main input."""
        layer, after = self.layers[at], self.layers[at + 1]
        return self.readers.get(layer.name) == [after.name] and self.main(after) == layer.name

    def keys(self, model: type[models.Model], **words: Any) -> Words:
        """Return keys with their values, without those at the default of the ``model``."""
        defaults = model.model_fields
        return {k: v for k, v in words.items() if self.complete or v != defaults[k].default}

    def refuse(self, layer: str, message: str) -> None:
        """Record why a spec cannot express a layer."""
        self.problems.append(Problem(self._source, message, layer, code="E704"))

    def name(self, layer: nodes.Layer) -> Words:
        """Return the ``name`` key of a layer, or nothing if lowering gives the same name."""
        if layer.name in self._again:
            # Without its name, no other layer could share its arrays.
            return {"name": self.base(layer.name)}
        return {} if self.has_default_name(layer) else {"name": layer.name}

    def has_default_name(self, layer: nodes.Layer) -> bool:
        """True if lowering gives a layer its name."""
        return not self.placed or layer.name == self._defaults[layer.name]

    def base(self, name: str) -> str:
        """Return what a spec calls the output of a layer, or an input."""
        if self.named and name in self._embedded:
            return self._embedded[name]
        name = self.aliases.get(name, name)
        return name if self.placed else self._defaults.get(name, name)

    def tied(self, layer: nodes.Dense) -> bool | str:
        """Return the key of the embedding whose vectors the kernel of a layer is."""
        tables = [e for e in self.by_name.values() if isinstance(e, nodes.Embedding)]
        several = sum(table.shares is None for table in tables) > 1
        return self.base(layer.tied) if layer.tied and several else layer.tied is not None

    def read(self, name: str, *, beside: bool = False) -> str:
        """Return what a spec calls a value that a layer takes.

        With ``beside``, it is not the main input, which could ask for the final state.
        """
        name = self._folded(name)
        port = self.network.ports.get(name)
        match self.by_name.get(port.layer if port else self.aliases.get(name, name)):
            case nodes.Recurrent() as layer if port and port.state:
                return self._part(layer, port.state)
            case nodes.Recurrent() if port:
                return f"{self.base(port.layer)}.context"
            case nodes.Recurrent(return_sequences=False) if beside:
                return self.state(name)
            case _:
                return self.base(name)

    def state(self, name: str) -> str:
        """Return what a spec calls the final state that a recurrent layer, or its block, gives."""
        layer = self.by_name[self.aliases.get(name, name)]
        assert isinstance(layer, nodes.Recurrent)
        if layer.name == name and layer.merge in (None, "concat"):
            return self._part(layer, layer.states[0][0])
        # A pooling of its own keeps its norm, and its merge.
        return self.pooled.setdefault(name, f"{self.base(layer.name)[:50]}_last")

    def _part(self, layer: nodes.Recurrent, part: str) -> str:
        names = [name for name, _ in layer.states]
        if part == names[0] and "state" not in names:
            word = "state"
        else:
            word = "cell" if isinstance(layer.cell, nodes.LSTM) and not layer.state_names else part
        return f"{self.base(layer.name)}.{word}"

    def initial_state(self, layer: nodes.Recurrent) -> Words:
        """Return the key with the first states of a layer."""
        if layer.initial == "learned":
            return {"initial_state": "learned"}
        if not layer.begins_as:
            return {}
        vectors = [(state, layer.begins_as.get(state)) for state, _ in layer.begins]
        names = [name for _, name in vectors if name is not None]
        complete = len(names) == len(vectors)
        own = all(self.readers.get(name) == [layer.name] for name in names)
        if complete and own and all(map(self._is_state, names)):
            return {"initial_state": "given"}
        other = self._states_of(layer, vectors) if complete else None
        if other is not None:
            return {"initial_state": {"of": self.base(other.name)}}
        pairs = ((state, name) for state, name in vectors if name is not None)
        return {"initial_state": {state: self.read(name, beside=True) for state, name in pairs}}

    def _states_of(
        self, layer: nodes.Recurrent, vectors: list[tuple[str, str | None]]
    ) -> nodes.Recurrent | None:
        """Return the layer of the same kind whose final states are the first ones of another."""
        others = dict[str, nodes.Recurrent]()
        for state, name in vectors:
            port = self.network.ports.get(name or "")
            other = self.by_name.get(port.layer if port else name or "")
            if not isinstance(other, nodes.Recurrent):
                return None
            if port is None and other.return_sequences:
                return None
            part = port.state if port else other.states[0][0]
            # Cells of the language have the same states, under any names.
            if (part, state) not in self._pairs_of_states(other, layer):
                return None
            others[other.name] = other
        (other, *more) = others.values()
        own, its = (
            (self._kind(side, nodes.cell_type(side.cell)), side.units, side.merge is None)
            for side in (layer, other)
        )
        return other if own == its and not more else None

    @staticmethod
    def _pairs_of_states(one: nodes.Recurrent, other: nodes.Recurrent) -> set[tuple[str, str]]:
        pairs = zip(one.states, other.states, strict=False)
        return {(name, its) for (name, _), (its, _) in pairs}
