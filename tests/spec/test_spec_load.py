"""Valid specs, and files that cannot be read."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from cases import cases

from rnnspec import load, loads
from rnnspec.errors import SpecError, UsageError
from rnnspec.spec import models

FULL = """\
version: 1
name: tagger
description: |
  Two lines,
  "quoted" {{ text }}.
input:
  length: 500
embedding:
  name: words
  vocabulary: 10000
  dim: 32
  mask_zero: true
  trainable: false
  weights: vectors/größe 1.vec
  words: words.txt
rnn:
  - type: lstm
    name: encoder
    units: 32
    layers: 2
    bidirectional: true
    merge: sum
    dropout: 0.2
    variational: false
    recurrent_dropout: 0.3
    activation: softsign
    recurrent_activation: hard_sigmoid
    bias: true
    layer_norm: true
    residual: false
  - {type: gru, units: 16, reset_after: false, dropout: 0}
  - {type: repeat, name: code, steps: 7}
  - {type: simple, units: 8, activation: relu, bias: false}
head:
  pooling: none
  dropout: 0.1
  hidden: [{units: 64, activation: relu, dropout: 5e-1, name: between}]
  name: tags
  units: 9
  activation: softmax
  bias: false
initializers:
  kernel: he_uniform
  recurrent: {normal: 1e-1}
  bias: {constant: 0}
  forget_bias: 2
  embedding: {uniform: 0.05}
expect: {parameters: 357104, max_parameters: 9223372036854775807}
"""
SMALL = "version: 1\nname: net\ninput: {features: 3}\nrnn: {type: lstm, units: 4}\n"


def test_reads_every_word() -> None:
    spec = loads(FULL)
    assert spec.description == 'Two lines,\n"quoted" {{ text }}.\n'
    assert spec.rnn == (
        models.LSTM(
            type="lstm", name="encoder", units=32, layers=2, bidirectional=True, merge="sum",
            dropout=0.2, variational=False, recurrent_dropout=0.3, activation="softsign",
            recurrent_activation="hard_sigmoid", layer_norm=True,
        ),
        models.GRU(type="gru", units=16, reset_after=False),
        models.RepeatVector(type="repeat", name="code", steps=7),
        models.SimpleRNN(type="simple", units=8, activation="relu", bias=False),
    )  # fmt: skip
    assert spec.embedding == models.Embedding(
        name="words", vocabulary=10000, dim=32, mask_zero=True, trainable=False,
        weights="vectors/größe 1.vec", words="words.txt",
    )  # fmt: skip
    assert spec.head == models.Head(
        pooling="none", dropout=0.1, name="tags", units=9, activation="softmax", bias=False,
        hidden=(models.Hidden(units=64, activation="relu", dropout=0.5, name="between"),),
    )  # fmt: skip
    assert spec.initializers.bias == models.Constant(constant=0.0)
    assert isinstance(spec.rnn[1], models.GRU)
    assert isinstance(spec.rnn[1].dropout, float)
    assert isinstance(spec.initializers.forget_bias, float)
    assert spec.expect.max_parameters == 2**63 - 1


def test_defaults() -> None:
    spec = loads(SMALL)
    (layer,) = spec.rnn
    assert layer == models.LSTM(
        type="lstm", units=4, layers=1, bidirectional=False, merge="concat",
        dropout=0.0, variational=True, recurrent_dropout=0.0, activation="tanh",
        recurrent_activation="sigmoid", bias=True, layer_norm=False, residual=False,
    )  # fmt: skip
    assert spec.input.mask_value is None
    assert spec.head is None
    assert spec.embedding is None
    assert spec.initializers == models.Initializers(
        kernel="glorot_uniform", recurrent="orthogonal", bias="zeros", forget_bias=1.0,
        embedding=models.Uniform(uniform=0.05),
    )  # fmt: skip


@cases(
    "more",
    [
        "head: {}", "head: {pooling: none}", "head: {units: 1}", "head: {hidden: [{units: 1}]}",
        "head: {dropout: 0}", "expect: {parameters: 128}", "initializers: {forget_bias: -1}",
        "description: ''", "description: 'null'", "initializers: {kernel: {constant: -1e-30}}",
    ],
)  # fmt: skip
def test_accepts(more: str) -> None:
    assert loads(SMALL + more).document.text == SMALL + more


@cases(
    "layer",
    ["layers: 1", "dropout: 0", "dropout: 0.5, variational: true", "bidirectional: false",
     "bidirectional: true, merge: concat", "layers: 2000", "units: 1000000",
     "recurrent_dropout: 0", "recurrent_dropout: 0.5, dropout: 0.5, variational: false",
     "activation: tanh", "activation: elu, recurrent_activation: linear", "layer_norm: false",
     "residual: false", "residual: true, layers: 2", "residual: true, layer_norm: true"],
)  # fmt: skip
def test_accepts_layers(layer: str) -> None:
    units = "" if "units" in layer else "units: 3, "
    assert loads(SMALL.replace("units: 4", units + layer)).rnn[0].type == "lstm"


@cases(
    "rnn",
    [
        "{type: gru, units: 4, reset_after: true}",
        "{type: gru, units: 4, reset_after: false, bias: false}",
        "{type: simple, units: 4, activation: hard_sigmoid, recurrent_dropout: 1e-3}",
        "[{type: lstm, units: 4}, {type: repeat, steps: 1}, {type: gru, units: 4, residual: true}]",
        "[{type: gru, units: 1}, {type: repeat, steps: 2147483647}, {type: gru, units: 1}]",
    ],
)
def test_accepts_stacks(rnn: str) -> None:
    assert loads(SMALL.replace("{type: lstm, units: 4}", rnn)).rnn


@cases("value", ["0", "0.0", "-999", "0.5", "0.10000000149011612"])
def test_accepts_numbers_that_mask(value: str) -> None:
    given = loads(SMALL.replace("features: 3", f"features: 3, mask_value: {value}"))
    assert given.input.mask_value == float(value)


@cases(
    "more",
    [
        "mask_zero: false", "mask_zero: true", "trainable: true",
        "weights: glove.6B.50d.txt, words: vocab", "weights: a.npy, words: a.npy",
        "weights: a/b.safetensors, words: './..words~.tsv'", "weights: ' ', words: '{x}.{{y}}'",
        "trainable: true, weights: a.bin, words: a.txt, mask_zero: true",
    ],
)  # fmt: skip
def test_accepts_embeddings(more: str) -> None:
    entrance = f"embedding: {{vocabulary: 2, dim: 3, {more}}}"
    text = SMALL.replace("input: {features: 3}", entrance)
    # A word without a vector keeps its random initial vector.
    assert loads(text + "initializers: {embedding: zeros}").embedding is not None


def test_one_token_may_be_read_without_a_mask() -> None:
    text = SMALL.replace("input: {features: 3}", "embedding: {vocabulary: 1, dim: 3}")
    assert loads(text.replace("dim: 3", "dim: 3, mask_zero: false")).embedding is not None


def test_one_layer_is_a_list_of_one() -> None:
    assert loads(SMALL).rnn == loads(SMALL.replace("{type", "[{type").replace("4}", "4}]")).rnn


def test_a_spec_is_a_value() -> None:
    spec = loads(FULL)
    assert spec == loads(FULL)
    assert hash(spec.rnn) == hash(loads(FULL).rnn)
    assert copy.deepcopy(spec) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert type(spec).model_validate(spec.document.data) is not None
    assert spec.writes("input")
    assert not loads(SMALL).writes("head")


def test_the_schema_says_what_validation_does() -> None:
    schema = models.Spec.model_json_schema()
    assert {form.get("type", "object") for form in schema["properties"]["rnn"]["anyOf"]} == {
        "array",
        "object",
    }
    assert "null" not in str(schema).replace("'default': None", "")


def test_loads_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(FULL)
    assert load("a.yaml").document.source == "a.yaml"
    assert load(tmp_path / "a.yaml").document.source == str(tmp_path / "a.yaml")
    Path("b.yaml").write_text("name: 1")
    with pytest.raises(SpecError, match=r"^b\.yaml:1:1: error: missing key 'version'"):
        load("b.yaml")


@cases(
    ("path", "message"),
    [
        ("nosuch.yaml", "nosuch.yaml: error: no such file"),
        ("folder", "folder: error: expected a file, received a folder"),
        ("pipe", "pipe: error: expected a regular file"),
        ("/dev/null", "/dev/null: error: expected a regular file"),
        ("", "'': error: no such file"),
        ("a.yaml/b", "a.yaml/b: error: cannot be read: Not a directory"),
        ("x\0y", r"x\x00y: error: cannot be read: embedded null byte"),
        ("loop", "loop: error: cannot be read: Too many levels of symbolic links"),
        ("x" * 300, "x" * 300 + ": error: cannot be read: File name too long"),
        ("\u202e\ud800", r"\u202e\ud800: error: cannot be read: "),
    ],
)
def test_files_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(SMALL)
    Path("folder").mkdir()
    Path("loop").symlink_to("loop")
    os.mkfifo("pipe")
    with pytest.raises(UsageError) as caught:
        load(path)
    assert str(caught.value).startswith(message)
    assert caught.value.exit_code == 2


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise PermissionError

    (tmp_path / "a.yaml").write_text(SMALL)
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UsageError, match="no permission to read this file"):
        load(tmp_path / "a.yaml")


def test_long_files_are_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(SpecError, match="at most 524288 bytes"):
        load(path)


def test_is_light() -> None:
    code = (
        "import sys, rnnspec.spec.load as l; l.loads(sys.argv[1], taken=());"
        "print(sorted({'difflib', 'numpy', 'jinja2', 'torch', 'keras'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, SMALL]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
