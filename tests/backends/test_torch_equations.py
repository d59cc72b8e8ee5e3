"""Cells by equations in PyTorch: names, classes, padding, and the tools that take a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from graphs import OF_PARAMETERS
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get

if TYPE_CHECKING:
    from rnnspec.ir.forms import Form

torch = import_later("torch")

# Each is a name of Python, of the source around the equations, or of every module.
NAMES = """\
    states: [outputs, mask, h_weight]
    equations:
      gates: sigmoid(train @ x + nn @ outputs + forward)
      torch: sigmoid(real @ x + zip @ outputs)
      kept: tanh(I @ x + T_destination @ (gates * outputs)) + x_product_t
      h_weight: torch * h_weight + kept * self
      mask: tanh(mask_1 * h_weight) + units_size * new_mask
      outputs: standardize(torch * tanh(mask) + l, 1e-3)
    parameters: {units_size: scalar, new_mask: [units]}
"""
VARIED = """\
    states: [h, m, k]
    equations:
      a: sigmoid(W_a @ x + U_a @ h + alpha * b_a)
      r: sigmoid(W_r @ x + U_r @ h)
      m: a * m + (1 - a) * tanh(W_m @ x + U_m @ ((A - A.T) @ (r * h)))
      n: layer_norm(W_n @ x) - standardize(m, 1e-3)
      k: where(n > 0.1, minimum(n, k), maximum(-k, 0.5 * n)) / (1 + abs(n) - exp(-3 * p))
      s: P @ concat(softmax(m), where(k > n, 3.1, 7.7) * k)
      h: split(s, 1, 2) * log(1 + exp(split(s, 2, 2)))
    settings: {p: 5}
    sizes: {m: p, a: p, r: units, n: p, k: p, s: 2 * units}
    initialize: {alpha: 0.5}
    parameters: {alpha: scalar, A: [units, units]}
"""
# The sum of the gates so far divides the output: zero before the first real step.
NORMALIZED = """\
    states: [h, c, n]
    equations:
      i: exp(W_i @ x + U_i @ h)
      c: c + i * tanh(W_c @ x)
      n: n + i
      h: sigmoid(W_o @ x + U_o @ h) * (c / n)
"""
# A product of parameters has no axis of the batch.
CONSTANT = """\
    states: [h]
    equations:
      z: sigmoid(W_z @ x + V @ p + b)
      n: tanh(q + V @ p - k * b + U @ (z * h))
      h: n * z + h * (1 - z) + q * (V @ p + h)
    parameters: {p: [units], q: [units], k: [units]}
"""
CELLS = {
    "names": NAMES,
    "constant": CONSTANT,
    "of parameters": OF_PARAMETERS,
    "varied": VARIED,
    "normalized": NORMALIZED,
}


def text_of(cell: str, entrance: str = "features: 3", more: str = "", name: str = "mgu") -> str:
    layer = f"{{type: {name}, units: 4{more}}}"
    return (
        f"version: 1\nname: {name}\ninput: {{{entrance}}}\ncells:\n  {name}:\n{cell}"
        f"rnn: [{layer}, {layer}]\nhead: {{units: 2}}\n"
    )


@pytest.mark.parametrize("cell", CELLS)
def test_source_computes_the_equations(cell: str) -> None:
    more = ", bidirectional: true, dropout: 0.2, recurrent_dropout: 0.4"
    padded = rnnspec.loads(text_of(CELLS[cell], "length: 9, features: 3, mask_value: 0.0", more))
    assert rnnspec.parity(padded, ["torch"]).equal
    plain = rnnspec.loads(text_of(CELLS[cell]))
    for form in ("inference", "step"):
        assert rnnspec.parity(plain, ["torch"], form=form).equal


def generated(text: str, form: Form = "training") -> pipeline.Generated:
    return pipeline.generate(pipeline.reads(text), get("torch"), form)


def test_layers_share_a_class_unless_their_equations_differ() -> None:
    text = """\
version: 1
name: leaky
input: {features: 3}
cells:
  leaky:
    states: [h]
    equations: {m: K @ h, h: h + rate * (tanh(W @ x + U @ m) - h)}
    settings: {rate: 0.5, size: 2}
    sizes: {m: size}
  masked: {states: [h], equations: {h: p * tanh(W @ x + U @ h)}}
rnn:
  - {type: leaky, units: 4}
  - {type: leaky, units: 5, size: 3, bidirectional: true}
  - {type: leaky, units: 4, rate: 0.25}
  - {type: masked, units: 4}
"""
    network = pipeline.instantiate(generated(text), "float64")
    first, both, slower, simple = (
        getattr(network, name) for name in ("leaky_1", "bidirectional_1", "leaky_2", "masked_1")
    )
    # The network and the wrapper of padding have the names of the cells.
    assert type(network).__name__ == "Leaky"
    assert type(first).__name__ == "LeakyLayer"
    assert {type(part) for part in both.values()} == {type(first)}
    assert type(slower).__name__ == "LeakyLayer2"
    assert type(simple).__name__ == "MaskedLayer"
    assert both["forward_layer"].K.shape == (3, 5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tools_take_a_step_and_the_states_go_on_from_chunk_to_chunk() -> None:
    source = generated(text_of(VARIED), "step")
    model = pipeline.instantiate(source, "float64").eval()
    batch = torch.randn(2, 6, 3, dtype=torch.float64)
    states: dict[str, Any] = model.initial_states(batch)
    assert [tuple(state.shape) for state in states.values()] == [(2, 4), (2, 5), (2, 5)] * 2
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.3)
    with torch.no_grad():
        scripted = torch.jit.script(model)
        whole, _ = model(batch)
        for chunk in batch.split(2, 1):
            output, states = scripted(chunk, states)
    torch.testing.assert_close(output, whole, rtol=0.0, atol=1e-12)
