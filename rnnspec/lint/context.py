"""The input of a rule, and the rule itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.errors import Problem, Severity
from rnnspec.ir import nodes
from rnnspec.ir.params import Counts, counts
from rnnspec.lowering import lower_with_places
from rnnspec.spec.models import Dropout, RecurrentLayer

if TYPE_CHECKING:
    from rnnspec.pipeline import Program
    from rnnspec.spec.models import Head, Spec
    from rnnspec.spec.yaml.text import Path

Finding = tuple["Path", str]
"""The path of a value, and the message about it."""


@dataclass(frozen=True, slots=True)
class RecurrentEntry:
    """One recurrent entry of ``rnn``: its declaration, and the layers made from it."""

    index: int
    declared: RecurrentLayer
    layers: tuple[nodes.Recurrent, ...]

    @property
    def path(self) -> Path:
        """Its path in the spec."""
        return ("rnn", self.index)

    @property
    def steps(self) -> int | None:
        """The number of time steps in its input, None for any number."""
        return self.layers[0].input[0]


@dataclass(frozen=True, slots=True)
class Context:
    """A spec, its network, and what connects them.

    ``entries`` are the recurrent entries, ``heads`` are by their paths, and ``places`` has the path
    of the layer of the spec, or of the head, that each layer of the network comes from. ``layers``
    are by their names, ``sources`` has what each takes, and ``readers`` has the layers that take
    each output or input.
    """

    spec: Spec
    network: nodes.Network
    entries: tuple[RecurrentEntry, ...]
    places: Mapping[str, Path]
    heads: Mapping[Path, Head]
    layers: Mapping[str, nodes.Layer]
    sources: Mapping[str, tuple[str, ...]]
    readers: Mapping[str, Sequence[nodes.Layer]]

    @property
    def examples(self) -> int | None:
        """The number of sequences to train on, if the spec declares it."""
        return self.spec.data.examples

    @property
    def recurrences(self) -> tuple[RecurrentEntry, ...]:
        """The entries whose cells read a state; any other computes each step by itself."""
        return tuple(entry for entry in self.entries if entry.layers[0].begins)

    @property
    def depth(self) -> int:
        """The number of layers that read a state."""
        return sum(len(entry.layers) for entry in self.recurrences)

    @property
    def parameters(self) -> Counts:
        """The parameter counts of the network."""
        return counts(self.network)

    @property
    def read_whole(self) -> tuple[RecurrentEntry, ...]:
        """The entries that read a whole sequence before a result is needed.

        No result has their time steps, and no repeat is before them.
        """
        stepwise, repeated = self.stepwise, set[str]()
        for layer in self.network.layers:
            if isinstance(layer, nodes.Repeat) or not repeated.isdisjoint(self.sources[layer.name]):
                repeated.add(layer.name)
        return tuple(
            entry
            for entry in self.recurrences
            if entry.layers[-1].name not in stepwise and entry.layers[0].name not in repeated
        )

    @property
    def stepwise(self) -> frozenset[str]:
        """The inputs and layers whose time steps are those of a result."""
        stepwise = {one.name for one in self.network.results.values() if len(one.output) > 1}
        for layer in reversed(self.network.layers):
            if layer.name in stepwise and not isinstance(layer, nodes.Repeat):
                stepwise.update(self._sequences(layer))
        return frozenset(stepwise)

    def _sequences(self, layer: nodes.Layer) -> tuple[str, ...]:
        """Return what a layer takes at each time step."""
        return tuple(nodes.paced_by(layer, self.sources[layer.name]))

    def is_repeated(self, state: str) -> bool:
        """True if a repeat follows a state, perhaps after layers that compute it by itself."""
        waiting = [state]
        while waiting:
            for reader in self.readers.get(waiting.pop(), ()):
                if isinstance(reader, nodes.Repeat) and len(reader.input) == 1:
                    return True
                waiting += [reader.name] if _keeps_steps_apart(reader) else []
        return False

    def recurrent_below(self, name: str) -> tuple[nodes.Recurrent | None, bool]:
        """Return the recurrent layer that an output comes from, perhaps through pointwise layers.

        It is None if there is none; the second value is true if there is a residual on the way.
        """
        has_residual = False
        while (layer := self.layers.get(name)) is not None:
            if isinstance(layer, nodes.Recurrent):
                return layer, has_residual
            if not _keeps_steps_apart(layer):
                break
            has_residual |= isinstance(layer, nodes.Residual)
            name = self.sources[name][0]
        return None, has_residual

    def is_projection(self, layer: nodes.Layer) -> bool:
        """True if a layer only computes the keys or the queries of an attention."""
        path = self.places[layer.name]
        readers = self.readers.get(layer.name, ())
        return any(nodes.attention_of(one) and self.places[one.name] == path for one in readers)

    def memory(self, layer: nodes.Layer) -> tuple[Path, str]:
        """Return the path and the name of what a layer attends to; the name may be empty."""
        attention, path = nodes.attention_of(layer), self.places[layer.name]
        inner = () if isinstance(layer, nodes.Attention) else ("attention",)
        return (*path, *inner, "over"), attention.over if attention else ""

    def rate_path(self, layer: nodes.Dropout) -> Path:
        """Return the path of the rate of a dropout, which may be a key of another layer."""
        path = self.places[layer.name]
        match path:
            case ("rnn", int() as index):
                is_layer = isinstance(self.spec.rnn[index], Dropout)
            case (*head, "hidden", int() as index):
                is_layer = isinstance(self.heads[tuple(head)].hidden[index], Dropout)
            case _:
                is_layer = False
        return (*path, "rate" if is_layer else "dropout")

    @property
    def edges(self) -> Iterator[tuple[nodes.Layer, nodes.Layer]]:
        """Each layer with the one that takes its output, if no other does."""
        joined = nodes.kept_outputs(self.network)
        for name, (first, *others) in self.sources.items():
            if first in self.layers and first not in joined and not others:
                yield self.layers[first], self.layers[name]


def _keeps_steps_apart(layer: nodes.Layer) -> bool:
    """True if a layer computes each step by itself, perhaps with that of an earlier layer."""
    return layer.is_pointwise or isinstance(layer, nodes.Residual)


@dataclass(frozen=True, slots=True)
class Rule:
    """A piece of advice: its code, its severity, and the check that finds it."""

    code: str
    severity: Severity
    check: Callable[[Context], Iterator[Finding]]

    def problems(self, context: Context) -> Iterator[Problem]:
        """Yield the findings of the rule, with their places."""
        document = context.spec.document
        for path, message in self.check(context):
            yield document.problem(path, message, code=self.code, severity=self.severity)


def context_of(program: Program) -> Context:
    """Return the context of a spec."""
    spec, network = program.spec, program.network
    # Lowering keeps the order, and makes one layer for each of the 'layers' of an entry.
    layers = iter([layer for layer in network.layers if isinstance(layer, nodes.Recurrent)])
    entries = tuple(
        RecurrentEntry(index, declared, tuple(next(layers) for _ in range(declared.layers)))
        for index, declared in enumerate(spec.rnn)
        if isinstance(declared, RecurrentLayer)
    )
    _, places = lower_with_places(spec)
    by_name, taken = {layer.name: layer for layer in network.layers}, nodes.sources(network)
    readers: dict[str, list[nodes.Layer]] = {}
    for name, names in taken.items():
        for other in dict.fromkeys(names):
            readers.setdefault(other, []).append(by_name[name])
    return Context(spec, network, entries, places, dict(spec.all_heads), by_name, taken, readers)
