"""Functions of PyTorch and methods of tensors, by their names."""

from __future__ import annotations

import math
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal

from rnnspec.errors import listed
from rnnspec.importing.torch import layers
from rnnspec.importing.torch.files import dense
from rnnspec.importing.torch.scope import (
    NO_STATES,
    Half,
    Halves,
    Lengths,
    ModuleArray,
    Packed,
    RefusedError,
    Several,
    Size,
    State,
    States,
    Tensor,
    Unknown,
    Weighted,
    Weights,
    Zeros,
    describe,
    pooling,
)
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.importing.torch.scope import Form, Given, Scope, Value
    from rnnspec.words import Activation, Merge, Statistic, WindowStatistic


_INTEGERS = ("torch.int64", "torch.int32", "torch.int16", "torch.int8", "torch.uint8")
_CASTS = ("torch.float16", "torch.bfloat16", "torch.bool", "torch.complex64", "torch.complex128")


def same(scope: Scope, x: Any, *_: Any, **__: Any) -> Value:
    """Return a value as it is."""
    if isinstance(x, Lengths | Zeros | Size | States | State | Packed | Weights | ModuleArray):
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
        if x.at:
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


def transpose(scope: Scope, x: Any, dim0: Any, dim1: Any) -> Value:
    """Exchange two axes."""
    if isinstance(x, ModuleArray):
        return replace(x, turned=not x.turned)
    rank = 3 if isinstance(x, States) else len(_axes(scope, x))
    order = list(range(rank))
    one, two = _axis(dim0, rank), _axis(dim1, rank)
    order[one], order[two] = two, one
    return _in_order(scope, x, tuple(order))


def permute(scope: Scope, x: Any, *dims: Any) -> Value:
    """Give the axes another order."""
    order = dims[0] if len(dims) == 1 and isinstance(dims[0], tuple) else dims
    rank = 3 if isinstance(x, States) else len(_axes(scope, x))
    numbers = tuple(_axis(each, rank) for each in order)
    if sorted(numbers) != list(range(rank)):
        raise RefusedError(f"expected an order of {rank} axes, received {order}", "E703")
    return _in_order(scope, x, numbers)


def turn(scope: Scope, x: Any) -> Value:
    """Exchange the steps and the batch of tokens."""
    return transpose(scope, x, 0, 1)


def _axes(scope: Scope, x: Any) -> str:
    """Return the axes of a value."""
    return x.axes if isinstance(x, Weights) else scope.tensor(x, with_pad=True).axes


def _in_order(scope: Scope, x: Any, order: tuple[int, ...]) -> Value:
    if isinstance(x, States):
        if order not in ((0, 1, 2), (1, 0, 2)):
            raise RefusedError("expected an exchange of layers and batch, received other axes")
        return replace(x, swapped=x.swapped != (order == (1, 0, 2)))
    value = x if isinstance(x, Weights) else scope.tensor(x, with_pad=True)
    if isinstance(value, Tensor) and value.form == "vector" and order != (0, 1):
        raise RefusedError(f"expected a sequence, received {describe(value)}")
    return replace(value, axes="".join(value.axes[each] for each in order))


def _axis(dim: Any, rank: int) -> int:
    """Return the number of an axis from the front."""
    if type(dim) is not int or not -rank <= dim < rank:
        message = f"expected the number of one of {rank} axes, received {describe(dim)}"
        raise RefusedError(message, "E703")
    return dim % rank


def squeeze(scope: Scope, x: Any, dim: Any = None) -> Value:
    """Remove the axis of a single final state, of a single step, or of a single unit."""
    if isinstance(x, States) and dim in (None, int(x.swapped)):
        return scope.whole(x)
    axes = _axes(scope, x)
    at = next((i for i, axis in enumerate(axes) if axis == "-"), -1)
    if at >= 0 and (dim is None or _axis(dim, len(axes)) == at):
        rest = axes[:at] + axes[at + 1 :]
        if isinstance(x, Weights):
            return replace(x, axes=rest)
        return replace(scope.tensor(x), form="vector", axes=rest)
    value = scope.tensor(x)
    features = scope.axis(value, "features")
    if (dim is not None and _axis(dim, len(axes)) != features) or scope.width(value.at) != 1:
        raise RefusedError(f"squeeze({'' if dim is None else dim}): expected a last axis of size 1")
    return replace(value, form="squeezed", axes=axes[:features] + axes[features + 1 :])


def unsqueeze(scope: Scope, x: Any, dim: Any) -> Value:
    """Give a value an axis of size 1."""
    if isinstance(x, Weights):
        at = _axis(dim, len(x.axes) + 1)
        return replace(x, axes=f"{x.axes[:at]}-{x.axes[at:]}")
    value = scope.tensor(x)
    if value.form != "vector" or dim not in (1, -2):
        raise RefusedError(f"unsqueeze({dim}): expected unsqueeze(1) of a vector, to repeat it")
    return replace(value, form="one step", axes=f"{value.axes[0]}-{value.axes[1]}")


def repeat(scope: Scope, x: Any, *sizes: Any) -> Value:
    """Repeat a vector as steps."""
    value = scope.tensor(x)
    match sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple) else sizes:
        case (1 | -1 | Size(), int(steps), 1 | -1 | Size()) if value.form == "one step":
            at = scope.add(nodes.Repeat(name="repeat", input=(), steps=steps), value)
            (missing,) = set("012") - set(value.axes)
            axes = value.axes.replace("-", missing)
            return scope.result(value, at, form="steps", axes=axes, padded=False)
        case _:
            raise RefusedError(
                "expected a vector repeated as steps: unsqueeze(1).repeat(1, STEPS, 1)"
            )


def flatten(scope: Scope, x: Any, start_dim: Any = 0, end_dim: Any = -1) -> Value:
    """Join the final states of both directions, or all steps."""
    return reshape(scope, x, Size(), -1 if (start_dim, end_dim) in ((1, -1), (1, 2)) else 0)


def reshape(scope: Scope, x: Any, *sizes: Any) -> Value:
    """Join the final states of both directions, or all steps; refuse other changes of shape."""
    sizes = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple) else sizes
    if isinstance(x, States):
        if x.swapped and x.number == x.directions and sizes[1:] == (-1,):
            states = (State(x, -2), State(x, -1))[-x.directions :]
            return both(scope, states, "concat")
        if x.number == 1 and sizes == (-1, scope.width(x.at)):
            return scope.whole(x)
    if isinstance(x, Tensor) and (result := _reshaped(scope, x, sizes)) is not None:
        return result
    raise RefusedError("expected no change of shapes, received one; the language has none", "E701")


def _reshaped(scope: Scope, x: Tensor, sizes: tuple[Any, ...]) -> Value | None:
    """Return a tensor in another shape that the language can say, or None."""
    features = scope.width(x.at)
    match sizes:
        case (Size() | -1, Size() | int()) if (
            x.form == "steps"
            and scope.roles(x)[-1] == "features"
            and (isinstance(sizes[1], Size) or sizes[1] == features)
        ):
            return replace(x, form="rows")
        case (Size() | -1, Size() | -1, Size() | int()) if x.form == "rows":
            known = isinstance(sizes[2], Size) or sizes[2] in (-1, features)
            return replace(x, form="steps") if known else None
        case (Size(), -1) if x.form != "squeezed":
            return layers.flatten(scope, x)
        case (Size() | -1, int(size)) if size > 0 and x.form != "squeezed":
            return layers.flatten(scope, x, size)
        case (Size(), Size(), -1 | Size()) if x.form == "steps":
            return x
        case (Size(), Size(), 2, _) if x.form == "steps" and _has_directions(scope, x):
            return Halves(x) if scope.axis(x, "features") == len(x.axes) - 1 else None
        case _:
            return None


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
    layers.lay_out_recurrent(scope, value, batch_first=batch_first)
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
            return _part(scope, x, index)
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


def _part(scope: Scope, x: Tensor, index: Any) -> Value:
    """Return the last step or steps, or cut off those that a causal convolution does not have."""
    if isinstance(index, str):
        raise RefusedError(f"expected a tensor as the input, received a mapping with '{index}'")
    if x.form != "steps":
        raise RefusedError(f"expected a step of a sequence, received a part of {describe(x)}")
    parts = list(index) if isinstance(index, tuple) else [index]
    if ... in parts:
        at = parts.index(...)
        parts[at : at + 1] = [_ALL] * (len(x.axes) - len(parts) + 1)
    parts += [_ALL] * (len(x.axes) - len(parts))
    if all(part == _ALL for part in parts):
        return x
    steps = scope.axis(x, "steps") if "" not in scope.roles(x) else 1
    if (half := _half(scope, x, parts, steps)) is not None:
        return half
    if len(parts) != len(x.axes) or any(
        part != _ALL for at, part in enumerate(parts) if at != steps
    ):
        raise RefusedError(_other_part(index, steps))
    match parts[steps]:
        case slice(start=None, stop=int(stop), step=None | 1) if x.surplus and stop == -x.surplus:
            return replace(x, surplus=0)
        case slice(start=None, stop=Size(), step=None | 1) if x.surplus:
            raise RefusedError(f"expected [..., :-{x.surplus}], received a size of a tensor")
        case -1:
            return _last_step(scope, scope.tensor(x), steps)
        case slice(start=int(start), stop=None, step=None | 1) if start < 0:
            return _last_steps(scope, scope.tensor(x), -start)
        case _:
            raise RefusedError(_other_part(index, steps))


def _half(scope: Scope, x: Tensor, parts: list[Any], steps: int) -> Half | None:
    """Return the part of a sequence that has the features of one direction, or None."""
    features = len(x.axes) - 1
    if not _has_directions(scope, x) or scope.axis(x, "features") != features or x.padded:
        return None
    units = (scope.width(x.at) or 0) // 2
    found = (parts[features], parts[steps])
    directions = {
        0: (slice(None, units), slice(0, units), slice(None, -units)),
        1: (slice(units, None), slice(-units, None), slice(units, 2 * units)),
    }
    for index, slices in directions.items():
        if found[0] in slices and found[1] in (_ALL, 0, -1):
            return Half(x, index, None if found[1] == _ALL else found[1])
    return None


def _other_part(index: Any, steps: int) -> str:
    last = "[-1]" if steps == 0 else "[:, -1]"
    return (
        f"expected the last step, {last}, received [{_state_in_words(index)}]; 'pooling: last' of "
        "both directions is torch.cat((h[-2], h[-1]), 1)"
    )


def _last_step(scope: Scope, value: Tensor, steps: int) -> Value:
    if value.padded:
        raise RefusedError(
            "reads the last step, which is padding in a shorter sequence; expected the final "
            "state, h[-1] or torch.cat((h[-2], h[-1]), dim=1)"
        )
    axes = value.axes[:steps] + value.axes[steps + 1 :]
    at = scope.add(pooling("last_step"), value)
    return scope.result(value, at, form="vector", axes=axes)


def _last_steps(scope: Scope, value: Tensor, count: int) -> Value:
    if value.padded:
        raise RefusedError("reads the last steps, which are padding in a shorter sequence")
    layer = nodes.LastSteps(name="last_steps", input=(), count=count)
    return scope.result(value, scope.add(layer, value))


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
    layer = scope.steps[first.at].layer
    assert isinstance(layer, nodes.Recurrent), "it has states"
    if merge != "concat":
        scope.merge(first.at, merge)
    elif layer.merge != "concat":
        raise RefusedError("uses both the states of two directions and their sum; expected one")
    return replace(value, backward_first=merge == "concat" and indices == (-1, -2))


_SAME = "clone contiguous tolist cpu cuda type_as requires_grad_ alias Variable"
_SIZES = (
    "size dim numel ndimension len floordiv mod truediv mul add sub eq ne getattr iadd isub imul "
    "ifloordiv"
)
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
        if isinstance(dim, tuple) and len(dim) == 1:
            dim = dim[0]
        if isinstance(x, Weighted) and statistic == "sum":
            return _attention(scope, x, dim, keepdim=keepdim)
        if isinstance(x, Halves):
            if keepdim or dim not in (2, -2) or statistic not in ("sum", "mean"):
                raise RefusedError("expected the sum or the mean of both directions")
            scope.merge(x.sequence.at, "sum" if statistic == "sum" else "ave")
            return x.sequence
        value = scope.tensor(x)
        if value.form != "steps" or _axis(dim, len(value.axes)) != scope.axis(value, "steps"):
            raise RefusedError(
                f"expected the {statistic} over the steps of a sequence, received other axes"
            )
        layers.check_no_padding(value, statistic)
        at = scope.add(pooling(statistic), value)
        result = _without_steps(scope, value, at, keepdim=keepdim)
        return Several((result, Size())) if with_places else result

    return pool


def _without_steps(scope: Scope, value: Tensor, at: int, *, keepdim: bool) -> Tensor:
    """Return a result over all steps of a value."""
    steps = scope.axis(value, "steps")
    axes = value.axes[:steps] + "-" * keepdim + value.axes[steps + 1 :]
    form: Form = "one step" if keepdim else "vector"
    return scope.result(value, at, form=form, axes=axes)


def _attention(scope: Scope, x: Weighted, dim: Any, *, keepdim: bool) -> Value:
    value = x.steps
    if _axis(dim, len(value.axes)) != scope.axis(value, "steps"):
        raise RefusedError("expected the sum over the steps, received other axes")
    at = layers.attend(scope, x.weights, value)
    return _without_steps(scope, value, at, keepdim=keepdim)


def _multiply(scope: Scope, x: Any, y: Any) -> Value:
    """Return the steps of a sequence multiplied by weights of an attention."""
    if isinstance(x, State) and isinstance(y, State):
        return both(scope, (x, y), "mul")
    if isinstance(x, Half) and isinstance(y, Half):
        return _merge(scope, x, y, "mul")
    if isinstance(x, Tensor) and y == 0.5 and scope.average(x.at):
        return x
    weights, steps = (x, y) if isinstance(x, Weights) else (y, x)
    for value in (x, y):
        if isinstance(value, ModuleArray):
            scope.tensor(value)
    if not isinstance(weights, Weights):
        raise RefusedError(
            "the language lacks the operation 'mul'; take it out of the module", "E701"
        )
    value = scope.sequence(steps)
    # The axes of the weights are those of the steps, with one of size 1 for the features.
    features = value.axes[scope.axis(value, "features")]
    if weights.axes != value.axes.replace(features, "-"):
        raise RefusedError("expected one weight for each step, received other axes")
    return Weighted(weights, value)


def _divide(scope: Scope, x: Any, y: Any) -> Value:
    """Return the mean of both directions."""
    if isinstance(x, Tensor) and y == 2 and scope.average(x.at):
        return x
    message = "the language lacks the operation 'truediv'; take it out of the module"
    raise RefusedError(message, "E701")


def _merge(scope: Scope, x: Half, y: Half, merge: Merge) -> Value:
    """Return the features of both directions combined."""
    if x.sequence != y.sequence or {x.index, y.index} != {0, 1} or (x.step, y.step) != (None, None):
        raise RefusedError("expected the two directions of one layer, received others")
    scope.merge(x.sequence.at, merge)
    return x.sequence


def _chunk(scope: Scope, x: Any, chunks: Any, dim: Any = 0) -> Value:
    """Return the features of each direction."""
    value = scope.sequence(x)
    features = scope.axis(value, "features")
    if chunks != 2 or _axis(dim, len(value.axes)) != features or not _has_directions(scope, value):
        raise RefusedError("expected the features of both directions, chunk(2, -1)")
    return Several((Half(value, 0), Half(value, 1)))


def _has_directions(scope: Scope, value: Tensor) -> bool:
    layer = scope.steps[value.at].layer if value.at else None
    return isinstance(layer, nodes.Recurrent) and layer.merge == "concat"


def _matrix_product(scope: Scope, x: Any, y: Any) -> Value:
    """Return the sum of the steps multiplied by weights, or the output of a tied layer."""
    if isinstance(y, ModuleArray):
        return _linear(scope, x, replace(y, turned=not y.turned))
    weights, steps, first = (x, y, True) if isinstance(x, Weights) else (y, x, False)
    if not isinstance(weights, Weights):
        raise RefusedError(
            "the language lacks the operation 'bmm'; take it out of the module", "E701"
        )
    value = scope.sequence(steps)
    batch, time, features = (
        value.axes[scope.axis(value, role)] for role in ("batch", "steps", "features")
    )
    expected = (f"{batch}-{time}", batch + time + features)
    if not first:
        expected = (f"{batch}{time}-", batch + features + time)
    if (weights.axes, value.axes) != expected:
        raise RefusedError("expected a product over the steps, received other axes")
    at = layers.attend(scope, weights, value)
    axes = f"{batch}-{features}" if first else f"{batch}{features}-"
    return scope.result(value, at, form="one step", axes=axes)


def _linear(scope: Scope, x: Any, weight: Any, bias: Any = None) -> Value:
    """Return the output of a dense layer whose weight is that of the embedding."""
    value = scope.tensor(x)
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
    if scope.axis(value, "features") != len(value.axes) - 1:
        raise RefusedError("expected the features as the last axis")
    scope.fit(value, table.dim)
    layer = dense("linear", table.vocabulary, activation="linear", bias=bias is not None)
    at = scope.add(replace(layer, tied=table.name), value)
    if bias is not None:
        scope.steps[at].arrays = {"bias": bias.path}
    return scope.result(value, at)


def _add(scope: Scope, x: Any, y: Any, alpha: float = 1) -> Value:
    if alpha != 1:
        raise RefusedError(f"alpha: expected 1, received {alpha}", "E703")
    if isinstance(x, State) and isinstance(y, State):
        return both(scope, (x, y), "sum")
    if isinstance(x, Half) and isinstance(y, Half):
        return _merge(scope, x, y, "sum")
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        raise RefusedError(
            f"expected the sum of two sequences, received {describe(x)} and {describe(y)}"
        )
    output, start = (x, y) if x.at >= y.at else (y, x)
    if output.at == start.at or output.form != "steps":
        raise RefusedError("expected the sum of the output of one recurrent layer and its input")
    for value in (output, start):
        scope.tensor(value)
    if output.axes != start.axes:
        raise RefusedError(
            "expected the steps and the batch in the same order, received both orders"
        )
    one, two = scope.width(start.at), scope.width(output.at)
    if one != two and None not in (one, two):
        message = f"received {one} and {two} features"
        raise RefusedError(f"expected an input and an output of equal size, {message}")
    at = scope.add(nodes.Residual(name="add", input=(), start=""), output, start)
    return scope.result(output, at)


def _cat(scope: Scope, x: Any, dim: Any = 0) -> Value:
    """Put states, vectors or sequences side by side."""
    if isinstance(x, tuple) and x and all(isinstance(each, State) for each in x):
        if dim not in (1, -1):
            raise RefusedError(f"dim: expected 1, the features, received {dim}", "E703")
        return both(scope, x, "concat")
    parts = list[Tensor]()
    given = list(x) if isinstance(x, tuple) else []
    while given:
        match given:
            case [State(index=-2) as one, State(index=-1) as two, *given] if (
                one.states == two.states and one.states.directions == 2
            ):
                parts.append(scope.tensor(both(scope, (one, two), "concat")))
            case [Half(index=0, step=-1) as one, Half(index=1, step=0) as two, *given] if (
                one.sequence == two.sequence
            ):
                parts.append(_last(scope, one.sequence))
            case [Tensor() | State() as part, *given]:
                parts.append(scope.tensor(part))
            case _:
                given, parts = [], []
                break
    if len(parts) == 1 and isinstance(x, tuple) and len(x) == 2 and isinstance(x[0], Half):
        return parts[0]
    if len(parts) < 2:
        kinds = ", ".join(map(describe, x)) if isinstance(x, tuple) else describe(x)
        raise RefusedError(
            "expected h[-2] and h[-1], the final states of both directions, or several sequences "
            f"or vectors, received {kinds}"
        )
    first = parts[0]
    if any((part.form, part.axes) != (first.form, first.axes) for part in parts):
        raise RefusedError("expected sequences or vectors with the axes in one order")
    if _axis(dim, len(first.axes)) != scope.axis(first, "features"):
        raise RefusedError(f"dim: expected the features, received {dim}", "E703")
    at = scope.add(nodes.Concat(name="concat", input=(), of=(), inputs=()), *parts)
    return scope.result(first, at, padded=any(part.padded for part in parts))


def _last(scope: Scope, value: Tensor) -> Tensor:
    """Return the final states of both directions, read from their sequence."""
    at = scope.add(pooling("last"), value)
    return _without_steps(scope, value, at, keepdim=False)


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
    return layers.add_steps(scope, x, pad, float(value or 0.0))


def _windows(statistic: WindowStatistic) -> Callable[..., Value]:
    def pool_max(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
        scope: Scope, x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
        dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False,
    ) -> Value:  # fmt: skip
        if dilation not in (1, (1,)) or return_indices:
            key = "return_indices" if return_indices else "dilation"
            raise RefusedError(f"{key}: expected the default, received another", "E703")
        return layers.pool_windows(
            scope, x, "max", kernel_size, stride, padding, ceil_mode=ceil_mode
        )

    def pool_average(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
        scope: Scope, x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
        ceil_mode: bool = False, count_include_pad: bool = True,
    ) -> Value:  # fmt: skip
        return layers.pool_windows(
            scope, x, "average", kernel_size, stride, padding, ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
        )  # fmt: skip

    return pool_max if statistic == "max" else pool_average


def _pool_all(statistic: Statistic) -> Callable[..., Value]:
    def pool(scope: Scope, x: Any, output_size: Any, return_indices: bool = False) -> Value:
        if output_size not in (1, (1,)) or return_indices:
            raise RefusedError(f"output_size: expected 1, received {output_size}", "E703")
        return layers.pool_all(scope, x, statistic)

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
    return layers.activate(scope, x, layers.clipped(min, max))


def _hardtanh(
    scope: Scope, x: Any, min_val: Any = -1.0, max_val: Any = 1.0, inplace: bool = False
) -> Value:
    del inplace
    return layers.activate(scope, x, layers.clipped(min_val, max_val))


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
    "sum": _pool("sum"),
    "amax": _pool("max"),
    "max": _pool("max", with_places=True),
    "dropout": _dropout,
    "dropout1d": _dropout_by_feature,
    "normalize": _normalize,
    "linear": _linear,
    "pad": _pad,
    "max_pool1d": _windows("max"),
    "avg_pool1d": _windows("average"),
    "adaptive_max_pool1d": _pool_all("max"),
    "adaptive_avg_pool1d": _pool_all("mean"),
    "leaky_relu": _leaky,
    "relu6": _relu6,
    **dict.fromkeys(("clamp", "clip"), _clamp),
    "hardtanh": _hardtanh,
    **dict.fromkeys(("mul", "multiply"), _multiply),
    **dict.fromkeys(("truediv", "div"), _divide),
    "chunk": _chunk,
    **dict.fromkeys(("bmm", "matmul"), _matrix_product),
    "pack_padded_sequence": pack,
    "pad_packed_sequence": pad,
    "getitem": item,
}
