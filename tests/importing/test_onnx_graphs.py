"""ONNX files with several inputs, branches, joins and states, read by their graphs alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import graphs
import numpy as np
from cases import cases
from importing.onnx_graphs import AHEAD, FEATURES, LSTM, OUT, imported, problems, write
from importing.test_onnx_own import without_spec
from offered import import_later

from rnnspec import pipeline
from rnnspec.importing.run import import_file
from rnnspec.ir import nodes
from rnnspec.ir.params import params

onnx: Any = import_later("onnx")
import_later("onnxruntime")

OWN = {
    name: getattr(graphs, name)
    for name in ("GIVEN", "JOINED", "STREAMED", "PAIR", "TRANSLATION", "TURNED")
}
OWN["COPIED of the second"] = graphs.COPIED.replace("like: one", "like: two")


def _count(network: nodes.Network) -> int:
    return sum(param.count for layer in network.layers for param in params(layer))


@cases("text", OWN)
def test_graphs_that_rnnspec_wrote(tmp_path: Path, text: str) -> None:
    path, _ = without_spec(tmp_path, text)
    taken = import_file(path, tmp_path / "taken.yaml")
    network, expected = taken.model.imported.network, pipeline.reads(text).network
    assert taken.compared.outcome.startswith("largest difference")
    assert _count(network) == _count(expected)
    assert [type(one).__name__ for one in network.inputs] == [
        type(one).__name__ for one in expected.inputs
    ]
    assert [one.masked for one in network.inputs] == [one.masked for one in expected.inputs]


STATES = f"{FEATURES}, float[1, batch, 4] v, float[1, batch, 4] w"
READ = {
    "one state": (
        f"{AHEAD}a, h = LSTM <hidden_size = 4> (t, W, R, B, , , v)\n{OUT}",
        (f"{FEATURES}, float[1, batch, 4] v", "float y"),
        "initial_state: {c: v}",
    ),
    "final cells": (
        f"{AHEAD}a, g, h = LSTM <hidden_size = 4> (t, W, R, B)\n{OUT}",
        (FEATURES, "float y"),
        "lstm_1.cell",
    ),
    "backward alone": (
        f'{AHEAD}a, h = LSTM <hidden_size = 4, direction = "reverse"> (t, W, R, B)\n{OUT}',
        (FEATURES, "float y"),
        "direction: backward",
    ),
    "a vector before the steps": (
        (
            "g = Unsqueeze (v, ONE)\nq = Concat <axis = 1> (g, x)\n"
            "t = Transpose <perm = [1, 0, 2]> (q)\na, h = LSTM <hidden_size = 4> (t, W, R, B)\n"
            f"{OUT}"
        ),
        (f"{FEATURES}, float[batch, 3] v", "float y"),
        "type: concat of: [v, x] axis: steps",
    ),
    "an attention with a query": (
        (
            f"{AHEAD}a, h = LSTM <hidden_size = 4> (t, W, R, B)\ni = Squeeze (a, ONE)\n"
            "o = Transpose <perm = [1, 0, 2]> (i)\nq = Unsqueeze (v, LAST)\ns_ = MatMul (o, q)\n"
            "e = Softmax <axis = 1> (s_)\nm = Mul (e, o)\ny = ReduceSum <keepdims = 0> (m, ONE)"
        ),
        (f"{FEATURES}, float[batch, 4] v", "float y"),
        "query: v",
    ),
}


@cases(("body", "ends", "expected"), READ)
def test_graphs_of_others(tmp_path: Path, body: str, ends: tuple[str, str], expected: str) -> None:
    arrays = LSTM | {"K": (4, 2), "b": (2,)}
    taken = imported(write(tmp_path, body, *ends, **arrays))
    assert expected in " ".join(taken.model.text.split())
    renamed = "the input x is named input_1" in taken.model.imported.inferred
    assert renamed == ("input_1" in taken.model.text)


def test_two_inputs_of_an_exporter(tmp_path: Path) -> None:
    inputs = "int64[b, s] words, float[b, t, 3] power, float[2, b, 4] h0"
    body = (
        "e = Gather (E, words)\nc = Concat <axis = 2> (e, power)\n"
        "t = Transpose <perm = [1, 0, 2]> (c)\n"
        'a, h = GRU <hidden_size = 4, direction = "bidirectional"> (t, W, R, B, , h0)\n'
        "j = Transpose <perm = [1, 0, 2]> (h)\ny = Reshape (j, FLAT)\nz = Identity (h)"
    )
    arrays = {"E": (9, 2), "W": (2, 12, 5), "R": (2, 12, 4), "B": (2, 24)}
    flat = np.array([0, -1])
    taken = imported(write(tmp_path, body, inputs, "float y, float z", **arrays, FLAT=flat))
    assert [one.name for one in taken.model.imported.network.inputs] == ["words", "power", "h0"]


def test_steps_without_names_are_those_of_one_input(tmp_path: Path) -> None:
    body = (
        f"{AHEAD}a, h = LSTM <hidden_size = 4> (t, W, R, B)\n"
        "u = Transpose <perm = [1, 0, 2]> (v)\nc, g = LSTM <hidden_size = 4> (u, W, R, B)\n"
        "n = Shape <start = 1, end = 2> (v)\ns_ = Concat <axis = 0> (n, ONE, ONE)\n"
        "e = Tile (h, s_)\ny, o = LSTM <hidden_size = 4> (e, V, R, B)"
    )
    ends = f"{FEATURES}, float[batch, others, 3] v", "float y, float g"
    path = write(tmp_path, body, *ends, **LSTM, V=(1, 16, 4))
    proto = onnx.load(path)
    for value in proto.graph.input:
        value.type.tensor_type.shape.dim[1].ClearField("dim_param")
    onnx.save(proto, path)
    assert "{type: repeat, like: v}" in imported(path).model.text


REFUSED = {
    "a condition as an input": (
        "n = Where (k, x, v)\n" + AHEAD + f"a, h = LSTM <hidden_size = 4> (t, W, R, B)\n{OUT}",
        f"{FEATURES}, float[batch, steps, 3] v, bool[batch, steps, 3] k",
        "k: expected an input of numbers, received bool",
    ),
    "an input of four axes": (
        (
            "c = Add (x, v)\nt = Transpose <perm = [1, 0, 2]> (c)\n"
            f"a, h = LSTM <hidden_size = 4> (t, W, R, B)\n{OUT}"
        ),
        f"{FEATURES}, float[1, batch, steps, 3] v",
        "takes the input 'v'; expected a sequence, a vector or a label",
    ),
    "the number of steps of another": (
        (
            f"{AHEAD}a, h = LSTM <hidden_size = 4> (t, W, R, B)\nc = Squeeze (a, ONE)\n"
            "m = ReduceSum <keepdims = 0> (c, ZERO)\nn = Shape <start = 1, end = 2> (v)\n"
            "f = Cast <to = 1> (n)\nd = Div (m, f)\ne = ReduceMax <keepdims = 0> (v, ONE)\n"
            "y = Concat <axis = 1> (d, e)"
        ),
        f"{FEATURES}, float[batch, others, 3] v",
        "divided by their number, received that of all",
    ),
    "features that do not fit": (
        (
            f"c = Add (x, v)\nt = Transpose <perm = [1, 0, 2]> (c)\n"
            f"a, h = LSTM <hidden_size = 4> (t, W, R, B)\n{OUT}"
        ),
        f"{FEATURES}, float[batch, steps, 2] v",
        "received 3 and 2",
    ),
}


@cases(("body", "inputs", "message"), REFUSED)
def test_what_is_said_of_others(tmp_path: Path, body: str, inputs: str, message: str) -> None:
    found = problems(write(tmp_path, body, inputs, **LSTM, K=(4, 2), b=(2,)))
    assert any(message in problem for problem in found)
