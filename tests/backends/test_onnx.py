"""ONNX: the graph means what the reference means, in ONNX Runtime alone."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
from cases import cases
from mutation import source_edited
from offered import import_later, require

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get, refusals
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_input
from rnnspec.comparison.levels import distance
from rnnspec.errors import GenerationError, ParityError, UnsupportedError
from rnnspec.models.building import Output, build_model
from rnnspec.words import CellActivation
from rnnspec_random.strategies import sample, spec_text, specs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.backends.slots import Array

import_later("onnx")
import_later("onnxruntime")

TOLERANCE = 1e-5
STACK = """\
version: 1
name: stack
input: {features: 3, mask_value: 0}
rnn:
  - {type: gru, units: 4, layer_norm: true, residual: false}
  - {type: lstm, units: 3, bidirectional: true, recurrent_activation: legacy_hard_sigmoid}
head: {pooling: mean, units: 2, normalize: l2}
"""


def is_equal(spec: Any) -> None:
    report = rnnspec.parity(spec, ["onnx"], level="forward", dtype="float32")
    assert report.equal, report.differences


def test_the_gallery(covering_spec: Path) -> None:
    is_equal(covering_spec)


def test_random_specs() -> None:
    refused = 0
    for drawn in sample(specs(), 40):
        try:
            is_equal(rnnspec.loads(spec_text(drawn)))
        except UnsupportedError:
            refused += 1
    assert refused < 3


CELLS = ["simple", "lstm", "gru", "gru, reset_after: false"]


@pytest.mark.parametrize("cell", CELLS)
def test_every_activation_of_a_cell_over_padding(cell: str) -> None:
    activations = get_args(CellActivation)
    merges = itertools.cycle(("concat", "mul"))
    for one, other, merge in zip(
        activations, (*activations[1:], activations[0]), merges, strict=False
    ):
        gates = "" if cell == "simple" else f", recurrent_activation: {other}"
        layer = f"{{type: {cell}, units: 3, bidirectional: true, merge: {merge}, activation: {one}"
        is_equal(
            rnnspec.loads(
                "version: 1\nname: net\ninput: {features: 2, mask_value: 0}\n"
                f"rnn: {layer}{gates}}}\nhead: {{pooling: max}}"
            )
        )


def built(tmp_path: Path, text: str) -> Path:
    """Build a spec as the command does, and return the file."""
    output = tmp_path / "net.onnx"
    build_model(pipeline.reads(text), get("onnx"), seed=1, output=Output(output, force=True))
    return output


def batches(program: pipeline.Program) -> Iterator[Array]:
    """Yield batches of three lengths, with every pattern of padding, and each row alone."""
    for seed, length in enumerate((1, 7, 40)):
        batch = draw_input(program.network.input, np.random.default_rng(seed), length)
        yield batch
        yield from np.split(batch, len(batch))


def test_a_written_file_takes_any_length_and_batch(tmp_path: Path) -> None:
    import onnxruntime

    program = pipeline.reads(STACK)
    arrays = rnnspec.read_weights(rnnspec.build(program.spec, "onnx", seed=1))
    exact = {name: array.astype(np.float64) for name, array in arrays.items()}
    session = onnxruntime.InferenceSession(built(tmp_path, STACK))
    assert [input_.shape for input_ in session.get_inputs()] == [["batch", "steps", 3]]
    assert [output.shape for output in session.get_outputs()] == [["batch", 2]]
    for batch in batches(program):
        (found,) = session.run(None, {"inputs": batch.astype(np.float32)})
        truth = reference.run(program.network, exact, batch.astype(np.float32)).output
        assert distance(found, truth) < TOLERANCE


def nodes_of(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nodes_of(attribute.g)


def test_no_operator_has_what_other_runtimes_misread() -> None:
    from onnx import parser

    fused = 0
    for drawn in sample(specs(), 60):
        program = pipeline.reads(spec_text(drawn))
        if refusals(get("onnx"), program.network, "inference"):
            continue
        graph = parser.parse_model(pipeline.generate(program, get("onnx")).text).graph
        held = {each.name for each in (*graph.initializer, *graph.value_info)}
        for node in nodes_of(graph):
            if node.op_type in ("RNN", "LSTM", "GRU"):
                fused += 1
                assert "layout" not in {attribute.name for attribute in node.attribute}
                assert not held.intersection(node.input[5:]), "it would have a batch size"
        # ONNX Runtime warns of those that are not used.
        assert held <= {name for node in nodes_of(graph) for name in node.input}
    assert fused


def test_a_large_value_of_softplus_stays_finite() -> None:
    # The fused operators of ONNX Runtime return infinity above 88.
    spec = rnnspec.loads(
        "version: 1\nname: net\ninput: {features: 1}\n"
        "rnn: {type: simple, units: 1, activation: softplus, bias: false}\nhead: {pooling: last}"
    )
    model = rnnspec.build(spec, "onnx")
    rnnspec.write_weights(
        model, {"simple_rnn_1.kernel": [[1.0]], "simple_rnn_1.recurrent_kernel": [[0.0]]}
    )
    np.testing.assert_allclose(model(np.array([[[200.0]]], np.float32)), [[200.0]])


def test_each_activation_has_a_number_if_one_takes_it() -> None:
    """ONNX Runtime counts those that take one, others count all: both read the same numbers."""
    text = rnnspec.codegen(
        rnnspec.loads(
            "version: 1\nname: net\ninput: {features: 1}\nhead: {units: 1}\n"
            "rnn: {type: gru, units: 1, activation: elu, recurrent_activation: "
            "legacy_hard_sigmoid, bidirectional: true}"
        ),
        "onnx",
    )
    assert "activation_alpha = [0.2, 1.0, 0.2, 1.0]" in text
    assert "activation_beta = [0.5, 0.5, 0.5, 0.5]" in text


@cases(
    "edit, layer",
    [
        (("linear_before_reset = 1", "linear_before_reset = 0"), "gru_1"),
        (("bidirectional_1_B, Lengths", "bidirectional_1_B"), "bidirectional_1"),
        (("activation_alpha = [0.2,", "activation_alpha = [0.3,"), "bidirectional_1"),
        (("epsilon = 0.001", "epsilon = 0.1"), "layer_normalization_1"),
        (("{1e-12}", "{9.0}"), "unit_normalization_1"),
    ],
)
def test_a_file_that_differs_is_not_written(
    tmp_path: Path, edit: tuple[str, str], layer: str
) -> None:
    require("onnx")
    spoilt = STACK + "initializers: {bias: {uniform: 1}, kernel: {uniform: 1}}\n"
    with source_edited("onnx", [edit]), pytest.raises(ParityError) as caught:
        built(tmp_path, spoilt)
    assert [difference.layer for difference in caught.value.differences] == [layer]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("edit", [("=> (", "=> "), ("Transpose", "Transpoze")])
def test_a_text_that_onnx_refuses_is_a_bug(tmp_path: Path, edit: tuple[str, str]) -> None:
    with source_edited("onnx", [edit]), pytest.raises(GenerationError, match="ONNX"):
        built(tmp_path, STACK)
    assert not list(tmp_path.iterdir())


def test_arrays_too_large_for_a_file_are_refused() -> None:
    spec = rnnspec.loads(
        "version: 1\nname: net\nembedding: {vocabulary: 20000000, dim: 32}\n"
        "rnn: {type: lstm, units: 2}"
    )
    with pytest.raises(UnsupportedError, match=r"have 2\.4 GiB together.* holds less than 2 GiB"):
        rnnspec.codegen(spec, "onnx")


def test_second_biases_take_room_in_a_file() -> None:
    # 2.125 GB of parameters and 6 MB of second biases, in a file of at most 2.131 GB.
    spec = rnnspec.loads(
        "version: 1\nname: net\ninput: {features: 1}\nrnn: {type: lstm, units: 182, layers: 2000}"
    )
    with pytest.raises(UnsupportedError, match=r"holds less than 2 GiB"):
        rnnspec.codegen(spec, "onnx")
