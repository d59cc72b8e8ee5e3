"""Statistics over the steps, which are poolings, and over the features, in norms and functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnnspec.importing.graph.layer_graph import RefusedError, pooling
from rnnspec.importing.torch import masks
from rnnspec.importing.torch.attention import attend
from rnnspec.importing.torch.functions import lacks_operation, reduce_features, settle
from rnnspec.importing.torch.joins import without_steps
from rnnspec.importing.torch.shapes import axis_number
from rnnspec.importing.torch.values import Halves, Several, Size, State, Tensor, TokenMask, Weighted
from rnnspec.importing.torch.windows import check_no_padding

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.importing.torch.scope import Scope
    from rnnspec.importing.torch.values import Value
    from rnnspec.words import Statistic


def pool(statistic: Statistic, *, with_places: bool = False) -> Callable[..., Value]:
    """Return a reduction of the steps; ``torch.max`` returns places too."""

    def run(scope: Scope, x: Any, dim: Any = None, keepdim: bool = False) -> Value:
        if isinstance(dim, tuple) and len(dim) == 1:
            dim = dim[0]
        if keepdim and _is_of_features(scope, x, dim):
            message = f"expected the {statistic} over the steps of a sequence, received other axes"
            op = f"Reduce{statistic.capitalize()}"
            single = reduce_features(scope, op, x, RefusedError(message))
            return Several((single, Size())) if with_places else single
        x = settle(scope, x) if isinstance(x, Tensor) else x
        if isinstance(x, TokenMask) and statistic == "sum":
            return masks.count(x, dim, keepdim=keepdim)
        if isinstance(x, Weighted) and statistic == "sum":
            return _attention(scope, x, dim, keepdim=keepdim)
        if isinstance(x, Halves):
            if keepdim or dim not in (2, -2) or statistic not in ("sum", "mean"):
                raise RefusedError("expected the sum or the mean of both directions")
            scope.merge(x.sequence.at, "sum" if statistic == "sum" else "ave")
            return x.sequence
        value = scope.tensor(x)
        if value.form != "steps" or axis_number(dim, len(value.axes)) != scope.axis(value, "steps"):
            raise RefusedError(
                f"expected the {statistic} over the steps of a sequence, received other axes"
            )
        masked = masks.leaves_out_padding(value, statistic)
        if not masked:
            check_no_padding(value, statistic)
        at = scope.add(pooling(statistic), value)
        if masked:
            scope.masked.add(at)
        result = without_steps(scope, value, at, keepdim=keepdim)
        return Several((result, Size())) if with_places else result

    return run


def _is_of_features(scope: Scope, x: Any, dim: Any) -> bool:
    """Return whether an axis is known as that of the features of a tensor."""
    axes = x.axes if isinstance(x, Tensor) else x.states.axes if isinstance(x, State) else ""
    known = type(dim) is int and -len(axes) <= dim < len(axes)
    return bool(known and scope.role(axes[dim]) == "features")


def norm(scope: Scope, x: Any, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Value:
    """Return the Euclidean norm of the features, as a part of a function."""
    dim = dim[0] if isinstance(dim, tuple) and len(dim) == 1 else dim
    if p not in (None, 2, "fro") or not keepdim or not _is_of_features(scope, x, dim):
        raise lacks_operation("norm")
    return reduce_features(scope, "ReduceL2", x, lacks_operation("norm"))


def spread(name: str, power: float) -> Callable[..., Value]:
    """Return the variance or the standard deviation of the features, as a part of a function."""

    def run(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
        scope: Scope, x: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False,
        correction: int | None = None,
    ) -> Value:  # fmt: skip
        dim = dim[0] if isinstance(dim, tuple) and len(dim) == 1 else dim
        if not keepdim or not _is_of_features(scope, x, dim):
            raise lacks_operation(name)
        ddof = int(unbiased) if correction is None else correction

        def function(array: Any, **over: Any) -> Any:
            return array.var(ddof=ddof, **over) ** power

        return reduce_features(scope, name, x, lacks_operation(name), function)

    return run


def _attention(scope: Scope, x: Weighted, dim: Any, *, keepdim: bool) -> Value:
    value = x.steps
    if axis_number(dim, len(value.axes)) != scope.axis(value, "steps"):
        raise RefusedError("expected the sum over the steps, received other axes")
    at = attend(scope, x.weights, value)
    return without_steps(scope, value, at, keepdim=keepdim)
