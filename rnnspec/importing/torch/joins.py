"""Functions that combine values: sums, products, what is put side by side, and statistics."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rnnspec.importing.graph.joins import reduce_features
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.masks import divide_by_steps
from rnnspec.importing.graph.values import Argument, Known, Tensor
from rnnspec.importing.torch import masks, shapes, windows
from rnnspec.importing.torch.operators import lacks_operation
from rnnspec.importing.torch.values import (
    FirstStates,
    ModuleArray,
    NonTensor,
    Several,
    State,
    States,
    Value,
    describe,
    is_size,
)
from rnnspec.importing.unplaced import dense
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.importing.torch.operators import Operators
    from rnnspec.words import Merge, Statistic


def multiply(m: Operators, x: Any, y: Any) -> Value:
    """Return steps multiplied by the weights of an attention, or a function of features."""
    if isinstance(x, State) and isinstance(y, State):
        return shapes.merge_states(m.scope, (x, y), "mul")
    if any(isinstance(value, Tensor) and value.role == "weights" for value in (x, y)):
        return m.run("Mul", m.scope.operand(x), m.scope.operand(y))
    return _merge_directions(m, x, y, "Mul") or m.elementwise("Mul", (x, y), lacks_operation("mul"))


def divide(m: Operators, x: Any, y: Any) -> Value:
    """Return the mean of all steps or of both directions, or a function of features."""
    if isinstance(x, Known) and not isinstance(y, Tensor):
        x = m.as_floats(x)
    if isinstance(x, Tensor) and isinstance(y, Known) and is_size(y):
        value = m.scope.layer_output(x)
        if (mean := divide_by_steps(m.scope, value, y)) is not None:
            return mean
    return m.elementwise("Div", (x, y), lacks_operation("truediv"))


def floor_divide(m: Operators, x: Any, y: Any) -> Value:
    """Return a quotient of sizes."""
    if any(isinstance(value, Tensor) for value in (x, y)):
        raise lacks_operation("floordiv")
    return m.run("Div", x, y)


def remainder(m: Operators, x: Any, y: Any) -> Value:
    """Return the remainder of sizes."""
    if any(isinstance(value, Tensor) for value in (x, y)):
        raise lacks_operation("mod")
    return m.run("Mod", x, y)


def _merge_directions(m: Operators, x: Any, y: Any, op: str) -> Value | None:
    """Return the features of both directions combined, None if they are others."""
    if not all(isinstance(value, Tensor) and value.half is not None for value in (x, y)):
        return None
    try:
        return m.run(op, x, y)
    except RefusedError:
        message = "expected the two directions of one layer, received others"
        raise RefusedError(message) from None


def add(m: Operators, x: Any, y: Any, alpha: float = 1) -> Value:
    """Return the sum of a sequence and the input of its layer, or that of both directions."""
    if isinstance(x, Known) and isinstance(y, tuple):
        # Sizes, one after the other.
        return m.run("Concat", x, shapes.join_sizes(m, y), axis=0)
    if alpha != 1:
        raise RefusedError(f"alpha: expected 1, received {alpha}", "E703")
    if isinstance(x, State) and isinstance(y, State):
        return shapes.merge_states(m.scope, (x, y), "sum")
    _fit_features(m, x, y)
    received = f"received {describe(x)} and {describe(y)}"
    refused = RefusedError(f"expected the sum of two sequences, {received}")
    return _merge_directions(m, x, y, "Add") or m.elementwise("Add", (x, y), refused)


def _fit_features(m: Operators, x: Any, y: Any) -> None:
    """Have an input with as many features as what it is added to, if nothing else tells them.

    Raises:
        RestartError: it has others than before.
    """
    tensors = [value for value in (x, y) if isinstance(value, Tensor) and value.role == "plain"]
    widths = {m.scope.width(value.at) for value in tensors if value.axes[-1:] == ("F",)}
    if len(tensors) == 2 and None in widths and len(widths) == 2:
        (known,) = widths - {None}
        for value in tensors:
            if m.scope.width(value.at) is None and known is not None:
                m.scope.fit_features(value.at, known)


def write_out(name: str, op: str) -> Callable[..., Value]:
    """Return a function of PyTorch that is a part of a function of features."""

    def run(m: Operators, x: Any, *others: Any, y: Any = None) -> Value:
        operands = (x, *others) if y is None else (x, y)
        refused = lacks_operation(name)
        if op == "Sub" and all(isinstance(operand, Tensor) for operand in operands):
            message = f"rnnspec does not support the operation '{name}' of two layers"
            refused = RefusedError(f"{message}; a spec adds and multiplies their outputs", "E701")
        return m.elementwise(op, operands, refused)

    return run


WRITTEN_OUT = {
    "sub": "Sub", "subtract": "Sub", "isub": "Sub", "pow": "Pow", "neg": "Neg", "negative": "Neg",
    "log": "Log", "sqrt": "Sqrt", "reciprocal": "Reciprocal", "abs": "Abs", "absolute": "Abs",
    "minimum": "Min", "maximum": "Max", "erf": "Erf",
}  # fmt: skip
"""Functions that are a part of a function of features, and no layer."""
COMPOSED: dict[str, tuple[tuple[str, tuple[float, ...]], ...]] = {
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
        for op, numbers in COMPOSED[name]:
            value = m.elementwise(op, (value, *numbers), lacks_operation(name))
        result: Value = value
        return result

    return run


def concatenate(m: Operators, x: Any, dim: Any = 0) -> Value:
    """Put states, vectors or sequences side by side."""
    scope = m.scope
    if dim == 0 and isinstance(x, tuple) and (firsts := _one_after_another(x)) is not None:
        return firsts
    if (
        isinstance(x, tuple)
        and x
        and all(isinstance(part, State) for part in x)
        and (x[0].states.directions == 2 or len(x) == 1)
        and len(x) <= 2
    ):
        if dim not in (1, -1):
            raise RefusedError(f"dim: expected 1, the features, received {dim}", "E703")
        return shapes.merge_states(scope, x, "concat")
    parts, rest = list[Tensor](), list(x) if isinstance(x, tuple) else []
    while rest:
        match rest:
            case [State() as one, State() as two, *rest] if (
                one.states == two.states
                and one.states.directions == 2
                and two.index == one.index + 1
                and not (one.index + one.states.number) % 2
            ):
                parts.append(scope.operand(shapes.merge_states(scope, (one, two), "concat")))
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
    if any(part.half is not None for part in parts):
        directions: Value = scope.layer_output(m.run("Concat", *parts, axis=dim))
        return directions
    solid = [scope.layer_output(part) for part in parts]
    first = next((part for part in solid if part.axis("T") >= 0), solid[0])
    if any(len(part.axes) != len(first.axes) for part in solid):
        raise RefusedError("expected sequences or vectors with the axes in one order")
    if first.axes[shapes.axis_number(dim, len(first.axes))] != "F":
        raise RefusedError(f"dim: expected the features, received {dim}", "E703")
    return m.run("Concat", *solid, axis=dim)


def _one_after_another(values: tuple[Any, ...]) -> FirstStates | None:
    """Return vectors, each with a first axis, one after the other, or None if they are others."""
    parts = list[Any]()
    for value in values:
        match value:
            case FirstStates(inner):
                parts += inner
            case States(swapped=False, number=number):
                parts += [State(value, index - number) for index in range(number)]
            case Tensor(axes=("", "B", "F")):
                parts.append(replace(value, axes=("B", "F")))
            case _:
                return None
    return FirstStates(tuple(parts))


def matrix_product(m: Operators, x: Any, y: Any) -> Value:
    """Return the sum of the steps multiplied by weights, or the output of a tied layer."""
    if isinstance(y, ModuleArray):
        return linear(m, x, replace(y, turned=not y.turned))
    match x, y:
        case Tensor(axes=("B", "", "F")), Tensor(axes=("B", "F", "T")) if x.role == "plain":
            # The product of the steps and of the vector, turned.
            turned = [m.run("Transpose", value, perm=(0, 2, 1)) for value in (y, x)]
            return m.run("Transpose", matrix_product(m, *turned), perm=(0, 2, 1))
        case _:
            pass
    try:
        return m.run("MatMul", m.scope.operand(x), m.scope.operand(y))
    except RefusedError:
        if any(isinstance(value, Tensor) and value.role == "weights" for value in (x, y)):
            raise
        raise lacks_operation("bmm") from None


def einsum(m: Operators, equation: Any, *operands: Any) -> Value:
    """Return a product of two tensors that is one of matrices, for each sequence.

    Raises:
        RefusedError: it is another one.
    """
    refused = RefusedError(
        f"einsum: expected a product of two sequences or vectors, such as 'bth,bt->bh', received "
        f"{describe(equation)}", "E701",
    )  # fmt: skip
    if len(operands) == 1 and isinstance(operands[0], tuple):
        operands = operands[0]
    if not isinstance(equation, str) or len(operands) != 2 or "->" not in equation:
        raise refused
    inputs, result = equation.replace(" ", "").split("->")
    letters = inputs.split(",")
    values: list[Any] = [m.scope.operand(operand) for operand in operands]
    fits = [len(own) == len(value.axes) for own, value in zip(letters, values, strict=False)]
    if len(letters) != 2 or not all(fits):
        raise refused
    # What is summed away of one operand alone has size 1, and is no axis of the product.
    for place, other in enumerate(reversed(letters)):
        for letter in [each for each in letters[place] if each not in other + result]:
            values[place] = shapes.squeeze(m, values[place], letters[place].index(letter))
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
    order = [one.index(letter) for letter in (*batch, *rows, *summed)]
    left = m.run("Transpose", values[0], perm=tuple(order))
    order = [two.index(letter) for letter in (*batch, *summed, *columns)]
    right = m.run("Transpose", values[1], perm=tuple(order))
    whole = matrix_product(
        m,
        left if rows else m.run("Unsqueeze", left, axes=(1,)),
        right if columns else m.run("Unsqueeze", right, axes=(2,)),
    )
    whole = whole if columns else shapes.squeeze(m, whole, 2)
    whole = whole if rows else shapes.squeeze(m, whole, 1)
    return m.run("Transpose", whole, perm=tuple(map(product.index, result)))


def linear(m: Operators, x: Any, weight: Any, bias: Any = None) -> Value:
    """Return the output of a dense layer whose weight is that of the embedding."""
    scope = m.scope
    value = scope.layer_output(x)
    outside = (
        isinstance(weight, ModuleArray)
        and not weight.turned
        and isinstance(bias, ModuleArray | None)
    )
    embeddings = [s for s in scope.steps.values() if isinstance(s.layer, nodes.Embedding)]
    paths = [f"{step.modules[0]}.weight" for step in embeddings]
    if not outside or not any(scope.is_same(weight.path, path) for path in paths):
        own = [weight] if bias is None else [weight, bias]
        if all(isinstance(one, ModuleArray) and one.path in scope.bare for one in own):
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
) -> Value:
    """Return the output of a dense layer whose kernel is a parameter: (out, in), or a vector.

    Raises:
        RefusedError: it has other axes.
    """
    scope, shape = m.scope, m.scope.shape_of(weight)
    if len(shape) not in (1, 2) or weight.shape or value.axes[-1] != "F":
        raise RefusedError("expected a matrix or a vector of the module, and features")
    if len(scope.tensors[weight.path].shape) == 1:
        shape = (1, *shape)
    scope.fit_features(value.at, shape[1])
    layer = dense(weight.path, shape[0], activation="linear", bias=bias is not None)
    arrays: Any = {"kernel": (weight.path, weight.turned), "bias": (bias.path,) if bias else ()}
    result = scope.result(value, scope.add(layer, value.at, arrays=arrays, modules=()))
    if len(scope.tensors[weight.path].shape) == 1:
        return m.run("Squeeze", result, axes=(len(result.axes) - 1,))
    return result


# Statistics


def pool(statistic: Statistic, *, with_places: bool = False) -> Callable[..., Value]:
    """Return a reduction; ``torch.max`` returns places too."""

    def run(m: Operators, x: Any, dim: Any = None, keepdim: bool = False) -> Value:
        if isinstance(dim, tuple) and len(dim) == 1:
            dim = dim[0]
        op = statistic.capitalize()
        if isinstance(x, Known | Argument) and not masks.is_input(x):
            value = masks.reduce_numbers(m, m.numbers(x), op, dim, keepdim=keepdim)
        else:
            value = _reduce(m, x, statistic, dim, keepdim=keepdim)
        return Several((value, NonTensor("places of a maximum"))) if with_places else value

    return run


def _reduce(m: Operators, x: Any, statistic: Statistic, dim: Any, *, keepdim: bool) -> Value:
    """Return a statistic over the steps, over the features, or over both directions."""
    scope = m.scope
    merges: dict[Statistic, Merge] = {"sum": "sum", "mean": "ave"}
    if isinstance(x, States) and x.number == x.directions == 2 and statistic in merges:
        if dim != int(x.swapped) or keepdim:
            raise RefusedError(f"dim: expected the directions, received {dim}", "E703")
        return shapes.merge_states(scope, (State(x, -2), State(x, -1)), merges[statistic])
    value = scope.operand(x)
    message = f"expected the {statistic} over the steps of a sequence, received other axes"
    refused = RefusedError(message)
    rank = len(value.axes)
    if value.role != "plain":
        if value.axes[shapes.axis_number(dim, rank)] != "T" or statistic != "sum":
            raise RefusedError("expected the sum over the steps, received other axes")
        return m.run("ReduceSum", value, axes=(dim,), keepdims=int(keepdim))
    letters = value.axes[dim] if type(dim) is int and -rank <= dim < rank else ""
    op = f"Reduce{statistic.capitalize()}"
    match letters:
        case "T" if rank == 3:
            solid = scope.layer_output(value)
            pooled = windows.pool_steps(m, replace(solid, filler=value.filler), statistic)
            axes = tuple(a for i, a in enumerate(pooled.axes) if keepdim or i != dim % rank)
            return replace(pooled, axes=axes)
        case "F":
            return m.refuse_later(m.run(op, value, axes=(dim,), keepdims=int(keepdim)), refused)
        case "D" if not keepdim:
            try:
                return m.run(op, value, axes=(dim,), keepdims=0)
            except RefusedError:
                raise RefusedError("expected the sum or the mean of both directions") from None
        case _:
            shapes.axis_number(dim, rank)
            raise refused


def places(m: Operators, x: Any, *_: Any, **__: Any) -> Value:
    """Return where the largest numbers are, which no layer takes."""
    m.scope.operand(x)
    return NonTensor("places of a maximum")


def is_of_features(x: Any, dim: Any) -> bool:
    """True if an axis is that of the features of a tensor."""
    axes = ("B", "F") if isinstance(x, State) else x.axes if isinstance(x, Tensor) else ()
    return type(dim) is int and -len(axes) <= dim < len(axes) and axes[dim] == "F"


def norm(m: Operators, x: Any, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Value:
    """Return the Euclidean norm of the features, as a part of a function."""
    dim = dim[0] if isinstance(dim, tuple) and len(dim) == 1 else dim
    if p not in (None, 2, "fro") or not keepdim or not is_of_features(x, dim):
        raise lacks_operation("norm")
    length = m.run("ReduceL2", m.scope.operand(x), axes=(dim,), keepdims=1)
    return m.refuse_later(length, lacks_operation("norm"))


def deviation(name: str, power: float) -> Callable[..., Value]:
    """Return the variance or the standard deviation of the features, as a part of a function."""

    def run(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
        m: Operators, x: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False,
        correction: int | None = None,
    ) -> Value:  # fmt: skip
        dim = dim[0] if isinstance(dim, tuple) and len(dim) == 1 else dim
        if not keepdim or not is_of_features(x, dim):
            raise lacks_operation(name)
        ddof = int(unbiased) if correction is None else correction

        def function(_: Any, inputs: Any, __: int) -> Any:
            return inputs[0].var(axis=-1, keepdims=True, ddof=ddof) ** power

        value = reduce_features(m.scope, m.node(name), m.scope.operand(x), function)
        return m.refuse_later(value, lacks_operation(name))

    return run
