"""The axes that ONNX files take and return, and windows over any number of steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cases import cases
from importing.onnx_graphs import (
    AFTER,
    COUNT,
    EMBED,
    FEATURES,
    LSTM,
    OUT,
    STATE,
    TABLE,
    TOKENS,
    TURN,
    check_reading,
    problems,
    write,
)

SUMS = (
    "i = Squeeze (a, ONE)\no = Transpose <perm = [1, 0, 2]> (i)\nw = Unsqueeze (m, TWO)\n"
    "k = Where (w, o, NOTHING)\ns = ReduceSum <keepdims = 0> (k, ONE)\n"
    "f = Cast <to = 1> (l)\ng = Unsqueeze (f, ONE)\nv = Max (g, ONCE)\ny = Div (s, v)\n"
)
"""A sum ``s`` of the real steps, and their mean ``y``."""
SEQUENCE = "(batch, steps, features)"
STEPS = f"{STATE}i = Squeeze (a, ONE)\n"
OF_BATCH = f"{STEPS}o = Transpose <perm = [1, 0, 2]> (i)\n"
RETURNED = {
    "features second": (
        f"{STEPS}y = Transpose <perm = [1, 2, 0]> (i)",
        f"(batch, features, steps), the spec {SEQUENCE}",
    ),
    "time first": (f"{STEPS}y = Identity (i)", f"(steps, batch, features), the spec {SEQUENCE}"),
    "directions": (
        f"{STATE}y = Identity (a)",
        f"(steps, 1, batch, features), the spec {SEQUENCE}",
    ),
    "state": (f"{STATE}y = Identity (h)", "(1, batch, features), the spec (batch, features)"),
    "one feature": (
        f"{OF_BATCH}m = MatMul (o, K1)\ny = Squeeze (m, TWO)",
        f"(batch, steps), the spec {SEQUENCE}",
    ),
}


@cases(("body", "axes"), RETURNED)
def test_other_axes_of_the_result_are_said(tmp_path: Path, body: str, axes: str) -> None:
    taken = check_reading(write(tmp_path, body, **LSTM, K1=(4, 1)))
    assert taken.imported.inferred == (f"the file returns {axes}",)


def test_each_result_has_axes_of_its_own(tmp_path: Path) -> None:
    body = f"{OF_BATCH}y = Identity (o)\nz = Identity (h)"
    taken = check_reading(write(tmp_path, body, FEATURES, "float y, float z", **LSTM))
    assert taken.imported.inferred == (
        "z: the file returns (1, batch, features), the spec (batch, features)",
    )


@cases("behind", ["", "m = MatMul (o, K)\nn = Add (m, b)\no2 = Tanh (n)\n"])
def test_the_last_step_with_its_axis(tmp_path: Path, behind: str) -> None:
    last = "o2" if behind else "o"
    body = f"{OF_BATCH}{behind}y = Slice ({last}, LAST, END, ONE)"
    taken = check_reading(write(tmp_path, body, **LSTM, K=(4, 2), b=(2,)))
    assert "pooling: {last_steps: 1}" in taken.text
    assert not taken.imported.inferred


TAKEN = {
    "features second": (
        "float[batch, 3, steps] x",
        "t = Transpose <perm = [2, 0, 1]> (x)\n",
        f"(batch, features, steps), the spec {SEQUENCE}",
    ),
    "time first": (
        "float[steps, batch, 3] x",
        "t = Identity (x)\n",
        f"(steps, batch, features), the spec {SEQUENCE}",
    ),
    "a number a step": (
        "float[batch, steps] x",
        "u = Unsqueeze (x, TWO)\nt = Transpose <perm = [1, 0, 2]> (u)\n",
        f"(batch, steps), the spec {SEQUENCE}",
    ),
    "convolved features": (
        "float[batch, 3, 8] x",
        "d = Conv (x, F)\nt = Transpose <perm = [2, 0, 1]> (d)\n",
        f"(batch, features, steps), the spec {SEQUENCE}",
    ),
    "tokens": (
        "int64[steps, batch] x",
        "t = Gather (E, x)\n",
        "(steps, batch), the spec (batch, steps)",
    ),
}


@cases("way", list(TAKEN))
def test_other_axes_of_the_input_are_said(tmp_path: Path, way: str) -> None:
    inputs, first, axes = TAKEN[way]
    shapes = {**LSTM, "W": (1, 16, 1)} if way == "a number a step" else LSTM
    body = f"{first}a, h = LSTM <hidden_size = 4> (t, W, R, B)\ny = Squeeze (h, ZERO)"
    taken = check_reading(write(tmp_path, body, inputs, **TABLE, **shapes, F=(3, 3, 3)))
    assert f"the file takes {axes}" in taken.imported.inferred


@cases(
    ("inputs", "own", "order"),
    [
        ("float[batch, steps, 3] x", "(batch, steps, 3)", "(steps, batch, features)"),
        ("float[1, seq_len, 3] x", "(1, seq_len, 3)", "(steps, batch, features)"),
        ("int64[N, T] x", "(N, T)", "(steps, batch)"),
    ],
)
def test_a_batch_as_the_steps(tmp_path: Path, inputs: str, own: str, order: str) -> None:
    first = "t = Gather (E, x)\n" if "int64" in inputs else "t = Identity (x)\n"
    body = f"{first}a, h = LSTM <hidden_size = 4> (t, W, R, B)\ny = Squeeze (h, ZERO)"
    (problem,) = problems(write(tmp_path, body, inputs, **TABLE, **LSTM))
    assert problem.startswith(f"x: the file calls its axes {own}, but its layers take them as ")
    assert f"{order}; expected the same" in problem


def test_a_pool_of_an_odd_number(tmp_path: Path) -> None:
    # Of each length that the reader tries, the convolution makes an even one.
    body = f"{TURN}k = Conv <strides = [2]> (c, F)\nd = MaxPool <{{}}> (k)\n{AFTER}"
    ceil = "kernel_shape = [2], strides = [2], ceil_mode = 1"
    head = "i = Squeeze (a, ONE)\ny = Transpose <perm = [1, 0, 2]> (i)"
    taken = check_reading(write(tmp_path, body.format(ceil) + head, **LSTM, F=(3, 3, 3)))
    assert "{type: max_pool, size: 2, padding: same}" in taken.text
    assert taken.imported.left_out == (
        "what the file returns for fewer than 3 steps (the windows of the spec need as many)",
    )


def test_numbers_of_steps_around(tmp_path: Path) -> None:
    body = f"{TURN}k = Conv <strides = [2], pads = [1, 1]> (c, F)\n"
    body += "w = Conv <pads = [2, 2]> (k, G)\n"
    body += f"d = MaxPool <kernel_shape = [3], strides = [2], pads = [0, 1]> (w)\n{AFTER}{OUT}"
    arrays = LSTM | {"F": (3, 3, 3), "G": (3, 3, 3), "K": (4, 2), "b": (2,)}
    text = check_reading(write(tmp_path, body, **arrays)).text
    assert [line.count("padding: [") for line in text.splitlines()].count(1) == 3


@cases(
    ("window", "message"),
    [
        ("kernel_shape = [3], pads = [0, 3]", "padding: 0 steps before and 3 after"),
        ('kernel_shape = [3], auto_pad = "VALID", pads = [1, 1]', "auto_pad: expected it without"),
    ],
)
def test_windows_that_depend_on_the_length(tmp_path: Path, window: str, message: str) -> None:
    body = f"{TURN}k = Conv <strides = [2]> (c, F)\nd = MaxPool <{window}> (k)\n{AFTER}{OUT}"
    (problem,) = problems(write(tmp_path, body, **LSTM, F=(3, 3, 3), K=(4, 2), b=(2,)))
    assert message in problem


WINDOWS = {
    "a convolution": 'd = Conv <auto_pad = "SAME_UPPER"> (c, F)',
    "maxima of zeros": "z = Where (u, c, NOTHING)\n"
    'd = MaxPool <kernel_shape = [3], auto_pad = "SAME_UPPER"> (z)',
    "means of zeros": "z = Where (u, c, NOTHING)\n"
    'd = AveragePool <kernel_shape = [3], auto_pad = "SAME_UPPER"> (z)',
}


@cases("window", WINDOWS)
def test_windows_that_see_padding(tmp_path: Path, window: str) -> None:
    body = (
        f"{COUNT}e = Gather (E, x)\nc = Transpose <perm = [0, 2, 1]> (e)\nu = Unsqueeze (m, ONE)\n"
        f"{window}\nt = Transpose <perm = [2, 0, 1]> (d)\n"
        "a, h = LSTM <hidden_size = 4> (t, W, R, B, l)\ny = Squeeze (h, ZERO)"
    )
    (problem,) = problems(write(tmp_path, body, TOKENS, **TABLE, **LSTM, F=(3, 3, 3)))
    assert "at d: counts padding, where the network of rnnspec leaves it out" in problem


def test_a_sum_beside_its_mean(tmp_path: Path) -> None:
    body = f"{COUNT}{EMBED}a = LSTM <hidden_size = 4> (t, W, R, B, l)\n{SUMS}z = Identity (s)"
    path = write(tmp_path, body, TOKENS, "float y, float z", **TABLE, **LSTM, ONCE=np.ones(1))
    taken = check_reading(path)
    assert "y: {pooling: mean}" in taken.text
    assert "z: {pooling: sum}" in taken.text


def test_a_gather_of_fewer_features(tmp_path: Path) -> None:
    index = np.broadcast_to(np.arange(3)[:, None], (2, 3, 2))
    body = f"{OF_BATCH}y = GatherElements <axis = 1> (o, INDEX)"
    (problem,) = problems(write(tmp_path, body, "float[2, 3, 3] x", **LSTM, INDEX=index))
    assert "expected steps of each sequence by their indices" in problem


def test_a_sum_in_a_head(tmp_path: Path) -> None:
    # The residual of a layer that only one of the results goes through.
    body = (
        f"{OF_BATCH}y = Tanh (o)\nt2 = Transpose <perm = [1, 0, 2]> (y)\n"
        "a2 = LSTM <hidden_size = 4> (t2, W2, R, B)\ni2 = Squeeze (a2, ONE)\n"
        "b2 = LSTM <hidden_size = 4> (i2, W2, R, B)\nj2 = Squeeze (b2, ONE)\nz = Add (j2, i2)"
    )
    path = write(
        tmp_path, body, "float[batch, steps, 3] x", "float y, float z", **LSTM, W2=(1, 16, 4)
    )
    assert "residual: true" in check_reading(path).text
