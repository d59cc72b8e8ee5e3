"""ONNX files that rnnspec wrote come back exactly; any other is refused with a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from importing.onnx_graphs import write_own
from offered import import_later

from rnnspec import pipeline
from rnnspec.errors import BackendError, ModelError, RnnspecError
from rnnspec.importing.original import compare_file
from rnnspec.importing.run import take
from rnnspec.models.convert import convert
from rnnspec.version import __version__
from rnnspec.weights.initial import draw_scaled

if TYPE_CHECKING:
    from collections.abc import Callable

onnx: Any = import_later("onnx")
import_later("onnxruntime")

TEXT = """\
version: 1
name: tagger  # a comment stays too
embedding: {vocabulary: 9, dim: 3, mask_zero: true, trainable: false}
rnn:
  - {type: lstm, units: 4, dropout: 0.5, layer_norm: true, residual: false}
  - {type: gru, units: 2, bidirectional: true}
  - {type: gru, units: 2, reset_after: false, activation: silu, bidirectional: true}
head: {pooling: none, hidden: [{units: 3}], units: 2, bias: false}
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write_own(tmp_path / "model.onnx", TEXT)
    return tmp_path / "model.onnx"


def test_the_spec_and_the_arrays_come_back(tmp_path: Path) -> None:
    arrays = write_own(tmp_path / "model.onnx", TEXT)
    taken = take(tmp_path / "model.onnx")
    assert taken.text == TEXT
    assert taken.imported.form == f"ONNX file of rnnspec {__version__}"
    assert list(taken.arrays) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(taken.arrays[name], array)


@pytest.fixture
def stepped(tmp_path: Path) -> Path:
    text = TEXT.replace(", bidirectional: true", "")
    write_own(tmp_path / "model.onnx", text, 2, "step")
    return tmp_path / "model.onnx"


def test_the_step_form_comes_back(stepped: Path) -> None:
    taken = take(stepped)
    assert taken.text == TEXT.replace(", bidirectional: true", "")
    network = taken.imported.network
    for name, array in draw_scaled(network, 2).items():
        np.testing.assert_array_equal(taken.arrays[name], array.astype(np.float32))


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("inference", "its graph is not that of the spec in it"),
        ("tree", "expected a model for inference or step, received one for tree"),
    ],
)
def test_another_form_than_that_of_the_graph(stepped: Path, form: str, message: str) -> None:
    proto = onnx.load_model(stepped)
    next(prop for prop in proto.metadata_props if prop.key == "form").value = form
    stepped.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match=message) as caught:
        take(stepped)
    # The graph by itself is none of the language, either.
    assert "expected initial states of zeros" in str(caught.value)


def test_a_named_spec_must_be_that_of_the_file(written: Path) -> None:
    named = pipeline.reads(TEXT)
    assert take(written, spec=named).program is named
    # The arrays fit this network too.
    other = pipeline.reads(TEXT.replace("activation: silu", "activation: relu"))
    with pytest.raises(ModelError, match=r"activation: expected 'relu', received 'silu'"):
        take(written, spec=other)


def test_it_becomes_a_model_of_another_backend(written: Path) -> None:
    pytest.importorskip("torch")
    output = written.parent / "folder"
    convert(written, output)
    assert sorted(path.name for path in output.iterdir()) == ["tagger.py", "tagger.safetensors"]


def initializer(proto: Any, name: str) -> Any:
    return next(each for each in proto.graph.initializer if each.name == name)


def foreign(proto: Any) -> None:
    proto.producer_name, proto.producer_version = "pytorch", "2.1"


def without_spec(proto: Any) -> None:
    del proto.metadata_props[:]


def other_operator(proto: Any) -> None:
    next(node for node in proto.graph.node if node.op_type == "LSTM").op_type = "GRU"


def other_constant(proto: Any) -> None:
    initializer(proto, "Padding_Token").int64_data[0] = 1


def second_bias(proto: Any) -> None:
    bias = initializer(proto, "lstm_1_B")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.ones((1, 32), np.float32), bias.name))


def left_out(proto: Any) -> None:
    proto.graph.initializer.remove(initializer(proto, "dense_1_W"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_operator, r"its graph is not that of the spec in it"),
        (other_constant, r"its graph is not that of the spec in it"),
        (left_out, r"missing: dense_1\.kernel \(at dense_1\.W\)"),
    ],
)
def test_any_other_file(written: Path, change: Callable[[Any], None], message: str) -> None:
    proto = onnx.load_model(written)
    change(proto)
    written.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match=message) as caught:
        take(written)
    assert str(written) in str(caught.value)
    assert "the spec in the file is not used" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [(foreign, ""), (without_spec, ""), (second_bias, "unexpected: lstm_1_Rb")],
)
def test_a_file_that_is_read_by_its_graph(
    written: Path, change: Callable[[Any], None], reason: str
) -> None:
    proto = onnx.load_model(written)
    change(proto)
    written.write_bytes(proto.SerializeToString())
    taken = take(written)
    said = [each for each in taken.imported.inferred if "the spec in the file is not" in each]
    assert [reason in each for each in said] == ([True] if reason else [])
    assert compare_file(written, taken, lambda _: None).outcome


def test_broken_bytes(written: Path) -> None:
    whole, rng = written.read_bytes(), np.random.default_rng(0)
    codes = []
    for at in rng.integers(0, len(whole), 60):
        broken = bytearray(whole)
        broken[at] ^= int(rng.integers(1, 256))
        written.write_bytes(broken)
        try:
            take(written)
        except RnnspecError as error:
            codes.append(error.exit_code)
    assert len(codes) > 15
    assert set(codes) <= {1, 2}


@pytest.mark.parametrize("old", [b"tagger", b"dense_1_W", b"Padding_Token"])
def test_text_that_is_not_utf8(written: Path, old: bytes) -> None:
    written.write_bytes(written.read_bytes().replace(old, b"\xff" + old[1:]))
    # The graph has the same values under other names.
    taken = take(written)
    assert taken.text.isascii()
    assert compare_file(written, taken, lambda _: None).outcome


def test_without_the_package(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(BackendError, match=r"needs onnx: pip install '.*\[onnx\]'"):
        take(written)
