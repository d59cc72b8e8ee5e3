"""Masks of tokens that are not 0, and counts of them: what is done with them, and to the steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rnnspec.importing.graph.layer_graph import RefusedError, pooling
from rnnspec.importing.torch.shapes import axis_number
from rnnspec.importing.torch.values import Lengths, Size, Tensor, TokenMask, Zeros, describe
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.importing.torch.scope import Scope
    from rnnspec.importing.torch.values import Value


def is_input(x: Any) -> bool:
    """Return whether a value is the input."""
    return isinstance(x, Tensor) and not x.at and x.function is None


def not_zero(scope: Scope, x: Any) -> TokenMask:
    """Return which tokens are not 0.

    Raises:
        RefusedError: it is not about the tokens of the input.
    """
    if not is_input(x) or not scope.tokens:
        received = "features" if is_input(x) else describe(x)
        message = f"expected the tokens of the input, whose padding is 0, received {received}"
        raise RefusedError(f"{message}; give lengths as an argument of forward")
    return TokenMask(x.axes)


def compare(expected: int, advice: str = "", *, negated: bool = False) -> Callable[..., Value]:
    """Return a comparison with a number that tells tokens from 0, as tokens are not negative."""

    def run(scope: Scope, x: Any, y: Any) -> Value:
        mask = not_zero(scope, x)
        if not isinstance(y, int | float) or y != expected:
            message = f"expected {expected}, as padding is token 0, received {describe(y)}{advice}"
            raise RefusedError(message, "E703")
        return replace(mask, negated=negated)

    return run


def invert(_: Scope, x: Any) -> Value:
    """Return which tokens are 0, or are not if ``x`` says which are."""
    if not isinstance(x, TokenMask):
        raise RefusedError(f"expected which tokens are 0, received {describe(x)}")
    return replace(x, negated=not x.negated)


def count(mask: TokenMask, dim: Any, *, keepdim: bool) -> Lengths:
    """Return how many tokens are not 0.

    Raises:
        RefusedError: those that are 0 are counted.
    """
    if mask.negated:
        raise RefusedError("expected the tokens that are not 0 counted, received those that are")
    at = axis_number(dim, len(mask.axes))
    axes = mask.axes[:at] + "-" * keepdim + mask.axes[at + 1 :]
    return Lengths(axes=axes, counted=mask.axes[at])


def count_nonzero(scope: Scope, x: Any, dim: Any = None) -> Value:
    """Return how many tokens are not 0."""
    return count(x if isinstance(x, TokenMask) else not_zero(scope, x), dim, keepdim=False)


def fill(scope: Scope, x: Any, mask: Any, number: Any) -> Tensor:
    """Return a tensor with a number in place of what it holds where a mask is false.

    Raises:
        RefusedError: these are not the steps of padding.
    """
    if not isinstance(mask, TokenMask):
        raise RefusedError(f"expected a mask of the tokens that are 0, received {describe(mask)}")
    value, number = scope.tensor(x), 0.0 if isinstance(number, Zeros) else number
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise RefusedError(f"expected a number in place of padding, received {describe(number)}")
    axes = value.axes
    if value.form != "squeezed":
        features = axes[scope.axis(value, "features")]
        axes = axes.replace(features, "-")
    if mask.negated or mask.axes != axes:
        received = "real steps" if mask.negated else "other axes"
        raise RefusedError(
            f"expected a number in place of the steps of padding, received {received}"
        )
    scope.masks = True
    return replace(value, filler=float(number), function=None)


def masked_fill(scope: Scope, x: Any, mask: Any, value: Any) -> Value:
    """Return a tensor with a number where a mask is true."""
    return fill(scope, x, invert(scope, mask), value)


def where(scope: Scope, condition: Any, x: Any, y: Any) -> Value:
    """Return a tensor with a number where a mask is false."""
    if isinstance(condition, TokenMask) and condition.negated:
        return fill(scope, y, invert(scope, condition), x)
    return fill(scope, x, condition, y)


def leaves_out_padding(value: Tensor, statistic: str) -> bool:
    """Return whether what a tensor holds at padding does not change a statistic."""
    match statistic, value.filler:
        case _, None:
            return False
        case "sum", float(number):
            return number == 0.0
        case "max", float(number):
            return number <= -1e30
        case _:
            return False


def mean_of_real(scope: Scope, x: Tensor, lengths: Lengths) -> Tensor:
    """Return the mean of the real steps: their sum divided by their number.

    Raises:
        RefusedError: it is the sum of others, or divided by another number.
    """
    step = scope.steps.get(x.at)
    is_sum = step is not None and isinstance(step.layer, nodes.Pooling)
    if step is None or not is_sum or x.at not in scope.masked:
        message = "expected the sum of the real steps divided by their number, received"
        raise RefusedError(
            f"{message} {describe(x)}; multiply the steps by (x != 0) before the sum"
        )
    batch, features = (x.axes[scope.axis(x, role)] for role in ("batch", "features"))
    of_steps = not lengths.counted or scope.role(lengths.counted) == "steps"
    if lengths.axes.replace("*", batch) != x.axes.replace(features, "-") or not of_steps:
        raise RefusedError("expected one number of real steps for each sequence, received others")
    scope.note_lengths(lengths)
    at = scope.add(pooling("mean"), step.sources[0])
    scope.masked.add(at)
    return scope.result(x, at)


def mean_of_all(scope: Scope, x: Tensor, size: Size) -> Tensor:
    """Return the mean of all steps: their sum divided by the number of steps.

    Raises:
        RefusedError: it is something else.
    """
    step = scope.steps.get(x.at)
    layer = step.layer if step else None
    is_sum = isinstance(layer, nodes.Pooling) and layer.statistic == "sum"
    if (
        step is None
        or not is_sum
        or x.function is not None
        or x.at in scope.masked
        or (not scope.is_steps(size, Tensor(step.sources[0], "steps", "")))
    ):
        message = f"'truediv': expected no size beside {describe(x)}, received one"
        raise RefusedError(message, "E701")
    return scope.result(x, scope.add(pooling("mean"), step.sources[0]))
