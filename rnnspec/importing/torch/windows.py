"""Convolutions and pools of PyTorch, and the steps that are added for them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.layers import pool_steps as graph_pool_steps
from rnnspec.importing.graph.values import Known, Tensor
from rnnspec.importing.graph.windows import convolve, pad_axes
from rnnspec.importing.torch.values import (
    describe,
    is_size,
)
from rnnspec.importing.unplaced import conv
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.importing.torch.operators import Operators
    from rnnspec.importing.torch.scope import ModuleScope
    from rnnspec.importing.torch.values import Op
    from rnnspec.words import Statistic, WindowStatistic


def convolution(scope: ModuleScope, op: Op, x: Any) -> Tensor:
    """Return the output of ``nn.Conv1d``.

    Raises:
        RefusedError: rnnspec does not support its padding.
    """
    module = op.module
    value = scope.sequence(x, padded=True)
    scope.lay_out(value, "batch", "features", "steps", where="a convolution")
    scope.fit_features(value.at, module.in_channels)
    settings = (_single(getattr(module, key)) for key in ("kernel_size", "stride", "dilation"))
    size, stride, dilation = settings
    valid = nodes.Window(size=size, stride=stride, dilation=dilation, padding="valid")
    match module.padding:
        case "valid":
            pads = (0, 0)
        case "same":
            pads = (valid.reach // 2, valid.reach - valid.reach // 2)
        case (int(number),) | int(number):
            pads = (number, number)
        case other:
            raise RefusedError(f"padding: expected zeros, received {other!r}", "E703")
    layer = conv(op.target, module.out_channels, valid, bias=module.bias is not None)
    return convolve(scope, value, layer, pads, modules=(op.target,))


def _single(size: Any) -> int:
    """Return a size of one axis, which PyTorch may keep in a tuple.

    Raises:
        RefusedError: it is not a number.
    """
    number = size[0] if size and isinstance(size, tuple) else size
    if is_size(number):
        message = "expected a number, or the steps of the sequence as the kernel size, received"
        raise RefusedError(f"{message} another size of a tensor", "E703")
    if type(number) is not int:
        raise RefusedError(f"expected a number of steps, received {describe(number)}", "E703")
    return number


def add_steps(m: Operators, x: Any, pad: Any, filler: float = 0.0) -> Tensor:
    """Return a sequence with steps of one number before and after it, for a window."""
    value = m.scope.sequence(x, padded=True)
    numbers = (pad, pad) if isinstance(pad, int) else tuple(pad)
    # From the last axis to the first.
    pairs = zip(numbers[::2], numbers[1::2], strict=False)
    axes = reversed(range(len(value.axes)))
    if all(type(number) is int for number in numbers):
        with suppress(RefusedError):
            return pad_axes(m.scope, value, dict(zip(axes, pairs, strict=False)), filler)
    received = ", ".join(map(describe, numbers))
    raise RefusedError(f"pad: expected zeros before and after the steps, received ({received})")


def pool_windows(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
    m: Operators,
    x: Any,
    statistic: WindowStatistic,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    *,
    ceil_mode: bool,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the maxima or means of windows over the steps."""
    scope = m.scope
    value = scope.sequence(x, padded=True)
    scope.lay_out(value, "batch", "features", "steps", where="a pool")
    size = kernel_size[0] if kernel_size and isinstance(kernel_size, tuple) else kernel_size
    counts = scope.sequences(value.at).steps
    if isinstance(size, Known) and padding in (0, (0,)) and not any(value.pad):
        arrays = zip(size.arrays, counts, strict=True)
        if all((array == count).all() for array, count in arrays):
            return pool_all(m, value, "max" if statistic == "max" else "mean")
    size = _single(kernel_size)
    step, zeros = _single(stride) if stride else size, _single(padding)
    pooled: Tensor = m.run(
        "MaxPool" if statistic == "max" else "AveragePool",
        value,
        kernel_shape=(size,),
        strides=(step,),
        pads=(zeros, zeros),
        ceil_mode=int(ceil_mode),
        count_include_pad=int(count_include_pad),
    )
    return pooled


def pool_all(m: Operators, x: Any, statistic: Statistic) -> Tensor:
    """Return a statistic over all steps, which are the last axis and stay as one of size 1."""
    value = m.scope.sequence(x)
    m.scope.lay_out(value, "batch", "features", "steps", where="a pool")
    return pool_steps(m, value, statistic)


def pool_steps(m: Operators, value: Tensor, statistic: Statistic) -> Tensor:
    """Return a statistic over all steps, whose axis stays with size 1.

    Raises:
        RefusedError: it counts the zeros at padding.
    """
    pooled = graph_pool_steps(m.scope, value, statistic)
    if not m.scope.masked[pooled.at] and m.scope.is_padded(value.at):
        raise RefusedError(
            f"the {statistic} counts the zeros that pad_packed_sequence puts at padding; "
            f"'pooling: {statistic}' leaves padding out"
        )
    return pooled
