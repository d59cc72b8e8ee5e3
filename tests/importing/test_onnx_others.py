"""ONNX files of other tools become specs by what their graphs compute."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
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
    check_reading,
    imported,
    kinds,
    layers,
    onnx,
    problems,
    write,
)
from offered import import_later

import rnnspec
from rnnspec.importing.run import import_file
from rnnspec.ir import nodes
from rnnspec.models.convert import convert

import_later("onnxruntime")

# Recurrent nodes

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


@cases(
    ("op", "functions", "more", "expected", "biased", "number"),
    [
        ("LSTM", "", "", ("tanh", "sigmoid"), True, 2),
        ("LSTM", '"HardSigmoid", "Tanh", "Tanh"', "", ("tanh", "legacy_hard_sigmoid"), False, 1),
        (
            "LSTM",
            '"HardSigmoid", "Relu", "Relu"',
            ", activation_alpha = [0.16666667], activation_beta = [0.5]",
            ("relu", "hard_sigmoid"),
            True,
            2,
        ),
        ("GRU", "", "", ("tanh", "sigmoid"), True, 1),
        ("GRU", "", ", linear_before_reset = 1", ("tanh", "sigmoid"), False, 2),
        (
            "GRU",
            '"Sigmoid", "Softsign"',
            ", linear_before_reset = 1",
            ("softsign", "sigmoid"),
            True,
            2,
        ),
        ("RNN", "", "", ("tanh", ""), False, 2),
        ("RNN", '"Relu"', "", ("relu", ""), True, 1),
        (
            "RNN",
            '"Affine"',
            ", activation_alpha = [1.0], activation_beta = [0.0]",
            ("linear", ""),
            True,
            2,
        ),
    ],
)
def test_a_recurrent_node(  # noqa: PLR0917 - all of a node
    tmp_path: Path,
    op: str,
    functions: str,
    more: str,
    expected: tuple[str, str],
    biased: bool,
    number: int,
) -> None:
    size = 4 * GATES[op]
    shapes: dict[str, Any] = {"W": (number, size, 3), "R": (number, size, 4)}
    if biased:
        shapes["B"] = (number, 2 * size)
    if number == 2:
        # Each direction has its own.
        functions = f"{functions}, {functions}" if functions else ""
        more = re.sub(r"\[(.*?)\]", r"[\1, \1]", more)
    named = f", activations = [{functions}]" if functions else ""
    layer = read_node(tmp_path, f"{op} {named}{more}", f"t, W, R{', B' * biased}", shapes)
    assert (layer.bias, layer.merge) == (biased, "concat" if number == 2 else None)
    own, gates = (
        layer.standard_cell.activation,
        getattr(layer.standard_cell, "recurrent_activation", ""),
    )
    assert (own, gates) == expected
    if isinstance(layer.standard_cell, nodes.GRU):
        assert layer.standard_cell.reset_after is ("linear_before_reset" in more)


def read_node(folder: Path, node: str, taken: str, shapes: dict[str, Any]) -> nodes.Recurrent:
    """Read a graph of one node, which is given by its operator and its other attributes."""
    op, _, attributes = node.partition(" ")
    direction = "bidirectional" if shapes["W"][0] == 2 else "forward"
    body = (
        f'{AHEAD}a = {op} <hidden_size = 4, direction = "{direction}"{attributes}> ({taken})\n'
        "o = Transpose <perm = [2, 0, 1, 3]> (a)\ny = Reshape (o, SHAPE)"
    )
    path = write(folder, body, **shapes, SHAPE=np.array([0, 0, -1]))
    (layer,) = check_reading(path).program.network.layers
    assert isinstance(layer, nodes.Recurrent)
    return layer


@cases(("number", "biased"), [(1, True), (2, False)])
def test_peepholes_are_a_cell_by_equations(tmp_path: Path, number: int, biased: bool) -> None:
    shapes: dict[str, Any] = {"W": (number, 16, 3), "R": (number, 16, 4), "P": (number, 12)}
    shapes |= {"B": (number, 32)} if biased else {}
    functions = ", ".join(['"HardSigmoid", "Tanh", "Tanh"'] * number)
    taken = f"t, W, R, {'B' * biased}, , , , P"
    layer = read_node(tmp_path, f"LSTM , activations = [{functions}]", taken, shapes)
    assert isinstance(layer.cell, nodes.EquationCell)
    assert layer.cell.name == "peephole_lstm"
    assert nodes.layer_activations(layer) == ("tanh", "legacy_hard_sigmoid")


def test_peepholes_of_another_size_are_refused(tmp_path: Path) -> None:
    body = f"{AHEAD}a, h = LSTM <hidden_size = 4> (t, W, R, B, , , , P)\n{OUT}"
    assert problems(write(tmp_path, body, **LSTM, **HEAD, P=(1, 8))) == [
        "LSTM at a: P: expected (1, 12), received (1, 8)"
    ]


ZEROS = {
    "shape": (
        "n = Shape (x)\nr = Gather (n, ZERO)\nk = Concat <axis = 0> (ONE, r, UNITS)\n"
        "z = ConstantOfShape (k)\n"
    ),
    "product": (
        "n = Shape (x)\nr = Gather <axis = 0> (n, FIRST)\nu = Unsqueeze (r, ZERO)\n"
        "i = Cast <to = 6> (u)\nj = Cast <to = 7> (i)\nk = Concat <axis = 0> (ONE, j, UNITS)\n"
        "w = ConstantOfShape <value = float[1] {1.0}> (k)\nz = Mul (w, NOTHING)\n"
    ),
}


@cases("zeros", ZEROS)
def test_zero_states_however_they_are_computed(tmp_path: Path, zeros: str) -> None:
    body = f"{AHEAD}{zeros}a, h = LSTM <hidden_size = 4> (t, W, R, B, , z, z)\n{OUT}"
    assert kinds(imported(write(tmp_path, body, **LSTM, **HEAD))) == ["Recurrent", "Dense"]


def test_layout_1_is_read_and_not_compared(tmp_path: Path) -> None:
    # ONNX Runtime refuses it.
    body = "a, h = LSTM <hidden_size = 4, layout = 1> (x, W, R, B)\ns = Squeeze (h, ONE)\n"
    path = write(tmp_path, f"{body}y = Gemm (s, K, b)", **LSTM, **HEAD)
    model = import_file(path, tmp_path / "taken.yaml")
    assert kinds(model) == ["Recurrent", "Dense"]
    assert "layout" in str(model.compared).lower() or "does not" in str(model.compared)


TWO = (
    "a, h = LSTM <hidden_size = 4> (t, W, R, B)\n"
    'c, g = LSTM <hidden_size = 4, direction = "reverse"> (t, V, Q, P)\n'
)
SECOND = {"V": (1, 16, 3), "Q": (1, 16, 4), "P": (1, 32)}
JOINS = {
    "concat": (
        "i = Squeeze (a, ONE)\nj = Squeeze (c, ONE)\ny = Concat <axis = 2> (i, j)",
        "concat",
    ),
    "stacked": (
        (
            "i = Concat <axis = 0> (h, g)\nj = Transpose <perm = [1, 0, 2]> (i)\n"
            "y = Reshape (j, SHAPE)"
        ),
        "concat",
    ),
    "steps": (
        (
            "i = Squeeze (a, ONE)\nj = Squeeze (c, ONE)\nk = Gather (i, FINAL)\n"
            "l = Gather (j, FIRST)\ny = Concat <axis = -1> (k, l)"
        ),
        "concat",
    ),
    "mean": (
        "i = Squeeze (h, ZERO)\nj = Squeeze (g, ZERO)\nk = Add (j, i)\ny = Mul (k, HALF)",
        "ave",
    ),
    "product": ("i = Squeeze (a, ONE)\nj = Squeeze (c, ONE)\ny = Mul (i, j)", "mul"),
}


@cases(("body", "merge"), JOINS)
def test_two_nodes_are_the_directions_of_one_layer(tmp_path: Path, body: str, merge: str) -> None:
    shape = np.array([0, -1])
    model = imported(write(tmp_path, AHEAD + TWO + body, **LSTM, **SECOND, SHAPE=shape))
    layer = layers(model)[0]
    assert isinstance(layer, nodes.Recurrent)
    assert layer.merge == merge


def test_the_state_of_the_top_layer_among_all(tmp_path: Path) -> None:
    body = (
        f"{AHEAD}a, h = LSTM <hidden_size = 4> (t, W, R, B)\ni = Squeeze (a, ONE)\n"
        "c, g = LSTM <hidden_size = 4> (i, V, Q, P)\nk = Concat <axis = 0> (h, g)\n"
        "s = Gather (k, FINAL)\ny = Gemm (s, K, b)"
    )
    second = {"V": (1, 16, 4), "Q": (1, 16, 4), "P": (1, 32)}
    model = imported(write(tmp_path, body, **LSTM, **second, **HEAD))
    assert kinds(model) == ["Recurrent", "Recurrent", "Dense"]


# Masks


def test_lengths_from_tokens_are_a_mask(tmp_path: Path) -> None:
    body = f"{EMBED}{COUNT}a, h = LSTM <hidden_size = 4> (t, W, R, B, l)\n{OUT}"
    model = imported(write(tmp_path, body, TOKENS, **TABLE, **LSTM, **HEAD))
    network = model.model.imported.network
    assert network.input == nodes.TokenInput(steps=None, vocabulary=9, mask_zero=True)
    assert "in the file it is at the end alone" in "".join(model.model.imported.inferred)


def test_lengths_that_are_an_input(tmp_path: Path) -> None:
    body = f"{EMBED}l = Cast <to = 6> (n)\na, h = LSTM <hidden_size = 4> (t, W, R, B, l)\n{OUT}"
    path = write(tmp_path, body, f"{TOKENS}, int64[batch] n", **TABLE, **LSTM, **HEAD)
    model = imported(path)
    assert model.model.imported.network.input.masked
    assert "takes lengths as its input n" in "".join(model.model.imported.inferred)


def test_lengths_of_all_steps_are_no_mask(tmp_path: Path) -> None:
    body = (
        "n = Shape (x)\nv = Gather (n, ONE)\nr = Gather (n, ZERO)\nw = Expand (v, r)\n"
        f"l = Cast <to = 6> (w)\n{AHEAD}a, h = LSTM <hidden_size = 4> (t, W, R, B, l)\n{OUT}"
    )
    model = imported(write(tmp_path, body, **LSTM, **HEAD))
    assert not model.model.imported.network.input.masked


def test_the_last_real_step_of_a_sequence(tmp_path: Path) -> None:
    body = (
        f"{EMBED}{COUNT}a = LSTM <hidden_size = 4> (t, W, R, B)\ni = Squeeze (a, ONE)\n"
        "o = Transpose <perm = [1, 0, 2]> (i)\nj = Cast <to = 7> (l)\nk = Sub (j, ONE)\n"
        "v = Unsqueeze (k, ONE)\nu = Unsqueeze (v, TWO)\nd = Shape (o)\n"
        "c = Gather (d, ZERO)\ng = Concat <axis = 0> (c, ONE, UNITS)\nw = Expand (u, g)\n"
        "p = GatherElements <axis = 1> (o, w)\ns = Squeeze (p, ONE)\ny = Gemm (s, K, b)"
    )
    model = imported(write(tmp_path, body, TOKENS, **TABLE, **LSTM, **HEAD))
    assert kinds(model) == ["Embedding", "Recurrent", "Dense"]
    assert model.model.imported.network.input.masked


def test_a_mean_of_the_real_steps(tmp_path: Path) -> None:
    body = (
        f"{EMBED}{COUNT}a = LSTM <hidden_size = 4> (t, W, R, B, l)\ni = Squeeze (a, ONE)\n"
        "o = Transpose <perm = [1, 0, 2]> (i)\nf = Cast <to = 1> (m)\nu = Unsqueeze (f, TWO)\n"
        "p = Mul (o, u)\nk = ReduceSum <keepdims = 0> (p, ONE)\n"
        "g = ReduceSum <keepdims = 0> (u, ONE)\nd = Clip (g, LEAST)\ny = Div (k, d)"
    )
    least = np.array(1, np.float32)
    model = imported(write(tmp_path, body, TOKENS, **TABLE, **LSTM, LEAST=least))
    pool = layers(model)[-1]
    assert isinstance(pool, nodes.Pooling)
    assert (pool.statistic, pool.masked) == ("mean", True)


# Functions of features

FUNCTIONS = {
    "relu": "y = Relu (z)",
    "softmax": "y = Softmax <axis = -1> (z)",
    "log_softmax": "y = LogSoftmax <axis = 1> (z)",
    "selu": "y = Selu (z)",
    "softsign": "p = Abs (z)\nq = Add (p, UNIT)\ny = Div (z, q)",
    "silu": "p = Sigmoid (z)\ny = Mul (z, p)",
    "softplus": "p = Exp (z)\nq = Add (p, UNIT)\ny = Log (q)",
    "sigmoid": "p = Neg (z)\nq = Exp (p)\nr = Add (q, UNIT)\ny = Reciprocal (r)",
    "tanh": "p = Mul (z, PAIR)\nq = Sigmoid (p)\nr = Mul (q, PAIR)\ny = Sub (r, UNIT)",
    "hard_sigmoid": "y = HardSigmoid <alpha = 0.16666667> (z)",
    "legacy_hard_sigmoid": "p = Mul (z, FIFTH)\nq = Add (p, HALF)\ny = Clip (q, NOTHING, UNIT)",
    "elu": "y = Elu (z)",
    "exponential": "y = Exp (z)",
}
NUMBERS = {
    "UNIT": np.array(1, np.float32),
    "PAIR": np.array(2, np.float32),
    "FIFTH": np.array(0.2, np.float32),
    "SIX": np.array(6, np.float32),
    "MANY": np.array(300, np.float32),
    "LARGEST": np.array(np.finfo(np.float32).max),
    "TENTH": np.array(0.1, np.float32),
    "EPSILON": np.array(1e-5, np.float32),
    "TINY": np.array(1e-12, np.float32),
}
Z = "s = Squeeze (h, ZERO)\nz = Gemm (s, K, b)\n"


@cases(
    ("body", "activation"),
    [
        *((body, name) for name, body in FUNCTIONS.items()),
        ("y = LeakyRelu <alpha = 0.2> (z)", nodes.LeakyRelu(slope=0.2)),
        ("p = Mul (z, TENTH)\ny = Max (z, p)", nodes.LeakyRelu(slope=0.1)),
        ("y = Clip (z, NOTHING, SIX)", nodes.ClippedRelu(limit=6.0)),
        ("y = Clip (z, NOTHING, MANY)", nodes.ClippedRelu(limit=300.0)),
        ("y = Clip (z, NOTHING, LARGEST)", "relu"),
        (
            "p = Relu (z)\nq = Min (p, MANY)\ny = Max (q, NOTHING)",
            nodes.ClippedRelu(limit=300.0),
        ),
        ("p = Relu (z)\ny = Min (p, SIX)", nodes.ClippedRelu(limit=6.0)),
        ("p = Relu (z)\ny = Clip (p, , SIX)", nodes.ClippedRelu(limit=6.0)),
        ("p = Clip (z, NOTHING)\ny = Clip (p, , SIX)", nodes.ClippedRelu(limit=6.0)),
    ],
)
def test_an_activation_is_known_by_what_it_computes(
    tmp_path: Path, body: str, activation: nodes.Activation
) -> None:
    layer = layers(imported(write(tmp_path, STATE + Z + body, **LSTM, **HEAD, **NUMBERS)))[-1]
    assert isinstance(layer, nodes.Dense)
    assert layer.activation == activation


NORMS = {
    "one node": "y = LayerNormalization <epsilon = 1e-5> (s, G, H)",
    "many nodes": (
        "m = ReduceMean <keepdims = 1> (s, LAST)\nd = Sub (s, m)\np = Pow (d, PAIR)\n"
        "v = ReduceMean <keepdims = 1> (p, LAST)\ne = Add (v, EPSILON)\nq = Sqrt (e)\n"
        "r = Div (d, q)\ng = Mul (r, G)\ny = Add (g, H)"
    ),
    "the scale first": (
        "m = ReduceMean <keepdims = 1> (s, LAST)\nd = Sub (s, m)\np = Mul (d, d)\n"
        "v = ReduceMean <keepdims = 1> (p, LAST)\ne = Add (v, EPSILON)\nq = Sqrt (e)\n"
        "i = Reciprocal (q)\nj = Mul (i, G)\nk = Mul (s, j)\nn = Neg (m)\no = Mul (n, j)\n"
        "w = Add (k, o)\ny = Add (w, H)"
    ),
}


@cases("norm", NORMS)
def test_a_layer_norm(tmp_path: Path, norm: str) -> None:
    arrays = {"G": np.array([1.0, -0.5, 2.0, 0.25]), "H": (4,)}
    body = f"{STATE}s = Squeeze (h, ZERO)\n{norm}"
    model = imported(write(tmp_path, body, **LSTM, **arrays, **NUMBERS))
    layer = layers(model)[-1]
    assert isinstance(layer, nodes.LayerNorm)
    assert layer.epsilon == 1e-5
    gamma = model.model.arrays[f"{layer.name}.gamma"]
    np.testing.assert_array_equal(gamma, np.array([1.0, -0.5, 2.0, 0.25], np.float32))


def test_a_division_by_the_norm(tmp_path: Path) -> None:
    body = (
        f"{STATE}s = Squeeze (h, ZERO)\np = ReduceL2 <keepdims = 1> (s, LAST)\n"
        "q = Clip (p, TINY)\ny = Div (s, q)"
    )
    assert kinds(imported(write(tmp_path, body, **LSTM, **NUMBERS)))[-1] == "Normalize"


def test_a_scale_and_an_offset_are_a_batch_norm(tmp_path: Path) -> None:
    body = f"p = Mul (x, G)\nu = Add (p, H)\n{STATE.replace('(x)', '(u)')}{OUT}"
    model = imported(write(tmp_path, body, **LSTM, **HEAD, G=(3,), H=(1, 1, 3)))
    assert kinds(model) == ["BatchNorm", "Recurrent", "Dense"]
    assert "a scale and an offset" in "".join(model.model.imported.inferred)


# Layers around recurrent ones

WINDOWS = {
    "valid": "d = Conv (c, F, G)",
    "same": "d = Conv <pads = [1, 1]> (c, F, G)",
    "auto": 'd = Conv <auto_pad = "SAME_UPPER", strides = [2]> (c, F, G)',
    "causal": "p = Pad (c, PADS)\nd = Conv <dilations = [2]> (p, F, G)",
    "cut": "p = Conv <dilations = [2], pads = [4, 4]> (c, F, G)\nd = Slice (p, ZERO, CUT, TWO)",
    "two axes": (
        "p = Unsqueeze (c, TWO)\nq = Conv <pads = [0, 1, 0, 1]> (p, J, G)\nd = Squeeze (q, TWO)"
    ),
    "max": "d = MaxPool <kernel_shape = [2], strides = [2]> (c)",
    "max same": 'd = MaxPool <kernel_shape = [3], strides = [2], auto_pad = "SAME_UPPER"> (c)',
    "average": "d = AveragePool <kernel_shape = [3], strides = [3]> (c)",
    "norm": "d = BatchNormalization (c, M1, M2, M3, M4)",
}
PADDINGS = {"causal": "causal", "cut": "causal", "valid": "valid"}


@cases("way", list(WINDOWS))
def test_a_layer_over_the_steps(tmp_path: Path, way: str) -> None:
    arrays = {"F": (3, 3, 3), "J": (3, 3, 1, 3), "G": (3,), "M1": (3,), "M2": (3,), "M3": (3,)}
    pads = np.array([0, 0, 4, 0, 0, 0])
    path = write(
        tmp_path, f"{TURN}{WINDOWS[way]}\n{AFTER}{OUT}", **arrays, **LSTM, **HEAD,
        PADS=pads, CUT=np.array([-4]), M4=np.array([0.5, 1.5, 2.0]),
    )  # fmt: skip
    first, *_ = layers(imported(path))
    window = getattr(first, "window", None)
    assert isinstance(first, nodes.Conv | nodes.WindowPooling | nodes.BatchNorm)
    if window is not None:
        expected = "same" if "same" in way or way in ("auto", "two axes") else "valid"
        assert window.padding == PADDINGS.get(way, expected)


def test_a_pool_of_all_steps_by_one_node(tmp_path: Path) -> None:
    body = (
        f"{STATE}i = Squeeze (a, ONE)\no = Transpose <perm = [1, 2, 0]> (i)\n"
        "p = GlobalMaxPool (o)\ny = Squeeze (p, TWO)"
    )
    pool = layers(imported(write(tmp_path, body, **LSTM)))[-1]
    assert isinstance(pool, nodes.Pooling)
    assert pool.statistic == "max"


def test_tied_weights(tmp_path: Path) -> None:
    body = (
        f"{EMBED}a = LSTM <hidden_size = 3> (t, W, R, B)\ni = Squeeze (a, ONE)\n"
        "o = Transpose <perm = [1, 0, 2]> (i)\nk = Transpose (E)\nl = MatMul (o, k)\ny = Add (l, b)"
    )
    arrays = {"W": (1, 12, 3), "R": (1, 12, 3), "B": (1, 24), "b": (9,)}
    model = imported(write(tmp_path, body, TOKENS, **TABLE, **arrays))
    last = layers(model)[-1]
    assert isinstance(last, nodes.Dense)
    assert last.tied == layers(model)[0].name
    assert f"{last.name}.kernel" not in model.model.arrays


def test_weights_of_the_same_shape_are_not_tied(tmp_path: Path) -> None:
    body = (
        f"{EMBED}a = LSTM <hidden_size = 3> (t, W, R, B)\ni = Squeeze (a, ONE)\n"
        "o = Transpose <perm = [1, 0, 2]> (i)\ny = MatMul (o, K1)"
    )
    arrays = {"W": (1, 12, 3), "R": (1, 12, 3), "B": (1, 24), "K1": (3, 9)}
    last = layers(imported(write(tmp_path, body, TOKENS, **TABLE, **arrays)))[-1]
    assert isinstance(last, nodes.Dense)
    assert last.tied is None


def test_frozen_sizes_are_said(tmp_path: Path) -> None:
    body = f"{AHEAD}a, h = LSTM <hidden_size = 4> (t, W, R, B, , z, z)\n{OUT}"
    zeros = np.zeros((1, 2, 4), np.float32)
    model = imported(write(tmp_path, body, "float[2, 7, 3] x", **LSTM, **HEAD, z=zeros))
    assert model.model.program.network.input.steps == 7
    assert model.model.imported.inferred == (
        "input.length 7: the file takes sequences of 7 steps alone",
        "any number of sequences; the file takes 2 at a time",
    )


def test_sizes_that_constants_fix(tmp_path: Path) -> None:
    body = (
        f"{AHEAD}a, h = LSTM <hidden_size = 4> (t, W, R, B, , z, z)\ni = Squeeze (a, ONE)\n"
        "o = Transpose <perm = [1, 0, 2]> (i)\ny = Reshape (o, SHAPE)"
    )
    zeros, shape = np.zeros((1, 2, 4), np.float32), np.array([-1, 7, 4])
    model = imported(write(tmp_path, body, **LSTM, z=zeros, SHAPE=shape))
    assert model.model.program.network.input.steps == 7
    assert "the file takes 2 at a time" in "".join(model.model.imported.inferred)


def test_a_vector_of_all_steps_fixes_their_number(tmp_path: Path) -> None:
    body = (
        f"{STATE}i = Squeeze (a, ONE)\no = Transpose <perm = [1, 0, 2]> (i)\n"
        "f = Flatten (o)\ny = MatMul (f, K1)"
    )
    model = imported(write(tmp_path, body, **LSTM, K1=(28, 2)))
    assert model.model.program.network.input.steps == 7


def test_layers_have_the_names_of_the_model(tmp_path: Path) -> None:
    path = write(tmp_path, STATE + OUT, **LSTM, **HEAD)
    proto = onnx.load_model(path)
    by_op = {node.op_type: node for node in proto.graph.node}
    by_op["LSTM"].name, by_op["Gemm"].name = "/net/encoder/LSTM", "model/scores/MatMul"
    path.write_bytes(proto.SerializeToString())
    text = imported(path).model.text
    assert "name: encoder" in text
    assert "name: scores" in text


def test_convert_writes_a_model_of_another_tool(tmp_path: Path) -> None:
    path, output = write(tmp_path, STATE + OUT, **LSTM, **HEAD), tmp_path / "model.safetensors"
    converted = convert(path, output)
    assert str(converted.compared).startswith("compared with the original")
    assert output.exists()


def test_an_if_that_sizes_decide(tmp_path: Path) -> None:
    body = (
        f"{STATE}n = Shape <start = 0, end = 1> (h)\nc = Equal (n, ONE)\nk = Squeeze (c, ZERO)\n"
        "s = If <then_branch = one () => (float[batch, 4] p) { p = Squeeze (h, ZERO) },\n"
        "else_branch = two () => (float[1, batch, 4] q) { q = Identity (h) }> (k)\n"
        "y = Gemm (s, K, b)"
    )
    path = write(tmp_path, body, **LSTM, **HEAD)
    assert kinds(imported(path)) == ["Recurrent", "Dense"]
    # PyTorch leaves out the types of what a branch gives.
    proto = onnx.load_model(path)
    (choice,) = (node for node in proto.graph.node if node.op_type == "If")
    for branch in choice.attribute:
        branch.g.output[0].ClearField("type")
    onnx.save_model(proto, path)
    (path.parent / "taken.yaml").unlink()
    (path.parent / "taken.safetensors").unlink()
    assert kinds(imported(path)) == ["Recurrent", "Dense"]


def test_a_changed_file_of_rnnspec(tmp_path: Path) -> None:
    spec = tmp_path / "net.yaml"
    spec.write_text(
        "version: 1\nname: net\ninput: {features: 3}\nrnn: {type: lstm, units: 4}\n"
        "head: {units: 2}\n"
    )
    proto = rnnspec.build(spec, "onnx").to_proto()
    proto.producer_name = "rnnspec"
    proto.metadata_props.add(key="rnnspec", value=spec.read_text())
    proto.graph.node.add(op_type="Tanh", input=[proto.graph.output[0].name], output=["changed"])
    proto.graph.output[0].name = "changed"
    path = tmp_path / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    model = imported(path)
    last = layers(model)[-1]
    assert isinstance(last, nodes.Dense)
    assert last.activation == "tanh"
    assert "the spec in the file is not used" in "".join(model.model.imported.inferred)


def test_what_no_output_needs_is_named(tmp_path: Path) -> None:
    shapes = {**LSTM, **HEAD, "spare": (2, 2)}
    model = imported(write(tmp_path, STATE + OUT, f"{FEATURES}, float[batch] more", **shapes))
    reason = "no output needs it"
    assert [line for line in model.model.imported.left_out if reason in line] == [
        f"input more ({reason})",
        f"array spare ({reason})",
    ]
