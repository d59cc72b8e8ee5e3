"""``rnnspec summary`` and ``rnnspec codegen``: their output for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from offered import require_source

import rnnspec

Run = Callable[..., Any]
PARAMETERS = {"total": 180, "trainable": 180, "non_trainable": 0}


def test_summary_json(run: Run, spec: str) -> None:
    ran = run("summary", spec, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == {
        "name": "small",
        "layers": [
            {"name": "embedding_1", "type": "Embedding", "output_shape": [None, 5, 4],
             "parameters": 80},
            {"name": "lstm_1", "type": "LSTM", "output_shape": [None, 3], "parameters": 96},
            {"name": "dense_1", "type": "Dense", "output_shape": [None, 1], "parameters": 4},
        ],
        "parameters": PARAMETERS,
        "stock": {"torch": [{
            "layer": "lstm_1", "type": "nn.LSTM", "parameters": 108,
            "adds": "a second bias (bias_hh)",
            "reason": "which is redundant: only the sum of both matters",
        }]},
    }  # fmt: skip


def test_summary(run: Run, spec: str) -> None:
    ran = run("summary", spec)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        'Model: "small"\n'
        "+-----------------------------------------------------+\n"
        "| Layer (type)            | Output shape | Parameters |\n"
        "|-------------------------+--------------+------------|\n"
        "| embedding_1 (Embedding) | (None, 5, 4) |         80 |\n"
        "| lstm_1 (LSTM)           |    (None, 3) |         96 |\n"
        "| dense_1 (Dense)         |    (None, 1) |          4 |\n"
        "+-----------------------------------------------------+\n"
        "Total parameters: 180\n"
        "Trainable parameters: 180\n"
        "Non-trainable parameters: 0\n"
        "Built-in layers of PyTorch would have 192 parameters, with a second bias (bias_hh) in "
        "nn.LSTM\n"
    )


JOINED = """\
version: 1
name: joined
embedding: {vocabulary: 9, dim: 4}
rnn: [{type: gru, units: 4}, {type: concat, of: [embedding_1, gru_1]}, {type: dense, units: 4}]
heads:
  next: {pooling: none, units: 9, tied: true}
  label: {pooling: [mean, max]}
"""


def test_summary_says_what_layers_take_and_share(run: Run) -> None:
    Path("joined.yaml").write_text(JOINED)
    ran = run("summary", "joined.yaml")
    assert ran.out.splitlines()[-7:] == [
        "concat_1 takes embedding_1, gru_1",
        "mean_pooling_1 takes dense_1",
        "max_pooling_1 takes dense_1",
        "concat_2 takes mean_pooling_1, max_pooling_1",
        "dense_2 shares the vectors of embedding_1",
        "Output next: dense_2",
        "Output label: concat_2",
    ]
    found = json.loads(run("summary", "joined.yaml", "--json").out)
    layers = {layer["name"]: layer for layer in found["layers"]}
    assert found["outputs"] == {"next": "dense_2", "label": "concat_2"}
    assert layers["concat_1"]["takes"] == ["embedding_1", "gru_1"]
    assert "takes" not in layers["dense_2"]
    assert layers["dense_2"]["shares"] == "embedding_1"


def test_summary_says_what_is_run_step_by_step(run: Run, spec: str) -> None:
    path = Path(spec)
    path.write_text(path.read_text().replace("dropout: 0.1", "recurrent_dropout: 0.1"))
    assert run("summary", spec).out.splitlines()[-1] == (
        "Run step by step on torch, not fused: lstm_1 (recurrent_dropout)"
    )
    said = json.loads(run("summary", spec, "--json").out)["stepwise"]
    assert said == {"torch": {"lstm_1": "recurrent_dropout"}}


def test_frozen_parameters_are_not_trainable(run: Run, spec: str) -> None:
    path = Path(spec)
    path.write_text(path.read_text().replace("dim: 4", "dim: 4, trainable: false"))
    counted = json.loads(run("summary", spec, "--json").out)["parameters"]
    assert counted == {"total": 180, "trainable": 100, "non_trainable": 80}


def test_wide_tables_are_never_cut(run: Run) -> None:
    name = "a" + "_long" * 12
    Path("wide.yaml").write_text(
        f"version: 1\nname: wide\ninput: {{features: 300000000, length: 1000000000}}\n"
        f"rnn: {{type: gru, name: {name}, units: 500000000, bidirectional: true}}\n"
        f"head: {{pooling: none, name: {name[:-1]}, units: 1000000000}}\n"
    )
    out = run("summary", "wide.yaml").out
    for whole in (name, "(None, 1000000000, 1000000000)", "2,400,000,006,000,000,000"):
        assert whole in out


def test_codegen_prints_the_source_alone(run: Run, spec: str, backend: str) -> None:
    require_source(backend, spec)
    ran = run("codegen", spec, "--backend", backend)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == rnnspec.codegen(spec, backend)
    assert run("codegen", spec, "--backend", backend, "-o", "made.py").out == "wrote made.py\n"
    assert Path("made.py").read_bytes() == ran.out.encode()
