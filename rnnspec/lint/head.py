"""Advice on the head: its pooling and its dense layers."""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.ir.nodes import (
    Activation,
    Conv,
    Dense,
    Dropout,
    Pooling,
    Recurrent,
    Repeat,
    SequenceInput,
    width,
)
from rnnspec.lint.context import Context, Finding
from rnnspec.spec.yaml.text import Path

_OF_SINGLE_UNIT = {"softmax": 1, "log_softmax": 0}


def certain_softmax(context: Context) -> Iterator[Finding]:
    """A softmax over a single unit."""
    for path, units, activation in _dense(context):
        if units == 1 and isinstance(activation, str) and activation in _OF_SINGLE_UNIT:
            value = _OF_SINGLE_UNIT[activation]
            message = (
                f"the {activation} of a single unit is always {value}; use 'sigmoid' for a "
                "probability"
            )
            yield (*path, "activation"), message


def independent_classes(context: Context) -> Iterator[Finding]:
    """A sigmoid over several units, whose classes do not exclude each other."""
    for path, head in context.heads.items():
        if head.activation == "sigmoid" and (head.units or 0) > 1:
            message = (
                f"{head.units} probabilities that need not sum to 1, right for labels that can "
                "occur together; for mutually exclusive classes use 'softmax'"
            )
            yield (*path, "activation"), message


def two_linear_maps(context: Context) -> Iterator[Finding]:
    """A linear layer before another dense layer."""
    following = {layer.name: after for layer, after in context.edges}
    for layer in context.network.layers:
        if not isinstance(layer, Dense) or layer.activation != "linear":
            continue
        after, exception = following.get(layer.name), ""
        if isinstance(after, Dropout):
            # Dropout between the two does have an effect in training.
            after, exception = following.get(after.name), "except for the dropout, "
        # A narrow layer limits the rank of the product, which one map would not.
        if isinstance(after, Dense) and layer.units >= min(width(layer.input), after.units):
            message = f"linear before another dense layer: {exception}the two are one linear map"
            yield (*context.places[layer.name], "activation"), message


def one_step_to_pool(context: Context) -> Iterator[Finding]:
    """A pooling or an attention over the single time step of a repeat."""
    # An input of one time step is reported by L207, a window that leaves one by L504.
    if any(
        isinstance(network_input, SequenceInput) and network_input.steps == 1
        for network_input in context.network.inputs
    ):
        return
    once = set[str]()
    for layer in context.network.layers:
        first = context.sources[layer.name][0]
        if first in once or (isinstance(layer, Repeat) and layer.steps == 1):
            once.add(layer.name)
        path, over = context.memory(layer)
        if over in once:
            yield path, "there is only one time step to attend to, so each context is that step"
        if isinstance(layer, Pooling) and layer.input[0] == 1 and first in once:
            statistic = layer.statistic.replace("_", " ")
            message = (
                f"there is only one time step to pool, so its {statistic} is that step; "
                "use 'pooling: last'"
            )
            yield (*context.places[layer.name], "pooling"), message


def final_state_as_last_step(context: Context) -> Iterator[Finding]:
    """The last step of one direction, which is its final state."""
    message = "the last step of one direction is its final state: 'pooling: last' is the same"
    for path, layer, has_residual in _reading_last_step(context):
        if not (layer.merge or layer.backward or has_residual):
            yield path, message


def one_step_backwards(context: Context) -> Iterator[Finding]:
    """The last step of both directions, where the backward one has just begun."""
    message = (
        "at the last step the backward direction has read only that step; 'pooling: last' "
        "takes its final state"
    )
    for path, layer, _ in _reading_last_step(context):
        if layer.merge or layer.backward:
            yield path, message


def _reading_last_step(context: Context) -> Iterator[tuple[Path, Recurrent, bool]]:
    """Yield the path of each pooling that is the last of several steps of a recurrent layer.

    With it are the layer, and whether there is a residual between. L207, L304 and L504 report a
    single step.
    """
    for layer in context.network.layers:
        if isinstance(layer, Pooling) and layer.statistic == "last_step" and layer.input[0] != 1:
            below, has_residual = context.recurrent_below(context.sources[layer.name][0])
            if below is not None:
                yield (*context.places[layer.name], "pooling"), below, has_residual


def softmax_inside(context: Context) -> Iterator[Finding]:
    """A softmax in a hidden layer."""
    for path, units, activation in _dense(context):
        # A softmax over a single unit is reported by L301.
        if path not in context.heads and activation == "softmax" and units > 1:
            message = "softmax makes the units sum to 1; 'relu' is usual before the output layer"
            yield (*path, "activation"), message


def dead_output(context: Context) -> Iterator[Finding]:
    """An output that may get stuck at 0."""
    for path, head in context.heads.items():
        if head.units is not None and head.activation == "relu":
            message = (
                "if the sum is below 0, 'relu' gives 0 and no gradient; 'softplus' always has a "
                "gradient"
            )
            yield (*path, "activation"), message


def _dense(context: Context) -> Iterator[tuple[Path, int, Activation]]:
    """Yield the path, the width and the activation of each dense layer and each convolution."""
    for layer in context.network.layers:
        if isinstance(layer, Dense | Conv):
            yield context.places[layer.name], width(layer.output), layer.activation
