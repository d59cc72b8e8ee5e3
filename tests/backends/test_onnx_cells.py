"""Cells by equation in ONNX: the names and the nodes of a Scan, whatever the equations are."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from graphs import OF_PARAMETERS
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get, refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

import_later("onnx")
import_later("onnxruntime")

PEEPHOLES = """\
    states: [h, c]
    equations:
      i: sigmoid(W_i @ x + U_i @ h + p_i * c + b_i)
      f: sigmoid(W_f @ x + U_f @ h + p_f * c + b_f)
      g: tanh(W_g @ x + U_g @ h + b_g)
      c: f * c + i * g
      o: sigmoid(W_o @ x + U_o @ h + p_o * c)
      h: o * tanh(c)
"""
# Each is the name of another value in the graph or in the body, or begins like one.
NAMES = """\
    states: [inputs, Y, layer_1]
    equations:
      i_sum: sigmoid(Zero @ x + Left @ inputs)
      i: tanh(Real @ x + Cell @ inputs + One)
      Old_Y: i + i_sum * silu(i)
      Sigmoid_i: Old_Y * i
      Sigmoid_i_2: sigmoid(sigmoid(Sigmoid_i)) + silu(i)
      net: Sigmoid_i_2
      x_product: 0.5 * net - 1e16 * (1e-16 * Axis_0)
      Y: x_product + 0.5 * Y
      layer_1: tanh(layer_1 - Y)
      inputs: tanh(0.5 * layer_1 + net)
"""
VARIED = """\
    states: [h, m, k]
    equations:
      a: sigmoid(W_a @ x + U_a @ h + alpha * b_a)
      r: sigmoid(W_r @ x + U_r @ h)
      m: a * m + (1 - a) * tanh(W_m @ x + U_m @ ((A - A.T) @ (r * h)))
      n: layer_norm(W_n @ x) - standardize(m, 1e-3)
      k: where(n > 0.1, minimum(n, k), maximum(-k, 0.5 * n)) / (1 + abs(n))
      s: P @ concat(softmax(m), k)
      h: split(s, 1, 2) * log(1 + exp(split(s, 2, 2)))
    sizes: {m: 5, a: 5, r: units, n: 5, k: 5, s: 2 * units}
    initialize: {alpha: 0.5}
    parameters: {alpha: scalar, A: [units, units]}
"""
CELLS = {
    "peepholes": PEEPHOLES,
    "names": NAMES,
    "of parameters": OF_PARAMETERS,
    "varied": VARIED,
}


@cache
def program(cell: str, *, one_way: bool = False) -> pipeline.Program:
    ways, pooling = ("", "mean") if one_way else (", bidirectional: true", "[last, mean]")
    return pipeline.reads(
        "version: 1\nname: net\ninput: {features: 3, mask_value: 0}\n"
        f"cells:\n  own:\n{CELLS[cell]}"
        f"rnn: {{type: own, units: 4, layers: 2{ways}, name: layer}}\n"
        f"head: {{pooling: {pooling}, units: 2}}\n"
    )


def scans(cell: str) -> Iterator[tuple[Any, Any]]:
    """Yield the graph and the body of each Scan in the source for a cell."""
    from onnx import parser

    graph = parser.parse_model(rnnspec.codegen(program(cell).spec, "onnx")).graph
    for node in graph.node:
        if node.op_type == "Scan":
            yield (
                graph,
                next(attribute.g for attribute in node.attribute if attribute.name == "body"),
            )


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("form", ["inference", "step"])
def test_a_cell_is_that_of_the_reference(cell: str, form: str) -> None:
    spec = program(cell, one_way=form == "step").spec
    report = rnnspec.parity(spec, ["onnx"], level="forward", dtype="float32", form=form)
    assert report.equal, report.differences


@pytest.mark.parametrize("cell", CELLS)
def test_a_body_takes_only_arrays_from_outside(cell: str) -> None:
    """OpenVINO refuses a body that takes values of other nodes."""
    for graph, body in scans(cell):
        outside = {name for node in graph.node for name in node.output}
        assert not outside & {name for node in body.node for name in node.input}


@pytest.mark.parametrize("cell", CELLS)
def test_a_body_names_no_size(cell: str) -> None:
    """tract refuses a body that names the batch size, if that of the input is set."""
    for _, body in scans(cell):
        for value in (*body.input, *body.output):
            assert [size.dim_param for size in value.type.tensor_type.shape.dim] == ["", ""]


def test_a_product_is_made_once_for_all_steps_and_once_in_each() -> None:
    for graph, body in scans("peepholes"):
        products = [node.op_type for node in graph.node if node.op_type in ("MatMul", "Gemm")]
        # That of each of four directions, and that of the head.
        assert products == ["MatMul"] * 4 + ["Gemm"]
        assert [node.op_type for node in body.node if node.op_type in ("MatMul", "Gemm")] == [
            "Gemm"
        ]


def test_operations_that_belong_together_are_one_node() -> None:
    for graph, body in scans("varied"):
        outside, inside = (Counter(node.op_type for node in g.node) for g in (graph, body))
        assert inside["Sigmoid"] == 1, "of both gates"
        # With gamma and beta outside, and without inside.
        assert (outside["LayerNormalization"], inside["LayerNormalization"]) == (4, 1)


def test_no_line_of_the_source_is_too_long() -> None:
    for cell in CELLS:
        lines = rnnspec.codegen(program(cell).spec, "onnx").splitlines()
        assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(("state", "parameter"), [("Cell_W", "W"), ("h_next", "V")])
def test_a_state_with_the_name_of_another_value_is_refused_in_step_form(
    state: str, parameter: str
) -> None:
    spec = pipeline.reads(
        "version: 1\nname: net\ninput: {features: 3}\n"
        f"cells:\n  own:\n    states: [h, {state}]\n    equations:\n"
        f"      {state}: tanh({parameter} @ x + {state})\n      h: tanh(U @ h + {state})\n"
        "rnn: {type: own, units: 4}\nhead: {pooling: last}\n"
    )
    assert not refusals(get("onnx"), spec.network)
    (refusal,) = refusals(get("onnx"), spec.network, "step")
    assert (refusal.layer, refusal.key) == ("own_1", "type")
    assert "in step form, no other value can have the name" in refusal.reason
