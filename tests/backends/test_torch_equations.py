"""Cells by equations in PyTorch: names, classes, padding, and the tools that take a step."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from graphs import OF_PARAMETERS, SETTINGS
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.errors import ModelError
from rnnspec.ir import nodes

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
CELLS = {
    "names": NAMES,
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


TOKENS = "embedding: {vocabulary: 9, dim: 3, mask_zero: true}"


@pytest.mark.parametrize(
    ("cell", "more", "entrance"),
    [
        *((cell, "", "input: {features: 3}") for cell in CELLS),
        ("varied", ", bidirectional: true, merge: sum", "input: {features: 3}"),
        ("normalized", ", bidirectional: true", TOKENS),
    ],
)
def test_a_module_of_rnnspec_gives_the_cell_back(cell: str, more: str, entrance: str) -> None:
    text = text_of(CELLS[cell], more=more).replace("input: {features: 3}", entrance)
    program, module = pipeline.reads(text), pipeline.instantiate(generated(text), "float32")
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.3)
    model = rnnspec.from_torch(module)
    assert "equal on random inputs" in model.compared
    recurrent = [
        [layer for layer in network.layers if isinstance(layer, nodes.Recurrent)]
        for network in (program.network, pipeline.program(model.spec).network)
    ]
    for written, read in zip(*recurrent, strict=True):
        assert isinstance(written.cell, nodes.EquationCell)
        assert isinstance(read.cell, nodes.EquationCell)
        assert read.cell.equations == written.cell.equations
        assert read.cell.sizes == written.cell.sizes
        settings = [(layer.units, layer.merge, layer.masked) for layer in (read, written)]
        assert settings[0] == settings[1]


def test_a_module_gives_back_one_cell_with_two_values_of_a_setting() -> None:
    module = pipeline.instantiate(generated(SETTINGS), "float32")
    model = rnnspec.from_torch(module)
    assert "equal on random inputs" in model.compared
    types = [layer.type for layer in model.spec.rnn]
    assert types == ["leaky", "leaky_3", "leaky", "leaky2", "simple"]


def test_training_and_masks_are_accounted_for() -> None:
    text = text_of(NORMALIZED, more=", dropout: 0.2")
    tokens = text.replace("input: {features: 3}", TOKENS)
    plain, module = (pipeline.instantiate(generated(each), "float32") for each in (text, tokens))
    model = rnnspec.from_torch(module)
    (left_out,) = model.left_out
    condition = r"the condition on training in variational_dropout, line \d+"
    assert re.fullmatch(rf"{condition} \(acts in training only\)", left_out)
    padding = "padding is token 0, skipped wherever it is; compared at the end only"
    assert padding in model.inferred

    class Mixed(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.first = module.embedding_1, module.mgu_1
            self.second = plain.mgu_2

        def forward(self, x: Any) -> Any:
            return self.second(self.first(self.embedding(x), x != 0))

    with pytest.raises(ModelError, match="takes what stands at padding, which masks leave out"):
        rnnspec.from_torch(Mixed())


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        # Not what a few sequences would show.
        ("    for ", "    x = x if x.shape[1] < 999 else 2 * x\n        for ", "class"),
        ("eps=epsilon", "eps=epsilon + (x.shape[-1] > 99)", "function standardize"),
    ],
)
def test_a_class_is_the_one_that_is_written_for_its_equations(
    old: str, new: str, what: str
) -> None:
    source = generated(text_of(VARIED))
    changed = replace(source, text=source.text.replace(old, new, 1))
    assert changed.text != source.text
    with pytest.raises(ModelError, match=rf"expected the {what} that rnnspec writes .*E704"):
        rnnspec.from_torch(pipeline.instantiate(changed, "float32"))


def test_a_docstring_is_no_proof() -> None:
    module = pipeline.instantiate(generated(text_of(NORMALIZED)), "float32")
    kind = type(module.mgu_1)
    kind.__doc__ = str(kind.__doc__).replace("i * tanh(W_c @ x)", "i * sigmoid(W_c @ x)")
    with pytest.raises(ModelError, match="expected the class that rnnspec writes"):
        rnnspec.from_torch(module)
    kind.__doc__ = str(kind.__doc__).replace("n = n + i", "n = n + i @ i")
    with pytest.raises(ModelError, match=r"expected the equations of a cell .* \[E704\]"):
        rnnspec.from_torch(module)
