"""Functions and methods that move axes, or that take a part of a tensor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.errors import listed
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.values import NAMES_OF_AXES, Argument, Known, RestartError, Tensor
from rnnspec.importing.torch import states
from rnnspec.importing.torch.values import (
    ARRAY_OUTSIDE,
    LENGTHS,
    NO_STATES,
    FeatureSlice,
    FirstStates,
    LearnedRows,
    ModuleArray,
    NonTensor,
    Packed,
    Reversed,
    Several,
    State,
    States,
    Zeros,
    describe,
    is_size,
)
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rnnspec.importing.torch.operators import Operators
    from rnnspec.importing.torch.scope import ModuleScope
    from rnnspec.importing.torch.values import Value
    from rnnspec.words import Merge


def pass_on(m: Operators, x: Any, *_: Any, **__: Any) -> Value:
    """Return a value as it is."""
    unchanged = (
        Known | Argument | Zeros | NonTensor | States | State | Packed | ModuleArray | Reversed
        | LearnedRows | FirstStates | FeatureSlice
    )  # fmt: skip
    return x if isinstance(x, unchanged) else _movable(m.scope, x, either_order=True)


def _movable(scope: ModuleScope, x: Any, *, either_order: bool = False) -> Tensor:
    """Return a tensor whose axes may move, which has the steps of its layer, and perhaps more.

    Raises:
        RefusedError: it is something else.
    """
    value = scope.operand(x, either_order=either_order)
    value.check_steps(scope.cut_steps, with_pad=True)
    return value


def axis_number(dim: Any, rank: int) -> int:
    """Return the number of an axis from the front."""
    if type(dim) is not int or not -rank <= dim < rank:
        message = f"expected the number of one of {rank} axes, received {describe(dim)}"
        raise RefusedError(message, "E703")
    return dim % rank


def _rank(m: Operators, x: Any) -> int:
    match x:
        case States() | FirstStates():
            return 3
        case Known(samples=[array, *_]):
            return array.ndim
        case Argument():
            return 1
        case _:
            return len(m.scope.operand(x, either_order=True).axes)


def transpose(m: Operators, x: Any, dim0: Any, dim1: Any) -> Value:
    """Exchange two axes."""
    if isinstance(x, ModuleArray):
        return replace(x, turned=not x.turned)
    order = list(range(_rank(m, x)))
    one, two = axis_number(dim0, len(order)), axis_number(dim1, len(order))
    order[one], order[two] = two, one
    return _in_order(m, x, tuple(order))


def permute(m: Operators, x: Any, *dims: Any) -> Value:
    """Give the axes another order."""
    order = dims[0] if len(dims) == 1 and isinstance(dims[0], tuple) else dims
    rank = _rank(m, x)
    numbers = tuple(axis_number(dim, rank) for dim in order)
    if sorted(numbers) != list(range(rank)):
        raise RefusedError(f"expected an order of {rank} axes, received {order}", "E703")
    return _in_order(m, x, numbers)


def turn(m: Operators, x: Any) -> Value:
    """Exchange the steps and the batch of tokens."""
    return transpose(m, x, 0, 1)


def _in_order(m: Operators, x: Any, order: tuple[int, ...]) -> Value:
    if isinstance(x, States):
        if order not in ((0, 1, 2), (1, 0, 2)):
            raise RefusedError("expected an exchange of layers and batch, received other axes")
        return replace(x, swapped=x.swapped != (order == (1, 0, 2)))
    if isinstance(x, FirstStates) and len(x.parts) > 1:
        if order not in ((0, 1, 2), (1, 0, 2)):
            raise RefusedError("expected an exchange of layers and batch, received other axes")
        return replace(x, swapped=x.swapped != (order == (1, 0, 2)))
    value = x if isinstance(x, Known) else _movable(m.scope, x)
    return m.run("Transpose", value, perm=order)


def squeeze(m: Operators, x: Any, dim: Any = None) -> Value:
    """Remove the axis of a single final state, of a single step, or of a single unit."""
    if isinstance(x, States) and dim in (None, int(x.swapped)):
        return m.scope.whole(x)
    if isinstance(x, FirstStates) and len(x.parts) == 1 and dim in (None, 0):
        return m.scope.operand(x.parts[0])
    value = x if isinstance(x, Known | Argument) else _movable(m.scope, x)
    axes: tuple[int, ...] | None = None
    if dim is not None:
        axes = (axis_number(dim, _rank(m, value)),)
    if axes is None and isinstance(value, Tensor) and "" not in value.axes:
        axes = (value.axis("F"),) if m.scope.features(value) == 1 else None
    if axes is None:
        axes = tuple(
            i for i in range(_rank(m, value)) if isinstance(value, Tensor) and not value.axes[i]
        )
    try:
        squeezed: Value = m.run("Squeeze", value, axes=axes)
    except RefusedError:
        squeezed = value
    if squeezed is value or not axes:
        argument = "" if dim is None else dim
        raise RefusedError(f"squeeze({argument}): expected a last axis of size 1")
    return squeezed


def unsqueeze(m: Operators, x: Any, dim: Any) -> Value:
    """Give a value an axis of size 1."""
    if isinstance(x, FeatureSlice) and dim == 0:
        return FirstStates((x,))
    if isinstance(x, Zeros):
        return x
    if isinstance(x, ModuleArray) and not x.turned:
        shape = [*m.scope.shape_of(x)]
        shape.insert(axis_number(dim, len(shape) + 1), 1)
        return replace(x, shape=tuple(shape))
    value = x if isinstance(x, Known | Argument) else _movable(m.scope, x)
    return m.run("Unsqueeze", value, axes=(axis_number(dim, _rank(m, value) + 1),))


def repeat(op: str) -> Callable[..., Value]:
    """Return a function that repeats a vector as steps."""

    def run(m: Operators, x: Any, *sizes: Any) -> Value:
        several = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple) else sizes
        if isinstance(x, ModuleArray):
            return _learned(m, op, x, several)
        value = x if isinstance(x, Known | Argument) else _movable(m.scope, x)
        try:
            # As many as there are.
            return m.run(op, value, join_sizes(m, [1 if n == -1 else n for n in several]))
        except RestartError:
            raise
        except RefusedError:
            message = "expected a vector repeated as steps: unsqueeze(1).repeat(1, STEPS, 1)"
            raise RefusedError(message) from None

    return run


def _learned(m: Operators, op: str, x: ModuleArray, sizes: Sequence[Any]) -> Value:
    """Return an array of the module that is the same for each sequence.

    Raises:
        RefusedError: it is repeated otherwise than for the sequences.
    """
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


def stack(m: Operators, x: Any, dim: Any = 0) -> Value:
    """Return vectors one after the other along a new first axis."""
    if dim != 0 or not isinstance(x, tuple):
        raise RefusedError(f"dim: expected 0, received {dim}", "E703")
    values = [m.scope.operand(part) if isinstance(part, Tensor) else part for part in x]
    for value in values:
        if not isinstance(value, Tensor | State | Zeros | FeatureSlice):
            raise RefusedError(f"expected vectors, received {describe(value)}")
    return FirstStates(tuple(values))


def join_sizes(m: Operators, sizes: Any) -> Known:
    """Return sizes, some of which are plain numbers, as the numbers of a shape."""
    if not all(isinstance(size, int | Known) for size in sizes):
        raise RefusedError("expected sizes, received others", "E703")
    parts = [m.run("Reshape", m.numbers(size), [-1]) for size in sizes]
    return m.compute("Concat", *parts, axis=0)


def flatten(m: Operators, x: Any, start_dim: Any = 0, end_dim: Any = -1) -> Value:
    """Join the final states of both directions, or all steps."""
    joins = (start_dim, end_dim) in ((1, -1), (1, 2))
    return reshape(m, x, 0, -1 if joins else 0)


_OTHER_SHAPE = "expected no change of shapes, received one; rnnspec supports none"


def reshape(m: Operators, x: Any, *sizes: Any) -> Value:
    """Join the final states of both directions, or all steps; or group axes otherwise."""
    sizes = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple) else sizes
    if len(sizes) == 1 and isinstance(sizes[0], Known) and sizes[0].samples[0].ndim == 1:
        (whole,) = sizes
        sizes = tuple(m.run("Gather", whole, i, axis=0) for i in range(len(whole.samples[0])))
    match x:
        case States():
            return _reshape_states(m, x, sizes)
        case Tensor():
            return _reshape_tensor(m, x, sizes)
        case Known() | Argument():
            return m.run("Reshape", x, join_sizes(m, sizes))
        case _:
            raise RefusedError(_OTHER_SHAPE, "E701")


def _reshape_states(m: Operators, x: States, sizes: tuple[Any, ...]) -> Value:
    """Return final states by layer and direction, or all of them side by side."""
    scope, ways = m.scope, x.directions
    width = scope.width(x.at) or 0
    numbers = [_as_number(size) for size in sizes]
    rows = [size.samples for size in numbers if isinstance(size, Known)]
    of_batch = [tuple(int(size) for size in samples) == scope.probes.rows for samples in rows]
    plain = [size if type(size) is int else "B" for size in numbers]
    if not all(of_batch):
        raise RefusedError(_OTHER_SHAPE, "E701")
    shape = (x.number // ways, ways, "B", width // ways)
    if (
        len(plain) == 4
        and not x.swapped
        and all(a in (b, -1) for a, b in zip(plain, shape, strict=True))
    ):
        several = [State(x, index - x.number) for index in range(x.number)]
        return FirstStates(
            tuple(FirstStates(tuple(several[i : i + ways])) for i in range(0, x.number, ways))
        )
    whole = (
        len(plain) == 2 and plain[0] in ("B", -1, 0) and plain[1] in (-1, x.number * width // ways)
    )
    if whole and x.number == 1:
        return scope.whole(x)
    if whole and x.swapped and x.number == ways:
        return merge_states(scope, (State(x, -2), State(x, -1)), "concat")
    if whole and x.swapped and x.levels:
        part = "c" if x.is_cell else "h"
        parts = [Tensor(scope.final_state(at, part), ("B", "F")) for at in x.levels]
        return m.run("Concat", *parts, axis=1)
    if whole:
        raise RefusedError(
            "puts states of different sequences side by side; expected the batch first, "
            "h.transpose(0, 1).reshape(batch, -1)"
        )
    raise RefusedError(_OTHER_SHAPE, "E701")


def _as_number(size: Any) -> Any:
    """Return a size that is the same for every input as a plain number."""
    constant = size.constant if isinstance(size, Known) else None
    return size if constant is None or constant.ndim else int(constant)


def _reshape_tensor(m: Operators, x: Tensor, sizes: tuple[Any, ...]) -> Value:
    scope = m.scope
    value = _movable(scope, x)
    sizes = tuple(_as_number(size) for size in sizes)
    rows = len(sizes) == 2 and value.axes[-1:] == ("F",) and sizes[1] == scope.features(value)
    if len(sizes) == 2 and not rows and sorted(value.axes) == ["B", "F", "T"]:
        if value.axes != ("B", "T", "F") and not is_size(sizes[1]):
            axes = " before ".join(NAMES_OF_AXES[axis] for axis in value.axes)
            message = f"expected the batch before the steps before the features, received {axes}"
            raise RefusedError(f"{message}; rnnspec flattens step after step")
        if type(sizes[1]) is int and sizes[1] > 0:
            return scope.flatten(value, sizes[1])
    try:
        result = m.run_on(value, "Reshape", join_sizes(m, sizes))
    except RestartError:
        if any(isinstance(size, Known) for size in sizes[1:]):
            # Of sizes that may be any, none fixes another one.
            raise RefusedError(_OTHER_SHAPE, "E701") from None
        raise
    except RefusedError:
        size = sizes[-1]
        if value.at <= 0 and value.axes[-1:] == ("F",) and len(sizes) == 3 and type(size) is int:
            # It says how many features the input has.
            scope.fit_features(value.at, size)
        raise RefusedError(_OTHER_SHAPE, "E701") from None
    if any("TF" in axis for axis in result.axes):
        return scope.layer_output(result)
    return result


_ALL = slice(None)


def select(m: Operators, x: Any, dim: Any, index: Any) -> Value:
    """Return one element of an axis."""
    return item(m, x, (_ALL,) * axis_number(dim, _rank(m, x)) + (index,))


def narrow(m: Operators, x: Any, dim: Any, start: Any, length: Any) -> Value:
    """Return a number of elements of an axis."""
    if type(start) is not int or type(length) is not int:
        raise RefusedError("expected numbers as start and length, received others", "E703")
    part = slice(start or None, start + length or None)
    return item(m, x, (_ALL,) * axis_number(dim, _rank(m, x)) + (part,))


def split(m: Operators, x: Any, sizes: Any, dim: Any = 0) -> Value:
    """Return parts of an axis."""
    value = _movable(m.scope, x)
    axis = axis_number(dim, len(value.axes))
    whole = m.scope.shape(value)[0][axis]
    if type(sizes) is int and sizes > 0:
        sizes = (sizes,) * (whole // sizes) + ((whole % sizes,) if whole % sizes else ())
    if not isinstance(sizes, tuple) or any(type(size) is not int for size in sizes):
        raise RefusedError("expected sizes that are numbers, received others", "E703")
    if value.axes[axis] == "F" and (several := m.scope.cut_dense(value, sizes)) is not None:
        return Several(several)
    return Several(tuple(m.several("Split", value, list(sizes), outputs=len(sizes), axis=axis)))


def gather(m: Operators, x: Any, dim: Any, index: Any) -> Value:
    """Return the steps at an index for each element."""
    value = _movable(m.scope, x)
    axis = axis_number(dim, len(value.axes))
    gathered = m.run_on(value, "GatherElements", index, axis=axis)
    return m.scope.layer_output(gathered) if gathered.axis("T") < 0 else gathered


def expand_as(m: Operators, x: Any, other: Any) -> Value:
    """Repeat a value in the shape of another one; weights are one for all features anyway."""
    if isinstance(x, Tensor) and x.role == "weights":
        return x
    return m.run("Expand", m.numbers(x), m.run("Shape", other))


def item(  # noqa: PLR0912 - a branch for each kind of value
    m: Operators, x: Any, index: Any
) -> Value:
    """Return ``x[index]``.

    Raises:
        RefusedError: rnnspec does not support this part.
    """
    match x:
        case FirstStates(swapped=True):
            raise RefusedError("expected the layers before the batch, received the batch first")
        case FirstStates(items) if isinstance(index, slice):
            return FirstStates(items[index])
        case Several(items) | FirstStates(items):
            index = _leading(index, 1)
            if type(index) is not int or not -len(items) <= index < len(items):
                raise RefusedError(f"expected one of {len(items)} results, received [{index}]")
            value: Value = items[index]
            return value
        case States() if (
            isinstance(index, tuple) and len(index) > 1 and index[0] == _ALL and _is_order(index[1])
        ):
            return index_select(m, x, 1, index[1])
        case States():
            return _state(x, index)
        case NonTensor():
            return NonTensor()
        case Known() | Argument() if _is_order(index):
            numbers: Known = m.numbers(x)
            ordered: Known = _take(m, numbers, _parts(index, numbers.samples[0].ndim))
            return replace(ordered, name=numbers.name)
        case State() if _is_order(index):
            return item(m, m.scope.whole(x), index)
        case Tensor() if _is_order(index):
            return _in_order_of_rows(m, x, 0, index)
        case Argument(name=name) if None not in _parts(index, 1):
            raise RefusedError(f"takes a part of the argument '{name}' of forward; {NO_STATES}")
        case Known(name=name) if name.startswith(LENGTHS) and type(index) is int:
            name = name.removeprefix(LENGTHS)
            raise RefusedError(f"takes a part of the argument '{name}' of forward; {NO_STATES}")
        case Tensor():
            return _part(m, x, index)
        case Known() | Argument():
            part: Value = _take(m, x, _parts(index, _rank(m, x)))
            return part
        case _:
            raise RefusedError(f"expected a tensor, received a part of {describe(x)}")


def _is_order(index: Any) -> bool:
    """True if an index may be an order of the sequences of a batch."""
    return (
        isinstance(index, Known) and index.samples[0].ndim == 1 and index.samples[0].dtype != bool
    )


def _in_order_of_rows(m: Operators, x: Tensor, axis: int, index: Any) -> Tensor:
    return m.run_on(_movable(m.scope, x), "Gather", index, axis=axis)


def index_select(m: Operators, x: Any, dim: Any, index: Any) -> Value:
    """Return the elements of an axis at some indices."""
    if isinstance(x, State):
        x = m.scope.whole(x)
    if isinstance(x, States) and dim == 1:
        order = x.rows or tuple(np.arange(count) for count in m.scope.probes.rows)
        rows = tuple(a[b] for a, b in zip(order, m.numbers(index).arrays, strict=True))
        plain = all(np.array_equal(row, np.arange(len(row))) for row in rows)
        return replace(x, rows=None if plain else rows)
    if isinstance(x, Tensor):
        return _in_order_of_rows(m, x, axis_number(dim, len(x.axes)), index)
    numbers = m.numbers(x)
    return replace(m.compute("Gather", numbers, index, axis=dim), name=numbers.name)


def sort(m: Operators, x: Any, dim: Any = -1, descending: Any = False, **_: Any) -> Value:
    """Return lengths in their order, and the places that they had."""
    order = argsort(m, x, dim, descending)
    return Several((item(m, x, order), order))


def argsort(m: Operators, x: Any, dim: Any = -1, descending: Any = False, **_: Any) -> Known:
    """Return the order of lengths, or that of places."""
    numbers = m.numbers(x)
    if isinstance(dim, bool):
        dim, descending = -1, dim
    if not isinstance(numbers, Known) or numbers.samples[0].ndim != 1 or dim not in (0, -1):
        raise RefusedError(f"expected lengths that are sorted, received {describe(x)}")
    sign = -1 if descending else 1
    return Known(tuple(np.argsort(sign * array, kind="stable") for array in numbers.arrays))


def _state(all_states: States, index: Any) -> Value:
    index = _leading(index, 1)
    if all_states.swapped and isinstance(index, tuple) and index[0] == _ALL:
        index = _leading(index, 2)[1]
        all_states = replace(all_states, swapped=False)
    several = tuple(State(all_states, i - all_states.number) for i in range(all_states.number))
    if isinstance(index, slice) and not all_states.swapped and several[index]:
        return FirstStates(several[index])
    if type(index) is not int or all_states.swapped:
        raise RefusedError("expected one final state, such as h[-1], received another part")
    state = State(all_states, index if index < 0 else index - all_states.number)
    if not -all_states.number <= state.index < 0:
        raise RefusedError(f"expected one of {all_states.number} final states, received [{index}]")
    return state


def _parts(index: Any, rank: int) -> list[Any]:
    """Return an index for each axis, and None for each axis that is added."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if any(part is ... for part in parts):
        at = next(i for i, part in enumerate(parts) if part is ...)
        axes_indexed = sum(part is not None for part in parts) - 1
        parts[at : at + 1] = [_ALL] * (rank - axes_indexed)
    return parts + [_ALL] * (rank - sum(part is not None for part in parts))


def _take(m: Operators, x: Any, parts: list[Any]) -> Any:
    """Return parts of the axes of a value, with those of size 1 that are added."""
    axis, value = 0, m.numbers(x)
    for part in parts:
        match part:
            case None:
                value = m.run("Unsqueeze", value, axes=(axis,))
            case slice(start=None, stop=None, step=None):
                pass
            case slice(start=start, stop=stop, step=stride):
                last = np.iinfo(np.int64).max
                ends = [0 if start is None else start, last if stop is None else stop]
                starts, stops = (m.run("Reshape", m.numbers(end), [1]) for end in ends)
                strides = [1 if stride is None else stride]
                value = m.run("Slice", value, starts, stops, [axis], strides)
            case int() | Known():
                value = m.run("Gather", value, m.numbers(part), axis=axis)
                axis -= m.numbers(part).samples[0].ndim == 0
            case _:
                raise RefusedError(f"expected a number or a slice, received {describe(part)}")
        axis += 1
    return value


def _part(  # noqa: PLR0912 - a branch for each part
    m: Operators, x: Tensor, index: Any
) -> Value:
    """Return the last step or steps, or cut off those that a causal convolution does not have."""
    scope = m.scope
    if isinstance(index, str):
        raise RefusedError(f"expected a tensor as the input, received a mapping with '{index}'")
    parts = _parts(index, len(x.axes))
    match x.axes, parts:
        case ("B", "F"), [slice(start=None, stop=None, step=None), slice(step=None) as part]:
            vector, (start, stop) = scope.layer_output(x), (part.start or 0, part.stop)
            width = scope.features(vector)
            stop = width if stop is None else stop
            if type(start) is int and type(stop) is int and (start, stop) != (0, width):
                return FeatureSlice(vector, start % width, stop if stop > 0 else stop + width)
        case _:
            pass
    steps = x.axis("T")
    axis_parts = [part for part in parts if part is not None]
    match axis_parts[:2]:
        case [Known() as one, Known() as two]:
            # Of each sequence, a step of its own.
            pairs = [m.run("Unsqueeze", rows, axes=(-1,)) for rows in (one, two)]
            places = m.run("Concat", *pairs, axis=-1)
            return scope.layer_output(m.run("GatherND", _movable(scope, x), places))
        case _:
            pass
    features = x.axis("F")
    cut = steps >= 0 and len(axis_parts) == len(x.axes) and axis_parts[features] != _ALL
    if cut and scope.features(x) > 1 and not _has_halves(scope, x):
        raise RefusedError(
            f"takes some of the features, [{_state_in_words(index)}]; rnnspec reads no part of "
            "features; take them as an argument of forward, or make a layer of each part"
        )
    if steps < 0 and not x.axes.count(""):
        if all(part == _ALL for part in axis_parts):
            return _take_part(m, x, parts, "")
        raise RefusedError(f"expected a step of a sequence, received a part of {describe(x)}")
    match axis_parts[steps] if steps >= 0 and len(axis_parts) == len(x.axes) else None:
        case slice(start=None, stop=Known(), step=None | 1) if x.surplus:
            raise RefusedError(f"expected [..., :-{x.surplus}], received a size of a tensor")
        case slice(start=int(start), stop=None, step=None | 1) if start < 0 and all(
            part == _ALL for i, part in enumerate(axis_parts) if i != steps
        ):
            return _last_steps(scope, _movable(scope, x), -start)
        case _:
            pass
    if steps < 0:
        message = "expected the only step of a sequence, received another part"
        return _take_part(m, x, parts, message)
    result = _take_part(m, x, parts, _other_part(index, steps))
    if result.steps is None or result.axis("T") >= 0:
        return result
    if scope.is_padded(x.at):
        raise RefusedError(
            "reads the last step, which is padding in a shorter sequence; expected the final "
            "state, h[-1] or torch.cat((h[-2], h[-1]), dim=1)"
        )
    if not any(scope.is_at(result, end) for end in ("last", "first")):
        raise RefusedError(_other_part(index, steps))
    if result.half is None and not scope.is_at(result, "last"):
        solid = scope.layer_output(replace(result, axes=x.axes, steps=None))
        return Tensor(scope.first_step(solid.at), result.axes)
    return result if result.half is not None else scope.layer_output(result)


def _has_halves(scope: ModuleScope, x: Tensor) -> bool:
    """True if a value has the features of both directions of a layer."""
    layer = scope.steps[x.at].layer if x.at > 0 else None
    return isinstance(layer, nodes.Recurrent) and layer.merge is not None


def _take_part(m: Operators, x: Tensor, parts: list[Any], message: str) -> Tensor:
    try:
        part: Tensor = _take(m, x, parts)
    except RefusedError as error:
        raise RefusedError(message or error.message) from None
    return part


def _other_part(index: Any, steps: int) -> str:
    last = "[-1]" if steps == 0 else "[:, -1]"
    return (
        f"expected the last step, {last}, received [{_state_in_words(index)}]; 'pooling: last' of "
        "both directions is torch.cat((h[-2], h[-1]), 1)"
    )


def _last_steps(scope: ModuleScope, x: Tensor, count: int) -> Tensor:
    value = scope.layer_output(x)
    if scope.is_padded(value.at):
        raise RefusedError("reads the last steps, which are padding in a shorter sequence")
    return scope.result(value, scope.add_last_steps(value.at, count))


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


def merge_states(scope: ModuleScope, several: tuple[State, ...], merge: Merge) -> Value:
    """Return the final states of both directions of the top layer, merged.

    Raises:
        RefusedError: they are others.
    """
    first = several[0].states
    if len(several) == 1:
        return scope.whole(several[0])
    indices = tuple(state.index for state in several)
    level, direction = divmod(indices[0] + first.number, 2)
    pair = indices == (indices[0], indices[0] + 1) and not direction and first.directions == 2
    other = first.is_cell or indices[-1] != -1
    if pair and other and first.levels and all(state.states == first for state in several):
        if merge != "concat":
            raise RefusedError("expected the states of both directions side by side")
        at = scope.final_state(first.levels[level], "c" if first.is_cell else "h")
        return Tensor(at, ("B", "F"), rows=first.rows)
    alike = all(state.states == first for state in several) and not first.is_cell
    if not alike or indices not in ((-2, -1), (-1, -2)) or first.directions != 2:
        apart = len({state.states.module for state in several}) > 1
        received = [f"{s} of {s.states.module}" if apart else f"{s}" for s in several]
        message = (
            f"expected h[-2] and h[-1] of one bidirectional module, received {listed(received)}"
        )
        cells = "; rnnspec passes on no cell state, c"
        raise RefusedError(message + cells * any(state.states.is_cell for state in several))
    value = scope.whole(replace(first, number=1))
    layer = scope.steps[first.at].layer
    assert isinstance(layer, nodes.Recurrent), "it has states"
    if merge != "concat":
        scope.merge(first.at, merge)
    elif layer.merge != "concat":
        raise RefusedError("uses both the states of two directions and their sum; expected one")
    turned = merge == "concat" and indices == (-1, -2)
    return replace(value, backward_first=turned, merge=merge)


def chunk(m: Operators, x: Any, chunks: Any, dim: Any = 0) -> Value:
    """Return the features of each direction."""
    try:
        value = _movable(m.scope, x)
        axis = axis_number(dim, len(value.axes))
        width = m.scope.features(value)
        if value.axes[axis] == "F" and type(chunks) is int and not width % chunks:
            several = m.scope.cut_dense(value, (width // chunks,) * chunks)
            if several is not None:
                return Several(several)
        parts = m.several("Split", value, outputs=chunks, axis=axis)
    except RefusedError:
        message = "expected the features of both directions, chunk(2, -1)"
        raise RefusedError(message) from None
    return Several(tuple(parts))


def flip(m: Operators, x: Any, *dims: Any) -> Value:
    """Return a sequence in the reverse order of its steps, or one of these as it was."""
    value = x.steps if isinstance(x, Reversed) else x
    if isinstance(value, Known) and dims in ((1,), ((1,),)):
        return value if isinstance(x, Reversed) else Reversed(value)
    value = m.scope.operand(value)
    (dims,) = dims if isinstance(dims[0], tuple) else (dims,)
    if len(dims) != 1 or value.axes[axis_number(dims[0], len(value.axes))] != "T":
        raise RefusedError("expected a flip of the steps, received another")
    return value if isinstance(x, Reversed) else Reversed(value)
