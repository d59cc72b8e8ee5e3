"""What PyTorch does with the scores of an attention, for each query and each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnnspec.importing.graph import pairs
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.values import Known, Pairs
from rnnspec.importing.torch import shapes
from rnnspec.importing.torch.operators import lacks_operation
from rnnspec.importing.torch.values import describe
from rnnspec.importing.unplaced import dense

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.importing.torch.operators import Operators
    from rnnspec.importing.torch.values import Op, Value


def call_module(m: Operators, op: Op, kind: str, x: Pairs) -> Value:
    """Return the result of a module for scores.

    Raises:
        RefusedError: rnnspec does not support it there.
    """
    scope, module = m.scope, op.module
    match kind:
        case "Tanh":
            return m.run("Tanh", x)
        case "Softmax":
            return _softmax(m, x, module.dim)
        case "Dropout":
            return _dropout(m, x, module.p, training=False)
        case "Linear" if x.stage == "hidden" and x.axes[-1] == "F" and module.out_features == 1:
            scope.fit_features(x.one.at, module.in_features)
            layer = dense(op.target, 1, activation="linear", bias=False)
            if module.bias is not None:
                reason = "a softmax is the same without it"
                scope.account.leave(f"{op.target}.bias", reason=reason)
            return pairs.score(x, scope.add(layer, x.one.at, modules=(op.target,)))
        case _:
            pass
    raise RefusedError(f"rnnspec does not support nn.{kind} of {describe(x)}", "E701")


def _softmax(m: Operators, x: Any, dim: Any = None, _stacklevel: Any = 3) -> Value:
    return m.run("Softmax", x, axis=shapes.axis_number(dim, len(x.axes)))


def _dropout(m: Operators, x: Any, p: float = 0.5, training: Any = True, **_: Any) -> Value:
    if training:
        message = "drops in evaluation too; expected training=self.training"
        raise RefusedError(message, "E703")
    m.scope.account.leave(f"dropout {p:g} in an attention")
    value: Value = x
    return value


def _transpose(m: Operators, x: Any, dim0: Any, dim1: Any) -> Value:
    order = list(range(len(x.axes)))
    one, two = (shapes.axis_number(dim, len(order)) for dim in (dim0, dim1))
    order[one], order[two] = two, one
    return m.run("Transpose", x, perm=tuple(order))


def _permute(m: Operators, x: Any, *dims: Any) -> Value:
    order = dims[0] if len(dims) == 1 and isinstance(dims[0], tuple) else dims
    return m.run("Transpose", x, perm=tuple(shapes.axis_number(d, len(order)) for d in order))


def _squeeze(m: Operators, x: Any, dim: Any = None) -> Value:
    if dim is None:
        return m.run("Squeeze", x)
    return m.run("Squeeze", x, axes=(shapes.axis_number(dim, len(x.axes)),))


def _unsqueeze(m: Operators, x: Any, dim: Any) -> Value:
    return m.run("Unsqueeze", x, axes=(shapes.axis_number(dim, len(x.axes) + 1),))


def _operator(op: str) -> Callable[..., Value]:
    def run(m: Operators, x: Any, y: Any) -> Value:
        return m.run(op, m.numbers(x), m.numbers(y))

    return run


def _masked_fill(m: Operators, x: Any, mask: Any, value: Any) -> Value:
    return _where(m, mask, value, x)


def _where(m: Operators, condition: Any, x: Any, y: Any) -> Value:
    if not isinstance(condition, Known):
        message = f"expected a mask of the tokens that are 0, received {describe(condition)}"
        raise RefusedError(message)
    filled = m.run("Where", condition, m.numbers(x), m.numbers(y))
    m.scope.masks |= isinstance(filled, Pairs) and bool(filled.masked)
    return filled


def attend(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
    m: Operators, query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: Any = 0.0,
    is_causal: bool = False, scale: Any = None, enable_gqa: bool = False,
) -> Value:  # fmt: skip
    """Return the result of ``scaled_dot_product_attention``."""
    if is_causal or enable_gqa:
        key_word = "is_causal" if is_causal else "enable_gqa"
        raise RefusedError(f"{key_word}: expected False, received True", "E703")
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
    if attn_mask is not None:
        if not isinstance(attn_mask, Known) or attn_mask.samples[0].dtype != bool:
            message = f"attn_mask: expected truth values, received {describe(attn_mask)}"
            raise RefusedError(message)
        scores = _where(m, attn_mask, scores, float("-inf"))
    return m.run("MatMul", m.run("Softmax", scores, axis=2), values)


def _nan_to_num(m: Operators, x: Any, nan: float | None = 0.0, **_: Any) -> Value:
    return m.run("Where", m.run("IsNaN", x), m.numbers(float(nan or 0.0)), x)


def _size(m: Operators, x: Any, dim: Any = None) -> Value:
    sizes = m.run("Shape", x)
    if dim is None:
        return sizes
    return m.run("Gather", sizes, shapes.axis_number(dim, len(x.axes)), axis=0)


def _same(m: Operators, x: Any, *_: Any, **__: Any) -> Value:
    del m
    value: Value = x
    return value


def lacking(name: str, values: tuple[Any, ...]) -> RefusedError:
    """Return the refusal of a function of scores."""
    x = next(value for value in values if isinstance(value, Pairs))
    refused = lacks_operation(name)
    return RefusedError(f"{refused.message}: it takes {describe(x)}", refused.code)


CALLS: dict[str, Callable[..., Value]] = {
    **dict.fromkeys(["clone", "contiguous", "to", "float", "double", "type_as"], _same),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), _transpose),
    "permute": _permute,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "size": _size,
    "tanh": lambda m, x: m.run("Tanh", x),
    "softmax": _softmax,
    "dropout": _dropout,
    **dict.fromkeys(("masked_fill", "masked_fill_"), _masked_fill),
    "where": _where,
    "nan_to_num": _nan_to_num,
    **dict.fromkeys(("mul", "multiply", "imul"), _operator("Mul")),
    **dict.fromkeys(("div", "divide", "truediv", "itruediv"), _operator("Div")),
    **dict.fromkeys(("add", "iadd"), _operator("Add")),
    **dict.fromkeys(("sub", "subtract", "isub"), _operator("Sub")),
    **dict.fromkeys(("bmm", "matmul"), _operator("MatMul")),
}
"""Functions and methods of scores, by their names."""
