"""Graphs in ONNX's textual syntax: values, nodes and constants, which the template lays out."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from textwrap import fill
from typing import TYPE_CHECKING

from rnnspec.errors import GenerationError
from rnnspec.ir.nodes import ClippedRelu, LeakyRelu
from rnnspec.source.linebreaks import LINE_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rnnspec.ir.nodes import Activation

FLOAT, INT32, INT64, BOOL = 1, 6, 7, 9
"""Element types. Source: https://onnx.ai/onnx/api/helper.html#onnx.TensorProto.DataType."""

_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

_LONGEST = 100
"""The most characters of a line that is not broken into one of each name."""

Dim = int | str
Dims = tuple[Dim, ...]


@dataclass(frozen=True, slots=True)
class OnnxValue:
    """A tensor with its element type and shape; the text of a dimension is its name."""

    type: str
    dims: Dims
    name: str

    def __str__(self) -> str:
        shape = f"[{', '.join(map(str, self.dims))}]" if self.dims else ""
        return f"{self.type}{shape} {check_name(self.name)}"


@dataclass(frozen=True, slots=True)
class OnnxGraph:
    """A graph: the main one, or the body of a ``Scan``. ``blocks`` are groups of nodes."""

    name: str
    inputs: tuple[OnnxValue, ...]
    outputs: tuple[OnnxValue, ...]
    blocks: tuple[Block, ...]


Attribute = int | float | str | tuple[float, ...] | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """``outputs = operator <options> (inputs)``; the name of a value left out is empty.

    ``body`` is the graph that a ``Scan`` runs at each step.
    """

    outputs: tuple[str, ...]
    operator: str
    inputs: tuple[str, ...]
    attributes: tuple[tuple[str, Attribute], ...] = ()
    body: OnnxGraph | None = None


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment line. Its text comes from the backend, never from the spec."""

    text: str


Block = tuple[Comment | OnnxNode, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSource:
    """The source of a network.

    ``signature`` and ``body`` are the text of its graph. ``summary`` is a sentence for the file,
    and ``metadata`` are its further keys and words. ``begin`` is the source of what is computed
    before the first chunk, if that is a graph of its own.
    """

    template: str = "onnx/model.txt.j2"
    title: str
    comment: str
    docstring: tuple[str, ...]
    entry: str
    signature: str
    body: str
    weights: tuple[OnnxValue, ...]
    constants: tuple[str, ...]
    summary: str
    metadata: tuple[tuple[str, str], ...]
    opset: int
    ir_version: int
    before_loading: tuple[str, ...] = ()
    begin: GraphSource | None = None


_ACTIVATIONS: dict[str, tuple[str, dict[str, Attribute]]] = {
    "linear": ("Identity", {}),
    "tanh": ("Tanh", {}),
    "sigmoid": ("Sigmoid", {}),
    "relu": ("Relu", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "legacy_hard_sigmoid": ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}),
    "softsign": ("Softsign", {}),
    "softplus": ("Softplus", {}),
    "elu": ("Elu", {"alpha": 1.0}),
    "selu": ("Selu", {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}),
    "exponential": ("Exp", {}),
    "softmax": ("Softmax", {}),
    "log_softmax": ("LogSoftmax", {}),
}


@dataclass(slots=True)
class Builder:
    """The blocks of a graph while its layers are turned into nodes."""

    blocks: list[list[Comment | OnnxNode]] = field(default_factory=lambda: [[]])
    constants: dict[str, str] = field(default_factory=dict)

    def block(self, comment: str = "") -> None:
        """Begin another group of nodes."""
        if self.blocks[-1]:
            self.blocks.append([])
        if comment:
            self.blocks[-1].append(Comment(comment))

    def add(self, output: str, operator: str, *inputs: str, **attributes: Attribute) -> str:
        """Add a node with one output, and return its name."""
        return self.node(OnnxNode((output,), operator, inputs, tuple(attributes.items())))

    def node(self, node: OnnxNode) -> str:
        """Add a node, and return its last output."""
        self.blocks[-1].append(node)
        return node.outputs[-1]

    def activate(self, name: str, x: str, activation: Activation, axis: int = -1) -> str:
        """Add an activation of ``x`` that is named ``name``, and return that.

        ``axis`` is that of the features.
        """
        match activation:
            case LeakyRelu(slope=slope):
                return self.add(name, "LeakyRelu", x, alpha=slope)
            case ClippedRelu(limit=limit):
                most = self.number("Limit", limit)
                return self.add(name, "Clip", x, self.scalar("Zero", 0.0), most)
            case "silu":
                # An operator since version 24, which few runtimes have.
                return self.add(name, "Mul", x, self.add(f"{name}_Sigmoid", "Sigmoid", x))
            case "softmax" | "log_softmax":
                return self.add(name, _ACTIVATIONS[activation][0], x, axis=axis)
            case _:
                operator, attributes = _ACTIVATIONS[activation]
                return self.add(name, operator, x, **attributes)

    def has(self, name: str) -> bool:
        """True if a node has an output of this name."""
        nodes = (entry for block in self.blocks for entry in block if isinstance(entry, OnnxNode))
        return any(name in node.outputs for node in nodes)

    def rename(self, name: str, new: str) -> str:
        """Give an output of the last node another name, and return that."""
        node = self.blocks[-1][-1]
        assert isinstance(node, OnnxNode)
        outputs = tuple(new if output == name else output for output in node.outputs)
        self.blocks[-1][-1] = replace(node, outputs=outputs)
        return new

    def integers(self, name: str, *values: int) -> str:
        """Return the name of a constant vector of integers."""
        listed = ", ".join(map(str, values))
        self.constants[name] = f"int64[{len(values)}] {check_name(name)} = {{{listed}}}"
        return name

    def scalar(self, name: str, value: float) -> str:
        """Return the name of a constant number."""
        type_ = "int64" if isinstance(value, int) else "float"
        self.constants[name] = f"{type_} {check_name(name)} = {{{_literal(value)}}}"
        return name

    def number(self, about: str, value: float) -> str:
        """Return the name of a constant number, which is in the name."""
        digits = repr(value).replace("+", "")
        return self.scalar(f"{about}_{re.sub(r'[^0-9a-z]', '_', digits)}", value)

    def finish(self) -> tuple[Block, ...]:
        """Return the groups of nodes."""
        return tuple(map(tuple, self.blocks))


def taken_names(graph: OnnxGraph) -> set[str]:
    """Return the names of all values that the nodes of a graph take, and those of their bodies."""
    nodes = [entry for block in graph.blocks for entry in block if isinstance(entry, OnnxNode)]
    names = {name for node in nodes for name in node.inputs}
    return names.union(*(taken_names(node.body) for node in nodes if node.body))


def write_signature(graph: OnnxGraph, start: str = "", indent: int = 0) -> str:
    """Return the inputs and outputs of a graph, on one line, two or one each if they are long.

    The first line begins with ``start``.
    """
    inputs, outputs = (", ".join(map(str, values)) for values in (graph.inputs, graph.outputs))
    first, margin = f"{start}{graph.name} ", " " * indent
    line = f"{graph.name} ({inputs}) => ({outputs})"
    if indent + len(line) <= LINE_LENGTH:
        return f"{start}{line}"
    second = f"{margin}=> ({outputs})"
    if max(len(f"{first}({inputs})"), len(second)) <= _LONGEST:
        return f"{first}({inputs})\n{second}"
    inputs, outputs = (
        ",\n".join(f"{margin}  {value}" for value in values)
        for values in (graph.inputs, graph.outputs)
    )
    return f"{first}(\n{inputs}\n{margin}) => (\n{outputs}\n{margin})"


def write_body(graph: OnnxGraph, indent: int = 2) -> str:
    """Return the nodes of a graph, with an empty line between two groups."""
    margin = " " * indent
    return "\n\n".join(
        "\n".join(
            f"{margin}# {entry.text}" if isinstance(entry, Comment) else _write_node(entry, indent)
            for entry in block
        )
        for block in graph.blocks
    )


def _write_node(node: OnnxNode, indent: int) -> str:
    margin = " " * indent
    arguments = ", ".join(map(_name_text, node.inputs))
    options = [f"{check_name(name)} = {_literal(value)}" for name, value in node.attributes]
    end = f" = {node.operator} "
    start = f"{_fill(node.outputs, indent, len(end))}{end}"
    flat = f"<{', '.join(options)}> " if options else ""
    line = f"{start}{flat}({arguments})"
    if not node.body and len(line) <= LINE_LENGTH:
        return line
    if not node.body and not options:
        return f"{start}(\n{_fill(node.inputs, indent + 2)}\n{margin})"
    if node.body:
        signature = write_signature(node.body, f"{margin}  body = ", indent + 4).lstrip()
        body = write_body(node.body, indent + 4)
        options.append(f"{signature}\n{margin}  {{\n{body}\n{margin}  }}")
    inside = ",\n".join(f"{margin}  {option}" for option in options)
    end = f"{margin}> ({arguments})"
    if len(end) > LINE_LENGTH:
        end = f"{margin}> (\n{_fill(node.inputs, indent + 2)}\n{margin})"
    return f"{start}<\n{inside}\n{end}"


def _fill(names: Iterable[str], indent: int, room: int = 0) -> str:
    """Return names on one line, or several if they are long, with room behind each."""
    margin = " " * indent
    return fill(
        ", ".join(map(_name_text, names)),
        _LONGEST - room,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
    )


def check_name(name: str) -> str:
    """Return a name that the syntax takes.

    Raises:
        GenerationError: it does not take ``name``.
    """
    if _NAME.fullmatch(name) is None:
        raise GenerationError(f"{name!r} is not a name")
    return name


def _name_text(name: str) -> str:
    return check_name(name) if name else '""'


def _literal(value: Attribute) -> str:
    match value:
        case str():
            return f'"{check_name(value)}"'
        case tuple():
            return f"[{', '.join(map(_literal, value))}]"
        case float() if not math.isfinite(value):
            raise GenerationError(f"{value!r} has no literal")
        case _:
            # The repr of a float has a point or an exponent, without which it would be an integer.
            return repr(value)
