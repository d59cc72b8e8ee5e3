"""The layers of a configuration of Keras in the order in which data passes through them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rnnspec.backends.imported import Account, said
from rnnspec.backends.keras.foreign.architecture.masks import MaskError, Masks
from rnnspec.backends.keras.foreign.architecture.records import Foreign, Node, foreign, nodes
from rnnspec.errors import UsageError, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LAYERS = 4_000
MODELS = ("Sequential", "Model", "Functional")
_DEEPEST = 4
_OPERATIONS = ("NotEqual", "Any", "LogicalOr", "LogicalAnd")


def layers_of(account: Account, config: Any) -> list[Foreign]:
    """Return the layers of a model in order, with the input layer if there is one.

    The layers of a model that is itself a layer stand in its place. What forms no chain is refused
    in ``account``; the list is then empty.

    Raises:
        UsageError: this is no configuration of a model.
    """
    return _flat(account, _layers_of(account, config))


def _flat(account: Account, layers: list[Foreign], depth: int = 0) -> list[Foreign]:
    found = list[Foreign]()
    for layer in layers:
        if layer.kind not in MODELS or layer.custom or depth >= _DEEPEST:
            found.append(layer)
            continue
        inner = _layers_of(account, {"class_name": layer.kind, "config": layer.config})
        inner = [each.inside(layer) for each in _flat(account, inner, depth + 1)]
        # Its input is the output of the layer before it.
        found += inner if not found else [each for each in inner if each.kind != "InputLayer"]
    return found


def _layers_of(account: Account, config: Any) -> list[Foreign]:
    match config:
        case {"class_name": "Sequential", "config": [] | {"layers": []}}:
            account.refuse("model", "expected layers, received none", "E704")
            return []
        case {"class_name": "Sequential", "config": [*layers] | {"layers": [*layers]}}:
            return [foreign(account, each) for each in _few(account, layers)]
        case {
            "class_name": "Model" | "Functional",
            "config": {"layers": [*layers], "input_layers": inputs, "output_layers": outputs},
        }:
            return _Graph(account, _few(account, layers)).chain(_ends(inputs), _ends(outputs))
        case {"class_name": str(name), "config": _}:
            account.refuse(
                "model",
                f"expected a Sequential or a functional model, received {said(name)}: the layers "
                "of a subclassed model are in its Python code, not in the file",
                "E701",
            )
            return []
        case _:
            wanted = "expected the configuration of a Keras model"
            raise UsageError(f"{wanted}, received {said(config)}", account.source)


def _few(account: Account, layers: list[Any]) -> list[Any]:
    if len(layers) > MAX_LAYERS:
        raise UsageError(
            f"expected at most {MAX_LAYERS:,} layers, received {len(layers):,}", account.source
        )
    return layers


def _ends(value: Any) -> tuple[str, ...]:
    """Return the names of the input or the output layers."""
    match value:
        case [str(name), int(), int()]:
            return (name,)
        case [*several] if all(isinstance(each, list) and each for each in several):
            return tuple(str(each[0]) for each in several)
        case dict():
            return tuple(name for each in value.values() for name in _ends(each))
        case _:
            return ()


class _Graph:
    """The layers of a functional model with the calls that connect them."""

    def __init__(self, account: Account, layers: Sequence[Any]) -> None:
        self.account = account
        found = [foreign(account, each) for each in layers]
        self.layers = {each.name: each for each in found}
        if len(self.layers) < len(found):
            raise UsageError("expected layers of different names", account.source)
        self.calls = {
            each.name: tuple(nodes(layer)) for each, layer in zip(found, layers, strict=True)
        }
        self._masks = Masks(self.layers, self.calls)
        self._data = [n for n, each in self.layers.items() if each.kind not in _OPERATIONS]
        self._readers: dict[str, list[str]] = {}
        for name in self._data:
            for call in self.calls[name]:
                for source, _, _ in call.inputs:
                    self._readers.setdefault(source, []).append(name)

    def refuse(self, where: str, message: str) -> list[Foreign]:
        """Record that the layers form no chain."""
        self.account.refuse(where, message, "E704")
        return []

    def chain(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> list[Foreign]:
        """Return the layers from the input to the output."""
        for what, names in (("input", inputs), ("output", outputs)):
            if len(names) != 1 or names[0] not in self.layers:
                received = listed([said(each) for each in names]) or "none"
                return self.refuse("model", f"expected one {what}, received {received}")
        order = self._order(inputs[0])
        if not order:
            return []
        if order[-1] != outputs[0]:
            return self.refuse(order[-1], f"its output is unused: the model ends at {outputs[0]}")
        if unused := sorted(set(self._data) - set(order)):
            return self.refuse(unused[0], "not on the way from the input to the output")
        return [self._placed(name, order, at) for at, name in enumerate(order)]

    def _order(self, first: str) -> list[str]:
        order = [first]
        while readers := self._readers.get(order[-1]):
            ready = [name for name in readers if self._is_ready(name, order)]
            if len(ready) != 1 or len(self.calls[ready[0]]) != 1:
                return self._branch(order[-1], readers)
            order.append(ready[0])
            if len(order) > len(self._data):
                self.refuse(first, "the layers form a cycle")
                return []
        return order

    def _is_ready(self, name: str, order: list[str]) -> bool:
        """Return whether a layer is the next one: a sum is when both of its inputs are known."""
        inputs = {source for call in self.calls[name] for source, _, _ in call.inputs}
        return self.layers[name].kind != "Add" or inputs <= set(order)

    def _branch(self, name: str, readers: list[str]) -> list[str]:
        if len(set(readers)) < len(readers) or any(len(self.calls[r]) != 1 for r in readers):
            self.refuse(name, "a layer is used more than once, which the language lacks")
            return []
        reading = listed([f"{each} ({self.layers[each].kind})" for each in readers])
        self.refuse(
            name,
            f"expected one layer that reads its output, received {reading}: the language has a "
            "chain of layers, and 'residual' around a recurrent layer",
        )
        return []

    def _placed(self, name: str, order: list[str], at: int) -> Foreign:
        layer = self.layers[name]
        if at == 0:
            return layer
        call = self.calls[name][0]
        others = [source for source, _, _ in call.inputs if source != order[at - 1]]
        if any(index for _, _, index in call.inputs):
            self.refuse(name, "reads a state that another layer returns, not its output")
        wanted = 1 if layer.kind == "Add" else 0
        if len(others) != wanted or len(call.inputs) != wanted + 1:
            before = order[at - 1]
            received = listed([source for source, _, _ in call.inputs])
            self.refuse(name, f"expected the output of {before} alone, received {received}")
        skip = others[0] if others else ""
        return replace(layer, skip=skip, mask=self._mask(name, call, order[0]))

    def _mask(self, name: str, call: Node, first: str) -> float | None:
        """Return the value of padding behind the mask that a call is given, if it is given one."""
        given = {key: value for key, value in call.kwargs.items() if value is not None}
        if given.pop("training", False) is not False:
            self.refuse(name, "called with training=True, which drops values in inference too")
        mask = given.pop("mask", None)
        for key in given:
            self.refuse(name, f"called with {key}, which the language lacks")
        if call.constants:
            self.refuse(name, "called with constants, which the language lacks")
        if mask is None:
            return None
        try:
            return self._masks.padding(mask, first)
        except MaskError as error:
            self.refuse(name, str(error))
            return None
