"""Attention to another sequence, as a layer and in recurrent layers, in PyTorch and JAX."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from graphs import ATTENTIONS, TRANSLATORS
from offered import import_later, require

import rnnspec
from rnnspec import pipeline
from rnnspec.comparison.batch import draw_batch
from rnnspec.ir.forms import Form
from rnnspec.weights.initial import draw_scaled

torch = import_later("torch")

TEXTS = TRANSLATORS | ATTENTIONS


@cache
def program(name: str) -> pipeline.Program:
    return pipeline.reads(TEXTS[name])


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


@pytest.mark.parametrize("text", ["gru", "leaky"])
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


@pytest.mark.parametrize("form", ["inference", "step"])
def test_a_layer_that_runs_by_cells_has_its_parameters(form: str) -> None:
    spec = rnnspec.loads(TEXTS["by_hand_lstm"])
    assert rnnspec.parity(spec, ["torch"], level="counts", form=form).equal


def test_new_weights_count_without_compiling_again() -> None:
    # A function that JAX computes again for gradients must not keep the arrays of its first call.
    jax = require("jax")
    generated = pipeline.generate(program("functions"), jax, "training")
    live = pipeline.instantiate(generated, "float32")
    generated.store.write(live, draw_scaled(program("functions").network, 0))
    arrays = draw_batch(program("functions").network, np.random.default_rng(0))
    assert isinstance(arrays, Mapping)
    before = np.asarray(live(**arrays))
    score = live.decoder.attention.score
    score.set_value(-4 * score.get_value())
    assert np.abs(np.asarray(live(**arrays)) - before).max() > 1e-3
