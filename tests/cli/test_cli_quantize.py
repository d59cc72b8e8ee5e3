"""``rnnspec build --quantize int8``: a file that was run, and refusals."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from offered import import_later

onnx = import_later("onnx")
onnxruntime = import_later("onnxruntime")

Run = Callable[..., Any]
BUILD = ("build", "net.yaml", "-b", "onnx", "--seed", 1, "-o", "net.onnx")
INT8 = (*BUILD, "--quantize", "int8")
NET = """\
version: 1
name: net
embedding: {vocabulary: 400, dim: 16, mask_zero: true}
rnn:
  - {type: gru, units: 8}
  - {type: lstm, units: 24, bidirectional: true}
head: {units: 3}
"""


@pytest.fixture(autouse=True)
def _net() -> None:
    Path("net.yaml").write_text(NET)


def run_file(tokens: Any) -> Any:
    return onnxruntime.InferenceSession("net.onnx").run(None, {"inputs": tokens})[0]


def test_the_file_is_int8_and_near_the_network(run: Run) -> None:
    tokens = np.random.default_rng(3).integers(1, 400, (4, 9))
    tokens[1, 6:], tokens[2, :3], tokens[3] = 0, 0, 0
    assert run(*BUILD).code == 0
    exact, before = run_file(tokens), Path("net.onnx").stat().st_size
    ran = run(*INT8, "--force")
    assert (ran.code, ran.err) == (0, "")
    assert "quantized to int8: embedding_1 and bidirectional_1; not gru_1 and dense_1\n" in ran.out
    after = Path("net.onnx").stat().st_size
    assert f"size: {after / 1000:,.0f} kB, in float32 {before / 1000:,.0f} kB\n" in ran.out
    assert after < 0.5 * before
    graph = onnx.load("net.onnx").graph
    byte = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
    rounded = {each.name for each in graph.initializer if each.data_type in byte}
    assert {name for name in rounded if name.endswith("quantized")} == {
        f"{name}_quantized" for name in ("embedding_1_W", "bidirectional_1_W", "bidirectional_1_R")
    }
    told = re.search(r"outputs move by up to (\S+) on random", ran.out)
    assert told
    moved = np.abs(run_file(tokens) - exact).max()
    assert 0 < moved < 3 * float(told[1])


def test_weights_that_move_too_far_are_not_written(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnxruntime.quantization import quantize_dynamic

    def spoilt(made: Any, path: Path, **options: Any) -> None:
        quantize_dynamic(made, path, **options)
        done = onnx.load(path)
        for each in done.graph.initializer:
            if each.name == "bidirectional_1_W_scale":
                each.CopyFrom(onnx.numpy_helper.from_array(4 * onnx.numpy_helper.to_array(each)))
                each.name = "bidirectional_1_W_scale"
        onnx.save(done, path)

    monkeypatch.setattr("onnxruntime.quantization.quantize_dynamic", spoilt)
    ran = run(*INT8)
    assert ran.code == 1
    assert "of the reference once quantized to int8, received a difference of" in ran.err
    assert not Path("net.onnx").exists()


def test_a_quantized_file_is_not_imported(run: Run) -> None:
    assert run(*INT8).code == 0
    for command in (
        ("import", "net.onnx", "-o", "other.yaml"),
        ("convert", "net.onnx", "other.safetensors"),
    ):
        ran = run(*command)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err == (
            "net.onnx: error: expected exact arrays, received arrays rounded to int8; "
            "import the model that it was quantized from\n"
        )


NO_LSTM = (
    "input: {features: 2}\nrnn: [{type: gru, units: 9}, {type: lstm, units: 9, activation: silu}]"
)
NEITHER = (
    "expected an embedding or an LSTM of fused operators, received neither; there are no such "
    "operators for other layers"
)
TINY = "input: {features: 2}\nrnn: {type: lstm, units: 2}"


@cases(
    ("layers", "options", "message"),
    [
        (
            TINY,
            ("-b", "keras", "-o", "net.keras"),
            "rnnspec: error: keras cannot quantize to int8; onnx and c can\n",
        ),
        (
            TINY,
            ("-o", "net.onnx", "--form", "step"),
            "rnnspec: error: --quantize int8 is for a model in one piece, not for --form step\n",
        ),
        (TINY, (), "rnnspec: error: --quantize needs -o: the file is quantized\n"),
        (
            NO_LSTM,
            ("-o", "net.onnx"),
            f"net.yaml: error: --quantize int8: {NEITHER}\n",
        ),
        (
            TINY,
            ("-o", "net.onnx"),
            "net.yaml: error: --quantize int8: expected a smaller file, received ",
        ),
    ],
)
def test_refused(run: Run, layers: str, options: tuple[str, ...], message: str) -> None:
    Path("net.yaml").write_text(f"version: 1\nname: net\n{layers}\n")
    ran = run("build", "net.yaml", "--quantize", "int8", *options)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(message)
    assert [path.name for path in Path().iterdir()] == ["net.yaml"]
