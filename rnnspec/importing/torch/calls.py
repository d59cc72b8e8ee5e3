"""Functions of PyTorch and methods of tensors, by their names."""

from __future__ import annotations

import math
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal

from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.torch import functions, layers, masks, statistics
from rnnspec.importing.torch.functions import (
    compute,
    lacks_operation,
    write_out,
)
from rnnspec.importing.torch.joins import (
    add,
    chunk,
    concatenate,
    divide,
    linear,
    matrix_product,
    multiply,
)
from rnnspec.importing.torch.shapes import (
    axis_number,
    flatten,
    item,
    permute,
    repeat,
    reshape,
    same,
    squeeze,
    transpose,
    turn,
    unsqueeze,
)
from rnnspec.importing.torch.values import (
    Lengths,
    ModuleArray,
    Packed,
    Several,
    Size,
    Tensor,
    TokenMask,
    Unknown,
    Value,
    Zeros,
    describe,
)
from rnnspec.importing.torch.windows import add_steps, pool_all, pool_windows
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.importing.torch.scope import Scope
    from rnnspec.importing.torch.values import Given
    from rnnspec.words import Activation, Statistic, WindowStatistic

_INTEGERS = ("torch.int64", "torch.int32", "torch.int16", "torch.int8", "torch.uint8")


_CASTS = ("torch.float16", "torch.bfloat16", "torch.bool", "torch.complex64", "torch.complex128")


def cast(scope: Scope, x: Any) -> Value:
    """Return a value in another floating dtype."""
    scope.casts |= not isinstance(x, Lengths | TokenMask)
    return same(scope, x)


def detach(scope: Scope, x: Any) -> Value:
    """Return a value as it is, without its gradient."""
    if isinstance(x, Tensor):
        scope.account.leave("detach")
    return same(scope, x)


def to(scope: Scope, x: Any, *args: Any, **kwargs: Any) -> Value:
    """Return a value in another dtype or on another device."""
    for each in (*args, *kwargs.values()):
        if str(each) == "torch.bool" and masks.is_input(x):
            return masks.not_zero(scope, x)
        if str(each) == "torch.bool" and isinstance(x, TokenMask):
            return x
        if str(each) in _CASTS:
            raise RefusedError(f"expected float32 or float64, received {each}", "E703")
        if str(each) in _INTEGERS:
            return long(scope, x)
        if str(each).startswith("torch.float"):
            return cast(scope, x)
    return same(scope, x)


def long(scope: Scope, x: Any) -> Value:
    """Return a value as integers: tokens, or lengths."""
    if isinstance(x, Tensor):
        if x.at:
            raise RefusedError(
                "expected a cast to integers of tokens alone, received it behind layers"
            )
        scope.casts_to_integers = True
    return same(scope, x)


def size(_: Scope, x: Any, dim: Any = None) -> Value:
    """Return a size, or all of them."""
    if not isinstance(x, Tensor) or isinstance(dim, Size):
        return Size()
    return Size(x, None if dim is None else axis_number(dim, len(x.axes)))


def number(_: Scope, _x: Any, *__: Any) -> Value:
    """Return a number that the shape of a tensor tells."""
    return Size()


def attribute(scope: Scope, x: Any, name: str) -> Value:
    """Return an attribute of a tensor, or the values of a maximum."""
    match name:
        case "shape" if isinstance(x, Tensor):
            return Size(x)
        case "shape" | "device" | "dtype" | "ndim":
            return Size()
        case "data":
            return detach(scope, x)
        case "values" if isinstance(x, Several):
            value: Value = x.items[0]
            return value
        case "T" | "mT" if isinstance(x, ModuleArray):
            return replace(x, turned=not x.turned)
        case "T" | "mT":
            raise RefusedError(f"expected transpose(0, 1), received .{name}")
        case _:
            raise RefusedError(
                f"the language lacks the attribute '{name}' of {describe(x)}", "E701"
            )


def zeros(scope: Scope, *_: Any, **named: Any) -> Value:
    """Return zeros."""
    scope.casts |= str(named.get("dtype")).startswith("torch.float")
    return Zeros()


def pack(
    scope: Scope, x: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> Value:
    """Return a packed sequence."""
    value = scope.tensor(x)
    if not isinstance(lengths, Lengths):
        message = "expected lengths that are an argument of forward"
        counted = ", or tokens that are counted, (x != 0).sum(1)" if scope.tokens else ""
        raise RefusedError(
            f"{message}{counted}, received {describe(lengths)}; with example=(x, lengths) they are"
        )
    if len(lengths.axes) != 1:
        raise RefusedError("expected one axis of lengths, received several", "E703")
    if lengths.at_least_one:
        scope.account.infer("a sequence of padding only has no step; in the module it has one")
    scope.counted |= bool(lengths.counted)
    scope.note_lengths(lengths)
    scope.decreasing |= enforce_sorted
    layers.lay_out_recurrent(scope, value, batch_first=batch_first)
    if lengths.counted and scope.role(lengths.counted) != "steps":
        raise RefusedError("expected the tokens of each sequence counted, received those of a step")
    return Packed(value)


def pad(
    scope: Scope, x: Any, batch_first: bool = False, padding_value: float = 0.0,
    **_: Any,
) -> Value:  # fmt: skip
    """Return a packed sequence with its padding, and the lengths."""
    if not isinstance(x, Packed):
        raise RefusedError(f"expected a packed sequence, received {describe(x)}")
    if padding_value != 0.0:
        raise RefusedError(f"padding_value: expected 0.0, received {padding_value}", "E703")
    value = scope.tensor(x.steps)
    roles = ("batch", "steps") if batch_first else ("steps", "batch")
    axes = "".join(value.axes[scope.axis(value, role)] for role in (*roles, "features"))
    return Several((replace(value, axes=axes, filler=0.0), Lengths(axes="*")))


def _as_mask(scope: Scope, x: Any) -> Value:
    """Return which tokens are not 0, or a mask as it is."""
    return x if isinstance(x, TokenMask) else masks.not_zero(scope, x)


_SAME = "clone contiguous tolist cpu cuda type_as requires_grad_ alias Variable"


_SIZES = (
    "size dim numel ndimension len floordiv mod truediv mul add sub eq ne getattr iadd isub imul "
    "ifloordiv"
)


_QUOTIENTS = ("truediv", "div", "divide", "itruediv")
_SETTING_NAMES = ("p", "eps", "negative_slope", "alpha", "value", "threshold", "training")
"""Parameters that are numbers to the functions here, where PyTorch takes a size as well."""


_SHAPES = (
    "transpose swapaxes swapdims permute t squeeze unsqueeze flatten repeat expand reshape view "
    "getitem"
)


def call_function(scope: Scope, name: str, given: Given) -> Value:
    """Return the result of a function or a method; ``given`` is None if its arguments were refused.

    Raises:
        RefusedError: the language lacks it, or it in this place.
    """
    args, kwargs = given or ((), {})
    values = (*args, *kwargs.values())
    if name in _SIZES.split() and any(isinstance(value, Size) for value in values):
        others = [v for v in values if isinstance(v, Value) and not isinstance(v, Size)]
        if others and name not in ("size", "getattr", *_QUOTIENTS):
            message = f"'{name}': expected no size beside {describe(others[0])}, received one"
            raise RefusedError(message, "E701")
        if not others:
            return Size()
    if name in _SHAPES.split() and values and isinstance(values[0], Zeros):
        return Zeros()
    function = _CALLS.get(name)
    if function is None:
        raise lacks_operation(name)
    if given is None:
        return Unknown()
    first = {
        "input": "x", "tensor": "x", "tensors": "x", "self": "x", "other": "y", "axis": "dim",
        "keepdims": "keepdim", "exponent": "y",
    }  # fmt: skip
    renamed = {first.get(key, key): value for key, value in kwargs.items()}
    wanted = signature(function)
    # PyTorch passes on arguments that nobody gave.
    needed = {k: v for k, v in renamed.items() if v is not None or k in wanted.parameters}
    try:
        bound = wanted.bind(scope, *args, **needed)
    except TypeError as error:
        message = f"'{name}': expected other arguments: {error}"
        raise RefusedError(message, "E703") from None
    for key, value in bound.arguments.items():
        if key in _SETTING_NAMES and isinstance(value, Value):
            raise RefusedError(f"{key}: expected a number, received {describe(value)}", "E703")
    return function(*bound.args, **bound.kwargs)


def _dropout(
    scope: Scope, x: Any, p: float = 0.5, training: Any = True, *, by_feature: bool = False,
    **_: Any,
) -> Value:  # fmt: skip
    if training:
        message = "drops in evaluation too; expected training=self.training"
        raise RefusedError(message, "E703")
    return layers.with_dropout(scope, x, p, by_feature=by_feature)


def _dropout_by_feature(scope: Scope, x: Any, p: float = 0.5, training: Any = True,
                        **_: Any) -> Value:  # fmt: skip
    return _dropout(scope, x, p, training, by_feature=True)


def _normalize(scope: Scope, x: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Value:
    value = scope.tensor(x)
    if p != 2 or eps != 1e-12 or value.form != "vector" or dim not in (1, -1):
        message = "expected p=2, eps=1e-12 and the features of a vector, received others"
        raise RefusedError(message, "E703")
    at = scope.add(nodes.Normalize(name="normalize", input=()), value)
    return scope.result(value, at)


def _pad(
    scope: Scope, x: Any, pad: Any, mode: str = "constant", value: float | None = None
) -> Value:
    """Return a sequence with zeros around it."""
    if mode != "constant" or value not in (None, 0, -math.inf):
        message = f"expected zeros, received mode={mode!r} and value={value}"
        raise RefusedError(message, "E703")
    return add_steps(scope, x, pad, float(value or 0.0))


def _windows(statistic: WindowStatistic) -> Callable[..., Value]:
    def pool_max(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
        scope: Scope, x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
        dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False,
    ) -> Value:  # fmt: skip
        if dilation not in (1, (1,)) or return_indices:
            key = "return_indices" if return_indices else "dilation"
            raise RefusedError(f"{key}: expected the default, received another", "E703")
        return pool_windows(scope, x, "max", kernel_size, stride, padding, ceil_mode=ceil_mode)

    def pool_average(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
        scope: Scope, x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
        ceil_mode: bool = False, count_include_pad: bool = True,
    ) -> Value:  # fmt: skip
        return pool_windows(
            scope, x, "average", kernel_size, stride, padding, ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
        )  # fmt: skip

    return pool_max if statistic == "max" else pool_average


def _pool_all(statistic: Statistic) -> Callable[..., Value]:
    def pool(scope: Scope, x: Any, output_size: Any, return_indices: bool = False) -> Value:
        if output_size not in (1, (1,)) or return_indices:
            raise RefusedError(f"output_size: expected 1, received {output_size}", "E703")
        return pool_all(scope, x, statistic)

    return pool


def _activation(activation: Activation) -> Callable[..., Value]:
    def apply(scope: Scope, x: Any, *settings: Any, inplace: bool = False, **named: Any) -> Value:
        del inplace  # the result is the same
        wanted = _SETTINGS.get(activation, {})
        given = dict(zip(wanted, settings, strict=False)) | named
        if given.get("threshold", 0) > wanted.get("threshold", 0):
            del given["threshold"]  # closer still
        if len(settings) > len(wanted) or any(wanted.get(k) != v for k, v in given.items()):
            raise RefusedError("expected the default settings, received others", "E703")
        return layers.activate(scope, x, activation)

    return apply


def _leaky(scope: Scope, x: Any, negative_slope: float = 0.01, inplace: bool = False) -> Value:
    del inplace
    return layers.activate(scope, x, nodes.LeakyRelu(slope=float(negative_slope)))


def _clamp(scope: Scope, x: Any, min: Any = None, max: Any = None) -> Value:  # noqa: A002
    if isinstance(x, Lengths):
        if max is not None or not isinstance(min, int | float) or not 0 <= min <= 1:
            message = f"expected lengths of at least 1, received limits {min} and {max}"
            raise RefusedError(message, "E703")
        return replace(x, at_least_one=x.at_least_one or min == 1)
    return _between(scope, x, min, max)


def _between(scope: Scope, x: Any, low: Any, high: Any) -> Value:
    """Return a tensor with its numbers between limits: an activation, or a part of one."""
    try:
        activation = layers.activation_between(low, high)
    except RefusedError as refused:
        numbers = [(op, e) for op, e in (("Max", low), ("Min", high)) if e is not None]
        if not isinstance(x, Tensor) or not numbers:
            raise
        value = x
        for op, limit in numbers:
            value = compute(scope, op, (value, limit), refused)
        return value
    return layers.activate(scope, x, activation)


def _hardtanh(
    scope: Scope, x: Any, min_val: Any = -1.0, max_val: Any = 1.0, inplace: bool = False
) -> Value:
    del inplace
    return _between(scope, x, min_val, max_val)


def _relu6(scope: Scope, x: Any, inplace: bool = False) -> Value:
    del inplace
    return layers.activate(scope, x, nodes.ClippedRelu(limit=6.0))


def _softmax(activation: Literal["softmax", "log_softmax"]) -> Callable[..., Value]:
    def apply(scope: Scope, x: Any, dim: Any = None, _stacklevel: Any = 3) -> Value:
        return layers.activate(scope, x, activation, dim)

    return apply


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


_EXCHANGE = "; exchange the two tokens in the vocabulary, and their rows of the embedding"


_CALLS: dict[str, Callable[..., Value]] = {
    **{name: write_out(name) for name in functions.NAMES},
    **dict.fromkeys(_SAME.split(), same),
    **dict.fromkeys(("float", "double"), cast),
    **dict.fromkeys(("long", "int"), long),
    **dict.fromkeys(("dim", "numel", "len"), number),
    "size": size,
    **dict.fromkeys(("zeros", "new_zeros", "zeros_like", "zero_"), zeros),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), transpose),
    **dict.fromkeys(("add", "iadd", "add_"), add),
    **dict.fromkeys(("cat", "concat", "concatenate"), concatenate),
    **dict.fromkeys(("repeat", "expand"), repeat),
    **dict.fromkeys(("reshape", "view"), reshape),
    **{name: _activation(value) for name, value in _ACTIVATIONS.items()},
    **{name: _softmax(name) for name in ("softmax", "log_softmax")},
    **dict.fromkeys(("ne", "not_equal"), masks.compare(0, _EXCHANGE)),
    **dict.fromkeys(("gt", "greater"), masks.compare(0)),
    **dict.fromkeys(("ge", "greater_equal"), masks.compare(1)),
    "eq": masks.compare(0, _EXCHANGE, negated=True),
    **dict.fromkeys(("bool", "sign"), _as_mask),
    **dict.fromkeys(("invert", "logical_not", "bitwise_not"), masks.invert),
    **dict.fromkeys(("masked_fill", "masked_fill_"), masks.masked_fill),
    "where": masks.where,
    "count_nonzero": masks.count_nonzero,
    "detach": detach,
    "to": to,
    "getattr": attribute,
    "permute": permute,
    "t": turn,
    "squeeze": squeeze,
    "unsqueeze": unsqueeze,
    "flatten": flatten,
    "mean": statistics.pool("mean"),
    "sum": statistics.pool("sum"),
    "norm": statistics.norm,
    "var": statistics.spread("var", 1.0),
    "std": statistics.spread("std", 0.5),
    "amax": statistics.pool("max"),
    "max": statistics.pool("max", with_places=True),
    "dropout": _dropout,
    "dropout1d": _dropout_by_feature,
    "normalize": _normalize,
    "linear": linear,
    "pad": _pad,
    "max_pool1d": _windows("max"),
    "avg_pool1d": _windows("average"),
    "adaptive_max_pool1d": _pool_all("max"),
    "adaptive_avg_pool1d": _pool_all("mean"),
    "leaky_relu": _leaky,
    "relu6": _relu6,
    **dict.fromkeys(("clamp", "clip", "clamp_min"), _clamp),
    "hardtanh": _hardtanh,
    **dict.fromkeys(("mul", "multiply", "imul"), multiply),
    **dict.fromkeys(_QUOTIENTS, divide),
    "chunk": chunk,
    **dict.fromkeys(("bmm", "matmul"), matrix_product),
    "pack_padded_sequence": pack,
    "pad_packed_sequence": pad,
    "getitem": item,
}


OF_FEATURES = frozenset(
    {
        *functions.NAMES, *_ACTIVATIONS, "add", "iadd", "add_", "mul", "multiply", "imul",
        *_QUOTIENTS, "mean", "sum", "amax", "max", "norm", "var", "std",
        "clamp", "clip", "clamp_min", "hardtanh", "relu6", "leaky_relu",
    }
)  # fmt: skip
"""Functions that take a function of features as it is, before it becomes layers."""
