"""Attention over the steps: a softmax of scores, and the sum of the steps weighted by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.importing.graph.attention import read_scores
from rnnspec.importing.graph.layer_graph import RefusedError
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
    masked = value.filler is not None and value.filler <= -1e9
    if value.padded and not masked:
        raise RefusedError("weighs padding, too; 'pooling: attention' leaves padding out")
    features = value.axes[scope.roles(value).index("features")] if value.form == "steps" else ""
    axes = value.axes.replace(features, "-") if features else value.axes
    return Weights(value.at, axes, masked)


def attend(scope: Scope, weights: Weights, value: Tensor) -> int:
    """Return the place of an attention: the sum of the steps multiplied by their weights.

    Raises:
        RefusedError: the scores are not made of these steps by one or two dense layers.
    """
    scores = read_scores(scope, weights.at, value.at, _OTHER_SCORES)
    query, hidden = scores.query.modules[0], scores.hidden
    if isinstance(scores.query.layer, nodes.Dense) and scores.query.layer.bias:
        reason = "a softmax is the same without it"
        scope.account.leave(f"{query}.bias", reason=reason)
    if hidden is not None and isinstance(hidden.layer, nodes.Dense) and not hidden.layer.bias:
        scope.account.infer("bias 0, which the module lacks and the spec trains", hidden.modules[0])
    units = None if hidden is None else scope.width(scores.query.sources[0])
    paths = (query,) if hidden is None else (hidden.modules[0], query)
    at = scope.add(scores.attention(units), value, modules=paths)
    if weights.masked:
        scope.masked.add(at)
    return at


_OTHER_SCORES = (
    "expected scores that are made of the steps that are summed by nn.Linear, an activation and "
    "nn.Linear(UNITS, 1), or by nn.Linear(FEATURES, 1) alone, received others"
)
