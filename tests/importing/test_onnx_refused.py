"""What ONNX files of other tools are refused for: every reason once, with the name of its node."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cases import cases
from importing.onnx_graphs import (
    AFTER,
    AHEAD,
    COUNT,
    EMBED,
    FEATURES,
    HEAD,
    LSTM,
    OUT,
    STATE,
    TABLE,
    TOKENS,
    TURN,
    onnx,
    problems,
    write,
)
from offered import import_later

from rnnspec.backends import Backend
from rnnspec.errors import ModelError, UsageError
from rnnspec.importing.original import compare_file
from rnnspec.importing.run import take

import_later("onnxruntime")


def test_every_reason_at_once_and_none_twice(tmp_path: Path) -> None:
    body = (
        f"{AHEAD}a, h, c = LSTM <hidden_size = 4, clip = 3.0> (t, W, R, B)\n"
        "i = Squeeze (a, ONE)\nj = LSTM <hidden_size = 4, input_forget = 1> (i, W, R, B)\n"
        "k = Squeeze (j, ONE)\no = Transpose <perm = [1, 0, 2]> (k)\np = Det (o)\n"
        "y = other.Op (p, x)"
    )
    path = write(tmp_path, body, **LSTM)
    proto = onnx.load_model(path)
    proto.graph.node[1].name = "first"
    path.write_bytes(proto.SerializeToString())
    # The second layer and what is behind it take what nothing is known of.
    assert problems(path) == [
        "first: clip: rnnspec does not support a limit for what enters a gate",
        "LSTM at j: input_forget: expected 0, received 1",
        "Det at p: rnnspec does not support the operator Det",
        "Op at y: rnnspec does not support Op of the domain other",
    ]


REFUSED = {
    "directions of a maximum": (
        (
            f'{AHEAD}a, h = LSTM <hidden_size = 4, direction = "bidirectional"> (t, V, S, C)\n'
            "m = ReduceMax <keepdims = 0> (a, ZERO)\ns = ReduceSum <keepdims = 0> (m, ZERO)\n"
            "y = Gemm (s, K, b)"
        ),
        FEATURES,
        ("ReduceSum at s: combines the directions of another value than the output of their layer"),
    ),
    "other states": (
        f"{AHEAD}a, h = LSTM <hidden_size = 4> (t, W, R, B, , N, N)\n{OUT}",
        "float[2, steps, 3] x",
        "LSTM at a: expected the same initial state for each sequence, received others",
    ),
    "activation": (
        (
            f'{AHEAD}a, h = LSTM <activations = ["Sigmoid", "ThresholdedRelu", "Tanh"]>'
            " (t, W, R, B)\n"
            f"{OUT}"
        ),
        FEATURES,
        "LSTM at a: activations: rnnspec does not support a cell with ThresholdedRelu with alpha 1",
    ),
    "computed weights": (
        (
            f"n = ReduceMean <keepdims = 1> (x)\nk = Mul (W, n)\n{AHEAD}"
            f"a, h = LSTM <hidden_size = 4> (t, k, R, B)\n{OUT}"
        ),
        FEATURES,
        "W: expected an array of the file",
    ),
    "quantized": (
        (
            f"{STATE}s = Squeeze (h, ZERO)\nq, r, u = DynamicQuantizeLinear (s)\n"
            "y = DequantizeLinear (q, r, u)"
        ),
        FEATURES,
        (
            "DequantizeLinear at y: DequantizeLinear is of a quantized model: expected exact "
            "arrays; import the model that the file was quantized from"
        ),
    ),
    "function": (
        f"{STATE}s = Squeeze (h, ZERO)\np = Erf (s)\ny = Gemm (p, K, b)",
        FEATURES,
        "Gemm at y: rnnspec does not support a function of features like Erf",
    ),
    "another mask": (
        (
            f"{EMBED}n = Equal (x, FINAL)\nm = Not (n)\nq = Cast <to = 6> (m)\n"
            "l = ReduceSum <keepdims = 0> (q, ONE)\nv = Sub (l, ONES)\n"
            f"a, h = LSTM <hidden_size = 4> (t, W, R, B, v)\n{OUT}"
        ),
        TOKENS,
        (
            "LSTM at a: sequence_lens: expected the number of tokens that are not 0, or of steps "
            "with another number than that of padding in a feature; received other lengths"
        ),
    ),
    "a condition that is no mask": (
        (
            f"{EMBED}{COUNT}a = LSTM <hidden_size = 4> (t, W, R, B, l)\ni = Squeeze (a, ONE)\n"
            "p = Transpose <perm = [1, 0, 2]> (i)\nc = Less (x, TWO)\nu = Unsqueeze (c, LAST)\n"
            "y = Where (u, p, NOTHING)"
        ),
        TOKENS,
        "Less at c: compares the input with 2; expected the number of padding",
    ),
    "the sum of all steps": (
        (
            f"{EMBED}{COUNT}a = LSTM <hidden_size = 4> (t, W, R, B)\ni = Squeeze (a, ONE)\n"
            "s = ReduceSum <keepdims = 0> (i, ZERO)\nu = Unsqueeze (l, LAST)\n"
            "v = Cast <to = 1> (u)\ny = Div (s, v)"
        ),
        TOKENS,
        (
            "Div at y: expected the sum of the real steps divided by their number, received that "
            "of all"
        ),
    ),
    "a part of features": (
        f"{STATE}s = Squeeze (h, ZERO)\ny = Slice (s, ZERO, TWO, ONE)",
        FEATURES,
        "takes a part of the features, which rnnspec does not support",
    ),
    "grouped": (
        f"{TURN}d = Conv <group = 3> (c, F)\n{AFTER}{OUT}",
        FEATURES,
        "Conv at d: group: expected 1, received another number",
    ),
    "no recurrent layer": (
        "y = MatMul (x, K3)",
        FEATURES,
        "the graph: expected a recurrent layer, received none",
    ),
    "an image": (
        "y = Relu (x)",
        "float[batch, 3, 8, 8] x",
        "x: expected tokens (batch, steps) or features (batch, steps, features), received 4 axes",
    ),
}


@cases("what", list(REFUSED))
def test_a_refusal_names_the_node(tmp_path: Path, what: str) -> None:
    body, inputs, message = REFUSED[what]
    arrays = {"N": np.arange(8.0, dtype="f4").reshape(1, 2, 4), "F": (3, 1, 3), "K3": (3, 2)}
    arrays |= {"V": (2, 16, 3), "S": (2, 16, 4), "C": (2, 32)}
    ones = np.array([1], np.int32)
    path = write(tmp_path, body, inputs, **TABLE, **LSTM, **HEAD, **arrays, ONES=ones)
    found = problems(path)
    assert len(found) == (2 if what == "quantized" else 1)
    assert message in found[-1]


def test_an_index_that_is_left_out(tmp_path: Path) -> None:
    body = (
        f"{STATE}c, i = LSTM <hidden_size = 4> (t, W, R, B)\nn = Concat <axis = 0> (h, i)\n"
        "s = Gather <axis = 0> (n, ZERO)\ny = Gemm (s, K, b)"
    )
    path = write(tmp_path, body, **LSTM, **HEAD)
    proto = onnx.load_model(path)
    proto.graph.node[4].input[1] = ""
    path.write_bytes(proto.SerializeToString())
    assert problems(path) == ["Gather at s: expected indices, received none"]


def test_a_graph_that_is_read_again_for_every_reason(tmp_path: Path) -> None:
    """Its padding, its lengths, its number of sequences and long windows: nine starts in all."""
    body = (
        "n = Equal (x, VALUE)\nq = Cast <to = 6> (n)\nw = ReduceMin <keepdims = 0> (q, TWO)\n"
        f"{TURN}d = Conv <dilations = [30000]> (c, F2)\n"
        "t = Transpose <perm = [2, 0, 1]> (d)\n"
        "a, h = LSTM <hidden_size = 4> (t, W, R, B, l, N, N)\n"
        "s = Squeeze (h, ZERO)\nz = Gemm (s, K, b)\nv = Cast <to = 1> (w)\nu = ReduceMax (v, ONE)\n"
        "k = Mul (u, NOTHING)\ny = Add (z, k)"
    )
    arrays = {"F2": (3, 3, 2), "N": np.zeros((1, 5, 4), np.float32)}
    path = write(tmp_path, body, f"{FEATURES}, int32[batch] l", **LSTM, **HEAD, **arrays)
    (problem,) = problems(path)
    assert problem.startswith("LSTM at a: sequence_lens: expected the number of tokens")


def test_a_loop_is_one_reason(tmp_path: Path) -> None:
    step = (
        "step (int64 i, bool c, float[batch, 4] v) => (bool d, float[batch, 4] w) {\n"
        "d = Identity (c)\nw = Tanh (v)\n}"
    )
    body = (
        f"{STATE}s = Squeeze (h, ZERO)\nn = Gather (TWO, FIRST)\nk = Cast <to = 9> (FINAL)\n"
        f"l = Loop <body = {step}> (n, k, s)\ny = Gemm (l, K, b)"
    )
    assert problems(write(tmp_path, body, **LSTM, **HEAD)) == [
        (
            "Loop at l: Loop is a loop, and not read; expected each recurrent layer as one node "
            "LSTM, GRU or RNN"
        )
    ]


def test_too_many_layers(tmp_path: Path) -> None:
    body = f"{STATE}v0 = Squeeze (h, ZERO)\n" + "".join(
        f"v{at + 1} = MatMul (v{at}, K4)\n" for at in range(3001)
    )
    path = write(tmp_path, f"{body}y = Identity (v3001)", **LSTM, K4=(4, 4))
    with pytest.raises(UsageError, match="expected at most 3,000 layers, received more"):
        take(path)


def test_an_unrolled_loop_is_one_reason(tmp_path: Path) -> None:
    steps = ""
    for at in range(4):
        steps += f"i{at} = Gather <axis = 1> (x, A{at})\nj{at} = MatMul (i{at}, K3)\n"
        before = f"m{at} = Add (j{at}, k{at - 1})\n" if at else "m0 = Identity (j0)\n"
        steps += f"{before}k{at} = Tanh (m{at})\n"
    numbers = {f"A{at}": np.array(at) for at in range(4)}
    path = write(
        tmp_path, steps + "y = Identity (k3)", "float[batch, 4, 3] x", K3=(3, 4), **numbers
    )
    assert problems(path) == [
        (
            "Gather at i0: takes 4 steps one by one, as a loop over the steps does that was "
            "unrolled, and is not read; expected each recurrent layer as one node LSTM, GRU or RNN"
        )
    ]


def test_what_is_wrong_is_not_written(tmp_path: Path) -> None:
    path = write(tmp_path, STATE + OUT, **LSTM, **HEAD)
    taken = take(path)
    wrong = {name: array * 1.01 for name, array in taken.arrays.items()}
    with pytest.raises(ModelError, match="expected the output of the original in ONNX Runtime"):
        compare_file(path, replace(taken, arrays=wrong), Backend.require)


def test_options_of_other_files(tmp_path: Path) -> None:
    path = write(tmp_path, STATE + OUT, **LSTM, **HEAD)
    with pytest.raises(UsageError, match="an ONNX file takes no --ignore"):
        take(path, ignore=["W"])
