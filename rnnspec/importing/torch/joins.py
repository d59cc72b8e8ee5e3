"""Operations on two values: sums, products, and what is put side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rnnspec.importing.graph.layer_graph import RefusedError, pooling
from rnnspec.importing.torch.attention import attend
from rnnspec.importing.torch.functions import (
    are_of_one,
    compute,
    is_pending,
    lacks_operation,
    settle,
)
from rnnspec.importing.torch.layers import expect_features
from rnnspec.importing.torch.masks import fill, mean_of_all, mean_of_real
from rnnspec.importing.torch.shapes import (
    axis_number,
    both,
    has_directions,
)
from rnnspec.importing.torch.values import (
    ARRAY_OUTSIDE,
    Half,
    Lengths,
    ModuleArray,
    Several,
    Size,
    State,
    Tensor,
    TokenMask,
    Weighted,
    Weights,
    describe,
)
from rnnspec.importing.unplaced import dense
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.importing.torch.scope import Scope
    from rnnspec.importing.torch.values import Form, Value
    from rnnspec.words import Merge


def without_steps(scope: Scope, value: Tensor, at: int, *, keepdim: bool) -> Tensor:
    """Return a result over all steps of a value."""
    steps = scope.axis(value, "steps")
    axes = value.axes[:steps] + "-" * keepdim + value.axes[steps + 1 :]
    form: Form = "one step" if keepdim else "vector"
    return scope.result(value, at, form=form, axes=axes, padded=False)


def multiply(scope: Scope, x: Any, y: Any) -> Value:
    """Return steps multiplied by the weights of an attention, or a function of features."""
    if isinstance(x, State) and isinstance(y, State):
        return both(scope, (x, y), "mul")
    if isinstance(x, Half) and isinstance(y, Half):
        return _merge(scope, x, y, "mul")
    if isinstance(x, Tensor) and not is_pending(x) and y == 0.5 and scope.average(x.at):
        return x
    for one, other in ((x, y), (y, x)):
        if isinstance(one, Tensor) and isinstance(other, TokenMask):
            return fill(scope, settle(scope, one), other, 0.0)
    weights, steps = (x, y) if isinstance(x, Weights) else (y, x)
    if not isinstance(weights, Weights):
        refused = lacks_operation("mul")
        if isinstance(x, ModuleArray) or isinstance(y, ModuleArray):
            refused = RefusedError(ARRAY_OUTSIDE, "E701")
        return compute(scope, "Mul", (x, y), refused)
    value = scope.sequence(settle(scope, steps) if isinstance(steps, Tensor) else steps)
    # The axes of the weights are those of the steps, with one of size 1 for the features.
    features = value.axes[scope.axis(value, "features")]
    if weights.axes != value.axes.replace(features, "-"):
        raise RefusedError("expected one weight for each step, received other axes")
    return Weighted(weights, value)


def divide(scope: Scope, x: Any, y: Any) -> Value:
    """Return the mean of both directions, or a function of features."""
    if isinstance(x, Tensor) and not is_pending(x) and y == 2 and scope.average(x.at):
        return x
    if isinstance(x, Tensor) and isinstance(y, Lengths):
        return mean_of_real(scope, settle(scope, x), y)
    if isinstance(x, Tensor) and isinstance(y, Size):
        return mean_of_all(scope, x, y)
    return compute(scope, "Div", (x, y), lacks_operation("truediv"))


def _merge(scope: Scope, x: Half, y: Half, merge: Merge) -> Value:
    """Return the features of both directions combined."""
    if x.sequence != y.sequence or {x.index, y.index} != {0, 1} or (x.step, y.step) != (None, None):
        raise RefusedError("expected the two directions of one layer, received others")
    scope.merge(x.sequence.at, merge)
    return x.sequence


def chunk(scope: Scope, x: Any, chunks: Any, dim: Any = 0) -> Value:
    """Return the features of each direction."""
    value = scope.sequence(x)
    features = scope.axis(value, "features")
    if (
        chunks != 2
        or axis_number(dim, len(value.axes)) != features
        or not has_directions(scope, value)
    ):
        raise RefusedError("expected the features of both directions, chunk(2, -1)")
    return Several((Half(value, 0), Half(value, 1)))


def matrix_product(scope: Scope, x: Any, y: Any) -> Value:
    """Return the sum of the steps multiplied by weights, or the output of a tied layer."""
    if isinstance(y, ModuleArray):
        return linear(scope, x, replace(y, turned=not y.turned))
    weights, steps, first = (x, y, True) if isinstance(x, Weights) else (y, x, False)
    if not isinstance(weights, Weights):
        raise lacks_operation("bmm")
    value = scope.sequence(steps)
    batch, time, features = (
        value.axes[scope.axis(value, role)] for role in ("batch", "steps", "features")
    )
    expected = (f"{batch}-{time}", batch + time + features)
    if not first:
        expected = (f"{batch}{time}-", batch + features + time)
    if (weights.axes, value.axes) != expected:
        raise RefusedError("expected a product over the steps, received other axes")
    at = attend(scope, weights, value)
    axes = f"{batch}-{features}" if first else f"{batch}{features}-"
    return scope.result(value, at, form="one step", axes=axes)


def linear(scope: Scope, x: Any, weight: Any, bias: Any = None) -> Value:
    """Return the output of a dense layer whose weight is that of the embedding."""
    value = scope.tensor(x)
    arrays = (
        isinstance(weight, ModuleArray)
        and not weight.turned
        and isinstance(bias, ModuleArray | None)
    )
    embeddings = [s for s in scope.steps.values() if isinstance(s.layer, nodes.Embedding)]
    paths = [f"{step.modules[0]}.weight" for step in embeddings]
    if not arrays or not any(scope.is_same(weight.path, path) for path in paths):
        message = "expected the weight of the embedding, or nn.Linear; received another array"
        raise RefusedError(message, "E701")
    table = embeddings[0].layer
    assert isinstance(table, nodes.Embedding), "of the list"
    if scope.axis(value, "features") != len(value.axes) - 1:
        raise RefusedError("expected the features as the last axis")
    scope.fit(value, table.dim)
    layer = dense("linear", table.vocabulary, activation="linear", bias=bias is not None)
    at = scope.add(replace(layer, tied=table.name), value)
    if bias is not None:
        scope.steps[at].arrays = {"bias": bias.path}
    return scope.result(value, at)


def add(scope: Scope, x: Any, y: Any, alpha: float = 1) -> Value:
    """Return the sum of a sequence and the input of its layer, or that of both directions."""
    if alpha != 1:
        raise RefusedError(f"alpha: expected 1, received {alpha}", "E703")
    if isinstance(x, State) and isinstance(y, State):
        return both(scope, (x, y), "sum")
    if isinstance(x, Half) and isinstance(y, Half):
        return _merge(scope, x, y, "sum")
    pending = is_pending(x) or is_pending(y)
    if isinstance(x, Tensor) and isinstance(y, Tensor) and pending and not are_of_one(x, y):
        x, y, pending = settle(scope, x), settle(scope, y), False
    if not isinstance(x, Tensor) or not isinstance(y, Tensor) or pending:
        received = f"received {describe(x)} and {describe(y)}"
        refused = RefusedError(f"expected the sum of two sequences, {received}")
        return compute(scope, "Add", (x, y), refused)
    output, start = (x, y) if x.at >= y.at else (y, x)
    if output.at == start.at or output.form != "steps":
        raise RefusedError("expected the sum of the output of one recurrent layer and its input")
    for value in (output, start):
        scope.tensor(value)
    if output.axes != start.axes:
        raise RefusedError(
            "expected the steps and the batch in the same order, received both orders"
        )
    one, two = scope.width(start.at), scope.width(output.at)
    if one != two and None not in (one, two):
        message = f"received {one} and {two} features"
        raise RefusedError(f"expected an input and an output of equal size, {message}")
    at = scope.add(nodes.Residual(name="add", input=(), start=""), output, start)
    return scope.result(output, at)


def concatenate(scope: Scope, x: Any, dim: Any = 0) -> Value:
    """Put states, vectors or sequences side by side."""
    if isinstance(x, tuple) and x and all(isinstance(each, State) for each in x):
        if dim not in (1, -1):
            raise RefusedError(f"dim: expected 1, the features, received {dim}", "E703")
        return both(scope, x, "concat")
    parts = list[Tensor]()
    given = list(x) if isinstance(x, tuple) else []
    while given:
        match given:
            case [State(index=-2) as one, State(index=-1) as two, *given] if (
                one.states == two.states and one.states.directions == 2
            ):
                parts.append(scope.tensor(both(scope, (one, two), "concat")))
            case [Half(index=0, step=-1) as one, Half(index=1, step=0) as two, *given] if (
                one.sequence == two.sequence
            ):
                parts.append(_last(scope, one.sequence))
            case [Tensor() | State() as part, *given]:
                parts.append(scope.tensor(part))
            case _:
                given, parts = [], []
                break
    if len(parts) == 1 and isinstance(x, tuple) and len(x) == 2 and isinstance(x[0], Half):
        return parts[0]
    if len(parts) < 2:
        kinds = ", ".join(map(describe, x)) if isinstance(x, tuple) else describe(x)
        raise RefusedError(
            "expected h[-2] and h[-1], the final states of both directions, or several sequences "
            f"or vectors, received {kinds}"
        )
    first = parts[0]
    if any((part.form, part.axes) != (first.form, first.axes) for part in parts):
        raise RefusedError("expected sequences or vectors with the axes in one order")
    if first.form == "steps" and axis_number(dim, len(first.axes)) == 2:
        expect_features(scope, first)
    if axis_number(dim, len(first.axes)) != scope.axis(first, "features"):
        raise RefusedError(f"dim: expected the features, received {dim}", "E703")
    at = scope.add(nodes.Concat(name="concat", input=(), of=(), inputs=()), *parts)
    return scope.result(first, at, padded=any(part.padded for part in parts))


def _last(scope: Scope, value: Tensor) -> Tensor:
    """Return the final states of both directions, read from their sequence."""
    at = scope.add(pooling("last"), value)
    return without_steps(scope, value, at, keepdim=False)
