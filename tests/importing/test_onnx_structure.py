"""A graph is read rightly or refused by what it says itself: no reading here waits for a run."""

from __future__ import annotations

from itertools import cycle, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from importing.onnx_graphs import (
    AFTER,
    AHEAD,
    BOTH,
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
    check_taken,
    onnx,
    problems,
    write,
)
from importing.test_onnx_limits import edited
from offered import import_later

from rnnspec.errors import ModelError
from rnnspec.importing.run import take

import_later("onnxruntime")

RNNS: dict[str, dict[str, Any]] = {
    "LSTM": LSTM,
    "GRU": {"W": (1, 12, 3), "R": (1, 12, 4), "B": (1, 24)},
    "RNN": {"W": (1, 4, 3), "R": (1, 4, 4), "B": (1, 8)},
}
BACK = np.array([-(2**62)])
EVERY = f"{STATE}i = Squeeze (a, ONE)\no = Transpose <perm = [1, 0, 2]> (i)\n"

# Two sequences: the second layer begins with the state of the first, or attends to its steps.
PAIR = "int64[batch, steps] x, int64[batch, others] z"
SIDES = """\
e = Gather (E, x)
t = Transpose <perm = [1, 0, 2]> (e)
a, h = LSTM <hidden_size = 4> (t, W, R, B)
n = Squeeze (a, ONE)
v = Transpose <perm = [1, 0, 2]> (n)
f = Gather (F, z)
u = Transpose <perm = [1, 0, 2]> (f)
g = LSTM <hidden_size = 4> (u, W, R, B, , h)
s = Squeeze (g, ONE)
q = Transpose <perm = [1, 0, 2]> (s)
"""
SCORES = "k = Transpose <perm = [0, 2, 1]> (v)\nc = MatMul (q, k)\n"
MIX = "w = Softmax <axis = -1> (b_)\nd = MatMul (w, v)\ny = Concat <axis = -1> (q, d)"
LEFT_OUT = "p = Equal (x, PAD)\nr = Unsqueeze (p, ONE)\n"
# Steps of two sequences side by side, with the padding of both.
JOINED = """\
e = Gather (E, x)
f = Gather (F, z)
j = Concat <axis = -1> (e, f)
p = Equal (x, PAD)
q = Equal (z, PAD)
"""
TOGETHER = "int64[batch, steps] x, int64[batch, steps] z"
ARRAYS: dict[str, Any] = {
    **LSTM, **HEAD, **TABLE, "F": (8, 3), "LEAST": np.array(-np.inf, "f4"), "BACK": BACK,
    "V": (1, 16, 6), "Q": (4, 1), "W2": (1, 16, 4), "NONE": np.zeros(0, np.int64),
    "ONCE": np.array([1], np.int32),
}  # fmt: skip
BEGIN = SIDES.replace(", , h)", ")")
FLIPPED = SIDES.replace("(E, x)", "(E, y_)")
TOLD = f"{EMBED}{COUNT}a, h = LSTM <hidden_size = 4> (t, W, R, B, l)\ni = Squeeze (a, ONE)\n"
SECOND = f"{TOLD}c, d = LSTM <hidden_size = 4> (i, W2, R, B)\nj = Squeeze (c, ONE)\n"
BESIDE = "c = {}\ni = Squeeze (a, ONE)\nj = Squeeze (c, ONE)\ny = Concat <axis = 2> (i, j)"
ZEROED = (
    "e = Gather (E, x)\np = Equal (x, PAD)\nr = Unsqueeze (p, LAST)\nv = Where (r, NOTHING, e)\n"
    "t = Transpose <perm = [1, 0, 2]> (v)\n"
)
READ: dict[str, tuple[str, str, str]] = {
    "a mask of -inf": (
        f"{BEGIN}{SCORES}{LEFT_OUT}b_ = Where (r, LEAST, c)\n{MIX}",
        PAIR,
        "{vocabulary: 9, dim: 3, mask_zero: true}",
    ),
    "a mask of -inf that is added": (
        f"{BEGIN}{SCORES}{LEFT_OUT}m = Where (r, LEAST, NOTHING)\nb_ = Add (c, m)\n{MIX}",
        PAIR,
        "{vocabulary: 9, dim: 3, mask_zero: true}",
    ),
    "a flipped source": (
        f"y_ = Slice (x, LAST, BACK, ONE, LAST)\n{FLIPPED}y = Identity (q)",
        PAIR,
        "direction: backward",
    ),
    "one state of a flip": (
        (
            f"{SIDES.replace(', , h)', ', , b_)')}b_ = Slice (h, LAST, BACK, ZERO, LAST)\n"
            "y = Identity (q)"
        ),
        PAIR,
        "initial_state: {h: ",
    ),
    "the lengths of both of two sequences": (
        (
            f"{JOINED}o = Or (p, q)\nm = Not (o)\ni = Cast <to = 6> (m)\n"
            "l = ReduceSum <keepdims = 0> (i, ONE)\nt = Transpose <perm = [1, 0, 2]> (j)\n"
            f"a, h = LSTM <hidden_size = 4> (t, V, R, B, l)\n{OUT}"
        ),
        TOGETHER,
        "mask_zero: true",
    ),
    "every step of a second layer without lengths": (
        f"{SECOND}y = Transpose <perm = [1, 0, 2]> (j)",
        TOKENS,
        "mask_zero: true",
    ),
    "a zeroed token whose vector is zeros": (
        f"{ZEROED}a, h = LSTM <hidden_size = 4> (t, W, R, B)\n{OUT}",
        TOKENS,
        "{vocabulary: 9, dim: 3}",
    ),
    "a softmax over the last axes, of which one is 1": (
        (
            f"{EVERY}c = MatMul (o, Q)\nw = Softmax <axis = 1> (c)\nd = Mul (w, o)\n"
            "y = ReduceSum <keepdims = 0> (d, ONE)"
        ),
        FEATURES,
        "attention: {}",
    ),
    "lengths of at least 1": (
        f"{EMBED}{COUNT}k = Max (l, ONCE)\na, h = LSTM <hidden_size = 4> (t, W, R, B, k)\n{OUT}",
        TOKENS,
        "mask_zero: true",
    ),
}


def graph(folder: Path, body: str, inputs: str, name: str = "", **arrays: Any) -> Path:
    rng = np.random.default_rng(0)
    table = rng.standard_normal((9, 3))
    if "vector is zeros" in name:
        table[0] = 0
    return write(folder, body, inputs, "float y", **ARRAYS | arrays | {"E": table})


@cases("name", list(READ))
def test_what_the_graph_says_is_read(tmp_path: Path, name: str) -> None:
    body, inputs, expected = READ[name]
    taken = check_reading(graph(tmp_path, body, inputs, name))
    assert expected in " ".join(taken.text.split()), taken.text


PADDING = "takes what stands at padding, which other layers leave out"
IN_ORDER = "expected the sequences of the batch in their order"
ALWAYS = "training_mode: expected false, received true"
DROPS = "Y = Constant <value = bool {1}> ()\n"
TWO = f'{AHEAD}a, h = LSTM <hidden_size = 4, direction = "bidirectional"> (t, W, R, B)\n'
ZEROS = "puts a number in place of padding, which no layer leaves out"
REFUSED: dict[str, tuple[str, str, str]] = {
    "the state behind a mask of -inf": (
        f"{SIDES}{SCORES}{LEFT_OUT}b_ = Where (r, LEAST, c)\n{MIX}",
        PAIR,
        PADDING,
    ),
    "the batch of a state in another order": (
        (
            f"{SIDES.replace(', , h)', ', , b_)')}b_ = Slice (h, LAST, BACK, ONE, LAST)\n"
            "y = Identity (q)"
        ),
        PAIR,
        IN_ORDER,
    ),
    "the batch of vectors in another order": (
        (
            f"{SIDES.replace('> (e)', '> (b_)')}b_ = Slice (e, LAST, BACK, ZERO, LAST)\n"
            "y = Identity (q)"
        ),
        PAIR,
        IN_ORDER,
    ),
    "zeros at the padding of one of two sequences": (
        (
            f"{JOINED}r = Unsqueeze (p, LAST)\nb_ = Where (r, NOTHING, j)\n"
            "t = Transpose <perm = [1, 0, 2]> (b_)\n"
            f"a, h = LSTM <hidden_size = 4> (t, V, R, B)\n{OUT}"
        ),
        TOGETHER,
        ZEROS,
    ),
    "a dropout that always acts": (f"{EVERY}{DROPS}y = Dropout (o, HALF, Y)", FEATURES, ALWAYS),
    "float16": (
        f"{EVERY}p = Cast <to = 10> (o)\ny = Cast <to = 1> (p)",
        FEATURES,
        "Cast at p: rounds (batch, steps, features) to float16",
    ),
    "bfloat16 of scores": (
        f"{BEGIN}{SCORES}p = Cast <to = 16> (c)\nb_ = Cast <to = 1> (p)\n{MIX}",
        PAIR,
        "Cast at p: rounds the scores of the steps for each query to bfloat16",
    ),
    "bfloat16 of tokens": (
        (
            f"p = Cast <to = 16> (x)\nq = Cast <to = 7> (p)\n{EMBED.replace('(E, x)', '(E, q)')}"
            f"a, h = LSTM <hidden_size = 4> (t, W, R, B)\n{OUT}"
        ),
        TOKENS,
        "Cast at p: casts the input to a type that lacks some of its numbers",
    ),
    "the type of float16": (
        f"{EVERY}p = CastLike (o, H)\ny = CastLike (p, HALF)",
        FEATURES,
        "CastLike at p: rounds (batch, steps, features) to float16",
    ),
    "the state of a second layer without lengths": (
        f"{SECOND}y = Squeeze (d, ZERO)",
        TOKENS,
        PADDING,
    ),
    "the last step of a second layer without lengths": (
        f"{SECOND}y = Gather (j, FINAL)",
        TOKENS,
        PADDING,
    ),
    "a second layer backward without lengths": (
        (
            f'{TOLD}c = LSTM <hidden_size = 4, direction = "reverse"> (i, W2, R, B)\n'
            "j = Squeeze (c, ONE)\ny = Transpose <perm = [1, 0, 2]> (j)"
        ),
        TOKENS,
        "counts padding, where the network of rnnspec leaves it out",
    ),
    "lengths of one of two directions": (
        f"{EMBED}{COUNT}a = LSTM <hidden_size = 4> (t, W, R, B, l)\n"
        + BESIDE.format('LSTM <hidden_size = 4, direction = "reverse"> (t, W, R, B)'),
        TOKENS,
        "leaves out padding in one of two directions alone",
    ),
    "a zeroed token": (
        f"{ZEROED}a, h = LSTM <hidden_size = 4> (t, W, R, B)\n{OUT}",
        TOKENS,
        ZEROS,
    ),
    "zeros in place of scores": (
        (
            f"{EMBED}a = LSTM <hidden_size = 4> (t, W, R, B)\ni = Squeeze (a, ONE)\n"
            "o = Transpose <perm = [1, 0, 2]> (i)\nc = MatMul (o, Q)\np = Equal (x, PAD)\n"
            "r = Unsqueeze (p, LAST)\nb_ = Where (r, NOTHING, c)\nw = Softmax <axis = 1> (b_)\n"
            "d = Mul (w, o)\ny = ReduceSum <keepdims = 0> (d, ONE)"
        ),
        TOKENS,
        "expected a low number in place of the scores of padding",
    ),
    "zeros in place of weights": (
        (
            f"{EMBED}a = LSTM <hidden_size = 4> (t, W, R, B)\ni = Squeeze (a, ONE)\n"
            "o = Transpose <perm = [1, 0, 2]> (i)\nc = MatMul (o, Q)\np = Equal (x, PAD)\n"
            "r = Unsqueeze (p, LAST)\nw = Softmax <axis = 1> (c)\nb_ = Where (r, NOTHING, w)\n"
            "d = Mul (b_, o)\ny = ReduceSum <keepdims = 0> (d, ONE)"
        ),
        TOKENS,
        "leaves out weights of an attention behind its softmax",
    ),
    "the product of states": (
        f"{EVERY}p = ReduceSumSquare <keepdims = 0> (h, ZERO)\ny = Identity (p)",
        FEATURES,
        "rnnspec does not support ReduceSumSquare of single numbers",
    ),
    "all axes": (
        f"{EVERY}s = Squeeze (h, ZERO)\ny = ReduceMax <keepdims = 1> (s, NONE)",
        FEATURES,
        "does not support ReduceMax over the batch and features",
    ),
    "whatever axis is 1": (
        f"{STATE}y = Squeeze (h)",
        FEATURES,
        "Squeeze at y: axes: removes every axis of size 1",
    ),
    "products of what is moved": (
        f'{EVERY}y = ScatterElements <axis = 1, reduction = "mul"> (o, I, o)',
        "float[2, 2, 3] x",
        "reduction: expected none, received mul",
    ),
    "a switch that is neither on nor off": (
        f"{EVERY}y = ReduceMean <keepdims = 2> (o, ONE)",
        FEATURES,
        "keepdims: expected 0 or 1, received 2",
    ),
    "a sum of directions and its half": (
        (
            f"{TWO}s = ReduceSum <keepdims = 0> (h, ZERO)\np = Mul (s, HALF)\nq = Tanh (s)\n"
            "y = Concat <axis = 1> (p, q)"
        ),
        FEATURES,
        "combines the directions that are used otherwise, too",
    ),
    "steps of zeros before a function": (
        (
            f"{TURN}p = Pad (c, PADS)\nf = Softmax <axis = 1> (p)\nd = Conv (f, CONV)\n{AFTER}"
            "y = Squeeze (h, ZERO)"
        ),
        FEATURES,
        "expected zeros before and after, received 0.333",
    ),
    "a product with and without its bias": (
        (
            f"{EVERY}p = MatMul (o, L)\nq = Add (p, G)\nr = Tanh (q)\nt2 = Transpose <perm = "
            "[1, 0, 2]> (r)\nc = LSTM <hidden_size = 4> (t2, W2, R, B)\nj = Squeeze (c, ONE)\n"
            "k = Transpose <perm = [1, 0, 2]> (j)\ny = Add (k, p)"
        ),
        FEATURES,
        "takes the output of a layer without the bias that is added to it elsewhere",
    ),
}


@cases(("body", "inputs", "message"), REFUSED)
def test_what_rnnspec_has_not_is_refused_by_the_graph(
    tmp_path: Path, body: str, inputs: str, message: str
) -> None:
    index = np.broadcast_to(np.arange(2)[:, None], (2, 2, 4))
    arrays: dict[str, Any] = {"H": np.array(1, "f2"), "I": index, "L": (4, 4), "G": (4,)}
    arrays |= {"PADS": np.array([0, 0, 2, 0, 0, 0]), "CONV": (3, 3, 3)}
    arrays |= BOTH if TWO in body else {}
    found = problems(graph(tmp_path, body, inputs, **arrays))
    assert any(message in problem for problem in found), found


def test_a_model_of_float16_is_read(tmp_path: Path) -> None:
    body = (
        f"p = Cast <to = 10> (x)\n{STATE.replace('(x)', '(p)')}s = Squeeze (h, ZERO)\n"
        "y = Cast <to = 1> (s)"
    )
    arrays = {name: np.full(shape, 0.1, "f2") for name, shape in LSTM.items()}
    taken = take(write(tmp_path, body, **arrays))
    assert "rounded to float16 in the file" in "".join(taken.imported.inferred)


NO_DEFAULT = "activations: expected activation_alpha and activation_beta of {}, for which ONNX has"


@cases(("op", "function"), [("LSTM", "Affine"), ("GRU", "ScaledTanh"), ("RNN", "Affine")])
def test_numbers_that_have_no_default(tmp_path: Path, op: str, function: str) -> None:
    names = {"LSTM": ["Sigmoid", function, function], "GRU": ["Sigmoid", function]}
    functions = ", ".join(f'"{name}"' for name in names.get(op, [function]))
    body = f"{AHEAD}a, h = {op} <hidden_size = 4, activations = [{functions}]> (t, W, R, B)\n{OUT}"
    (problem,) = problems(write(tmp_path, body, **RNNS[op], **HEAD))
    assert NO_DEFAULT.format(function) in problem


ENDS = product(("forward", "reverse"), ("FIRST", "FINAL"), ("", "once", "twice"))


@cases(
    ("op", "way", "end", "turned"), [(op, *end) for op, end in zip(cycle(RNNS), ENDS, strict=False)]
)
def test_both_ends_of_a_sequence(tmp_path: Path, op: str, way: str, end: str, turned: str) -> None:
    flip = "{} = Slice ({}, LAST, BACK, ZERO, LAST)\n"
    body = AHEAD + (flip.format("u", "t") if turned else "u = Identity (t)\n")
    body += f'a, h = {op} <hidden_size = 4, direction = "{way}"> (u, W, R, B)\n'
    body += "i = Squeeze (a, ONE)\n"
    body += flip.format("j", "i") if turned == "twice" else "j = Identity (i)\n"
    body += f"s = Gather (j, {end})\ny = Gemm (s, K, b)"
    taken = check_reading(write(tmp_path, body, **RNNS[op], **HEAD, BACK=BACK))
    assert ("backward" in taken.text) == ((way == "reverse") != bool(turned))


OLD = {
    "the default axis": ("y = Softmax (z)", "before opset 13, Softmax is over all axes from"),
    "an axis before the last": ("y = LogSoftmax <axis = 0> (z)", "before opset 13, LogSoftmax is"),
    "the last axis": ("y = Softmax <axis = 2> (z)", ""),
    "of the steps, the features first": ("y = Softmax <axis = 1> (z)", "before opset 13"),
}


@cases(("line", "message"), OLD)
def test_a_softmax_of_several_axes(tmp_path: Path, line: str, message: str) -> None:
    body = f"{EVERY.replace('(a, ONE)', '(a)')}z = MatMul (o, K)\n{line}"
    path = write(tmp_path, body.replace("Squeeze", "Squeeze <axes = [1]>"), **LSTM, K=(4, 2))
    proto = onnx.load_model(path)
    proto.opset_import[0].version = 12
    path.write_bytes(proto.SerializeToString())
    if message:
        (problem,) = problems(path)
        assert message in problem
    else:
        assert "activation: softmax" in check_reading(path).text


# Nodes that no network of the language has in every place. Whatever a reader says of a place, it
# must not pass over them.
FLIP = "w_ = Slice (w, LAST, BACK, {}, LAST)"
STRANGE = {
    **{f"flip {axis}": FLIP.format(axis) for axis in ("ZERO", "ONE", "TWO")},
    "half": "i_ = Cast <to = 10> (w)\nw_ = Cast <to = 1> (i_)",
    "dropout": "q_ = Cast <to = 9> (FINAL)\nw_ = Dropout (w, HALF, q_)",
    "squares": "w_ = ReduceSumSquare <keepdims = 1> (w, ZERO)",
    "softmax": "w_ = Softmax <axis = 1> (w)",
    "absolute": "w_ = Abs (w)",
    "shifted": "a_ = Add (w, HALF)\nw_ = Identity (a_)",
}
PLACES = {
    "plain": "x t a h s", "every": "o z", "told": "x e t a h s", "both": "r a c k",
    "weighted": "o z w v", "states": "z h",
}  # fmt: skip


@pytest.mark.parametrize("base", PLACES)
def test_no_node_is_passed_over(tmp_path: Path, base: str) -> None:
    wrong, read = list[str](), 0
    for at in PLACES[base].split():
        for name, lines in STRANGE.items():
            try:
                taken = take(edited(tmp_path, base, at, lines))
            except ModelError:
                continue
            try:
                check_taken(taken, sizes=[(1, 2), (4, 4), (9, 3)])
                read += 1
            except Exception as error:  # noqa: BLE001 - of ONNX Runtime, or another result
                wrong.append(f"{name} at {at}: {error}")
    assert read
    assert not wrong


def test_both_directions_are_no_single_numbers(tmp_path: Path) -> None:
    body = (
        f'{AHEAD}a, h = LSTM <hidden_size = 4, direction = "bidirectional"> (t, W, R, B)\n'
        "y = ReduceSum <keepdims = 0> (h, ZERO)"
    )
    assert "merge: sum" in check_reading(write(tmp_path, body, **BOTH)).text
