"""ONNX files that are broken, or made to do harm: one clear error, soon."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
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


@pytest.mark.parametrize(
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


# Graphs


def _cycle(model: Any) -> None:
    model.graph.node[0].input[0] = "steps"


def _self(model: Any) -> None:
    model.graph.node[2].input[0] = "y"


def _doubled(model: Any) -> None:
    model.graph.node.append(node("Identity", "x", "y", name="again"))


def _doubled_input(model: Any) -> None:
    model.graph.node.append(node("Identity", "ahead", "x", name="again"))


def _doubled_array(model: Any) -> None:
    model.graph.initializer.append(array("W", 1))


def _doubled_outputs(model: Any) -> None:
    model.graph.output.append(model.graph.output[0])


def _missing(model: Any) -> None:
    model.graph.node[1].input[1] = "kernel"


def _missing_output(model: Any) -> None:
    model.graph.output[0].name = "z"


def _no_outputs(model: Any) -> None:
    del model.graph.output[:]


def _training(model: Any) -> None:
    model.training_info.add()


def _no_opset(model: Any) -> None:
    del model.opset_import[:]


def _old(model: Any) -> None:
    model.opset_import[0].version = 1


def _new(model: Any) -> None:
    model.opset_import[0].version = 99


def _two_opsets(model: Any) -> None:
    model.opset_import.append(onnx.helper.make_opsetid("ai.onnx", 17))


def _sequence(model: Any) -> None:
    kind = model.graph.input[0].type
    kind.sequence_type.elem_type.tensor_type.elem_type = 1


def _negative_size(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = -7


def _quantized(model: Any) -> None:
    model.graph.quantization_annotation.add().tensor_name = "W"


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (_cycle, "turn: expected no cycle of nodes, received one through turn and lstm [E704]"),
        (_self, "drop: expected no cycle of nodes, received one through drop [E704]"),
        (_doubled, "y: expected one giver of this value, received drop and again [E704]"),
        (_doubled_input, "x: expected one giver of this value, received an input and again [E704]"),
        (_doubled_array, "W: expected one giver of this value, received an array and an array"),
        (_doubled_outputs, "y: expected inputs and outputs with names of their own [E704]"),
        (_missing, "kernel: expected a value that a node or an input gives, received none [E704]"),
        (_missing_output, "z: expected a value that a node or an input gives, received none"),
        (_no_outputs, "graph: expected outputs, received none [E704]"),
        (_training, "training_info: expected a graph for inference, received training [E704]"),
        (_no_opset, "expected operators of one opset from 7 to "),
        (_old, "expected operators of one opset from 7 to "),
        (_new, "expected operators of one opset from 7 to "),
        (_two_opsets, "expected operators of one opset from 7 to "),
        (_sequence, "x: expected a tensor, received sequence_type [E703]"),
        (_negative_size, "x: expected sizes, received ['batch', -7, 3] [E707]"),
        (_quantized, "graph: quantized values are not read [E703]"),
    ],
)
def test_graphs(change: Callable[[Any], None], wanted: str) -> None:
    model = chain()
    change(model)
    assert message(written(model)).startswith(f"model.onnx: error: {wanted}")


def test_every_problem_is_told_at_once() -> None:
    model = chain()
    for change in (_missing, _doubled, _negative_size, _quantized):
        change(model)
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


# Nodes


def _attribute_type(model: Any) -> None:
    attribute = model.graph.node[1].attribute[0]
    attribute.CopyFrom(onnx.helper.make_attribute("hidden_size", "four"))


def _attribute_field(model: Any) -> None:
    attribute = model.graph.node[1].attribute[0]
    attribute.s, attribute.f = b"four", 4.0


def _unknown_attribute(model: Any) -> None:
    model.graph.node[1].attribute.append(onnx.helper.make_attribute("units", 4))


def _doubled_attribute(model: Any) -> None:
    model.graph.node[1].attribute.append(onnx.helper.make_attribute("hidden_size", 4))


def _attribute_of_no_type(model: Any) -> None:
    model.graph.node[1].attribute[0].type = 0


def _attribute_by_name(model: Any) -> None:
    model.graph.node[1].attribute[0].ref_attr_name = "units"


def _many_inputs(model: Any) -> None:
    model.graph.node[0].input.append("W")


def _few_inputs(model: Any) -> None:
    del model.graph.node[1].input[1:]


def _many_outputs(model: Any) -> None:
    model.graph.node[0].output.extend(["a", "b"])


def _no_axis(model: Any) -> None:
    model.graph.node.append(node("Concat", "W R", "z", name="join"))


def _text_constant(model: Any) -> None:
    model.graph.node.append(node("Constant", "", "z", name="text", value_string="a"))


def _no_constant(model: Any) -> None:
    model.graph.node.append(node("Constant", "", "z", name="none"))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (_attribute_type, "lstm.hidden_size: expected a value of type int [E703]"),
        (_attribute_field, "lstm.hidden_size: expected a value of type INT, received f and s"),
        (_unknown_attribute, "lstm.units: LSTM has no such attribute [E702]"),
        (_doubled_attribute, "lstm.hidden_size: expected an attribute once, received it twice"),
        (_attribute_of_no_type, "lstm.hidden_size: an attribute of type undefined is not read"),
        (_attribute_by_name, "lstm.hidden_size: expected a value, received the name of one"),
        (_many_inputs, "turn: expected 1 inputs of Transpose, received 2 [E703]"),
        (_few_inputs, "lstm: expected 3 to 8 inputs of LSTM, received 1 [E703]"),
        (_many_outputs, "turn: expected 1 outputs of Transpose, received 3 [E703]"),
        (_no_axis, "join.axis: Concat needs this attribute [E703]"),
        (_text_constant, "text: expected a constant with one value, of numbers [E703]"),
        (_no_constant, "none: expected a constant with one value, of numbers [E703]"),
    ],
)
def test_nodes(change: Callable[[Any], None], wanted: str) -> None:
    model = chain()
    change(model)
    assert message(written(model)).startswith(f"model.onnx: error: {wanted}")


# Arrays


def _declared(tensor: Any) -> None:
    del tensor.dims[:]
    tensor.dims.extend([10**6, 10**6])
    tensor.ClearField("raw_data")


def _overflow(tensor: Any) -> None:
    del tensor.dims[:]
    tensor.dims.extend([2**32, 2**32])


def _overflow_to_nothing(tensor: Any) -> None:
    del tensor.dims[:]
    tensor.dims.extend([2**62, 4, 16, 3])


def _negative(tensor: Any) -> None:
    tensor.dims[0] = -1


def _twice_negative(tensor: Any) -> None:
    tensor.dims[0], tensor.dims[1] = -1, -16


def _many_axes(tensor: Any) -> None:
    tensor.dims.extend([1] * 100)


def _short(tensor: Any) -> None:
    tensor.raw_data = tensor.raw_data[:-1]


def _long(tensor: Any) -> None:
    tensor.raw_data += b"\0" * 4


def _text(tensor: Any) -> None:
    tensor.data_type = onnx.TensorProto.STRING
    tensor.ClearField("raw_data")
    tensor.string_data.extend([b"a"] * 48)


def _int4(tensor: Any) -> None:
    tensor.data_type = onnx.TensorProto.INT4


def _no_type(tensor: Any) -> None:
    tensor.data_type = 0


def _unknown_type(tensor: Any) -> None:
    tensor.data_type = 999


def _two_fields(tensor: Any) -> None:
    tensor.float_data.extend([1.0] * 48)


def _other_field(tensor: Any) -> None:
    tensor.ClearField("raw_data")
    tensor.int64_data.extend([1] * 48)


def _segment(tensor: Any) -> None:
    tensor.segment.begin = 1


def _large_integer(tensor: Any) -> None:
    tensor.ClearField("raw_data")
    tensor.data_type = onnx.TensorProto.INT8
    tensor.int32_data.extend([2**20] * 48)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (_declared, "expected 1,000,000,000,000 numbers for (1000000, 1000000), received 0"),
        (_overflow, "expected 73,786,976,294,838,206,464 bytes for (4294967296, 4294967296)"),
        (_overflow_to_nothing, "expected 3,541,774,862,152,233,910,272 bytes for"),
        (_negative, "expected the sizes of axes, received [-1, 16, 3]"),
        (_twice_negative, "expected the sizes of axes, received [-1, -16, 3]"),
        (_many_axes, "expected the sizes of axes, received [1, 16, 3, 1, 1"),
        (_short, "expected 192 bytes for (1, 16, 3), received 191"),
        (_long, "expected 192 bytes for (1, 16, 3), received 196"),
        (_text, "expected floats or integers, received string"),
        (_int4, "expected floats or integers, received int4"),
        (_no_type, "expected floats or integers, received undefined"),
        (_unknown_type, "expected floats or integers, received type 999"),
        (_two_fields, "expected its numbers once, received them in several fields"),
        (_other_field, "expected numbers in float_data, received int64_data"),
        (_segment, "expected all of its numbers, received a segment"),
        (_large_integer, "expected integers of 8 bits, received larger ones"),
    ],
)
def test_arrays(change: Callable[[Any], None], wanted: str) -> None:
    model = chain()
    change(model.graph.initializer[0])
    assert message(written(model)).startswith(f"model.onnx: error: W: {wanted}")


def test_sparse_arrays() -> None:
    model = chain()
    model.graph.sparse_initializer.add().values.name = "S"
    assert "graph: sparse arrays are not read: S [E703]" in message(written(model))


@pytest.mark.parametrize(
    "type_name",
    ["FLOAT16", "BFLOAT16", "FLOAT", "DOUBLE", "INT8", "UINT8", "INT32", "UINT64", "BOOL"],
)
@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("size", [3, 5000])
def test_numbers_of_every_type(type_name: str, raw: bool, size: int) -> None:
    numbers = np.arange(size) % 2 + 1
    kind = getattr(onnx.TensorProto, type_name)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
    content = numbers.astype(dtype)
    tensor = onnx.helper.make_tensor("z", kind, [size], content.tobytes() if raw else content, raw)
    model = chain()
    model.graph.initializer.append(tensor)
    read = read_graph(written(model)).arrays["z"]
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, content)


# Numbers in other files


def external(location: str, **keys: str) -> Any:
    model = chain()
    tensor = model.graph.initializer[0]
    raw = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, text in {"location": location, **keys}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, text
    Path("here").mkdir()
    Path("here", "inside").mkdir()
    for path in ("here/w.bin", "here/inside/w.bin", "w.bin"):
        Path(path).write_bytes(raw)
    return written(model, "here/model.onnx")


@pytest.mark.parametrize("location", ["w.bin", "inside/w.bin"])
def test_numbers_in_a_file_of_the_folder(location: str) -> None:
    graph = read_graph(external(location, offset="0", length="192"))
    expected = np.frombuffer(Path("w.bin").read_bytes(), "f4").reshape(1, 16, 3)
    np.testing.assert_array_equal(graph.arrays["W"], expected)


def _link() -> None:
    Path("here/w.bin").unlink()
    Path("here/w.bin").symlink_to(Path("w.bin").resolve())


def _device() -> None:
    Path("here/w.bin").unlink()
    Path("here/w.bin").symlink_to("/dev/zero")


def _linked_folder() -> None:
    Path("here/inside/w.bin").unlink()
    Path("here/inside").rmdir()
    Path("here/inside").symlink_to(Path.cwd())


def _fifo() -> None:
    Path("here/w.bin").unlink()
    os.mkfifo("here/w.bin")


def _gone() -> None:
    Path("here/w.bin").unlink()


def _folder() -> None:
    _gone()
    Path("here/w.bin").mkdir()


def _nothing() -> None:
    pass


@pytest.mark.parametrize(
    ("location", "keys", "prepare", "wanted"),
    [
        ("../w.bin", {}, _nothing, "received the path ../w.bin"),
        ("inside/../w.bin", {}, _nothing, "received the path inside/../w.bin"),
        ("..\\w.bin", {}, _nothing, "received the path ..\\w.bin"),
        ("/dev/zero", {}, _nothing, "received the path /dev/zero"),
        ("/etc/passwd", {}, _nothing, "received the path /etc/passwd"),
        ("C:w.bin", {}, _nothing, "received the path C:w.bin"),
        ("w.bin\0", {}, _nothing, "received the path w.bin\\x00"),
        ("", {}, _nothing, "received no path of one"),
        (".", {}, _nothing, "its numbers are in .: expected a file"),
        ("w.bin", {}, _link, "its numbers are in w.bin: expected a file inside here"),
        ("w.bin", {}, _device, "its numbers are in w.bin: expected a regular file"),
        ("w.bin", {}, _fifo, "its numbers are in w.bin: expected a regular file"),
        ("w.bin", {}, _gone, "its numbers are in w.bin: no such file"),
        ("w.bin", {}, _folder, "its numbers are in w.bin: expected a file, received a folder"),
        ("inside/w.bin", {}, _linked_folder, "expected a file inside here, received one outside"),
        ("w.bin", {"offset": "4"}, _nothing, "expected 192 bytes for (1, 16, 3), received 188"),
        ("w.bin", {"offset": "193"}, _nothing, "expected bytes 193 to 192 of w.bin"),
        ("w.bin", {"offset": "-1"}, _nothing, "expected offset as a number of bytes, received -1"),
        ("w.bin", {"length": "9" * 19}, _nothing, "expected bytes 0 to 9,999,999,999,999,999,999"),
        ("w.bin", {"length": "9" * 9999}, _nothing, "expected length as a number of bytes"),
        ("w.bin", {"length": "1_0"}, _nothing, "expected length as a number of bytes"),
        ("w" * 5000, {}, _nothing, "its numbers are in www"),
        ("\x1b[2Jw", {}, _nothing, "its numbers are in \\x1b[2Jw: no such file"),
    ],
)
def test_numbers_in_other_files(
    location: str, keys: dict[str, str], prepare: Callable[[], None], wanted: str
) -> None:
    path = external(location, **keys)
    prepare()
    text = message(path)
    assert text.startswith("here/model.onnx: error: W: ")
    assert wanted in text


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


def test_long_names() -> None:
    model = chain()
    model.graph.node[0].name = "n" * 2**20
    assert "names of at most 1,000 characters, received 1,048,576" in message(written(model))


def test_names_that_are_not_text() -> None:
    raw = (
        chain().SerializeToString().replace(b"turn", b"\xff\xfe\xfd\xfc").replace(b"LSTM", b"LSTN")
    )
    graph = read_graph(written(raw))
    assert [node.where for node in graph.nodes] == ["\\xff\\xfe\\xfd\\xfc", "lstm", "drop"]


# Functions


def function(name: str, *nodes: Any, attributes: tuple[str, ...] = ()) -> Any:
    opset = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("own", 1)]
    return onnx.helper.make_function("own", name, ["a"], ["b"], nodes, opset, list(attributes))


def with_functions(*functions: Any) -> Any:
    model = chain()
    model.graph.node[2].output[0] = "z"
    model.graph.node.append(node("f0", "z", "y", domain="own", name="call"))
    model.functions.extend(functions)
    return model


def test_functions_are_inlined() -> None:
    inner = node("Softmax", "inner", "b", name="soft")
    inner.attribute.add(name="axis", ref_attr_name="axis", type=2)
    model = with_functions(
        function("f0", node("Relu", "a", "i", name="relu"), node("f1", "i", "b", domain="own")),
        function("f1", node("Identity", "a", "inner"), inner, attributes=("axis",)),
    )
    nodes = read_graph(written(model)).nodes[3:]
    assert [each.op for each in nodes] == ["Relu", "Identity", "Softmax"]
    assert [nodes[0].inputs, nodes[2].outputs] == [("z",), ("y",)]
    assert nodes[2].attributes == {}
    assert nodes[2].where.endswith("soft")
    model.functions[0].node[1].attribute.append(onnx.helper.make_attribute("axis", -1))
    assert read_graph(written(model)).nodes[-1].attributes == {"axis": -1}
    model.functions[0].node[1].attribute.append(onnx.helper.make_attribute("axes", -1))
    assert "axes: f1 has no such attribute" in message(written(model))


def call(name: str, inputs: str = "a", outputs: str = "b") -> Any:
    return node(name, inputs, outputs, domain="own", name="call")


def _recursive() -> list[Any]:
    return [function("f0", call("f1")), function("f1", call("f0"))]


def _doubling() -> list[Any]:
    names = [f"f{i}" for i in range(41)]
    doubled = [
        function(one, call(other, "a", "i"), call(other, "i", "b"))
        for one, other in pairwise(names)
    ]
    return [*doubled, function(names[-1])]


def _deep_calls() -> list[Any]:
    return [function(f"f{i}", call(f"f{i + 1}")) for i in range(3000)]


def _standard() -> list[Any]:
    relu = function("Relu")
    relu.domain = ""
    return [relu, function("f0")]


def _same_name() -> list[Any]:
    return [function("f0"), function("f0")]


def _loop() -> list[Any]:
    inner = onnx.helper.make_graph([], "g", [], [value("a", None)])
    branch = node("If", "a", "b", then_branch=inner, else_branch=inner, name="if")
    return [function("f0", branch)]


def _doubling_branches() -> list[Any]:
    """Functions that call the one before them in both branches."""
    functions = [function("f1")]
    for i in range(40):
        call = node(f"f{i + 1}" if i else "f1", "a", "q", domain="own")
        branch = onnx.helper.make_graph([call], "g", [], [value("q", None)])
        choice = node("If", "c", "b", then_branch=branch, else_branch=branch, name="if")
        name = f"f{i + 2}" if i < 39 else "f0"
        functions.append(function(name, node("Constant", "", "c", value_int=1), choice))
    return functions


def _other_opset() -> list[Any]:
    changed = function("f0")
    changed.opset_import[0].version = 9
    return [changed]


def _two_inputs() -> list[Any]:
    changed = function("f0")
    del changed.input[:]
    return [changed]


@pytest.mark.parametrize(
    ("functions", "wanted"),
    [
        (_recursive, "expected functions that do not call themselves, received one that does"),
        (_deep_calls, "expected functions that do not call themselves, received one that does"),
        (_doubling, "expected at most 20,000 nodes and arrays, received more"),
        (_standard, "function Relu: expected a function with a name and a domain of its own"),
        (_same_name, "function f0: expected a function with a name and a domain of its own"),
        (_loop, "function f0.if: rnnspec does not read If inside of a function"),
        (_doubling_branches, "function f0.if: rnnspec does not read If inside of a function"),
        (_other_opset, "function f0: expected operators of opset 18, received another"),
        (_two_inputs, "call: expected at most 0 inputs, received 1"),
    ],
)
def test_functions(functions: Callable[[], list[Any]], wanted: str) -> None:
    assert wanted in message(written(with_functions(*functions())))


def test_a_function_that_does_not_give_its_output() -> None:
    model = with_functions(function("f0", node("Relu", "a", "c")))
    assert "y: expected a value that a node or an input gives" in message(written(model))


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
    return bytes(chain().SerializeToString()) + field(7, content)


def _nodes() -> bytes:
    each = (
        field(1, field(1, b"v%07d" % i) + field(2, b"v%07d" % (i + 1)) + field(4, b"Identity"))
        for i in range(MANY)
    )
    return graph_of(b"".join(each))


def _initializers() -> bytes:
    each = (
        field(5, b"\x08\x01\x10\x01" + field(4, bytes(4)) + field(8, b"w%d" % i))
        for i in range(MANY)
    )
    return graph_of(b"".join(each))


def _some_initializers(count: int) -> bytes:
    each = (
        field(5, b"\x08\x01\x10\x01" + field(9, bytes(4)) + field(8, b"w%d" % i))
        for i in range(count)
    )
    return graph_of(b"".join(each))


def _few_initializers() -> bytes:
    """About as many as are read."""
    return _some_initializers(19_000)


def _more_initializers() -> bytes:
    return _some_initializers(21_000)


def _nodes_in_a_chain() -> bytes:
    each = (
        field(1, field(1, b"v%07d" % (i + 1)) + field(2, b"v%07d" % i) + field(4, b"Identity"))
        for i in range(19_900)
    )
    return graph_of(b"".join(each))


def _empty_messages() -> bytes:
    return graph_of(b"\x0a\x00" * 50 * MANY)


def _small_numbers() -> bytes:
    return graph_of(field(5, field(7, bytes(100 * MANY)) + b"\x10\x07" + field(8, b"w")))


def _some_small_numbers() -> bytes:
    """As many as are read: each takes a byte in the file."""
    count = 2**27 // 16 - 2**10
    return graph_of(field(5, field(7, bytes(count)) + b"\x10\x07\x08\x04" + field(8, b"w")))


def _single_numbers() -> bytes:
    return graph_of(field(5, b"\x08\x00" * 50 * MANY))


def _integers_of_an_attribute() -> bytes:
    ints = field(1, b"axes") + field(8, bytes(2**27 // 16 - 2**10)) + b"\xa0\x01\x07"
    return graph_of(field(1, field(4, b"Squeeze") + field(5, ints)))


def _inputs_of_a_node() -> bytes:
    return graph_of(field(1, field(1, b"x") * (2**19 - 100) + field(2, b"z") + field(4, b"Concat")))


def _inputs_of_the_graph() -> bytes:
    return graph_of(field(11, field(1, b"x")) * MANY)


def _metadata() -> bytes:
    return bytes(chain().SerializeToString()) + field(14, field(1, b"a") + field(2, b"b")) * MANY


def _deep_graphs(depth: int) -> Callable[[], bytes]:
    def deep() -> bytes:
        graph = field(12, field(1, b"z"))
        for _ in range(depth):
            attribute = field(1, b"body") + field(6, graph) + b"\xa0\x01\x05"
            graph = field(1, field(4, b"Loop") + field(2, b"z") + field(5, attribute)) + field(
                12, field(1, b"z")
            )
        return graph_of(graph)

    return deep


def _long_names() -> bytes:
    return graph_of(b"".join(field(1, field(3, b"n" * MANY)) for _ in range(120)))


def _wide_functions() -> bytes:
    """A function of many inputs that is called often."""
    wide = field(1, b"f") + field(10, b"own") + field(4, b"a") * 200_000
    calls = field(1, field(4, b"f") + field(7, b"own")) * 15_000
    return graph_of(calls) + field(25, wide)


def _wide_nodes_of_functions() -> bytes:
    wide = field(1, field(4, b"b") + field(7, b"own")) + field(1, b"f")
    inner = field(7, field(1, b"a") * 200_000 + field(4, b"Concat"))
    wide = field(1, b"f") + field(10, b"own") + inner
    calls = field(1, field(4, b"f") + field(7, b"own")) * 15_000
    return graph_of(calls) + field(25, wide)


def _problems() -> bytes:
    each = (field(1, field(1, b"n%d" % i) + field(4, b"Relu") * 1) for i in range(19_000))
    return graph_of(b"".join(each))


COSTLY = (
    *(_nodes, _nodes_in_a_chain, _deep_graphs(10), _deep_graphs(30), _deep_graphs(3000)),
    *(
        _initializers,
        _few_initializers,
        _more_initializers,
        _empty_messages,
        _metadata,
        _long_names,
        _problems,
    ),
    *(_small_numbers, _some_small_numbers, _single_numbers, _integers_of_an_attribute),
    *(_inputs_of_a_node, _inputs_of_the_graph, _wide_functions, _wide_nodes_of_functions),
)


def sparse(path: str, size: int, begin: bytes = b"") -> Path:
    """Write a file of zeros that takes no space."""
    with Path(path).open("wb") as stream:
        stream.write(begin)
        stream.truncate(size)
    return Path(path)


def costly_files() -> Iterator[Path]:
    for number, content in enumerate(COSTLY):
        yield written(content(), f"{content.__name__}_{number}.onnx")
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
    begin = chain().SerializeToString() + b"\x3a" + varint(len(tensor) + size) + tensor
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
        # Arrays that nothing takes do no harm.
        assert kind in ("ModelError", "UsageError") or path.name.startswith("_few"), told
        assert seconds < 5, told
        assert memory < 2**30, told
        assert not kind or not path.with_suffix(".yaml").exists(), told
        assert not kind or not path.with_suffix(".safetensors").exists(), told


@pytest.mark.parametrize(
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

    whole = with_functions(function("f0", node("Relu", "a", "b", name="relu")))
    raw = changed(whole, random.Random(first)).SerializeToString()
    for content in (raw, broken_bytes(raw, random.Random(second))):
        with suppress(ModelError, UsageError):
            read_graph(written(content))


def test_changed_files_of_the_gallery() -> None:
    import_later("onnxruntime")
    from fuzz import of_onnx

    accepted = of_onnx.run(60, seed=3)
    assert 0 < accepted < 60


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


def test_numbers_in_another_file_are_compared() -> None:
    path = external("inside/w.bin")
    import_later("onnxruntime")
    imported = import_file(path)
    assert "compared with the original in ONNX Runtime" in str(imported.compared)
