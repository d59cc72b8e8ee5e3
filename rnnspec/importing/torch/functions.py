"""Functions of the features that a ``forward`` writes out: activations and norms.

A tensor keeps the function that it is of the output of a layer. Where something else takes it, the
function becomes layers. Arrays of the module stand in it as numbers of no meaning, so that what a
function is does not depend on what they hold.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.comparison.reference import activate
from rnnspec.importing.graph.formulas import Affine, Norm, apply, layer_of, recognise
from rnnspec.importing.graph.functions import ELEMENTWISE, REDUCTIONS
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.torch.values import Function, ModuleArray, State, Tensor
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rnnspec.importing.graph.formulas import Formula, Piece
    from rnnspec.importing.torch.scope import Scope
    from rnnspec.slots import Array

_ANY_WIDTH = 5
"""The number of features of samples if no layer has told it: a function has it for any number."""

_OTHERS: dict[str, tuple[str, Callable[..., Array]]] = {
    "log1p": ("Log1p", np.log1p),
    "expm1": ("Expm1", np.expm1),
    "rsqrt": ("Rsqrt", lambda x: 1 / np.sqrt(x)),
    "square": ("Square", np.square),
}
_OPERATORS = {
    "sub": "Sub", "subtract": "Sub", "isub": "Sub", "pow": "Pow", "neg": "Neg", "negative": "Neg",
    "log": "Log", "sqrt": "Sqrt", "reciprocal": "Reciprocal", "abs": "Abs", "absolute": "Abs",
    "minimum": "Min", "maximum": "Max", "erf": "Erf",
}  # fmt: skip
_FUNCTIONS = _OTHERS | {name: (op, ELEMENTWISE[op]) for name, op in _OPERATORS.items()}
NAMES = tuple(_FUNCTIONS)
"""Functions of PyTorch that are a part of a function of features, and no layer."""


def lacks_operation(name: str) -> RefusedError:
    """Return the refusal of an operation that the language lacks."""
    return RefusedError(f"the language lacks the operation '{name}'; take it out of the module",
                        "E701")  # fmt: skip


def write_out(name: str) -> Callable[..., Tensor]:
    """Return the function of PyTorch with a name, as a part of a function of features."""
    op, function = _FUNCTIONS[name]

    def compute_one(scope: Scope, x: Any) -> Tensor:
        return compute(scope, op, (x,), lacks_operation(name), function)

    def compute_two(scope: Scope, x: Any, y: Any) -> Tensor:
        return compute(scope, op, (x, y), lacks_operation(name), function)

    return compute_two if op in ("Sub", "Pow", "Min", "Max") else compute_one


def compute(
    scope: Scope,
    op: str,
    operands: Sequence[Any],
    refused: RefusedError,
    function: Callable[..., Array] | None = None,
) -> Tensor:
    """Return a tensor that is a function of the features of others, at the same place.

    Args:
        scope: the layers.
        op: the operator by ONNX's name.
        operands: tensors, numbers, and arrays of the module.
        refused: why the operation alone cannot be taken over.
        function: the function in NumPy; without it, that of the operator.

    Raises:
        RefusedError: they are something else.
    """
    operands = [scope.whole(each) if isinstance(each, State) else each for each in operands]
    tensors = [scope.check(each) for each in operands if isinstance(each, Tensor)]
    readings = [_readings(tensor) for tensor in tensors]
    common = set.intersection(*map(set, readings)) if readings else set()
    if not common:
        raise refused
    at = min(common)
    parts, rest = list[Any](), iter(readings)
    for each in operands:
        match each:
            case Tensor():
                parts.append(next(rest)[at])
            case bool():
                raise refused
            case int() | float():
                parts.append(np.array([float(each)]))
            case ModuleArray(turned=False):
                parts.append(_stand_in(scope, tensors, each.path, refused))
            case _:
                raise refused
    single = all(
        part.size == 1 if isinstance(part, np.ndarray) else part is not None and part.is_single
        for part in parts
    )
    formula = apply(op, function or ELEMENTWISE[op], tuple(parts), is_single=single)
    return _with_formula(scope, tensors, at, formula, refused)


def _with_formula(
    scope: Scope, tensors: Sequence[Tensor], at: int, formula: Formula, refused: RefusedError
) -> Tensor:
    """Return a tensor with a function of the features of the layer at a place."""
    assert scope.op is not None, "an operation computes it"
    refused.origin = refused.origin or scope.op
    first = _broadcast(tensors, refused)
    earlier = [e.function.refused for e in tensors if e.function and e.function.at == at]
    reason = next((each for each in earlier if each is not None), refused)
    return replace(first, at=at, filler=None, function=Function(at, formula, scope.op, reason))


def _broadcast(tensors: Sequence[Tensor], refused: RefusedError) -> Tensor:
    """Return a tensor with the axes of all, of which one number for all features has one less."""
    first = min(tensors, key=lambda tensor: tensor.axes.count("-"))
    for other in tensors:
        alike = len(other.axes) == len(first.axes) and all(
            its in (mine, "-") for mine, its in zip(first.axes, other.axes, strict=True)
        )
        same = (first.form, first.padded) == (other.form, other.padded)
        if not alike or not same:
            raise refused
    return first


def _readings(tensor: Tensor) -> dict[int, Formula | None]:
    """Return what a tensor is of the outputs of layers, by their places."""
    function = tensor.function
    own: dict[int, Formula | None] = {} if is_pending(tensor) else {tensor.at: None}
    return own if function is None else own | {function.at: function.formula}


def are_of_one(x: Tensor, y: Tensor) -> bool:
    """Return whether two tensors are functions of the features of one layer."""
    return not _readings(x).keys().isdisjoint(_readings(y))


def is_pending(value: Any) -> bool:
    """Return whether a value is a function of features that has become no layer yet."""
    return (
        isinstance(value, Tensor)
        and value.function is not None
        and value.function.refused is not None
    )


def _stand_in(scope: Scope, tensors: Sequence[Tensor], path: str, refused: RefusedError) -> Array:
    """Return numbers in place of those of an array of the module, along the features."""
    shape = tuple(scope.arrays[path].shape)
    width = scope.width(tensors[0].at)
    last = any(scope.roles(tensor)[-1] == "features" for tensor in tensors)
    if len(shape) != 1 or not last or width not in (None, *shape):
        raise refused
    if path not in scope.stand_ins:
        rng = np.random.default_rng(len(scope.stand_ins))
        scope.stand_ins[path] = rng.uniform(0.5, 2.0, shape)
    return scope.stand_ins[path]


def reduce_features(
    scope: Scope, op: str, x: Tensor | State, refused: RefusedError, function: Any = None
) -> Tensor:
    """Return a statistic of the features, whose axis stays with size 1."""
    value = scope.check(scope.whole(x) if isinstance(x, State) else x)
    ((at, part), *_) = sorted(_readings(value).items())
    run = partial(function or REDUCTIONS[op], axis=-1, keepdims=True)
    formula = apply(op, run, (part,), is_single=True)
    features = value.axes[scope.axis(value, "features")]
    single = replace(value, axes=value.axes.replace(features, "-"))
    return _with_formula(scope, [single], at, formula, refused)


def with_activation(scope: Scope, x: Tensor, result: Tensor | None,
                    activation: nodes.Activation) -> Tensor:  # fmt: skip
    """Return the result of an activation, with what it is of the layer before it.

    Args:
        scope: the layers.
        x: the tensor before it.
        result: the output of its layer, None if ``x`` has become no layer yet.
        activation: the activation.
    """
    assert scope.op is not None, "an operation computes it"
    before = x.function.formula if result is None and x.function else None
    formula = _apply_activation(activation, before)
    if result is not None:
        return replace(result, function=Function(x.at, formula, scope.op, None))
    assert x.function is not None, "it is no layer"
    return replace(x, function=replace(x.function, formula=formula, op=scope.op))


def _apply_activation(activation: nodes.Activation, x: Formula | None) -> Formula:
    single = x is not None and x.is_single
    parts: tuple[Formula | Array | None, ...] = (x,)
    attributes: dict[str, float] = {}
    match activation:
        case nodes.LeakyRelu():
            op = "LeakyRelu"
        case nodes.ClippedRelu(limit=limit):
            op, parts = "Clip", (x, np.zeros(1), np.array([limit]))
            return apply(op, ELEMENTWISE[op], parts, is_single=single)
        case "hard_sigmoid" | "legacy_hard_sigmoid":
            slope = 1 / 6 if activation == "hard_sigmoid" else 0.2
            op, attributes = "HardSigmoid", {"alpha": slope, "beta": 0.5}
        case _:
            op = {"exponential": "Exp"}.get(activation, activation.capitalize())
    run = partial(activate, activation=activation)
    return apply(op, run, parts, attributes=attributes, is_single=single)


def settle(scope: Scope, value: Tensor) -> Tensor:
    """Return a tensor as the output of a layer.

    Raises:
        RefusedError: the language has no function like it; the first operation of it is named.
    """
    function = value.function
    if function is None or function.refused is None:
        return value
    if function not in scope.settled:
        before, scope.op = scope.op, function.op
        try:
            scope.settled[function] = _place(scope, function, function.refused)
        finally:
            scope.op = before
    return replace(value, at=scope.settled[function], function=None)


def _place(scope: Scope, function: Function, refused: RefusedError) -> int:
    """Add the layers that a function is, and return the place of the last one."""
    formula = function.formula
    paths = {id(array): path for path, array in scope.stand_ins.items()}
    constants = [part for part in formula.constants if part.size > 1]
    width = scope.width(function.at) or max((c.size for c in constants), default=_ANY_WIDTH)
    try:
        pieces = [piece for _, piece in recognise(formula, width)]
    except RefusedError:
        raise refused from None
    used = {paths[id(part)] for part in formula.constants if id(part) in paths}
    placed = [
        paths[id(array)]
        for piece in pieces
        if isinstance(piece, Norm)
        for array in (piece.gamma, piece.beta)
        if id(array) in paths
    ]
    # An array of the module is one of a layer, or the function is another for other numbers.
    if formula.is_single or used != set(placed) or len(placed) > len(used):
        raise refused
    at = function.at
    for piece in pieces:
        at = _place_piece(scope, at, piece, paths, refused)
    return at


def _place_piece(
    scope: Scope, at: int, piece: Piece, paths: dict[int, str], refused: RefusedError
) -> int:
    match piece:
        case Affine():
            raise refused
        case Norm(gamma=gamma, beta=beta):
            arrays = dict[str, Any]()
            for key, array, plain in (("gamma", gamma, 1.0), ("beta", beta, 0.0)):
                if id(array) in paths:
                    arrays[key] = paths[id(array)]
                elif np.allclose(array, plain, rtol=0, atol=1e-6):
                    arrays[key] = plain
                else:
                    raise refused
            missing = [f"{key} {plain}" for key, plain in (("gamma", 1), ("beta", 0))
                       if not isinstance(arrays[key], str)]  # fmt: skip
            if missing:
                words = " and ".join(missing)
                where = scope.op.where if scope.op else ""
                scope.account.infer(f"{words}, which the module lacks and the spec trains", where)
            scope.fit_features(at, len(gamma))
            at = scope.add(layer_of(piece), at)
            scope.steps[at].arrays = arrays
            return at
        case _:
            return scope.add(layer_of(piece), at)
