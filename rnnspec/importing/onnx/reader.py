"""The value of each node of a graph, in the order in which they are computed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rnnspec.errors import UsageError, brief, listed
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.onnx import (
    functions,
    joins,
    layers,
    masks,
    numbers,
    parts,
    provenance,
    scans,
    settings,
    shapes,
)
from rnnspec.importing.onnx.bounds import bounded, number, size_of
from rnnspec.importing.onnx.graph import Graph, Node
from rnnspec.importing.onnx.recurrent import NO_STATES, check_settings, read_recurrent
from rnnspec.importing.onnx.scope import Scope
from rnnspec.importing.onnx.values import (
    Argument,
    Known,
    RestartError,
    Stack,
    Tensor,
    Unknown,
    describe,
    name_axis,
)
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rnnspec.importing.imported import Account
    from rnnspec.importing.onnx.graph import Info
    from rnnspec.importing.onnx.probes import Probes
    from rnnspec.importing.onnx.values import Value
    from rnnspec.slots import Array

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


_COST_OF_NODE = 2**12
"""The time that a node takes, as a number of bytes that are computed in it."""


class Budget:
    """How many bytes may still be computed for a file, in all ways to read it."""

    def __init__(self, source: str, graph: Graph) -> None:
        self._source = source
        # Weights may be put in another order, once for each way.
        self._left = 2**28 + 8 * sum(array.nbytes for array in graph.arrays.values())

    def spend(self, number: int) -> None:
        """Take some bytes.

        Raises:
            UsageError: there are not as many left.
        """
        self._left -= number
        if self._left < 0:
            message = "expected a graph of a recurrent network, received one that computes too much"
            raise UsageError(f"{message} from constants and sizes", self._source)


class Reader:
    """The values so far, by their names.

    ``results`` are the outputs, ``lengths`` is the name of an input of lengths, empty if there is
    none.
    """

    def __init__(self, account: Account, graph: Graph, probes: Probes, budget: Budget) -> None:
        self.scope = Scope(account, probes)
        self.results: list[tuple[str, Tensor]] = []
        self.lengths = ""
        self._graph = graph
        self._budget = budget
        self._values: dict[str, Value] = {}
        self._refused: list[tuple[Node, RefusedError]] = []

    def read(self) -> None:
        """Read all nodes; what cannot be taken over is refused in the account."""
        first, *others = self._graph.inputs
        probes = self.scope.probes
        setting = probes.setting
        if setting.tokens:
            self._values[first.name] = Known(probes.inputs, kind="input")
        else:
            features = Known(probes.inputs, kind="input") if probes.has_numbers else None
            self._values[first.name] = Tensor(0, tuple(setting.order), numbers=features)
        for info in others:
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

    def _leave_unused(self, needed: Sequence[Node]) -> None:
        """Name the inputs and the arrays that no output needs."""
        taken = {info.name for info in self._graph.outputs}
        taken.update(name for node in needed for name in node.taken_names)
        unused = [("input", info.name) for info in self._graph.inputs]
        # Those that are not weights are what a tool that simplifies graphs has left behind.
        weights = (n for n, array in self._graph.arrays.items() if array.dtype.kind == "f")
        unused += [("array", name) for name in weights if self._graph.arrays[name].ndim]
        for kind, name in unused:
            if name not in taken:
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
        """Return whether a layer takes a vector that was repeated, which has no padding."""
        while at:
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
            arrays = tuple(each.astype(info.dtype) for each in lengths)
            return Known(arrays, bounds=bounded(number(0), size_of(self.scope.probes.steps)))
        return Argument(info.name)

    def _read_nodes(self, graph: Graph, needed: Sequence[Node]) -> None:
        number = len(self.scope.probes.rows)
        for name, array in graph.arrays.items():
            self._values[name] = Known((array,) * number, name)
        for node in needed:
            self.scope.op = node
            inputs = [self._values.get(name) if name else None for name in node.inputs]
            try:
                outputs = self._outputs(node, inputs)
            except RefusedError as refused:
                self._note_refusal(node, refused)
                outputs = (Unknown(),) * len(node.outputs)
            self._budget.spend(_COST_OF_NODE + _new_bytes(outputs, inputs))
            for name, value in zip(node.outputs, outputs, strict=False):
                self._values[name] = value

    def _note_refusal(self, node: Node, refused: RefusedError) -> None:
        """Note why a node is refused; the reason may be a node before it."""
        cause = refused.origin if isinstance(refused.origin, Node) else node
        if all(other is not refused for _, other in self._refused):
            self._refused.append((cause, refused))

    def _outputs(self, node: Node, inputs: list[Value]) -> tuple[Value, ...]:
        if node.domain:
            domain = brief(node.domain)
            raise RefusedError(
                f"the language lacks {brief(node.op)} of the domain {domain}", "E701"
            )
        if node.op == "Scan" and scans.cell_of(node) is not None:
            if any(isinstance(each, Unknown) for each in inputs):
                return (Unknown(),) * len(node.outputs)
            return scans.read_scan(self.scope, node, inputs, self._values.get)
        if node.op in _LOOPS and not (node.op == "If" and isinstance(inputs[0], Unknown)):
            return self._branch(node, inputs)
        if node.op.startswith(_QUANTIZED):
            message = "expected exact arrays; import the model that the file was quantized from"
            raise RefusedError(f"{node.op} is of a quantized model: {message}", "E701")
        if any(isinstance(each, Unknown) for each in inputs):
            # What the language lacks whatever it is given is refused all the same.
            if node.op in _RECURRENT:
                check_settings(node)
            if node.op not in HANDLED and not numbers.is_known(node):
                raise RefusedError(f"the language lacks the operator {brief(node.op)}", "E701")
            return (Unknown(),) * len(node.outputs)
        numbers_of = [_numbers(each) for each in inputs]
        computed = self._compute(node, inputs, numbers_of)
        tensors = any(isinstance(each, Tensor) for each in inputs)
        if computed is not None and (not tensors or node.op in _NO_FEATURES or _is_cast(node)):
            return computed
        try:
            return self._read(node, inputs, computed)
        except RefusedError:
            if computed is None:
                raise
            return computed

    def _read(
        self, node: Node, inputs: list[Value], computed: tuple[Known, ...] | None
    ) -> tuple[Value, ...]:
        """Return the outputs of a node with a tensor, with its numbers if it has any."""
        for each in inputs:
            if isinstance(each, Argument) and node.op not in _RECURRENT:
                name = brief(each.name)
                raise RefusedError(f"takes the input '{name}'; expected one input; {NO_STATES}")
        try:
            outputs = _read_node(self.scope, node, inputs)
        except numbers.UNFIT as error:
            # Inputs of other kinds, axes that are not there: any file can have them.
            kinds = listed([describe(value) for value in inputs[:4]]) or "no inputs"
            message = f"{node.op} does not fit {kinds}: {brief(error)}"
            raise RefusedError(message, "E707") from None
        several = computed or (None,) * len(outputs)
        return tuple(
            replace(value, numbers=known) if isinstance(value, Tensor) and value.at == 0 else value
            for value, known in zip(outputs, several, strict=False)
        )

    def _compute(
        self, node: Node, inputs: Sequence[Value], numbers_of: Sequence[Known | None]
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

    def _look_for_filler(self, node: Node, inputs: Sequence[Value]) -> None:
        """Have the graph read again with the number of padding that it compares features with."""
        setting = self.scope.probes.setting
        if node.op != "Equal" or setting.names_filler:
            return
        match inputs:
            case [Tensor(at=0, numbers=Known(kind="input")), Known() as y] | [
                Known() as y,
                Tensor(at=0, numbers=Known(kind="input")),
            ]:
                filler = y.constant
                if filler is not None and filler.size == 1:
                    raise RestartError(filler=float(filler.flat[0]), names_filler=True)
            case _:
                pass

    def _is_embedding(self, node: Node, inputs: Sequence[Value]) -> bool:
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

    def _branch(self, node: Node, inputs: Sequence[Value]) -> tuple[Value, ...]:
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
        scope.op = Node(brief(name), "output", "", (), (), {})
        solid = scope.with_features(scope.settle(tensor))
        solid = scope.in_place(solid)
        letters = "".join(solid.axes)
        sequence = scope.is_sequence(solid.at)
        letters_of_result = "BTF" if sequence else "BF"
        missing = set(letters_of_result) - set(letters)
        if (
            any(len(axis) > 1 for axis in solid.axes)
            or (missing - {"F"})
            or ("F" in missing and scope.features(solid) != 1)
        ):
            raise RefusedError(f"expected a sequence or a vector, received {describe(solid)}")
        if solid.at == 0:
            raise RefusedError("expected the output of a layer, received the input")
        if not sequence and solid.axes.count("") == 1:
            solid = scope.keep_last_step(solid, [result.at for _, result in self.results])
            letters_of_result = "BTF" if scope.is_sequence(solid.at) else "BF"
        where = brief(name) if len(self._graph.outputs) > 1 else ""
        usual = list(map(name_axis, letters_of_result))
        scope.infer_axes("the file returns", list(map(name_axis, solid.axes)), usual, where)
        self.results.append((name, solid))


def _needed_nodes(graph: Graph) -> list[Node]:
    """Return the nodes that outputs need, without those that only lead to a loop."""
    needed, result = {info.name for info in graph.outputs}, list["Node"]()
    for node in reversed(graph.nodes):
        if needed.isdisjoint(node.outputs):
            continue
        result.append(node)
        is_layer = node.op == "Scan" and scans.cell_of(node) is not None
        if node.domain or node.op not in ("Loop", "Scan") or is_layer:
            needed.update(node.taken_names)
    return result[::-1]


def _numbers(value: Value) -> Known | None:
    match value:
        case Known():
            return value
        case Tensor(numbers=known):
            return known
        case _:
            return None


_NO_FEATURES = (*functions.COMPARISONS, "Shape", "Size", "ArgMax", "ArgMin")
_RECURRENT = ("LSTM", "GRU", "RNN")
_SAME = ("Identity", "Dropout", "Cast", "CastLike")
_SHAPES: Mapping[str, Callable[[Scope, Node, Tensor, Sequence[Value]], Value]] = {
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
_JOINS: Mapping[str, Callable[[Scope, Node, Sequence[Value]], Value]] = {
    "MatMul": layers.matrix_product,
    "Gemm": layers.general_product,
    "Conv": layers.convolution,
    "MaxPool": layers.pool_windows,
    "AveragePool": layers.pool_windows,
    "GlobalMaxPool": joins.pool_all,
    "GlobalAveragePool": joins.pool_all,
    "Pad": layers.add_steps,
    "BatchNormalization": layers.batch_norm,
    "Concat": joins.concatenate,
    "Where": masks.choose,
    **dict.fromkeys(functions.ELEMENTWISE, joins.elementwise),
    **dict.fromkeys(functions.REDUCTIONS, joins.reduce),
    **dict.fromkeys((*functions.OVER_FEATURES, "LayerNormalization"), joins.over_features),
}
HANDLED = {*_SHAPES, *_JOINS, *_RECURRENT, *_SAME, "Split", "If"}
"""The operators that are read."""


def _is_cast(node: Node) -> bool:
    return node.op == "Cast" and not settings.is_cast_to_numbers(node)


def _read_node(scope: Scope, node: Node, inputs: list[Value]) -> tuple[Value, ...]:
    """Return the outputs of a node.

    Raises:
        RefusedError: the language lacks it, or it in this place.
    """
    x = inputs[0] if inputs else None
    if node.op in _RECURRENT:
        return read_recurrent(scope, node, inputs)
    if node.op in _SAME:
        return _pass_on(scope, node, inputs)
    if node.op == "Gather" and isinstance(x, Known) and isinstance(inputs[1], Known):
        table = x.constant
        assert table is not None, "of the caller"
        return (layers.embed(scope, table, inputs[1]),)
    if isinstance(x, Stack) and node.op != "Concat":
        return (parts.part_of_stack(scope, node, x, inputs),)
    if node.op == "Split" and isinstance(x, Tensor):
        return parts.split(scope, node, x, inputs)
    if (shape := _SHAPES.get(node.op)) is not None:
        if not isinstance(x, Tensor):
            raise RefusedError(f"expected the output of a layer, received {describe(x)}")
        return (shape(scope, node, x, inputs),)
    if (join := _JOINS.get(node.op)) is not None:
        return (join(scope, node, inputs),)
    raise RefusedError(f"the language lacks the operator {brief(node.op)}", "E701")


def _pass_on(scope: Scope, node: Node, inputs: Sequence[Value]) -> tuple[Value, ...]:
    """Return a value as it is."""
    x = inputs[0]
    if node.op == "Dropout":
        training = inputs[2] if len(inputs) > 2 else None
        if training is not None and (
            not isinstance(training, Known) or any(each.any() for each in training.arrays)
        ):
            raise RefusedError("training_mode: expected false, received true", "E703")
        scope.account.leave("Dropout", node.where)
        return (x, Unknown())
    if _is_cast(node):
        raise RefusedError(f"expected real numbers, received a cast of {describe(x)} to others")
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
