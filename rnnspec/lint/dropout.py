"""Advice on what is dropped in training."""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.ir.nodes import width
from rnnspec.lint.context import Context, Finding
from rnnspec.spec.yaml.places import Path

HIGH = 0.5
LOST = 0.01
"""The share of examples of which nothing may be left."""


def high_dropout(context: Context) -> Iterator[Finding]:
    """More dropped than kept."""
    for path, rate, _ in _dropouts(context):
        if rate > HIGH:
            yield path, f"more is dropped ({rate:g}) than kept; rates of 0.2 to 0.5 are usual"


def stock_ignores_it(context: Context) -> Iterator[Finding]:
    """Dropout that PyTorch's own layer would not apply."""
    (first, *_) = context.entries
    if context.depth == 1 and first.said.dropout:
        message = (
            "here this is applied, to what enters the layer; a one-layer nn.LSTM, nn.GRU or "
            "nn.RNN ignores its 'dropout'"
        )
        yield (*first.path, "dropout"), message


def nothing_left(context: Context) -> Iterator[Finding]:
    """Dropout that now and then leaves nothing at all."""
    for path, rate, size in _dropouts(context):
        share = rate**size
        if share > LOST:
            numbers = "the one number is" if size == 1 else f"all {size} numbers are"
            yield path, f"in {share:.0%} of the cases {numbers} dropped, and nothing is left"


def _dropouts(context: Context) -> Iterator[tuple[Path, float, int]]:
    """Yield each rate above 0, where it stands, and the fewest numbers it is applied to."""
    for entry in context.entries:
        entering = min(layer.features for layer in entry.layers)
        yield from _rate((*entry.path, "dropout"), entry.said.dropout, entering)
        state = entry.said.recurrent_dropout
        yield from _rate((*entry.path, "recurrent_dropout"), state, entry.said.units)
    head = context.spec.head
    if head is not None:
        pooled = width(context.entries[-1].layers[-1].output)
        yield from _rate(("head", "dropout"), head.dropout, pooled)
        for index, hidden in enumerate(head.hidden):
            yield from _rate(("head", "hidden", index, "dropout"), hidden.dropout, hidden.units)


def _rate(path: Path, rate: float, size: int) -> Iterator[tuple[Path, float, int]]:
    if rate:
        yield path, rate, size
