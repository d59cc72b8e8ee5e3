"""Masks: conditions and numbers of the input that say which steps are real."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rnnspec.importing.graph.layer_graph import RefusedError, pooling
from rnnspec.importing.graph.parts import current_steps
from rnnspec.importing.graph.values import Known, Tensor, describe
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.graph.graph import GraphNode
    from rnnspec.importing.graph.scope import Scope
    from rnnspec.importing.graph.values import Probed, Value

LOWEST = -1e9
"""The largest number in place of the scores of padding with which their weights are 0."""
_OTHER_MASK = (
    "expected padding that is token 0, or a number in every feature of a step, received another "
    "condition"
)


def choose(scope: Scope, _: GraphNode, inputs: Sequence[Value]) -> Tensor:
    """Return a tensor with a number in place of what it holds at padding.

    Raises:
        RefusedError: the condition is another.
    """
    condition, x, y = inputs
    if not isinstance(condition, Known):
        raise RefusedError(f"expected a condition of the input, received {describe(condition)}")
    chosen = tuple(array.astype(bool) for array in condition.arrays)
    if all(array.all() for array in chosen) and isinstance(x, Tensor):
        return x
    if not any(array.any() for array in chosen) and isinstance(y, Tensor):
        return y
    for one, other, is_real in ((x, y, chosen), (y, x, tuple(~array for array in chosen))):
        if isinstance(one, Tensor) and one.is_final and _is_first_state(scope, one, other):
            # What no step is real of ends as it began.
            return _fill(scope, one, is_real, None)
    if isinstance(y, Tensor):
        x, y, chosen = y, x, tuple(~array for array in chosen)
    number = y.constant if isinstance(y, Known) else None
    if not isinstance(x, Tensor) or number is None or (number != number.flat[0]).any():
        raise RefusedError(
            f"rnnspec does not support a choice of {describe(x)} and {describe(y)}", "E701"
        )
    return _fill(scope, x, chosen, float(number.flat[0]))


def _is_first_state(scope: Scope, x: Tensor, y: Value) -> bool:
    """True if a value is what the layer began with whose final state is another one."""
    layer, (_, *vectors) = scope.steps[x.at].layer, scope.steps[x.at].sources
    if not isinstance(layer, nodes.Recurrent) or not layer.initial:
        return False
    place = _place_of_state(x)
    if layer.initial[place] is None or x.formula is not None:
        return False
    vector = vectors[sum(name is not None for name in layer.initial[:place])]
    if isinstance(y, Tensor):
        aligned = ("",) * (len(x.axes) - len(y.axes)) + y.axes
        if y.formula is not None or y.rows is not None or aligned != x.axes:
            return False
        return scope.state_of(y) == vector if y.is_final else y.at == vector
    learned = scope.steps[vector].arrays if vector > 0 else None
    if not isinstance(y, Known) or learned is None or "vector" not in learned:
        return False
    rows = [
        np.moveaxis(array, x.axis("B"), 0).reshape(len(real), -1)
        for array, real in zip(y.arrays, scope.probes.real, strict=True)
    ]
    return all((row == learned["vector"]).all() for row in rows)


def _place_of_state(x: Tensor) -> int:
    """Return the number of a state: a layer has two at most, the output and a cell state."""
    return int(x.part not in ("", "h"))


def _fill(scope: Scope, x: Tensor, real: Probed, number: float | None) -> Tensor:
    """Return a tensor with a number where a condition does not hold, which is at padding.

    Args:
        scope: the layers.
        x: the tensor.
        real: the condition.
        number: the number, None for what a final state began as.

    Raises:
        RefusedError: the condition is another.
    """
    origin = x.at
    while not scope.is_sequence(origin):
        origin = scope.steps[origin].sources[0]
    real_steps = scope.real(x, origin)
    by_row = [_align_condition(array, x, scope.shape(x)[i]) for i, array in enumerate(real)]
    if x.axis("T") >= 0:
        expected = [
            np.where(steps >= 0, np.take_along_axis(mask, steps.clip(0), 1), False)
            for steps, mask in zip(current_steps(scope, x), real_steps, strict=True)
        ]
    else:
        expected = [np.asarray(mask.any(1))[:, None] for mask in real_steps]
    if not all(
        np.array_equal(np.broadcast_to(array, target.shape), target)
        for array, target in zip(by_row, expected, strict=True)
        if array.shape[1] in (1, target.shape[1])
    ) or any(a.shape[1] not in (1, b.shape[1]) for a, b in zip(by_row, expected, strict=True)):
        raise RefusedError(_OTHER_MASK)
    if x.axis("T") < 0 or number is None:
        if number:
            raise RefusedError(f"a sequence of padding alone gives zeros, received {number:g}")
        if number is not None and not _is_zero_without_steps(scope, x):
            message = "puts zeros in place of what a sequence of padding alone gives"
            raise RefusedError(f"{message}; expected it right behind a pooling, or a state")
        if scope.op is not None:
            scope.filled.setdefault(origin, scope.op)
        return x
    if x.role != "plain":
        if x.filler != 0.0 or number:
            message = "leaves out weights of an attention behind its softmax"
            raise RefusedError(f"{message}; expected a low number at padding before it")
        return x
    if not _holds_at_padding(scope, x, number) and scope.op is not None:
        scope.filled.setdefault(x.at, scope.op)
    return replace(x, filler=number, numbers=None)


def _is_zero_without_steps(scope: Scope, x: Tensor) -> bool:
    """True if a vector is zeros where a sequence is padding alone, as it is in the language."""
    layer = scope.steps[x.at].layer if x.at > 0 else None
    if x.formula is not None:
        return False
    if isinstance(layer, nodes.Recurrent):
        return not layer.initial or layer.initial[_place_of_state(x)] is None
    return isinstance(layer, nodes.Pooling | nodes.AttentionPooling)


def _holds_at_padding(scope: Scope, x: Tensor, number: float) -> bool:
    """True if a number is what a tensor has at all padded steps anyway."""
    if x.formula is not None or all(real.all() for real in scope.real(x)):
        return x.formula is None
    if x.at <= 0:
        return number == scope.probes.setting.of(x.at).filler
    step = scope.steps[x.at]
    if not isinstance(step.layer, nodes.Embedding):
        return False
    table = scope.arrays_of(step).get("embeddings")
    return table is not None and bool((table[0] == number).all())


def _align_condition(array: Array, x: Tensor, shape: tuple[int, ...]) -> Array:
    """Return a condition as (batch, steps), or (batch, 1).

    Raises:
        RefusedError: it differs along another axis.
    """
    rank = len(x.axes)
    if array.ndim > rank:
        raise RefusedError(
            "expected a condition with the axes of the tensor, received more", "E707"
        )
    full = array.reshape((1,) * (rank - array.ndim) + array.shape)
    if any(a not in (1, b) for a, b in zip(full.shape, shape, strict=True)):
        raise RefusedError(
            "expected a condition with the axes of the tensor, received others", "E707"
        )
    batch, steps = x.axis("B"), x.axis("T")
    if batch == steps and batch >= 0:
        raise RefusedError("expected a condition over the batch and the steps, received another")
    sequence_axes = [i for i in (batch, steps) if i >= 0]
    rest = [i for i in range(rank) if i not in sequence_axes]
    ordered = full.transpose([*sequence_axes, *rest])
    flat = ordered.reshape(*ordered.shape[: len(sequence_axes)], -1)
    if (flat != flat[..., :1]).any():
        raise RefusedError(_OTHER_MASK)
    result: Array = flat[..., 0]
    if steps < 0:
        result = result[:, None]
    return result


def apply_mask(scope: Scope, node: GraphNode, inputs: Sequence[Value]) -> Tensor:
    """Return a tensor multiplied by a mask, or a sum divided by the number of real steps."""
    x, y = (*inputs, None)[:2]
    if node.op == "Mul" and isinstance(y, Tensor):
        x, y = y, x
    if not isinstance(x, Tensor) or not isinstance(y, Known):
        raise RefusedError(
            f"rnnspec does not support {node.op} of {describe(x)} and {describe(y)}", "E701"
        )
    step = scope.steps.get(x.at)
    layer = step.layer if step else None
    if isinstance(layer, nodes.Pooling) and layer.statistic == "sum" and x.formula is None:
        return _divide(scope, node, x, y)
    if isinstance(layer, nodes.WindowPooling) and node.op == "Div" and x.formula is None:
        return _divide_windows(scope, x, y)
    if node.op == "Mul" and all(np.isin(array, (0, 1)).all() for array in y.arrays):
        return _fill(scope, x, tuple(array.astype(bool) for array in y.arrays), 0.0)
    sign = -1 if node.op == "Sub" and y is inputs[1] else 1
    added = [sign * array.astype("f8") for array in y.arrays]
    if node.op in ("Add", "Sub") and all(((a == 0) | (a <= LOWEST)).all() for a in added):
        lows = [float(array[array != 0].max()) for array in added if array.any()]
        return _fill(scope, x, tuple(array == 0 for array in added), max(lows, default=0.0))
    raise RefusedError(
        f"rnnspec does not support {node.op} of {describe(x)} and numbers of each sequence", "E701"
    )


def _divide(scope: Scope, node: GraphNode, x: Tensor, y: Known) -> Tensor:
    """Return the sum of the real steps divided by their number."""
    step = scope.steps[x.at]
    if node.op == "Div" and (mean := divide_by_steps(scope, x, y)) is not None:
        return mean
    if not scope.masked[x.at]:
        message = "expected the sum of the real steps divided by their number, received that of all"
        raise RefusedError(message)
    real = scope.sequences(step.sources[0]).real
    for i, (array, mask) in enumerate(zip(y.arrays, real, strict=True)):
        counts = _align_condition(array, x, scope.shape(x)[i])[:, 0].astype("f8")
        counts = counts if node.op == "Div" else 1 / counts
        real_counts = mask.sum(1)
        if node.op not in ("Div", "Mul") or not np.allclose(
            counts[real_counts > 0], real_counts[real_counts > 0]
        ):
            raise RefusedError(
                "expected the number of real steps of each sequence, received others"
            )
    at = scope.add(pooling("mean"), step.sources[0])
    scope.masked[at] = True
    return replace(x, at=at)


def divide_by_steps(scope: Scope, x: Tensor, y: Known) -> Tensor | None:
    """Return the mean of all steps if it is their sum divided by their number, or None."""
    step = scope.steps.get(x.at)
    layer = step.layer if step else None
    is_sum = isinstance(layer, nodes.Pooling) and layer.statistic == "sum" and x.formula is None
    if step is None or not is_sum or scope.masked[x.at]:
        return None
    counts = scope.sequences(step.sources[0]).steps
    if not all((array == count).all() for array, count in zip(y.arrays, counts, strict=True)):
        return None
    return replace(x, at=scope.add(pooling("mean"), step.sources[0]))


def _divide_windows(scope: Scope, x: Tensor, y: Known) -> Tensor:
    """Return the means of the real steps in windows: those of zeros at padding, divided.

    The divisor is the share of real steps in each window, and any number if it has none.
    """
    step = scope.steps[x.at]
    layer = step.layer
    assert isinstance(layer, nodes.WindowPooling), "of the caller"
    if x.at not in scope.zeroed:
        raise RefusedError("expected zeros at padding in what is divided by shares of real steps")
    for i, (array, mask) in enumerate(zip(y.arrays, scope.real(x, step.sources[0]), strict=True)):
        counts = _count_in_windows(mask, layer.window)
        shares = counts / _count_in_windows(np.ones_like(mask), layer.window)
        divisors = np.broadcast_to(_align_condition(array, x, scope.shape(x)[i]), shares.shape)
        if not np.allclose(divisors[counts > 0], shares[counts > 0]):
            raise RefusedError("expected the share of real steps in each window, received others")
    at = scope.add(layer, step.sources[0], sequences=scope.sequences(x.at))
    scope.masked[at] = True
    return replace(x, at=at)


def _count_in_windows(mask: Array, window: nodes.Window) -> Array:
    """Return the number of steps in each window for which a mask is true."""
    added = np.pad(mask, ((0, 0), window.added(mask.shape[1])))
    windows = sliding_window_view(added, window.size, axis=1)
    return np.asarray(windows[:, :: window.stride].sum(-1))
