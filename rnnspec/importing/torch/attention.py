"""Attention over the steps: a softmax of scores, and the sum of the steps weighted by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rnnspec.importing.layer_graph import RefusedError
from rnnspec.importing.torch.values import (
    Tensor,
    Weights,
)
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.importing.torch.scope import Scope


def weights_of(scope: Scope, value: Tensor) -> Weights:
    """Return the weights of an attention: a softmax over the steps of one score each."""
    if value.form not in ("steps", "squeezed") or scope.width(value.at) != 1:
        raise RefusedError(
            "expected a softmax over the features, or over the steps of one score for each, "
            "received another"
        )
    if value.padded:
        raise RefusedError("weighs padding, too; 'pooling: attention' leaves padding out")
    features = value.axes[scope.roles(value).index("features")] if value.form == "steps" else ""
    axes = value.axes.replace(features, "-") if features else value.axes
    return Weights(value.at, axes)


def attend(scope: Scope, weights: Weights, value: Tensor) -> int:
    """Return the place of an attention: the sum of the steps multiplied by their weights.

    Raises:
        RefusedError: the scores are not made of these steps by one or two dense layers.
    """
    query = scope.steps.get(weights.at)
    if query is None or not isinstance(query.layer, nodes.Dense) or not query.modules:
        raise RefusedError("expected scores of nn.Linear(..., 1), received others")
    start, activation, hidden = query.sources[0], cast("nodes.Activation", "linear"), None
    while start != value.at and start:
        step = scope.steps[start]
        match step.layer:
            case nodes.Activate() if hidden is None and activation == "linear":
                activation = step.layer.activation
            case nodes.Dropout(rate=rate):
                scope.account.leave(f"dropout {rate:g} in an attention")
            case nodes.Dense() if hidden is None and step.modules:
                hidden = step
            case _:
                raise RefusedError(_OTHER_SCORES)
        start = step.sources[0]
    if start != value.at or (hidden is None and activation != "linear"):
        raise RefusedError(_OTHER_SCORES)
    query_path = query.modules[0]
    if query.layer.bias:
        reason = "a softmax is the same without it"
        scope.account.leave(f"{query_path}.bias", reason=reason)
    if hidden is not None and isinstance(hidden.layer, nodes.Dense) and not hidden.layer.bias:
        scope.account.infer("bias 0, which the module lacks and the spec trains", hidden.modules[0])
    layer = nodes.Attention(
        name="attention",
        input=(),
        units=None if hidden is None else scope.width(query.sources[0]),
        activation="tanh" if hidden is None else activation,
        masked=False,
        kernel_initializer=query.layer.kernel_initializer,
        bias_initializer=query.layer.bias_initializer,
    )
    paths = (query_path,) if hidden is None else (hidden.modules[0], query_path)
    return scope.add(layer, value, modules=paths)


_OTHER_SCORES = (
    "expected scores that are made of the steps that are summed by nn.Linear, an activation and "
    "nn.Linear(UNITS, 1), or by nn.Linear(FEATURES, 1) alone, received others"
)
