"""The layers of a model so far, as a graph: each by its place, with the places that it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from rnnspec.importing.taken import LearnedVector, Taken
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rnnspec.errors import Span
    from rnnspec.importing.imported import Account
    from rnnspec.importing.taken import DraftLayer
    from rnnspec.words import Merge, Statistic


class RefusedError(Exception):
    """The reason why an operation cannot be taken over, with its code.

    It is the operation that is read, or the earlier one that is its ``origin``.
    """

    def __init__(self, message: str, code: str = "E704", origin: Operation | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.origin = origin


@dataclass(frozen=True, slots=True)
class SourcePlace:
    """A piece of a source file, empty if the source is not at hand."""

    file: str = ""
    span: Span | None = None


class Operation(Protocol):
    """An operation that makes a layer."""

    @property
    def where(self) -> str:
        """The name that errors use."""

    @property
    def place(self) -> SourcePlace:
        """Where it stands in a source file."""


@dataclass(slots=True)
class GraphLayer:
    """A layer without a place, and where its input comes from.

    ``sources`` are places in the graph, and ``op`` is the operation that made it. ``modules`` are
    what has its arrays in the model. ``turned`` is true if it takes the features of the backward
    direction first. ``arrays`` are arrays outside of modules, or where they are, by their names.
    """

    layer: DraftLayer
    sources: tuple[int, ...]
    op: Operation
    modules: tuple[str, ...] = ()
    turned: bool = False
    arrays: Mapping[str, Any] | None = None


class LayerGraph:
    """The layers so far, and where they come from.

    ``steps`` has the layers by their places, which begin at 1. The input is at 0, and others of
    ``inputs``, which has their names, are at -1, -2 and so on. ``flattened`` has the sizes of
    flattened sequences by their places.
    """

    def __init__(self, account: Account, inputs: Sequence[str] = (nodes.INPUT,)) -> None:
        self.account = account
        self.inputs = inputs
        self.steps: dict[int, GraphLayer] = {}
        self.flattened: dict[int, int] = {}
        self._widths: dict[int, int | None] = {-at: None for at in range(len(inputs))}
        self._names: set[str] = set()

    def add_layer(
        self, layer: DraftLayer, sources: tuple[int, ...], op: Operation, modules: tuple[str, ...]
    ) -> int:
        """Add a layer, and return its place."""
        at = len(self.steps) + 1
        name = layer.name if layer.name not in self._names else f"{layer.name} {at}"
        self._names.add(name)
        self.steps[at] = GraphLayer(replace(layer, name=name), sources, op, modules)
        self._widths[at] = self._width_of(at)
        return at

    def merge(self, at: int, merge: Merge) -> None:
        """Combine the directions of a recurrent layer in another way than side by side.

        Raises:
            RefusedError: the directions are used in yet another way.
        """
        users = [user for user, step in self.steps.items() if at in step.sources]
        finals = [user for user in users if is_final(self.steps[user].layer)]
        layer = self.steps[at].layer
        if not isinstance(layer, nodes.Recurrent):
            message = "combines the directions of another value than the output of their layer"
            raise RefusedError(message)
        if layer.merge not in ("concat", merge) or users != finals:
            raise RefusedError("combines the directions that are used otherwise, too")
        self.steps[at].layer = replace(layer, merge=merge)
        # A cell may have an output of another size than ``units``.
        if layer.merge == "concat":
            for changed in (at, *finals):
                both = self._widths[changed]
                self._widths[changed] = both and both // 2

    def average(self, at: int) -> bool:
        """Have the sum of both directions divided by 2, and return whether it is one."""
        final = at and is_final(self.steps[at].layer)
        place = self.steps[at].sources[0] if final else at
        layer = self.steps[place].layer if place else None
        if not isinstance(layer, nodes.Recurrent) or layer.merge != "sum":
            return False
        users = [user for user, step in self.steps.items() if place in step.sources]
        if users != ([at] if final else []):
            return False
        self.steps[place].layer = replace(layer, merge="ave")
        return True

    def width(self, at: int) -> int | None:
        """Return the number of features at a place, None if it is not known yet."""
        return self._widths[at]

    def _width_of(self, at: int) -> int | None:
        if at <= 0:
            return self._widths[at]
        step = self.steps[at]
        match step.layer:
            case nodes.Embedding(dim=size) | nodes.Dense(units=size) | nodes.Conv(filters=size):
                return size
            case LearnedVector(size=size) | Taken(state="", size=size):
                return size
            case nodes.Recurrent(cell=nodes.EquationCell()) as layer:
                features = self._widths[step.sources[0]]
                return features and replace(layer, input=(None, features)).output[-1]
            case nodes.Recurrent(units=units, merge=merge):
                return 2 * units if merge == "concat" else units
            case nodes.Flatten():
                return self.flattened.get(at)
            case nodes.Append():
                return next(filter(None, map(self._widths.get, step.sources)), None)
            case nodes.Join(how=nodes.Formula() as formula):
                return formula.size
            case nodes.Join(how=how):
                sizes = [self._widths[source] for source in step.sources]
                known = [size or 0 for size in sizes]
                return None if None in sizes else sum(known) if how == "concat" else max(known)
            case nodes.Attention():
                return self._widths[step.sources[1]]
            case Taken():
                recurrent = self.steps[step.sources[0]].layer
                assert isinstance(recurrent, nodes.Recurrent), "only recurrent layers have states"
                return recurrent.ways * recurrent.units
            case _:
                return self._widths[step.sources[0]]

    def fit_features(self, at: int, features: int) -> None:
        """Check the number of features at a place, or note it.

        Raises:
            RefusedError: it has another number.
        """
        place = at
        if self._widths[at] is None:
            size = features
            while at > 0 and not isinstance(self.steps[at].layer, nodes.Flatten):
                sources = self.steps[at].sources
                layer, at = self.steps[at].layer, sources[0]
                if isinstance(layer, nodes.Joined):
                    # Perhaps of one input several times.
                    unknown = [source for source in sources if self._widths[source] is None]
                    at = unknown[0]
                    if isinstance(layer, nodes.Join) and layer.how == "concat":
                        size -= sum(self._widths[source] or 0 for source in sources)
                        if len({*unknown}) > 1 or size <= 0 or size % len(unknown):
                            message = (
                                "expected known numbers of features, received a join of others"
                            )
                            raise RefusedError(message)
                        size //= len(unknown)
            if at > 0:
                self.flattened[at] = size
            self._widths[at] = size
            for later, width in self._widths.items():
                if width is None:
                    self._widths[later] = self._width_of(later)
        if self._widths[place] != features:
            message = f"expected {features} features, received {self._widths[place]}"
            raise RefusedError(message, "E707")


def is_final(layer: DraftLayer) -> bool:
    """True if a layer takes the final states of another."""
    return isinstance(layer, nodes.Pooling) and layer.statistic == "last"


def pooling(statistic: Statistic) -> nodes.Pooling:
    """Return a pooling without a place."""
    return nodes.Pooling(name=statistic, input=(), statistic=statistic, masked=False)


# Attention


@dataclass(frozen=True, slots=True)
class ScoreFunction:
    """How scores are made of the steps: ``query`` of a ``hidden`` layer, or of the steps.

    A query that is the output of another layer is the second of what ``query`` takes.
    """

    query: GraphLayer
    hidden: GraphLayer | None
    activation: nodes.Activation

    @property
    def has_vector(self) -> bool:
        """True if the query is the output of another layer."""
        return len(self.query.sources) > 1

    def attention(self, units: int | None) -> nodes.AttentionPooling:
        """Return the attention with these scores, given the units of the hidden layer."""
        assert isinstance(self.query.layer, nodes.Dense), "it was read"
        hidden = self.hidden.layer if self.hidden else None
        return nodes.AttentionPooling(
            name="attention",
            input=(),
            units=units,
            activation=self.activation,
            masked=False,
            bias=not isinstance(hidden, nodes.Dense) or hidden.bias,
            query="first" if self.has_vector else None,
            kernel_initializer=self.query.layer.kernel_initializer,
            bias_initializer=self.query.layer.bias_initializer,
        )


def read_scores(graph: LayerGraph, at: int, start: int, expected: str) -> ScoreFunction:
    """Return how the scores at a place are made of the steps at ``start``.

    A dropout between them is left out, in the account.

    Raises:
        RefusedError: they are made of others, or otherwise; ``expected`` is the message.
    """
    query = graph.steps.get(at)
    if query is None or not isinstance(query.layer, nodes.Dense) or query.layer.tied:
        raise RefusedError(expected)
    activation: nodes.Activation = "linear"
    hidden, place = None, query.sources[0]
    while place not in (start, 0):
        step = graph.steps[place]
        match step.layer:
            case nodes.Activate() if hidden is None and activation == "linear":
                activation = step.layer.activation
            case nodes.Dropout(rate=rate):
                graph.account.leave(f"dropout {rate:g} in an attention")
            case nodes.Dense(tied=None) if hidden is None:
                hidden = step
            case _:
                raise RefusedError(expected)
        place = step.sources[0]
    if place != start:
        raise RefusedError(expected)
    return ScoreFunction(query, hidden, activation)
