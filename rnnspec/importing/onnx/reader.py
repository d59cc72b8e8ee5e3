"""The value of each node of a graph, in the order in which they are computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.errors import brief
from rnnspec.importing.graph import numbers
from rnnspec.importing.graph.bounds import interval, number, size_of
from rnnspec.importing.graph.graph import Graph, GraphNode
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.reader import HANDLED, OperatorReader
from rnnspec.importing.graph.scope import Scope
from rnnspec.importing.graph.values import (
    ExtraInput,
    Known,
    RestartError,
    Tensor,
    Unknown,
    describe,
)
from rnnspec.importing.onnx import scans
from rnnspec.importing.onnx.recurrent import check_settings, read_recurrent
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rnnspec.importing.graph.graph import Info
    from rnnspec.importing.graph.probes import Probes
    from rnnspec.importing.graph.reader import Budget
    from rnnspec.importing.graph.values import Value
    from rnnspec.importing.imported import Account

_FUSED = "expected each recurrent layer as one node LSTM, GRU or RNN"
_UNROLLED = 3
"""The number of steps that are taken one by one in a loop that was unrolled, or more."""
_LOOPS = {"Loop": "a loop", "Scan": "a loop", "If": "a choice"}
_QUANTIZED = (
    "Quantize",
    "Dequantize",
    "QLinear",
    "MatMulInteger",
    "ConvInteger",
    "DynamicQuantize",
)


_RECURRENT = dict.fromkeys(("LSTM", "GRU", "RNN"), read_recurrent)
OPERATORS = HANDLED | {*_RECURRENT, "If"}
"""The operators that are read."""


class OnnxReader:
    """The values so far, by their names.

    ``names`` are the inputs of the network by their names in the graph. ``results`` are the
    outputs, ``lengths`` is the name of an input of lengths, empty if there is none.
    """

    def __init__(
        self,
        account: Account,
        graph: Graph,
        probes: Probes,
        budget: Budget,
        names: Mapping[str, str],
    ) -> None:
        self.scope = Scope(account, probes, tuple(names.values()))
        self.scope.is_half = graph.is_half
        self._names = names
        self.results: list[tuple[str, Tensor]] = []
        self.lengths = ""
        self._graph = graph
        self._budget = budget
        self._operators = OperatorReader(self.scope, budget, _RECURRENT)
        self._values: dict[str, Value] = {}
        self._refused: list[tuple[GraphNode, RefusedError]] = []

    def read(self) -> None:
        """Read all nodes; what cannot be taken over is refused in the account."""
        for place, name in enumerate(self._names):
            self._values[name] = self._input(-place)
        for info in self._graph.inputs:
            if info.name not in self._names:
                self._values[info.name] = self._other_input(info)
        needed = _needed_nodes(self._graph)
        self._read_nodes(self._graph, needed)
        self._leave_unused(needed)
        self._refuse()
        self._check_masks()
        for info in self._graph.outputs:
            try:
                self._note_result(info.name, self._values.get(info.name))
            except RefusedError as refused:
                self.scope.account.refuse(brief(info.name), refused.message, refused.code)

    @property
    def names_in_file(self) -> Iterator[str]:
        """The names of the inputs of the network in the order of the file."""
        return (info.name for info in self._graph.inputs if info.name in self._names)

    def _input(self, at: int) -> Value:
        """Return the input at a place."""
        probes = self.scope.probes.of(at)
        known = Known(probes.inputs, kind="input", at=at)
        if probes.setting.tokens:
            return known
        order = tuple(probes.setting.order)
        if "U" in order:
            # The states of one direction have no axis of their own for it.
            one = probes.setting.size("D") == 1
            axes = tuple({"D": "", "U": "F"}.get(axis, axis) if one else axis for axis in order)
            return Tensor(at, axes)
        return Tensor(at, order, numbers=known if probes.has_numbers else None)

    def _leave_unused(self, needed: Sequence[GraphNode]) -> None:
        """Name the inputs and the arrays that no output needs."""
        used = {info.name for info in self._graph.outputs}
        used.update(name for node in needed for name in node.input_names)
        unused = [("input", info.name) for info in self._graph.inputs]
        # Those that are not weights are what a tool that simplifies graphs has left behind.
        weights = (n for n, array in self._graph.arrays.items() if array.dtype.kind == "f")
        unused += [("array", name) for name in weights if self._graph.arrays[name].ndim]
        for kind, name in unused:
            if name not in used:
                self.scope.account.leave(f"{kind} {brief(name)}", reason="no output needs it")

    def _refuse(self) -> None:
        """Refuse nodes in the account; those of an unrolled loop have one reason together."""
        account, singles = self.scope.account, self.scope.single_steps
        unrolled = len(singles) >= _UNROLLED
        for node, refused in self._refused:
            lacking = node.domain or node.op in ("Loop", "Scan") or node.op.startswith(_QUANTIZED)
            if lacking or not unrolled:
                account.refuse(node.where, refused.message, refused.code)
        if self._refused and unrolled:
            message = (
                f"takes {len(singles)} steps one by one, as a loop over the steps does that was "
                "unrolled, and is not read"
            )
            where = next(iter(singles.values())).where
            account.refuse(where, f"{message}; {_FUSED}", "E701")

    def _check_masks(self) -> None:
        """Have the graph read with padding at the end alone, if it is right only then.

        A layer that runs forward may read padding behind what a later layer takes of it.
        """
        scope = self.scope
        plain = [
            at
            for at, masked in scope.masked.items()
            if isinstance(layer := scope.steps[at].layer, nodes.Recurrent)
            and not masked
            and layer.merge is None
            and at not in scope.backward
            and not self._is_repeated(at)
        ]
        if plain and any(scope.masked.values()):
            if not scope.probes.setting.at_end:
                raise RestartError(at_end=True)
            scope.is_counted = True

    def _is_repeated(self, at: int) -> bool:
        """True if a layer takes a vector that was repeated, which has no padding."""
        while at > 0:
            if isinstance(self.scope.steps[at].layer, nodes.Repeat):
                return True
            at = next(iter(self.scope.steps[at].sources), 0)
        return False

    def _other_input(self, info: Info) -> Value:
        """Return an input behind the first one: lengths, if it can be, or something unknown."""
        lengths = self.scope.probes.lengths
        if info.dtype.startswith("int") and info.dims is not None and len(info.dims) == 1:
            if not self.scope.probes.setting.at_end:
                raise RestartError(at_end=True)
            self.lengths = info.name
            arrays = tuple(counts.astype(info.dtype) for counts in lengths)
            return Known(arrays, bounds=interval(number(0), size_of(self.scope.probes.steps)))
        return ExtraInput(info.name)

    def _read_nodes(self, graph: Graph, needed: Sequence[GraphNode]) -> None:
        number = len(self.scope.probes.rows)
        for name, array in graph.arrays.items():
            self._values[name] = Known((array,) * number, name)
        for node in needed:
            self.scope.op = node
            inputs = [self._values.get(name) if name else None for name in node.inputs]
            try:
                outputs = self._outputs(node, inputs)
            except RefusedError as refused:
                # The reason may be a node before it.
                cause = refused.origin if isinstance(refused.origin, GraphNode) else node
                if all(other is not refused for _, other in self._refused):
                    self._refused.append((cause, refused))
                outputs = (Unknown(),) * len(node.outputs)
            self._budget.spend_on(outputs, inputs)
            for name, value in zip(node.outputs, outputs, strict=False):
                self._values[name] = value

    def _outputs(self, node: GraphNode, inputs: list[Value]) -> tuple[Value, ...]:
        if node.domain:
            domain = brief(node.domain)
            raise RefusedError(
                f"rnnspec does not support {brief(node.op)} of the domain {domain}", "E701"
            )
        if node.op == "Scan" and scans.body_of(node) is not None:
            if any(isinstance(value, Unknown) for value in inputs):
                return (Unknown(),) * len(node.outputs)
            return scans.read_scan(self.scope, node, inputs, self._values.get)
        if node.op in _LOOPS and not (node.op == "If" and isinstance(inputs[0], Unknown)):
            return self._branch(node, inputs)
        if node.op.startswith(_QUANTIZED):
            message = "expected exact arrays; import the model that the file was quantized from"
            raise RefusedError(f"{node.op} is of a quantized model: {message}", "E701")
        if any(isinstance(value, Unknown) for value in inputs):
            # What rnnspec does not support whatever it is given is refused all the same.
            if node.op in _RECURRENT:
                check_settings(node)
            if node.op not in OPERATORS and not numbers.is_known(node):
                raise RefusedError(
                    f"rnnspec does not support the operator {brief(node.op)}", "E701"
                )
            return (Unknown(),) * len(node.outputs)
        return self._operators.read(node, inputs)

    def _branch(self, node: GraphNode, inputs: Sequence[Value]) -> tuple[Value, ...]:
        """Return the results of the one branch of an ``If`` that sizes decide.

        Raises:
            RefusedError: it is a loop, or the numbers decide.
        """
        condition = inputs[0] if inputs else None
        decided = condition.constant if isinstance(condition, Known) else None
        if node.op != "If" or decided is None:
            kind = _LOOPS[node.op]
            raise RefusedError(f"{node.op} is {kind}, and not read; {_FUSED}", "E701")
        graph = node.attributes["then_branch" if decided.any() else "else_branch"]
        assert isinstance(graph, Graph), "checked when it was read"
        self._read_nodes(graph, _needed_nodes(graph))
        return tuple(self._values.get(info.name) for info in graph.outputs)

    def _note_result(self, name: str, value: Value) -> None:
        scope = self.scope
        if isinstance(value, Unknown):
            return
        tensor = value if isinstance(value, Tensor) else scope.as_tensor(value)
        scope.op = GraphNode(brief(name), "output", "", (), (), {})
        solid = scope.with_features(scope.settle(tensor))
        solid = scope.in_place(solid)
        letters = "".join(solid.axes)
        if "D" in letters and "U" in letters:
            # The features of both directions, on axes of their own.
            letters = letters.replace("D", "").replace("U", "F")
        sequence = scope.is_sequence(solid.at)
        letters_of_result = "BTF" if sequence else "BF"
        missing = set(letters_of_result) - set(letters)
        if (
            any(len(axis) > 1 for axis in solid.axes)
            or (missing - {"F"})
            or ("F" in missing and scope.features(solid) != 1)
        ):
            raise RefusedError(f"expected a sequence or a vector, received {describe(solid)}")
        if solid.at <= 0:
            raise RefusedError("expected the output of a layer, received the input")
        if not sequence and solid.axes.count("") == 1:
            solid = scope.keep_last_step(solid, [result.at for _, result in self.results])
            letters_of_result = "BTF" if scope.is_sequence(solid.at) else "BF"
        where = brief(name) if len(self._graph.outputs) > 1 else ""
        scope.infer_axes("the file returns", solid.axes, letters_of_result, where)
        self.results.append((name, solid))


def _needed_nodes(graph: Graph) -> list[GraphNode]:
    """Return the nodes that outputs need, without those that only lead to a loop."""
    needed, result = {info.name for info in graph.outputs}, list["GraphNode"]()
    for node in reversed(graph.nodes):
        if needed.isdisjoint(node.outputs):
            continue
        result.append(node)
        is_layer = node.op == "Scan" and scans.body_of(node) is not None
        if node.domain or node.op not in ("Loop", "Scan") or is_layer:
            needed.update(node.input_names)
    return result[::-1]
