"""The layers of Keras: the calls that make them, and how they are applied to a tensor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeGuard, assert_never

from rnnspec.backends.keras.defaults import DEFAULTS
from rnnspec.ir import initializers, nodes
from rnnspec.source.code import Code, Literal, call, code

if TYPE_CHECKING:
    from rnnspec.words import Activation

Arguments = dict[str, Code | Literal]

_POOLING = {"mean": "GlobalAveragePooling1D", "max": "GlobalMaxPooling1D"}
_LEGACY = "legacy_hard_sigmoid"


def apply_layer(layer: nodes.Layer, variable: str) -> Code:
    """Return the output of a layer for a variable."""
    if takes_last_step(layer):
        return code("{}[:, -1]", variable)
    if pools_masked(layer):
        return code("masked_{}({}, mask)", layer.statistic, variable)
    if isinstance(layer, nodes.Normalize):
        return code("l2_normalized({})", variable)
    if isinstance(layer, nodes.Residual):
        return code("{}([{}, skip])", make_layer(layer), variable)
    return code("{}({})", make_layer(layer), variable)


def pools_masked(layer: nodes.Layer) -> TypeGuard[nodes.Pooling]:
    """Return true if a layer pools only real steps, which no layer of Keras does safely.

    ``GlobalAveragePooling1D`` returns NaN for a sequence of padding only, because it divides by the
    number of real steps, and ``GlobalMaxPooling1D`` includes padding.
    Source: https://github.com/keras-team/keras/issues/18152.
    """
    return isinstance(layer, nodes.Pooling) and layer.masked


def takes_last_step(layer: nodes.Layer) -> bool:
    """Return true if a layer selects the last step, by a slice: Keras has no layer for it."""
    return isinstance(layer, nodes.Pooling) and layer.statistic == "last_step"


def make_layer(layer: nodes.Layer) -> Code:
    """Return the call that makes a layer."""
    match layer:
        case nodes.Embedding():
            return _make(
                "Embedding",
                layer.vocabulary,
                layer.dim,
                embeddings_initializer=_embedding_initializer(layer.initializer),
                mask_zero=layer.masked,
                trainable=layer.trainable,
                name=layer.name,
            )
        case nodes.Recurrent():
            return make_recurrent(layer)
        case nodes.Repeat():
            return _make("RepeatVector", layer.steps, name=layer.name)
        case nodes.LayerNorm():
            return _make("LayerNormalization", epsilon=layer.epsilon, name=layer.name)
        case nodes.Normalize():
            raise AssertionError("apply_layer calls a function, for Keras has no safe layer")
        case nodes.Residual():
            return _make("Add", name=layer.name)
        case nodes.Dropout():
            return _make("Dropout", layer.rate, name=layer.name)
        case nodes.Pooling():
            return _make(_POOLING[layer.statistic], name=layer.name)
        case nodes.Dense():
            return _make(
                "Dense",
                layer.units,
                activation=None if layer.activation == "linear" else _activation(layer.activation),
                kernel_initializer=_initializer(layer.kernel_initializer),
                **_bias(layer),
                name=layer.name,
            )
        case _:
            assert_never(layer)


def make_recurrent(layer: nodes.Recurrent, *, returns_states: bool = False) -> Code:
    """Return the call that makes a recurrent layer."""
    type_, settings = _cell(layer.cell, bias=layer.bias)
    named: Arguments = {"name": layer.name} if layer.merge is None else {}
    one_way = _make(
        type_,
        layer.units,
        return_sequences=layer.return_sequences,
        return_state=returns_states,
        **settings,
        dropout=layer.dropout,
        recurrent_dropout=layer.recurrent_dropout,
        kernel_initializer=_initializer(layer.kernel_initializer),
        recurrent_initializer=_initializer(layer.recurrent_initializer),
        **_bias(layer),
        **named,
    )
    if layer.merge is None:
        return one_way
    return _make("Bidirectional", one_way, merge_mode=layer.merge, name=layer.name)


def make_masking(mask_value: float) -> Code:
    """Return the layer that computes the mask of features."""
    # Without a dtype, a policy of mixed precision casts the steps before they are compared.
    dtype = code("keras.config.floatx()")
    return _make("Masking", mask_value=mask_value, dtype=dtype, name="masking")


def _make(type_: str, *sizes: Code | Literal, **arguments: Code | Literal) -> Code:
    return call(f"keras.layers.{type_}", *sizes, defaults=DEFAULTS.get(type_, {}), **arguments)


def _cell(cell: nodes.Cell, *, bias: bool) -> tuple[str, Arguments]:
    activation = _activation(cell.activation)
    match cell:
        case nodes.SimpleRNN():
            return "SimpleRNN", {"activation": activation}
        case nodes.LSTM():
            own: Arguments = {"unit_forget_bias": cell.forget_bias == 1.0 or not bias}
        case nodes.GRU():
            own = {"reset_after": cell.reset_after}
        case _:
            assert_never(cell)
    recurrent = _activation(cell.recurrent_activation)
    gated = {"activation": activation, "recurrent_activation": recurrent, **own}
    return type(cell).__name__, gated


def _activation(activation: Activation) -> Code | str:
    # Keras has a name for every other.
    return code("legacy_hard_sigmoid()") if activation == _LEGACY else activation


def _bias(layer: nodes.Recurrent | nodes.Dense) -> Arguments:
    if not layer.bias:
        return {"use_bias": False}
    return {"bias_initializer": _initializer(layer.bias_initializer)}


_EMBEDDING = initializers.Uniform(0.05)
_RECURRENT = initializers.Orthogonal()
_OTHERS: dict[str, Any] = {
    "kernel_initializer": initializers.GlorotUniform(),
    "bias_initializer": initializers.Constant(0.0),
}


def initialize_by_default(network: nodes.Network) -> nodes.Network:
    """Return a network with the initializers that Keras uses if none are named."""

    def initialize_layer(layer: nodes.Layer) -> nodes.Layer:
        match layer:
            case nodes.Embedding():
                return replace(layer, initializer=_EMBEDDING)
            case nodes.Recurrent(cell=nodes.LSTM() as cell):
                cell = replace(cell, forget_bias=1.0)
                return replace(layer, cell=cell, recurrent_initializer=_RECURRENT, **_OTHERS)
            case nodes.Recurrent():
                return replace(layer, recurrent_initializer=_RECURRENT, **_OTHERS)
            case nodes.Dense():
                return replace(layer, **_OTHERS)
            case _:
                return layer

    return replace(network, layers=tuple(map(initialize_layer, network.layers)))


def _embedding_initializer(initializer: initializers.Initializer) -> Code | str:
    # Keras resolves "uniform" to RandomUniform with its default bounds, U(-0.05, 0.05).
    return "uniform" if initializer == _EMBEDDING else _initializer(initializer)


def _initializer(initializer: initializers.Initializer) -> Code | str:
    match initializer:
        case initializers.GlorotUniform():
            return "glorot_uniform"
        case initializers.HeUniform():
            return "he_uniform"
        case initializers.LecunUniform():
            return "lecun_uniform"
        case initializers.Orthogonal():
            return "orthogonal"
        case initializers.Uniform(limit):
            return code("keras.initializers.RandomUniform(minval={!r}, maxval={!r})", -limit, limit)
        case initializers.Normal(stddev):
            return code("keras.initializers.RandomNormal(mean=0.0, stddev={!r})", stddev)
        case initializers.Constant(value):
            constant = code("keras.initializers.Constant(value={!r})", value)
            return {0.0: "zeros", 1.0: "ones"}.get(value, constant)
        case _:
            assert_never(initializer)
