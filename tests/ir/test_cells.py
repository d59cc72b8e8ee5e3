"""The equations of the cells, held to the layers of Keras and of PyTorch."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from offered import import_later, require

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.backends.needs import MODEL
from rnnspec.comparison import reference
from rnnspec.ir import cells, nodes
from rnnspec.ir.equations import Line
from rnnspec.ir.initializers import Constant
from rnnspec.ir.schedule import (
    JoinedProduct,
    JoinedSum,
    gates_of,
    most_common_function,
    packed_schedule,
)
from rnnspec.source.expressions import ExpressionWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.backends.slots import Array
    from rnnspec.ir.schedule import Schedule

keras, torch = import_later("keras"), import_later("torch")

RNN = nodes.SimpleRNN(activation="tanh")
LSTM = nodes.LSTM(activation="tanh", recurrent_activation="sigmoid", forget_bias=1.0)
GRU = nodes.GRU(activation="tanh", recurrent_activation="sigmoid", reset_after=True)
RESET_FIRST = nodes.GRU(activation="softsign", recurrent_activation="sigmoid", reset_after=False)
OTHER = nodes.LSTM(activation="elu", recurrent_activation="hard_sigmoid", forget_bias=1.0)
FEATURES, UNITS = 3, 4
FUNCTIONS = ("activation", "recurrent_activation")


def draw(cell: nodes.StandardCell, *, bias: bool) -> tuple[nodes.Network, dict[str, Array], Array]:
    zeros = Constant(0.0)
    layer = nodes.Recurrent(
        name="r",
        input=(6, FEATURES),
        cell=cell,
        units=UNITS,
        merge=None,
        bias=bias,
        dropout=0.0,
        recurrent_dropout=0.0,
        masked=False,
        return_sequences=True,
        kernel_initializer=zeros,
        recurrent_initializer=zeros,
        bias_initializer=zeros,
    )
    network = nodes.Network(
        name="net",
        description="",
        inputs=(nodes.NumericInput(steps=6, features=FEATURES, mask_value=None),),
        layers=(layer,),
    )
    random = np.random.default_rng(7)
    gates = {nodes.SimpleRNN: 1, nodes.LSTM: 4, nodes.GRU: 3}[type(cell)]
    sizes: dict[str, tuple[int, ...]] = {"kernel": (FEATURES,), "recurrent_kernel": (UNITS,)}
    if bias:
        sizes["bias"] = ()
        if cell == GRU:
            sizes["recurrent_bias"] = ()
    arrays = {
        f"r.{name}": random.normal(0.0, 0.5, (*size, gates * UNITS)) for name, size in sizes.items()
    }
    return network, arrays, random.standard_normal((2, 6, FEATURES))


def run_keras(cell: nodes.StandardCell, arrays: dict[str, Array], x: Array) -> Array:
    settings = {"activation": cell.activation, "use_bias": "r.bias" in arrays, "dtype": "float64"}
    match cell:
        case nodes.SimpleRNN():
            layer = keras.layers.SimpleRNN(UNITS, return_sequences=True, **settings)
        case nodes.LSTM():
            settings["recurrent_activation"] = cell.recurrent_activation
            layer = keras.layers.LSTM(UNITS, return_sequences=True, **settings)
        case nodes.GRU():
            settings["recurrent_activation"] = cell.recurrent_activation
            settings["reset_after"] = cell.reset_after
            layer = keras.layers.GRU(UNITS, return_sequences=True, **settings)
    layer.build(x.shape)
    kernel, recurrent_kernel, *biases = arrays.values()
    stored = [np.stack(biases)] if len(biases) == 2 else biases
    layer.set_weights([kernel, recurrent_kernel, *stored])
    output: Array = keras.ops.convert_to_numpy(layer(x))
    return output


def run_torch(cell: nodes.StandardCell, arrays: dict[str, Array], x: Array) -> Array:
    type_ = {nodes.SimpleRNN: torch.nn.RNN, nodes.LSTM: torch.nn.LSTM, nodes.GRU: torch.nn.GRU}
    bias = "r.bias" in arrays
    layer = type_[type(cell)](FEATURES, UNITS, bias=bias, batch_first=True, dtype=torch.float64)
    kernel, recurrent_kernel, *biases = arrays.values()
    if len(biases) == 1:
        # The sum of both of PyTorch's is one here.
        second = np.random.default_rng(8).standard_normal(len(biases[0]))
        biases = [biases[0] - second, second]
    if cell == GRU:
        # PyTorch has the reset gate first.
        at = np.r_[UNITS : 2 * UNITS, :UNITS, 2 * UNITS : 3 * UNITS]
        kernel, recurrent_kernel = kernel[:, at], recurrent_kernel[:, at]
        biases = [array[at] for array in biases]
    values = [kernel.T, recurrent_kernel.T, *biases]
    with torch.no_grad():
        for parameter, value in zip(layer.parameters(), values, strict=True):
            parameter.copy_(torch.tensor(value))
        output: Array = layer(torch.tensor(x))[0].numpy()
    return output


RUNS = {"keras": run_keras, "torch": run_torch}
CASES = [
    *(("keras", cell) for cell in (RNN, LSTM, GRU, RESET_FIRST, OTHER)),
    *(("torch", cell) for cell in (RNN, LSTM, GRU)),
]


@pytest.mark.parametrize(
    ("framework", "cell", "bias"),
    [(*case, bias) for case, bias in product(CASES, (True, False))],
)
def test_equations_are_the_framework_s(
    framework: str, cell: nodes.StandardCell, *, bias: bool
) -> None:
    network, arrays, x = draw(cell, bias=bias)
    output = RUNS[framework](cell, arrays, x)
    assert np.max(np.abs(reference.run(network, arrays, x).output - output)) < 1e-9


def _forget() -> None:
    cells.equations.cache_clear()
    packed_schedule.cache_clear()
    reference._bind_cell.cache_clear()


@pytest.fixture
def _forgotten() -> Iterator[None]:
    yield
    _forget()


@pytest.mark.usefixtures("_forgotten")
@pytest.mark.parametrize(
    ("name", "cell", "old", "new"),
    [
        ("_SIMPLE", RNN, "U_h @ h", "h"),
        ("_LSTM", LSTM, "f * c + i * g", "i * c + f * g"),
        ("_LSTM", LSTM, "W_c @ x + b_c", "W_c @ x + b_o"),
        ("_LSTM", LSTM, "o * activation(c)", "o * recurrent_activation(c)"),
        ("_GRU", GRU, "z * h + (1 - z) * n", "r * h + (1 - z) * n"),
        ("_GRU", GRU, "z * h + (1 - z) * n", "z * n + (1 - z) * h"),
        ("_GRU", GRU, "r * (U_n @ h + d_n)", "r * (U_n @ h) + d_n"),
        ("_RESET_FIRST_GRU", RESET_FIRST, "U_n @ (r * h)", "r * (U_n @ h)"),
    ],
)
def test_the_reference_computes_the_equations(
    name: str, cell: nodes.StandardCell, old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, arrays, x = draw(cell, bias=True)
    output = reference.run(network, arrays, x).output
    _forget()
    text = getattr(cells, name)
    assert old in text
    monkeypatch.setattr(cells, name, text.replace(old, new))
    assert np.max(np.abs(reference.run(network, arrays, x).output - output)) > 1e-3


@pytest.mark.usefixtures("_forgotten")
@pytest.mark.parametrize(
    ("framework", "before", "after"),
    [
        ("jax", "h = z * h + (1 - z) * n", "h = z * n + (1 - z) * h"),
        ("torch", "h = torch.lerp(n, h, z)", "h = torch.lerp(h, n, z)"),
        ("onnx", "Difference_h = Sub (Old_h, Now_n)", "Difference_h = Sub (Now_n, Old_h)"),
    ],
)
@pytest.mark.parametrize("reset_after", [True, False])
def test_source_has_the_equations(
    framework: str, before: str, after: str, *, reset_after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state between the old one and the candidate, in a layer that runs step by step."""
    program = pipeline.reads(
        "version: 1\nname: net\ninput: {length: 5, features: 3}\n"
        f"rnn: {{type: gru, units: 4, activation: silu, reset_after: {str(reset_after).lower()}}}\n"
    )
    _forget()
    assert before in pipeline.generate(program, get(framework)).text
    for name in ("_GRU", "_RESET_FIRST_GRU"):
        text = getattr(cells, name).replace("z * h + (1 - z) * n", "z * n + (1 - z) * h")
        monkeypatch.setattr(cells, name, text)
    _forget()
    text = pipeline.generate(program, get(framework)).text
    assert after in text
    assert before not in text


STEPWISE = """\
version: 1
name: net
input: {{length: 5, features: 3}}
rnn:
  - {{type: simple, units: 3, activation: silu, bias: {bias}}}
  - {{type: lstm, units: 4, activation: silu, bias: {bias}}}
  - {{type: gru, units: 3, activation: silu, bias: {bias}}}
  - {{type: gru, units: 4, activation: silu, reset_after: false, bias: {bias}}}
"""


@pytest.mark.parametrize("framework", ["torch", "jax", "onnx", "c"])
@pytest.mark.parametrize("bias", ["true", "false"])
def test_source_that_runs_step_by_step_is_the_reference(framework: str, bias: str) -> None:
    require(framework, MODEL)
    spec = rnnspec.loads(STEPWISE.format(bias=bias))
    report = rnnspec.parity(spec, [framework], level="forward", dtype="float32")
    assert report.equal, report.differences


def lines_of(plan: Schedule) -> list[Line]:
    return [part for part in plan.step if isinstance(part, Line)]


def test_products_of_one_vector_are_one() -> None:
    plan = packed_schedule(GRU, bias=True)
    assert [gates_of(product) for product in plan.products] == ["zrn"]
    plan = packed_schedule(RESET_FIRST, bias=True, order="rzn")
    assert [gates_of(product) for product in plan.products] == ["rz", "n"]
    assert [line.name for line in lines_of(plan)] == ["r", "z", "n", "h"]
    lstm = packed_schedule(LSTM, bias=False)
    (total,) = (part for part in lstm.step if isinstance(part, JoinedSum))
    applied = lstm.functions_of(total)
    assert most_common_function(applied) == ("recurrent_activation", 3)
    assert [line for line, _ in applied.values()] == ["i", "f", "g", "o"]


RESET = """
z: recurrent_activation(W_z @ x + U_z @ h)
k: z * h
r: recurrent_activation(W_r @ x + U_r @ k)
n: activation(W_n @ x + U_n @ (r * k))
h: n
"""
OLD_STATE = """
f: recurrent_activation(W_f @ x + U_f @ h)
k: f * c
c: activation(W_c @ x + U_c @ h)
h: k + c
"""


@pytest.mark.usefixtures("_forgotten")
@pytest.mark.parametrize(
    ("cell", "order", "statements"),
    [
        (RESET_FIRST, "nrz", ["z", "z", "k", "r", "r", "n", "n", "h"]),
        (LSTM, "cf", ["cf", "f", "k", "c", "h"]),
    ],
)
def test_no_line_is_before_another_that_it_needs(
    cell: nodes.StandardCell, order: str, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "_RESET_FIRST_GRU", RESET)
    monkeypatch.setattr(cells, "_LSTM", OLD_STATE)
    _forget()
    names = [
        gates_of(part) if isinstance(part, JoinedProduct) else part.name
        for part in packed_schedule(cell, bias=True, order=order).step
        if not isinstance(part, JoinedSum)
    ]
    assert names == statements


@pytest.mark.usefixtures("_forgotten")
def test_other_parameters_stay_in_their_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peephole: the sum of a gate, and a vector times a state."""
    text = cells._LSTM.replace("W_i @ x", "p_i * c + W_i @ x")
    monkeypatch.setattr(cells, "_LSTM", text)
    _forget()
    plan = packed_schedule(LSTM, bias=True)
    lines = {
        line.name: ExpressionWriter(dict.fromkeys(FUNCTIONS, "f")).write(line.value)
        for line in lines_of(plan)
    }
    (total,) = (part for part in plan.step if isinstance(part, JoinedSum))
    assert [line for line, _ in plan.functions_of(total).values()] == ["f", "g", "o"]
    assert lines["i"] == "f(i_sum + p_i * c)"
