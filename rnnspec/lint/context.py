"""The input of a rule, and the rule itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from rnnspec.errors import Problem, Severity
from rnnspec.ir import nodes
from rnnspec.ir.params import Counts, counts
from rnnspec.spec.models import Dropout, Hidden, PointwiseLayer, RecurrentLayer, RepeatVector

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
    of the layer of the spec, or of the head, that each layer of the network comes from.
    """

    spec: Spec
    network: nodes.Network
    entries: tuple[RecurrentEntry, ...]
    places: Mapping[str, Path]
    heads: Mapping[Path, Head]

    @property
    def examples(self) -> int | None:
        """The number of sequences to train on, if the spec declares it."""
        return self.spec.data.examples

    @property
    def depth(self) -> int:
        """The number of recurrent layers."""
        return sum(len(entry.layers) for entry in self.entries)

    @property
    def parameters(self) -> Counts:
        """The parameter counts of the network."""
        return counts(self.network)

    @property
    def read_whole(self) -> tuple[RecurrentEntry, ...]:
        """The entries that read a whole sequence before a result is needed.

        They are the ones before a repeat or, without a repeat, all of them if the head pools.
        """
        repeats = (i for i, layer in enumerate(self.spec.rnn) if isinstance(layer, RepeatVector))
        first = next(repeats, None)
        if first is not None:
            return tuple(entry for entry in self.entries if entry.index < first)
        heads = self.spec.all_heads
        return self.entries if heads and not any(head.gives_steps for _, head in heads) else ()

    def is_repeated(self, entry: RecurrentEntry) -> bool:
        """Return whether a repeat follows an entry, perhaps after layers of single steps."""
        after = islice(self.spec.rnn, entry.index + 1, None)
        others = (layer for layer in after if not isinstance(layer, PointwiseLayer))
        return isinstance(next(others, None), RepeatVector)

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
        by_name = {layer.name: layer for layer in self.network.layers}
        joined = nodes.kept_outputs(self.network)
        for name, (first, *others) in nodes.sources(self.network).items():
            if first in by_name and first not in joined and not others:
                yield by_name[first], by_name[name]


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
    return Context(spec, network, entries, dict(_places(program)), dict(spec.all_heads))


def _places(program: Program) -> Iterator[tuple[str, Path]]:
    """Yield the name of each layer of the network, with the path of what it comes from."""
    spec, layers = program.spec, iter(program.network.layers)

    def take(path: Path, number: int = 1) -> Iterator[tuple[str, Path]]:
        return ((layer.name, path) for layer in islice(layers, number))

    if spec.embedding is not None:
        yield from take(("embedding",))
    for index, layer in enumerate(spec.rnn):
        number = 1
        if isinstance(layer, RecurrentLayer):
            drops = bool(layer.dropout) and not layer.variational
            number = layer.layers * (1 + drops + bool(layer.layer_norm) + layer.residual)
        yield from take(("rnn", index), number)
    share_state = all(head.pooling == "last" for _, head in spec.all_heads)
    for path, head in spec.all_heads:
        pools = len(head.poolings) + (len(head.poolings) > 1)
        if head.pooling == "none" or share_state:
            pools = 0
        yield from take(path, pools + (head.dropout > 0))
        for index, hidden in enumerate(head.hidden):
            drops = isinstance(hidden, Hidden) and hidden.dropout > 0
            yield from take((*path, "hidden", index), 1 + drops)
        yield from take(path, (head.units is not None) + (head.normalize != "none"))
