"""Windows over the steps: convolutions and pools, and the steps that are added for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.errors import brief
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.scope import ProbedSteps, restart_longer
from rnnspec.importing.graph.shapes import constants
from rnnspec.importing.graph.values import Tensor, describe
from rnnspec.importing.unplaced import conv
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.graph.graph import GraphNode
    from rnnspec.importing.graph.scope import Scope
    from rnnspec.importing.graph.values import Value
    from rnnspec.words import WindowPadding, WindowStatistic


def convolution(scope: Scope, node: GraphNode, inputs: Sequence[Value]) -> Tensor:
    """Return the output of a convolution over the steps."""
    w, b = [*constants(inputs, "W and B"), None][1:3]
    value = scope.as_steps(scope.with_features(scope.settle(inputs[0], padded=True), 1))
    value = scope.turned(value, "BFT")
    if w is None or w.ndim != len(value.axes) or w.ndim < 3:
        raise RefusedError("W: expected an array of the file with the axes of the input", "E707")
    if node.attributes.get("group", 1) != 1:
        raise RefusedError("group: expected 1, received another number", "E703")
    kernel_shape = tuple(node.attributes.get("kernel_shape", w.shape[2:]))
    if kernel_shape != w.shape[2:]:
        message = f"kernel_shape: expected {brief(w.shape[2:])}, received {brief(kernel_shape)}"
        raise RefusedError(message, "E707")
    place, sizes = _steps_axis(value, node, w.shape[2:])
    if w.shape[1] != scope.features(value):
        message = f"W: expected {scope.features(value)} features, received {w.shape[1]}"
        raise RefusedError(message, "E707")
    if sizes["auto"] not in ("NOTSET", "VALID") and any(value.pad):
        raise RefusedError("auto_pad: expected no steps added before, received some", "E703")
    stride, dilation = sizes["strides"], sizes["dilations"]
    size = w.shape[2 + place]
    valid = nodes.Window(size=size, stride=stride, dilation=dilation, padding="valid")
    layer = conv("conv", w.shape[0], valid, bias=b is not None)
    kernel = w.reshape(*w.shape[:2], size).transpose(2, 1, 0)
    arrays = {"kernel": kernel} | ({} if b is None else {"bias": np.ravel(b)})
    return convolve(scope, value, layer, sizes["pads"], auto=sizes["auto"], arrays=arrays)


def convolve(  # noqa: PLR0913 - the settings of a convolution
    scope: Scope,
    x: Tensor,
    layer: nodes.Conv,
    pads: tuple[int, int],
    *,
    auto: str = "NOTSET",
    arrays: Mapping[str, Array] | None = None,
    modules: tuple[str, ...] | None = None,
) -> Tensor:
    """Return the output of a convolution over the steps, whose windows are valid ones as yet.

    Args:
        scope: the layers.
        x: its input, perhaps with steps of zeros added.
        layer: the convolution.
        pads: how many zeros it adds itself, before and after the steps.
        auto: what it adds instead, by ONNX's name.
        arrays: its canonical arrays.
        modules: what has its arrays in the model.

    Raises:
        RefusedError: rnnspec does not support its padding.
    """
    value = scope.in_place(x)
    value.check_zeros_added()
    added = (value.pad[0] + pads[0], value.pad[1] + pads[1])
    padding, surplus = _padding(scope, value.at, added, auto, layer.window)
    window = replace(layer.window, padding=padding)
    at = scope.add(
        replace(layer, window=window),
        value.at,
        arrays=arrays,
        sequences=windows(scope, value.at, window),
        modules=modules,
    )
    if window.size > 1:
        scope.masked[at] = value.filler == 0.0
    return Tensor(at, value.axes, surplus=surplus)


def _steps_axis(
    value: Tensor, node: GraphNode, kernel: tuple[int, ...]
) -> tuple[int, dict[str, Any]]:
    """Return which spatial axis has the steps, and the settings of a window there.

    Other axes must have size 1, and a window of size 1 there.
    """
    spatial = value.axes[2:]
    if value.axes[:2] != ("B", "F") or sorted(spatial) != [*[""] * (len(spatial) - 1), "T"]:
        raise RefusedError(f"expected (batch, features, steps), received {describe(value)}")
    place, rank = spatial.index("T"), len(spatial)
    attributes = node.attributes
    result: dict[str, Any] = {"auto": attributes.get("auto_pad", "NOTSET")}
    for key, default in (("strides", 1), ("dilations", 1)):
        values = attributes.get(key, (default,) * rank)
        if len(values) != rank:
            raise RefusedError(f"{key}: expected {rank} numbers, received {len(values)}", "E703")
        result[key] = int(values[place])
    pads = attributes.get("pads", (0,) * (2 * rank))
    if len(pads) != 2 * rank or len(kernel) != rank:
        raise RefusedError("pads: expected two numbers for each axis", "E703")
    if result["auto"] != "NOTSET" and any(pads):
        raise RefusedError("auto_pad: expected it without pads, received both", "E703")
    result["pads"] = (int(pads[place]), int(pads[rank + place]))
    others = [i for i in range(rank) if i != place]
    if any(kernel[i] != 1 or pads[i] or pads[rank + i] for i in others):
        raise RefusedError("expected a window over the steps alone, received another")
    return place, result


def _padding(
    scope: Scope, at: int, added: tuple[int, int], auto: str, valid: nodes.Window
) -> tuple[WindowPadding | tuple[int, int], int]:
    """Return the padding of a convolution, and by how many steps its output is too long.

    Raises:
        RefusedError: rnnspec does not support such a padding.
    """
    reach = valid.reach
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        if auto == "SAME_LOWER" and (reach % 2 or valid.stride > 1):
            raise RefusedError("auto_pad: expected SAME_UPPER, received SAME_LOWER", "E703")
        return "same", 0
    fitting = fit_convolution(valid, added, _fixed_steps(scope, at))
    if fitting is None:
        raise _beyond(added, reach)
    return fitting[0].padding, fitting[1]


def _beyond(added: tuple[int, int], reach: int) -> RefusedError:
    """Return the refusal of windows that lie outside of a sequence."""
    message = f"padding: {added[0]} steps before and {added[1]} after a sequence"
    return RefusedError(f"{message}; expected at most {reach}, as others are outside of it", "E703")


def _fixed_steps(scope: Scope, at: int) -> int | None:
    """Return the number of steps at a place if it is the same for every input, or None."""
    return scope.sequences(at).steps[0] if scope.has_fixed_steps(at) else None


def windows(scope: Scope, at: int, window: nodes.Window) -> ProbedSteps:
    """Return the windows over a sequence for the probes."""
    before = scope.sequences(at)
    counts = [window.count(steps) or 0 for steps in before.steps]
    if min(counts) < 1:
        restart_longer(scope)
        raise RefusedError("its windows are longer than the sequences", "E707")
    real = tuple(
        # With more windows than steps, no mask tells the padding.
        np.ones((len(mask), count), bool)
        if window.anchor < 0
        else mask[:, window.anchor :: window.stride][:, :count]
        for mask, count in zip(before.real, counts, strict=True)
    )
    return ProbedSteps(tuple(counts), real)


def pool_windows(scope: Scope, node: GraphNode, inputs: Sequence[Value]) -> Tensor:
    """Return the maxima or the means of windows over the steps."""
    value = scope.in_place(scope.settle(inputs[0], padded=True))
    value = scope.as_steps(scope.with_features(value, 1))
    kernel = tuple(node.attributes.get("kernel_shape", ()))
    place, sizes = _steps_axis(value, node, kernel)
    statistic: WindowStatistic = "max" if node.op == "MaxPool" else "average"
    if len(node.outputs) > 1 and node.outputs[1]:
        raise RefusedError("Indices: expected one output, received two", "E703")
    size, stride = int(kernel[place]), sizes["strides"]
    if sizes["dilations"] != 1:
        raise RefusedError("dilations: expected 1, received another", "E703")
    added, lengths = sizes["pads"], scope.sequences(value.at).steps
    may_overhang = stride > 1 and (
        not scope.has_fixed_steps(value.at) or (lengths[0] - size) % stride > 0
    )
    valid = nodes.Window(size=size, stride=stride, dilation=1, padding="valid")
    padding: WindowPadding | tuple[int, int] = "valid"
    counts = statistic == "average" and node.attributes.get("count_include_pad", 0)
    if any(value.pad):
        if statistic != "max" or value.pad_value > -1e30 or any(added):
            received = f"{value.pad_value} before and after the steps, {value.pad}"
            message = f"pad: expected none, or -inf as 'same' adds it, received {received}"
            raise RefusedError(message, "E703")
        added = value.pad
    if sizes["auto"] in ("SAME_UPPER", "SAME_LOWER"):
        padding = _padding(scope, value.at, added, sizes["auto"], valid)[0]
    elif any(added):
        fitting = fit_window(valid, added, _fixed_steps(scope, value.at), ("same",))
        if fitting is None:
            raise _beyond(added, size - 1)
        padding = fitting.padding
    elif node.attributes.get("ceil_mode", 0) and may_overhang:
        if (size, stride) != (2, 2):
            message = "expected 0, or windows of 2 steps with a stride of 2, where it is 'same'"
            raise RefusedError(f"ceil_mode: {message}; received 1", "E703")
        padding = "same"
    if padding != "valid" and counts:
        message = "count_include_pad: expected 0, received 1: in rnnspec, steps outside the "
        raise RefusedError(f"{message}sequence never count", "E703")
    window = replace(valid, padding=padding)
    layer = nodes.WindowPooling(
        name="pool", input=(), statistic=statistic, window=window, masked=False
    )
    at = scope.add(layer, value.at, sequences=windows(scope, value.at, window))
    if size > 1:
        lowest = value.filler is not None and value.filler <= -1e30
        scope.masked[at] = statistic == "max" and lowest
    if value.filler == 0.0 and statistic == "average":
        scope.zeroed.add(at)
    return Tensor(at, value.axes)


def add_steps(scope: Scope, node: GraphNode, inputs: Sequence[Value]) -> Tensor:
    """Return a sequence with steps of one number before and after it, for a window."""
    x = scope.settle(inputs[0], padded=True)
    _, pads, value_added, padded_axes = [*constants(inputs, "pads"), None, None, None][:4]
    pads = np.array(node.attributes["pads"]) if "pads" in node.attributes else pads
    mode = node.attributes.get("mode", "constant")
    if pads is None or mode != "constant":
        raise RefusedError(f"mode: expected constant, received {mode}", "E703")
    filler = float(node.attributes.get("value", 0.0))
    if value_added is not None:
        filler = float(np.ravel(value_added)[0])
    rank = len(x.axes)
    axes = list(range(rank)) if padded_axes is None else [int(i) % rank for i in padded_axes]
    pairs = {axis: (int(pads[i]), int(pads[i + len(pads) // 2])) for i, axis in enumerate(axes)}
    return pad_axes(scope, x, pairs, filler)


def pad_axes(
    scope: Scope, x: Tensor, pairs: Mapping[int, tuple[int, int]], filler: float
) -> Tensor:
    """Return a sequence with a number before and after what is along its axes, for a window.

    Raises:
        RefusedError: it is not along the steps alone.
    """
    value = scope.in_place(x)
    used = {axis: pair for axis, pair in pairs.items() if any(pair)}
    steps = value.axis("T")
    if set(used) - {steps} or any(number < 0 for pair in used.values() for number in pair):
        raise RefusedError("pads: expected steps before and after a sequence, received others")
    if not used:
        return value
    return replace(value.add_steps(*used[steps], filler), numbers=None)


def fit_convolution(
    valid: nodes.Window, added: tuple[int, int], steps: int | None
) -> tuple[nodes.Window, int] | None:
    """Return the windows of a convolution, and by how many steps its output is too long.

    See ``fit_window``. With as many zeros behind a sequence as before it, a causal one is too long.
    """
    reach = valid.reach
    if reach and added == (reach, reach) and valid.stride == 1:
        return replace(valid, padding="causal"), reach
    window = fit_window(valid, added, steps)
    return None if window is None else (window, 0)


def fit_window(
    valid: nodes.Window,
    added: tuple[int, int],
    steps: int | None,
    paddings: Sequence[WindowPadding] = ("valid", "causal", "same"),
) -> nodes.Window | None:
    """Return the windows of the language that read the steps that ``valid`` ones read.

    Their padding is a word if one always adds as many steps. None if some lie outside of the steps.

    Args:
        valid: windows inside of what they read.
        added: the number of steps that are added before and after every sequence.
        steps: the number of steps of every sequence, None if it is open.
        paddings: the words to try.
    """
    before, after = added
    for padding in paddings:
        window = replace(valid, padding=padding)
        if steps is not None:
            alike = window.added(steps)[0] == before
            alike &= window.count(steps) == valid.count(before + steps + after)
        else:
            # With a stride, what 'same' adds depends on the length, and sequences of any length
            # have as many windows only if nothing is left at their end.
            alike = window.added(max(valid.reach, 1)) == (before, after)
            alike &= padding != "same" or valid.stride == 1
        if alike:
            return window
    return replace(valid, padding=added) if max(added) <= valid.reach else None
