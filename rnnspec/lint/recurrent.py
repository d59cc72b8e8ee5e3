"""Advice on the recurrent layers: their kind, their number, their direction, what they compute."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rnnspec.ir.nodes import width
from rnnspec.lint.context import Context, Entry, Finding
from rnnspec.spec.models import SimpleRNN

SHORT = 10
"""Steps from which on a simple RNN finds it hard to learn: Bengio et al., 1994."""

FAR = 100
MUCH_DATA = 100_000
NARROW = 4
DEEP = 4
"""Layers that train well without a way around them: Wu et al., 2016, section 3.1."""

_UNBOUNDED = ("relu", "elu", "linear")
_GATES = ("sigmoid", "hard_sigmoid")


def plain_cell(context: Context) -> Iterator[Finding]:
    """A simple RNN where an LSTM or a GRU would remember more."""
    for entry in _simple(context):
        if entry.steps is None or SHORT < entry.steps <= FAR:
            message = "an 'lstm' or a 'gru' remembers more steps than a 'simple' layer"
            yield (*entry.path, "type"), message


def too_far_back(context: Context) -> Iterator[Finding]:
    """A simple RNN over more steps than its gradient survives."""
    for entry in _simple(context):
        if entry.steps is not None and entry.steps > FAR:
            message = (
                f"a 'simple' layer does not learn from what lies {entry.steps} steps back; "
                "'lstm' and 'gru' are made for that"
            )
            yield (*entry.path, "type"), message


def one_direction(context: Context) -> Iterator[Finding]:
    """One direction where the whole sequence is there before an answer is due."""
    entries = context.read_whole
    if not entries or entries[0].steps == 1 or any(entry.said.bidirectional for entry in entries):
        return
    message = "the sequence is read whole before the answer: 'bidirectional: true' may help"
    yield (*entries[0].path, "type"), message


def one_layer(context: Context) -> Iterator[Finding]:
    """One layer where there is data enough for two."""
    if context.depth == 1 and (context.examples or 0) >= MUCH_DATA:
        message = f"{context.examples:,} examples are enough for a second layer: 'layers: 2'"
        yield (*context.entries[0].path, "type"), message


def unbounded_state(context: Context) -> Iterator[Finding]:
    """A state that may grow from step to step."""
    for entry in context.entries:
        if entry.said.activation in _UNBOUNDED:
            message = (
                f"{entry.said.activation!r} has no bound, so the state may grow at each step until "
                "it overflows; 'tanh' has one"
            )
            yield (*entry.path, "activation"), message


def odd_gate(context: Context) -> Iterator[Finding]:
    """A gate that is no share."""
    for entry in context.entries:
        if isinstance(entry.said, SimpleRNN):
            continue
        word = entry.said.recurrent_activation
        if word not in _GATES:
            message = f"a gate is a share between 0 and 1, and {word!r} is not; 'sigmoid' is"
            yield (*entry.path, "recurrent_activation"), message


def bottleneck(context: Context) -> Iterator[Finding]:
    """A layer much narrower than both of its neighbours."""
    widths = list(_widths(context))
    for (_, before), (path, size), (_, after) in zip(widths, widths[1:], widths[2:], strict=False):
        if path and NARROW * size < min(before, after):
            message = (
                f"{size} numbers leave this layer, between one of {before} and one of {after}: "
                "what does not fit through is lost"
            )
            yield (*path, "units"), message


def forgetful_start(context: Context) -> Iterator[Finding]:
    """An LSTM that begins by forgetting."""
    if context.spec.initializers.forget_bias <= 0:
        message = "an lstm that starts by forgetting half of its state or more learns late; use 1"
        yield ("initializers", "forget_bias"), message


def deep_stack(context: Context) -> Iterator[Finding]:
    """Many layers, and no way around any of them."""
    for entries in _plain_stacks(context):
        depth = sum(len(entry.layers) for entry in entries)
        if depth > DEEP:
            message = (
                f"{depth} recurrent layers in a row are hard to train without 'residual: true' "
                "on those that keep their size"
            )
            yield (*entries[0].path, "type"), message


def _plain_stacks(context: Context) -> Iterator[list[Entry]]:
    """Yield each run of entries without a residual, and without a repeat between them."""
    place = {entry.index: place for place, entry in enumerate(context.entries)}
    stacks = groupby(
        context.entries, key=lambda entry: (entry.said.residual, entry.index - place[entry.index])
    )
    yield from (list(entries) for (residual, _), entries in stacks if not residual)


def _simple(context: Context) -> Iterator[Entry]:
    return (entry for entry in context.entries if isinstance(entry.said, SimpleRNN))


def _widths(context: Context) -> Iterator[tuple[tuple[str | int, ...], int]]:
    """Yield how many numbers leave each layer that learns but the last, and where it stands.

    The path is empty where the width is not to be judged: of the input, and of a state that a
    repeat hands on, which is narrow on purpose.
    """
    yield (), context.entries[0].layers[0].features
    for entry in context.entries:
        path = () if context.is_repeated(entry) else entry.path
        yield path, width(entry.layers[-1].output)
    head = context.spec.head
    for index, hidden in enumerate(head.hidden if head else ()):
        yield ("head", "hidden", index), hidden.units
