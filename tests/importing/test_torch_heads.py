"""Attention with heads, of later steps or of padding, comes in as PyTorch has it."""

from __future__ import annotations

from typing import Any

import pytest

import rnnspec
from rnnspec.errors import ModelError

torch = pytest.importorskip("torch")
nn = torch.nn


class Attends(nn.Module):  # type: ignore[misc, name-defined]
    """A module that attends to its own steps; ``mask`` makes the masks of a call from tokens."""

    def __init__(self, attention: Any, mask: Any, batch_first: bool = True) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 6)
        self.rnn = nn.LSTM(6, 8, batch_first=True)
        self.attention = attention
        self.out = nn.Linear(8, 3)
        self.mask, self.batch_first = mask, batch_first

    def forward(self, tokens: Any) -> Any:
        embedded = self.embed(tokens)
        steps, _ = self.rnn(embedded)
        memory = steps if getattr(self.attention, "kdim", 8) == 8 else embedded
        if not self.batch_first:
            steps, memory = steps.transpose(0, 1), memory.transpose(0, 1)
        context = self.attention(steps, memory, memory, **self.mask(tokens))
        if isinstance(self.attention, nn.MultiheadAttention):
            context, _ = context
        context = context + steps
        return self.out(context if self.batch_first else context.transpose(0, 1))


def plain(_: Any) -> dict[str, Any]:
    return {}


def padding(tokens: Any) -> dict[str, Any]:
    return {"key_padding_mask": tokens == 0, "need_weights": False}


def later(tokens: Any) -> dict[str, Any]:
    ones = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool)
    return {"attn_mask": torch.triu(ones, diagonal=1)}


def lower(tokens: Any) -> dict[str, Any]:
    size = tokens.shape[1]
    # As nn.Transformer.generate_square_subsequent_mask has it.
    return {"attn_mask": torch.triu(torch.full((size, size), float("-inf")), diagonal=1)}


def both(tokens: Any) -> dict[str, Any]:
    return later(tokens) | padding(tokens)


class Causal(nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, query: Any, key: Any, value: Any) -> Any:
        return nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)


HEADS = "{type: attention, over: rnn, heads: 2, units: 8}"
CAUSAL = "{type: attention, over: rnn, causal: true, heads: 2, units: 8}"
SETTINGS: dict[str, tuple[Any, Any, bool, str]] = {
    "plain": (lambda: nn.MultiheadAttention(8, 2, batch_first=True), plain, True, HEADS),
    "steps first": (lambda: nn.MultiheadAttention(8, 2), padding, False, HEADS),
    "no bias": (
        lambda: nn.MultiheadAttention(8, 4, bias=False, batch_first=True),
        plain,
        True,
        "{type: attention, over: rnn, heads: 4, units: 8, bias: false}",
    ),
    "other keys": (
        lambda: nn.MultiheadAttention(8, 2, kdim=6, vdim=6, batch_first=True),
        padding,
        True,
        "{type: attention, over: embed, heads: 2, units: 8}",
    ),
    "one head": (
        lambda: nn.MultiheadAttention(8, 1, batch_first=True),
        later,
        True,
        "causal: true",
    ),
    "padding": (lambda: nn.MultiheadAttention(8, 2, batch_first=True), padding, True, HEADS),
    "later": (lambda: nn.MultiheadAttention(8, 2, batch_first=True), later, True, CAUSAL),
    "lower": (lambda: nn.MultiheadAttention(8, 2, batch_first=True), lower, True, CAUSAL),
    "both": (lambda: nn.MultiheadAttention(8, 2), both, False, CAUSAL),
    "function": (Causal, plain, True, "over: rnn, causal: true, score: scaled_dot}"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_an_attention_comes_back_with_its_masks(name: str) -> None:
    make, mask, batch_first, line = SETTINGS[name]
    torch.manual_seed(0)
    found = rnnspec.from_torch(Attends(make(), mask, batch_first).eval())
    assert "equal on random inputs" in found.compared
    assert line in found.spec.document.text
    assert ("mask_zero" in found.spec.document.text) == (mask in (padding, both))


@pytest.mark.parametrize(
    ("settings", "mask", "message"),
    [
        ({"add_bias_kv": True}, plain, "bias_k: expected None"),
        ({"add_zero_attn": True}, plain, "add_zero_attn: expected False"),
        (
            {},
            lambda tokens: {"attn_mask": torch.tril(later(tokens)["attn_mask"].logical_not(), -1)},
            "expected a condition",
        ),
    ],
)
def test_what_heads_cannot_have_is_refused(settings: Any, mask: Any, message: str) -> None:
    attention = nn.MultiheadAttention(8, 2, batch_first=True, **settings)
    with pytest.raises(ModelError, match=message):
        rnnspec.from_torch(Attends(attention, mask).eval())
