"""The value of each operator for the values that it takes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from rnnspec.errors import UsageError, brief, listed
from rnnspec.importing.graph import (
    functions,
    joins,
    layers,
    masks,
    numbers,
    pairs,
    parts,
    provenance,
    settings,
    shapes,
    states,
    windows,
)
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.probes import draw_probes
from rnnspec.importing.graph.values import (
    CarriedStates,
    ExtraInput,
    Known,
    Pairs,
    RestartError,
    Tensor,
    Unknown,
    describe,
)
from rnnspec.importing.imported import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.graph.graph import GraphNode
    from rnnspec.importing.graph.probes import Probes, ProbeSetting
    from rnnspec.importing.graph.scope import Scope
    from rnnspec.importing.graph.values import Value

    LayerReader = Callable[[Scope, GraphNode, Sequence[Value]], tuple[Value, ...]]

INPUTS = "a sequence, a vector or a label of each sequence, or its length"
"""The inputs that a network may have."""
_COST_OF_NODE = 2**12
"""The time that a node takes, as a number of bytes that are computed in it."""


class Budget:
    """How many bytes may still be computed for a file, in all ways to read it."""

    def __init__(self, source: str, arrays: Iterable[Array]) -> None:
        self._source = source
        # Weights may be put in another order, once for each way.
        self._left = 2**28 + 8 * sum(array.nbytes for array in arrays)

    def spend(self, number: int) -> None:
        """Take some bytes.

        Raises:
            UsageError: there are not as many left.
        """
        self._left -= number
        if self._left < 0:
            message = "expected a graph of a recurrent network, received one that computes too much"
            raise UsageError(f"{message} from constants and sizes", self._source)

    def spend_on(self, outputs: Sequence[Value], inputs: Sequence[Value]) -> None:
        """Take the bytes of a node and of the arrays that it makes.

        Raises:
            UsageError: there are not as many left.
        """
        self.spend(_COST_OF_NODE + _new_bytes(outputs, inputs))


class GraphReading(Protocol):
    """A graph that was read: the layers so far are in its scope."""

    @property
    def scope(self) -> Scope:
        """The layers so far."""


_R = TypeVar("_R", bound=GraphReading)


def read_in_order(
    account: Account,
    name: str,
    settings: Iterable[ProbeSetting],
    read: Callable[[Account, Probes], _R],
) -> _R:
    """Read a graph with its input laid out as it takes it.

    Nothing says which axis is which. Each order is tried, and the first one counts that rnnspec
    supports; of several that fail, the one with the most layers does. With each order, it is read
    again whenever it turns out that other probes are needed.

    Args:
        account: what everything is recorded in.
        name: what messages call the input.
        settings: how the input may be laid out, the usual ways first.
        read: reads the graph with probes; what cannot be taken over is refused in its account.

    Raises:
        ModelError: there are too many probes.
    """
    best: tuple[Account, _R] | None = None
    for setting in settings:
        tried, reading = _read_again(account.source, name, setting, read)
        if best is None or _progress(reading) > _progress(best[1]):
            best = tried, reading
        if not tried.problems:
            best = tried, reading
            break
    assert best is not None, "there are settings"
    account.adopt(best[0])
    best[1].scope.account = account
    return best[1]


def _progress(reading: GraphReading) -> tuple[int, bool]:
    """Return how far a graph was read: its layers, and whether the axes were not the reason."""
    return len(reading.scope.steps), not reading.scope.misplaced


def _read_again(
    source: str, name: str, setting: ProbeSetting, read: Callable[[Account, Probes], _R]
) -> tuple[Account, _R]:
    # Each reason to start again is gone in the next start, so this ends.
    while True:
        tried = Account(source)
        try:
            probes = draw_probes(setting)
        except RefusedError as refused:
            tried.refuse(name, refused.message, refused.code)
            tried.check()
        try:
            return tried, read(tried, probes)
        except RestartError as restart:
            setting = setting.change(restart.at, **restart.changes)


class OperatorReader:
    """The values of operators in a scope, within a budget.

    ``layers`` reads the operators that only one front end has, by their names.
    """

    def __init__(self, scope: Scope, budget: Budget, layers: Mapping[str, LayerReader]) -> None:
        self.scope = scope
        self._budget = budget
        self._layers = layers

    def read(self, node: GraphNode, inputs: list[Value]) -> tuple[Value, ...]:
        """Return the outputs of an operator.

        Raises:
            RefusedError: rnnspec does not support it, or not in this place.
        """
        numbers_of = [_numbers(value) for value in inputs]
        computed = self._compute(node, inputs, numbers_of)
        tensors = any(isinstance(value, Tensor) for value in inputs)
        is_kept = node.op in _NO_FEATURES or not _type_of_cast(node, inputs).endswith(_REAL)
        if computed is not None and (not tensors or is_kept):
            return computed
        try:
            return self._read(node, inputs, computed)
        except RefusedError:
            if computed is None:
                raise
            return computed

    def _read(
        self, node: GraphNode, inputs: list[Value], computed: tuple[Known, ...] | None
    ) -> tuple[Value, ...]:
        """Return the outputs of a node with a tensor, with its numbers if it has any."""
        for value in inputs:
            if isinstance(value, ExtraInput) and node.op not in self._layers:
                name = brief(value.name)
                raise RefusedError(f"takes the input '{name}'; expected {INPUTS}")
        try:
            if any(isinstance(value, Pairs) for value in inputs) and node.op not in _SAME:
                outputs: tuple[Value, ...] = (pairs.read(self.scope, node, inputs),)
            else:
                outputs = self._layers.get(node.op, _read_node)(self.scope, node, inputs)
        except numbers.UNFIT as error:
            # Inputs of other kinds, axes that are not there: any file can have them.
            kinds = listed([describe(value) for value in inputs[:4]]) or "no inputs"
            message = f"{node.op} does not fit {kinds}: {brief(error)}"
            raise RefusedError(message, "E707") from None
        several = computed or (None,) * len(outputs)
        return tuple(
            replace(value, numbers=known) if isinstance(value, Tensor) and value.at <= 0 else value
            for value, known in zip(outputs, several, strict=False)
        )

    def _compute(
        self, node: GraphNode, inputs: Sequence[Value], numbers_of: Sequence[Known | None]
    ) -> tuple[Known, ...] | None:
        """Return the numbers that a node computes of numbers, None if it has other inputs."""
        self._look_for_filler(node, inputs)
        pairs = list(zip(inputs, numbers_of, strict=True))
        if any(value is not None and known is None for value, known in pairs):
            return None
        if not numbers.is_known(node) or (not pairs and node.inputs):
            return None
        tensors = any(isinstance(value, Tensor) for value in inputs)
        # Products of features are no ingredients of a mask.
        if self._is_embedding(node, inputs) or (tensors and node.op == "MatMul"):
            return None
        constant = not tensors and all(
            known is None or (known.kind == "derived" and known.same_array is not None)
            for known in numbers_of
        )
        probes = range(1 if constant else len(self.scope.probes.rows))
        for i in probes:
            ingredients = [None if known is None else known.samples[i] for known in numbers_of]
            self._budget.spend(numbers.effort(node, ingredients))
        try:
            several = [
                numbers.compute(
                    node, [None if known is None else known.samples[i] for known in numbers_of]
                )
                for i in probes
            ]
        except RefusedError:
            if tensors:
                return None
            raise
        if constant:
            several *= len(self.scope.probes.rows)
        samples = list(zip(*several, strict=True))
        return provenance.trace(node, numbers_of, samples, self.scope.probes.setting)

    def _look_for_filler(self, node: GraphNode, inputs: Sequence[Value]) -> None:
        """Have the graph read again with the number of padding that it compares features with."""
        if node.op != "Equal":
            return
        match inputs:
            case [Tensor(at=at, numbers=Known(kind="input")), Known() as y] | [
                Known() as y,
                Tensor(at=at, numbers=Known(kind="input")),
            ] if at <= 0 and not self.scope.probes.setting.of(at).names_filler:
                filler = y.constant
                if filler is not None and filler.size == 1:
                    raise RestartError(at, filler=float(filler.flat[0]), names_filler=True)
            case _:
                pass

    def _is_embedding(self, node: GraphNode, inputs: Sequence[Value]) -> bool:
        if node.op != "Gather" or node.attributes.get("axis", 0) or len(inputs) != 2:
            return False
        table, indices = inputs
        return (
            isinstance(table, Known)
            and isinstance(indices, Known)
            and (indices.kind == "input" or indices.same_array is None)
            and (array := table.constant) is not None
            and array.ndim == 2
            and array.dtype.kind == "f"
        )


def _numbers(value: Value) -> Known | None:
    match value:
        case Known():
            return value
        case Tensor(numbers=known):
            return known
        case _:
            return None


_NO_FEATURES = (*functions.COMPARISONS, "Shape", "Size", "ArgMax", "ArgMin")
_SAME = ("Identity", "Dropout", "Cast", "CastLike")
_SHAPES: Mapping[str, Callable[[Scope, GraphNode, Tensor, Sequence[Value]], Value]] = {
    "Transpose": shapes.transpose,
    "Squeeze": shapes.squeeze,
    "Unsqueeze": shapes.unsqueeze,
    "Reshape": shapes.reshape,
    "Flatten": shapes.reshape,
    "Expand": shapes.expand,
    "Tile": shapes.expand,
    "Slice": parts.take_slice,
    "Gather": parts.gather,
    "GatherElements": parts.gather_elements,
    "GatherND": parts.gather_nd,
    "ReverseSequence": parts.reverse_sequence,
    "ScatterElements": parts.scatter_elements,
    "Shape": shapes.size,
    "Size": shapes.size,
}
_JOINS: Mapping[str, Callable[[Scope, GraphNode, Sequence[Value]], Value]] = {
    "MatMul": layers.matrix_product,
    "Gemm": layers.general_product,
    "Conv": windows.convolution,
    "MaxPool": windows.pool_windows,
    "AveragePool": windows.pool_windows,
    "GlobalMaxPool": joins.pool_all,
    "GlobalAveragePool": joins.pool_all,
    "Pad": windows.add_steps,
    "BatchNormalization": layers.batch_norm,
    "Concat": joins.concatenate,
    "Where": masks.choose,
    **dict.fromkeys(functions.ELEMENTWISE, joins.elementwise),
    **dict.fromkeys(functions.REDUCTIONS, joins.reduce),
    **dict.fromkeys((*functions.OVER_FEATURES, "LayerNormalization"), joins.over_features),
}
HANDLED = frozenset({*_SHAPES, *_JOINS, *_SAME, "Split"})
"""The operators that are read."""


_REAL = ("f2", "f4", "f8")


def _type_of_cast(node: GraphNode, inputs: Sequence[Value]) -> str:
    """Return the type that a value is cast to, that of every layer if it is not."""
    if node.op not in ("Cast", "CastLike"):
        return "f4"
    like = inputs[1] if len(inputs) > 1 else None
    if isinstance(like, Tensor):
        return "f4"
    return settings.type_of_cast(node, like.samples[0] if isinstance(like, Known) else None)


def _read_node(scope: Scope, node: GraphNode, inputs: list[Value]) -> tuple[Value, ...]:
    """Return the outputs of a node.

    Raises:
        RefusedError: it is not supported, or not in this place.
    """
    x = inputs[0] if inputs else None
    if node.op in _SAME:
        return _pass_on(scope, node, inputs)
    if node.op == "Gather" and isinstance(x, Known) and isinstance(inputs[1], Known):
        table = x.constant
        assert table is not None, "of the caller"
        return (layers.embed(scope, table, inputs[1]),)
    if isinstance(x, CarriedStates) and node.op != "Concat":
        return (states.part_of_states(scope, node, x, inputs),)
    if node.op == "Split" and isinstance(x, Tensor):
        return parts.split(scope, node, x, inputs)
    if (shape := _SHAPES.get(node.op)) is not None:
        if not isinstance(x, Tensor):
            raise RefusedError(f"expected the output of a layer, received {describe(x)}")
        return (shape(scope, node, x, inputs),)
    if (join := _JOINS.get(node.op)) is not None:
        return (join(scope, node, inputs),)
    raise RefusedError(f"rnnspec does not support the operator {brief(node.op)}", "E701")


def _pass_on(scope: Scope, node: GraphNode, inputs: Sequence[Value]) -> tuple[Value, ...]:
    """Return a value as it is."""
    x = inputs[0]
    if node.op == "Dropout":
        layers.check_dropout(inputs)
        what = "dropout in an attention" if isinstance(x, Pairs) else "Dropout"
        scope.account.leave(what, node.where)
        return (x, Unknown())
    kind = _type_of_cast(node, inputs)
    if not kind.endswith(_REAL):
        raise RefusedError(f"expected real numbers, received a cast of {describe(x)} to others")
    if kind in settings.HALF and not scope.is_half:
        message = f"rounds {describe(x)} to {settings.HALF[kind]}, which rnnspec does not support"
        raise RefusedError(message, "E701")
    return (x,)


def _new_bytes(outputs: Sequence[Value], inputs: Sequence[Value]) -> int:
    """Return the size of the arrays of a node's outputs that are not parts of its inputs'."""
    known = [array for value in inputs for array in _arrays_of(value)]
    new = {id(array): array for value in outputs for array in _arrays_of(value)}
    return sum(
        array.nbytes
        for array in new.values()
        if not any(np.may_share_memory(array, other) for other in known)
    )


def _arrays_of(value: Value) -> Iterator[Array]:
    match value:
        case Known(samples=samples):
            yield from samples
        case Tensor():
            for probed in (value.steps, value.rows, value.numbers and value.numbers.samples):
                yield from probed or ()
        case _:
            pass
