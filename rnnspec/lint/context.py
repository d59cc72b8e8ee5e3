"""What a rule looks at, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.errors import Problem, Severity
from rnnspec.ir import nodes
from rnnspec.ir.params import Counts, counts
from rnnspec.spec.models import RecurrentLayer, RepeatVector
from rnnspec.spec.yaml.document import render_path

if TYPE_CHECKING:
    from rnnspec.pipeline import Program
    from rnnspec.spec.models import Spec
    from rnnspec.spec.yaml.places import Path

Finding = tuple["Path", str]
"""The path of the value that a rule has something to say of, and what it says."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One recurrent entry of ``rnn``: as it was written, and the layers it stands for."""

    index: int
    said: RecurrentLayer
    layers: tuple[nodes.Recurrent, ...]

    @property
    def path(self) -> Path:
        """Where it stands."""
        return ("rnn", self.index)

    @property
    def steps(self) -> int | None:
        """How many steps enter it, None for any number."""
        return self.layers[0].input[0]


@dataclass(frozen=True, slots=True)
class Context:
    """A spec, its network, and what belongs to what."""

    spec: Spec
    network: nodes.Network
    entries: tuple[Entry, ...]

    @property
    def examples(self) -> int | None:
        """How many sequences there are to learn from, where the spec says it."""
        return self.spec.data.examples

    @property
    def depth(self) -> int:
        """The number of recurrent layers."""
        return sum(len(entry.layers) for entry in self.entries)

    @property
    def parameters(self) -> Counts:
        """The numbers of parameters."""
        return counts(self.network)

    @property
    def read_whole(self) -> tuple[Entry, ...]:
        """The entries that may see a sequence's end before they answer about its beginning."""
        repeats = (i for i, said in enumerate(self.spec.rnn) if isinstance(said, RepeatVector))
        first = next(repeats, None)
        if first is not None:
            return self.entries[:first]
        head = self.spec.head
        return self.entries if head is not None and head.pooling != "none" else ()

    def is_repeated(self, entry: Entry) -> bool:
        """Tell whether a repeat follows an entry."""
        after = entry.index + 1
        return after < len(self.spec.rnn) and isinstance(self.spec.rnn[after], RepeatVector)


@dataclass(frozen=True, slots=True)
class Rule:
    """A piece of advice: how it is called, how grave it is, and where it applies."""

    code: str
    severity: Severity
    check: Callable[[Context], Iterator[Finding]]

    def problems(self, context: Context) -> Iterator[Problem]:
        """Yield what the rule has to say, with its places."""
        document = context.spec.document
        for path, message in self.check(context):
            where, span = render_path(document.steps(path)), document.span(path)
            yield Problem(document.source, message, where, span, self.code, self.severity)


def context(program: Program) -> Context:
    """Return what there is to see of a spec."""
    spec, network = program.spec, program.network
    layers = iter([layer for layer in network.layers if isinstance(layer, nodes.Recurrent)])
    entries = tuple(
        Entry(index, said, tuple(next(layers) for _ in range(said.layers)))
        for index, said in enumerate(spec.rnn)
        if not isinstance(said, RepeatVector)
    )
    return Context(spec, network, entries)
