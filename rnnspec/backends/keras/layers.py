"""The calls that make Keras's layers, and the statements about the input and its mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.expressions import (
    LAST_STEP,
    Call,
    Comment,
    Expression,
    Index,
    Items,
    Name,
    Statement,
    call,
)
from rnnspec.backends.keras.defaults import DEFAULTS
from rnnspec.backends.keras.forms import pools_masked, takes_last_step
from rnnspec.backends.keras.initial import embedding_initializer, initializer_of
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.ir.steps import State
    from rnnspec.words import Activation

Arguments = dict[str, Expression]


def masking(network_input: nodes.Input) -> Iterator[Call]:
    """Yield the layer that computes the mask of numbers, if there is one."""
    if isinstance(network_input, nodes.NumericInput) and network_input.mask_value is not None:
        # Without a dtype, a policy of mixed precision casts the steps before they are compared.
        dtype = Call(Name("keras.config.floatx"))
        yield _make(
            "Masking", (), {"mask_value": network_input.mask_value, "dtype": dtype}, "masking"
        )


def padding_comment(network_input: nodes.Input) -> Iterator[Statement]:
    """Yield a comment about the layer of ``masking``."""
    if isinstance(network_input, nodes.NumericInput) and network_input.mask_value is not None:
        yield Comment("Padding is compared in the input's dtype, also under mixed precision.")


def mask_of(network_input: nodes.Input) -> Call:
    """Return the mask, true at real steps, (batch, steps)."""
    match network_input:
        case nodes.TokenInput():
            return Call(Name("keras.ops.not_equal"), (Name("inputs"), 0))
        case nodes.NumericInput(mask_value=value):
            differs = Call(Name("keras.ops.not_equal"), (Name("inputs"), value))
            return Call(Name("keras.ops.any"), (differs,), (("axis", -1),))
        case _:
            assert_never(network_input)


def applied(layer: nodes.Layer, variable: Name) -> Call | Index:
    """Return the output of a layer for a variable."""
    if takes_last_step(layer):
        return Index(variable, LAST_STEP)
    if pools_masked(layer):
        return Call(Name(f"masked_{layer.statistic}"), (variable, Name("mask")))
    if isinstance(layer, nodes.Normalize):
        return Call(Name("l2_normalized"), (variable,))
    if isinstance(layer, nodes.Residual):
        return Call(layer_of(layer), (Items((variable, Name("skip"))),))
    return Call(layer_of(layer), (variable,))


def input_of(network_input: nodes.Input) -> Call:
    """Return the input of a network."""
    shape = Items(network_input.shape, fixed=True)
    match network_input:
        case nodes.TokenInput():
            # The default, float32, holds integers exactly only up to 2**24.
            return _call("keras.Input", shape=shape, dtype="int32", name="inputs")
        case nodes.NumericInput():
            return _call("keras.Input", shape=shape, name="inputs")
        case _:
            assert_never(network_input)


def state_input(state: State) -> Call:
    """Return the input for a state."""
    return _call("keras.Input", shape=Items((state.size,), fixed=True), name=state.name)


def layer_of(layer: nodes.Layer) -> Call:
    """Return the call that makes a layer."""
    match layer:
        case nodes.Embedding():
            return _embedding(layer)
        case nodes.Recurrent():
            return recurrent(layer)
        case nodes.Repeat():
            return _make("RepeatVector", (layer.steps,), {}, layer.name)
        case nodes.LayerNorm():
            return _make("LayerNormalization", (), {"epsilon": layer.epsilon}, layer.name)
        case nodes.Normalize():
            raise AssertionError("_applied calls a function, for Keras has no safe layer")
        case nodes.Residual():
            return _make("Add", (), {}, layer.name)
        case nodes.Dropout():
            return _make("Dropout", (layer.rate,), {}, layer.name)
        case nodes.Pooling():
            return _make(_POOLING[layer.statistic], (), {}, layer.name)
        case nodes.Dense():
            return _dense(layer)
        case _:
            assert_never(layer)


_POOLING = {"mean": "GlobalAveragePooling1D", "max": "GlobalMaxPooling1D"}


def _embedding(layer: nodes.Embedding) -> Call:
    arguments: Arguments = {
        "embeddings_initializer": embedding_initializer(layer.initializer),
        "mask_zero": layer.masked,
        "trainable": layer.trainable,
    }
    return _make("Embedding", (layer.vocabulary, layer.dim), arguments, layer.name)


def recurrent(layer: nodes.Recurrent, *, returns_states: bool = False) -> Call:
    """Return the call that makes a recurrent layer."""
    type_, arguments = _cell(layer.cell, bias=layer.bias)
    arguments = {
        "return_sequences": layer.return_sequences,
        "return_state": returns_states,
        **arguments,
        "dropout": layer.dropout,
        "recurrent_dropout": layer.recurrent_dropout,
        "kernel_initializer": initializer_of(layer.kernel_initializer),
        "recurrent_initializer": initializer_of(layer.recurrent_initializer),
        **_bias(layer),
    }
    if layer.merge is None:
        return _make(type_, (layer.units,), arguments, layer.name)
    one_way = _make(type_, (layer.units,), arguments)
    return _make("Bidirectional", (one_way,), {"merge_mode": layer.merge}, layer.name)


def _cell(cell: nodes.Cell, *, bias: bool) -> tuple[str, Arguments]:
    match cell:
        case nodes.SimpleRNN(activation=activation):
            return "SimpleRNN", {"activation": _activation(activation)}
        case nodes.LSTM():
            unit = cell.forget_bias == 1.0 or not bias
            return "LSTM", {**_activations(cell), "unit_forget_bias": unit}
        case nodes.GRU():
            return "GRU", {**_activations(cell), "reset_after": cell.reset_after}
        case _:
            assert_never(cell)


def _activations(cell: nodes.LSTM | nodes.GRU) -> Arguments:
    return {
        "activation": _activation(cell.activation),
        "recurrent_activation": _activation(cell.recurrent_activation),
    }


_LEGACY = "legacy_hard_sigmoid"


def _activation(activation: Activation) -> Expression:
    # Keras has a name for every other.
    return Call(Name(_LEGACY)) if activation == _LEGACY else activation


def _dense(layer: nodes.Dense) -> Call:
    arguments: Arguments = {
        "activation": None if layer.activation == "linear" else _activation(layer.activation),
        "kernel_initializer": initializer_of(layer.kernel_initializer),
        **_bias(layer),
    }
    return _make("Dense", (layer.units,), arguments, layer.name)


def _bias(layer: nodes.Recurrent | nodes.Dense) -> Arguments:
    if not layer.bias:
        return {"use_bias": False}
    return {"bias_initializer": initializer_of(layer.bias_initializer)}


def _make(
    type_: str, sizes: tuple[Expression, ...], arguments: Arguments, name: str | None = None
) -> Call:
    named: Arguments = {"name": name} if name else {}
    defaults = DEFAULTS.get(type_, {})
    return call(f"keras.layers.{type_}", sizes, {**arguments, **named}, defaults)


def _call(function: str, **kwargs: Expression) -> Call:
    return Call(Name(function), (), tuple(kwargs.items()))
