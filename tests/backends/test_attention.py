"""Attention to another sequence, as a layer and in recurrent layers, in all forms of backends."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from offered import import_later, require

from rnnspec import pipeline
from rnnspec.backends import get, refusals
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_batch
from rnnspec.comparison.case import Case
from rnnspec.comparison.compare import Comparison
from rnnspec.ir.forms import Form
from rnnspec.weights.initial import draw_scaled

torch = import_later("torch")

SCORES = {
    "dot": "score: dot",
    "scaled": "score: scaled_dot",
    "general": "score: general",
    "additive": "score: additive, units: 3",
}
CELLS = {
    "gru": "type: gru, units: 4, initial_state: {h: bridge}",
    "lstm": "type: lstm, units: 4, initial_state: {h: bridge}, dropout: 0.1",
    "simple": "type: simple, units: 4",
    "reset_first": "type: gru, units: 4, reset_after: false, initial_state: {of: encoder}",
    "functions": "type: lstm, units: 4, activation: elu, recurrent_activation: hard_sigmoid",
    "one_way": "type: gru, units: 4, direction: backward",
    "leaky": "type: leaky, units: 4, initial_state: {h: bridge}",
    "linear": "type: linear, units: 4",
}
TEXT = """\
version: 1
name: translator
inputs:
  source: {{ {length}embedding: {{vocabulary: 6, dim: 3, mask_zero: {source}}} }}
  target: {{ {length}embedding: {{vocabulary: 5, dim: 2, mask_zero: {target}}} }}
stream: target
{cells}rnn:
  - {{type: gru, units: 4, of: source, name: encoder, reset_after: {reset_after}}}
  - {{type: dense, units: 4, activation: tanh, of: encoder.state, name: bridge}}
  - {{{decoder}, of: target, name: decoder, attention: {{over: encoder, {first}}}}}
  - {{type: attention, of: decoder, over: encoder, {second}, name: after}}
  - {{type: attention, of: bridge, over: encoder, {third}, name: summary}}
  - {{type: concat, of: [decoder, decoder.context, after, summary]}}
head: {{pooling: none, units: 5, activation: softmax}}
"""
OWN_CELLS = {
    "leaky": """\
cells:
  leaky:
    states: [h, s]
    equations:
      g: sigmoid(W_g @ x + b_g)
      s: 0.9 * s + W_s @ x + b_s
      h: tanh(U_h @ h + V_h @ x + s) * g
""",
    "linear": """\
cells:
  linear:
    states: [h]
    equations:
      h: W_h @ x + 0.5 * h
""",
}
OTHERS = {
    # A layer attends to itself, and an input to itself.
    "self": """\
version: 1
name: itself
input: {features: 3, mask_value: 0}
rnn:
  - {type: gru, units: 3, name: encoder}
  - {type: attention, of: encoder, over: encoder, score: scaled_dot}
  - {type: attention, over: input, score: additive, units: 2, bias: false}
head: {pooling: [mean, max], units: 2}
""",
    # The last output alone, a memory whose padding is no zeros, and contexts that nothing takes.
    "last": """\
version: 1
name: last
inputs:
  source: {embedding: {vocabulary: 5, dim: 3, mask_zero: true}}
  target: {features: 2, mask_value: 0}
stream: target
rnn:
  - {type: lstm, units: 2, of: target, attention: {over: source, score: general}, name: one}
  - {type: gru, units: 3, attention: {over: source, score: dot}, name: two}
head: {units: 2}
""",
    # Layers of one class, which attend to unlike memories with unlike sizes.
    "shared": """\
version: 1
name: shared
inputs:
  source: {features: 3, mask_value: 0}
  other: {features: 2, mask_value: 0}
  target: {features: 2}
stream: target
rnn:
  - {type: gru, units: 3, of: target, attention: {over: source, score: additive, units: 2},
    name: one}
  - {type: gru, units: 2, attention: {over: other, score: additive, units: 4}, name: two}
  - {type: attention, of: one, over: source, score: scaled_dot, name: three}
  - {type: attention, of: two, over: other, score: scaled_dot, name: four}
  - {type: concat, of: [three, four, one.context]}
head: {pooling: mean, units: 2}
""",
    # Contexts that a layer attends to, and a memory with the padding of windows.
    "windows": """\
version: 1
name: windows
inputs:
  source: {features: 3, mask_value: 0}
  target: {features: 2, mask_value: 0}
stream: target
rnn:
  - {type: conv, filters: 3, kernel_size: 3, stride: 2, of: source, name: fewer}
  - {type: simple, units: 3, of: target, attention: {over: fewer, score: dot}, name: one}
  - {type: gru, units: 2, of: one.context, attention: {over: source, score: additive, units: 2}}
head: {pooling: none, units: 2}
""",
}


def _texts() -> dict[str, str]:
    """Return a network for each cell; in all of them, each score meets each mask in each place."""
    texts, scores = dict[str, str](), list(SCORES.values())
    for number, (name, decoder) in enumerate(CELLS.items()):
        first, second, third = (scores[(number + by) % 4] for by in range(3))
        texts[name] = TEXT.format(
            length="length: 7, " if number == 2 else "",
            source="true" if number < 4 else "false",
            target="true" if number % 3 else "false",
            cells=OWN_CELLS.get(name, ""),
            reset_after="false" if name == "reset_first" else "true",
            decoder=decoder,
            first=first,
            second=second,
            third=third,
        )
    for cell in ("simple", "gru", "lstm"):
        texts[f"by_hand_{cell}"] = TEXT.format(
            length="",
            source="false",
            target="false",
            cells="",
            reset_after="true",
            decoder=f"type: {cell}, units: 4, initial_state: {{h: bridge}}",
            first=SCORES["additive"],
            second=SCORES["general"],
            third=SCORES["general"],
        )
    return texts | OTHERS


TEXTS = _texts()


@cache
def program(name: str) -> pipeline.Program:
    return pipeline.reads(TEXTS[name])


EACH = [(name, form) for name in ("keras", "torch", "jax", "onnx", "c") for form in get(name).forms]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(("name", "form"), EACH)
def test_equal_to_the_reference(name: str, form: Form, text: str) -> None:
    backend = require(name)
    if refused := refusals(backend, program(text).network, form):
        assert (text, form) in {("self", "step"), ("one_way", "step")}, refused
        return
    case = Case.of(program(text), 0, backend.dtypes[0], None, form)
    for masks in reference.masks(program(text).network, case.batch).values():
        assert not masks.any(axis=1).all(), "without a sequence of padding alone"
    comparison = Comparison(case, "gradients" if form == "training" else "forward")
    comparison.add(backend)
    assert comparison.report().differences == ()


@cache
def model(text: str, form: Form = "training") -> Any:
    """Return a model in PyTorch with drawn weights."""
    generated = pipeline.generate(program(text), require("torch"), form)
    live = pipeline.instantiate(generated, "float64")
    generated.store.write(live, draw_scaled(program(text).network, 0))
    return live.eval()


def batch(text: str) -> dict[str, Any]:
    arrays = draw_batch(program(text).network, np.random.default_rng(0))
    assert isinstance(arrays, Mapping)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def assert_close(one: Any, other: Any) -> None:
    torch.testing.assert_close(one, other, rtol=0.0, atol=1e-12)


# PyTorch warns about its own deprecated TorchScript, and about arrays of its own layers.
ABOUT_TOOLS = ("DeprecationWarning", "FutureWarning", "UserWarning")


@pytest.mark.filterwarnings(*(f"ignore::{name}" for name in ABOUT_TOOLS))
def test_torch_export_takes_a_memory_of_any_length() -> None:
    live, arrays, dynamic = model("last", "inference"), batch("last"), torch.export.Dim.DYNAMIC
    # It fixes the steps of a loop.
    arrays["target"] = arrays["target"][:, :2]
    shapes = {"source": {0: dynamic, 1: dynamic}, "target": {0: dynamic}}
    few = {name: array[:3] for name, array in arrays.items()}
    exported = torch.export.export(live, (), few, dynamic_shapes=shapes).module()
    arrays["source"] = arrays["source"][:, :5]
    with torch.no_grad():
        assert_close(exported(**arrays), live(**arrays))


@pytest.mark.filterwarnings(*(f"ignore::{name}" for name in ABOUT_TOOLS))
@pytest.mark.parametrize("text", ["gru", "lstm", "leaky"])
def test_scripted_chunks_go_on(text: str) -> None:
    live, arrays = model(text, "step"), batch(text)
    scripted, target = torch.jit.script(live), arrays.pop("target")
    with torch.no_grad():
        states = live.begin(**arrays)
        results = []
        for chunk in target.split(5, 1):
            result, states = scripted(chunk, states)
            results.append(result)
        expected = torch.jit.script(model(text, "inference"))(target=target, **arrays)
    assert_close(torch.cat(results, 1)[target != 0], expected[target != 0])


@pytest.mark.parametrize("text", ["gru", "functions"])
def test_scaled_dot_product_is_that_of_pytorch(text: str) -> None:
    attention, masked = model(text).after, text == "gru"
    random = torch.Generator().manual_seed(0)
    queries = torch.randn(6, 5, 4, dtype=torch.float64, generator=random)
    memory = torch.randn(6, 7, 4, dtype=torch.float64, generator=random)
    mask = torch.rand(6, 7, generator=random) > 0.4
    mask[0] = False
    expected = torch.nn.functional.scaled_dot_product_attention(
        queries, memory, memory, attn_mask=mask.unsqueeze(1) if masked else None
    )
    actual = attention(queries, memory, memory, *([mask] if masked else []))
    # Of nothing real, PyTorch's own is not a number.
    expected = expected if not masked else torch.where(mask.any(1)[:, None, None], expected, 0)
    torch.testing.assert_close(actual, expected, rtol=0.0, atol=1e-6)


def translator_by_hand(cell: str) -> Any:
    class ByHand(torch.nn.Module):  # type: ignore[misc, name-defined]
        """A translator as tutorials write it: Bahdanau's before the cell, then Luong's after it."""

        def __init__(self) -> None:
            super().__init__()
            nn = torch.nn
            self.source, self.target = nn.Embedding(6, 3), nn.Embedding(5, 2)
            self.encoder, self.bridge = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 4)
            self.cell = getattr(nn, cell)(2 + 4, 4)
            self.keys, self.query = nn.Linear(4, 3), nn.Linear(4, 3, bias=False)
            self.score, self.general = nn.Linear(3, 1, bias=False), nn.Linear(4, 4, bias=False)
            self.summary_query, self.output = nn.Linear(4, 4, bias=False), nn.Linear(16, 5)

        def forward(self, source: Any, target: Any) -> Any:
            memory, h = self.encoder(self.source(source))
            first = h = torch.tanh(self.bridge(h[-1]))
            c, outputs = torch.zeros_like(h), []
            summary = torch.softmax(memory @ self.summary_query(first)[:, :, None], 1)
            for word in target.T:
                energies = self.score(torch.tanh(self.query(h)[:, None] + self.keys(memory)))
                context = (torch.softmax(energies, 1) * memory).sum(1)
                x = torch.cat([self.target(word), context], 1)
                if isinstance(self.cell, torch.nn.LSTMCell):
                    h, c = self.cell(x, (h, c))
                else:
                    h = self.cell(x, h)
                weights = torch.softmax(memory @ self.general(h)[:, :, None], 1)
                after = (weights * memory).sum(1)
                outputs.append(torch.cat([h, context, after, (summary * memory).sum(1)], 1))
            return torch.softmax(self.output(torch.stack(outputs, 1)), -1)

    return ByHand().double()


def test_a_vector_that_scores_is_drawn_with_its_own_fans() -> None:
    text = TEXTS["by_hand_gru"].replace("units: 3}", "units: 600}", 1)
    own = pipeline.reads(f"{text}initializers: {{kernel: he_uniform}}\n")
    generated = pipeline.generate(own, require("torch"), "training")
    decoder = pipeline.instantiate(generated, "float64").decoder
    fans = {decoder.query: 4, decoder.attention.score: 600}
    for linear, fan in fans.items():
        bound = (6 / fan) ** 0.5
        assert 0.95 * bound < linear.weight.abs().max().item() <= bound


@pytest.mark.parametrize("cell", ["RNNCell", "GRUCell", "LSTMCell"])
def test_equal_to_a_decoder_by_hand(cell: str) -> None:
    decoder = {"RNNCell": "simple", "GRUCell": "gru", "LSTMCell": "lstm"}[cell]
    hand, live, arrays = translator_by_hand(cell), model(f"by_hand_{decoder}"), batch("leaky")
    paths = {
        "source": "source_embedding",
        "target": "target_embedding",
        "keys": "decoder_keys",
        "query": "decoder.query",
        "score": "decoder.attention.score",
        "general": "after_query",
        "output": "dense_2",
    }
    own = dict(live.named_parameters())
    with torch.no_grad():
        for name, parameter in hand.named_parameters():
            module, _, rest = name.partition(".")
            path = (
                f"decoder.{rest}_l0" if module == "cell" else f"{paths.get(module, module)}.{rest}"
            )
            # A redundant second bias is no parameter of ours.
            parameter.copy_(own.get(path, torch.zeros_like(parameter)))
    actual, expected = live(**arrays), hand(**arrays)
    torch.testing.assert_close(actual, expected, rtol=0.0, atol=1e-6)
    for total in (actual, expected):
        total.square().sum().backward()
    for path, same in (("decoder.weight_ih_l0", "cell.weight_ih"), ("encoder.weight_hh_l0",) * 2):
        gradients = live.get_parameter(path).grad, hand.get_parameter(same).grad
        torch.testing.assert_close(*gradients, rtol=0.0, atol=1e-6)


RAW = """\
version: 1
name: raw
input: {features: 3}
rnn: [{type: attention, over: input, score: scaled_dot}, {type: simple, units: 2}]
"""


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_scores_of_small_integers_do_not_overflow(name: str) -> None:
    backend, raw = require(name), pipeline.reads(RAW)
    generated = pipeline.generate(raw, backend, "inference")
    live = pipeline.instantiate(generated, "float32")
    generated.store.write(live, draw_scaled(raw.network, 0))
    numbers = np.arange(90).reshape(2, 15, 3)
    actual, expected = (
        backend.runtime.trace(live, [], numbers.astype(dtype)).output
        for dtype in (np.uint8, np.float32)
    )
    assert np.abs(actual - expected).max() < 1e-6


def test_new_weights_count_without_compiling_again() -> None:
    # A function that JAX computes again for gradients must not keep the arrays of its first call.
    jax = require("jax")
    generated = pipeline.generate(program("reset_first"), jax, "training")
    live = pipeline.instantiate(generated, "float32")
    generated.store.write(live, draw_scaled(program("reset_first").network, 0))
    arrays = draw_batch(program("reset_first").network, np.random.default_rng(0))
    assert isinstance(arrays, Mapping)
    before = np.asarray(live(**arrays))
    score = live.decoder.attention.score
    score.set_value(-4 * score.get_value())
    assert np.abs(np.asarray(live(**arrays)) - before).max() > 1e-3
