"""Functions of PyTorch and methods of tensors, by their names."""

from __future__ import annotations

import math
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal

from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.values import Argument, Known, Pairs, Tensor, Unknown
from rnnspec.importing.torch import joins, layers, masks, pairs, shapes, windows
from rnnspec.importing.torch.operators import lacks_operation
from rnnspec.importing.torch.values import (
    NonTensor,
    Value,
    Zeros,
    describe,
)
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.importing.torch.operators import Operators
    from rnnspec.importing.torch.values import Arguments
    from rnnspec.words import Activation, Statistic, WindowStatistic


def _dropout(
    m: Operators, x: Any, p: float = 0.5, training: Any = True, *, by_feature: bool = False,
    **_: Any,
) -> Value:  # fmt: skip
    if training:
        message = "drops in evaluation too; expected training=self.training"
        raise RefusedError(message, "E703")
    return layers.with_dropout(m, x, p, by_feature=by_feature)


def _dropout_by_feature(m: Operators, x: Any, p: float = 0.5, training: Any = True,
                        **_: Any) -> Value:  # fmt: skip
    return _dropout(m, x, p, training, by_feature=True)


def _normalize(m: Operators, x: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Value:
    value = m.scope.layer_output(x)
    if p != 2 or eps != 1e-12 or not joins.is_of_features(value, dim):
        message = "expected p=2, eps=1e-12 and the features, received others"
        raise RefusedError(message, "E703")
    at = m.scope.add(nodes.Normalize(name="normalize", input=()), value.at)
    return m.scope.result(value, at)


def _pad(
    m: Operators, x: Any, pad: Any, mode: str = "constant", value: float | None = None
) -> Value:
    """Return a sequence with zeros around it."""
    if mode != "constant" or value not in (None, 0, -math.inf):
        message = f"expected zeros, received mode={mode!r} and value={value}"
        raise RefusedError(message, "E703")
    return windows.add_steps(m, x, pad, float(value or 0.0))


def _windows(statistic: WindowStatistic) -> Callable[..., Value]:
    def pool_max(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
        m: Operators, x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
        dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False,
    ) -> Value:  # fmt: skip
        if dilation not in (1, (1,)) or return_indices:
            key = "return_indices" if return_indices else "dilation"
            raise RefusedError(f"{key}: expected the default, received another", "E703")
        return windows.pool_windows(m, x, "max", kernel_size, stride, padding, ceil_mode=ceil_mode)

    def pool_average(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
        m: Operators, x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
        ceil_mode: bool = False, count_include_pad: bool = True,
    ) -> Value:  # fmt: skip
        return windows.pool_windows(
            m, x, "average", kernel_size, stride, padding, ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
        )  # fmt: skip

    return pool_max if statistic == "max" else pool_average


def _pool_all(statistic: Statistic) -> Callable[..., Value]:
    def run(m: Operators, x: Any, output_size: Any, return_indices: bool = False) -> Value:
        if output_size not in (1, (1,)) or return_indices:
            raise RefusedError(f"output_size: expected 1, received {output_size}", "E703")
        return windows.pool_all(m, x, statistic)

    return run


def _activation(kind: str, activation: Activation) -> Callable[..., Value]:
    """Return the function of an activation whose module is of the class ``kind``."""

    def apply(m: Operators, x: Any, *settings: Any, inplace: bool = False, **named: Any) -> Value:
        del inplace  # the result is the same
        defaults: dict[str, Any] = layers.SETTINGS.get(kind, {})
        values = dict(zip(defaults, settings, strict=False)) | named
        if values.get("threshold", 0) > defaults.get("threshold", 0):
            del values["threshold"]  # closer still
        if len(settings) > len(defaults) or any(defaults.get(k) != v for k, v in values.items()):
            raise RefusedError("expected the default settings, received others", "E703")
        return layers.activate(m, x, activation)

    return apply


def _leaky(m: Operators, x: Any, negative_slope: float = 0.01, inplace: bool = False) -> Value:
    del inplace
    return layers.activate(m, x, nodes.LeakyRelu(slope=float(negative_slope)))


def _clamp(m: Operators, x: Any, min: Any = None, max: Any = None) -> Value:  # noqa: A002
    if isinstance(x, Known | Argument) and not masks.is_input(x):
        if max is not None or not isinstance(min, int | float) or not 0 <= min <= 1:
            message = f"expected lengths of at least 1, received limits {min} and {max}"
            raise RefusedError(message, "E703")
        lengths = m.compute("Max", x, min)
        name = lengths.name if min < 1 else f"{masks.AT_LEAST_ONE}{lengths.name}"
        return replace(lengths, name=name)
    return _between(m, x, min, max)


def _between(m: Operators, x: Any, low: Any, high: Any) -> Value:
    """Return a tensor with its numbers between limits: an activation, or a part of one."""
    try:
        activation = layers.activation_between(low, high)
    except RefusedError as refused:
        limits = [(op, e) for op, e in (("Max", low), ("Min", high)) if e is not None]
        if not isinstance(x, Tensor) or not limits:
            raise
        value: Value = x
        for op, limit in limits:
            value = m.elementwise(op, (value, limit), refused)
        return value
    return layers.activate(m, x, activation)


def _hardtanh(
    m: Operators, x: Any, min_val: Any = -1.0, max_val: Any = 1.0, inplace: bool = False
) -> Value:
    del inplace
    return _between(m, x, min_val, max_val)


def _relu6(m: Operators, x: Any, inplace: bool = False) -> Value:
    del inplace
    return layers.activate(m, x, nodes.ClippedRelu(limit=6.0))


def _one_hot(m: Operators, x: Any, num_classes: Any = -1) -> Value:
    """Return tokens as vectors with a single 1: an embedding that is not trained."""
    if type(num_classes) is not int or num_classes < 1:
        message = f"num_classes: expected a number, received {describe(num_classes)}"
        raise RefusedError(message, "E703")
    return layers.embed_one_hot(m.scope, x, num_classes)


def _draw(name: str) -> Callable[..., Value]:
    def refuse(m: Operators, *_: Any, **__: Any) -> Value:
        del m
        message = f"'{name}' draws random numbers, in evaluation too; expected torch.zeros"
        raise RefusedError(f"{message}, or an argument of forward", "E703")

    return refuse


def _root_of_size(m: Operators, x: Any) -> Value:
    if not isinstance(x, Known):
        raise lacks_operation("math.sqrt")
    return m.run("Sqrt", m.as_floats(x))


def _softmax(activation: Literal["softmax", "log_softmax"]) -> Callable[..., Value]:
    def apply(m: Operators, x: Any, dim: Any = None, _stacklevel: Any = 3) -> Value:
        return layers.activate(m, x, activation, dim)

    return apply


# Calls

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


def call_function(m: Operators, name: str, arguments: Arguments) -> Value:
    """Return the result of a function or a method; ``arguments`` are None if refused.

    Raises:
        RefusedError: rnnspec does not support it, or not in this place.
    """
    args, kwargs = arguments or ((), {})
    values = (*args, *kwargs.values())
    if name in _SIZES.split() and any(isinstance(value, NonTensor) for value in values):
        others = [v for v in values if isinstance(v, Value) and not isinstance(v, NonTensor)]
        if any(isinstance(value, Tensor) for value in others) and name != "getattr":
            message = f"'{name}': expected no size beside {describe(others[0])}, received one"
            raise RefusedError(message, "E701")
        return NonTensor()
    if name in _SHAPES.split() and values and isinstance(values[0], Zeros):
        return Zeros()
    scored = any(isinstance(value, Pairs) for value in values)
    function = (pairs.CALLS if scored else _CALLS).get(name)
    if function is None:
        raise pairs.lacking(name, values) if scored else lacks_operation(name)
    if arguments is None:
        return Unknown()
    first = {
        "input": "x", "tensor": "x", "tensors": "x", "self": "x", "other": "y", "axis": "dim",
        "keepdims": "keepdim", "exponent": "y",
    }  # fmt: skip
    renamed = {first.get(key, key): value for key, value in kwargs.items()}
    accepted = signature(function)
    # PyTorch passes on arguments that nobody gave.
    needed = {k: v for k, v in renamed.items() if v is not None or k in accepted.parameters}
    try:
        bound = accepted.bind(m, *args, **needed)
    except TypeError as error:
        message = f"'{name}': expected other arguments: {error}"
        raise RefusedError(message, "E703") from None
    for key, value in bound.arguments.items():
        # The values of an attention are a tensor.
        if key in _SETTING_NAMES and isinstance(value, Value) and function is not pairs.attend:
            raise RefusedError(f"{key}: expected a number, received {describe(value)}", "E703")
    return function(*bound.args, **bound.kwargs)


_CALLS: dict[str, Callable[..., Value]] = {
    **{name: joins.write_out(name, op) for name, op in joins.WRITTEN_OUT.items()},
    **{name: joins.write_out_steps(name) for name in joins.COMPOSED},
    **dict.fromkeys(_SAME.split(), shapes.pass_on),
    **dict.fromkeys(("float", "double"), masks.cast),
    **dict.fromkeys(("long", "int"), masks.long),
    **dict.fromkeys(("dim", "ndimension", "len"), masks.rank),
    "numel": masks.number_of_elements,
    "size": masks.size,
    **dict.fromkeys(("zeros", "new_zeros", "zeros_like", "zero_"), masks.zeros),
    "new": masks.unwritten,
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), shapes.transpose),
    **dict.fromkeys(("add", "iadd", "add_"), joins.add),
    **dict.fromkeys(("cat", "concat", "concatenate"), joins.concatenate),
    "repeat": shapes.repeat("Tile"),
    "expand": shapes.repeat("Expand"),
    **dict.fromkeys(("reshape", "view"), shapes.reshape),
    **{
        kind.lower(): _activation(kind, activation)
        for kind, activation in layers.ACTIVATIONS.items()
        if activation not in ("softmax", "log_softmax", "linear")
    },
    "relu_": _activation("ReLU", "relu"),
    "exp": _activation("", "exponential"),
    **{name: _softmax(name) for name in ("softmax", "log_softmax")},
    **dict.fromkeys(("ne", "not_equal"), masks.compare("Differ", 0, masks.EXCHANGE)),
    **dict.fromkeys(("gt", "greater"), masks.compare("Greater", 0)),
    **dict.fromkeys(("ge", "greater_equal"), masks.compare("GreaterOrEqual", 1)),
    "eq": masks.compare("Equal", 0, masks.EXCHANGE),
    **dict.fromkeys(("lt", "less"), masks.compare("Less", 0)),
    **dict.fromkeys(("le", "less_equal"), masks.compare("LessOrEqual", 0)),
    "arange": masks.arange,
    "select": shapes.select,
    "index_select": shapes.index_select,
    "sort": shapes.sort,
    "argsort": shapes.argsort,
    "narrow": shapes.narrow,
    "split": shapes.split,
    "gather": shapes.gather,
    "expand_as": shapes.expand_as,
    **dict.fromkeys(("bool", "sign"), masks.as_mask),
    **dict.fromkeys(("invert", "logical_not", "bitwise_not"), masks.invert),
    "and_": masks.both,
    "any": masks.any_true,
    "stack": shapes.stack,
    **dict.fromkeys(("masked_fill", "masked_fill_"), masks.masked_fill),
    "where": masks.where,
    "count_nonzero": masks.count_nonzero,
    "detach": masks.detach,
    **dict.fromkeys(("to", "type", "as_tensor"), masks.to),
    "getattr": masks.attribute,
    "permute": shapes.permute,
    "t": shapes.turn,
    "squeeze": shapes.squeeze,
    "unsqueeze": shapes.unsqueeze,
    "flatten": shapes.flatten,
    "mean": joins.pool("mean"),
    "sum": joins.pool("sum"),
    "argmax": joins.places,
    "norm": joins.norm,
    "var": joins.deviation("var", 1.0),
    "std": joins.deviation("std", 0.5),
    "amax": joins.pool("max"),
    "amin": joins.pool("min"),
    "max": joins.pool("max", with_places=True),
    "min": joins.pool("min", with_places=True),
    "dropout": _dropout,
    "dropout1d": _dropout_by_feature,
    "normalize": _normalize,
    "one_hot": _one_hot,
    **{name: _draw(name) for name in ("rand", "randn", "rand_like", "randn_like", "normal_")},
    "linear": joins.linear,
    "scaled_dot_product_attention": pairs.attend,
    "math.sqrt": _root_of_size,
    "pad": _pad,
    "max_pool1d": _windows("max"),
    "avg_pool1d": _windows("average"),
    "adaptive_max_pool1d": _pool_all("max"),
    "adaptive_avg_pool1d": _pool_all("mean"),
    "leaky_relu": _leaky,
    "relu6": _relu6,
    **dict.fromkeys(("clamp", "clip", "clamp_min"), _clamp),
    "hardtanh": _hardtanh,
    **dict.fromkeys(("mul", "multiply", "imul"), joins.multiply),
    **dict.fromkeys(_QUOTIENTS, joins.divide),
    **dict.fromkeys(("floordiv", "ifloordiv"), joins.floor_divide),
    "mod": joins.remainder,
    "chunk": shapes.chunk,
    "flip": shapes.flip,
    **dict.fromkeys(("bmm", "matmul"), joins.matrix_product),
    "einsum": joins.einsum,
    "pack_padded_sequence": masks.pack,
    "pad_packed_sequence": masks.pad,
    "getitem": shapes.item,
}
