"""Nodes with arrays: embeddings, products, convolutions and norms; and windows over the steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from rnnspec.errors import brief
from rnnspec.importing.layer_graph import RefusedError, pooling
from rnnspec.importing.onnx import settings
from rnnspec.importing.onnx.attention import attend, is_attention
from rnnspec.importing.onnx.formulas import shortest_float
from rnnspec.importing.onnx.scope import Sequences, restart_longer
from rnnspec.importing.onnx.shapes import constants
from rnnspec.importing.onnx.values import Known, Tensor, describe
from rnnspec.importing.unplaced import conv, dense, embedding
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.importing.onnx.graph import Node
    from rnnspec.importing.onnx.scope import Scope
    from rnnspec.importing.onnx.values import Probed, Value
    from rnnspec.slots import Array
    from rnnspec.words import Statistic, WindowPadding, WindowStatistic


def embed(scope: Scope, table: Array, indices: Known) -> Tensor:
    """Return the vectors of tokens.

    Raises:
        RefusedError: the indices are no tokens of the input.
    """
    if not scope.probes.setting.tokens:
        raise RefusedError("expected tokens of the input as indices, received others")
    tokens = indices.moved_input
    if tokens is None:
        raise RefusedError("expected the tokens of the input as indices, received others")
    taken = _tokens_in_place(scope, tokens) or _moved_tokens(scope, tokens)
    if taken is None:
        raise RefusedError("expected the tokens of the input as indices, received others")
    if scope.embedding:
        raise RefusedError("expected one embedding of the tokens, received another one")
    vocabulary, dim = table.shape
    layer = embedding("embedding", vocabulary, dim, trainable=True)
    at = scope.embedding = scope.add(layer, 0, arrays={"embeddings": table})
    return replace(taken, at=at, axes=(*taken.axes, "F"))


def _tokens_in_place(scope: Scope, indices: Probed) -> Tensor | None:
    """Return indices as the tokens that they are, or None."""
    for letters in ("BT", "TB"):
        batches = scope.probes.batches
        plain = [batch if letters == "BT" else batch.T for batch in batches]
        if all(
            index.size == tokens.size and np.array_equal(np.ravel(index), np.ravel(tokens))
            for index, tokens in zip(indices, plain, strict=True)
        ):
            of_indices, of_tokens = [i.shape for i in indices], [t.shape for t in plain]
            axes = _axes_like(letters, of_indices, of_tokens)
            if axes is not None:
                return Tensor(0, axes)
    return None


def _moved_tokens(scope: Scope, indices: Probed) -> Tensor | None:
    """Return indices as tokens of each sequence in another order, or None.

    No token is twice in a sequence, so each tells the step that it is from.
    """
    for letters in ("BT", "TB"):
        moved: list[Array] = []
        for index, batch in zip(indices, scope.probes.batches, strict=True):
            of_rows = index if letters == "BT" else index.T
            if index.ndim != 2 or len(of_rows) != len(batch):
                break
            rows, steps = batch.shape
            if of_rows.min() < 0 or of_rows.max() > steps:
                break
            places = np.full((rows, steps + 1), -1)
            np.put_along_axis(places, batch, np.broadcast_to(np.arange(steps), batch.shape), 1)
            places[:, 0] = -1
            steps_of = np.take_along_axis(places, of_rows.astype(np.int64), 1)
            if ((steps_of < 0) & (of_rows != 0)).any():
                break
            moved.append(steps_of)
        else:
            return Tensor(0, tuple(letters), steps=tuple(moved))
    return None


def _axes_like(
    letters: str, shapes: Sequence[tuple[int, ...]], plain: Sequence[tuple[int, ...]]
) -> tuple[str, ...] | None:
    """Return what lies along the axes of indices that are tokens in some order."""
    if all(shape == tokens for shape, tokens in zip(shapes, plain, strict=True)):
        return tuple(letters)
    if all(shape == (tokens[0] * tokens[1],) for shape, tokens in zip(shapes, plain, strict=True)):
        return (letters,)
    for place in range(3):
        added = [(*tokens[:place], 1, *tokens[place:]) for tokens in plain]
        if list(shapes) == added:
            return (*letters[:place], "", *letters[place:])
    return None


# Products


def matrix_product(scope: Scope, node: Node, inputs: Sequence[Value]) -> Tensor:
    """Return the output of a dense layer, or of an attention."""
    x, y = inputs
    if is_attention(x, y):
        return attend(scope, x, y)
    if isinstance(y, Known) and (kernel := y.constant) is not None:
        return _dense(scope, scope.as_tensor(x), -1, kernel)
    if isinstance(x, Known) and (kernel := x.constant) is not None:
        # The features are the last axis but one, and stay there.
        value = scope.as_tensor(y)
        if kernel.ndim != 2 or len(value.axes) < 2:
            raise RefusedError("expected a matrix, received an array of other axes", "E707")
        return _dense(scope, value, -2, kernel.T)
    del node
    message = f"the language has no product of {describe(x)} and {describe(y)}"
    raise RefusedError(message, "E701")


def _dense(scope: Scope, x: Tensor, axis: int, kernel: Array) -> Tensor:
    while kernel.ndim > 2 and kernel.shape[0] == 1:
        kernel = kernel[0]
    if kernel.ndim == 1:
        raise RefusedError("expected a matrix as the kernel, received a vector", "E707")
    if kernel.ndim != 2:
        raise RefusedError("expected one kernel, received several", "E701")
    if x.axes[axis] == "T" and x.axis("F") < 0 and scope.features(x) == 1:
        # All steps of one feature are a flat vector.
        x = replace(x, axes=tuple("TF" if each == "T" else each for each in x.axes))
    value = scope.with_features(scope.settle(x))
    if value.axes[axis] != "F":
        raise RefusedError(f"expected a product over the features, received {describe(value)}")
    if scope.is_sequence(value.at) and value.axis("T") < 0:
        raise RefusedError(f"expected all steps or a vector, received {describe(value)}")
    inputs, units = kernel.shape
    scope.fit_features(value.at, inputs)
    tied = _tied_embedding(scope, kernel)
    arrays = {} if tied else {"kernel": kernel}
    layer = replace(dense("dense", units, activation="linear", bias=False), tied=tied)
    at = scope.add(layer, value.at, arrays=arrays)
    return replace(value, at=at, numbers=None, filler=None)


def _tied_embedding(scope: Scope, kernel: Array) -> str | None:
    """Return the name of the embedding whose array a kernel is."""
    if not scope.embedding:
        return None
    table = scope.arrays(scope.embedding)["embeddings"]
    if table.shape != kernel.shape[::-1] or not np.array_equal(table.T, kernel):
        return None
    where = scope.op.where if scope.op else ""
    scope.account.infer("tied to the embedding, whose array it has", where)
    return scope.steps[scope.embedding].layer.name


def general_product(scope: Scope, node: Node, inputs: Sequence[Value]) -> Tensor:
    """Return the output of a ``Gemm``: a dense layer, perhaps with a bias."""
    x, y, *more = inputs
    kernel = y.constant if isinstance(y, Known) else None
    if kernel is None or kernel.ndim != 2:
        raise RefusedError(f"B: expected an array of the file, received {describe(y)}")
    attributes = node.attributes
    kernel = kernel.T if attributes.get("transB") else kernel
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    value = scope.as_tensor(x)
    if attributes.get("transA"):
        value = replace(value, axes=value.axes[::-1])
    if alpha != 1.0:
        kernel = kernel.astype("f8") * alpha
    result = _dense(scope, value, -1, kernel)
    bias = more[0] if more else None
    if bias is None or beta == 0:
        return result
    vector = bias.constant if isinstance(bias, Known) else None
    if vector is None or vector.size not in (1, kernel.shape[1]):
        raise RefusedError(f"C: expected a bias of the file, received {describe(bias)}")
    vector = np.broadcast_to(np.ravel(vector), kernel.shape[1:])
    step = scope.steps[result.at]
    assert isinstance(step.layer, nodes.Dense), "it was made here"
    step.layer = replace(step.layer, bias=True)
    step.arrays = scope.arrays(result.at) | {
        "bias": vector if beta == 1.0 else vector.astype("f8") * beta
    }
    step.modules = (step.op.where,)
    return result


# Windows


def convolution(scope: Scope, node: Node, inputs: Sequence[Value]) -> Tensor:
    """Return the output of a convolution over the steps."""
    w, b = [*constants(inputs, "W and B"), None][1:3]
    value = scope.as_steps(scope.with_features(scope.settle(inputs[0], padded=True), 1))
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
    value = scope.in_place(value)
    if any(value.pad) and value.pad_value:
        raise RefusedError(f"expected zeros before and after, received {value.pad_value}", "E703")
    stride, dilation = sizes["strides"], sizes["dilations"]
    size = w.shape[2 + place]
    added = tuple(a + b for a, b in zip(value.pad, sizes["pads"], strict=True))
    if sizes["auto"] not in ("NOTSET", "VALID") and any(value.pad):
        raise RefusedError("auto_pad: expected no steps added before, received some", "E703")
    padding, surplus = _padding(scope, value.at, added, sizes["auto"], (size, stride, dilation))
    window = nodes.Window(size=size, stride=stride, dilation=dilation, padding=padding)
    kernel = w.reshape(*w.shape[:2], size).transpose(2, 1, 0)
    arrays = {"kernel": kernel} | ({} if b is None else {"bias": np.ravel(b)})
    layer = conv("conv", w.shape[0], window, bias=b is not None)
    at = scope.add(layer, value.at, arrays=arrays, sequences=_windows(scope, value.at, window))
    if size > 1:
        scope.masked[at] = value.filler == 0.0
    return Tensor(at, value.axes, surplus=surplus)


def _steps_axis(value: Tensor, node: Node, kernel: tuple[int, ...]) -> tuple[int, dict[str, Any]]:
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
    scope: Scope, at: int, added: tuple[int, ...], auto: str, window: tuple[int, int, int]
) -> tuple[WindowPadding, int]:
    """Return the padding of a convolution, and by how many steps its output is too long.

    Raises:
        RefusedError: the language has no such padding.
    """
    size, stride, dilation = window
    reach = dilation * (size - 1)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        if auto == "SAME_LOWER" and (reach % 2 or stride > 1):
            raise RefusedError("auto_pad: expected SAME_UPPER, received SAME_LOWER", "E703")
        return "same", 0
    if added == (0, 0):
        return "valid", 0
    if added == (reach, 0):
        return "causal", 0
    if added == (reach, reach) and stride == 1:
        # As long as the last steps are cut off.
        return "causal", reach
    if _adds_same(scope, at, window, added):
        return "same", 0
    message = f"pads: {added[0]} steps before and {added[1]} after a sequence; expected none, "
    raise RefusedError(f"{message}'same', or {reach} before it ('causal')", "E703")


def _adds_same(scope: Scope, at: int, window: tuple[int, int, int], added: tuple[int, ...]) -> bool:
    """Return whether 'same' adds these steps before and after every sequence.

    With a stride, what it adds depends on the length.
    """
    size, stride, dilation = window
    same = nodes.Window(size=size, stride=stride, dilation=dilation, padding="same")
    is_decided = stride == 1 or scope.has_fixed_steps(at)
    return is_decided and same.added(scope.sequences(at).steps[0]) == added


def _windows(scope: Scope, at: int, window: nodes.Window) -> Sequences:
    """Return the windows over a sequence for the probes."""
    before = scope.sequences(at)
    counts = [window.count(steps) or 0 for steps in before.steps]
    if min(counts) < 1:
        restart_longer(scope)
        raise RefusedError("its windows are longer than the sequences", "E707")
    real = tuple(
        each[:, window.anchor :: window.stride][:, :count]
        for each, count in zip(before.real, counts, strict=True)
    )
    return Sequences(tuple(counts), real)


def pool_windows(scope: Scope, node: Node, inputs: Sequence[Value]) -> Tensor:
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
    padding: WindowPadding = "valid"
    counts = statistic == "average" and node.attributes.get("count_include_pad", 0)
    if any(value.pad):
        if statistic != "max" or value.pad_value > -1e30 or any(added):
            message = f"expected no steps before and after a pool, received {value.pad}"
            raise RefusedError(message, "E703")
        added = value.pad
    if sizes["auto"] in ("SAME_UPPER", "SAME_LOWER"):
        padding = _padding(scope, value.at, added, sizes["auto"], (size, stride, 1))[0]
    elif any(added) and _adds_same(scope, value.at, (size, stride, 1), added):
        padding = "same"
    elif any(added):
        message = f"pads: {added[0]} steps before and {added[1]} after a sequence; expected none or"
        raise RefusedError(f"{message} 'same'", "E703")
    elif node.attributes.get("ceil_mode", 0) and may_overhang:
        if (size, stride) != (2, 2):
            message = "expected 0, or windows of 2 steps with a stride of 2, where it is 'same'"
            raise RefusedError(f"ceil_mode: {message}; received 1", "E703")
        padding = "same"
    if padding == "same" and counts:
        message = "count_include_pad: expected 0, received 1: in the language, steps outside the "
        raise RefusedError(f"{message}sequence never count", "E703")
    window = nodes.Window(size=size, stride=stride, dilation=1, padding=padding)
    layer = nodes.WindowPooling(
        name="pool", input=(), statistic=statistic, window=window, masked=False
    )
    at = scope.add(layer, value.at, sequences=_windows(scope, value.at, window))
    if size > 1:
        lowest = value.filler is not None and value.filler <= -1e30
        scope.masked[at] = statistic == "max" and lowest
    if value.filler == 0.0 and statistic == "average":
        scope.zeroed.add(at)
    return Tensor(at, value.axes)


def add_steps(scope: Scope, node: Node, inputs: Sequence[Value]) -> Tensor:
    """Return a sequence with steps of one number before and after it, for a window."""
    value = scope.in_place(scope.settle(inputs[0], padded=True))
    _, pads, value_added, padded_axes = [*constants(inputs, "pads"), None, None, None][:4]
    pads = np.array(node.attributes["pads"]) if "pads" in node.attributes else pads
    mode = node.attributes.get("mode", "constant")
    if pads is None or mode != "constant":
        raise RefusedError(f"mode: expected constant, received {mode}", "E703")
    filler = float(node.attributes.get("value", 0.0))
    if value_added is not None:
        filler = float(np.ravel(value_added)[0])
    rank = len(value.axes)
    axes = list(range(rank)) if padded_axes is None else [int(i) % rank for i in padded_axes]
    pairs = {axis: (int(pads[i]), int(pads[i + len(pads) // 2])) for i, axis in enumerate(axes)}
    used = {axis: pair for axis, pair in pairs.items() if any(pair)}
    steps = value.axis("T")
    if set(used) - {steps} or any(number < 0 for pair in used.values() for number in pair):
        raise RefusedError("pads: expected steps before and after a sequence, received others")
    if not used:
        return value
    if any(value.pad) and value.pad_value != filler:
        raise RefusedError("expected one number at all steps that are added")
    before, after = used[steps]
    return replace(
        value, pad=(value.pad[0] + before, value.pad[1] + after), pad_value=filler, numbers=None
    )


def pool_steps(scope: Scope, value: Tensor, statistic: Statistic) -> Tensor:
    """Return a statistic of the steps, whose axis stays with size 1."""
    masked = False
    if value.filler is not None:
        # A number that changes nothing stands at padding.
        masked = value.filler <= -1e30 if statistic == "max" else value.filler == 0.0
        masked &= statistic in ("max", "sum")
    if not (masked and scope.has_all_real(value)):
        value = scope.in_place(value)
    at = scope.add(pooling(statistic), value.at)
    scope.masked[at] = masked
    axes = tuple(axis.replace("T", "") for axis in value.axes)
    return Tensor(at, axes)


# Norms


def batch_norm(scope: Scope, node: Node, inputs: Sequence[Value]) -> Tensor:
    """Return the output of a batch norm in inference."""
    arrays = constants(inputs, "scale, B, mean and var")[1:]
    if node.attributes.get("training_mode", 0) or any(each is None for each in arrays):
        raise RefusedError("expected inference and four arrays, received another batch norm")
    value = scope.with_features(scope.settle(inputs[0]), 1)
    if len(value.axes) < 2 or value.axes[1] != "F":
        raise RefusedError(f"expected the features as the second axis, received {describe(value)}")
    if any(cast("Array", each).shape != (scope.features(value),) for each in arrays):
        raise RefusedError(f"expected arrays of {scope.features(value)} numbers", "E707")
    momentum = round(float(node.attributes.get("momentum", 0.9)), 6)
    layer = nodes.BatchNorm(
        name="batch_norm",
        input=(),
        epsilon=shortest_float(settings.epsilon_of(node)),
        momentum=momentum if 0.0 <= momentum < 1.0 else 0.9,
        masked=False,
    )
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    at = scope.add(
        layer,
        value.at,
        arrays={k: cast("Array", each) for k, each in zip(names, arrays, strict=True)},
    )
    return replace(value, at=at, numbers=None, filler=None)


def reduced_letters(x: Tensor, node: Node, inputs: Sequence[Value]) -> list[str]:
    """Return what lies along the axes that a reduction is over."""
    axes = settings.axes_of(node, constants(inputs, "axes"))
    rank = len(x.axes)
    return [x.axes[axis % rank] for axis in (range(rank) if axes is None else axes)]
