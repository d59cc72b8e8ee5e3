"""The table of PyTorch: which operators each function and each method is.

A row names operators, which their reader understands. Some rows look at a value first: for arrays
of the module, zeros and packed sequences, which are none, and to refuse in the words of PyTorch.
"""

from __future__ import annotations

import math
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.importing.graph.bounds import shape_bounds
from rnnspec.importing.graph.joins import reduce_features
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.masks import divide_by_steps
from rnnspec.importing.graph.shapes import has_directions
from rnnspec.importing.graph.values import (
    NAMES_OF_AXES,
    CarriedStates,
    ExtraInput,
    Known,
    Pairs,
    RestartError,
    Tensor,
    Unknown,
)
from rnnspec.importing.torch import layers, states
from rnnspec.importing.torch.operators import axis_number, lacks_operation
from rnnspec.importing.torch.values import (
    ARRAY_OUTSIDE,
    LENGTHS,
    NO_STATES,
    Copies,
    FeatureSlice,
    LearnedRows,
    ModuleArray,
    NonTensor,
    Packed,
    StackedRows,
    Value,
    Zeros,
    describe,
    is_size,
)
from rnnspec.importing.unplaced import dense
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rnnspec.importing.torch.operators import Operators
    from rnnspec.importing.torch.scope import ModuleScope
    from rnnspec.importing.torch.values import Arguments
    from rnnspec.words import Activation, Statistic

    Row = Callable[..., Any]

_INTEGERS = ("torch.int64", "torch.int32", "torch.int16", "torch.int8", "torch.uint8")
_CASTS = ("torch.float16", "torch.bfloat16", "torch.bool", "torch.complex64", "torch.complex128")
_AT_LEAST_ONE = "at least 1 of "
"""The prefix of the name of lengths that are at least 1."""
DRAWS = (
    "rand", "randn", "rand_like", "randn_like", "normal_", "uniform_", "bernoulli", "bernoulli_",
    "kaiming_normal_", "kaiming_uniform_", "xavier_normal_", "xavier_uniform_", "orthogonal_",
    "multinomial", "randint", "randperm",
)  # fmt: skip
"""Functions and methods of which no two calls give the same."""
_ALL = slice(None)
_END = np.iinfo(np.int64).max
_OTHER_SHAPE = (
    "expected a shape in which sequences, steps and features stay apart, each along its axis, "
    "received another one"
)


def _same(m: Operators, x: Any, *_: Any, **__: Any) -> Any:
    del m
    return x


def _operator(op: str, name: str) -> Row:
    """Return a row of one operator on each number of its operands."""

    def run(m: Operators, x: Any, *others: Any, y: Any = None) -> Any:
        operands = (x, *others) if y is None else (x, y)
        refused = lacks_operation(name)
        if op == "Sub" and all(isinstance(operand, Tensor) for operand in operands):
            message = f"rnnspec does not support the operation '{name}' of two layers"
            refused = RefusedError(f"{message}; a spec adds and multiplies their outputs", "E701")
        return m.elementwise(op, operands, refused)

    return run


_COMPOSED: dict[str, tuple[tuple[str, tuple[float, ...]], ...]] = {
    "log1p": (("Add", (1.0,)), ("Log", ())),
    "expm1": (("Exp", ()), ("Sub", (1.0,))),
    "rsqrt": (("Sqrt", ()), ("Reciprocal", ())),
    "square": (("Pow", (2.0,)),),
}
"""Functions that are several operators, each with the number that it takes as well."""


def _multiply(m: Operators, x: Any, y: Any) -> Any:
    """Return a product; a list that is multiplied is one of as many copies."""
    if isinstance(y, tuple):
        x, y = y, x
    if isinstance(x, tuple) and len(x) == 1 and is_size(m.numbers(y)):
        return Copies(x[0], y)
    refused, (one, other) = lacks_operation("mul"), (describe(x), describe(y))
    if one != other:
        message = "expected the product of two sequences with as many steps, or of two vectors"
        refused = RefusedError(f"{message}, received {one} and {other}", "E701")
    return m.elementwise("Mul", (x, y), refused)


def _composed(name: str) -> Row:
    def run(m: Operators, x: Any) -> Any:
        for op, numbers in _COMPOSED[name]:
            x = m.elementwise(op, (x, *numbers), lacks_operation(name))
        return x

    return run


def _add(m: Operators, x: Any, y: Any, alpha: float = 1) -> Any:
    if isinstance(x, Known) and isinstance(y, tuple):
        # Sizes, one after the other.
        return m.run("Concat", x, _sizes(m, y), axis=0)
    if alpha != 1:
        raise RefusedError(f"alpha: expected 1, received {alpha}", "E703")
    m.fit_features(x, y)
    received = f"received {describe(x)} and {describe(y)}"
    refused = RefusedError(f"expected the sum of two sequences, {received}")
    return m.elementwise("Add", (x, y), refused)


def _divide(m: Operators, x: Any, y: Any) -> Any:
    if isinstance(x, Known) and not isinstance(y, Tensor):
        x = m.as_floats(x)
    if isinstance(x, Tensor) and isinstance(y, Known) and is_size(y):
        mean = divide_by_steps(m.scope, m.scope.layer_output(x), y)
        if mean is not None:
            return mean
    return m.elementwise("Div", (x, y), lacks_operation("truediv"))


def _of_sizes(op: str, name: str) -> Row:
    def run(m: Operators, x: Any, y: Any) -> Any:
        if any(isinstance(value, Tensor) for value in (x, y)):
            raise lacks_operation(name)
        return m.run(op, x, y)

    return run


def _concatenate(m: Operators, x: Any, dim: Any = 0) -> Any:
    if isinstance(x, tuple) and dim == 0 and any(isinstance(p, Zeros) for p in x):
        return _states_and_zeros(m, x)
    if isinstance(x, Copies):
        sizes = [1] * m.rank(x.value)
        sizes[axis_number(dim, len(sizes))] = x.number
        return _repeat("Tile")(m, x.value, *sizes)
    if not isinstance(x, tuple) or not all(isinstance(p, Tensor | CarriedStates) for p in x):
        kinds = ", ".join(map(describe, x)) if isinstance(x, tuple) else describe(x)
        raise RefusedError(
            "expected h[-2] and h[-1], the final states of both directions, or several sequences "
            f"or vectors, received {kinds}"
        )
    if any(isinstance(part, Tensor) and "BF" in part.axes for part in x):
        raise RefusedError(
            "joins sequences of a batch of one, which view(1, 1, -1) puts along the features; "
            "expected the batch along an axis of its own"
        )
    return m.run("Concat", *x, axis=dim)


def _states_and_zeros(m: Operators, x: tuple[Any, ...]) -> StackedRows:
    """Return the states of layers, of which some begin with zeros."""
    rows = list[Any]()
    for part in x:
        match part:
            case Zeros(rows=int(number)) if number:
                rows += [Zeros()] * number
            case Tensor(axes=("", "B", "F")):
                rows.append(m.run("Gather", part, 0, axis=0))
            case CarriedStates(parts=parts, axis=0) if all(one.axes[0] == "" for one in parts):
                rows += [m.run("Gather", one, 0, axis=0) for one in parts]
            case _:
                raise RefusedError(
                    f"expected states of layers and zeros, received {describe(part)}"
                )
    return StackedRows(tuple(rows))


def _stack(m: Operators, x: Any, dim: Any = 0) -> Any:
    if dim != 0 or not isinstance(x, tuple):
        raise RefusedError(f"dim: expected 0, received {dim}", "E703")
    if any(isinstance(value, FeatureSlice | Zeros) for value in x):
        return StackedRows(x)
    return _concatenate(m, tuple(_unsqueeze(m, value, 0) for value in x))


def _matrix_product(m: Operators, x: Any, y: Any) -> Any:
    if isinstance(y, ModuleArray):
        return _linear(m, x, replace(y, turned=not y.turned))
    match x, y:
        case Tensor(axes=("B", "", "F")), Tensor(axes=("B", "F", "T")) if x.role == "plain":
            # The product of the steps and of the vector, turned.
            turned = [m.run("Transpose", value, perm=(0, 2, 1)) for value in (y, x)]
            return m.run("Transpose", _matrix_product(m, *turned), perm=(0, 2, 1))
        case _:
            pass
    try:
        return m.run("MatMul", x, y)
    except RefusedError:
        attends = any(
            isinstance(v, Pairs) or (isinstance(v, Tensor) and v.role == "weights") for v in (x, y)
        )
        if attends:
            raise
        raise lacks_operation("bmm") from None


def _einsum(m: Operators, equation: Any, *operands: Any) -> Any:
    """Return a product of two tensors that is one of matrices, for each sequence."""
    refused = RefusedError(
        f"einsum: expected a product of two sequences or vectors, such as 'bth,bt->bh', received "
        f"{describe(equation)}", "E701",
    )  # fmt: skip
    if len(operands) == 1 and isinstance(operands[0], tuple):
        operands = operands[0]
    if not isinstance(equation, str) or len(operands) != 2 or "->" not in equation:
        raise refused
    inputs, result = equation.replace(" ", "").split("->")
    letters, values = inputs.split(","), list(operands)
    if [len(own) for own in letters] != [m.rank(value) for value in values]:
        raise refused
    # What is summed away of one operand alone has size 1, and is no axis of the product.
    for place, other in enumerate(reversed(letters)):
        for letter in [name for name in letters[place] if name not in other + result]:
            values[place] = _squeeze(m, values[place], letters[place].index(letter))
            letters[place] = letters[place].replace(letter, "")
    one, two = letters
    batch = [letter for letter in one if letter in two and letter in result]
    summed = [letter for letter in one if letter in two and letter not in result]
    rows = [letter for letter in one if letter not in two]
    columns = [letter for letter in two if letter not in one]
    product = "".join((*batch, *rows, *columns))
    sizes = (len(batch), len(summed), len(rows) <= 1, len(columns) <= 1)
    if sizes != (1, 1, True, True) or sorted(product) != sorted(result):
        raise refused
    left = m.run("Transpose", values[0], perm=[one.index(i) for i in (*batch, *rows, *summed)])
    right = m.run("Transpose", values[1], perm=[two.index(i) for i in (*batch, *summed, *columns)])
    whole = _matrix_product(
        m,
        left if rows else m.run("Unsqueeze", left, axes=(1,)),
        right if columns else m.run("Unsqueeze", right, axes=(2,)),
    )
    whole = whole if columns else _squeeze(m, whole, 2)
    whole = whole if rows else _squeeze(m, whole, 1)
    return m.run("Transpose", whole, perm=tuple(map(product.index, result)))


def _linear(m: Operators, x: Any, weight: Any, bias: Any = None) -> Any:
    """Return the output of a dense layer of arrays of the module, perhaps of its embedding."""
    scope = m.scope
    value = scope.layer_output(x)
    own = [weight] if bias is None else [weight, bias]
    if not all(isinstance(one, ModuleArray) for one in own):
        message = "expected the weight of the embedding, or nn.Linear; received another array"
        raise RefusedError(message, "E701")
    embeddings = [s for s in scope.steps.values() if isinstance(s.layer, nodes.Embedding)]
    paths = [f"{step.modules[0]}.weight" for step in embeddings]
    if weight.turned or not any(scope.is_same(weight.path, path) for path in paths):
        if all(one.path in scope.bare for one in own):
            return _dense_of_array(m, value, weight, bias)
        message = "expected the weight of the embedding, or nn.Linear; received another array"
        raise RefusedError(message, "E701")
    table = embeddings[0].layer
    assert isinstance(table, nodes.Embedding), "of the list"
    if value.axes[-1] != "F":
        raise RefusedError("expected the features as the last axis")
    scope.fit_features(value.at, table.dim)
    layer = dense("linear", table.vocabulary, activation="linear", bias=bias is not None)
    arrays = None if bias is None else {"bias": bias.path}
    at = scope.add(replace(layer, tied=table.name), value.at, arrays=arrays, modules=())
    return scope.result(value, at)


def _dense_of_array(
    m: Operators, value: Tensor, weight: ModuleArray, bias: ModuleArray | None
) -> Any:
    """Return the output of a dense layer whose kernel is a parameter: (out, in), or a vector."""
    scope, shape = m.scope, m.scope.shape_of(weight)
    if len(shape) not in (1, 2) or weight.shape or value.axes[-1] != "F":
        raise RefusedError("expected a matrix or a vector of the module, and features")
    is_vector = len(shape) == 1
    shape = (1, *shape) if is_vector else shape
    scope.fit_features(value.at, shape[1])
    layer = dense(weight.path, shape[0], activation="linear", bias=bias is not None)
    arrays: Any = {"kernel": (weight.path, weight.turned), "bias": (bias.path,) if bias else ()}
    result = scope.result(value, scope.add(layer, value.at, arrays=arrays, modules=()))
    return m.run("Squeeze", result, axes=(len(result.axes) - 1,)) if is_vector else result


# Statistics


def _dim(dim: Any) -> Any:
    return dim[0] if isinstance(dim, tuple) and len(dim) == 1 else dim


def _reduce(statistic: Statistic, *, with_places: bool = False) -> Row:
    """Return the row of a reduction; ``torch.max`` returns places too."""
    op = f"Reduce{statistic.capitalize()}"

    def run(m: Operators, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if isinstance(x, Known | ExtraInput) and not m.is_input(x):
            value = _reduce_numbers(m, x, op, _dim(dim), keepdim=keepdim)
        else:
            value = _reduce_tensor(m, x, op, _dim(dim), keepdim=keepdim)
        return (value, NonTensor("places of a maximum")) if with_places else value

    return run


def _reduce_tensor(m: Operators, x: Any, op: str, dim: Any, *, keepdim: bool) -> Any:
    value, statistic = m.scope.operand(x), op.removeprefix("Reduce").lower()
    message = f"expected the {statistic} over the steps of a sequence, received other axes"
    refused = RefusedError(message)
    letter = "" if dim is None else value.axes[axis_number(dim, len(value.axes))]
    if letter not in ("T", "F", "D"):
        raise refused
    pooled = m.run(op, value, axes=(dim,), keepdims=int(keepdim))
    if letter == "T":
        m.scope.check_unpadded(pooled.at, statistic)
    return m.refuse_later(pooled, refused)


def _reduce_numbers(m: Operators, x: Any, op: str, dim: Any, *, keepdim: bool) -> Any:
    """Return a statistic of known numbers over an axis, or over all of them."""
    known = m.as_integers(x)
    axes = {} if dim is None else {"axes": (axis_number(dim, known.samples[0].ndim),)}
    return m.run(op, known, keepdims=int(keepdim), **axes)


def _places(m: Operators, x: Any, *_: Any, **__: Any) -> NonTensor:
    m.scope.operand(x)
    return NonTensor("places of a maximum")


def _is_of_features(x: Any, dim: Any) -> bool:
    axes = x.axes if isinstance(x, Tensor) else ()
    return type(dim) is int and -len(axes) <= dim < len(axes) and axes[dim] == "F"


def _norm(m: Operators, x: Any, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Any:
    dim = _dim(dim)
    if p not in (None, 2, "fro") or not keepdim or not _is_of_features(x, dim):
        raise lacks_operation("norm")
    return m.refuse_later(m.run("ReduceL2", x, axes=(dim,), keepdims=1), lacks_operation("norm"))


def _deviation(name: str, power: float) -> Row:
    def run(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
        m: Operators, x: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False,
        correction: int | None = None,
    ) -> Any:  # fmt: skip
        if not keepdim or not _is_of_features(x, _dim(dim)):
            raise lacks_operation(name)
        ddof = int(unbiased) if correction is None else correction

        def function(_: Any, inputs: Any, __: int) -> Any:
            return inputs[0].var(axis=-1, keepdims=True, ddof=ddof) ** power

        value = reduce_features(m.scope, m.node(name), m.scope.operand(x), function)
        return m.refuse_later(value, lacks_operation(name))

    return run


# Axes


def _transpose(m: Operators, x: Any, dim0: Any, dim1: Any) -> Any:
    if isinstance(x, ModuleArray):
        return replace(x, turned=not x.turned)
    order = list(range(m.rank(x)))
    one, two = axis_number(dim0, len(order)), axis_number(dim1, len(order))
    order[one], order[two] = two, one
    return m.run("Transpose", x, perm=tuple(order))


def _permute(m: Operators, x: Any, *dims: Any) -> Any:
    order = dims[0] if len(dims) == 1 and isinstance(dims[0], tuple) else dims
    rank = m.rank(x)
    numbers = tuple(axis_number(dim, rank) for dim in order)
    if sorted(numbers) != list(range(rank)):
        raise RefusedError(f"expected an order of {rank} axes, received {order}", "E703")
    return m.run("Transpose", x, perm=numbers)


def _squeeze(m: Operators, x: Any, dim: Any = None) -> Any:
    rank = m.rank(x)
    axes = m.single_axes(x) if dim is None else (axis_number(dim, rank),)
    if dim is None and not axes and isinstance(x, Tensor) and "B" in x.axes:
        m.scope.account.leave("squeeze()", reason="it drops the axis of a batch of one only")
        return x
    named = isinstance(x, Tensor) and dim is not None
    if named and x.axes[axes[0]] == "F" and (m.scope.width(x.at) or 1) > 1:
        # PyTorch leaves an axis of another size as it is.
        return x
    try:
        squeezed: Value = m.run("Squeeze", x, axes=axes) if axes else x
    except RefusedError:
        squeezed = x
    if squeezed is x:
        argument, what = "" if dim is None else dim, describe(x)
        if axes and isinstance(x, Tensor):
            what = NAMES_OF_AXES.get(x.axes[axes[0]], what)
            what = f"that of the {what}, which only some inputs have of size 1"
        raise RefusedError(f"squeeze({argument}): expected an axis of size 1, received {what}")
    return squeezed


def _unsqueeze(m: Operators, x: Any, dim: Any) -> Any:
    if isinstance(x, FeatureSlice) and dim == 0:
        return StackedRows((x,))
    if isinstance(x, ModuleArray) and not x.turned:
        shape = [*m.scope.shape_of(x)]
        shape.insert(axis_number(dim, len(shape) + 1), 1)
        return replace(x, shape=tuple(shape))
    return m.run("Unsqueeze", x, axes=(axis_number(dim, m.rank(x) + 1),))


def _repeat(op: str) -> Row:
    """Return the row that repeats a vector as steps."""

    def run(m: Operators, x: Any, *sizes: Any) -> Any:
        several = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple) else sizes
        if isinstance(x, ModuleArray):
            return _learned(m, op, x, several)
        if isinstance(x, Tensor) and x.is_final and x.axes == ("", "B", "F"):
            # A state of one layer, for each of several layers.
            rest = (1, 1) if op == "Tile" else (-1, -1)
            if type(several[0]) is int and several[0] > 1 and tuple(several[1:]) == rest:
                return CarriedStates((x,) * several[0], (1,) * several[0], 0)
        try:
            # As many as there are.
            return m.run(op, x, _sizes(m, [1 if n == -1 else n for n in several]))
        except RefusedError:
            message = "expected a vector repeated as steps: unsqueeze(1).repeat(1, STEPS, 1)"
            raise RefusedError(message) from None

    return run


def _learned(m: Operators, op: str, x: ModuleArray, sizes: Sequence[Any]) -> Any:
    """Return an array of the module that is the same for each sequence."""
    shape, rows = m.scope.shape_of(x), m.scope.probes.rows
    shape = (1,) * (len(sizes) - len(shape)) + shape
    known = [
        size.samples if isinstance(size, Known) else (np.array(size),) * len(rows) for size in sizes
    ]
    batch = len(shape) - 2
    for place, (size, samples) in enumerate(zip(shape, known, strict=True)):
        numbers = [int(number) for number in samples]
        plain = all(n in ((1,) if op == "Tile" else (-1, size)) for n in numbers)
        if not (tuple(numbers) == rows and size == 1 if place == batch else plain):
            raise RefusedError(ARRAY_OUTSIDE, "E701")
    if len(shape) not in (2, 3) or x.turned:
        raise RefusedError(ARRAY_OUTSIDE, "E701")
    if batch:
        return LearnedRows(x.path, tuple(range(shape[0])))
    return Tensor(states.learned_vector(m.scope, x.path, (0,)), ("B", "F"))


def _expand_as(m: Operators, x: Any, other: Any) -> Any:
    # Weights are one for all features anyway.
    if isinstance(x, Tensor) and x.role == "weights":
        return x
    return m.run("Expand", x, m.run("Shape", other))


def _sizes(m: Operators, sizes: Any) -> Known:
    """Return sizes, some of which are plain numbers, as the numbers of a shape."""
    if not all(isinstance(size, int | Known) for size in sizes):
        raise RefusedError("expected sizes, received others", "E703")
    parts = [m.run("Reshape", size, [-1]) for size in sizes]
    return m.compute("Concat", *parts, axis=0)


def _flatten(m: Operators, x: Any, start_dim: Any = 0, end_dim: Any = -1) -> Any:
    joins = (start_dim, end_dim) in ((1, -1), (1, 2))
    return _reshape(m, x, 0, -1 if joins else 0)


def _reshape(m: Operators, x: Any, *sizes: Any) -> Any:
    sizes = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple) else sizes
    if len(sizes) == 1 and isinstance(sizes[0], Known) and sizes[0].samples[0].ndim == 1:
        (whole,) = sizes
        sizes = tuple(m.run("Gather", whole, i, axis=0) for i in range(len(whole.samples[0])))
    match x:
        case Tensor():
            return _reshape_tensor(m, x, tuple(map(_as_number, sizes)))
        case CarriedStates() | Known() | ExtraInput():
            return m.run("Reshape", x, _sizes(m, sizes))
        case _:
            raise RefusedError(_OTHER_SHAPE, "E701")


def _as_number(size: Any) -> Any:
    """Return a size that is the same for every input as a plain number."""
    constant = size.constant if isinstance(size, Known) else None
    return size if constant is None or constant.ndim else int(constant)


def _reshape_tensor(m: Operators, x: Tensor, sizes: tuple[Any, ...]) -> Any:
    scope = m.scope
    rows = len(sizes) == 2 and x.axes[-1:] == ("F",) and sizes[1] == scope.features(x)
    rows = rows or scope.probes.setting.is_single
    if len(sizes) == 2 and not rows and sorted(x.axes) == ["B", "F", "T"]:
        if x.axes != ("B", "T", "F") and not is_size(sizes[1]):
            axes = " before ".join(NAMES_OF_AXES[axis] for axis in x.axes)
            message = f"expected the batch before the steps before the features, received {axes}"
            raise RefusedError(f"{message}; rnnspec flattens step after step")
        if type(sizes[1]) is int and sizes[1] > 0:
            return scope.flatten(x, sizes[1])
    try:
        result = m.run_on(x, "Reshape", _sizes(m, sizes))
    except RestartError:
        if any(isinstance(size, Known) for size in sizes[1:]):
            # Of sizes that may be any, none fixes another one.
            raise RefusedError(_OTHER_SHAPE, "E701") from None
        raise
    except RefusedError:
        size = sizes[-1]
        if (
            x.at <= 0
            and x.axes[-1:] == ("F",)
            and len(sizes) == 3
            and type(size) is int
            and size > 0
        ):
            # It says how many features the input has.
            scope.fit_features(x.at, size)
        raise RefusedError(_OTHER_SHAPE, "E701") from None
    return scope.layer_output(result) if any("TF" in axis for axis in result.axes) else result


# Parts


def _narrow(m: Operators, x: Any, dim: Any, start: Any, length: Any) -> Any:
    if type(start) is not int or type(length) is not int:
        raise RefusedError("expected numbers as start and length, received others", "E703")
    part = slice(start or None, start + length or None)
    return _item(m, x, (_ALL,) * axis_number(dim, m.rank(x)) + (part,))


def _split(m: Operators, x: Any, sizes: Any, dim: Any = 0) -> tuple[Any, ...]:
    value = m.scope.operand(x)
    axis = axis_number(dim, len(value.axes))
    whole = m.scope.shape(value)[0][axis]
    if type(sizes) is int and sizes > 0:
        sizes = (sizes,) * (whole // sizes) + ((whole % sizes,) if whole % sizes else ())
    if not isinstance(sizes, tuple) or any(type(size) is not int for size in sizes):
        raise RefusedError("expected sizes that are numbers, received others", "E703")
    if value.axes[axis] == "F" and (several := m.scope.cut_dense(value, sizes)) is not None:
        return several
    return tuple(m.several("Split", value, list(sizes), outputs=len(sizes), axis=axis))


def _chunk(m: Operators, x: Any, chunks: Any, dim: Any = 0) -> tuple[Any, ...]:
    try:
        value = m.scope.operand(x)
        axis = axis_number(dim, len(value.axes))
        width = m.scope.features(value)
        if value.axes[axis] == "F" and type(chunks) is int and not width % chunks:
            several = m.scope.cut_dense(value, (width // chunks,) * chunks)
            if several is not None:
                return several
        return tuple(m.several("Split", value, outputs=chunks, axis=axis))
    except RefusedError:
        message = "expected the features of both directions, chunk(2, -1)"
        raise RefusedError(message) from None


def _gather(m: Operators, x: Any, dim: Any, index: Any) -> Any:
    gathered = m.run_on(m.scope.operand(x), "GatherElements", index, axis=dim)
    return m.scope.layer_output(gathered) if gathered.axis("T") < 0 else gathered


def _index_select(m: Operators, x: Any, dim: Any, index: Any) -> Any:
    name = m.numbers(x).name if isinstance(x, Known | ExtraInput) else ""
    taken = m.run("Gather", x, index, axis=dim)
    return replace(taken, name=name) if isinstance(taken, Known) else taken


def _sort(m: Operators, x: Any, dim: Any = -1, descending: Any = False, **_: Any) -> Any:
    order = _argsort(m, x, dim, descending)
    return (_index_select(m, x, 0, order), order)


def _argsort(m: Operators, x: Any, dim: Any = -1, descending: Any = False, **_: Any) -> Known:
    """Return the order of lengths, or that of places."""
    numbers = m.numbers(x)
    if isinstance(dim, bool):
        dim, descending = -1, dim
    if not isinstance(numbers, Known) or numbers.samples[0].ndim != 1 or dim not in (0, -1):
        raise RefusedError(f"expected lengths that are sorted, received {describe(x)}")
    sign = -1 if descending else 1
    return Known(tuple(np.argsort(sign * array, kind="stable") for array in numbers.arrays))


def _flip(m: Operators, x: Any, *dims: Any) -> Any:
    (dims,) = dims if isinstance(dims[0], tuple) else (dims,)
    axis = axis_number(dims[0], m.rank(x))
    if len(dims) != 1 or (isinstance(x, Tensor) and x.axes[axis] not in ("", "T", "D")):
        raise RefusedError("expected a flip of the steps, received another")
    return m.run("Slice", x, [-1], [-_END], [axis], [-1])


def _item(m: Operators, x: Any, index: Any) -> Any:
    """Return ``x[index]``."""
    if isinstance(index, str):
        raise RefusedError(f"expected a tensor as the input, received a mapping with '{index}'")
    match x:
        case StackedRows(items) if isinstance(index, slice):
            return StackedRows(items[index])
        case tuple() | StackedRows():
            items = x.items if isinstance(x, StackedRows) else x
            index = _leading(index)
            if type(index) is not int or not -len(items) <= index < len(items):
                raise RefusedError(f"expected one of {len(items)} results, received [{index}]")
            return items[index]
        case NonTensor():
            return NonTensor()
        case Known() | ExtraInput() if m.is_order(index):
            return _index_select(m, x, 0, index)
        case ExtraInput(name=name) if None not in _parts(index, 1):
            raise RefusedError(f"takes a part of the argument '{name}' of forward; {NO_STATES}")
        case Known(name=name) if name.startswith(LENGTHS) and type(index) is int:
            name = name.removeprefix(LENGTHS)
            raise RefusedError(f"takes a part of the argument '{name}' of forward; {NO_STATES}")
        case Tensor():
            return _part(m, x, _parts(index, len(x.axes)), index)
        case Known() | ExtraInput() | CarriedStates() | Pairs():
            return _take(m, x, _parts(index, m.rank(x)))
        case _:
            raise RefusedError(f"expected a tensor, received a part of {describe(x)}")


def _leading(index: Any) -> Any:
    """Return an index without the slices and the ellipsis behind, which change nothing."""
    if not isinstance(index, tuple):
        return index
    while len(index) > 1 and index[-1] in (_ALL, ...):
        index = index[:-1]
    return index[0] if len(index) == 1 else index


def _parts(index: Any, rank: int) -> list[Any]:
    """Return an index for each axis, and None for each axis that is added."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if any(part is ... for part in parts):
        at = next(i for i, part in enumerate(parts) if part is ...)
        axes_indexed = sum(part is not None for part in parts) - 1
        parts[at : at + 1] = [_ALL] * (rank - axes_indexed)
    return parts + [_ALL] * (rank - sum(part is not None for part in parts))


def _take(m: Operators, x: Any, parts: Sequence[Any]) -> Any:
    """Return parts of the axes of a value, with those of size 1 that are added."""
    axis, value = 0, x
    for part in parts:
        match part:
            case None:
                value = m.run("Unsqueeze", value, axes=(axis,))
            case slice(start=None, stop=None, step=None):
                pass
            case slice(start=start, stop=stop, step=stride):
                ends = [0 if start is None else start, _END if stop is None else stop]
                starts, stops = (m.run("Reshape", end, [1]) for end in ends)
                value = m.run("Slice", value, starts, stops, [axis], [stride or 1])
            case int() | Known():
                value = m.run("Gather", value, part, axis=axis)
                axis -= m.numbers(part).samples[0].ndim == 0
            case _:
                raise RefusedError(f"expected a number or a slice, received {describe(part)}")
        axis += 1
    return value


def _part(  # noqa: PLR0912 - a branch for each part
    m: Operators, x: Tensor, parts: list[Any], index: Any
) -> Any:
    """Return a part of a tensor, with what PyTorch's words are for those that are not read."""
    scope = m.scope
    if scope.probes.setting.is_single and x.axes == ("BT", "F") and len(parts) == 2:
        apart = replace(x, axes=("T", "B", "F"))
        part = _part(m, apart, [parts[0], _ALL, parts[1]], (index, _ALL))
        return replace(part, axes=("BT", "F") if part.axis("T") >= 0 else ("F",))
    indexed = [part for part in parts if part is not None]
    steps, features = x.axis("T"), x.axis("F")
    match x.axes, indexed:
        case ("B", "F"), [slice(start=None, stop=None, step=None), slice(step=None) as part]:
            start, stop = part.start or 0, part.stop
            width = scope.features(x)
            stop = width if stop is None else stop
            if type(start) is int and type(stop) is int and (start, stop) != (0, width):
                vector = scope.layer_output(x)
                return FeatureSlice(vector, start % width, stop if stop > 0 else stop + width)
        case _, [Known() as one, Known() as two, *_]:
            # Of each sequence, a step of its own.
            pairs = [m.run("Unsqueeze", rows, axes=(-1,)) for rows in (one, two)]
            return scope.layer_output(m.run("GatherND", x, m.run("Concat", *pairs, axis=-1)))
        case _:
            pass
    if x.is_final or (x.at <= 0 and steps < 0):
        return _take(m, x, parts)
    cut = steps >= 0 and len(indexed) == len(x.axes) and indexed[features] != _ALL
    if cut and scope.features(x) > 1 and not (x.at > 0 and has_directions(scope, x)):
        raise RefusedError(
            f"takes some of the features, [{_in_words(index)}]; rnnspec reads no part of "
            "features; take them as an argument of forward, or make a layer of each part"
        )
    if m.is_order(indexed[0]):
        return _take(m, x, parts)
    if steps < 0 and not x.axes.count("") and any(part != _ALL for part in indexed):
        raise RefusedError(f"expected a step of a sequence, received a part of {describe(x)}")
    match indexed[steps] if steps >= 0 and len(indexed) == len(x.axes) else None:
        case slice(start=None, stop=Known(), step=None | 1) if x.surplus:
            raise RefusedError(f"expected [..., :-{x.surplus}], received a size of a tensor")
        case slice(start=int(start), stop=None, step=None | 1) if start < 0 and all(
            part == _ALL for i, part in enumerate(indexed) if i != steps
        ):
            value = scope.layer_output(x)
            if scope.is_padded(value.at):
                raise RefusedError("reads the last steps, which are padding in a shorter sequence")
            return scope.result(value, scope.add_last_steps(value.at, -start))
        case _:
            pass
    message = "expected the only step of a sequence, received another part"
    if steps >= 0:
        last = "[-1]" if steps == 0 else "[:, -1]"
        message = (
            f"expected the last step, {last}, received [{_in_words(index)}]; 'pooling: last' of "
            "both directions is torch.cat((h[-2], h[-1]), 1)"
        )
    try:
        result = _take(m, x, parts)
    except RefusedError as error:
        raise RefusedError(message if steps >= 0 or x.axes.count("") else error.message) from None
    return result if steps < 0 else _one_step(scope, x, result, message)


def _one_step(scope: ModuleScope, x: Tensor, result: Tensor, message: str) -> Tensor:
    """Return one step of a sequence, which must be the last or the first of each."""
    if result.steps is None or result.axis("T") >= 0:
        return result
    if scope.is_padded(x.at):
        raise RefusedError(
            "reads the last step, which is padding in a shorter sequence; expected the final "
            "state, h[-1] or torch.cat((h[-2], h[-1]), dim=1)"
        )
    if not any(scope.is_at(result, end) for end in ("last", "first")):
        raise RefusedError(message)
    if result.half is None and not scope.is_at(result, "last"):
        solid = scope.layer_output(replace(result, axes=x.axes, steps=None))
        return Tensor(scope.first_step(solid.at), result.axes)
    return result if result.half is not None else scope.layer_output(result)


def _in_words(index: Any) -> str:
    if isinstance(index, tuple):
        return ", ".join(map(_in_words, index))
    if isinstance(index, slice):
        start, stop = ("" if end is None else f"{end}" for end in (index.start, index.stop))
        return f"{start}:{stop}"
    return "..." if index is ... else f"{index}" if isinstance(index, int) else describe(index)


# Dtypes and sizes


def _cast(m: Operators, x: Any) -> Any:
    if isinstance(x, Known) and x.kind == "derived":
        return replace(m.as_floats(x), name=x.name)
    m.scope.casts |= not isinstance(x, ExtraInput | Pairs)
    return x


def _detach(m: Operators, x: Any) -> Any:
    if isinstance(x, Tensor) and not x.is_final:
        m.scope.account.leave("detach")
    return x


def _to(m: Operators, x: Any, *args: Any, **kwargs: Any) -> Any:
    for target in (*args, *kwargs.values()):
        if str(target) == "torch.bool" and isinstance(x, Known):
            return _as_mask(m, x)
        if str(target) in _CASTS:
            raise RefusedError(f"expected float32 or float64, received {target}", "E703")
        if str(target) in _INTEGERS:
            return _long(m, x)
        if str(target).startswith("torch.float"):
            return _cast(m, x)
    return x


def _numpy(m: Operators, x: Any) -> Any:
    """Return lengths as they are."""
    if isinstance(x, Tensor) or m.is_input(x):
        message = "leaves PyTorch, so that nothing behind it is read; write it with torch functions"
        raise RefusedError(message, "E701")
    return x


def _long(m: Operators, x: Any) -> Any:
    """Return a value as integers: tokens, or lengths."""
    if isinstance(x, Tensor) and x.at > 0:
        raise RefusedError("expected a cast to integers of tokens alone, received it behind layers")
    if m.is_input(x):
        m.scope.casts_to_integers = True
    if isinstance(x, Known) and x.kind == "derived":
        return replace(m.as_integers(x), name=x.name)
    return x


def _size(m: Operators, x: Any, dim: Any = None) -> Any:
    match x:
        case Tensor() | Known() | CarriedStates() | Pairs() | ExtraInput():
            sizes = m.run("Shape", x)
        case ModuleArray():
            shapes = [list(m.scope.shape_of(x))] * len(m.scope.probes.rows)
            samples = tuple(np.array(shape, np.int64) for shape in shapes)
            sizes = Known(samples, bounds=shape_bounds(shapes))
        case _:
            return NonTensor()
    if dim is None:
        return sizes
    return m.run("Gather", sizes, axis_number(dim, len(sizes.samples[0])), axis=0)


def _rank(m: Operators, x: Any) -> Any:
    return m.run("Size", m.run("Shape", x)) if isinstance(x, Tensor | Known) else NonTensor()


def _number_of_elements(m: Operators, x: Any) -> Any:
    return m.run("Size", x) if isinstance(x, Tensor | Known) else NonTensor()


def _attribute(m: Operators, x: Any, name: str) -> Any:
    match name:
        case "shape":
            return _size(m, x)
        case "ndim":
            return _rank(m, x)
        case "device" | "dtype":
            return NonTensor()
        case "data":
            return _detach(m, x)
        case "values" if isinstance(x, tuple):
            return x[0]
        case "T" | "mT" if isinstance(x, ModuleArray):
            return replace(x, turned=not x.turned)
        case "T" | "mT":
            raise RefusedError(f"expected shapes.transpose(0, 1), received .{name}")
        case _:
            raise RefusedError(
                f"rnnspec does not support the attribute '{name}' of {describe(x)}", "E701"
            )


def _arange(m: Operators, *ends: Any, **_: Any) -> Any:
    start, limit, step = (0, *ends, 1) if len(ends) == 1 else (*ends, 1)[:3]
    return m.run("Range", start, limit, step)


def _zeros(m: Operators, *sizes: Any, **named: Any) -> Zeros:
    m.scope.casts |= str(named.get("dtype")).startswith("torch.float")
    if len(sizes) == 1 and isinstance(sizes[0], tuple):
        (sizes,) = sizes
    layers = sizes[-3] if len(sizes) in (3, 4) else 0
    if len(sizes) == 1 and isinstance(sizes[0], Tensor | CarriedStates):
        layers = sum(s.sizes) if isinstance(s := sizes[0], CarriedStates) else int(s.axes[0] == "")
    return Zeros(rows=layers if type(layers) is int else 0)


def _full(m: Operators, size: Any, fill_value: Any, **named: Any) -> Any:
    """Return an array of one number, as masks of later steps are made of."""
    sizes = size if isinstance(size, tuple) else (size,)
    number = np.array([fill_value])
    if "bool" in str(named.get("dtype")):
        number = number.astype(bool)
    return m.run("ConstantOfShape", _sizes(m, sizes), value=number)


def _ones(m: Operators, *sizes: Any, **named: Any) -> Any:
    if len(sizes) == 1 and isinstance(sizes[0], tuple):
        (sizes,) = sizes
    return _full(m, sizes, 1.0, **named)


def _triangle(*, upper: int) -> Row:
    def run(m: Operators, x: Any, diagonal: int = 0) -> Any:
        return m.run("Trilu", x, diagonal, upper=upper)

    return run


def _unwritten(m: Operators, *_: Any) -> NonTensor:
    del m
    return NonTensor()


# Packed sequences


def _pack(
    m: Operators, x: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> Packed:
    scope = m.scope
    value = scope.in_place(scope.settle(scope.operand(x), in_any_row=True))
    if not isinstance(lengths, Known | ExtraInput) or is_size(lengths):
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
    lengths_of = scope.probes.lengths
    if value.rows is not None:
        lengths_of = tuple(a[row] for a, row in zip(lengths_of, value.rows, strict=True))
    if not all(map(np.array_equal, known.arrays, lengths_of)):
        raise RefusedError("expected the tokens of each sequence counted, received those of a step")
    # Lengths that forward itself sorts may come in any order.
    is_sorted = all((np.diff(array) <= 0).all() for array in known.arrays)
    scope.decreasing |= enforce_sorted and not is_sorted
    return Packed(value)


def _unpack(
    m: Operators, x: Any, batch_first: bool = False, padding_value: float = 0.0, **_: Any
) -> tuple[Any, ...]:
    if not isinstance(x, Packed):
        raise RefusedError(f"expected a packed sequence, received {describe(x)}")
    if padding_value != 0.0:
        raise RefusedError(f"padding_value: expected 0.0, received {padding_value}", "E703")
    axes = ("B", "T", "F") if batch_first else ("T", "B", "F")
    return (replace(x.steps, axes=axes, filler=0.0), m.numbers(ExtraInput(m.scope.lengths)))


# Masks


def _as_mask(m: Operators, x: Any) -> Any:
    """Return which tokens are not 0, or a mask as it is."""
    return m.as_truth(x) if isinstance(x, Known) and x.kind == "derived" else _not_zero(m, x)


def _not_zero(m: Operators, x: Any) -> Known:
    if not isinstance(x, Known) or not m.is_input(x) or not m.scope.probes.setting.of(x.at).tokens:
        received = "features" if m.is_input(x) else describe(x)
        message = f"expected the tokens of the input, whose padding is 0, received {received}"
        raise RefusedError(f"{message}; give lengths as an argument of forward")
    return m.compute("Not", m.run("Equal", x, 0))


_EXCHANGE = "; exchange the two tokens in the vocabulary, and their rows of the embedding"


def _compare(op: str, expected: int, advice: str = "") -> Row:
    """Return a comparison, of tokens with a number that tells them from 0, or of sizes."""

    def run(m: Operators, x: Any, y: Any) -> Any:
        if isinstance(x, Known | ExtraInput) and not m.is_input(x):
            result = m.run("Equal" if op == "Differ" else op, x, y)
            return m.run("Not", result) if op == "Differ" else result
        if isinstance(x, Tensor) and x.numbers is not None and isinstance(y, int | float):
            equal = m.run("Equal", x, float(y))
            return equal if op == "Equal" else m.run("Not", equal)
        mask = _not_zero(m, x)
        if op == "Less":
            raise RefusedError("expected tokens compared with 0, received another comparison")
        if not isinstance(y, int | float) or y != expected:
            message = f"expected {expected}, as padding is token 0, received {describe(y)}{advice}"
            raise RefusedError(message, "E703")
        return m.run("Not", mask) if op in ("Equal", "LessOrEqual") else mask

    return run


def _known(m: Operators, x: Any, expected: str) -> Known:
    del m
    if not isinstance(x, Known):
        raise RefusedError(f"expected {expected}, received {describe(x)}")
    return x


def _both(m: Operators, x: Any, y: Any) -> Any:
    if not isinstance(x, Known) or not isinstance(y, Known):
        raise RefusedError(f"expected two masks, received {describe(x)} and {describe(y)}")
    return m.compute("And", x, y)


def _count_nonzero(m: Operators, x: Any, dim: Any = None) -> Any:
    return _reduce_numbers(m, _as_mask(m, x), "ReduceSum", dim, keepdim=False)


def _any(m: Operators, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    known = _known(m, x, "which numbers are padding")
    return m.as_truth(_reduce_numbers(m, known, "ReduceMax", dim, keepdim=keepdim))


def _where(m: Operators, condition: Any, x: Any, y: Any) -> Any:
    """Return the numbers of ``x`` where a mask is true, and those of ``y`` where it is not."""
    mask = _known(m, condition, "a mask of the tokens that are 0")
    for value in (x, y):
        if isinstance(value, bool) or not isinstance(value, int | float | Zeros | Tensor | Pairs):
            message = f"expected a number in place of padding, received {describe(value)}"
            raise RefusedError(message)
    filled = m.apply_mask("Where", mask, x, y)
    m.scope.masks |= isinstance(filled, Pairs) and bool(filled.masked)
    return filled


def _nan_to_num(m: Operators, x: Any, nan: float | None = 0.0, **_: Any) -> Any:
    if not isinstance(x, Pairs):
        raise lacks_operation("nan_to_num")
    return m.run("Where", m.run("IsNaN", x), float(nan or 0.0), x)


# Layers without arrays


def _dropout(
    m: Operators, x: Any, p: float = 0.5, training: Any = True, *, by_feature: bool = False,
    **_: Any,
) -> Any:  # fmt: skip
    if training:
        message = "drops in evaluation too; expected training=self.training"
        raise RefusedError(message, "E703")
    return layers.with_dropout(m, x, p, by_feature=by_feature)


def _dropout_by_feature(m: Operators, x: Any, p: float = 0.5, training: Any = True,
                        **_: Any) -> Any:  # fmt: skip
    return _dropout(m, x, p, training, by_feature=True)


def _normalize(m: Operators, x: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    value = m.scope.layer_output(x)
    if p != 2 or eps != 1e-12 or not _is_of_features(value, dim):
        message = "expected p=2, eps=1e-12 and the features, received others"
        raise RefusedError(message, "E703")
    at = m.scope.add(nodes.Normalize(name="normalize", input=()), value.at)
    return m.scope.result(value, at)


def _pad(m: Operators, x: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    if mode != "constant" or value not in (None, 0, -math.inf):
        message = f"expected zeros, received mode={mode!r} and value={value}"
        raise RefusedError(message, "E703")
    return layers.add_steps(m, x, pad, float(value or 0.0))


def _windows(op: str) -> Row:
    def pool_max(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
        m: Operators, x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
        dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False,
    ) -> Any:  # fmt: skip
        if dilation not in (1, (1,)) or return_indices:
            key = "return_indices" if return_indices else "dilation"
            raise RefusedError(f"{key}: expected the default, received another", "E703")
        return layers.pool_windows(m, x, op, kernel_size, stride, padding, ceil_mode=ceil_mode)

    def pool_average(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
        m: Operators, x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
        ceil_mode: bool = False, count_include_pad: bool = True,
    ) -> Any:  # fmt: skip
        return layers.pool_windows(
            m, x, op, kernel_size, stride, padding, ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
        )  # fmt: skip

    return pool_max if op == "MaxPool" else pool_average


def _pool_all(op: str) -> Row:
    def run(m: Operators, x: Any, output_size: Any, return_indices: bool = False) -> Any:
        if output_size not in (1, (1,)) or return_indices:
            raise RefusedError(f"output_size: expected 1, received {output_size}", "E703")
        return layers.pool_all(m, x, op)

    return run


def _activation(kind: str, activation: Activation) -> Row:
    """Return the row of an activation whose module is of the class ``kind``."""

    def apply(m: Operators, x: Any, *settings: Any, inplace: bool = False, **named: Any) -> Any:
        del inplace  # the result is the same
        defaults: dict[str, Any] = layers.SETTINGS.get(kind, {})
        values = dict(zip(defaults, settings, strict=False)) | named
        if values.get("threshold", 0) > defaults.get("threshold", 0):
            del values["threshold"]  # closer still
        if len(settings) > len(defaults) or any(defaults.get(k) != v for k, v in values.items()):
            raise RefusedError("expected the default settings, received others", "E703")
        return layers.activate(m, x, activation)

    return apply


def _softmax(activation: Activation) -> Row:
    def apply(m: Operators, x: Any, dim: Any = None, _stacklevel: Any = 3) -> Any:
        return layers.activate(m, x, activation, dim)

    return apply


def _leaky(m: Operators, x: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    del inplace
    return layers.activate(m, x, nodes.LeakyRelu(slope=float(negative_slope)))


def _clamp(m: Operators, x: Any, min: Any = None, max: Any = None) -> Any:  # noqa: A002
    if isinstance(x, Known | ExtraInput) and not m.is_input(x):
        if max is not None or not isinstance(min, int | float) or not 0 <= min <= 1:
            message = f"expected lengths of at least 1, received limits {min} and {max}"
            raise RefusedError(message, "E703")
        lengths = m.compute("Max", x, min)
        return replace(lengths, name=lengths.name if min < 1 else f"{_AT_LEAST_ONE}{lengths.name}")
    try:
        return layers.activate(m, x, layers.activation_between(min, max))
    except RefusedError as refused:
        limits = [(op, e) for op, e in (("Max", min), ("Min", max)) if e is not None]
        if not isinstance(x, Tensor) or not limits:
            raise
        value: Any = x
        for op, limit in limits:
            value = m.elementwise(op, (value, limit), refused)
        return value


def _hardtanh(
    m: Operators, x: Any, min_val: Any = -1.0, max_val: Any = 1.0, inplace: bool = False
) -> Any:
    del inplace
    return _clamp(m, m.scope.operand(x), min_val, max_val)


def _relu6(m: Operators, x: Any, inplace: bool = False) -> Any:
    del inplace
    return layers.activate(m, x, nodes.ClippedRelu(limit=6.0))


def _one_hot(m: Operators, x: Any, num_classes: Any = -1) -> Any:
    """Return tokens as vectors with a single 1: an embedding that is not trained."""
    if type(num_classes) is not int or num_classes < 1:
        message = f"num_classes: expected a number, received {describe(num_classes)}"
        raise RefusedError(message, "E703")
    return layers.embed_one_hot(m.scope, x, num_classes)


def _root_of_size(m: Operators, x: Any) -> Any:
    if not isinstance(x, Known):
        raise lacks_operation("math.sqrt")
    return m.run("Sqrt", m.as_floats(x))


def _attend(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
    m: Operators, query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: Any = 0.0,
    is_causal: bool = False, scale: Any = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    if enable_gqa:
        raise RefusedError("enable_gqa: expected False, received True", "E703")
    if dropout_p:
        message = "drops in evaluation too; expected dropout_p of 0 there"
        raise RefusedError(f"dropout_p: {message}", "E703")
    tensors = [m.scope.layer_output(x) for x in (query, key, value)]
    if any(tensor.axes != ("B", "T", "F") for tensor in tensors):
        received = ", ".join(map(describe, tensors))
        raise RefusedError(f"expected three sequences, one head, received {received}")
    queries, keys, values = tensors
    scores = m.run("MatMul", queries, m.run("Transpose", keys, perm=(0, 2, 1)))
    width = m.scope.features(queries)
    scores = m.run("Mul", scores, float(width**-0.5 if scale is None else scale))
    if is_causal:
        scores = replace(scores, causal=True)
    if attn_mask is not None:
        if not isinstance(attn_mask, Known) or attn_mask.samples[0].dtype != bool:
            message = f"attn_mask: expected truth values, received {describe(attn_mask)}"
            raise RefusedError(message)
        scores = _where(m, attn_mask, scores, float("-inf"))
    return m.run("MatMul", m.run("Softmax", scores, axis=2), values)


# Calls

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
_OPERATORS = {
    "sub": "Sub", "subtract": "Sub", "isub": "Sub", "pow": "Pow", "neg": "Neg", "negative": "Neg",
    "log": "Log", "sqrt": "Sqrt", "reciprocal": "Reciprocal", "abs": "Abs", "absolute": "Abs",
    "minimum": "Min", "maximum": "Max", "erf": "Erf",
}  # fmt: skip
"""Functions that are one operator on each number."""


def call_function(m: Operators, name: str, arguments: Arguments) -> Any:
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
    row = ROWS.get(name)
    if row is None:
        scores = next((value for value in values if isinstance(value, Pairs)), None)
        refused = lacks_operation(name)
        if scores is not None:
            message = f"{refused.message}: it takes {describe(scores)}"
            refused = RefusedError(message, refused.code)
        raise refused
    if arguments is None:
        return Unknown()
    first = {
        "input": "x", "tensor": "x", "tensors": "x", "self": "x", "other": "y", "axis": "dim",
        "keepdims": "keepdim", "exponent": "y",
    }  # fmt: skip
    renamed = {first.get(key, key): value for key, value in kwargs.items()}
    accepted = signature(row)
    # PyTorch passes on arguments that nobody gave.
    needed = {k: v for k, v in renamed.items() if v is not None or k in accepted.parameters}
    try:
        bound = accepted.bind(m, *args, **needed)
    except TypeError as error:
        message = f"'{name}': expected other arguments: {error}"
        raise RefusedError(message, "E703") from None
    for key, value in bound.arguments.items():
        # The values of an attention are a tensor.
        if key in _SETTING_NAMES and isinstance(value, Value) and row is not _attend:
            raise RefusedError(f"{key}: expected a number, received {describe(value)}", "E703")
    return row(*bound.args, **bound.kwargs)


ROWS: dict[str, Row] = {
    **{name: _operator(op, name) for name, op in _OPERATORS.items()},
    **{name: _composed(name) for name in _COMPOSED},
    **dict.fromkeys(("mul", "multiply", "imul"), _multiply),
    **dict.fromkeys(("truediv", "div", "divide", "itruediv"), _divide),
    **dict.fromkeys(("add", "iadd", "add_"), _add),
    **dict.fromkeys(("floordiv", "ifloordiv"), _of_sizes("Div", "floordiv")),
    "mod": _of_sizes("Mod", "mod"),
    **dict.fromkeys(_SAME.split(), _same),
    **dict.fromkeys(("float", "double"), _cast),
    **dict.fromkeys(("long", "int"), _long),
    **dict.fromkeys(("to", "type", "as_tensor"), _to),
    "numpy": _numpy,
    "detach": _detach,
    "getattr": _attribute,
    **dict.fromkeys(("dim", "ndimension", "len"), _rank),
    "numel": _number_of_elements,
    "size": _size,
    **dict.fromkeys(("zeros", "new_zeros", "zeros_like", "zero_"), _zeros),
    "ones": _ones,
    "full": _full,
    "triu": _triangle(upper=1),
    "tril": _triangle(upper=0),
    "new": _unwritten,
    "arange": _arange,
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), _transpose),
    "permute": _permute,
    "t": lambda m, x: _transpose(m, x, 0, 1),
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "flatten": _flatten,
    **dict.fromkeys(("reshape", "view"), _reshape),
    "repeat": _repeat("Tile"),
    "expand": _repeat("Expand"),
    "expand_as": _expand_as,
    **dict.fromkeys(("cat", "concat", "concatenate"), _concatenate),
    "stack": _stack,
    "getitem": _item,
    "select": lambda m, x, dim, index: _item(
        m, x, (_ALL,) * axis_number(dim, m.rank(x)) + (index,)
    ),
    "narrow": _narrow,
    "split": _split,
    "chunk": _chunk,
    "gather": _gather,
    "index_select": _index_select,
    "sort": _sort,
    "argsort": _argsort,
    "flip": _flip,
    **dict.fromkeys(("ne", "not_equal"), _compare("Differ", 0, _EXCHANGE)),
    **dict.fromkeys(("gt", "greater"), _compare("Greater", 0)),
    **dict.fromkeys(("ge", "greater_equal"), _compare("GreaterOrEqual", 1)),
    "eq": _compare("Equal", 0, _EXCHANGE),
    **dict.fromkeys(("lt", "less"), _compare("Less", 0)),
    **dict.fromkeys(("le", "less_equal"), _compare("LessOrEqual", 0)),
    **dict.fromkeys(("bool", "sign"), _as_mask),
    **dict.fromkeys(
        ("invert", "logical_not", "bitwise_not"),
        lambda m, x: m.compute("Not", _known(m, x, "which tokens are 0")),
    ),
    "and_": _both,
    "any": _any,
    "count_nonzero": _count_nonzero,
    **dict.fromkeys(
        ("masked_fill", "masked_fill_"), lambda m, x, mask, value: _where(m, mask, value, x)
    ),
    "where": _where,
    "nan_to_num": _nan_to_num,
    "mean": _reduce("mean"),
    "sum": _reduce("sum"),
    "amax": _reduce("max"),
    "amin": _reduce("min"),
    "max": _reduce("max", with_places=True),
    "min": _reduce("min", with_places=True),
    "argmax": _places,
    "norm": _norm,
    "var": _deviation("var", 1.0),
    "std": _deviation("std", 0.5),
    **dict.fromkeys(("bmm", "matmul"), _matrix_product),
    "einsum": _einsum,
    "linear": _linear,
    "scaled_dot_product_attention": _attend,
    "math.sqrt": _root_of_size,
    "pack_padded_sequence": _pack,
    "pad_packed_sequence": _unpack,
    "dropout": _dropout,
    "dropout1d": _dropout_by_feature,
    "normalize": _normalize,
    "one_hot": _one_hot,
    "pad": _pad,
    "max_pool1d": _windows("MaxPool"),
    "avg_pool1d": _windows("AveragePool"),
    "adaptive_max_pool1d": _pool_all("GlobalMaxPool"),
    "adaptive_avg_pool1d": _pool_all("GlobalAveragePool"),
    **{
        kind.lower(): _activation(kind, activation)
        for kind, activation in layers.ACTIVATIONS.items()
        if activation not in ("softmax", "log_softmax", "linear")
    },
    "relu_": _activation("ReLU", "relu"),
    "exp": _activation("", "exponential"),
    "softmax": _softmax("softmax"),
    "log_softmax": _softmax("log_softmax"),
    "leaky_relu": _leaky,
    "relu6": _relu6,
    **dict.fromkeys(("clamp", "clip", "clamp_min"), _clamp),
    "hardtanh": _hardtanh,
}
"""The functions and methods that are read, by their names."""
