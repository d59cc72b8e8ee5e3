"""Functions of PyTorch and methods of tensors, by their names."""

from __future__ import annotations

import math
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rnnspec.importing.graph import joins, masks
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.values import Argument, Known, Tensor, Unknown
from rnnspec.importing.torch import layers, shapes
from rnnspec.importing.torch.operators import lacks_operation
from rnnspec.importing.torch.values import (
    LENGTHS,
    Beside,
    ModuleArray,
    Packed,
    Several,
    State,
    Value,
    Zeros,
    describe,
    is_size,
)
from rnnspec.importing.unplaced import dense
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.importing.torch.operators import Operators
    from rnnspec.importing.torch.values import Given
    from rnnspec.words import Activation, Statistic, WindowStatistic

_INTEGERS = ("torch.int64", "torch.int32", "torch.int16", "torch.int8", "torch.uint8")


_CASTS = ("torch.float16", "torch.bfloat16", "torch.bool", "torch.complex64", "torch.complex128")

_AT_LEAST_ONE = "at least 1 of "
"""What the name of lengths begins with that were kept from being 0."""


# Dtypes and sizes


def _is_input(x: Any) -> bool:
    """Return whether a value is the input."""
    return (isinstance(x, Tensor) and not x.at and x.formula is None) or (
        isinstance(x, Known) and x.kind == "input"
    )


def cast(m: Operators, x: Any) -> Value:
    """Return a value in another floating dtype."""
    if isinstance(x, Known) and x.kind == "derived":
        return replace(m.as_floats(x), name=x.name)
    m.scope.casts |= not isinstance(x, Argument)
    return shapes.same(m, x)


def detach(m: Operators, x: Any) -> Value:
    """Return a value as it is, without its gradient."""
    if isinstance(x, Tensor):
        m.scope.account.leave("detach")
    return shapes.same(m, x)


def to(m: Operators, x: Any, *args: Any, **kwargs: Any) -> Value:
    """Return a value in another dtype or on another device."""
    for each in (*args, *kwargs.values()):
        if str(each) == "torch.bool" and isinstance(x, Known):
            return as_mask(m, x)
        if str(each) in _CASTS:
            raise RefusedError(f"expected float32 or float64, received {each}", "E703")
        if str(each) in _INTEGERS:
            return long(m, x)
        if str(each).startswith("torch.float"):
            return cast(m, x)
    return shapes.same(m, x)


def long(m: Operators, x: Any) -> Value:
    """Return a value as integers: tokens, or lengths."""
    if isinstance(x, Tensor) and x.at:
        raise RefusedError("expected a cast to integers of tokens alone, received it behind layers")
    if _is_input(x):
        m.scope.casts_to_integers = True
    if isinstance(x, Known) and x.kind == "derived":
        return replace(m.as_integers(x), name=x.name)
    return shapes.same(m, x)


def size(m: Operators, x: Any, dim: Any = None) -> Value:
    """Return a size, or all of them."""
    if not isinstance(x, Tensor | Known):
        return Beside()
    sizes: Known = m.run("Shape", x)
    if dim is None:
        return sizes
    whole: Value = m.run("Gather", sizes, shapes.axis_number(dim, len(sizes.samples[0])), axis=0)
    return whole


def rank(m: Operators, x: Any) -> Value:
    """Return the number of axes."""
    return m.run("Size", m.run("Shape", x)) if isinstance(x, Tensor | Known) else Beside()


def number_of_elements(m: Operators, x: Any) -> Value:
    """Return the number of elements."""
    return m.run("Size", x) if isinstance(x, Tensor | Known) else Beside()


def attribute(m: Operators, x: Any, name: str) -> Value:
    """Return an attribute of a tensor, or the values of a maximum."""
    match name:
        case "shape":
            return size(m, x)
        case "ndim":
            return rank(m, x)
        case "device" | "dtype":
            return Beside()
        case "data":
            return detach(m, x)
        case "values" if isinstance(x, Several):
            value: Value = x.items[0]
            return value
        case "T" | "mT" if isinstance(x, ModuleArray):
            return replace(x, turned=not x.turned)
        case "T" | "mT":
            raise RefusedError(f"expected shapes.transpose(0, 1), received .{name}")
        case _:
            raise RefusedError(
                f"the language lacks the attribute '{name}' of {describe(x)}", "E701"
            )


def arange(m: Operators, *ends: Any, **_: Any) -> Value:
    """Return numbers in a row."""
    start, limit, step = (0, *ends, 1) if len(ends) == 1 else (*ends, 1)[:3]
    numbers: Value = m.run("Range", start, limit, step)
    return numbers


def zeros(m: Operators, *_: Any, **named: Any) -> Value:
    """Return zeros."""
    m.scope.casts |= str(named.get("dtype")).startswith("torch.float")
    return Zeros()


# Packed sequences


def pack(
    m: Operators, x: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> Value:
    """Return a packed sequence."""
    scope = m.scope
    value = scope.layer_output(x)
    if not isinstance(lengths, Known | Argument) or is_size(lengths):
        message = "expected lengths that are an argument of forward"
        counted = ", or tokens that are counted, (x != 0).sum(1)" if scope.tokens else ""
        raise RefusedError(
            f"{message}{counted}, received {describe(lengths)}; with example=(x, lengths) they are"
        )
    known = m.numbers(lengths)
    if known.samples[0].ndim != 1:
        raise RefusedError("expected one axis of lengths, received several", "E703")
    layers.lay_out_recurrent(scope, value, batch_first=batch_first)
    if known.name.startswith(_AT_LEAST_ONE):
        scope.account.infer("a sequence of padding only has no step; in the module it has one")
    if LENGTHS not in known.name:
        scope.counted = True
        scope.note_lengths("")
    if not all(map(np.array_equal, known.arrays, scope.probes.lengths)):
        raise RefusedError("expected the tokens of each sequence counted, received those of a step")
    scope.decreasing |= enforce_sorted
    return Packed(value)


def pad(
    m: Operators, x: Any, batch_first: bool = False, padding_value: float = 0.0,
    **_: Any,
) -> Value:  # fmt: skip
    """Return a packed sequence with its padding, and the lengths."""
    if not isinstance(x, Packed):
        raise RefusedError(f"expected a packed sequence, received {describe(x)}")
    if padding_value != 0.0:
        raise RefusedError(f"padding_value: expected 0.0, received {padding_value}", "E703")
    axes = ("B", "T", "F") if batch_first else ("T", "B", "F")
    lengths = m.numbers(Argument(m.scope.lengths))
    return Several((replace(x.steps, axes=axes, filler=0.0), lengths))


# Masks


def as_mask(m: Operators, x: Any) -> Value:
    """Return which tokens are not 0, or a mask as it is."""
    return m.as_truth(x) if isinstance(x, Known) and x.kind == "derived" else _not_zero(m, x)


def _not_zero(m: Operators, x: Any) -> Known:
    """Return which tokens are not 0.

    Raises:
        RefusedError: it is not about the tokens of the input.
    """
    if not _is_input(x) or not m.scope.tokens:
        received = "features" if _is_input(x) else describe(x)
        message = f"expected the tokens of the input, whose padding is 0, received {received}"
        raise RefusedError(f"{message}; give lengths as an argument of forward")
    mask: Known = m.run("Not", m.run("Equal", x, 0))
    return mask


_EXCHANGE = "; exchange the two tokens in the vocabulary, and their rows of the embedding"


def compare(op: str, expected: int, advice: str = "") -> Callable[..., Value]:
    """Return a comparison, of tokens with a number that tells them from 0, or of sizes."""

    def run(m: Operators, x: Any, y: Any) -> Value:
        if isinstance(x, Known | Argument) and not _is_input(x):
            result: Known = m.run("Equal" if op == "Differ" else op, x, y)
            return m.run("Not", result) if op == "Differ" else result
        mask = _not_zero(m, x)
        if op == "Less":
            raise RefusedError("expected tokens compared with 0, received another comparison")
        if not isinstance(y, int | float) or y != expected:
            message = f"expected {expected}, as padding is token 0, received {describe(y)}{advice}"
            raise RefusedError(message, "E703")
        return m.run("Not", mask) if op in ("Equal", "LessOrEqual") else mask

    return run


def invert(m: Operators, x: Any) -> Value:
    """Return which tokens are 0, or are not if ``x`` says which are."""
    if not isinstance(x, Known):
        raise RefusedError(f"expected which tokens are 0, received {describe(x)}")
    inverted: Known = m.run("Not", x)
    return inverted


def count_nonzero(m: Operators, x: Any, dim: Any = None) -> Value:
    """Return how many tokens are not 0."""
    return _reduce_numbers(m, as_mask(m, x), "Sum", dim, keepdim=False)


def _fill(m: Operators, condition: Any, x: Any, y: Any) -> Value:
    """Return the numbers of ``x`` where a mask is true, and those of ``y`` where it is not."""
    if not isinstance(condition, Known):
        raise RefusedError(
            f"expected a mask of the tokens that are 0, received {describe(condition)}"
        )
    for value in (x, y):
        if isinstance(value, bool) or not isinstance(value, int | float | Zeros | Tensor | State):
            message = f"expected a number in place of padding, received {describe(value)}"
            raise RefusedError(message)
    return m.masked("Where", condition, m.numbers(x), m.numbers(y))


def masked_fill(m: Operators, x: Any, mask: Any, value: Any) -> Value:
    """Return a tensor with a number where a mask is true."""
    return _fill(m, mask, value, x)


def where(m: Operators, condition: Any, x: Any, y: Any) -> Value:
    """Return a tensor with a number where a mask is false."""
    return _fill(m, condition, x, y)


# Sums and products


def multiply(m: Operators, x: Any, y: Any) -> Value:
    """Return steps multiplied by the weights of an attention, or a function of features."""
    if isinstance(x, State) and isinstance(y, State):
        return shapes.both(m.scope, (x, y), "mul")
    if any(isinstance(each, Tensor) and each.role == "weights" for each in (x, y)):
        weighted: Value = m.run("Mul", m.scope.operand(x), m.scope.operand(y))
        return weighted
    return _merge_directions(m, x, y, "Mul") or m.elementwise("Mul", (x, y), lacks_operation("mul"))


def divide(m: Operators, x: Any, y: Any) -> Value:
    """Return the mean of all steps or of both directions, or a function of features."""
    if isinstance(x, Known) and not isinstance(y, Tensor):
        x = m.as_floats(x)
    if isinstance(x, Tensor) and isinstance(y, Known) and is_size(y):
        value = m.scope.layer_output(x)
        if (mean := masks.divide_by_steps(m.scope, value, y)) is not None:
            return mean
    return m.elementwise("Div", (x, y), lacks_operation("truediv"))


def floor_divide(m: Operators, x: Any, y: Any) -> Value:
    """Return a quotient of sizes."""
    if any(isinstance(each, Tensor) for each in (x, y)):
        raise lacks_operation("floordiv")
    quotient: Value = m.run("Div", x, y)
    return quotient


def remainder(m: Operators, x: Any, y: Any) -> Value:
    """Return the remainder of sizes."""
    if any(isinstance(each, Tensor) for each in (x, y)):
        raise lacks_operation("mod")
    rest: Value = m.run("Mod", x, y)
    return rest


def _merge_directions(m: Operators, x: Any, y: Any, op: str) -> Value | None:
    """Return the features of both directions combined, None if they are others."""
    if not all(isinstance(each, Tensor) and each.half is not None for each in (x, y)):
        return None
    try:
        merged: Value = m.run(op, x, y)
    except RefusedError:
        message = "expected the two directions of one layer, received others"
        raise RefusedError(message) from None
    return merged


def add(m: Operators, x: Any, y: Any, alpha: float = 1) -> Value:
    """Return the sum of a sequence and the input of its layer, or that of both directions."""
    if alpha != 1:
        raise RefusedError(f"alpha: expected 1, received {alpha}", "E703")
    if isinstance(x, State) and isinstance(y, State):
        return shapes.both(m.scope, (x, y), "sum")
    received = f"received {describe(x)} and {describe(y)}"
    refused = RefusedError(f"expected the sum of two sequences, {received}")
    return _merge_directions(m, x, y, "Add") or m.elementwise("Add", (x, y), refused)


def write_out(name: str, op: str) -> Callable[..., Value]:
    """Return a function of PyTorch that is a part of a function of features."""

    def run(m: Operators, x: Any, *others: Any, y: Any = None) -> Value:
        operands = (x, *others) if y is None else (x, y)
        return m.elementwise(op, operands, lacks_operation(name))

    return run


_WRITTEN_OUT = {
    "sub": "Sub", "subtract": "Sub", "isub": "Sub", "pow": "Pow", "neg": "Neg", "negative": "Neg",
    "log": "Log", "sqrt": "Sqrt", "reciprocal": "Reciprocal", "abs": "Abs", "absolute": "Abs",
    "minimum": "Min", "maximum": "Max", "erf": "Erf",
}  # fmt: skip
"""Functions that are a part of a function of features, and no layer."""
_COMPOSED: dict[str, tuple[tuple[str, tuple[float, ...]], ...]] = {
    "log1p": (("Add", (1.0,)), ("Log", ())),
    "expm1": (("Exp", ()), ("Sub", (1.0,))),
    "rsqrt": (("Sqrt", ()), ("Reciprocal", ())),
    "square": (("Pow", (2.0,)),),
}
"""Functions that are several operators, each with the number that it takes as well."""


def write_out_steps(name: str) -> Callable[..., Value]:
    """Return a function of PyTorch that is several parts of a function of features."""

    def run(m: Operators, x: Any) -> Value:
        value = x
        for op, numbers in _COMPOSED[name]:
            value = m.elementwise(op, (value, *numbers), lacks_operation(name))
        result: Value = value
        return result

    return run


def concatenate(m: Operators, x: Any, dim: Any = 0) -> Value:
    """Put states, vectors or sequences side by side."""
    scope = m.scope
    if isinstance(x, tuple) and x and all(isinstance(each, State) for each in x):
        if dim not in (1, -1):
            raise RefusedError(f"dim: expected 1, the features, received {dim}", "E703")
        return shapes.both(scope, x, "concat")
    parts, rest = list[Tensor](), list(x) if isinstance(x, tuple) else []
    while rest:
        match rest:
            case [State(index=-2) as one, State(index=-1) as two, *rest] if (
                one.states == two.states and one.states.directions == 2
            ):
                parts.append(scope.operand(shapes.both(scope, (one, two), "concat")))
            case [Tensor() | State() as part, *rest]:
                parts.append(scope.operand(part))
            case _:
                rest, parts = [], []
    if len(parts) < 2:
        kinds = ", ".join(map(describe, x)) if isinstance(x, tuple) else describe(x)
        raise RefusedError(
            "expected h[-2] and h[-1], the final states of both directions, or several sequences "
            f"or vectors, received {kinds}"
        )
    if any(each.half is not None for each in parts):
        directions: Value = scope.layer_output(m.run("Concat", *parts, axis=dim))
        return directions
    solid = [scope.layer_output(each) for each in parts]
    first = solid[0]
    if any(part.axes != first.axes for part in solid):
        raise RefusedError("expected sequences or vectors with the axes in one order")
    if first.axes[shapes.axis_number(dim, len(first.axes))] != "F":
        raise RefusedError(f"dim: expected the features, received {dim}", "E703")
    joined: Value = m.run("Concat", *solid, axis=dim)
    return joined


def matrix_product(m: Operators, x: Any, y: Any) -> Value:
    """Return the sum of the steps multiplied by weights, or the output of a tied layer."""
    if isinstance(y, ModuleArray):
        return linear(m, x, replace(y, turned=not y.turned))
    if not any(isinstance(each, Tensor) and each.role == "weights" for each in (x, y)):
        raise lacks_operation("bmm")
    attended: Value = m.run("MatMul", m.scope.operand(x), m.scope.operand(y))
    return attended


def linear(m: Operators, x: Any, weight: Any, bias: Any = None) -> Value:
    """Return the output of a dense layer whose weight is that of the embedding."""
    scope = m.scope
    value = scope.layer_output(x)
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
    if value.axes[-1] != "F":
        raise RefusedError("expected the features as the last axis")
    scope.fit_features(value.at, table.dim)
    layer = dense("linear", table.vocabulary, activation="linear", bias=bias is not None)
    own = None if bias is None else {"bias": bias.path}
    at = scope.add(replace(layer, tied=table.name), value.at, arrays=own, modules=())
    return scope.result(value, at)


# Statistics


def pool(statistic: Statistic, *, with_places: bool = False) -> Callable[..., Value]:
    """Return a reduction; ``torch.max`` returns places too."""

    def run(m: Operators, x: Any, dim: Any = None, keepdim: bool = False) -> Value:
        if isinstance(dim, tuple) and len(dim) == 1:
            dim = dim[0]
        op = statistic.capitalize()
        if isinstance(x, Known | Argument) and not _is_input(x):
            value = _reduce_numbers(m, m.numbers(x), op, dim, keepdim=keepdim)
        else:
            value = _reduce(m, x, statistic, dim, keepdim=keepdim)
        return Several((value, Beside())) if with_places else value

    return run


def _reduce_numbers(m: Operators, x: Any, op: str, dim: Any, *, keepdim: bool) -> Value:
    known = m.as_integers(x)
    axes = None if dim is None else (shapes.axis_number(dim, known.samples[0].ndim),)
    named = {} if axes is None else {"axes": axes}
    reduced: Value = m.run(f"Reduce{op}", known, keepdims=int(keepdim), **named)
    return reduced


def _reduce(m: Operators, x: Any, statistic: Statistic, dim: Any, *, keepdim: bool) -> Value:
    """Return a statistic over the steps, over the features, or over both directions."""
    scope = m.scope
    value = scope.operand(x)
    message = f"expected the {statistic} over the steps of a sequence, received other axes"
    refused = RefusedError(message)
    rank = len(value.axes)
    if value.role != "plain":
        if value.axes[shapes.axis_number(dim, rank)] != "T" or statistic != "sum":
            raise RefusedError("expected the sum over the steps, received other axes")
        attended: Value = m.run("ReduceSum", value, axes=(dim,), keepdims=int(keepdim))
        return attended
    letters = value.axes[dim] if type(dim) is int and -rank <= dim < rank else ""
    op = f"Reduce{statistic.capitalize()}"
    match letters:
        case "T" if rank == 3:
            solid = scope.layer_output(value)
            pooled = layers.pool_steps(m, replace(solid, filler=value.filler), statistic)
            axes = tuple(a for i, a in enumerate(pooled.axes) if keepdim or i != dim % rank)
            return replace(pooled, axes=axes)
        case "F":
            return m.pending(m.run(op, value, axes=(dim,), keepdims=int(keepdim)), refused)
        case "D" if not keepdim:
            try:
                merged: Value = m.run(op, value, axes=(dim,), keepdims=0)
            except RefusedError:
                raise RefusedError("expected the sum or the mean of both directions") from None
            return merged
        case _:
            shapes.axis_number(dim, rank)
            raise refused


def _is_of_features(x: Any, dim: Any) -> bool:
    axes = ("B", "F") if isinstance(x, State) else x.axes if isinstance(x, Tensor) else ()
    return type(dim) is int and -len(axes) <= dim < len(axes) and axes[dim] == "F"


def norm(m: Operators, x: Any, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Value:
    """Return the Euclidean norm of the features, as a part of a function."""
    dim = dim[0] if isinstance(dim, tuple) and len(dim) == 1 else dim
    if p not in (None, 2, "fro") or not keepdim or not _is_of_features(x, dim):
        raise lacks_operation("norm")
    length = m.run("ReduceL2", m.scope.operand(x), axes=(dim,), keepdims=1)
    return m.pending(length, lacks_operation("norm"))


def spread(name: str, power: float) -> Callable[..., Value]:
    """Return the variance or the standard deviation of the features, as a part of a function."""

    def run(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
        m: Operators, x: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False,
        correction: int | None = None,
    ) -> Value:  # fmt: skip
        dim = dim[0] if isinstance(dim, tuple) and len(dim) == 1 else dim
        if not keepdim or not _is_of_features(x, dim):
            raise lacks_operation(name)
        ddof = int(unbiased) if correction is None else correction

        def function(_: Any, inputs: Any, __: int) -> Any:
            return inputs[0].var(axis=-1, keepdims=True, ddof=ddof) ** power

        value = joins.reduce_features(m.scope, m.node(name), m.scope.operand(x), function)
        return m.pending(value, lacks_operation(name))

    return run


# Layers without arrays


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
    if p != 2 or eps != 1e-12 or not _is_of_features(value, dim):
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
    return layers.add_steps(m, x, pad, float(value or 0.0))


def _windows(statistic: WindowStatistic) -> Callable[..., Value]:
    def pool_max(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
        m: Operators, x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
        dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False,
    ) -> Value:  # fmt: skip
        if dilation not in (1, (1,)) or return_indices:
            key = "return_indices" if return_indices else "dilation"
            raise RefusedError(f"{key}: expected the default, received another", "E703")
        return layers.pool_windows(m, x, "max", kernel_size, stride, padding, ceil_mode=ceil_mode)

    def pool_average(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
        m: Operators, x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
        ceil_mode: bool = False, count_include_pad: bool = True,
    ) -> Value:  # fmt: skip
        return layers.pool_windows(
            m, x, "average", kernel_size, stride, padding, ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
        )  # fmt: skip

    return pool_max if statistic == "max" else pool_average


def _pool_all(statistic: Statistic) -> Callable[..., Value]:
    def run(m: Operators, x: Any, output_size: Any, return_indices: bool = False) -> Value:
        if output_size not in (1, (1,)) or return_indices:
            raise RefusedError(f"output_size: expected 1, received {output_size}", "E703")
        return layers.pool_all(m, x, statistic)

    return run


def _activation(activation: Activation) -> Callable[..., Value]:
    def apply(m: Operators, x: Any, *settings: Any, inplace: bool = False, **named: Any) -> Value:
        del inplace  # the result is the same
        wanted = _SETTINGS.get(activation, {})
        given = dict(zip(wanted, settings, strict=False)) | named
        if given.get("threshold", 0) > wanted.get("threshold", 0):
            del given["threshold"]  # closer still
        if len(settings) > len(wanted) or any(wanted.get(k) != v for k, v in given.items()):
            raise RefusedError("expected the default settings, received others", "E703")
        return layers.activate(m, x, activation)

    return apply


def _leaky(m: Operators, x: Any, negative_slope: float = 0.01, inplace: bool = False) -> Value:
    del inplace
    return layers.activate(m, x, nodes.LeakyRelu(slope=float(negative_slope)))


def _clamp(m: Operators, x: Any, min: Any = None, max: Any = None) -> Value:  # noqa: A002
    if isinstance(x, Known | Argument) and not _is_input(x):
        if max is not None or not isinstance(min, int | float) or not 0 <= min <= 1:
            message = f"expected lengths of at least 1, received limits {min} and {max}"
            raise RefusedError(message, "E703")
        lengths: Known = m.run("Max", x, min)
        name = lengths.name if min < 1 else f"{_AT_LEAST_ONE}{lengths.name}"
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


def _softmax(activation: Literal["softmax", "log_softmax"]) -> Callable[..., Value]:
    def apply(m: Operators, x: Any, dim: Any = None, _stacklevel: Any = 3) -> Value:
        return layers.activate(m, x, activation, dim)

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


def call_function(m: Operators, name: str, given: Given) -> Value:
    """Return the result of a function or a method; ``given`` is None if its arguments were refused.

    Raises:
        RefusedError: rnnspec does not support it, or not in this place.
    """
    args, kwargs = given or ((), {})
    values = (*args, *kwargs.values())
    if name in _SIZES.split() and any(isinstance(value, Beside) for value in values):
        others = [v for v in values if isinstance(v, Value) and not isinstance(v, Beside)]
        if any(isinstance(value, Tensor) for value in others) and name != "getattr":
            message = f"'{name}': expected no size beside {describe(others[0])}, received one"
            raise RefusedError(message, "E701")
        return Beside()
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
        bound = wanted.bind(m, *args, **needed)
    except TypeError as error:
        message = f"'{name}': expected other arguments: {error}"
        raise RefusedError(message, "E703") from None
    for key, value in bound.arguments.items():
        if key in _SETTING_NAMES and isinstance(value, Value):
            raise RefusedError(f"{key}: expected a number, received {describe(value)}", "E703")
    return function(*bound.args, **bound.kwargs)


_CALLS: dict[str, Callable[..., Value]] = {
    **{name: write_out(name, op) for name, op in _WRITTEN_OUT.items()},
    **{name: write_out_steps(name) for name in _COMPOSED},
    **dict.fromkeys(_SAME.split(), shapes.same),
    **dict.fromkeys(("float", "double"), cast),
    **dict.fromkeys(("long", "int"), long),
    **dict.fromkeys(("dim", "ndimension", "len"), rank),
    "numel": number_of_elements,
    "size": size,
    **dict.fromkeys(("zeros", "new_zeros", "zeros_like", "zero_"), zeros),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), shapes.transpose),
    **dict.fromkeys(("add", "iadd", "add_"), add),
    **dict.fromkeys(("cat", "concat", "concatenate"), concatenate),
    "repeat": shapes.repeat("Tile"),
    "expand": shapes.repeat("Expand"),
    **dict.fromkeys(("reshape", "view"), shapes.reshape),
    **{name: _activation(value) for name, value in _ACTIVATIONS.items()},
    **{name: _softmax(name) for name in ("softmax", "log_softmax")},
    **dict.fromkeys(("ne", "not_equal"), compare("Differ", 0, _EXCHANGE)),
    **dict.fromkeys(("gt", "greater"), compare("Greater", 0)),
    **dict.fromkeys(("ge", "greater_equal"), compare("GreaterOrEqual", 1)),
    "eq": compare("Equal", 0, _EXCHANGE),
    **dict.fromkeys(("lt", "less"), compare("Less", 0)),
    **dict.fromkeys(("le", "less_equal"), compare("LessOrEqual", 0)),
    "arange": arange,
    "select": shapes.select,
    "narrow": shapes.narrow,
    "split": shapes.split,
    "gather": shapes.gather,
    "expand_as": shapes.expand_as,
    **dict.fromkeys(("bool", "sign"), as_mask),
    **dict.fromkeys(("invert", "logical_not", "bitwise_not"), invert),
    **dict.fromkeys(("masked_fill", "masked_fill_"), masked_fill),
    "where": where,
    "count_nonzero": count_nonzero,
    "detach": detach,
    "to": to,
    "getattr": attribute,
    "permute": shapes.permute,
    "t": shapes.turn,
    "squeeze": shapes.squeeze,
    "unsqueeze": shapes.unsqueeze,
    "flatten": shapes.flatten,
    "mean": pool("mean"),
    "sum": pool("sum"),
    "norm": norm,
    "var": spread("var", 1.0),
    "std": spread("std", 0.5),
    "amax": pool("max"),
    "max": pool("max", with_places=True),
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
    **dict.fromkeys(("floordiv", "ifloordiv"), floor_divide),
    "mod": remainder,
    "chunk": shapes.chunk,
    **dict.fromkeys(("bmm", "matmul"), matrix_product),
    "pack_padded_sequence": pack,
    "pad_packed_sequence": pad,
    "getitem": shapes.item,
}
