"""Attention of a decoder in ONNX files: of PyTorch's exporter, and of other tools."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from importing.onnx_graphs import check_reading, imported, problems, write
from importing.test_onnx_exported import exported
from importing.test_onnx_own import SPECS, without_spec
from offered import import_later

torch: Any = import_later("torch")
onnx = import_later("onnx")
import_later("onnxruntime")


@pytest.mark.parametrize(
    "name",
    [
        "general, at the steps",
        "a mask",
        "a function of PyTorch",
        "additive with biases",
    ],
)
def test_a_module_comes_back(tmp_path: Path, name: str) -> None:
    module = import_module("importing.torch_modules").read("attention.txt")[name]
    torch.manual_seed(0)
    tokens = (torch.randint(1, 9, (2, 7)), torch.randint(1, 8, (2, 5)))
    found = imported(exported(tmp_path, module.make().eval(), tokens, ["source", "target"]))
    assert "score: " in (text := found.model.text)
    assert [part for part in module.told if "score" in part and part not in text] == [], text


SIDES = """\
t = Transpose <perm = [1, 0, 2]> (x)
m, h = GRU <hidden_size = 4, linear_before_reset = 1> (t, W, R, B%s)
n = Squeeze (m, ONE)
v = Transpose <perm = [1, 0, 2]> (n)
u = Transpose <perm = [1, 0, 2]> (z)
o, p = GRU <hidden_size = 4, linear_before_reset = 1> (u, W, R, B, "", h)
s = Squeeze (o, ONE)
q = Transpose <perm = [1, 0, 2]> (s)
k = Transpose <perm = [0, 2, 1]> (v)
a = MatMul (q, k)
"""
INPUTS = "float[batch, steps, 3] x, float[batch, others, 3] z"
ARRAYS: dict[str, Any] = {"W": (1, 12, 3), "R": (1, 12, 4), "B": (1, 24)}
MASK = """\
equal = Equal (x, NOTHING)
ints = Cast <to = 7> (equal)
padded = ReduceMin <keepdims = 0> (ints, LAST)
pad = Unsqueeze (padded, ONE)
is_pad = Cast <to = 9> (pad)
is_real = Not (is_pad)
real = Sub (ONE, padded)
count = ReduceSum <keepdims = 0> (real, ONE)
lengths = Cast <to = 6> (count)
"""
LARGE = "E = Constant <value_float = 1000000000.0> ()\n"
TAIL = "w = Softmax <axis = -1> (b)\nc = MatMul (w, v)\ny = Concat <axis = -1> (q, c)"
# Keras takes 1e9 from the scores of padding, and Keras 3 chooses between both.
GRAPHS: dict[str, str] = {
    "a difference": LARGE + "f = Cast <to = 1> (is_pad)\ng = Mul (E, f)\nb = Sub (a, g)\n",
    "a sum": "O = Constant <value_float = -1000000000.0> ()\nf = Cast <to = 1> (is_pad)\n"
    "g = Mul (f, O)\nb = Add (g, a)\n",
    "a choice": LARGE + "low = Sub (a, E)\nb = Where (is_pad, low, a)\n",
    "a choice of a number": "b = Where (is_real, a, LOW)\n",
}


@cases("mask", GRAPHS)
def test_a_mask_of_scores(tmp_path: Path, mask: str) -> None:
    body = MASK + SIDES % ", lengths" + mask + TAIL
    taken = check_reading(write(tmp_path, body, INPUTS, **ARRAYS))
    assert "score: dot}" in taken.text
    assert "mask_value: 0.0" in taken.text


REFUSED: dict[str, tuple[str, str]] = {
    "no mask": (
        MASK + SIDES % ", lengths" + TAIL.replace("(b)", "(a)"),
        "Softmax at w: weighs padding, too; rnnspec leaves it out, as masked_fill with -inf does",
    ),
    "a low number that leaves some weight": (
        MASK + SIDES % ", lengths" + "b = Where (is_real, a, VALUE)\n" + TAIL,
        "Where at b: expected at most -1e+09 at padding, received -1",
    ),
    "other real steps": (
        MASK + SIDES % ", lengths" + "b = Where (is_pad, a, LOW)\n" + TAIL,
        "Where at b: expected a condition that is true at real steps, received another",
    ),
    "a softmax over the queries": (
        SIDES % "" + TAIL.replace("(b)", "(a)").replace("-1> (a)", "1> (a)"),
        "MatMul at c: expected a product over the steps, received the weights of the steps",
    ),
    "a scaled additive score": (
        SIDES
        % ""
        + "d = Unsqueeze (q, TWO)\ne = Unsqueeze (v, ONE)\nf = Add (d, e)\ng = Tanh (f)\n"
        "i = MatMul (g, K)\nj = Squeeze (i, LAST)\nb = Mul (j, HALF)\n" + TAIL,
        "MatMul at c: scales an additive score by 0.5; rnnspec does not support that",
    ),
}


@cases(("body", "message"), REFUSED)
def test_what_is_no_attention_of_the_language(tmp_path: Path, body: str, message: str) -> None:
    found = problems(write(tmp_path, body, INPUTS, **ARRAYS, K=(4, 1)))
    assert [one for one in found if one.startswith(message)], found


def change_number(proto: Any, name: str, number: float) -> None:
    array = next(each for each in proto.graph.initializer if each.name == name)
    value = onnx.numpy_helper.to_array(array)
    array.CopyFrom(onnx.numpy_helper.from_array((value * 0 + number).astype(value.dtype), name))


OTHER = "expected the attention that rnnspec writes, received other numbers"


@cases(
    ("name", "number", "message"),
    [("Lowest", -1.0, OTHER), ("Zero", 1.0, "expected initial states of zeros")],
)
def test_a_scan_with_another_number(tmp_path: Path, name: str, number: float, message: str) -> None:
    path, _ = without_spec(tmp_path, f"version: 1\nname: net\n{SPECS['attention before the cell']}")
    proto = onnx.load_model(path)
    change_number(proto, name, number)
    path.write_bytes(proto.SerializeToString())
    (problem, *_) = problems(path)
    assert message in problem


def test_a_scan_with_other_parts(tmp_path: Path) -> None:
    rnn = "{type: gru, units: 3, activation: silu, reset_after: false}"
    text = f"version: 1\nname: net\ninput: {{features: 2}}\nrnn: {rnn}\n"
    path, _ = without_spec(tmp_path, text)
    proto = onnx.load_model(path)
    array = next(each for each in proto.graph.initializer if each.name == "Sizes_6_3")
    array.CopyFrom(onnx.numpy_helper.from_array(np.array([5, 4]), array.name))
    path.write_bytes(proto.SerializeToString())
    (problem,) = problems(path)
    assert problem == "Scan at gru_1_Last_h: expected parts of 3 units, received others"
