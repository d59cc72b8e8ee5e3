"""ONNX files that are broken, or made to do harm: one clear error, soon."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from cli.conftest import Ran, _own_folder, _signals, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from offered import import_later

from rnnspec.errors import ModelError, UsageError
from rnnspec.importing.onnx.decode import read_graph
from rnnspec.importing.run import import_file, take

onnx: Any = import_later("onnx")

__all__ = ["_own_folder", "_signals", "run"]

UNITS, FEATURES = 4, 3


def node(op: str, inputs: str, outputs: str, **settings: Any) -> Any:
    """Return a node; the names of its values are separated by spaces."""
    return onnx.helper.make_node(op, inputs.split(), outputs.split(), **settings)


def array(name: str, *shape: int, dtype: str = "f4") -> Any:
    drawn = np.random.default_rng(0).standard_normal(shape)
    return onnx.numpy_helper.from_array(drawn.astype(dtype), name)


def value(name: str, dims: Any, type_name: str = "FLOAT") -> Any:
    kind = getattr(onnx.TensorProto, type_name)
    return onnx.helper.make_tensor_value_info(name, kind, dims)


def chain() -> Any:
    """Return a model of one LSTM whose file is read."""
    graph = onnx.helper.make_graph(
        [
            node("Transpose", "x", "ahead", perm=[1, 0, 2], name="turn"),
            node("LSTM", "ahead W R", "steps last", hidden_size=UNITS, name="lstm"),
            node("Squeeze", "last axes", "y", name="drop"),
        ],
        "net",
        [value("x", ["batch", "time", FEATURES])],
        [value("y", ["batch", UNITS])],
        [
            array("W", 1, 4 * UNITS, FEATURES),
            array("R", 1, 4 * UNITS, UNITS),
            onnx.numpy_helper.from_array(np.array([0]), "axes"),
        ],
    )
    opset = onnx.helper.make_opsetid("", 18)
    return onnx.helper.make_model(
        graph, opset_imports=[opset], producer_name="somebody", ir_version=10
    )


def written(content: Any, path: str = "model.onnx") -> Path:
    raw = content if isinstance(content, bytes) else content.SerializeToString()
    Path(path).write_bytes(raw)
    return Path(path)


def message(path: Path) -> str:
    with pytest.raises((ModelError, UsageError)) as caught:
        read_graph(path)
    text = str(caught.value)
    assert all(line.isprintable() for line in text.split("\n"))
    assert len(text) < 2000 * (1 + text.count("\n"))
    return text


def test_the_chain_that_is_broken_here_is_read() -> None:
    graph = read_graph(written(chain()))
    assert [node.op for node in graph.nodes] == ["Transpose", "LSTM", "Squeeze"]
    assert graph.inputs[0].dims == ("batch", "time", FEATURES)
    assert {name: array.shape for name, array in graph.arrays.items()} == {
        "W": (1, 16, 3),
        "R": (1, 16, 4),
        "axes": (1,),
    }
    assert (graph.opset, graph.writer) == (18, "somebody")


# Files that are none


def test_a_folder_and_a_file_that_is_not_there() -> None:
    Path("model.onnx").mkdir()
    assert "expected a file, received a folder" in message(Path("model.onnx"))
    assert "no such file" in message(Path("other.onnx"))


@cases(
    "content", [b"", b"\0" * 40, b"ONNX\n" * 9, b"\x80" * 30, b"version: 1\nname: net\n", b"\x0b"]
)
def test_other_files(content: bytes) -> None:
    assert message(written(content)).startswith(
        "model.onnx: error: expected an ONNX file, received"
    )


def test_a_truncated_file_at_every_length() -> None:
    whole = chain().SerializeToString()
    for length in range(len(whole)):
        assert "expected" in message(written(whole[:length]))


def _cut(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


def _of_another_operator(raw: bytes) -> bytes:
    return raw.replace(b"LSTM", b"L\x1b[m")


def _without_input(raw: bytes) -> bytes:
    return raw.replace(b"ahead", b"<b>xy", 1)


@pytest.mark.parametrize("change", [_cut, _of_another_operator, _without_input])
@pytest.mark.parametrize("arguments", [("import",), ("convert", "other.safetensors")])
def test_commands(
    run: Callable[..., Ran], change: Callable[[bytes], bytes], arguments: tuple[str, ...]
) -> None:
    command, *output = arguments
    written(change(chain().SerializeToString()))
    ran = run(command, "model.onnx", *output)
    assert ran.code in (1, 2)
    assert not ran.out
    assert all(line.startswith("model.onnx: error: ") for line in ran.err.splitlines())
    assert [path.name for path in Path().iterdir()] == ["model.onnx"]


def functions_of(model: Any, functions: list[Any]) -> None:
    """Let the last node of a model call the function f0, and add functions."""
    model.graph.node[2].output[0] = "z"
    model.graph.node.append(node("f0", "z", "y", domain="own", name="call"))
    model.functions.extend(functions)


def function(name: str, *nodes: Any, attributes: tuple[str, ...] = ()) -> Any:
    opset = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("own", 1)]
    return onnx.helper.make_function("own", name, ["a"], ["b"], nodes, opset, list(attributes))


def call(name: str, inputs: str = "a", outputs: str = "b") -> Any:
    return node(name, inputs, outputs, domain="own", name="call")


def branch(*nodes: Any) -> Any:
    inner = onnx.helper.make_graph(nodes, "g", [], [value("q" if nodes else "a", None)])
    return node("If", "c", "b", then_branch=inner, else_branch=inner, name="if")


FAULTS = [
    block.split("\n=> ")
    for block in Path(__file__)
    .with_name("broken_onnx.txt")
    .read_text("utf-8")
    .rstrip("\n")
    .split("\n\n")
]
"""Statements that break a model, each with the first words of its error."""


@cases(("statements", "wanted"), FAULTS)
def test_a_broken_model(statements: str, wanted: str) -> None:
    model = chain()
    graph, tensor = model.graph, model.graph.initializer[0]
    known = {"size": graph.node[1].attribute[0], "functions": partial(functions_of, model)}
    exec(statements, globals() | known | {"model": model, "graph": graph, "tensor": tensor})
    begin, *rest = wanted.split("...")
    text = message(written(model))
    assert text.startswith(f"model.onnx: error: {begin}")
    assert all(part in text for part in rest)


def test_every_problem_is_told_at_once() -> None:
    model = chain()
    for statements in (
        'graph.node[1].input[1] = "kernel"',
        'graph.node.append(node("Identity", "x", "y", name="again"))',
        "graph.input[0].type.tensor_type.shape.dim[1].dim_value = -7",
        'graph.quantization_annotation.add().tensor_name = "W"',
    ):
        exec(statements, globals() | {"graph": model.graph})
    assert [line.split(": ")[2] for line in message(written(model)).splitlines()] == [
        "graph",
        "x",
        "y",
        "kernel",
    ]


def test_a_thousand_problems_are_cut_short() -> None:
    model = chain()
    model.graph.node.extend(node("Identity", f"no{i}", f"at{i}") for i in range(1000))
    assert len(message(written(model)).splitlines()) == 100


def test_nodes_in_any_order() -> None:
    model = chain()
    turned = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(turned)
    assert [node.op for node in read_graph(written(model)).nodes] == [
        "Transpose",
        "LSTM",
        "Squeeze",
    ]


def test_graphs_inside_of_nodes() -> None:
    """What a graph inside takes from outside counts as an input of its node."""
    inner = onnx.helper.make_graph(
        [node("Add", "later W", "sum")], "then", [], [value("sum", None)]
    )
    model = chain()
    model.graph.node.insert(0, node("If", "c", "z", then_branch=inner, else_branch=inner))
    model.graph.node.append(node("Identity", "y", "later"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "c"))
    assert [node.op for node in read_graph(written(model)).nodes][-1] == "If"
    model.graph.node[-1].input[0] = "z"
    assert "expected no cycle of nodes, received one through" in message(written(model))
    model.graph.node[-1].input[0] = "nowhere"
    assert "nowhere: expected a value that a node" in message(written(model))


# Arrays


@cases(
    "type_name",
    ["FLOAT16", "BFLOAT16", "FLOAT", "DOUBLE", "INT8", "UINT8", "INT32", "UINT64", "BOOL"],
)
def test_numbers_of_every_type(type_name: str) -> None:
    kind = getattr(onnx.TensorProto, type_name)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
    # Protobuf stores few numbers and many otherwise.
    for size, raw in product((3, 5000), (False, True)):
        content = (np.arange(size) % 2 + 1).astype(dtype)
        given = content.tobytes() if raw else content
        model = chain()
        model.graph.initializer.append(onnx.helper.make_tensor("z", kind, [size], given, raw))
        read = read_graph(written(model)).arrays["z"]
        assert read.dtype == dtype
        np.testing.assert_array_equal(read, content)


# Numbers in other files


def external(folder: Path, location: str, **keys: str) -> Any:
    """Write a model whose first array is in a file; there are three of its size."""
    model = chain()
    tensor = model.graph.initializer[0]
    raw = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, text in {"location": location, **keys}.items():
        tensor.external_data.add(key=key, value=text)
    (folder / "here" / "inside").mkdir(parents=True)
    for path in ("here/w.bin", "here/inside/w.bin", "w.bin"):
        (folder / path).write_bytes(raw)
    return written(model, str(folder / "here" / "model.onnx"))


@cases("location", ["w.bin", "inside/w.bin"])
def test_numbers_in_a_file_of_the_folder(tmp_path: Path, location: str) -> None:
    graph = read_graph(external(tmp_path, location, offset="0", length="192"))
    expected = np.fromfile(tmp_path / "w.bin", "f4").reshape(1, 16, 3)
    np.testing.assert_array_equal(graph.arrays["W"], expected)
    import_later("onnxruntime")
    imported = import_file(external(tmp_path / "again", location), tmp_path / "net.yaml")
    assert "compared with the original in ONNX Runtime" in str(imported.compared)


def check_numbers(path: Path, wanted: str) -> None:
    text = message(path)
    assert text.startswith(f"{path}: error: W: ")
    assert wanted in text


@cases(
    ("location", "wanted"),
    [
        ("../w.bin", "received the path ../w.bin"),
        ("inside/../w.bin", "received the path inside/../w.bin"),
        ("..\\w.bin", "received the path ..\\w.bin"),
        ("/dev/zero", "received the path /dev/zero"),
        ("/etc/passwd", "received the path /etc/passwd"),
        ("C:w.bin", "received the path C:w.bin"),
        ("w.bin\0", "received the path w.bin\\x00"),
        ("", "received no path of one"),
        (".", "its numbers are in .: expected a file"),
        ("w" * 5000, "its numbers are in www"),
        ("\x1b[2Jw", "its numbers are in \\x1b[2Jw: no such file"),
    ],
)
def test_paths_of_numbers(tmp_path: Path, location: str, wanted: str) -> None:
    check_numbers(external(tmp_path, location), wanted)


@cases(
    ("key", "number", "wanted"),
    [
        ("offset", "4", "expected 192 bytes for (1, 16, 3), received 188"),
        ("offset", "193", "expected bytes 193 to 192 of w.bin"),
        ("offset", "-1", "expected offset as a number of bytes, received -1"),
        ("length", "9" * 19, "expected bytes 0 to 9,999,999,999,999,999,999"),
        ("length", "9" * 9999, "expected length as a number of bytes"),
        ("length", "1_0", "expected length as a number of bytes"),
    ],
)
def test_places_of_numbers(tmp_path: Path, key: str, number: str, wanted: str) -> None:
    check_numbers(external(tmp_path, "w.bin", **{key: number}), wanted)


REPLACED: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "nothing": ("here/w.bin", lambda _: None, "its numbers are in w.bin: no such file"),
    "a link out": (
        "here/w.bin",
        lambda path: path.symlink_to(path.parents[1] / "w.bin"),
        "its numbers are in w.bin: expected a file inside /",
    ),
    "a device": (
        "here/w.bin",
        lambda path: path.symlink_to("/dev/zero"),
        "its numbers are in w.bin: expected a regular file",
    ),
    "a pipe": ("here/w.bin", os.mkfifo, "its numbers are in w.bin: expected a regular file"),
    "a folder": (
        "here/w.bin",
        Path.mkdir,
        "its numbers are in w.bin: expected a file, received a folder",
    ),
    "a folder that is a link": (
        "here/inside",
        lambda path: path.symlink_to(path.parents[1]),
        "/here, received one outside",
    ),
}


@cases(("place", "put", "wanted"), REPLACED)
def test_what_is_in_place_of_numbers(
    tmp_path: Path, place: str, put: Callable[[Path], object], wanted: str
) -> None:
    path = external(tmp_path, "inside/w.bin" if place == "here/inside" else "w.bin")
    if place == "here/inside":
        shutil.rmtree(tmp_path / place)
    else:
        (tmp_path / place).unlink()
    put(tmp_path / place)
    check_numbers(path, wanted)


def test_numbers_in_many_files() -> None:
    model = chain()
    for i in range(100):
        Path(f"{i}.bin").write_bytes(bytes(4))
        tensor = onnx.TensorProto(name=f"w{i}", data_type=1, dims=[1], data_location=1)
        tensor.external_data.add(key="location", value=f"{i}.bin")
        model.graph.initializer.append(tensor)
    assert "w64: expected numbers in at most 64 files" in message(written(model))


# Names


def test_names_that_would_control_a_terminal_or_a_page() -> None:
    model = chain()
    model.graph.node[1].name = "\x1b[31m\u202e<script>\nlstm"
    model.graph.node[1].attribute.append(onnx.helper.make_attribute("\x07units", 4))
    text = message(written(model))
    assert text.startswith("model.onnx: error: \\x1b[31m\\u202e<script>")
    assert "\n" not in text


def test_names_that_are_not_text() -> None:
    raw = (
        chain().SerializeToString().replace(b"turn", b"\xff\xfe\xfd\xfc").replace(b"LSTM", b"LSTN")
    )
    graph = read_graph(written(raw))
    assert [node.where for node in graph.nodes] == ["\\xff\\xfe\\xfd\\xfc", "lstm", "drop"]


def test_functions_are_inlined() -> None:
    inner = node("Softmax", "inner", "b", name="soft")
    inner.attribute.add(name="axis", ref_attr_name="axis", type=2)
    model = chain()
    relu, calls = node("Relu", "a", "i", name="relu"), node("f1", "i", "b", domain="own")
    other = function("f1", node("Identity", "a", "inner"), inner, attributes=("axis",))
    functions_of(model, [function("f0", relu, calls), other])
    nodes = read_graph(written(model)).nodes[3:]
    assert [each.op for each in nodes] == ["Relu", "Identity", "Softmax"]
    assert [nodes[0].inputs, nodes[2].outputs] == [("z",), ("y",)]
    assert nodes[2].attributes == {}
    assert nodes[2].where.endswith("soft")
    model.functions[0].node[1].attribute.append(onnx.helper.make_attribute("axis", -1))
    assert read_graph(written(model)).nodes[-1].attributes == {"axis": -1}
    model.functions[0].node[1].attribute.append(onnx.helper.make_attribute("axes", -1))
    assert "axes: f1 has no such attribute" in message(written(model))


# Time and memory

MANY = 10**6


def field(number: int, content: bytes) -> bytes:
    """Return a field of protobuf that has a length."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    return bytes([*written, value])


def graph_of(content: bytes) -> bytes:
    """Return a model with more in its graph: protobuf merges a message that is there twice."""
    return chain_bytes() + field(7, content)


def chain_bytes() -> bytes:
    return bytes(chain().SerializeToString())


def initializers(count: int, numbers: int = 9) -> bytes:
    """Return a model with arrays of one number, which is in a field of raw data or another."""
    stored = field(numbers, bytes(4))
    return graph_of(
        b"".join(
            field(5, b"\x08\x01\x10\x01" + stored + field(8, b"w%d" % i)) for i in range(count)
        )
    )


def identities(count: int, first: int, second: int) -> bytes:
    """Return a model with a node from each value to the next or, by their fields, back."""
    op = field(4, b"Identity")
    return graph_of(
        b"".join(
            field(1, field(first, b"v%07d" % i) + field(second, b"v%07d" % (i + 1)) + op)
            for i in range(count)
        )
    )


def deep_graphs(depth: int) -> bytes:
    graph = field(12, field(1, b"z"))
    for _ in range(depth):
        attribute = field(1, b"body") + field(6, graph) + b"\xa0\x01\x05"
        loop = field(4, b"Loop") + field(2, b"z") + field(5, attribute)
        graph = field(1, loop) + field(12, field(1, b"z"))
    return graph_of(graph)


def called_often(function: bytes) -> bytes:
    call = field(1, field(4, b"f") + field(7, b"own"))
    return graph_of(call * 15_000) + field(25, field(1, b"f") + field(10, b"own") + function)


def axes_of_a_node() -> bytes:
    ints = field(1, b"axes") + field(8, bytes(2**27 // 16 - 2**10)) + b"\xa0\x01\x07"
    return graph_of(field(1, field(4, b"Squeeze") + field(5, ints)))


# A byte of the file is a number or an empty message.
COSTLY: dict[str, Callable[[], bytes]] = {
    "nodes": lambda: identities(MANY, 1, 2),
    "nodes_in_a_chain": lambda: identities(19_900, 2, 1),
    "graphs_in_10_graphs": lambda: deep_graphs(10),
    "graphs_in_30_graphs": lambda: deep_graphs(30),
    "graphs_in_3000_graphs": lambda: deep_graphs(3000),
    "arrays": lambda: initializers(MANY, 4),
    # About as many as are read, which do no harm as nothing takes them.
    "few_arrays": lambda: initializers(19_000),
    "more_arrays": lambda: initializers(21_000),
    "empty_messages": lambda: graph_of(b"\x0a\x00" * 50 * MANY),
    "metadata": lambda: chain_bytes() + field(14, field(1, b"a") + field(2, b"b")) * MANY,
    "long_names": lambda: graph_of(field(1, field(3, b"n" * MANY)) * 120),
    "problems": lambda: graph_of(
        b"".join(field(1, field(1, b"n%d" % i) + field(4, b"Relu")) for i in range(19_000))
    ),
    "small_numbers": lambda: graph_of(
        field(5, field(7, bytes(100 * MANY)) + b"\x10\x07" + field(8, b"w"))
    ),
    "as_many_small_numbers_as_are_read": lambda: graph_of(
        field(5, field(7, bytes(2**27 // 16 - 2**10)) + b"\x10\x07\x08\x04" + field(8, b"w"))
    ),
    "single_numbers": lambda: graph_of(field(5, b"\x08\x00" * 50 * MANY)),
    "axes_of_a_node": axes_of_a_node,
    "inputs_of_a_node": lambda: graph_of(
        field(1, field(1, b"x") * (2**19 - 100) + field(2, b"z") + field(4, b"Concat"))
    ),
    "inputs_of_the_graph": lambda: graph_of(field(11, field(1, b"x")) * MANY),
    "inputs_of_a_function": lambda: called_often(field(4, b"a") * 200_000),
    "inputs_of_a_node_of_a_function": lambda: called_often(
        field(7, field(1, b"a") * 200_000 + field(4, b"Concat"))
    ),
}


def sparse(path: str, size: int, begin: bytes = b"") -> Path:
    """Write a file of zeros that takes no space."""
    with Path(path).open("wb") as stream:
        stream.write(begin)
        stream.truncate(size)
    return Path(path)


def costly_files() -> Iterator[Path]:
    for name, content in COSTLY.items():
        yield written(content(), f"{name}.onnx")
    yield sparse("zeros.onnx", 2**31 - 1)
    yield sparse("more_zeros.onnx", 2**40)
    for count in (2**28, 3 * 2**28):
        model, name = chain(), f"w{count}.bin"
        sparse(name, 4 * count)
        tensor = onnx.TensorProto(name="w", data_type=1, dims=[count], data_location=1)
        tensor.external_data.add(key="location", value=name)
        model.graph.initializer.append(tensor)
        yield written(model, f"external_{count}.onnx")
    # As many numbers as a file of one piece can have.
    size = 2**31 - 2**20
    dims = b"\x08" + varint(size // 4) + b"\x10\x01" + field(8, b"w")
    data = b"\x4a" + varint(size)
    tensor = b"\x2a" + varint(len(dims) + len(data) + size) + dims + data
    begin = chain_bytes() + b"\x3a" + varint(len(tensor) + size) + tensor
    yield sparse("raw.onnx", len(begin) + size, begin)


# Graphs that are read, and would take much to compute


def numbers(name: str, values: Any, dtype: str = "i8") -> Any:
    return onnx.numpy_helper.from_array(np.array(values, dtype), name)


def with_state(model: Any, nodes: list[Any], arrays: list[Any]) -> Any:
    """Return a model whose initial states are zeros that follow from the value ``big``."""
    model.graph.initializer.extend([*arrays, numbers("zero", 0, "f4"), numbers("one", [1])])
    model.graph.initializer.append(numbers("units", [UNITS]))
    model.graph.node.extend(
        [
            *nodes,
            node("ReduceMax", "big", "largest", keepdims=0),
            node("Mul", "largest zero", "nothing"),
            node("Shape", "ahead", "rows", start=1, end=2),
            node("Concat", "one rows units", "shape", axis=0),
            node("Expand", "nothing shape", "state"),
        ]
    )
    model.graph.node[1].input.extend(["", "", "state", "state"])
    return model


def repeated(op: str, count: int, times: int = 1, **settings: Any) -> list[Any]:
    """Return nodes that each take the value of the one before, from ``v0`` to ``big``."""
    names = ["v0", *(f"v{i}" for i in range(1, count)), "big"]
    return [node(op, " ".join([one] * times), other, **settings) for one, other in pairwise(names)]


def _power_of_steps(power: int) -> list[Any]:
    return [
        node("Shape", "x", "length", start=1, end=2),
        node("Concat", " ".join(["length"] * power), "sizes", axis=0),
        node("ConstantOfShape", "sizes", "big"),
    ]


def expanded(op: str, *inputs: Any, **settings: Any) -> tuple[list[Any], list[Any]]:
    """Return a node that takes constants, with these."""
    names = [f"i{number}" for number in range(len(inputs))]
    arrays = [onnx.numpy_helper.from_array(*pair) for pair in zip(inputs, names, strict=True)]
    return [node(op, " ".join(names), "big", **settings)], arrays


ONE, COLUMN = np.ones(1, "f4"), np.ones((100_000, 1), "f4")
MUCH = {
    "doubling": (repeated("Concat", 40, 2, axis=0), [array("v0", 1000)]),
    "concat": (repeated("Concat", 2, 5000, axis=0), [array("v0", 1000)]),
    "chain": (repeated("Neg", 18_000), [array("v0", 10**6)]),
    "erf": (repeated("Erf", 1000), [array("v0", 10**6)]),
    "products": (repeated("MatMul", 1000, 2), [array("v0", 1500, 1500)]),
    "powers": (_power_of_steps(7), []),
    "expand": expanded("Expand", ONE, np.array([2**40, 2**20])),
    "constant": expanded("ConstantOfShape", np.array([10**9])),
    "tile": expanded("Tile", ONE, np.array([10**10])),
    "range": expanded("Range", np.float32(0), np.float32(1e30), np.float32(1e-30)),
    "hot": expanded("OneHot", np.arange(1000), np.array(10**8), np.ones(2, "f4")),
    "pad": expanded("Pad", ONE, np.array([10**9, 10**9])),
    "outer": expanded("Mul", COLUMN, COLUMN.T),
    "product": expanded("MatMul", COLUMN, COLUMN.T),
    "batch": expanded("MatMul", COLUMN.reshape(-1, 1, 1, 1), COLUMN.reshape(1, -1, 1, 1)),
    "gather": expanded("Gather", np.ones((2, 10**5), "f4"), np.zeros(10**5, "i8")),
    "top": (
        [node("TopK", "v0 k", "big places")],
        [array("v0", 10), numbers("k", [10**9])],
    ),
}


def fixed(**sizes: int) -> Any:
    """Return a model with fixed sizes of its input."""
    model = chain()
    for at, name in enumerate(("batch", "time", "features")):
        if name in sizes:
            model.graph.input[0].type.tensor_type.shape.dim[at].dim_value = sizes[name]
    return model


def windowed(op: str, **settings: Any) -> Any:
    """Return a model with windows over the steps before its layer."""
    model = chain()
    inputs = "moved K" if op == "Conv" else "moved"
    model.graph.initializer.append(array("K", 3, 3, 2))
    model.graph.node[0].input[0] = "again"
    model.graph.node.extend(
        [
            node("Transpose", "x", "moved", perm=[0, 2, 1]),
            node(op, inputs, "windows", name="window", **settings),
            node("Transpose", "windows", "again", perm=[0, 2, 1]),
        ]
    )
    return model


def behind(*nodes: Any, arrays: tuple[Any, ...] = ()) -> Any:
    """Return a model with nodes behind its layer, from ``v0`` to ``big``."""
    model = chain()
    model.graph.node[2].output[0] = "v0"
    model.graph.output[0].name = "big"
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(arrays)
    return model


def costly_models() -> Iterator[tuple[str, Any]]:
    for name, (nodes, arrays) in MUCH.items():
        yield name, with_state(chain(), nodes, arrays)
    yield "steps", fixed(time=10**9)
    yield "rows", fixed(batch=10**9)
    yield "all", fixed(batch=2**62, time=2**62, features=2**62)
    yield "features", fixed(features=10**9)
    yield "more_features", fixed(features=2**62)
    yield "dilation", windowed("Conv", dilations=[10**7], pads=[10**7, 0])
    yield "joins", behind(*repeated("Concat", 40, 2, axis=1))
    yield "sums", behind(*repeated("Add", 200, 2))
    products = repeated("MatMul", 5000)
    for each in products:
        each.input.append("K")
    yield "layers", behind(*products, arrays=(array("K", UNITS, UNITS),))
    joined = chain()
    joined.graph.node[0].input[0] = "big"
    for each in repeated("Concat", 40, 2, axis=1):
        each.input[:] = ["x" if name == "v0" else name for name in each.input]
        joined.graph.node.append(each)
    yield "joined", joined


def check_limits(paths: list[Path]) -> None:
    """Assert that each file is refused in 5 s and 1 GiB, and that nothing is written."""
    first = written(chain(), "first.onnx")
    command = [
        sys.executable,
        str(Path(__file__).with_name("limits.py")),
        *map(str, (first, *paths)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(paths)
    for path, (kind, text, seconds, memory) in zip(paths, answers, strict=True):
        told = f"{path.name}: {seconds:.1f} s, {memory / 2**20:.0f} MiB, {kind} {text[:300]}"
        print(told)
        assert kind in ("ModelError", "UsageError") or path.stem == "few_arrays", told
        assert seconds < 5, told
        assert memory < 2**30, told
        assert not kind or not path.with_suffix(".yaml").exists(), told
        assert not kind or not path.with_suffix(".safetensors").exists(), told


@cases(
    ("op", "settings", "wanted"),
    [
        ("Conv", {"strides": [0]}, "window.strides: expected numbers from 1 to 32,768"),
        ("Conv", {"strides": [2**62]}, "window.strides: expected numbers from 1 to 32,768"),
        ("Conv", {"dilations": [0]}, "window.dilations: expected numbers from 1 to 32,768"),
        ("Conv", {"group": 0}, "window.group: expected numbers from 1 to 32,768"),
        ("Conv", {"pads": [-5, 0]}, "window.pads: expected numbers from 0 to 32,768"),
        ("Conv", {"kernel_shape": [7]}, "window: kernel_shape: expected (2,), received (7,)"),
        ("MaxPool", {"kernel_shape": [0]}, "window.kernel_shape: expected numbers from 1"),
        ("MaxPool", {"kernel_shape": [2], "strides": [0]}, "window.strides: expected numbers"),
    ],
)
def test_windows(op: str, settings: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ModelError) as caught:
        take(written(windowed(op, **settings)))
    assert str(caught.value).startswith(f"model.onnx: error: {wanted}")


# Files that are changed at random


@given(st.integers(0, 2**32), st.integers(0, 2**32))
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_changed_files(first: int, second: int) -> None:
    """The graph of a file with a few fields or bytes changed is read, or there is one error."""
    from fuzz.breaking import broken_bytes
    from fuzz.of_onnx import changed

    whole = chain()
    functions_of(whole, [function("f0", node("Relu", "a", "b", name="relu"))])
    raw = changed(whole, random.Random(first)).SerializeToString()
    for content in (raw, broken_bytes(raw, random.Random(second))):
        with suppress(ModelError, UsageError):
            read_graph(written(content))


def test_changed_files_of_the_gallery() -> None:
    import_later("onnxruntime")
    from fuzz import of_onnx

    accepted = of_onnx.run(25, seed=3)
    assert 0 < accepted < 25


# What ONNX Runtime is given


def compared(model: Any) -> str:
    import_later("onnxruntime")
    return str(import_file(written(model), force=True).compared)


def test_what_no_output_needs_is_not_run() -> None:
    for name, (nodes, arrays) in MUCH.items():
        model = chain()
        model.graph.node.extend(nodes)
        model.graph.initializer.extend(arrays)
        assert "compared with the original in ONNX Runtime" in compared(model), name
    model = chain()
    model.graph.node.append(node("Evil", "y", "z", domain="evil"))
    model.graph.input.append(value("other", [1]))
    assert "compared with the original in ONNX Runtime" in compared(model)


def test_operators_of_others_are_not_run() -> None:
    model = chain()
    model.graph.node.append(node("Evil", "y", "z", domain="evil", name="evil"))
    model.graph.output[0].name = "z"
    with pytest.raises(ModelError, match="evil: rnnspec does not support Evil of the domain evil"):
        compared(model)


def test_the_memory_of_a_session_is_limited() -> None:
    import_later("onnxruntime")
    from rnnspec.backends.onnx.session import open_limited

    (big,), (sizes,) = expanded("ConstantOfShape", np.array([2**30]))
    graph = onnx.helper.make_graph([big], "big", [], [value("big", [None])], [sizes])
    opset = onnx.helper.make_opsetid("", 18)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    with pytest.raises(Exception, match="bfc_arena"):
        open_limited(model.SerializeToString()).run(None, {})
