"""The input of a rule, and the rule itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.errors import Problem, Severity
from rnnspec.ir import nodes
from rnnspec.ir.params import Counts, counts
from rnnspec.spec.models import RecurrentLayer, RepeatVector

if TYPE_CHECKING:
    from rnnspec.pipeline import Program
    from rnnspec.spec.models import Spec
    from rnnspec.spec.yaml.text import Path

Finding = tuple["Path", str]
"""The path of a value, and the message about it."""


@dataclass(frozen=True, slots=True)
class Entry:
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
    """A spec, its network, and the recurrent entries that connect them."""

    spec: Spec
    network: nodes.Network
    entries: tuple[Entry, ...]

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
    def read_whole(self) -> tuple[Entry, ...]:
        """The entries that read a whole sequence before a result is needed.

        They are the ones before a repeat or, without a repeat, all of them if the head pools.
        """
        repeats = (i for i, layer in enumerate(self.spec.rnn) if isinstance(layer, RepeatVector))
        first = next(repeats, None)
        if first is not None:
            return self.entries[:first]
        head = self.spec.head
        return self.entries if head is not None and head.pooling != "none" else ()

    def is_repeated(self, entry: Entry) -> bool:
        """Return whether a repeat follows an entry."""
        after = entry.index + 1
        return after < len(self.spec.rnn) and isinstance(self.spec.rnn[after], RepeatVector)


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
        Entry(index, declared, tuple(next(layers) for _ in range(declared.layers)))
        for index, declared in enumerate(spec.rnn)
        if not isinstance(declared, RepeatVector)
    )
    return Context(spec, network, entries)
