"""The calls of layers in the configuration of a functional model, and the ends of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnspec.errors import UsageError
from rnnspec.importing.imported import Account, show_value
from rnnspec.importing.keras.settings import wrong

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


Tensor = tuple[str, int, int]
"""An output of a layer: the layer, the number of its call, and that of the output."""


@dataclass(frozen=True, slots=True)
class LayerCall:
    """One call of a layer in a functional model: (layer, call, output) of each input.

    ``states`` are the same of each first state of a recurrent layer.
    """

    inputs: tuple[Tensor, ...]
    kwargs: Mapping[str, Any]
    constants: tuple[Any, ...] = ()
    states: tuple[Tensor, ...] = ()

    @property
    def taken(self) -> tuple[Tensor, ...]:
        """Everything that the call takes."""
        return (*self.inputs, *self.states)


def read_calls(account: Account, layer: Mapping[str, Any], name: str) -> Iterator[LayerCall]:
    """Yield the calls of the layer ``name``, as Keras 2 and Keras 3 write them.

    Raises:
        UsageError: they are none.
    """
    path, calls = f"{name}.inbound_nodes", layer.get("inbound_nodes")
    if not isinstance(calls, list | tuple | None):
        raise wrong(account, path, f"expected a list of calls, received {show_value(calls)}")
    for at, call in enumerate(calls or ()):
        match call:
            case {"args": [*args], "kwargs": dict(kwargs)}:
                yield _read_new_call(args, kwargs)
            case [*inputs]:
                yield _read_old_call(inputs)
            case _:
                raise wrong(
                    account, f"{path}[{at}]", f"expected a call, received {show_value(call)}"
                )


def _read_tensor(value: Any) -> Tensor | None:
    """Return the (layer, call, output) of a tensor in a configuration of Keras 3."""
    match value:
        case {
            "class_name": "__keras_tensor__",
            "config": {"keras_history": [str(name), call, index]},
        } if type(call) is int and type(index) is int:
            return name, call, index
        case _:
            return None


def _read_new_call(args: list[Any], kwargs: Mapping[str, Any]) -> LayerCall:
    flat = args[0] if len(args) == 1 and isinstance(args[0], list | tuple) else args
    values = [(value, _read_tensor(value)) for value in flat]
    constants = tuple(value for value, tensor in values if tensor is None and value is not None)
    given = kwargs.get("initial_state")
    several = given if isinstance(given, list | tuple) else [given]
    states = [_read_tensor(state) for state in several]
    known = tuple(state for state in states if state)
    if known and len(known) == len(states):
        kwargs = {key: value for key, value in kwargs.items() if key != "initial_state"}
    else:
        known = ()
    return LayerCall(tuple(tensor for _, tensor in values if tensor), kwargs, constants, known)


def _read_old_call(inputs: list[Any]) -> LayerCall:
    tensors, constants, kwargs = list[Tensor](), list[Any](), dict[str, Any]()
    # A single input is sometimes written without the list around it.
    for item in [inputs] if inputs and isinstance(inputs[0], str) else inputs:
        match item:
            case [str(name), call, index, *rest] if (
                name != "_CONSTANT_VALUE"
                and type(call) is type(index) is int
                and all(isinstance(more, dict) for more in rest)
            ):
                tensors.append((name, call, index))
                for more in rest:
                    kwargs |= more
            case _:
                constants.append(item)
    return LayerCall(tuple(tensors), kwargs, tuple(constants))


@dataclass(frozen=True, slots=True)
class End:
    """A layer at an end of a model, which of its calls and outputs, and its key in a mapping."""

    layer: str
    call: int
    output: int
    key: str | None = None


def read_ends(account: Account, name: str, value: Any) -> tuple[End, ...]:
    """Return the input or the output layers.

    Raises:
        UsageError: they are no layers.
    """
    match value:
        case [str(), _, _]:
            return (_end(account, name, value),)
        case [*several]:
            return tuple(_end(account, name, end) for end in several)
        case dict():
            return tuple(_end(account, name, end, str(key)) for key, end in value.items())
        case _:
            raise UsageError(
                f"{name}: expected layers, received {show_value(value)}", account.source
            )


def _end(account: Account, name: str, value: Any, key: str | None = None) -> End:
    match value:
        case [str(layer), call, output] if type(call) is type(output) is int:
            return End(layer, call, output, key)
        case [[str(), _, _] as only]:
            return _end(account, name, only, key)
        case _:
            raise UsageError(
                f"{name}: expected a layer, received {show_value(value)}", account.source
            )
