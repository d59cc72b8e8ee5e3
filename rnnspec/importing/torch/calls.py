"""Functions of PyTorch and methods of tensors, by their names."""

from __future__ import annotations

import math
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal

from rnnspec.importing.layer_graph import RefusedError, pooling
from rnnspec.importing.torch import layers
from rnnspec.importing.torch.attention import attend
from rnnspec.importing.torch.joins import (
    add,
    chunk,
    concatenate,
    divide,
    linear,
    matrix_product,
    multiply,
    without_steps,
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
    Halves,
    Lengths,
    ModuleArray,
    Packed,
    Several,
    Size,
    Tensor,
    TokenMask,
    Unknown,
    Value,
    Weighted,
    Zeros,
    describe,
)
from rnnspec.importing.torch.windows import add_steps, check_no_padding, pool_all, pool_windows
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
        if str(each) == "torch.bool" and is_input(x):
            return not_zero(scope, x)
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
    if lengths.counted:
        scope.counted = True
    if scope.counted and (scope.lengths or lengths.argument):
        message = "expected all lengths from an argument, or all counted, received both"
        raise RefusedError(f"{message}; a spec has one mask")
    if scope.lengths and lengths.argument not in ("", scope.lengths):
        raise RefusedError(
            f"expected the lengths of the first packing, '{scope.lengths}', received "
            f"'{lengths.argument}'; a spec has one mask"
        )
    scope.lengths = scope.lengths or lengths.argument
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
    return Several((replace(value, axes=axes), Lengths()))


def is_input(x: Any) -> bool:
    """Return whether a value is the input."""
    return isinstance(x, Tensor) and not x.at


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


def _compare(expected: int, advice: str = "") -> Callable[..., Value]:
    """Return a comparison with a number that tells tokens from 0, as tokens are not negative."""

    def compare(scope: Scope, x: Any, y: Any) -> Value:
        mask = not_zero(scope, x)
        if not isinstance(y, int | float) or y != expected:
            message = f"expected {expected}, as padding is token 0, received {describe(y)}{advice}"
            raise RefusedError(message, "E703")
        return mask

    return compare


def _count(mask: TokenMask, dim: Any, *, keepdim: bool) -> Lengths:
    """Return how many tokens are not 0."""
    if keepdim:
        raise RefusedError("keepdim: expected False for a count of tokens, received True", "E703")
    return Lengths(counted=mask.axes[axis_number(dim, len(mask.axes))])


def count_nonzero(scope: Scope, x: Any, dim: Any = None) -> Value:
    """Return how many tokens are not 0."""
    return _count(x if isinstance(x, TokenMask) else not_zero(scope, x), dim, keepdim=False)


_SAME = "clone contiguous tolist cpu cuda type_as requires_grad_ alias Variable"


_SIZES = (
    "size dim numel ndimension len floordiv mod truediv mul add sub eq ne getattr iadd isub imul "
    "ifloordiv"
)


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
        if others and name not in ("size", "getattr"):
            message = f"'{name}': expected no size beside {describe(others[0])}, received one"
            raise RefusedError(message, "E701")
        if not others:
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
    first = {
        "input": "x", "tensor": "x", "tensors": "x", "self": "x", "other": "y", "axis": "dim",
        "keepdims": "keepdim",
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


def _pool(statistic: Statistic, *, with_places: bool = False) -> Callable[..., Value]:
    """Return a reduction of the steps; ``torch.max`` returns places too."""

    def pool(scope: Scope, x: Any, dim: Any = None, keepdim: bool = False) -> Value:
        if isinstance(dim, tuple) and len(dim) == 1:
            dim = dim[0]
        if isinstance(x, TokenMask) and statistic == "sum":
            return _count(x, dim, keepdim=keepdim)
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
        check_no_padding(value, statistic)
        at = scope.add(pooling(statistic), value)
        result = without_steps(scope, value, at, keepdim=keepdim)
        return Several((result, Size())) if with_places else result

    return pool


def _attention(scope: Scope, x: Weighted, dim: Any, *, keepdim: bool) -> Value:
    value = x.steps
    if axis_number(dim, len(value.axes)) != scope.axis(value, "steps"):
        raise RefusedError("expected the sum over the steps, received other axes")
    at = attend(scope, x.weights, value)
    return without_steps(scope, value, at, keepdim=keepdim)


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
        if max is not None or min not in (0, 1):
            message = f"expected lengths of at least 1, received limits {min} and {max}"
            raise RefusedError(message, "E703")
        if min:
            scope.account.infer("a sequence of padding only has no step; in the module it has one")
        return x
    return layers.activate(scope, x, layers.activation_between(min, max))


def _hardtanh(
    scope: Scope, x: Any, min_val: Any = -1.0, max_val: Any = 1.0, inplace: bool = False
) -> Value:
    del inplace
    return layers.activate(scope, x, layers.activation_between(min_val, max_val))


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
    **dict.fromkeys(("ne", "not_equal"), _compare(0, _EXCHANGE)),
    **dict.fromkeys(("gt", "greater"), _compare(0)),
    **dict.fromkeys(("ge", "greater_equal"), _compare(1)),
    **dict.fromkeys(("bool", "sign"), not_zero),
    "count_nonzero": count_nonzero,
    "detach": detach,
    "to": to,
    "getattr": attribute,
    "permute": permute,
    "t": turn,
    "squeeze": squeeze,
    "unsqueeze": unsqueeze,
    "flatten": flatten,
    "mean": _pool("mean"),
    "sum": _pool("sum"),
    "amax": _pool("max"),
    "max": _pool("max", with_places=True),
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
    **dict.fromkeys(("mul", "multiply"), multiply),
    **dict.fromkeys(("truediv", "div"), divide),
    "chunk": chunk,
    **dict.fromkeys(("bmm", "matmul"), matrix_product),
    "pack_padded_sequence": pack,
    "pad_packed_sequence": pad,
    "getitem": item,
}
