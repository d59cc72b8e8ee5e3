"""Advice on the layers that are not recurrent: norms, activations, dropout and windows."""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.ir.nodes import (
    Activate,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Windowed,
    width,
)
from rnnspec.ir.text import activation_text
from rnnspec.lint.context import Context, Finding

# The thresholds are explained on the pages of L503 and L506.
LONG = 100
LITTLE_KEPT = 0.5


def bias_before_norm(context: Context) -> Iterator[Finding]:
    """A bias that the batch norm after it subtracts again."""
    for layer, after in context.edges:
        if (
            isinstance(after, BatchNorm)
            and isinstance(layer, Dense | Conv)
            and layer.bias
            and layer.activation == "linear"
        ):
            message = f"{after.name} subtracts the mean, and this bias with it; write 'bias: false'"
            yield (*context.places[layer.name], "bias"), message


def activated_twice(context: Context) -> Iterator[Finding]:
    """An activation of what has one already."""
    for layer, after in context.edges:
        if not isinstance(after, Activate) or not isinstance(layer, Dense | Conv | Activate):
            continue
        if layer.activation != "linear" and after.activation != "linear":
            first, second = activation_text(layer.activation), activation_text(after.activation)
            message = f"{layer.name} has the activation {first} already; {second} is applied to it"
            yield (*context.places[after.name], "activation"), message


def long_flatten(context: Context) -> Iterator[Finding]:
    """Many time steps, each with weights of its own in the next layer."""
    for layer in context.network.layers:
        if not isinstance(layer, Flatten):
            continue
        if (steps := layer.input[0]) is not None and steps > LONG:
            message = (
                f"{steps} steps become {width(layer.output):,} features, each with weights of its "
                "own; 'mean', 'max' and 'attention' need none for more steps"
            )
            yield (*context.places[layer.name], "pooling"), message


def single_window(context: Context) -> Iterator[Finding]:
    """A window that leaves a single step of several."""
    for layer in context.network.layers:
        if not isinstance(layer, Windowed) or layer.output[0] != 1:
            continue
        if layer.input[0] != 1:
            path = context.places[layer.name]
            message = (
                f"{layer.name} leaves one of {layer.input[0]} time steps, and no layer after it "
                "has steps to work on; use a smaller window or stride"
            )
            yield (*path, "kernel_size" if isinstance(layer, Conv) else "size"), message


def dropout_before_norm(context: Context) -> Iterator[Finding]:
    """Dropout before a batch norm, whose moving variance it changes."""
    before = {after.name: layer for layer, after in context.edges}
    for layer in context.network.layers:
        if not isinstance(layer, BatchNorm):
            continue
        drop = before.get(layer.name)
        # A layer with weights or an activation passes the larger variance on.
        while isinstance(drop, Dense | Conv | Activate):
            drop = before.get(drop.name)
        if isinstance(drop, Dropout) and drop.rate:
            message = (
                f"in training the dropout adds to the variance that {layer.name} keeps, and in "
                "inference it does not; put dropout after the last batch norm"
            )
            yield context.rate_path(drop), message


def other_momentum(context: Context) -> Iterator[Finding]:
    """A momentum that is probably PyTorch's, which is the other share."""
    for layer in context.network.layers:
        if isinstance(layer, BatchNorm) and layer.momentum < LITTLE_KEPT:
            message = (
                f"each batch leaves {layer.momentum:.0%} of the moving averages; in PyTorch, "
                f"momentum is the other share: {layer.momentum:g} there is "
                f"{1 - layer.momentum:g} here"
            )
            yield (*context.places[layer.name], "momentum"), message
