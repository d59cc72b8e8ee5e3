"""An ONNX file as a graph, checked: nothing outside this module sees its messages of protobuf.

Local functions are inlined, ``Constant`` nodes are arrays, and nodes are in the order in which they
can be computed. Whatever a file contains, the answer is a graph or one error, soon.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.onnx.contents import Contents, UnreadableArrayError, as_text, load, type_name
from rnnspec.errors import ModelError, Problem, UsageError, brief, few
from rnnspec.importing.graph.graph import CycleError, Graph, GraphNode, Info, sort_nodes
from rnnspec.importing.onnx.operators import find_problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rnnspec.backends.slots import Array

_MOST_NODES = 20_000
"""The most nodes and arrays, with all functions inlined."""
_MOST_BYTES = 2**29
"""The most bytes of all arrays: what reads them needs copies."""
_MOST_PROBLEMS = 100
_DEEPEST_CALLS = 50
_LONGEST_NAME = 1_000
_NUMBERS_OF_NODE = 16
"""The numbers or names in a node that count as another node."""
_OLDEST_OPSET = 7
"""Before it, operators broadcast only where an attribute says so."""
_ONNX = ("", "ai.onnx")
_VALUES = {
    "FLOAT": "f",
    "INT": "i",
    "STRING": "s",
    "TENSOR": "t",
    "GRAPH": "g",
    "FLOATS": "floats",
    "INTS": "ints",
    "STRINGS": "strings",
    "TENSORS": "tensors",
    "GRAPHS": "graphs",
}
"""The field of the value of an attribute, by its type."""


def read_graph(path: Path) -> Graph:
    """Return the graph in an ONNX file.

    Raises:
        BackendError: the package ``onnx`` is not installed.
        ModelError: the file is read, but its graph is refused; the error has every reason.
        UsageError: the file cannot be read.
    """
    return _Reading(load(path)).read()


@dataclass(frozen=True, slots=True)
class _Argument:
    """An attribute of a node in a function that takes the value of the call's attribute."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class _Function:
    """A function of a file."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    defaults: Mapping[str, Any]
    """The value of each attribute, None if it has no default."""
    nodes: tuple[GraphNode, ...]


class _Reading:
    """The reading of one file, with everything that is wrong with it."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._source = str(contents.path)
        self._problems: dict[Problem, None] = {}
        self._size = 0
        self._bytes = 0
        self._calls = 0
        self._functions: dict[tuple[str, str, str], _Function] = {}
        self._opset = 0

    def read(self) -> Graph:
        proto = self._contents.proto
        self._opset = self._opset_of(proto.opset_import)
        if len(proto.training_info):
            self._refuse(
                "training_info", "expected a graph for inference, received training", "E704"
            )
        self._read_functions(proto.functions)
        graph = self._graph(proto.graph, "graph")
        for name in sorted(graph.outer_names):
            self._refuse(name, "expected a value that a node or an input gives, received none")
        if self._problems:
            raise ModelError(tuple(self._problems))
        return graph

    def _refuse(self, where: str, message: str, code: str = "E704") -> None:
        self._problems[Problem(self._source, message, brief(where), code=code)] = None
        # More would tell nobody anything, and a file can have as many as it has nodes.
        if len(self._problems) >= _MOST_PROBLEMS:
            raise ModelError(tuple(self._problems))

    def _opset_of(self, imports: Iterable[Any]) -> int:
        from onnx.defs import onnx_opset_version

        versions = {entry.version for entry in imports if entry.domain in _ONNX}
        newest = onnx_opset_version()
        if len(versions) == 1 and _OLDEST_OPSET <= min(versions) <= newest:
            return int(versions.pop())
        received = " and ".join(map(str, sorted(versions)[:3])) or "none"
        message = f"expected operators of one opset from {_OLDEST_OPSET} to {newest}"
        raise UsageError(f"{message}, received {received}", self._source)

    # Graphs

    def _graph(self, proto: Any, where: str) -> Graph:
        if len(proto.sparse_initializer):
            names = few([as_text(tensor.values.name) for tensor in proto.sparse_initializer])
            self._refuse(where, f"sparse arrays are not read: {names}", "E703")
        if len(proto.quantization_annotation):
            self._refuse(where, "quantized values are not read", "E703")
        givers = dict[str, str]()
        arrays = self._initializers(proto.initializer, givers)
        # Until IR version 4, each initializer was an input too.
        inputs = self._infos(proto.input, arrays)
        for info in inputs:
            self._give(givers, info.name, "an input")
        nodes = list[GraphNode]()
        for node in self._expand(map(self._node, proto.node), ()):
            for name in filter(None, node.outputs):
                self._give(givers, name, node.where)
            if node.op == "Constant" and not node.domain:
                arrays |= self._constant(node)
            else:
                nodes.append(node)
        outputs = self._infos(proto.output)
        if not outputs:
            self._refuse(where, "expected outputs, received none")
        writer = brief(self._contents.writer or "an unknown tool")
        try:
            ordered = sort_nodes(nodes)
        except CycleError as cycle:
            ordered = tuple(nodes)
            through = few([node.where for node in cycle.nodes])
            message = f"expected no cycle of nodes, received one through {through}"
            self._refuse(cycle.nodes[0].where, message)
        return Graph(inputs, outputs, ordered, arrays, self._opset, writer)

    def _give(self, givers: dict[str, str], name: str, who: str) -> None:
        if name in givers:
            message = f"expected one giver of this value, received {givers[name]} and {brief(who)}"
            self._refuse(name, message)
        givers[name] = brief(who)

    def _initializers(self, tensors: Sequence[Any], givers: dict[str, str]) -> dict[str, Array]:
        arrays = dict[str, "Array"]()
        self._count(len(tensors))
        for tensor in tensors:
            name = self._name(tensor.name)
            self._give(givers, name, "an array")
            array = self._array(tensor, name or "an array without a name")
            if array is not None:
                arrays[name] = array
        return arrays

    def _array(self, tensor: Any, where: str) -> Array | None:
        """Return an array, None if it is refused."""
        try:
            array = self._contents.array(tensor)
        except UnreadableArrayError as error:
            self._refuse(where, str(error), "E707")
            return None
        self._bytes += array.nbytes
        if self._bytes > _MOST_BYTES:
            message = f"expected arrays of at most {_MOST_BYTES:,} bytes in all, received more"
            raise UsageError(message, self._source)
        return array

    def _infos(
        self, protos: Iterable[Any], arrays: Mapping[str, Array] | None = None
    ) -> tuple[Info, ...]:
        """Return inputs but those that are arrays, or outputs, whose types may be left out."""
        typed, arrays = arrays is not None, arrays or {}
        infos = dict[str, Info]()
        for proto in protos:
            name = self._name(proto.name)
            if name in infos or not name:
                self._refuse(name, "expected inputs and outputs with names of their own")
            if name in arrays:
                continue
            kind = proto.type.WhichOneof("value")
            if kind is None and not typed:
                infos[name] = Info(name, "undefined", None)
                continue
            if kind != "tensor_type":
                self._refuse(name, f"expected a tensor, received {kind or 'no type'}", "E703")
                continue
            tensor = proto.type.tensor_type
            dims = None
            if tensor.HasField("shape"):
                dims = tuple(map(_size, tensor.shape.dim))
                if any(isinstance(size, int) and size < 0 for size in dims):
                    self._refuse(name, f"expected sizes, received {brief(list(dims))}", "E707")
            infos[name] = Info(name, _dtype_name(tensor.elem_type), dims)
        return tuple(infos.values())

    def _constant(self, node: GraphNode) -> dict[str, Array]:
        """Return the value of a ``Constant`` by its name, nothing if it is refused."""
        values, dtypes = tuple(node.attributes.items()), {"float": "f4", "int": "i8"}
        if len(values) == len(node.outputs) == 1:
            key, value = values[0]
            if isinstance(value, np.ndarray):
                return {node.outputs[0]: value}
            dtype = dtypes.get(key.removeprefix("value_").removesuffix("s"))
            if dtype:
                return {node.outputs[0]: np.array(value, dtype)}
        self._refuse(node.where, "expected a constant with one value, of numbers", "E703")
        return {}

    # Nodes

    def _count(self, number: int = 1) -> None:
        self._size += number
        if self._size > _MOST_NODES:
            message = f"expected at most {_MOST_NODES:,} nodes and arrays, received more"
            raise UsageError(message, self._source)

    def _name(self, value: Any) -> str:
        name = as_text(value)
        if len(name) > _LONGEST_NAME:
            message = (
                f"expected names of at most {_LONGEST_NAME:,} characters, received {len(name):,}"
            )
            raise UsageError(f"{message}: {brief(name)}", self._source)
        return name

    def _names(self, values: Iterable[Any]) -> tuple[str, ...]:
        return tuple(map(self._name, values))

    def _node(self, proto: Any, *, in_function: bool = False) -> GraphNode:
        """Return a node as it is in the file."""
        self._count()
        domain = self._name(proto.domain)
        node = GraphNode(
            name=self._name(proto.name),
            op=self._name(proto.op_type),
            domain="" if domain in _ONNX else domain,
            inputs=self._names(proto.input),
            outputs=self._names(proto.output),
            attributes={},
            overload=self._name(getattr(proto, "overload", "")),
            opset=self._opset,
        )
        attributes = dict[str, Any]()
        for attribute in proto.attribute:
            name = self._name(attribute.name)
            where = f"{node.where}.{name}"
            if name in attributes:
                self._refuse(where, "expected an attribute once, received it twice", "E703")
            if attribute.ref_attr_name and not in_function:
                self._refuse(where, "expected a value, received the name of one", "E703")
            attributes[name] = self._attribute(attribute, where)
        return replace(node, attributes=attributes)

    def _attribute(self, proto: Any, where: str) -> Any:
        if proto.ref_attr_name:
            return _Argument(self._name(proto.ref_attr_name))
        kind = _attribute_type(proto.type)
        field_name = _VALUES.get(kind)
        if field_name is None:
            self._refuse(where, f"an attribute of type {kind.lower()} is not read", "E703")
            return None
        filled = [field.name for field, _ in proto.ListFields() if field.name in _VALUES.values()]
        if filled not in ([], [field_name]):
            received = few([name for name in filled if name != field_name])
            self._refuse(where, f"expected a value of type {kind}, received {received}", "E703")
            return None
        value = getattr(proto, field_name)
        if kind.endswith("S"):
            self._count(len(value) // _NUMBERS_OF_NODE)
            return tuple(self._value(kind[:-1], element, where) for element in value)
        return self._value(kind, value, where)

    def _value(self, kind: str, value: Any, where: str) -> Any:
        match kind:
            case "STRING":
                return as_text(value)
            case "TENSOR":
                return self._array(value, where)
            case "GRAPH":
                return self._graph(value, where)
            case _:
                return value

    def _expand(
        self, nodes: Iterable[GraphNode], calls: tuple[_Function, ...]
    ) -> Iterator[GraphNode]:
        """Yield nodes with the calls of functions replaced by what is in them."""
        for node in nodes:
            function = self._functions.get((node.domain, node.op, node.overload))
            if function is None:
                for where, message, code in find_problems(node, self._opset):
                    self._refuse(where, message, code)
                yield node
            elif function in calls or len(calls) >= _DEEPEST_CALLS:
                message = "expected functions that do not call themselves, received one that does"
                self._refuse(node.where, message)
            else:
                self._calls += 1
                yield from self._expand(self._call(node, function), (*calls, function))

    def _call(self, node: GraphNode, function: _Function) -> Iterator[GraphNode]:
        """Yield the nodes of a function with the names and attributes of a call."""
        for what, names, formal in (
            ("inputs", node.inputs, function.inputs),
            ("outputs", node.outputs, function.outputs),
        ):
            if len(names) > len(formal):
                message = f"expected at most {len(formal)} {what}, received {len(names)}"
                self._refuse(node.where, message, "E703")
        for name in node.attributes.keys() - function.defaults.keys():
            self._refuse(f"{node.where}.{name}", f"{node.op} has no such attribute", "E702")
        self._count(1 + len((*function.inputs, *function.outputs, *function.defaults)))
        # Names in the file have no such beginning: if one has, it is given twice, and refused.
        prefix = f"{brief(node.where)}/{self._calls}/"
        renamed = dict.fromkeys(function.inputs, "") | {
            inner: outer
            for inner, outer in (
                *zip(function.inputs, node.inputs, strict=False),
                *zip(function.outputs, node.outputs, strict=False),
            )
            if outer
        }
        values = {**function.defaults, **node.attributes}
        rename = lambda name: renamed.get(name, prefix + name) if name else ""  # noqa: E731
        for inner in function.nodes:
            parts = len(inner.inputs) + len(inner.outputs) + len(inner.attributes)
            self._count(1 + parts // _NUMBERS_OF_NODE)
            attributes = {
                key: values.get(value.name) if isinstance(value, _Argument) else value
                for key, value in inner.attributes.items()
            }
            yield replace(
                inner,
                name=prefix + inner.name if inner.name else "",
                inputs=tuple(map(rename, inner.inputs)),
                outputs=tuple(map(rename, inner.outputs)),
                attributes={key: value for key, value in attributes.items() if value is not None},
            )

    def _read_functions(self, protos: Iterable[Any]) -> None:
        for proto in protos:
            domain, name = self._name(proto.domain), self._name(proto.name)
            where = f"function {name}"
            key = (
                "" if domain in _ONNX else domain,
                name,
                self._name(getattr(proto, "overload", "")),
            )
            versions = {opset.version for opset in proto.opset_import if opset.domain in _ONNX}
            if versions - {self._opset}:
                message = f"expected operators of opset {self._opset}, received another"
                self._refuse(where, message)
            if key in self._functions or not key[0]:
                self._refuse(where, "expected a function with a name and a domain of its own")
            defaults: dict[str, Any] = dict.fromkeys(self._names(proto.attribute))
            for attribute in proto.attribute_proto:
                defaults[self._name(attribute.name)] = self._attribute(attribute, where)
            nodes = list[GraphNode]()
            for node in proto.node:
                # Before what is in them is read: functions that call each other there double.
                if any(setting.HasField("g") or len(setting.graphs) for setting in node.attribute):
                    op = self._name(node.op_type)
                    message = f"rnnspec does not read {brief(op)} inside of a function"
                    self._refuse(f"{where}.{self._name(node.name) or op}", message, "E701")
                else:
                    nodes.append(self._node(node, in_function=True))
            inputs, outputs = self._names(proto.input), self._names(proto.output)
            self._functions[key] = _Function(inputs, outputs, defaults, tuple(nodes))


@cache
def _attribute_type(number: int) -> str:
    from onnx import AttributeProto

    known = {value: name for name, value in AttributeProto.AttributeType.items()}
    return str(known.get(number, f"type {number}"))


@cache
def _dtype_name(number: int) -> str:
    names = {"FLOAT": "float32", "DOUBLE": "float64"}
    name = type_name(number)
    return names.get(name, name.lower())


def _size(dim: Any) -> int | str | None:
    match dim.WhichOneof("value"):
        case "dim_value":
            return int(dim.dim_value)
        case "dim_param":
            return as_text(dim.dim_param) or None
        case _:
            return None
