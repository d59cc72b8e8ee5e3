"""The settings of a network by key of the language, with every default written out."""

from __future__ import annotations

from typing import Any, assert_never

from rnnspec.ir.initializers import (
    Constant,
    GlorotUniform,
    HeUniform,
    Initializer,
    LecunUniform,
    Normal,
    Orthogonal,
    Uniform,
)
from rnnspec.ir.nodes import (
    GRU,
    LSTM,
    Cell,
    Dense,
    Dropout,
    Embedding,
    Input,
    Layer,
    LayerNorm,
    Network,
    Normalize,
    NumericInput,
    Pooling,
    Recurrent,
    Repeat,
    Residual,
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


def _layer(layer: Layer) -> Settings:
    match layer:
        case Embedding():
            return _embedding(layer)
        case Recurrent():
            return _recurrent(layer)
        case Dense():
            return {"units": layer.units, "activation": layer.activation, "bias": layer.bias}
        case Dropout():
            return {"rate": layer.rate}
        case Pooling():
            return {"pooling": layer.statistic}
        case Repeat():
            return {"steps": layer.steps}
        case LayerNorm():
            return {"epsilon": layer.epsilon}
        case Normalize():
            return {"normalize": "l2"}
        case Residual():
            return {}
        case _:
            assert_never(layer)


def network_settings(network: Network) -> Settings:
    """Return the settings of the whole network: its name, input and initializers."""
    settings: Settings = {"name": network.name, **_input(network.input)}
    for layer in network.layers:
        settings |= _initializers(layer)
    return settings


def _embedding(layer: Embedding) -> Settings:
    settings: Settings = {
        "vocabulary": layer.vocabulary,
        "dim": layer.dim,
        "mask_zero": layer.masked,
        "trainable": layer.trainable,
    }
    if files := layer.pretrained:
        settings |= {"weights": files.weights, "words": files.words}
    return settings


def _recurrent(layer: Recurrent) -> Settings:
    return {
        "type": _type(layer.cell),
        "units": layer.units,
        "bidirectional": layer.merge is not None,
        **({"merge": layer.merge} if layer.merge else {}),
        "dropout": layer.dropout,
        # Replaced in layer_settings if the dropout is a layer of its own.
        "variational": True,
        "recurrent_dropout": layer.recurrent_dropout,
        "activation": layer.cell.activation,
        **_gates(layer.cell),
        "bias": layer.bias,
    }


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


def _gates(cell: Cell) -> Settings:
    match cell:
        case SimpleRNN():
            return {}
        case LSTM():
            return {"recurrent_activation": cell.recurrent_activation}
        case GRU():
            return {
                "recurrent_activation": cell.recurrent_activation,
                "reset_after": cell.reset_after,
            }
        case _:
            assert_never(cell)


def _input(network_input: Input) -> Settings:
    match network_input:
        case TokenInput():
            return {"input": "tokens", "input.length": network_input.steps}
        case NumericInput():
            return {
                "input": "numbers",
                "input.length": network_input.steps,
                "input.features": network_input.features,
                "input.mask_value": network_input.mask_value,
            }
        case _:
            assert_never(network_input)


def _initializers(layer: Layer) -> Settings:
    """Return the initializers that a layer uses, which the language sets for all layers at once."""
    match layer:
        case Embedding():
            found = {"embedding": _initializer(layer.initializer)}
        case Recurrent():
            found = {
                "kernel": _initializer(layer.kernel_initializer),
                "recurrent": _initializer(layer.recurrent_initializer),
                "bias": _initializer(layer.bias_initializer),
            }
            if isinstance(layer.cell, LSTM):
                found["forget_bias"] = layer.cell.forget_bias
        case Dense() | Dropout() | Pooling() | Repeat() | LayerNorm() | Residual() | Normalize():
            found = {}
        case _:
            assert_never(layer)
    return {f"initializers.{key}": value for key, value in found.items()}


def _initializer(initializer: Initializer) -> Any:
    match initializer:
        case GlorotUniform():
            return "glorot_uniform"
        case HeUniform():
            return "he_uniform"
        case LecunUniform():
            return "lecun_uniform"
        case Orthogonal():
            return "orthogonal"
        case Uniform():
            return {"uniform": initializer.limit}
        case Normal():
            return {"normal": initializer.stddev}
        # The same for 'zeros' and '{constant: 0}', which make the same network.
        case Constant(value=0.0):
            return "zeros"
        case Constant(value=1.0):
            return "ones"
        case Constant():
            return {"constant": initializer.value}
        case _:
            assert_never(initializer)
