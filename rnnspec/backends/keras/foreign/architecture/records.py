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
MODELS = ("Sequential", "Model", "Functional")
_OPERATIONS = ("keras.ops", "keras.src.ops")


@dataclass(frozen=True, slots=True)
class Foreign:
    """One layer of a configuration.

    ``custom`` names the class if it is not one of Keras's own. An ``operation`` is a function of
    ``keras.ops`` or an operator; its class may have the name of a layer's, but it drops the mask.
    ``skip`` is the layer whose output a sum adds, ``mask`` the value of padding that the graph says
    its mask is made from, and ``constants`` are the arguments that no layer returns. ``output`` is
    the number of the output that is used: a recurrent layer returns its states behind the first.
    ``feeds`` is true if a recurrent layer gets what it returns, directly or not. ``within`` are the
    models around the layer, the outermost first, each with its class; their names stand before that
    of the layer. ``part`` is set if its arrays are some of those of a layer: its name, the first
    array, and the first that is not one of them.
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    custom: str = ""
    operation: bool = False
    skip: str = ""
    mask: float | None = None
    constants: tuple[Any, ...] = ()
    output: int = 0
    feeds: bool = False
    within: tuple[tuple[str, str], ...] = ()
    part: tuple[str, int, int] | None = None

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


def foreign(account: Account, layer: Any, path: str = "") -> Foreign:
    """Return one layer of a configuration; ``path`` says where it is.

    Raises:
        UsageError: it is none.
    """
    match layer:
        case {"class_name": str(kind), "config": dict(config)}:
            name = layer.get("name", config.get("name"))
            # Files of Keras 2.0 have layers without a name.
            name = name if isinstance(name, str) else kind
            custom = _custom(account, layer, name)
            return Foreign(kind, name, config, custom, operation=_is_operation(layer))
        case _:
            wanted = "expected the configuration of a layer"
            raise wrong(account, path, f"{wanted}, received {said(layer)}")


def wrong(account: Account, path: str, message: str) -> UsageError:
    """Return the error about a configuration that Keras would not write."""
    return UsageError(f"{path}: {message}" if path else message, account.source)


def _custom(account: Account, layer: Mapping[str, Any], name: str) -> str:
    """Return the name of a class that is not Keras's own, empty for others."""
    for key in ("registered_name", "module"):
        if not isinstance(given := layer.get(key), str | None):
            raise wrong(account, f"{name}.{key}", f"expected a string, received {said(given)}")
    kind, registered, module = (
        layer["class_name"],
        layer.get("registered_name"),
        layer.get("module"),
    )
    if registered not in (None, kind):
        return str(registered)
    if module is not None and module.partition(".")[0] not in MODULES:
        return f"{module}.{kind}"
    return ""


def _is_operation(layer: Mapping[str, Any]) -> bool:
    match layer:
        case {"module": str(module)}:
            return module.startswith(_OPERATIONS)
        # HDF5 files of Keras 3 have no modules. All settings of a layer have these.
        case {"inbound_nodes": [{"args": _}, *_], "config": config}:
            return "trainable" not in config and "dtype" not in config
        case _:
            return False


def nodes(account: Account, layer: Mapping[str, Any], name: str) -> Iterator[Node]:
    """Yield the calls of the layer ``name``, as Keras 2 and Keras 3 write them.

    Raises:
        UsageError: they are none.
    """
    path, calls = f"{name}.inbound_nodes", layer.get("inbound_nodes")
    if not isinstance(calls, list | tuple | None):
        raise wrong(account, path, f"expected a list of calls, received {said(calls)}")
    for at, call in enumerate(calls or ()):
        match call:
            case {"args": [*args], "kwargs": dict(kwargs)}:
                yield _new_node(args, kwargs)
            case [*inputs]:
                yield _old_node(inputs)
            case _:
                raise wrong(account, f"{path}[{at}]", f"expected a call, received {said(call)}")


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


def snake(kind: str) -> str:
    """Return the name that Keras makes up for a layer of a class."""
    text = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", text).lower()


def cell_folders(layer: Foreign) -> tuple[str, ...]:
    """Return the folders of the cells of an RNN below that of the layer, in their order."""
    match layer.config:
        case {"cell": {"class_name": "StackedRNNCells", "config": {"cells": [*cells]}}}:
            kinds = [snake(str(each["class_name"])) for each in cells]
            before = [kinds[:at].count(kind) for at, kind in enumerate(kinds)]
            names = zip(kinds, before, strict=True)
            return tuple(f"cell/cells/{k}{f'_{n}' if n else ''}/" for k, n in names)
        case _:
            return ("cell/",)
