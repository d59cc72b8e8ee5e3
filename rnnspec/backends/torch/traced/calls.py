"""Functions of PyTorch and methods of tensors, by their names."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal

from rnnspec.backends.torch.traced import layers, selected, shapes
from rnnspec.backends.torch.traced.values import (
    RefusedError,
    Several,
    Size,
    State,
    Tensor,
    Unknown,
    Zeros,
    said,
)
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.backends.torch.traced.scope import Scope
    from rnnspec.backends.torch.traced.values import Given, Value
    from rnnspec.words import Activation, Statistic

_SAME = "clone contiguous tolist cpu cuda type_as requires_grad_ alias Variable"
_SIZES = "size dim numel ndimension len floordiv mul add sub eq ne getattr iadd isub imul ifloordiv"
_SHAPES = (
    "transpose swapaxes swapdims permute t squeeze unsqueeze flatten repeat expand reshape view "
    "getitem"
)


def called(scope: Scope, name: str, given: Given) -> Value:
    """Return the result of a function or a method; ``given`` is None if its arguments were refused.

    Raises:
        RefusedError: the language lacks it, or it in this place.
    """
    args, kwargs = given or ((), {})
    values = (*args, *kwargs.values())
    if name in _SIZES.split() and any(isinstance(each, Size) for each in values):
        return Size()
    if name in _SHAPES.split() and values and isinstance(values[0], Zeros):
        return Zeros()
    function = _CALLS.get(name)
    if function is None:
        raise RefusedError(
            f"the language lacks the operation '{name}'; take it out of the module", "E701"
        )
    if given is None:
        return Unknown()
    first = {"input": "x", "tensor": "x", "tensors": "x", "self": "x"}
    renamed = {first.get(key, key): value for key, value in kwargs.items()}
    wanted = signature(function)
    # PyTorch passes on arguments that nobody gave.
    needed = {k: v for k, v in renamed.items() if v is not None or k in wanted.parameters}
    try:
        bound = wanted.bind(scope, *args, **needed)
    except TypeError as error:
        message = f"'{name}': expected other arguments: {error}"
        raise RefusedError(message, "E703") from None
    return function(*bound.args, **bound.kwargs)


def _is_steps(scope: Scope, value: Tensor, dim: Any) -> bool:
    """Return whether an axis of a sequence is that of the steps."""
    if isinstance(dim, tuple) and len(dim) == 1:
        dim = dim[0]
    steps = 0 if scope.is_time_first(value) else 1
    return value.form == "steps" and shapes.index(dim, 3) == steps


def _pooled(scope: Scope, x: Any, dim: Any, keepdim: bool, statistic: Statistic) -> Tensor:
    value = scope.tensor(x)
    if keepdim or not _is_steps(scope, value, dim):
        raise RefusedError(
            f"expected the {statistic} over the steps of a sequence, received other axes"
        )
    if scope.chain.has_padding:
        raise RefusedError(
            f"the {statistic} counts the zeros that pad_packed_sequence puts at padding; "
            f"'pooling: {statistic}' leaves padding out"
        )
    scope.leave_drops(value, f"before the {statistic} over the steps")
    scope.chain.pool(statistic)
    return scope.result(value, form="vector")


def _mean(scope: Scope, x: Any, dim: Any = None, keepdim: bool = False) -> Value:
    return _pooled(scope, x, dim, keepdim, "mean")


def _amax(scope: Scope, x: Any, dim: Any = None, keepdim: bool = False) -> Value:
    return _pooled(scope, x, dim, keepdim, "max")


def _max(scope: Scope, x: Any, dim: Any = None, keepdim: bool = False) -> Value:
    return Several((_pooled(scope, x, dim, keepdim, "max"), Size()))


def _add(scope: Scope, x: Any, y: Any, alpha: float = 1) -> Value:
    if alpha != 1:
        raise RefusedError(f"alpha: expected 1, received {alpha}", "E703")
    if isinstance(x, State) and isinstance(y, State):
        return selected.both(scope, (x, y), "sum")
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        raise RefusedError(f"expected the sum of two sequences, received {said(x)} and {said(y)}")
    output, start = (x, y) if x.version >= y.version else (y, x)
    if output.version == start.version or output.form != "steps":
        raise RefusedError("expected the sum of the output of one recurrent layer and its input")
    scope.chain.take(output)
    if output.turned != start.turned:
        raise RefusedError(
            "expected the steps and the batch in the same order, received both orders"
        )
    for value in (output, start):
        scope.leave_drops(value, "before a sum")
    scope.chain.residual(start)
    return scope.result(output)


def _cat(scope: Scope, x: Any, dim: Any = 0) -> Value:
    if isinstance(x, tuple) and all(isinstance(each, State) for each in x):
        if dim not in (1, -1):
            raise RefusedError(f"dim: expected 1, the features, received {dim}", "E703")
        return selected.both(scope, x, "concat")
    kinds = ", ".join(map(said, x)) if isinstance(x, tuple) else said(x)
    raise RefusedError(
        f"expected h[-2] and h[-1], the final states of both directions, received {kinds}"
    )


def _dropout(scope: Scope, x: Any, p: float = 0.5, training: Any = True, **_: Any) -> Value:
    if training:
        message = "drops in evaluation too; expected training=self.training"
        raise RefusedError(message, "E703")
    return layers.dropped(scope.tensor(x, either_order=True), p)


def _normalize(scope: Scope, x: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Value:
    value = scope.tensor(x)
    if p != 2 or eps != 1e-12 or value.form != "vector" or dim not in (1, -1):
        message = "expected p=2, eps=1e-12 and the features of a vector, received others"
        raise RefusedError(message, "E703")
    scope.leave_drops(value, "before the division by the norm")
    chain = scope.chain
    chain.add(nodes.Normalize(name=chain.name("unit_normalization"), input=chain.shape))
    return scope.result(value)


def _activation(activation: Activation) -> Callable[..., Value]:
    def called(scope: Scope, x: Any, *settings: Any, inplace: bool = False, **named: Any) -> Value:
        del inplace  # the result is the same
        wanted = _SETTINGS.get(activation, {})
        given = dict(zip(wanted, settings, strict=False)) | named
        if len(settings) > len(wanted) or any(wanted.get(k) != v for k, v in given.items()):
            raise RefusedError("expected the default settings, received others", "E703")
        return layers.activated(scope, scope.tensor(x), activation, -1)

    return called


def _softmax(activation: Literal["softmax", "log_softmax"]) -> Callable[..., Value]:
    def called(scope: Scope, x: Any, dim: Any = None, _stacklevel: Any = 3) -> Value:
        return layers.activated(scope, scope.tensor(x), activation, dim)

    return called


_SETTINGS: dict[str, dict[str, Any]] = {
    "elu": {"alpha": 1.0},
    "softplus": {"beta": 1, "threshold": 20},
}
_ACTIVATIONS: dict[str, Activation] = {
    "relu": "relu", "relu_": "relu", "tanh": "tanh", "sigmoid": "sigmoid", "softsign": "softsign",
    "silu": "silu", "selu": "selu", "elu": "elu", "hardsigmoid": "hard_sigmoid",
    "softplus": "softplus",
    "exp": "exponential",
}  # fmt: skip
_CALLS: dict[str, Callable[..., Value]] = {
    **dict.fromkeys(_SAME.split(), shapes.same),
    **dict.fromkeys(("float", "double"), shapes.cast),
    **dict.fromkeys(("long", "int"), shapes.long),
    **dict.fromkeys(("size", "dim", "numel", "len"), shapes.size),
    **dict.fromkeys(("zeros", "new_zeros", "zeros_like", "zero_"), shapes.zeros),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), shapes.transpose),
    **dict.fromkeys(("add", "iadd", "add_"), _add),
    **dict.fromkeys(("cat", "concat", "concatenate"), _cat),
    **dict.fromkeys(("repeat", "expand"), shapes.repeat),
    **dict.fromkeys(("reshape", "view"), shapes.reshape),
    **{name: _activation(value) for name, value in _ACTIVATIONS.items()},
    **{name: _softmax(name) for name in ("softmax", "log_softmax")},
    "detach": shapes.detach,
    "to": shapes.to,
    "getattr": shapes.attribute,
    "permute": shapes.permute,
    "t": shapes.turn,
    "squeeze": shapes.squeeze,
    "unsqueeze": shapes.unsqueeze,
    "flatten": shapes.flatten,
    "mean": _mean,
    "amax": _amax,
    "max": _max,
    "dropout": _dropout,
    "normalize": _normalize,
    "pack_padded_sequence": shapes.pack,
    "pad_packed_sequence": shapes.pad,
    "getitem": selected.item,
}
