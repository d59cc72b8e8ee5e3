"""Advice on dropout."""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.ir.nodes import width
from rnnspec.lint.context import Context, Finding
from rnnspec.spec.yaml.text import Path

HIGH = 0.5
LOST = 0.01
"""The largest share of cases in which every value may be dropped."""


def high_dropout(context: Context) -> Iterator[Finding]:
    """Dropout that drops more than it keeps."""
    for path, rate, _ in _dropouts(context):
        if rate > HIGH:
            yield path, f"a rate of {rate:g} drops more than it keeps; 0.2 to 0.5 is usual"


def ignored_by_stock(context: Context) -> Iterator[Finding]:
    """Dropout that a one-layer module of PyTorch would ignore."""
    (first, *_) = context.entries
    if context.depth == 1 and first.declared.dropout:
        # nn.LSTM applies 'dropout' to the output of each layer but the last:
        # https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html
        message = (
            "rnnspec applies this to the input of the layer; a one-layer nn.LSTM, nn.GRU or "
            "nn.RNN ignores its 'dropout'"
        )
        yield (*first.path, "dropout"), message


def nothing_left(context: Context) -> Iterator[Finding]:
    """Dropout that sometimes drops every value."""
    for path, rate, size in _dropouts(context):
        share = rate**size
        if share > LOST:
            values = "the only value is" if size == 1 else f"all {size} values are"
            yield path, f"in {share:.0%} of cases {values} dropped, and nothing is left"


def _dropouts(context: Context) -> Iterator[tuple[Path, float, int]]:
    """Yield the path of each rate above 0, the rate, and the fewest values it applies to."""
    for entry in context.entries:
        # With 'layers', the copies after the first may have a wider or a narrower input.
        size = min(layer.features for layer in entry.layers)
        yield from _rate((*entry.path, "dropout"), entry.declared.dropout, size)
        state = entry.declared.recurrent_dropout
        yield from _rate((*entry.path, "recurrent_dropout"), state, entry.declared.units)
    head = context.spec.head
    if head is not None:
        pooled = width(context.entries[-1].layers[-1].output)
        yield from _rate(("head", "dropout"), head.dropout, pooled)
        for index, hidden in enumerate(head.hidden):
            yield from _rate(("head", "hidden", index, "dropout"), hidden.dropout, hidden.units)


def _rate(path: Path, rate: float, size: int) -> Iterator[tuple[Path, float, int]]:
    if rate:
        yield path, rate, size
