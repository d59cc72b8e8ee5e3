"""Nodes with arrays: embeddings, products, convolutions and norms; and windows over the steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from rnnspec.importing.graph import settings
from rnnspec.importing.graph.attention import attend, is_attention
from rnnspec.importing.graph.formulas import shortest_float
from rnnspec.importing.graph.layer_graph import RefusedError, pooling
from rnnspec.importing.graph.pairs import multiply_all
from rnnspec.importing.graph.shapes import constants
from rnnspec.importing.graph.values import Known, Tensor, describe
from rnnspec.importing.unplaced import dense, embedding
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.graph.graph import GraphNode
    from rnnspec.importing.graph.probes import Probes
    from rnnspec.importing.graph.scope import Scope
    from rnnspec.importing.graph.values import Probed, Value
    from rnnspec.words import Statistic


def embed(scope: Scope, table: Array, indices: Known) -> Tensor:
    """Return the vectors of tokens.

    Raises:
        RefusedError: the indices are no tokens of the input.
    """
    if not scope.probes.of(indices.at).setting.tokens:
        raise RefusedError("expected tokens of the input as indices, received others")
    tokens = tokens_of(scope, indices)
    if tokens is None:
        raise RefusedError("expected the tokens of the input as indices, received others")
    if indices.at in scope.embeddings:
        raise RefusedError("expected one embedding of the tokens, received another one")
    vocabulary, dim = table.shape
    layer = embedding("embedding", vocabulary, dim, trainable=True)
    arrays = {"embeddings": table}
    for place in scope.embeddings.values():
        # Only the same array of the file is shared, not an equal one.
        if scope.arrays_of(scope.steps[place]).get("embeddings") is table:
            layer, arrays = replace(layer, shares=scope.steps[place].layer.name), {}
    at = scope.embeddings[indices.at] = scope.add(layer, indices.at, arrays=arrays)
    return replace(tokens, at=at, axes=(*tokens.axes, "F"))


def tokens_of(scope: Scope, indices: Known) -> Tensor | None:
    """Return indices as the tokens of the input that they are, or None."""
    tokens = indices.moved_input
    if tokens is None:
        return None
    probes = scope.probes.of(indices.at)
    in_place = _tokens_in_place(probes, tokens, indices.at)
    if in_place is not None or not probes.setting.is_sequence:
        return in_place
    return _tokens_of_rows(probes, tokens, indices.at) or _moved_tokens(probes, tokens, indices.at)


def _tokens_of_rows(probes: Probes, indices: Probed, at: int) -> Tensor | None:
    """Return indices as the tokens of the sequences in another order, or None."""
    for letters in ("BT", "TB"):
        rows: list[Array] = []
        for index, batch in zip(indices, probes.batches, strict=True):
            of_rows = index if letters == "BT" else index.T
            places = dict[bytes, list[int]]()
            for row, tokens in enumerate(batch):
                places.setdefault(tokens.tobytes(), []).append(row)
            found = [
                waiting.pop(0)
                for tokens in of_rows.astype(batch.dtype)
                if (waiting := places.get(tokens.tobytes()))
            ]
            if index.ndim != 2 or len(found) != len(batch):
                break
            rows.append(np.array(found))
        else:
            return Tensor(at, tuple(letters), rows=tuple(rows))
    return None


def _tokens_in_place(probes: Probes, indices: Probed, at: int) -> Tensor | None:
    """Return indices as the tokens that they are, or None."""
    for letters in ("BT", "TB") if probes.setting.is_sequence else ("B",):
        batches = probes.batches
        plain = [batch.T if letters == "TB" else batch for batch in batches]
        if all(
            index.size == tokens.size and np.array_equal(np.ravel(index), np.ravel(tokens))
            for index, tokens in zip(indices, plain, strict=True)
        ):
            of_indices, of_tokens = [i.shape for i in indices], [t.shape for t in plain]
            axes = _axes_like(letters, of_indices, of_tokens)
            if axes is not None:
                return Tensor(at, axes)
    return None


def _moved_tokens(probes: Probes, indices: Probed, at: int) -> Tensor | None:
    """Return indices as tokens of each sequence in another order, or None.

    No token is twice in a sequence, so each tells the step that it is from.
    """
    for letters in ("BT", "TB"):
        moved: list[Array] = []
        for index, batch in zip(indices, probes.batches, strict=True):
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
            return Tensor(at, tuple(letters), steps=tuple(moved))
    return None


def _axes_like(
    letters: str, shapes: Sequence[tuple[int, ...]], plain: Sequence[tuple[int, ...]]
) -> tuple[str, ...] | None:
    """Return the axes of indices that are tokens in some order."""
    if all(shape == tokens for shape, tokens in zip(shapes, plain, strict=True)):
        return tuple(letters)
    pairs = zip(shapes, plain, strict=True)
    if len(letters) > 1 and all(shape == (tokens[0] * tokens[1],) for shape, tokens in pairs):
        return (letters,)
    for place in range(len(letters) + 1):
        added = [(*tokens[:place], 1, *tokens[place:]) for tokens in plain]
        if list(shapes) == added:
            return (*letters[:place], "", *letters[place:])
    return None


# Products


def matrix_product(scope: Scope, node: GraphNode, inputs: Sequence[Value]) -> Value:
    """Return the output of a dense layer, or of an attention."""
    x, y = inputs
    if is_attention(x, y):
        return attend(scope, x, y)
    if isinstance(x, Tensor) and isinstance(y, Tensor):
        return _score(scope, x, y)
    if isinstance(y, Known) and (kernel := y.constant) is not None:
        return _dense(scope, scope.as_tensor(x), -1, kernel)
    if isinstance(x, Known) and (kernel := x.constant) is not None:
        # The features are the last axis but one, and stay there.
        value = scope.as_tensor(y)
        if kernel.ndim != 2 or len(value.axes) < 2:
            raise RefusedError("expected a matrix, received an array of other axes", "E707")
        return _dense(scope, value, -2, kernel.T)
    del node
    message = f"rnnspec does not support a product of {describe(x)} and {describe(y)}"
    raise RefusedError(message, "E701")


def _score(scope: Scope, x: Tensor, y: Tensor) -> Value:
    """Return the product of steps and the vector of each sequence, the scores of an attention.

    Or the products of all steps with those of another sequence.
    """
    if (products := multiply_all(scope, x, y)) is not None:
        return products
    value, query = (scope.settle(one) for one in (x, y))
    if (value.axes, query.axes) != (("B", "T", "F"), ("B", "F", "")):
        message = f"rnnspec does not support a product of {describe(x)} and {describe(y)}"
        raise RefusedError(message, "E701")
    return score_by(scope, value, query)


def score_by(scope: Scope, value: Tensor, query: Tensor) -> Tensor:
    """Return one number for each step: its product with the vector of its sequence.

    Raises:
        RefusedError: the vector has another size.
    """
    if scope.is_sequence(query.at) or scope.features(query) != scope.features(value):
        sizes = f"{scope.features(value)} and {scope.features(query)} features"
        raise RefusedError(f"expected a vector of as many features, received {sizes}")
    # Only an attention has such a layer, which has no kernel of its own.
    layer = dense("score", 1, activation="linear", bias=False)
    at = scope.add(layer, value.at, query.at)
    return replace(value, at=at, numbers=None, filler=None)


def _dense(scope: Scope, x: Tensor, axis: int, kernel: Array) -> Tensor:
    while kernel.ndim > 2 and kernel.shape[0] == 1:
        kernel = kernel[0]
    if kernel.ndim == 1:
        raise RefusedError("expected a matrix as the kernel, received a vector", "E707")
    if kernel.ndim != 2:
        raise RefusedError("expected one kernel, received several", "E701")
    if x.axes[axis] == "T" and x.axis("F") < 0 and scope.features(x) == 1:
        # All steps of one feature are a flat vector.
        x = replace(x, axes=tuple("TF" if axis == "T" else axis for axis in x.axes))
    value = scope.with_features(scope.settle(x))
    if value.axes[axis] == "T":
        value = scope.turned(value, "".join({"T": "F", "F": "T"}.get(a, a) for a in value.axes))
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
    for place in scope.embeddings.values():
        table = scope.arrays_of(scope.steps[place]).get("embeddings")
        if table is None or table.shape != kernel.shape[::-1]:
            continue
        if np.array_equal(table.T, kernel):
            where = scope.op.where if scope.op else ""
            scope.account.infer("tied to the embedding, whose array it has", where)
            return scope.steps[place].layer.name
    return None


def general_product(scope: Scope, node: GraphNode, inputs: Sequence[Value]) -> Tensor:
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
    step.arrays = scope.arrays_of(step) | {
        "bias": vector if beta == 1.0 else vector.astype("f8") * beta
    }
    step.modules = (step.op.where,)
    return result


# Statistics of the steps


def pool_steps(scope: Scope, value: Tensor, statistic: Statistic) -> Tensor:
    """Return a statistic of the steps, whose axis stays with size 1."""
    masked = False
    if value.filler is not None:
        # A number that changes nothing stands at padding.
        low, high = value.filler <= -1e30, value.filler >= 1e30
        masked = {"max": low, "min": high, "sum": value.filler == 0.0}.get(statistic, False)
    if not (masked and scope.has_all_real(value)):
        value = scope.in_place(value)
    at = scope.add(pooling(statistic), value.at)
    scope.masked[at] = masked
    axes = tuple(axis.replace("T", "") for axis in value.axes)
    return Tensor(at, axes)


# Norms and dropouts


def check_dropout(inputs: Sequence[Value]) -> None:
    """Check that a dropout of ONNX acts in training only.

    Raises:
        RefusedError: it always does.
    """
    training = inputs[2] if len(inputs) > 2 else None
    if training is not None and (
        not isinstance(training, Known) or any(array.any() for array in training.arrays)
    ):
        raise RefusedError("training_mode: expected false, received true", "E703")


def batch_norm(scope: Scope, node: GraphNode, inputs: Sequence[Value]) -> Tensor:
    """Return the output of a batch norm in inference."""
    arrays = constants(inputs, "scale, B, mean and var")[1:]
    # Until opset 13, it is that of training if it returns its statistics.
    trains = node.attributes.get("training_mode", 0) or any(node.outputs[1:])
    if trains or any(array is None for array in arrays):
        raise RefusedError("expected inference and four arrays, received another batch norm")
    value = scope.with_features(scope.settle(inputs[0]), 1)
    if len(value.axes) < 2 or value.axes[1] != "F":
        raise RefusedError(f"expected the features as the second axis, received {describe(value)}")
    if any(cast("Array", array).shape != (scope.features(value),) for array in arrays):
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
        arrays={k: cast("Array", array) for k, array in zip(names, arrays, strict=True)},
    )
    return replace(value, at=at, numbers=None, filler=None)
