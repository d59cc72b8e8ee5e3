"""Operations that change shapes, dtypes, devices and packing, or ask for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rnnspec.backends.torch.traced import selected
from rnnspec.backends.torch.traced.values import (
    Lengths,
    Packed,
    RefusedError,
    Several,
    Size,
    State,
    States,
    Tensor,
    Zeros,
    said,
)
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.backends.torch.traced.scope import Scope
    from rnnspec.backends.torch.traced.values import Value

_INTEGERS = ("torch.int64", "torch.int32", "torch.int16", "torch.int8", "torch.uint8")
_CASTS = ("torch.float16", "torch.bfloat16", "torch.bool", "torch.complex64", "torch.complex128")


def same(scope: Scope, x: Any, *_: Any, **__: Any) -> Value:
    """Return a value as it is."""
    if isinstance(x, Lengths | Zeros | Size | States | State | Packed):
        return x
    return scope.tensor(x, either_order=True)


def cast(scope: Scope, x: Any) -> Value:
    """Return a value in another floating dtype."""
    scope.casts = True
    return same(scope, x)


def detach(scope: Scope, x: Any) -> Value:
    """Return a value as it is, without its gradient."""
    scope.account.leave("detach")
    return same(scope, x)


def to(scope: Scope, x: Any, *args: Any, **kwargs: Any) -> Value:
    """Return a value in another dtype or on another device."""
    for each in (*args, *kwargs.values()):
        if str(each) in _CASTS:
            raise RefusedError(f"expected float32 or float64, received {each}", "E703")
        if str(each) in _INTEGERS:
            return long(scope, x)
        scope.casts |= str(each).startswith("torch.float")
    return same(scope, x)


def long(scope: Scope, x: Any) -> Value:
    """Return a value as integers: tokens, or lengths."""
    if isinstance(x, Tensor):
        if scope.chain.input is not None:
            raise RefusedError(
                "expected a cast to integers of tokens alone, received it behind layers"
            )
        scope.casts_to_integers = True
    return same(scope, x)


def size(_: Scope, _x: Any, *__: Any) -> Value:
    """Return a size."""
    return Size()


def attribute(_: Scope, x: Any, name: str) -> Value:
    """Return an attribute of a tensor, or the values of a maximum."""
    match name:
        case "shape" | "device" | "dtype" | "ndim":
            return Size()
        case "values" if isinstance(x, Several):
            value: Value = x.items[0]
            return value
        case "T" | "mT":
            raise RefusedError(f"expected transpose(0, 1), received .{name}")
        case _:
            raise RefusedError(f"the language lacks the attribute '{name}' of {said(x)}", "E701")


def zeros(scope: Scope, *_: Any, **named: Any) -> Value:
    """Return zeros."""
    scope.casts |= str(named.get("dtype")).startswith("torch.float")
    return Zeros()


def transpose(scope: Scope, x: Any, dim0: Any, dim1: Any) -> Value:
    """Exchange the steps and the batch."""
    rank = 3 if isinstance(x, States) or _rank(scope, x) == 3 else 2
    if sorted((index(dim0, rank), index(dim1, rank))) != [0, 1]:
        raise RefusedError("expected an exchange of steps and batch, (0, 1), received other axes")
    return _turned(scope, x)


def permute(scope: Scope, x: Any, *dims: Any) -> Value:
    """Exchange the steps and the batch, or nothing."""
    order = dims[0] if len(dims) == 1 and isinstance(dims[0], tuple) else dims
    if order in ((0, 1, 2), (0, 1)):
        return same(scope, x)
    if order not in ((1, 0, 2), (1, 0)):
        raise RefusedError(f"expected an exchange of steps and batch, (1, 0, 2), received {order}")
    return _turned(scope, x)


def turn(scope: Scope, x: Any) -> Value:
    """Exchange the steps and the batch of tokens."""
    return transpose(scope, x, 0, 1)


def _turned(scope: Scope, x: Any) -> Value:
    if isinstance(x, States):
        return replace(x, swapped=not x.swapped)
    value = scope.tensor(x)
    if value.form != "steps":
        raise RefusedError(f"expected a sequence, received {said(value)}")
    return replace(value, turned=not value.turned)


def _rank(scope: Scope, x: Any) -> int:
    """Return the number of axes with the batch; a sequence before any layer may be of tokens."""
    if isinstance(x, Tensor) and x.form == "steps":
        return 3 if scope.chain.layers else 2
    return 2


def index(dim: Any, rank: int) -> int:
    """Return the number of an axis from the front."""
    if type(dim) is not int:
        raise RefusedError(f"expected the number of an axis, received {said(dim)}", "E703")
    return dim % rank


def squeeze(scope: Scope, x: Any, dim: Any = None) -> Value:
    """Remove the axis of a single final state, of a single step, or of a single unit."""
    if isinstance(x, States) and dim in (None, int(x.swapped)):
        return scope.whole(x)
    value = scope.tensor(x)
    if value.form == "one step" and dim in (None, 1):
        return replace(value, form="vector")
    rank = {"steps": 3, "vector": 2}.get(value.form, 0)
    last = dim is None or (rank and index(dim, rank) == rank - 1)
    if not last or scope.chain.shape[-1] != 1:
        raise RefusedError(f"squeeze({'' if dim is None else dim}): expected a last axis of size 1")
    scope.account.leave("squeeze of the result", reason="the spec keeps the last axis, of size 1")
    return replace(value, form="squeezed")


def unsqueeze(scope: Scope, x: Any, dim: Any) -> Value:
    """Give a vector an axis for steps."""
    value = scope.tensor(x)
    if value.form != "vector" or dim != 1:
        raise RefusedError(f"unsqueeze({dim}): expected unsqueeze(1) of a vector, to repeat it")
    return replace(value, form="one step")


def repeat(scope: Scope, x: Any, *sizes: Any) -> Value:
    """Repeat a vector as steps."""
    value = scope.tensor(x)
    match sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple) else sizes:
        case (1 | -1 | Size(), int(steps), 1 | -1 | Size()) if value.form == "one step":
            scope.leave_drops(value, "before a repeat")
            chain = scope.chain
            name = chain.name("repeat_vector")
            chain.add(nodes.Repeat(name=name, input=chain.shape, steps=steps))
            turned = bool(scope.time_first)
            return scope.result(value, form="steps", turned=turned)
        case _:
            raise RefusedError(
                "expected a vector repeated as steps: unsqueeze(1).repeat(1, STEPS, 1)"
            )


def flatten(scope: Scope, x: Any, start_dim: Any = 0, end_dim: Any = -1) -> Value:
    """Join the final states of both directions."""
    return reshape(scope, x, Size(), -1 if (start_dim, end_dim) == (1, -1) else 0)


def reshape(scope: Scope, x: Any, *sizes: Any) -> Value:
    """Join the final states of both directions, or refuse any other change of shape."""
    if isinstance(x, States):
        sizes = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple) else sizes
        if x.swapped and x.number == x.directions and sizes[1:] == (-1,):
            states = (State(x, -2), State(x, -1))[-x.directions :]
            return selected.both(scope, states, "concat")
        if x.number == 1 and sizes == (-1, scope.chain.shape[-1]):
            return scope.whole(x)
    raise RefusedError("expected no change of shapes, received one; the language has none", "E701")


def pack(
    scope: Scope, x: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> Value:
    """Return a packed sequence."""
    value = scope.tensor(x)
    if not isinstance(lengths, Lengths):
        message = "expected lengths that are an argument of forward"
        raise RefusedError(
            f"{message}, received {said(lengths)}; with example=(x, lengths) they are"
        )
    if scope.lengths and lengths.argument not in ("", scope.lengths):
        raise RefusedError(
            f"expected the lengths of the first packing, '{scope.lengths}', received "
            f"'{lengths.argument}'; a spec has one mask"
        )
    scope.lengths = scope.lengths or lengths.argument
    scope.decreasing |= enforce_sorted
    scope.lay_out(value, batch_first=batch_first)
    return Packed(value)


def pad(
    scope: Scope, x: Any, batch_first: bool = False, padding_value: float = 0.0,
    **_: Any,
) -> Value:  # fmt: skip
    """Return a packed sequence with its padding, and the lengths."""
    if not isinstance(x, Packed):
        raise RefusedError(f"expected a packed sequence, received {said(x)}")
    if padding_value != 0.0:
        raise RefusedError(f"padding_value: expected 0.0, received {padding_value}", "E703")
    value = scope.tensor(x.steps)
    assert scope.time_first is not None, "a packed sequence has a layout"
    return Several((replace(value, turned=scope.time_first == batch_first), Lengths()))
