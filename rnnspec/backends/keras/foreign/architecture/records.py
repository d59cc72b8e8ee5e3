"""One layer of a configuration, and its calls in a functional model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rnnspec.backends.imported import said
from rnnspec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.backends.imported import Account

MODULES = ("keras", "tf_keras", "tensorflow")
"""The packages with Keras's own classes."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """One layer of a configuration.

    ``custom`` names the class if it is not one of Keras's own. ``skip`` is the layer whose output
    a sum adds, and ``mask`` the value of padding that the graph says its mask is made from.
    ``within`` are the models around the layer, the outermost first, each with its class; their
    names stand before that of the layer.
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    custom: str = ""
    skip: str = ""
    mask: float | None = None
    within: tuple[tuple[str, str], ...] = ()

    @property
    def own_name(self) -> str:
        """The name without those of the models around it."""
        return self.name[sum(len(name) + 1 for _, name in self.within) :]

    def inside(self, model: Foreign) -> Foreign:
        """Return the layer as one of a model that is itself a layer."""
        return replace(
            self,
            name=f"{model.name}.{self.name}",
            skip=f"{model.name}.{self.skip}" if self.skip else "",
            within=((model.kind, model.name), *self.within),
        )


@dataclass(frozen=True, slots=True)
class Node:
    """One call of a layer in a functional model: (layer, call, output) of each input."""

    inputs: tuple[tuple[str, int, int], ...]
    kwargs: Mapping[str, Any]
    constants: tuple[Any, ...] = ()


def foreign(account: Account, layer: Any) -> Foreign:
    """Return one layer of a configuration.

    Raises:
        UsageError: it is none.
    """
    match layer:
        case {"class_name": str(kind), "config": dict(config)}:
            name = layer.get("name", config.get("name"))
            # Files of Keras 2.0 have layers without a name.
            return Foreign(kind, name if isinstance(name, str) else kind, config, _custom(layer))
        case _:
            wanted = "expected the configuration of a layer"
            raise UsageError(f"{wanted}, received {said(layer)}", account.source)


def _custom(layer: Mapping[str, Any]) -> str:
    """Return the name of a class that is not Keras's own, empty for others."""
    kind, registered = layer["class_name"], layer.get("registered_name")
    if registered not in (None, kind):
        return str(registered)
    module = layer.get("module")
    if isinstance(module, str) and module.partition(".")[0] not in MODULES:
        return f"{module}.{kind}"
    return ""


def nodes(layer: Mapping[str, Any]) -> Iterator[Node]:
    """Yield the calls of a layer, as Keras 2 and Keras 3 write them."""
    for call in layer.get("inbound_nodes") or ():
        match call:
            case {"args": [*args], "kwargs": dict(kwargs)}:
                yield _new_node(args, kwargs)
            case [*inputs]:
                yield _old_node(inputs)
            case _:
                pass


def tensor(value: Any) -> tuple[str, int, int] | None:
    """Return the (layer, call, output) of a tensor in a configuration of Keras 3."""
    match value:
        case {
            "class_name": "__keras_tensor__",
            "config": {"keras_history": [str(name), int(call), int(index)]},
        }:
            return name, call, index
        case _:
            return None


def _new_node(args: list[Any], kwargs: Mapping[str, Any]) -> Node:
    flat = args[0] if len(args) == 1 and isinstance(args[0], list) else args
    found = [(value, tensor(value)) for value in flat]
    constants = tuple(value for value, each in found if each is None and value is not None)
    return Node(tuple(each for _, each in found if each), kwargs, constants)


def _old_node(inputs: list[Any]) -> Node:
    found, constants, kwargs = list[tuple[str, int, int]](), list[Any](), dict[str, Any]()
    # A single input is sometimes written without the list around it.
    for each in [inputs] if inputs and isinstance(inputs[0], str) else inputs:
        match each:
            case [str(name), int(call), int(index), *rest] if name != "_CONSTANT_VALUE":
                found.append((name, call, index))
                for more in rest:
                    kwargs |= more if isinstance(more, dict) else {}
            case _:
                constants.append(each)
    return Node(tuple(found), kwargs, tuple(constants))


def snake(kind: str) -> str:
    """Return the name that Keras makes up for a layer of a class."""
    text = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", text).lower()
