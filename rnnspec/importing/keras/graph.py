"""The layers of a configuration of Keras in the order in which data passes through them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rnnspec.backends.imported import Account, show_value
from rnnspec.backends.keras.arrays import Foreign
from rnnspec.errors import UsageError, listed
from rnnspec.importing.keras.layers import CELLS, CLASSES, KINDS, OPERATIONS
from rnnspec.importing.keras.settings import MODELS, foreign, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Node:
    """One call of a layer in a functional model: (layer, call, output) of each input."""

    inputs: tuple[tuple[str, int, int], ...]
    kwargs: Mapping[str, Any]
    constants: tuple[Any, ...] = ()


def nodes(account: Account, layer: Mapping[str, Any], name: str) -> Iterator[Node]:
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
                yield _new_node(args, kwargs)
            case [*inputs]:
                yield _old_node(inputs)
            case _:
                raise wrong(
                    account, f"{path}[{at}]", f"expected a call, received {show_value(call)}"
                )


def tensor(value: Any) -> tuple[str, int, int] | None:
    """Return the (layer, call, output) of a tensor in a configuration of Keras 3."""
    match value:
        case {
            "class_name": "__keras_tensor__",
            "config": {"keras_history": [str(name), call, index]},
        } if type(call) is int and type(index) is int:
            return name, call, index
        case _:
            return None


def _new_node(args: list[Any], kwargs: Mapping[str, Any]) -> Node:
    flat = args[0] if len(args) == 1 and isinstance(args[0], list | tuple) else args
    found = [(value, tensor(value)) for value in flat]
    constants = tuple(value for value, each in found if each is None and value is not None)
    return Node(tuple(each for _, each in found if each), kwargs, constants)


def _old_node(inputs: list[Any]) -> Node:
    found, constants, kwargs = list[tuple[str, int, int]](), list[Any](), dict[str, Any]()
    # A single input is sometimes written without the list around it.
    for each in [inputs] if inputs and isinstance(inputs[0], str) else inputs:
        match each:
            case [str(name), call, index, *rest] if (
                name != "_CONSTANT_VALUE"
                and type(call) is type(index) is int
                and all(isinstance(more, dict) for more in rest)
            ):
                found.append((name, call, index))
                for more in rest:
                    kwargs |= more
            case _:
                constants.append(each)
    return Node(tuple(found), kwargs, tuple(constants))


_DEEPEST = 50
_LARGEST = 1e30
_OTHER = "has a mask that is not that of the input, which the language lacks"


class MaskError(Exception):
    """A mask that is not made from the padding of the input."""


class Masks:
    """The operations of a graph that compute masks."""

    def __init__(
        self, layers: Mapping[str, Foreign], calls: Mapping[str, tuple[Node, ...]]
    ) -> None:
        self._layers = layers
        self._calls = calls
        # What was found, as a hostile graph has as many paths as it likes.
        self._found: dict[tuple[str, str], float] = {}

    def padding(self, mask: Any, first: str) -> float:
        """Return the value of padding: the mask is true where the input ``first`` is another.

        Raises:
            MaskError: the mask is another.
        """
        match mask:
            case {"config": {"keras_history": [str(name), int(), int()]}}:
                return self._of(name, first, 0)
            case [str(name), int(), int()]:
                return self._of(name, first, 0)
            case _:
                raise MaskError(_OTHER)

    def _of(self, name: str, first: str, depth: int) -> float:
        if (name, first) not in self._found:
            self._found[name, first] = self._made_by(name, first, depth)
        return self._found[name, first]

    def _made_by(self, name: str, first: str, depth: int) -> float:
        layer, calls = self._layers.get(name), self._calls.get(name, ())
        if layer is None or layer.custom or len(calls) != 1 or depth > _DEEPEST:
            raise MaskError(_OTHER)
        inputs = [source for source, _, _ in calls[0].inputs]
        match layer.kind, inputs, calls[0].constants:
            case "NotEqual", [source], [int() | float() as value] if source == first:
                # Keras compares with numbers of 32 or 64 bits.
                if type(value) is not bool and abs(value) < _LARGEST:
                    return float(value)
            case "Any", [source], [] if layer.config.get("axis") in (-1, [-1], 2):
                return self._of(source, first, depth + 1)
            case "ConvertToTensor", [source], []:
                return self._of(source, first, depth + 1)
            # Both sides of a residual have the mask of the input.
            case "LogicalOr" | "LogicalAnd", [one, other], []:
                value = self._of(one, first, depth + 1)
                if one == other or value == self._of(other, first, depth + 1):
                    return value
            case _:
                pass
        raise MaskError(_OTHER)


MAX_LAYERS = 4_000
_DEEPEST = 4
_MOST_UNUSED = 10
_RECURRENT = (*KINDS, *CELLS, "RNN", "Bidirectional")


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers of a model, from the input to the output if they form a ``chain``."""

    found: list[Foreign]
    chain: bool


def layers_of(account: Account, config: Any) -> Layers:
    """Return the layers of a model in order, with the input layer if there is one.

    The layers of a model that is itself a layer stand in its place. What forms no chain is refused
    in ``account``; the layers then stand in the order of the file.

    Raises:
        UsageError: this is no configuration of a model.
    """
    return _flat(account, _layers_of(account, config))


def _flat(account: Account, layers: Layers, depth: int = 0) -> Layers:
    found, chain = list[Foreign](), layers.chain
    for layer in layers.found:
        if layer.kind not in MODELS or layer.custom or depth >= _DEEPEST:
            found.append(layer)
            continue
        config = {"class_name": layer.kind, "config": layer.config}
        inner = _flat(account, _layers_of(account, config), depth + 1)
        chain = chain and inner.chain
        if layer.output:
            message = f"its output {layer.output} is used; the language passes on the first"
            account.refuse(layer.name, message, "E704")
        own = [each.inside(layer) for each in inner.found]
        if found:
            for each in own:
                if each.mask is not None:
                    message = "has a mask that is made from the output of another layer"
                    message += "; the language has that of the input"
                    account.refuse(each.name, message, "E704")
            # Its input is the output of the layer before it.
            inputs = {each.name for each in own if each.kind == "InputLayer"}
            own = [
                replace(each, skip=found[-1].name) if each.skip in inputs else each
                for each in own
                if each.name not in inputs
            ]
            if own and layer.mask is not None:
                own[0] = replace(own[0], mask=layer.mask)
        found += own
    return Layers(found, chain)


def _layers_of(account: Account, config: Any) -> Layers:
    match config:
        case {"class_name": "Sequential", "config": [] | {"layers": []}}:
            account.refuse("model", "expected layers, received none", "E704")
            return Layers([], chain=False)
        case {"class_name": "Sequential", "config": [*layers] | {"layers": [*layers]}}:
            found = enumerate(_few(account, layers))
            return Layers([foreign(account, each, f"layers[{n}]") for n, each in found], chain=True)
        case {
            "class_name": "Model" | "Functional",
            "config": {"layers": [*layers], "input_layers": inputs, "output_layers": outputs},
        }:
            return _Graph(account, _few(account, layers)).layers_between(
                _ends(account, "input_layers", inputs), _ends(account, "output_layers", outputs)
            )
        case {"class_name": "Sequential" | "Model" | "Functional" as name, "config": inner}:
            wanted = "expected the layers with the input and the output layers"
            received = f"received {show_value(inner)}"
            raise UsageError(f"config of a {name} model: {wanted}, {received}", account.source)
        case {"class_name": str(name), "config": _}:
            account.refuse(
                "model",
                f"expected a Sequential or a functional model, received {show_value(name)}: the "
                "layers of a subclassed model are in its Python code, not in the file",
                "E701",
            )
            return Layers([], chain=False)
        case _:
            wanted = "expected the configuration of a Keras model"
            raise UsageError(f"{wanted}, received {show_value(config)}", account.source)


def _few(account: Account, layers: list[Any]) -> list[Any]:
    if len(layers) > MAX_LAYERS:
        raise UsageError(
            f"expected at most {MAX_LAYERS:,} layers, received {len(layers):,}", account.source
        )
    return layers


End = tuple[str, int]
"""A layer, and which of its outputs the model has."""


def _ends(account: Account, key: str, value: Any) -> tuple[End, ...]:
    """Return the input or the output layers.

    Raises:
        UsageError: they are no layers.
    """
    match value:
        case [str(name), call, output] if type(call) is type(output) is int:
            return ((name, output),)
        case [*several]:
            return tuple(end for each in several for end in _one_end(account, key, each))
        case dict():
            return tuple(end for each in value.values() for end in _one_end(account, key, each))
        case _:
            raise UsageError(
                f"{key}: expected layers, received {show_value(value)}", account.source
            )


def _one_end(account: Account, key: str, value: Any) -> tuple[End, ...]:
    match value:
        case [str(), _, _]:
            return _ends(account, key, value)
        case [[str(), _, _] as only]:
            return _ends(account, key, only)
        case _:
            raise UsageError(
                f"{key}: expected a layer, received {show_value(value)}", account.source
            )


class _Graph:
    """The layers of a functional model with the calls that connect them."""

    def __init__(self, account: Account, layers: Sequence[Any]) -> None:
        self.account = account
        found = [foreign(account, each, f"layers[{at}]") for at, each in enumerate(layers)]
        self.layers = {each.name: each for each in found}
        if len(self.layers) < len(found):
            raise UsageError("expected layers of different names", account.source)
        self.calls = {
            each.name: tuple(nodes(account, layer, each.name))
            for each, layer in zip(found, layers, strict=True)
        }
        self._masks = Masks(self.layers, self.calls)
        self._data: list[str] = []
        self._readers: dict[str, list[str]] = {}

    def refuse(self, where: str, message: str) -> None:
        """Record that the layers form no chain."""
        self.account.refuse(where, message, "E704")

    def layers_between(self, inputs: tuple[End, ...], outputs: tuple[End, ...]) -> Layers:
        """Return the layers from the input to the output."""
        self._find_readers(outputs)
        order = self._chain(inputs, outputs)
        if not order:
            feeding = self._feeding()
            found = [replace(self.layers[name], feeds=name in feeding) for name in self._data]
            return Layers(found, chain=False)
        placed = [self._with_call(name, order, at) for at, name in enumerate(order)]
        # Which output is used, the reader says, and for the last layer the model.
        read = [
            next(at for source, _, at in self.calls[name][0].inputs if source == before)
            for before, name in pairwise(order)
        ]
        read.append(outputs[0][1])
        pairs = zip(placed, read, strict=True)
        return Layers([replace(layer, output=output) for layer, output in pairs], chain=True)

    def _find_readers(self, outputs: tuple[End, ...]) -> None:
        """Find the layers that data passes through, and who reads each of them.

        Operations that only make masks are no part of it.
        """
        waiting, reached = [name for name, _ in outputs], set[str]()
        while waiting:
            if (name := waiting.pop()) not in reached:
                reached.add(name)
                calls = self.calls.get(name, ())
                waiting += [source for call in calls for source, _, _ in call.inputs]
        self._data = [
            name for name, each in self.layers.items() if not each.operation or name in reached
        ]
        for name in self._data:
            for call in self.calls[name]:
                for source, _, _ in call.inputs:
                    self._readers.setdefault(source, []).append(name)

    def _feeding(self) -> set[str]:
        """Return the layers whose output a recurrent layer gets, directly or not."""
        waiting = [name for name in self._data if self.layers[name].kind in _RECURRENT]
        found = set[str]()
        while waiting:
            for call in self.calls.get(waiting.pop(), ()):
                for source, _, _ in call.inputs:
                    if source not in found:
                        found.add(source)
                        waiting.append(source)
        return found

    def _chain(self, inputs: tuple[End, ...], outputs: tuple[End, ...]) -> list[str]:
        """Return the names from the input to the output, none if the layers form no chain."""
        fits = True
        for what, ends in (("input", inputs), ("output", outputs)):
            if len(ends) != 1 or ends[0][0] not in self.layers:
                received = listed([show_value(name) for name, _ in ends]) or "none"
                self.refuse("model", f"expected one {what}, received {received}")
                fits = False
        if not fits:
            return []
        order, (end, _) = self._order(inputs[0][0]), outputs[0]
        if order and order[-1] != end:
            self.refuse(order[-1], f"its output is unused: the model ends at {end}")
            return []
        unused = sorted(set(self._data) - set(order)) if order else []
        for name in unused[:_MOST_UNUSED]:
            self.refuse(name, "not on the way from the input to the output")
        return [] if unused else order

    def _order(self, first: str) -> list[str]:
        order, passed = [first], {first}
        while readers := self._readers.get(order[-1]):
            # A sum is the next layer when both of its inputs are known.
            ready = [
                name
                for name in readers
                if self.layers[name].kind != "Add" or self._sources(name) <= passed
            ]
            if len(ready) != 1 or len(self.calls[ready[0]]) != 1:
                self._branch(order[-1], readers)
                return []
            if ready[0] in passed:
                self.refuse(first, "the layers form a cycle")
                return []
            order.append(ready[0])
            passed.add(ready[0])
        return order

    def _sources(self, name: str) -> set[str]:
        return {source for call in self.calls[name] for source, _, _ in call.inputs}

    def _branch(self, name: str, readers: list[str]) -> None:
        again = [each for each in dict.fromkeys(readers) if len(self.calls[each]) != 1]
        for each in again:
            message = f"called {len(self.calls[each])} times, with the same weights"
            self.refuse(each, f"{message}; the language shares none")
        if again:
            return
        if len(set(readers)) == 1:
            self._reads_several(readers[0], name)
            return
        reading = listed([f"{each} ({self.layers[each].kind})" for each in readers])
        self.refuse(
            name,
            f"expected one layer that reads its output, received {reading}: the language has a "
            "chain of layers, and 'residual' around a recurrent layer",
        )

    def _reads_several(self, name: str, source: str) -> None:
        """Refuse a layer that reads several outputs of another, or one of them again."""
        reader = self.layers[name]
        read = [at for s, _, at in self.calls[name][0].inputs if s == source]
        if len(set(read)) > 1:
            outputs = listed([_output_name(self.layers[source], at) for at in dict.fromkeys(read)])
            message = f"reads {outputs} of {source}; the language passes on one of them"
            self.refuse(name, message)
        elif reader.kind in (OPERATIONS if reader.operation else (*CLASSES, *MODELS)):
            self.refuse(name, f"reads the output of {source} {len(read)} times; expected it once")
        # Any other reader is refused for its class, whatever it reads.

    def _with_call(self, name: str, order: list[str], at: int) -> Foreign:
        layer = self.layers[name]
        if at == 0:
            return layer
        call = self.calls[name][0]
        others = [(source, n) for source, _, n in call.inputs if source != order[at - 1]]
        wanted = 1 if layer.kind == "Add" else 0
        if len(others) != wanted or len(call.inputs) != wanted + 1:
            before = order[at - 1]
            received = listed([source for source, _, _ in call.inputs])
            self.refuse(name, f"expected the output of {before} alone, received {received}")
        for source, n in others:
            if n:
                what = _output_name(self.layers[source], n)
                self.refuse(name, f"reads {what} of {source}, which a residual does not add")
        skip = others[0][0] if others else ""
        mask = self._mask(name, call, order[0])
        return replace(layer, skip=skip, mask=mask, constants=call.constants)

    def _mask(self, name: str, call: Node, first: str) -> float | None:
        """Return the value of padding behind the mask that a call is given, if it is given one."""
        given = {key: value for key, value in call.kwargs.items() if value is not None}
        if given.pop("training", False) is not False:
            self.refuse(name, "called with training=True, which drops values in inference too")
        mask = given.pop("mask", None)
        for key in given:
            self.refuse(name, f"called with {key}, which the language lacks")
        layer = self.layers[name]
        if call.constants and not (layer.operation and layer.kind == "GetItem"):
            self.refuse(name, "called with constants, which the language lacks")
        if mask is None:
            return None
        try:
            return self._masks.padding(mask, first)
        except MaskError as error:
            self.refuse(name, str(error))
            return None


def _output_name(layer: Foreign, at: int) -> str:
    """Return what one of the outputs of a layer is."""
    if layer.kind == "Bidirectional":
        merged: Mapping[str, Any] = layer.config
        if merged.get("merge_mode", "concat") is None and at < 2:
            return ("the forward output", "the backward output")[at]
        return "a state of one direction" if at else "the output"
    if layer.kind in _RECURRENT and at < 3:
        return ("the output", "the hidden state h", "the cell state c")[at]
    return f"output {at}"
