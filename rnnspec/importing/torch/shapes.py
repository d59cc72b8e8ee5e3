"""Functions and methods that move axes, or that take a part of a tensor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rnnspec.errors import listed
from rnnspec.importing.layer_graph import RefusedError, pooling
from rnnspec.importing.torch import layers
from rnnspec.importing.torch.values import (
    NO_STATES,
    Half,
    Halves,
    Lengths,
    ModuleArray,
    Packed,
    Several,
    Size,
    State,
    States,
    Tensor,
    TokenMask,
    Weights,
    Zeros,
    describe,
)
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.importing.torch.scope import Scope
    from rnnspec.importing.torch.values import Value
    from rnnspec.words import Merge


def same(scope: Scope, x: Any, *_: Any, **__: Any) -> Value:
    """Return a value as it is."""
    kept = Lengths | TokenMask | Zeros | Size | States | State | Packed | Weights | ModuleArray
    if isinstance(x, kept):
        return x
    return scope.tensor(x, either_order=True)


def transpose(scope: Scope, x: Any, dim0: Any, dim1: Any) -> Value:
    """Exchange two axes."""
    if isinstance(x, ModuleArray):
        return replace(x, turned=not x.turned)
    rank = 3 if isinstance(x, States) else len(_axes(scope, x))
    order = list(range(rank))
    one, two = axis_number(dim0, rank), axis_number(dim1, rank)
    order[one], order[two] = two, one
    return _in_order(scope, x, tuple(order))


def permute(scope: Scope, x: Any, *dims: Any) -> Value:
    """Give the axes another order."""
    order = dims[0] if len(dims) == 1 and isinstance(dims[0], tuple) else dims
    rank = 3 if isinstance(x, States) else len(_axes(scope, x))
    numbers = tuple(axis_number(each, rank) for each in order)
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


def axis_number(dim: Any, rank: int) -> int:
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
    if at >= 0 and (dim is None or axis_number(dim, len(axes)) == at):
        rest = axes[:at] + axes[at + 1 :]
        if isinstance(x, Weights):
            return replace(x, axes=rest)
        return replace(scope.tensor(x), form="vector", axes=rest)
    value = scope.tensor(x)
    features = scope.axis(value, "features")
    if (dim is not None and axis_number(dim, len(axes)) != features) or scope.width(value.at) != 1:
        raise RefusedError(f"squeeze({'' if dim is None else dim}): expected a last axis of size 1")
    return replace(value, form="squeezed", axes=axes[:features] + axes[features + 1 :])


def unsqueeze(scope: Scope, x: Any, dim: Any) -> Value:
    """Give a value an axis of size 1."""
    if isinstance(x, Weights):
        at = axis_number(dim, len(x.axes) + 1)
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
    if isinstance(x, Tensor) and (result := _reshape_tensor(scope, x, sizes)) is not None:
        return result
    raise RefusedError("expected no change of shapes, received one; the language has none", "E701")


def _reshape_tensor(scope: Scope, x: Tensor, sizes: tuple[Any, ...]) -> Value | None:
    """Return a tensor in another shape that the language can say, or None."""
    features = scope.width(x.at)
    if len(sizes) == len(x.axes) and any(map(_is_of_other, sizes, x.axes)):
        return None
    match sizes:
        case (Size() | -1, Size(of=Tensor()) | -1) if x.form == "one step":
            axes = x.axes.replace("-", "")
            others = any(map(_is_of_other, sizes, axes))
            return None if others else replace(x, form="vector", axes=axes)
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
        case (Size(), Size(), 2, _) if x.form == "steps" and has_directions(scope, x):
            return Halves(x) if scope.axis(x, "features") == len(x.axes) - 1 else None
        case _:
            return None


def _is_of_other(size: Any, axis: str) -> bool:
    """Return whether a size is known as that of another axis."""
    return (
        isinstance(size, Size)
        and size.of is not None
        and (size.axis is None or size.of.axes[size.axis] != axis)
    )


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
        case Size(of=Tensor() as value, axis=None) if type(index) is int:
            return Size(value, axis_number(index, len(value.axes)))
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
    if x.form not in ("steps", "one step"):
        raise RefusedError(f"expected a step of a sequence, received a part of {describe(x)}")
    parts = _parts(index, len(x.axes))
    if all(part == _ALL for part in parts):
        return x
    if x.form == "one step":
        if parts.pop(x.axes.index("-")) not in (0, -1) or any(part != _ALL for part in parts):
            raise RefusedError("expected the only step of a sequence, received another part")
        return replace(scope.tensor(x), form="vector", axes=x.axes.replace("-", ""))
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


def _parts(index: Any, rank: int) -> list[Any]:
    """Return an index for each axis."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if ... in parts:
        at = parts.index(...)
        parts[at : at + 1] = [_ALL] * (rank - len(parts) + 1)
    return parts + [_ALL] * (rank - len(parts))


def _half(scope: Scope, x: Tensor, parts: list[Any], steps: int) -> Half | None:
    """Return the part of a sequence that has the features of one direction, or None."""
    features = len(x.axes) - 1
    if not has_directions(scope, x) or scope.axis(x, "features") != features or x.padded:
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


def has_directions(scope: Scope, value: Tensor) -> bool:
    """Return whether a value has the features of both directions of a layer, side by side."""
    layer = scope.steps[value.at].layer if value.at else None
    return isinstance(layer, nodes.Recurrent) and layer.merge == "concat"
