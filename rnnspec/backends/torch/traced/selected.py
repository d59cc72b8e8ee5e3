"""Parts of values: a step of a sequence, a state of several."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rnnspec.backends.torch.traced.values import (
    Lengths,
    RefusedError,
    Several,
    Size,
    State,
    States,
    Tensor,
    said,
)
from rnnspec.errors import listed
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.backends.torch.traced.scope import Scope
    from rnnspec.backends.torch.traced.values import Value
    from rnnspec.words import Merge

_ALL = slice(None)
NO_STATES = (
    "a spec has no input for states, which start at zeros; give the argument the default None"
)
"""What to do about initial states that are an argument."""


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
            raise RefusedError(f"expected a tensor, received a part of {said(x)}")


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
        raise RefusedError(f"expected a step of a sequence, received a part of {said(value)}")
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
    return "..." if index is ... else f"{index}" if isinstance(index, int) else said(index)


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
        at = len(scope.chain.layers) - 1
        layer = scope.chain.layers[at]
        assert isinstance(layer, nodes.Recurrent), "it has just been changed"
        scope.chain.change(at, replace(layer, merge=merge))
    turned = merge == "concat" and indices == (-1, -2)
    return replace(value, version=scope.chain.version, backward_first=turned)
