"""Convolutions and pools of PyTorch, whose windows and paddings become those of the language."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rnnspec.importing.layer_graph import RefusedError, pooling
from rnnspec.importing.torch.values import Size, Tensor, describe
from rnnspec.importing.unplaced import conv
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.importing.torch.scope import Scope
    from rnnspec.importing.torch.values import Op
    from rnnspec.words import WindowPadding, WindowStatistic


def convolution(scope: Scope, op: Op, value: Tensor) -> Tensor:
    """Return the output of ``nn.Conv1d``.

    Raises:
        RefusedError: the language lacks its padding.
    """
    module = op.module
    value = scope.sequence(value, with_pad=True)
    scope.lay_out(value, "batch", "features", "steps", where="a convolution")
    scope.fit(value, module.in_channels)
    size, stride, dilation = (_single(getattr(module, k)) for k in _WINDOW)
    reach = dilation * (size - 1)
    before, after = value.pad
    if any(value.pad) and value.pad_value:
        raise RefusedError(f"expected zeros before and after, received {value.pad_value}", "E703")
    match module.padding:
        case "valid":
            own = (0, 0)
        case "same":
            own = (reach // 2, reach - reach // 2)
        case (int(number),) | int(number):
            own = (number, number)
        case other:
            raise RefusedError(f"padding: expected zeros, received {other!r}", "E703")
    added, surplus = (before + own[0], after + own[1]), 0
    causal = (reach, 0)
    if added == (reach, reach) and stride == 1 and reach:
        # As long as the last steps are cut off.
        added, surplus = causal, reach
    padding: WindowPadding
    if added == (0, 0):
        padding = "valid"
    elif added == causal:
        padding = "causal"
    elif added == (reach // 2, reach - reach // 2) and stride == 1:
        padding = "same"
    else:
        raise RefusedError(_other_padding(added, reach, stride), "E703")
    window = nodes.Window(size=size, stride=stride, dilation=dilation, padding=padding)
    layer = conv(op.target, module.out_channels, window, bias=module.bias is not None)
    at = scope.add(layer, value, modules=(op.target,))
    return scope.result(value, at, pad=(0, 0), surplus=surplus)


_WINDOW = ("kernel_size", "stride", "dilation")


def _single(size: Any) -> int:
    """Return a size of one axis, which PyTorch may keep in a tuple.

    Raises:
        RefusedError: it is not a number.
    """
    number = size[0] if size and isinstance(size, tuple) else size
    if isinstance(number, Size):
        message = "expected a number, or the steps of the sequence as the kernel size, received"
        raise RefusedError(f"{message} another size of a tensor", "E703")
    if type(number) is not int:
        raise RefusedError(f"expected a number of steps, received {describe(number)}", "E703")
    return number


def _other_padding(added: tuple[int, int], reach: int, stride: int) -> str:
    """Return why zeros before and after a sequence cannot be said."""
    message = f"padding: {added[0]} zeros before and {added[1]} after a sequence"
    if stride > 1:
        return (
            f"{message} with stride {stride}; expected none, or {reach} before it: 'same' of the "
            "language divides them by the number of steps"
        )
    same = f"{reach // 2} and {reach - reach // 2} ('same')"
    return f"{message}; expected none, {same}, or {reach} and 0 ('causal')"


def add_steps(scope: Scope, x: Any, pad: Any, filler: float = 0.0) -> Tensor:
    """Return a sequence with steps of one number before and after it, for a window."""
    value = scope.sequence(x, with_pad=True)
    numbers = (pad, pad) if isinstance(pad, int) else tuple(pad)
    pairs = list(zip(numbers[::2], numbers[1::2], strict=False))
    # From the last axis to the first.
    padded = dict(zip(reversed(value.axes), pairs, strict=False))
    used = {axis: pair for axis, pair in padded.items() if any(pair)}
    steps = value.axes[scope.axis(value, "steps")] if used and _is_known(scope, value) else ""
    if used and not steps and set(used) == {value.axes[-1]}:
        scope.lay_out(value, "batch", "features", "steps", where="zeros at the last axis")
        steps = value.axes[-1]
    if set(used) - {steps} or any(type(n) is not int or n < 0 for n in numbers):
        raise RefusedError(f"pad: expected zeros before and after the steps, received {numbers}")
    before, after = used.get(steps, (0, 0))
    if any(value.pad) and value.pad_value != filler:
        raise RefusedError("pad: expected one number at all steps that are added")
    added = (value.pad[0] + before, value.pad[1] + after)
    return replace(value, pad=added, pad_value=filler)


def _is_known(scope: Scope, value: Tensor) -> bool:
    return "" not in scope.roles(value)


def pool_windows(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
    scope: Scope,
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
    value = scope.sequence(x, with_pad=True)
    scope.lay_out(value, "batch", "features", "steps", where="a pool")
    window = kernel_size[0] if kernel_size and isinstance(kernel_size, tuple) else kernel_size
    if isinstance(window, Size) and scope.is_steps(window, value) and padding in (0, (0,)):
        return pool_all(scope, value, "max" if statistic == "max" else "mean")
    size = _single(kernel_size)
    step, zeros = _single(stride) if stride else size, _single(padding)
    own: WindowPadding = "valid"
    if any(value.pad):
        same = ((size - 1) // 2, size - 1 - (size - 1) // 2)
        if statistic != "max" or value.pad_value == 0.0 or (value.pad, step, zeros) != (same, 1, 0):
            received = f"{value.pad_value} before and after the steps, {value.pad}"
            message = f"pad: expected none, or -inf as 'same' adds it, received {received}"
            raise RefusedError(message, "E703")
        own = "same"
    elif zeros:
        if statistic == "average" and count_include_pad:
            message = "count_include_pad: expected False, received True: in the language, steps "
            raise RefusedError(f"{message}outside the sequence never count", "E703")
        if 2 * zeros != size - 1 or step != 1:
            message = f"padding: {zeros} with kernel_size {size} and stride {step}; expected 0, or"
            raise RefusedError(f"{message} (kernel_size - 1) / 2 with stride 1", "E703")
        own = "same"
    elif ceil_mode and step > 1 and size > 1:
        if (size, step) != (2, 2):
            message = "expected False, or kernel_size 2 and stride 2, where it is 'same'"
            raise RefusedError(f"ceil_mode: {message}; received True", "E703")
        own = "same"
    window = nodes.Window(size=size, stride=step, dilation=1, padding=own)
    layer = nodes.WindowPooling(
        name="pool", input=(), statistic=statistic, window=window, masked=False
    )
    return scope.result(value, scope.add(layer, value), pad=(0, 0))


def pool_all(scope: Scope, x: Any, statistic: Any) -> Tensor:
    """Return a statistic over all steps, which are the last axis and stay as one of size 1."""
    value = scope.sequence(x)
    scope.lay_out(value, "batch", "features", "steps", where="a pool")
    check_no_padding(value, statistic)
    return replace(
        scope.result(value, scope.add(pooling(statistic), value)),
        form="one step",
        axes=f"{value.axes[:2]}-",
    )


def check_no_padding(value: Tensor, statistic: str) -> None:
    """Refuse a statistic that counts the zeros at padding.

    Raises:
        RefusedError: the value has padding.
    """
    if value.padded:
        raise RefusedError(
            f"the {statistic} counts the zeros that pad_packed_sequence puts at padding; "
            f"'pooling: {statistic}' leaves padding out"
        )
