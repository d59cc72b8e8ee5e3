"""Advice on the recurrent layers: their type, number, directions and activations."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rnnspec.ir.nodes import width
from rnnspec.lint.context import Context, Entry, Finding
from rnnspec.spec.models import SimpleRNN

# The most time steps that a simple RNN learns well: Bengio et al., 1994.
SHORT = 10
# A factor of 0.9 per time step leaves 0.003 % of the gradient after this many; see page L102.
FAR = 100
# Enough for a second layer to pay off in most cases; see page L104.
MUCH_DATA = 100_000
NARROW = 4
# The most layers that train well without residual connections: Wu et al., 2016, section 3.1.
DEEP = 4

# Some of these are bounded below, none is above.
_UNBOUNDED = ("relu", "softplus", "elu", "selu", "silu", "linear")
_GATES = ("sigmoid", "hard_sigmoid", "legacy_hard_sigmoid")


def plain_cell(context: Context) -> Iterator[Finding]:
    """A simple RNN, although an LSTM or a GRU would remember more."""
    for entry in _simple(context):
        if entry.steps is None or SHORT < entry.steps <= FAR:
            message = "an 'lstm' or 'gru' layer remembers more time steps than a 'simple' layer"
            yield (*entry.path, "type"), message


def too_far_back(context: Context) -> Iterator[Finding]:
    """A simple RNN over more time steps than its gradient survives."""
    for entry in _simple(context):
        if entry.steps is not None and entry.steps > FAR:
            message = (
                f"a 'simple' layer does not learn dependencies over {entry.steps} time steps; use "
                "'lstm' or 'gru'"
            )
            yield (*entry.path, "type"), message


def one_direction(context: Context) -> Iterator[Finding]:
    """One direction, although the whole sequence is read before a result is needed."""
    entries = context.read_whole
    if (
        not entries
        or entries[0].steps == 1
        or any(entry.declared.bidirectional for entry in entries)
    ):
        return
    message = "the whole sequence is read before a result is needed: try 'bidirectional: true'"
    yield (*entries[0].path, "type"), message


def one_layer(context: Context) -> Iterator[Finding]:
    """One layer, although the data is enough for two."""
    if context.depth == 1 and (context.examples or 0) >= MUCH_DATA:
        message = f"{context.examples:,} examples are enough for a second layer: try 'layers: 2'"
        yield (*context.entries[0].path, "type"), message


def unbounded_state(context: Context) -> Iterator[Finding]:
    """A state that may grow at each time step."""
    for entry in context.entries:
        if entry.declared.activation in _UNBOUNDED:
            message = (
                f"{entry.declared.activation!r} is unbounded, so the state may grow at each time "
                "step until it overflows; 'tanh' is bounded"
            )
            yield (*entry.path, "activation"), message


def odd_gate(context: Context) -> Iterator[Finding]:
    """A gate whose activation leaves the range from 0 to 1."""
    for entry in context.entries:
        if isinstance(entry.declared, SimpleRNN):
            continue
        activation = entry.declared.recurrent_activation
        if activation not in _GATES:
            message = (
                f"the values of a gate should be between 0 and 1, and those of {activation!r} are "
                "not; use 'sigmoid'"
            )
            yield (*entry.path, "recurrent_activation"), message


def bottleneck(context: Context) -> Iterator[Finding]:
    """A layer much narrower than the layers before and after it."""
    widths = list(_widths(context))
    for (_, before), (path, size), (_, after) in zip(widths, widths[1:], widths[2:], strict=False):
        if path and NARROW * size < min(before, after):
            message = (
                f"this layer outputs {size} features, between {before} before it and {after} "
                "after it: information that does not fit is lost"
            )
            yield (*path, "units"), message


def forgetful_start(context: Context) -> Iterator[Finding]:
    """An LSTM that starts by forgetting."""
    if context.spec.initializers.forget_bias <= 0:
        # The sigmoid of 0 is one half.
        message = (
            "with a forget bias of 0 or less, an 'lstm' starts by forgetting at least half of its "
            "state at each time step, and learns slowly; use 1"
        )
        yield ("initializers", "forget_bias"), message


def deep_stack(context: Context) -> Iterator[Finding]:
    """Many stacked layers without a residual connection."""
    for entries in _plain_stacks(context):
        depth = sum(len(entry.layers) for entry in entries)
        if depth > DEEP:
            message = (
                f"{depth} stacked recurrent layers are hard to train without 'residual: true' on "
                "those of equal input and output size"
            )
            yield (*entries[0].path, "type"), message


def _plain_stacks(context: Context) -> Iterator[list[Entry]]:
    """Yield each run of entries without a residual and without a repeat between them."""
    # Entries leave repeats out, so index and place drift apart by one at each repeat.
    place = {entry.index: place for place, entry in enumerate(context.entries)}
    stacks = groupby(
        context.entries,
        key=lambda entry: (entry.declared.residual, entry.index - place[entry.index]),
    )
    yield from (list(entries) for (residual, _), entries in stacks if not residual)


def _simple(context: Context) -> Iterator[Entry]:
    return (entry for entry in context.entries if isinstance(entry.declared, SimpleRNN))


def _widths(context: Context) -> Iterator[tuple[tuple[str | int, ...], int]]:
    """Yield the path and the output size of each recurrent and hidden layer, after the input.

    The path is empty if the width is not a mistake: for the input, and for a state passed on by a
    repeat, which is narrow on purpose.
    """
    yield (), context.entries[0].layers[0].features
    for entry in context.entries:
        path = () if context.is_repeated(entry) else entry.path
        yield path, width(entry.layers[-1].output)
    head = context.spec.head
    for index, hidden in enumerate(head.hidden if head else ()):
        yield ("head", "hidden", index), hidden.units
