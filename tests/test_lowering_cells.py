"""Cells by equation on their way to the network, and those that are cells of the language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import cases
from offered import require

import rnnspec
from rnnspec import pipeline
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_batch, draw_input
from rnnspec.errors import SpecError
from rnnspec.ir import nodes
from rnnspec.ir.cells import Recognition
from rnnspec.ir.initializers import Constant, GlorotUniform, HeUniform, Orthogonal
from rnnspec.ir.params import params
from rnnspec.lowering import array_places
from rnnspec.lowering.cells import equation_cell, standard_cell
from rnnspec.spec import models
from rnnspec.weights.initial import draw_fresh, draw_scaled

HEAD = "version: 1\nname: net\ninput: {features: 3}\n"


def lower(cell: str, layer: str = "", rest: str = "") -> nodes.Recurrent:
    """Return the first layer of a network that has the cell ``mine``."""
    lines = "".join(f"    {line}\n" for line in cell.strip().splitlines())
    text = f"{HEAD}cells:\n  mine:\n{lines}rnn: {{type: mine, units: 4{layer}}}\n{rest}"
    (first, *_) = pipeline.reads(text).network.layers
    assert isinstance(first, nodes.Recurrent)
    return first


def built_in(keys: str, rest: str = "") -> nodes.Recurrent:
    (first, *_) = pipeline.reads(f"{HEAD}rnn: {{units: 4, {keys}}}\n{rest}").network.layers
    assert isinstance(first, nodes.Recurrent)
    return first


def test_each_parameter_begins_by_its_role() -> None:
    layer = lower(
        """
states: [h]
equations:
  z: layer_norm(W @ x + b)
  h: s * tanh(U @ (z * h) + V @ z) + (A - A.T) @ h + p
parameters: {s: scalar}
initialize: {p: 3, A: {constant: 0.5}}
""",
        rest="initializers: {kernel: he_uniform, bias: ones}\n",
    )
    assert isinstance(layer.cell, nodes.EquationCell)
    assert dict(layer.cell.initializers) == {
        "W": HeUniform(),
        "V": HeUniform(),
        "U": Orthogonal(),
        "A": Constant(0.5),
        "b": Constant(1.0),
        "s": Constant(1.0),
        "p": Constant(3.0),
        "z_gamma": Constant(1.0),
        "z_beta": Constant(0.0),
    }
    assert layer.name == "mine_1"


def test_a_matrix_is_drawn_for_its_columns() -> None:
    """Its first axis is that of the result, where a kernel's is that of the input."""
    cell = "states: [h]\nequations: {h: s * W @ x}\nparameters: {s: scalar}"
    layer = lower(f"{cell}\ninitialize: {{W: lecun_uniform, s: 2}}")
    network = nodes.Network(
        name="net",
        description="",
        inputs=(nodes.NumericInput(steps=1, features=300, mask_value=None),),
        layers=(replace(layer, input=(1, 300)),),
    )
    drawn = draw_fresh(network, 0)
    assert drawn["mine_1.W"].shape == (4, 300)
    assert 0.09 < np.abs(drawn["mine_1.W"]).max() < 0.1
    assert drawn["mine_1.s"] == 2.0
    assert 0.05 < draw_scaled(network, 0)["mine_1.W"].std() < 0.07


def test_settings_are_numbers_and_sizes() -> None:
    cell = """
states: [h, m]
equations: {m: dt * tanh(V @ x + v), h: R @ m}
sizes: {m: units + 2 * memory, h: memory}
settings: {dt: 0.5, memory: 2}
"""
    usual, other = lower(cell), lower(cell, ", memory: 3, dt: 2")
    assert usual.states == (("h", 2), ("m", 8))
    assert other.states == (("h", 3), ("m", 10))
    assert other.output == (None, 3)
    assert [param.shape for param in params(other)] == [(10, 3), (10,), (3, 10)]
    assert isinstance(usual.cell, nodes.EquationCell)
    assert isinstance(other.cell, nodes.EquationCell)
    assert usual.cell.equations != other.cell.equations


def test_the_backward_part_of_a_final_state_is_as_wide_as_the_output() -> None:
    cell = "{states: [h], equations: {h: tanh(W @ x + U @ h)}, sizes: {h: 3}}"
    layer = "{type: mine, units: 3, bidirectional: true}"
    text = f"{HEAD}cells: {{mine: {cell}}}\nrnn: {layer}\nhead: {{pooling: [last, mean]}}\n"
    (pooling,) = (
        layer
        for layer in pipeline.reads(text).network.layers
        if isinstance(layer, nodes.Pooling) and layer.statistic == "last"
    )
    assert pooling.backward == 3


def test_the_output_is_a_state_in_front() -> None:
    cell = "states: [h]\nequations: {h: tanh(U @ h)}\noutput: P @ h + "
    assert lower(f"{cell}V @ x").states == (("output", 4), ("h", 4))
    # Its size is that of the expression.
    assert lower(f"{cell}x").states == (("output", 3), ("h", 4))


def test_a_cell_may_be_one_of_the_zoo() -> None:
    layer = lower("from: peephole_lstm")
    assert isinstance(layer.cell, nodes.EquationCell)
    assert [name for name, _ in layer.states] == ["h", "c"]


LSTM = """
states: [y, c]
equations:
  k: tanh(W_k @ x + (b_k + U_k @ y))
  keep: sigmoid(U_f @ y + W_f @ x + b_f)
  c: sigmoid(b_i + W_i @ x + U_i @ y) * k + c * keep
  y: tanh(c) * sigmoid(W_o @ x + U_o @ y + b_o)
initialize: {b_f: ones}
"""
GRU = """
states: [h]
equations:
  z: sigmoid(W_z @ x + b_z + U_z @ h + d_z)
  r: sigmoid(W_r @ x + b_r + U_r @ h + d_r)
  h: z * h + (1 - z) * tanh(W_n @ x + b_n + (U_n @ h + d_n) * r)
"""
SIMPLE = "states: [h]\nequations: {h: W @ x + U @ h}"


@cases(
    ("cell", "keys"),
    {
        "lstm": (LSTM, "type: lstm"),
        "its forget bias": (LSTM.replace("ones", "0.25"), "type: lstm"),
        "other activations": (
            LSTM.replace("tanh(", "relu(").replace("sigmoid", "hard_sigmoid"),
            "type: lstm, activation: relu, recurrent_activation: hard_sigmoid",
        ),
        "one activation": (
            LSTM.replace("sigmoid", "tanh"),
            "type: lstm, recurrent_activation: tanh",
        ),
        "gru": (GRU, "type: gru"),
        "grouped": (GRU.replace("z * h + (1 - z) * tanh(", "n + z * (h - n)\n  n: tanh("), ""),
        "reset first": (
            GRU.replace(" + d_z", "")
            .replace(" + d_r", "")
            .replace("(U_n @ h + d_n) * r", "U_n @ (h * r)"),
            "type: gru, reset_after: false",
        ),
        "simple": (SIMPLE, "type: simple, activation: linear, bias: false"),
    },
)
def test_equations_of_the_language_are_its_layer(cell: str, keys: str) -> None:
    if not keys:
        lines = cell.splitlines()
        cell, keys = "\n".join([*lines[:-2], lines[-1], lines[-2]]), "type: gru"
    rest = "initializers: {forget_bias: 0.25}\n" if "0.25" in cell else ""
    for more in ("", ", bidirectional: true, dropout: 0.5"):
        names = ("y", "c") if "states: [y, c]" in cell else ()
        wanted = replace(built_in(f"{keys}{more}", rest), state_names=names)
        assert lower(cell, more) == wanted


@cases(
    "cell",
    [
        # Other equations.
        LSTM.replace("tanh(c)", "tanh(k)"),
        LSTM.replace("states: [y, c]", "states: [c, y]"),
        GRU.replace("z * h + (1 - z) * tanh", "(1 - z) * h + z * tanh"),
        GRU.replace(" + d_z", ""),
        # Other initial values than a layer of the language has.
        LSTM.replace("{b_f: ones}", "{b_f: {uniform: 0.5}}"),
        LSTM.replace("{b_f: ones}", "{b_f: ones, b_i: ones}"),
        LSTM.replace("{b_f: ones}", "{b_f: ones, W_i: he_uniform}"),
    ],
)
def test_other_cells_stay_by_equations(cell: str) -> None:
    assert isinstance(lower(cell).cell, nodes.EquationCell)


STATES = """\
version: 1
name: net
inputs:
  one: {features: 3, length: 5}
  v: {features: 4, per: sequence}
  w: {features: 4, per: sequence}
cells:
  mine:
"""


@cases("names", {"swapped": ("c", "h"), "of words": ("out", "cell"), "other": ("state", "y")})
def test_states_have_the_names_of_the_spec(names: tuple[str, str]) -> None:
    """A layer of the language begins and ends in the states that the equations say."""
    out, memory = names
    words = {"y": out, "c": memory}
    cell = re.sub(r"\b[yc]\b", lambda found: words[found[0]], LSTM)
    lines = "".join(f"    {line}\n" for line in cell.strip().splitlines())
    layer = f"{{type: mine, of: one, units: 4, initial_state: {{{out}: v, {memory}: w}}, name: a}}"
    # The same cell, which the normal form does not know.
    others = lines.replace("* keep", "* (keep + 1e-300 * k)")
    heads = f"heads: {{o: {{of: a.{out}}}, m: {{of: a.{memory}}}}}\n"
    of_language, own = (
        pipeline.reads(f"{STATES}{cell}rnn: {layer}\n{heads}") for cell in (lines, others)
    )
    first, second = of_language.network.layers[0], own.network.layers[0]
    assert isinstance(first, nodes.Recurrent)
    assert isinstance(second, nodes.Recurrent)
    assert isinstance(first.cell, nodes.LSTM)
    assert isinstance(second.cell, nodes.EquationCell)
    assert first.states == second.states
    arrays, batch = draw_scaled(own.network, 0), draw_batch(own.network, np.random.default_rng(0))
    joined = put_together(first, array_places(of_language.spec)["a"], arrays)
    found, wanted = (
        reference.outputs(program.network, reference.run(program.network, *values), batch)
        for program, values in ((of_language, (joined, batch)), (own, (arrays, batch)))
    )
    for name, output in wanted.items():
        assert np.abs(found[name] - output).max() < 1e-12, name


def put_together(
    layer: nodes.Recurrent, places: Mapping[str, tuple[str, str]], arrays: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arrays of a layer of the language from the parameters of its equations."""
    joined = {}
    for param in params(layer):
        of_gates = {gate: name for name, (array, gate) in places.items() if array == param.name}
        parts = [arrays[f"{layer.name}.{of_gates[gate]}"].T for gate in param.gates]
        joined[f"{layer.name}.{param.name}"] = np.concatenate(parts, axis=-1)
    return joined


@cases("cell", {"lstm": LSTM, "gru": GRU, "simple": SIMPLE})
def test_the_places_of_parameters_are_right(cell: str) -> None:
    """The layer of the language with its arrays put together computes what the equations say."""
    lines = "".join(f"    {line}\n" for line in cell.strip().splitlines())
    text = f"{HEAD}cells:\n  mine:\n{lines}rnn: {{type: mine, units: 4}}\n"
    program = pipeline.reads(text)
    (layer,) = program.network.layers
    (places,) = array_places(program.spec).values()
    declared = (program.spec.cells or {})["mine"]
    assert isinstance(declared, models.Cell)
    assert isinstance(layer, nodes.Recurrent)
    defaults: Any = {"kernel": GlorotUniform(), "recurrent": Orthogonal(), "bias": Constant(0.0)}
    equations = equation_cell("mine", declared, {}, defaults)
    assert isinstance(standard_cell(equations, defaults), Recognition)
    own = replace(program.network, layers=(replace(layer, cell=equations),))
    arrays, batch = draw_scaled(own, 0), draw_input(own.input, np.random.default_rng(0))
    joined = put_together(layer, places, arrays)
    require("onnx", program.spec)
    model = rnnspec.build(program.spec, "onnx")
    rnnspec.write_weights(model, arrays)
    for name, array in rnnspec.read_weights(model).items():
        np.testing.assert_array_equal(array, joined[name].astype(array.dtype))
    expected = reference.run(own, arrays, batch).output
    assert np.abs(reference.run(program.network, joined, batch).output - expected).max() < 1e-12


def test_the_arrays_of_an_attention_are_none_of_the_equations() -> None:
    cell = "cells: {mine: {states: [h], equations: {h: tanh(W @ x + U @ h + b)}}}\n"
    layer = "rnn: {type: mine, units: 4, attention: {over: input, score: additive, units: 2}}\n"
    spec = rnnspec.loads(f"{HEAD}{cell}{layer}")
    require("onnx", spec)
    model = rnnspec.build(spec, "onnx")
    doubled = {name: 2 * array for name, array in rnnspec.read_weights(model).items()}
    rnnspec.write_weights(model, doubled)
    for name, array in rnnspec.read_weights(model).items():
        np.testing.assert_array_equal(array, doubled[name])


def test_a_summary_has_the_arrays_of_cells() -> None:
    spec = rnnspec.loads(f"{HEAD}cells: {{mine: {{from: mgu}}}}\nrnn: {{type: mine, units: 4}}\n")
    (row,) = rnnspec.summary(spec).layers
    assert row.cells[1:3] == (("  W_f", "(4, 3)", "12"), ("  U_f", "(4, 4)", "16"))
    lines = "".join(f"    {line}\n" for line in LSTM.strip().splitlines())
    text = f"{HEAD}cells:\n  mine:\n{lines}"
    spec = rnnspec.loads(f"{text}rnn: {{type: mine, units: 4, bidirectional: true}}\n")
    (row,) = rnnspec.summary(spec).layers
    assert row.cells[3] == ("  U_k = recurrent_kernel, gate c", "2 x (4, 4)", "32")
    assert sum(array.directions * np.prod(array.shape) for array in row.arrays) == row.parameters


INPUTS = """\
version: 1
name: net
inputs:
  rain: {{features: 3, mask_value: 0.0}}
  gap: {{features: 2}}
  basin: {{features: 4, per: sequence}}
cells:
  mine:
    {inputs}
    states: [h, c]
    {more}
    equations:
      {first}i: sigmoid(W_i @ s + b_i)
      g: tanh(W_g @ {x} + U_g @ h + q * t[1])
      c: i * c + g
      h: tanh(c)
rnn:
{join}- {{type: mine, units: 2{of}}}
head: {{units: 1}}
"""
SEVERAL: dict[str, str] = {
    "inputs": "inputs: [x, t, s]",
    "more": "",
    "first": "",
    "x": "x",
    "join": "",
    "of": ", of: {s: basin, x: rain, t: gap}",
}


def test_a_cell_of_several_inputs_is_one_of_their_features_side_by_side() -> None:
    apart = {
        "inputs": "",
        "first": "x_own: x[0:3]\n      t: x[3:5]\n      s: x[5:9]\n      ",
        "x": "x_own",
        "join": "- {type: concat, of: [rain, gap, basin]}\n",
        "of": "",
    }
    several, joined = (
        pipeline.reads(INPUTS.format(**SEVERAL | words)).network for words in ({}, apart)
    )
    assert several == joined


def test_an_input_gate_of_static_features_is_that_of_its_equations() -> None:
    program = pipeline.reads(INPUTS.format(**SEVERAL))
    arrays = draw_scaled(program.network, 0)
    batch = draw_batch(program.network, np.random.default_rng(0), 3)
    a = {name.removeprefix("mine_1."): array for name, array in arrays.items()}
    real = (batch["rain"] != 0).any(axis=-1)
    h, c = np.zeros((2, len(real), 2))
    gate = 1 / (1 + np.exp(-batch["basin"] @ a["W_i"].T - a["b_i"]))
    for t in range(real.shape[1]):
        now = batch["rain"][:, t] @ a["W_g"].T + h @ a["U_g"].T + a["q"] * batch["gap"][:, t, 1:]
        memory = gate * c + np.tanh(now)
        c = np.where(real[:, t, None], memory, c)
        h = np.where(real[:, t, None], np.tanh(memory), h)
    expected = h @ arrays["dense_1.kernel"] + arrays["dense_1.bias"]
    output = reference.run(program.network, arrays, batch).output
    np.testing.assert_allclose(output, expected, atol=1e-12)


def test_the_arrays_of_a_formula_are_those_of_its_equations() -> None:
    program = pipeline.reads(
        """
version: 1
name: net
inputs: {a: {features: 3}, v: {features: 2, per: sequence}}
rnn:
- {type: gru, units: 3, of: a}
- type: formula
  of: {a: a, v: v, h: gru_1}
  units: 4
  sizes: {z: units + 1}
  parameters: {alpha: scalar, K: [units + 1, units]}
  equations:
    z: tanh(W @ a + b)
    y: K.T @ z * g - alpha * (V @ v) + 0 * sum(h)
head: {pooling: none}
"""
    )
    a = {name.removeprefix("formula_1."): x for name, x in draw_scaled(program.network, 0).items()}
    shapes = {name: x.shape for name, x in a.items() if "." not in name}
    vectors = {"b": (5,), "g": (4,), "alpha": ()}
    assert shapes == {"W": (5, 3), "V": (4, 2), "K": (5, 4), **vectors}
    batch = draw_batch(program.network, np.random.default_rng(0), 3)
    z = np.tanh(batch["a"] @ a["W"].T + a["b"])
    expected = z @ a["K"] * a["g"] - a["alpha"] * (batch["v"] @ a["V"].T)[:, None]
    output = reference.run(program.network, draw_scaled(program.network, 0), batch).output
    np.testing.assert_allclose(output, expected, atol=1e-12)


@cases(
    "words, message",
    [
        ({"of": ""}, "rnn[0].type: 'mine' has several inputs: expected a layer or input for each"),
        ({"of": ", of: rain"}, "rnn[0].of: 'mine' has several inputs"),
        ({"of": ", of: {x: rain, t: gap}"}, "rnn[0].of: expected a layer or input for s too"),
        ({"of": ", of: {x: rain, t: gap, s: hill}"}, "rnn[0].of.s: expected a layer before this"),
        ({"of": ", of: {x: rain, t: 3, s: basin}"}, "rnn[0].of.t: expected a name like lstm_1"),
        ({"of": ", of: {x: rain, t: gap, s: basin, v: gap}"}, "expected an input of 'mine', x, t"),
        ({"of": ", of: {x: basin, t: basin, s: basin}"}, "one vector for each; repeat it first"),
        ({"of": f"{SEVERAL['of']}, layers: 2"}, "rnn[0]: 'layers' is for a cell of one input"),
        (
            {"inputs": "", "first": "s: x\n      t: x\n      "},
            "rnn[0].of: 'mine' has one input: expected the name of a layer",
        ),
        ({"inputs": "inputs: [x]"}, "cells.mine.inputs: expected at least two names"),
        ({"inputs": "inputs: [x, t, s, t]"}, "cells.mine.inputs[1]: the input t is there twice"),
        ({"inputs": "inputs: [x, t, s, v]"}, "cells.mine.equations: the input v is never used"),
        (
            {"inputs": "inputs: [x, t, s, tanh]"},
            "cells.mine.inputs: expected another name: tanh has a",
        ),
        ({"more": "settings: {s: 2}"}, "cells.mine.settings: s is an input too"),
        ({"more": "sizes: {s: units}"}, "sizes.s: expected the name of another input"),
        ({"more": "sizes: {s: t}"}, "rnn[0].of.s: expected 2 features of s, as t has; received 4"),
        ({"more": "parameters: {W_i: [units, features]}"}, "unknown size features"),
        ({"x": "s"}, "cells.mine.equations: the input x is never used"),
        ({"x": "x[1:9]"}, "with these inputs, g, column 12: expected a vector that has [1:9]"),
    ],
)
def test_inputs_of_cells_that_are_wrong_have_their_places(
    words: dict[str, str], message: str
) -> None:
    with pytest.raises(SpecError) as refused:
        pipeline.reads(INPUTS.format(**SEVERAL | words))
    assert message in str(refused.value)
