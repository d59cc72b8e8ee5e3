"""Advice on the head: what is pooled, and what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from rnnspec.ir.nodes import Dense, Pooling, width
from rnnspec.lint.context import Context, Finding
from rnnspec.spec.models import Head
from rnnspec.spec.yaml.places import Path


def certain_softmax(context: Context) -> Iterator[Finding]:
    """A softmax over one unit."""
    for path, units, activation in _dense(context.spec.head):
        if (units, activation) == (1, "softmax"):
            message = "a softmax over one unit is always 1; a probability of one unit is 'sigmoid'"
            yield (*path, "activation"), message


def independent_classes(context: Context) -> Iterator[Finding]:
    """A sigmoid over many units, which excludes none by another."""
    head = context.spec.head
    if head is not None and head.activation == "sigmoid" and (head.units or 0) > 1:
        message = (
            f"{head.units} probabilities that need not sum to 1, right for labels that may hold "
            "together; for classes that exclude each other use 'softmax'"
        )
        yield ("head", "activation"), message


def two_linear_maps(context: Context) -> Iterator[Finding]:
    """A linear layer before a linear layer, which are one."""
    head = context.spec.head
    if head is None:
        return
    dense = [layer for layer in context.network.layers if isinstance(layer, Dense)]
    for index, (layer, after) in enumerate(pairwise(dense)):
        narrow = layer.units < min(width(layer.input), after.units)
        if layer.activation == "linear" and not narrow:
            # What is dropped between them in training does tell the two from one.
            but = "but for the dropout " if head.hidden[index].dropout else ""
            message = f"linear, and a dense layer follows: {but}the two are one linear map"
            yield ("head", "hidden", index, "activation"), message


def one_step_to_pool(context: Context) -> Iterator[Finding]:
    """A pooling of a state that a repeat gives once."""
    for layer in context.network.layers:
        if isinstance(layer, Pooling) and layer.input[0] == 1 and context.spec.input.length != 1:
            message = (
                f"there is one step to pool, and its {layer.statistic} is that step; "
                "'pooling: last' says so"
            )
            yield ("head", "pooling"), message


def softmax_inside(context: Context) -> Iterator[Finding]:
    """A softmax in a hidden layer."""
    for path, units, activation in _dense(context.spec.head):
        if path != ("head",) and activation == "softmax" and units > 1:
            message = "a softmax makes the units share a sum of 1; 'relu' is usual inside a head"
            yield (*path, "activation"), message


def dead_output(context: Context) -> Iterator[Finding]:
    """An output that may get stuck at 0."""
    head = context.spec.head
    if head is not None and head.units is not None and head.activation == "relu":
        message = "where the sum is below 0, relu gives 0 and no gradient; 'softplus' gives both"
        yield ("head", "activation"), message


def _dense(head: Head | None) -> Iterator[tuple[Path, int, str]]:
    """Yield where each dense layer stands, its units and its activation."""
    if head is None:
        return
    for index, hidden in enumerate(head.hidden):
        yield ("head", "hidden", index), hidden.units, hidden.activation
    if head.units is not None:
        yield ("head",), head.units, head.activation
