"""Functions of PyTorch and methods of tensors, by their names."""

from __future__ import annotations

from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal

from rnnspec.errors import listed
from rnnspec.importing.torch import layers
from rnnspec.importing.torch.scope import (
    NO_STATES,
    Lengths,
    Packed,
    RefusedError,
    Several,
    Size,
    State,
    States,
    Tensor,
    Unknown,
    Zeros,
    describe,
)
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.importing.torch.scope import Given, Scope, Value
    from rnnspec.words import Activation, Merge, Statistic


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
            raise RefusedError(
                f"the language lacks the attribute '{name}' of {describe(x)}", "E701"
            )


def zeros(scope: Scope, *_: Any, **named: Any) -> Value:
    """Return zeros."""
    scope.casts |= str(named.get("dtype")).startswith("torch.float")
    return Zeros()


def transpose(scope: Scope, x: Any, dim0: Any, dim1: Any) -> Value:
    """Exchange the steps and the batch."""
    # A sequence before any layer may be of tokens.
    features = isinstance(x, Tensor) and x.form == "steps" and bool(scope.chain.layers)
    rank = 3 if isinstance(x, States) or features else 2
    if sorted((_axis(dim0, rank), _axis(dim1, rank))) != [0, 1]:
        raise RefusedError("expected an exchange of steps and batch, (0, 1), received other axes")
    return _exchange(scope, x)


def permute(scope: Scope, x: Any, *dims: Any) -> Value:
    """Exchange the steps and the batch, or nothing."""
    order = dims[0] if len(dims) == 1 and isinstance(dims[0], tuple) else dims
    if order in ((0, 1, 2), (0, 1)):
        return same(scope, x)
    if order not in ((1, 0, 2), (1, 0)):
        raise RefusedError(f"expected an exchange of steps and batch, (1, 0, 2), received {order}")
    return _exchange(scope, x)


def turn(scope: Scope, x: Any) -> Value:
    """Exchange the steps and the batch of tokens."""
    return transpose(scope, x, 0, 1)


def _exchange(scope: Scope, x: Any) -> Value:
    if isinstance(x, States):
        return replace(x, swapped=not x.swapped)
    value = scope.tensor(x)
    if value.form != "steps":
        raise RefusedError(f"expected a sequence, received {describe(value)}")
    return replace(value, turned=not value.turned)


def _axis(dim: Any, rank: int) -> int:
    """Return the number of an axis from the front."""
    if type(dim) is not int:
        raise RefusedError(f"expected the number of an axis, received {describe(dim)}", "E703")
    return dim % rank


def squeeze(scope: Scope, x: Any, dim: Any = None) -> Value:
    """Remove the axis of a single final state, of a single step, or of a single unit."""
    if isinstance(x, States) and dim in (None, int(x.swapped)):
        return scope.whole(x)
    value = scope.tensor(x)
    if value.form == "one step" and dim in (None, 1):
        return replace(value, form="vector")
    rank = {"steps": 3, "vector": 2}.get(value.form, 0)
    last = dim is None or (rank and _axis(dim, rank) == rank - 1)
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
            scope.chain.add(nodes.Repeat(name="repeat", input=(), steps=steps))
            scope.chain.has_padding = False
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
            return both(scope, states, "concat")
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
            f"{message}, received {describe(lengths)}; with example=(x, lengths) they are"
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
        raise RefusedError(f"expected a packed sequence, received {describe(x)}")
    if padding_value != 0.0:
        raise RefusedError(f"padding_value: expected 0.0, received {padding_value}", "E703")
    value = scope.tensor(x.steps)
    assert scope.time_first is not None, "a packed sequence has a layout"
    return Several((replace(value, turned=scope.time_first == batch_first), Lengths()))


_ALL = slice(None)


def item(scope: Scope, x: Any, index: Any) -> Value:
    """Return ``x[index]``.

    Raises:
        RefusedError: the language has no word for this part.
    """
    match x:
        case Several(items):
            if type(index) is not int or not -len(items) <= index < len(items):
                raise RefusedError(f"expected one of {len(items)} results, received [{index}]")
            value: Value = items[index]
            return value
        case States():
            return _state(x, index)
        case Size():
            return Size()
        case Lengths(argument=name) if name:
            raise RefusedError(f"takes a part of the argument '{name}' of forward; {NO_STATES}")
        case Tensor():
            return _step(scope, scope.tensor(x), index)
        case _:
            raise RefusedError(f"expected a tensor, received a part of {describe(x)}")


def _state(states: States, index: Any) -> Value:
    index = _leading(index, 1)
    if type(index) is not int or states.swapped:
        raise RefusedError("expected one final state, such as h[-1], received another part")
    state = State(states, index if index < 0 else index - states.number)
    if not -states.number <= state.index < 0:
        raise RefusedError(f"expected one of {states.number} final states, received [{index}]")
    return state


def _step(scope: Scope, value: Tensor, index: Any) -> Value:
    if value.form != "steps":
        raise RefusedError(f"expected a step of a sequence, received a part of {describe(value)}")
    if scope.time_first is None:
        if isinstance(index, str):
            raise RefusedError(f"expected a tensor as the input, received a mapping with '{index}'")
        message = "takes a part of the input; expected a recurrent layer over all of its steps"
        raise RefusedError(message)
    wanted = (-1,) if scope.is_time_first(value) else (_ALL, -1)
    given = _leading(index, len(wanted))
    if given != (wanted[0] if len(wanted) == 1 else wanted):
        last = "[-1]" if len(wanted) == 1 else "[:, -1]"
        message = f"expected the last step, {last}, received [{_state_in_words(index)}]"
        raise RefusedError(
            f"{message}; 'pooling: last' of both directions is torch.cat((h[-2], h[-1]), 1)"
        )
    if scope.chain.has_padding:
        raise RefusedError(
            "reads the last step, which is padding in a shorter sequence; expected the final "
            "state, h[-1] or torch.cat((h[-2], h[-1]), dim=1)"
        )
    scope.chain.last_step()
    return replace(value, version=scope.chain.version, form="vector", turned=False)


def _leading(index: Any, number: int) -> Any:
    """Return an index without the slices and the ellipsis behind, which change nothing."""
    if not isinstance(index, tuple):
        return index
    while len(index) > number and index[-1] in (_ALL, ...):
        index = index[:-1]
    return index[0] if len(index) == 1 else index


def _state_in_words(index: Any) -> str:
    if isinstance(index, tuple):
        return ", ".join(map(_state_in_words, index))
    if isinstance(index, slice):
        start, stop = ("" if end is None else f"{end}" for end in (index.start, index.stop))
        return f"{start}:{stop}"
    return "..." if index is ... else f"{index}" if isinstance(index, int) else describe(index)


def both(scope: Scope, states: tuple[State, ...], merge: Merge) -> Value:
    """Return the final states of both directions of the top layer, merged.

    Raises:
        RefusedError: they are others.
    """
    first = states[0].states
    if len(states) == 1:
        return scope.whole(states[0])
    indices = tuple(each.index for each in states)
    alike = all(each.states == first for each in states) and not first.is_cell
    if not alike or indices not in ((-2, -1), (-1, -2)) or first.directions != 2:
        several = len({each.states.module for each in states}) > 1
        received = [f"{each} of {each.states.module}" if several else f"{each}" for each in states]
        message = (
            f"expected h[-2] and h[-1] of one bidirectional module, received {listed(received)}"
        )
        cells = "; the language passes on no cell state, c"
        raise RefusedError(message + cells * any(each.states.is_cell for each in states))
    value = scope.whole(replace(first, number=1))
    if merge != "concat":
        layer = scope.chain.layers[-1]
        assert isinstance(layer, nodes.Recurrent), "it has just been changed"
        scope.chain.change(replace(layer, merge=merge), (layer.units,))
    turned = merge == "concat" and indices == (-1, -2)
    return replace(value, version=scope.chain.version, backward_first=turned)


_SAME = "clone contiguous tolist cpu cuda type_as requires_grad_ alias Variable"
_SIZES = "size dim numel ndimension len floordiv mul add sub eq ne getattr iadd isub imul ifloordiv"
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


def _pool(statistic: Statistic, *, with_places: bool = False) -> Callable[..., Value]:
    """Return a reduction of the steps; ``torch.max`` returns places too."""

    def pool(scope: Scope, x: Any, dim: Any = None, keepdim: bool = False) -> Value:
        value = scope.tensor(x)
        if isinstance(dim, tuple) and len(dim) == 1:
            dim = dim[0]
        steps = 0 if scope.is_time_first(value) else 1
        if keepdim or value.form != "steps" or _axis(dim, 3) != steps:
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
        result = scope.result(value, form="vector")
        return Several((result, Size())) if with_places else result

    return pool


def _add(scope: Scope, x: Any, y: Any, alpha: float = 1) -> Value:
    if alpha != 1:
        raise RefusedError(f"alpha: expected 1, received {alpha}", "E703")
    if isinstance(x, State) and isinstance(y, State):
        return both(scope, (x, y), "sum")
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        raise RefusedError(
            f"expected the sum of two sequences, received {describe(x)} and {describe(y)}"
        )
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
        return both(scope, x, "concat")
    kinds = ", ".join(map(describe, x)) if isinstance(x, tuple) else describe(x)
    raise RefusedError(
        f"expected h[-2] and h[-1], the final states of both directions, received {kinds}"
    )


def _dropout(scope: Scope, x: Any, p: float = 0.5, training: Any = True, **_: Any) -> Value:
    if training:
        message = "drops in evaluation too; expected training=self.training"
        raise RefusedError(message, "E703")
    return layers.with_dropout(scope.tensor(x, either_order=True), p)


def _normalize(scope: Scope, x: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Value:
    value = scope.tensor(x)
    if p != 2 or eps != 1e-12 or value.form != "vector" or dim not in (1, -1):
        message = "expected p=2, eps=1e-12 and the features of a vector, received others"
        raise RefusedError(message, "E703")
    scope.leave_drops(value, "before the division by the norm")
    scope.chain.add(nodes.Normalize(name="normalize", input=()))
    return scope.result(value)


def _activation(activation: Activation) -> Callable[..., Value]:
    def apply(scope: Scope, x: Any, *settings: Any, inplace: bool = False, **named: Any) -> Value:
        del inplace  # the result is the same
        wanted = _SETTINGS.get(activation, {})
        given = dict(zip(wanted, settings, strict=False)) | named
        if len(settings) > len(wanted) or any(wanted.get(k) != v for k, v in given.items()):
            raise RefusedError("expected the default settings, received others", "E703")
        return layers.activate(scope, scope.tensor(x), activation, -1)

    return apply


def _softmax(activation: Literal["softmax", "log_softmax"]) -> Callable[..., Value]:
    def apply(scope: Scope, x: Any, dim: Any = None, _stacklevel: Any = 3) -> Value:
        return layers.activate(scope, scope.tensor(x), activation, dim)

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
_CALLS: dict[str, Callable[..., Value]] = {
    **dict.fromkeys(_SAME.split(), same),
    **dict.fromkeys(("float", "double"), cast),
    **dict.fromkeys(("long", "int"), long),
    **dict.fromkeys(("size", "dim", "numel", "len"), size),
    **dict.fromkeys(("zeros", "new_zeros", "zeros_like", "zero_"), zeros),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), transpose),
    **dict.fromkeys(("add", "iadd", "add_"), _add),
    **dict.fromkeys(("cat", "concat", "concatenate"), _cat),
    **dict.fromkeys(("repeat", "expand"), repeat),
    **dict.fromkeys(("reshape", "view"), reshape),
    **{name: _activation(value) for name, value in _ACTIVATIONS.items()},
    **{name: _softmax(name) for name in ("softmax", "log_softmax")},
    "detach": detach,
    "to": to,
    "getattr": attribute,
    "permute": permute,
    "t": turn,
    "squeeze": squeeze,
    "unsqueeze": unsqueeze,
    "flatten": flatten,
    "mean": _pool("mean"),
    "amax": _pool("max"),
    "max": _pool("max", with_places=True),
    "dropout": _dropout,
    "normalize": _normalize,
    "pack_padded_sequence": pack,
    "pad_packed_sequence": pad,
    "getitem": item,
}
