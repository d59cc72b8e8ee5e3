"""The graph of an ONNX file as data: nodes, arrays, and names for what they give and take."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from rnnspec.importing.graph.layer_graph import RefusedError, SourcePlace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rnnspec.backends.slots import Array

NEWEST_OPSET = 2**31
"""The version of operators that are no file's: each is what the last version says."""
_FEW_NUMBERS = 4
_NOWHERE = SourcePlace()


@dataclass(frozen=True, slots=True, eq=False)
class GraphNode:
    """An operator and the names of its values; an input or output that is left out is empty."""

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    """Numbers, texts, arrays and graphs, and tuples of them."""
    overload: str = ""
    """Which of the functions with the name of the operator it is."""
    place: SourcePlace = _NOWHERE
    """Where it stands in a source file."""
    opset: int = NEWEST_OPSET
    """The version of ONNX's operators."""

    @property
    def where(self) -> str:
        """The name that errors use."""
        if self.name:
            return self.name
        outputs = [name for name in self.outputs if name]
        return f"{self.op} at {outputs[0]}" if outputs else self.op

    @property
    def graphs(self) -> Iterator[Graph]:
        """The graphs among its attributes, which are the bodies of loops and choices."""
        for value in self.attributes.values():
            values = value if isinstance(value, tuple) else (value,)
            yield from (graph for graph in values if isinstance(graph, Graph))

    @property
    def input_names(self) -> set[str]:
        """The names that it takes, also those that its graphs take from outside."""
        return set(filter(None, self.inputs)).union(*(graph.outer_names for graph in self.graphs))


@dataclass(frozen=True, slots=True)
class Info:
    """An input or output of a graph.

    ``dtype`` is NumPy's name of the type of its numbers, or ONNX's in lower case if NumPy has none.
    A size is a number, a name, or None if it is not stated; ``dims`` is None if not even their
    number is.
    """

    name: str
    dtype: str
    dims: tuple[int | str | None, ...] | None


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A graph: each name that a node takes is an input, an array, or an earlier node's output.

    In a graph that is an attribute, it may also be a name of the graph around it. ``arrays`` are
    initializers and constants; large ones are read-only views of the file. ``opset`` is the version
    of ONNX's operators, and ``writer`` says which tool wrote the file.
    """

    inputs: tuple[Info, ...]
    outputs: tuple[Info, ...]
    nodes: tuple[GraphNode, ...]
    arrays: Mapping[str, Array]
    opset: int
    writer: str

    @property
    def outer_names(self) -> set[str]:
        """The names that it takes and does not give."""
        needed = {info.name for info in self.outputs}.union(*(n.input_names for n in self.nodes))
        outputs = (name for node in self.nodes for name in node.outputs)
        return needed.difference(self.arrays, (info.name for info in self.inputs), outputs)

    @property
    def is_half(self) -> bool:
        """True if it computes in float16: no array of real numbers has more digits."""
        kinds = {array.dtype.str[1:] for array in self.arrays.values() if array.ndim}
        return "f2" in kinds and not kinds & {"f4", "f8"}

    @property
    def limits(self) -> tuple[float, ...]:
        """The few numbers of its small arrays and its attributes, in which a limit may be."""
        limits = dict[float, None]()
        for array in self.arrays.values():
            if array.size <= _FEW_NUMBERS and array.dtype.kind in "iuf":
                limits.update(dict.fromkeys(map(float, array.flat)))
        for node in self.nodes:
            for value in node.attributes.values():
                several = value if isinstance(value, tuple) else (value,)
                numbers = (float(number) for number in several if isinstance(number, int | float))
                limits.update(dict.fromkeys(numbers))
            for graph in node.graphs:
                limits.update(dict.fromkeys(graph.limits))
        return tuple(limit for limit in limits if isfinite(limit))


class DoubtError(RefusedError):
    """The refusal of what a node before another one does, such as what samples cannot show."""

    def __init__(self, node: GraphNode, message: str, code: str = "E704") -> None:
        super().__init__(message, code, node)


class CycleError(Exception):
    """Nodes that need each other; ``nodes`` are those of one cycle, in their order."""

    def __init__(self, nodes: Sequence[GraphNode]) -> None:
        super().__init__()
        self.nodes = nodes


def sort_nodes(nodes: Sequence[GraphNode]) -> tuple[GraphNode, ...]:
    """Return nodes in the order in which they can be computed.

    Raises:
        CycleError: there is none.
    """
    makers = {name: i for i, node in enumerate(nodes) for name in node.outputs if name}
    waiting, users = [0] * len(nodes), [list[int]() for _ in nodes]
    for i, node in enumerate(nodes):
        for maker in {makers[name] for name in node.input_names if name in makers}:
            waiting[i] += 1
            users[maker].append(i)
    ready = [i for i, count in enumerate(waiting) if not count]
    ordered = list[GraphNode]()
    while ready:
        i = heapq.heappop(ready)
        ordered.append(nodes[i])
        for user in users[i]:
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, user)
    if len(ordered) < len(nodes):
        raise CycleError([nodes[i] for i in _find_cycle(waiting, users)])
    return tuple(ordered)


def _find_cycle(waiting: Sequence[int], users: Sequence[Sequence[int]]) -> list[int]:
    """Return the indices of nodes that wait for each other in a circle."""
    makers = {user: i for i, count in enumerate(waiting) if count for user in users[i]}
    # From any node that waits, going back must come to one that was seen.
    at = next(i for i, count in enumerate(waiting) if count and i in makers)
    seen = dict[int, None]()
    while at not in seen:
        seen[at] = None
        at = makers[at]
    order = list(seen)
    cycle = order[order.index(at) :][::-1]
    first = cycle.index(min(cycle))
    return cycle[first:] + cycle[:first]
