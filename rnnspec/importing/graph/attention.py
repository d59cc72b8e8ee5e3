"""Attention over the steps: a softmax of scores, and the sum of the steps weighted by it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rnnspec.importing.graph.layer_graph import RefusedError, read_scores
from rnnspec.importing.graph.values import Tensor, are_equal

if TYPE_CHECKING:
    from rnnspec.importing.graph.scope import Scope
    from rnnspec.importing.graph.values import Value


def weights_of(scope: Scope, value: Tensor) -> Tensor:
    """Return the weights of an attention: a softmax over the steps of one score each.

    Raises:
        RefusedError: there are several scores.
    """
    filler = value.filler
    solid = scope.settle(replace(value, filler=None))
    if scope.features(solid) != 1:
        raise RefusedError("expected a softmax over the features, or over one score for each step")
    masked = filler is not None and filler <= -1e9
    if filler is not None and not masked:
        message = "expected a low number in place of the scores of padding"
        raise RefusedError(f"{message}, such as -1e9, received {filler:g}", "E703")
    _check_steps(scope, solid, masked=masked)
    axes = tuple("" if axis == "F" else axis for axis in solid.axes)
    return Tensor(solid.at, axes, role="weights", steps=solid.steps, filler=0.0 if masked else None)


def is_attention(x: Value, y: Value) -> bool:
    """True if a product is of steps and of their weights."""
    return any(isinstance(value, Tensor) and value.role == "weights" for value in (x, y))


def weigh(scope: Scope, x: Tensor, y: Tensor) -> Tensor:
    """Return steps multiplied by their weights.

    Raises:
        RefusedError: the weights are not those of the steps.
    """
    weights, steps = (x, y) if x.role == "weights" else (y, x)
    value = scope.settle(steps)
    _check_place(weights, value)
    rank = len(value.axes)
    aligned = ("",) * (rank - len(weights.axes)) + weights.axes
    if aligned != tuple("" if axis == "F" else axis for axis in value.axes):
        raise RefusedError("expected one weight for each step, received other axes")
    return replace(value, role="weighted", scores=weights.at, filler=weights.filler)


def attend(scope: Scope, x: Value, y: Value) -> Tensor:
    """Return the product of the weights of steps and of the steps.

    Raises:
        RefusedError: it is no sum over the steps.
    """
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        raise RefusedError("expected weights and steps, received others")
    if x.role == "weights":
        value = scope.settle(y)
        _check_place(x, value)
        if (x.axes, value.axes) == (("B", "", "T"), ("B", "T", "F")):
            at = attention(scope, value.at, x)
            return Tensor(at, ("B", "", "F"))
    else:
        value = scope.settle(x)
        _check_place(y, value)
        if (value.axes, y.axes) == (("B", "F", "T"), ("B", "T", "")):
            at = attention(scope, value.at, y)
            return Tensor(at, ("B", "F", ""))
    raise RefusedError("expected a product over the steps, received other axes")


def _check_steps(scope: Scope, x: Tensor, *, masked: bool) -> None:
    """Check that a value has all steps of each sequence once, or all real ones.

    Raises:
        RefusedError: it has others.
    """
    if x.steps is None:
        return
    for steps, real in zip(x.steps, scope.sequences(x.at).real, strict=True):
        counts = np.zeros(real.shape, int)
        row, place = np.nonzero(steps >= 0)
        np.add.at(counts, (row, steps[row, place]), 1)
        if (counts > 1).any() or (np.where(real, counts, 1) if masked else counts).min() < 1:
            raise RefusedError("expected all steps of a sequence, received others")


def _check_place(weights: Tensor, value: Tensor) -> None:
    """Check that weights are those of the steps that they stand beside.

    Raises:
        RefusedError: they are others.
    """
    if weights.rows is not None or not are_equal(weights.steps, value.steps):
        raise RefusedError("expected the weights of the same steps in one order, received others")


def attention(scope: Scope, start: int, weights: Tensor) -> int:
    """Return the place of the sum of the steps at ``start`` with weights.

    Raises:
        RefusedError: the scores are not made of these steps by one or two dense layers.
    """
    if weights.rows is not None:
        raise RefusedError("expected the sequences of the batch in their order")
    _check_steps(scope, replace(weights, at=start), masked=weights.filler == 0.0)
    place = weights.scores if weights.role == "weighted" else weights.at
    scores = read_scores(scope, place, start, scope.other_scores)
    at = scope.add_attention(scores, start)
    scope.masked[at] = weights.filler == 0.0
    return at
