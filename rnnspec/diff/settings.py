"""The settings of a network by key of the language, with every default written out."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from typing import Any, assert_never

from rnnspec.ir.initializers import (
    Constant,
    Initializer,
)
from rnnspec.ir.nodes import (
    GRU,
    LSTM,
    Cell,
    Dropout,
    Embedding,
    Input,
    Layer,
    Network,
    Normalize,
    Recurrent,
    SimpleRNN,
    TokenInput,
)

Settings = dict[str, Any]
"""Plain values by key; keys without a meaning for the layer are absent."""


def layer_settings(network: Network) -> list[Settings]:
    """Return the settings of each layer, without its name or anything other layers decide.

    With ``variational: false``, dropout is a layer of its own, but the spec sets it in the
    recurrent layer, so it is a setting of both.
    """
    before = (None, *network.layers)
    return [
        # No other key puts a dropout before a recurrent layer.
        _layer(layer) | {"dropout": entering.rate, "variational": False}
        if isinstance(layer, Recurrent) and isinstance(entering, Dropout)
        else _layer(layer)
        for entering, layer in zip(before, network.layers, strict=False)
    ]


_ELSEWHERE = {"name", "input", "masked", "return_sequences", "start"}
"""Fields of layers that other layers decide, or the place of the layer."""
_KEYS = {"statistic": "pooling"}
"""Keys of the language by the field of a node that has another name."""


def _layer(layer: Layer) -> Settings:
    """Return the settings of a layer: every field that is not decided elsewhere, by its key."""
    # It has no setting of its own, but its presence is one.
    settings: Settings = {"normalize": "l2"} if isinstance(layer, Normalize) else {}
    for field in fields(layer):
        value = getattr(layer, field.name)
        match layer, field.name:
            case _, "cell":
                settings |= {"type": _type(value), **_plain(value)}
            case Recurrent(), "merge":
                settings |= {"bidirectional": value is not None} | (
                    {"merge": value} if value else {}
                )
            case Recurrent(), "dropout":
                # Replaced in layer_settings if the dropout is a layer of its own.
                settings |= {"dropout": value, "variational": True}
            case Embedding(), "masked":
                settings["mask_zero"] = value
            case _, name if name not in _ELSEWHERE and not isinstance(value, Initializer):
                settings |= _plain(value) if is_dataclass(value) else {_KEYS.get(name, name): value}
    return {key: settings[key] for key in sorted(settings, key=_position)}


_LAST = ("activation", "recurrent_activation", "reset_after", "bias")
"""Keys of recurrent layers that come after the others, as in the language."""


def _position(key: str) -> int:
    # Sorting is stable: the rest is in the order of the fields.
    return _LAST.index(key) + 1 if key in _LAST else 0


def _plain(node: Any) -> Settings:
    """Return the fields of a node inside a layer, without initial values."""
    return {
        each.name: getattr(node, each.name) for each in fields(node) if each.name != "forget_bias"
    }


def network_settings(network: Network) -> Settings:
    """Return the settings of the whole network: its name, input and initializers."""
    settings: Settings = {"name": network.name, **_input(network.input)}
    # A description is no part of the network.
    known = {"name", "description", "input", "layers"}
    settings |= {f.name: getattr(network, f.name) for f in fields(network) if f.name not in known}
    for layer in network.layers:
        settings |= _initializers(layer)
    return settings


def _type(cell: Cell) -> str:
    match cell:
        case SimpleRNN():
            return "simple"
        case LSTM():
            return "lstm"
        case GRU():
            return "gru"
        case _:
            assert_never(cell)


def _input(network_input: Input) -> Settings:
    """Return the settings of the input, but those that are keys of the embedding."""
    # 'input' stands for the kind of input, which no single key of the language sets.
    settings: Settings = {"input": "tokens" if isinstance(network_input, TokenInput) else "numbers"}
    for field in fields(network_input):
        if field.name not in ("vocabulary", "mask_zero"):
            key = {"steps": "length"}.get(field.name, field.name)
            settings[f"input.{key}"] = getattr(network_input, field.name)
    return settings


def _initializers(layer: Layer) -> Settings:
    """Return the initializers that a layer uses, which the language sets for all layers at once."""
    found: Settings = {}
    for field in fields(layer):
        value = getattr(layer, field.name)
        if isinstance(value, Initializer):
            # An embedding has one array, and so one initializer without a name of its own.
            found[field.name.removesuffix("initializer").rstrip("_") or "embedding"] = value
    settings = {f"initializers.{key}": _initializer(value) for key, value in found.items()}
    if isinstance(layer, Recurrent) and isinstance(layer.cell, LSTM):
        settings["initializers.forget_bias"] = layer.cell.forget_bias
    return settings


def _initializer(initializer: Initializer) -> Any:
    # The same for 'zeros' and '{constant: 0}', which make the same network.
    for constant, name in ((Constant(0.0), "zeros"), (Constant(1.0), "ones")):
        if initializer == constant:
            return name
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(initializer).__name__).lower()
    values = [getattr(initializer, field.name) for field in fields(initializer)]
    return {name: values[0] if len(values) == 1 else values} if values else name
