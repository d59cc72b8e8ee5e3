"""What the nodes of a graph limit, where no sample is, is said or refused: never passed over."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from importing.onnx_graphs import COUNT, EMBED, FEATURES, HEAD, LSTM, OUT, TOKENS, onnx, write
from offered import import_later

from rnnspec.backends import Backend
from rnnspec.comparison import reference
from rnnspec.errors import ModelError
from rnnspec.importing.onnx.decode import read_graph
from rnnspec.importing.onnx.original import open_file
from rnnspec.importing.original import compare_file
from rnnspec.importing.run import take
from rnnspec.ir import nodes

import_later("onnxruntime")

PLAIN = f"t = Transpose <perm = [1, 0, 2]> (x)\na, h = LSTM <hidden_size = 4> (t, W, R, B)\n{OUT}"
EVERY = (
    "t = Transpose <perm = [1, 0, 2]> (x)\na = LSTM <hidden_size = 4> (t, W, R, B)\n"
    "i = Squeeze (a, ONE)\no = Transpose <perm = [1, 0, 2]> (i)\nz = MatMul (o, K)\n"
    "y = Relu (z)"
)
TOLD = f"{EMBED}{COUNT}a, h = LSTM <hidden_size = 4> (t, W, R, B, l)\n{OUT}"
BOTH = (
    "t = Transpose <perm = [1, 0, 2]> (x)\nr = Slice (t, LAST, BACK, ZERO, LAST)\n"
    "a = LSTM <hidden_size = 4> (t, W, R, B)\nc = LSTM <hidden_size = 4> (r, W, R, B)\n"
    "i = Squeeze (a, ONE)\nj = Squeeze (c, ONE)\nk = Slice (j, LAST, BACK, ZERO, LAST)\n"
    "y = Concat <axis = 2> (i, k)"
)
WEIGHTED = (
    "t = Transpose <perm = [1, 0, 2]> (x)\na = LSTM <hidden_size = 4> (t, W, R, B)\n"
    "i = Squeeze (a, ONE)\no = Transpose <perm = [1, 0, 2]> (i)\nz = MatMul (o, Q)\n"
    "w = Softmax <axis = 1> (z)\nv = Mul (w, o)\ny = ReduceSum <keepdims = 0> (v, ONE)"
)
FULL = (
    "n = Shape (x)\nv = Gather (n, ONE)\nr = Gather (n, ZERO)\ne = Expand (v, r)\n"
    "l = Cast <to = 6> (e)\nt = Transpose <perm = [1, 0, 2]> (x)\n"
    f"a, h = LSTM <hidden_size = 4> (t, W, R, B, l)\n{OUT}"
)
STATES = (
    "n = Shape (x)\nr = Gather (n, ZERO)\nk = Concat <axis = 0> (ONE, r, UNITS)\n"
    "z = ConstantOfShape (k)\nt = Transpose <perm = [1, 0, 2]> (x)\n"
    f"a, h = LSTM <hidden_size = 4> (t, W, R, B, , z, z)\n{OUT}"
)
BASES = {
    "plain": PLAIN, "every": EVERY, "told": TOLD, "both": BOTH, "weighted": WEIGHTED,
    "full": FULL, "states": STATES,
}  # fmt: skip
NUMBERS: dict[str, Any] = {
    "HUNDRED": np.float32(100), "LEAST": np.float32(-100), "HIGH": np.float32(500),
    "SMALL": np.float32(0.01), "UNIT": np.float32(1), "N3": np.int64(3), "N4": np.int64(4998),
    "N60": np.int64(60), "N1": np.int64(1), "N0": np.int64(0), "V60": np.array([60]),
    "V100": np.array([100]), "BELOW": np.array([-100]), "V64": np.array([64]),
    "L100": np.array([100], np.int32), "BACK": np.array([-(2**62)]), "FLAT": np.array([0, 0, -1]),
}  # fmt: skip


def choose(condition: str) -> str:
    """Return nodes that take w or -w."""
    return (
        f"{condition}\nw_ = If <then_branch = one () => (float p) {{ p = Identity (w) }}, "
        "else_branch = two () => (float q) { q = Neg (w) }> (k_)"
    )


STEPS = "s_ = Shape (x)\nn_ = Gather (s_, N1)\n"
# The graph, the value behind which nodes come (which make w_ of w), the nodes, and what is
# refused, empty if the reading is right for all.
EDITS = {
    "clip": (
        "plain",
        "x",
        "w_ = Clip (w, LEAST, HUNDRED)",
        "Clip at w_: rnnspec does not support Clip with -100 and 100",
    ),
    "minimum": (
        "plain",
        "h",
        "w_ = Min (w, HIGH)",
        "Min at w_: rnnspec does not support Min with 500",
    ),
    "maximum": ("every", "z", "w_ = Max (w, LEAST)", ""),
    "a slope": ("every", "z", "w_ = Mul (w, UNIT)", ""),
    "small": (
        "plain",
        "x",
        "a_ = Abs (w)\ng_ = Less (a_, SMALL)\nw_ = Where (g_, UNIT, w)",
        "0.01",
    ),
    "a batch's largest": (
        "plain",
        "x",
        "m_ = ReduceMax <keepdims = 1> (w, ZERO)\nw_ = Div (w, m_)",
        "LSTM at a: expected",
    ),
    "if it is short": ("plain", "x", choose(f"{STEPS}k_ = Less (n_, N60)"), "Less"),
    "if it is one": ("plain", "x", choose(f"{STEPS}k_ = Equal (n_, N1)"), "Equal"),
    "if it is any": ("plain", "x", choose(f"{STEPS}k_ = Greater (n_, N0)"), ""),
    "remainder": ("plain", "x", "w_ = Mod <fmod = 1> (w, HIGH)", "with 500"),
    "first steps": ("plain", "x", "w_ = Slice (w, ZERO, V100, ONE)", "from 0 to 100"),
    "last steps": ("plain", "x", "w_ = Slice (w, BELOW, END, ONE)", "from -100"),
    "first sequences": ("plain", "x", "w_ = Slice (w, ZERO, V64, ZERO)", "from 0 to 64"),
    "all steps": (
        "plain",
        "x",
        f"{STEPS}e_ = Unsqueeze (n_, ZERO)\nw_ = Slice (w, ZERO, e_, ONE)",
        "",
    ),
    "few steps": (
        "plain",
        "x",
        f"{STEPS}m_ = Min (n_, N60)\ne_ = Unsqueeze (m_, ZERO)\nw_ = Slice (w, ZERO, e_, ONE)",
        "with 60",
    ),
    "steps by a smallest": (
        "plain",
        "x",
        (
            f"{STEPS}u_ = Unsqueeze (n_, ZERO)\nc_ = Concat <axis = 0> (u_, V60)\n"
            "m_ = ReduceMin <keepdims = 1> (c_)\nw_ = Slice (w, ZERO, m_, ONE)"
        ),
        "ReduceMin",
    ),
    "no step left": (
        "plain",
        "x",
        (
            f"{STEPS}d_ = Sub (n_, N60)\nr_ = Range (N0, d_, N1)\nq_ = Cast <to = 1> (r_)\n"
            "m_ = ReduceSum <keepdims = 0> (q_)\nw_ = Add (w, m_)"
        ),
        "Range",
    ),
    "steps in turns": (
        "plain",
        "x",
        f"{STEPS}r_ = Range (N0, n_, N1)\nq_ = Mod (r_, N60)\nw_ = Gather <axis = 1> (w, q_)",
        "Mod of sizes or padding with 60",
    ),
    "backward": ("plain", "x", "w_ = Slice (w, LAST, BACK, ONE, LAST)", ""),
    "other shape": (
        "plain",
        "x",
        "a_ = Transpose <perm = [1, 0, 2]> (w)\ns_ = Shape (a_)\nw_ = Reshape (w, s_)",
        "no output of a layer",
    ),
    "same shape": ("plain", "x", "s_ = Shape (w)\nw_ = Reshape (w, s_)", ""),
    "sums": ("every", "z", "w_ = CumSum (w, N1)", "CumSum"),
    "reversed directions": ("both", "k", "w_ = Slice (w, LAST, BACK, ZERO, LAST)", "order"),
    "a reversed half": ("both", "c", "w_ = Identity (w)", ""),
    "reversed weights": ("weighted", "w", "w_ = Slice (w, LAST, BACK, ONE, LAST)", "order"),
    "lengths in a byte": ("full", "l", "i_ = Cast <to = 3> (w)\nw_ = Cast <to = 6> (i_)", "Cast"),
    "lengths by steps": ("full", "n", "w_ = Identity (w)", ""),
    "counts": ("told", "l", "w_ = Min (w, L100)", "Min of sizes or padding with 100"),
    "tokens up to": ("told", "x", "w_ = Min (w, N4)", "changes the numbers of the input with 4998"),
    "a token": (
        "told",
        "x",
        "q_ = Equal (w, N4)\nw_ = Where (q_, N1, w)",
        "compares the input with",
    ),
    "bytes": ("told", "x", "i_ = Cast <to = 2> (w)\nw_ = Cast <to = 7> (i_)", "casts the input"),
    "exact tokens": ("told", "x", "i_ = Cast <to = 11> (w)\nw_ = Cast <to = 7> (i_)", ""),
    "zero states": ("states", "z", "w_ = Mul (w, NOTHING)", ""),
    "states of long ones": (
        "states",
        "z",
        f"{STEPS}d_ = Sub (n_, N60)\nm_ = Max (d_, N0)\nf_ = Cast <to = 1> (m_)\nw_ = Add (w, f_)",
        "Max of sizes or padding with 0",
    ),
}


def edited(folder: Path, base: str, at: str, lines: str) -> Path:
    """Write a graph with nodes behind a value: all that took the value takes what they make."""
    told = base == "told"
    arrays = {**LSTM, **HEAD, "E": (5000, 3), "Q": (4, 1)} | {
        name: np.asarray(number) for name, number in NUMBERS.items()
    }
    path = write(folder, BASES[base], TOKENS if told else FEATURES, "float y", **arrays)
    proto = onnx.load_model(path)
    header = '<ir_version: 8, opset_import: ["": 18]> net (float w) => (float w_)'
    added = onnx.parser.parse_model(f"{header} {{\n{lines}\n}}").graph.node
    graphs = [a.g for node in added for a in node.attribute if a.HasField("g")]
    for node in [*added, *(inner for graph in graphs for inner in graph.node)]:
        node.input[:] = [at if name == "w" else name for name in node.input]
    kept = list(proto.graph.node)
    for node in kept:
        node.input[:] = ["w_" if name == at else name for name in node.input]
    place = next((i + 1 for i, node in enumerate(kept) if at in node.output), 0)
    del proto.graph.node[:]
    proto.graph.node.extend([*kept[:place], *added, *kept[place:]])
    path.write_bytes(proto.SerializeToString())
    return path


def batches(network: nodes.Network) -> list[Any]:
    """Return batches of many sizes, with small numbers and large ones."""
    rng = np.random.default_rng(0)
    result: list[Any] = []
    for rows, steps in ((2, 4), (1, 1), (3, 61), (2, 130), (70, 2)):
        if isinstance(network.input, nodes.NumericInput):
            numbers = rng.standard_normal((rows, steps, 3)).astype(np.float32)
            result += [numbers, numbers * np.float32(1e-3), numbers * np.float32(1e3)]
        else:
            result.append(rng.choice([1, 4998, 4999, 300], (rows, steps)))
    return result


@cases(("base", "at", "lines", "refused"), EDITS)
def test_nodes_decide_what_no_sample_reaches(
    tmp_path: Path, base: str, at: str, lines: str, refused: str
) -> None:
    path = edited(tmp_path, base, at, lines)
    if refused:
        with pytest.raises(ModelError) as caught:
            take(path)
        assert refused in str(caught.value)
        return
    taken = take(path)
    assert taken.imported.open_file is not None
    run = taken.imported.open_file()
    for batch in batches(taken.program.network):
        expected = reference.run(taken.program.network, taken.arrays, batch).output
        np.testing.assert_allclose(run(batch), expected, rtol=1e-3, atol=1e-4)


BEYOND = {
    "numbers": ("plain", "x", EDITS["clip"][2]),
    "steps": ("plain", "x", EDITS["first steps"][2]),
    "sequences": (
        "plain",
        "x",
        choose("s_ = Shape (x)\nn_ = Gather (s_, N0)\nk_ = Less (n_, N60)"),
    ),
    "tokens": ("told", "x", EDITS["a token"][2]),
}


@cases(("base", "at", "lines"), BEYOND)
def test_a_file_runs_beyond_each_of_its_limits(
    tmp_path: Path, base: str, at: str, lines: str
) -> None:
    """The comparison finds a wrong reading, such as one that passes over the nodes."""
    taken = take(edited(tmp_path, base, at, "w_ = Identity (w)"))
    other = tmp_path / "other"
    other.mkdir()
    path = edited(other, base, at, lines)
    assert isinstance(taken.imported.open_file, partial)
    layout = taken.imported.open_file.args[1]
    changed = replace(
        taken.imported,
        open_file=partial(open_file, path, layout),
        limits=read_graph(path).limits,
    )
    with pytest.raises(ModelError, match="expected the output of the original"):
        compare_file(path, replace(taken, imported=changed), Backend.require)
