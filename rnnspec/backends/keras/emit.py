"""IR -> Keras source: one functional model."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.base import (
    Assign,
    Attribute,
    Binary,
    Call,
    Comment,
    Evaluate,
    Expression,
    Function,
    Items,
    Name,
    Part,
    Return,
    Source,
    Statement,
    Stock,
    call,
)
from rnnspec.backends.keras.defaults import DEFAULTS
from rnnspec.ir import nodes, text
from rnnspec.ir.params import params

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.errors import Refusal

Arguments = dict[str, Expression]

_X = Name("x")


def emit(network: nodes.Network) -> Source:
    """Return the source of a network: a function ``build_model``."""
    forget_biases = tuple(_forget_biases(network))
    return Source(
        template="keras/model.py.j2",
        title=text.title(network),
        comment=text.comment(network),
        entry="build_model",
        docstring=(),
        parts=tuple(_parts(network, forget_biases)),
        imports=(),
        functions=(
            Function(
                name="build_model",
                arguments="",
                returns="keras.Model",
                docstring=(
                    f"Return {network.name} with fresh weights.",
                    "",
                    *text.signature(network),
                ),
                body=tuple(_body(network, forget_biases)),
            ),
        ),
    )


def _parts(network: nodes.Network, forget_biases: tuple[Statement, ...]) -> Iterator[Part]:
    if forget_biases:
        yield Part("keras/parts/set_forget_bias.py.j2")
    for layer in network.layers:
        if isinstance(layer, nodes.Pooling) and layer.masked:
            yield Part(f"keras/parts/masked_{layer.statistic}.py.j2")


def refusals(network: nodes.Network) -> tuple[Refusal, ...]:  # noqa: ARG001 - Keras can say it all
    """Return every word of the network that Keras cannot honour: there is none."""
    return ()


def arranged(network: nodes.Network) -> nodes.Network:
    """Return the network as it is: Keras has a layer for each."""
    return network


def stepwise(network: nodes.Network) -> dict[str, str]:  # noqa: ARG001 - the layers are Keras's own
    """Return the layers for which the source has a loop of its own: none."""
    return {}


def stock(network: nodes.Network) -> tuple[Stock, ...]:  # noqa: ARG001 - the layers are Keras's own
    """Return the layers whose Keras namesake holds another number of parameters: none."""
    return ()


def _body(network: nodes.Network, forget_biases: tuple[Statement, ...]) -> Iterator[Statement]:
    yield Assign("inputs", _input(network.input))
    yield from _layers(network)
    model = Call(Name("keras.Model"), (Name("inputs"), _X), (("name", network.name),))
    if not forget_biases:
        yield Return(model)
        return
    yield Assign("model", model)
    yield from forget_biases
    yield Return(Name("model"))


def _layers(network: nodes.Network) -> Iterator[Statement]:
    variable = Name("inputs")
    if isinstance(network.input, nodes.TokenInput):
        # The engines gather with an index below 0 as Python does; one too large they refuse.
        yield Comment("A negative token stands for no row; Keras would count from the last.")
        size = network.input.vocabulary
        refused = Call(Name("keras.ops.where"), (Binary(variable, "<", 0), size, variable))
        yield Assign("x", refused)
        variable = _X
    if isinstance(network.input, nodes.NumericInput) and network.input.mask_value is not None:
        masking = _make("Masking", (), {"mask_value": network.input.mask_value}, "masking")
        yield Assign("x", Call(masking, (variable,)))
        variable = _X
    if any(_pools_masked(layer) for layer in network.layers):
        yield Assign("mask", _mask(network.input))
    starts = {layer.start for layer in network.layers if isinstance(layer, nodes.Residual)}
    for layer in network.layers:
        if layer.name in starts:
            yield Assign("skip", variable)
        yield Assign("x", _applied(layer, variable))
        variable = _X


def _pools_masked(layer: nodes.Layer) -> bool:
    return isinstance(layer, nodes.Pooling) and layer.masked


def _mask(entrance: nodes.Input) -> Call:
    """Return what is true at the real steps, (batch, steps)."""
    match entrance:
        case nodes.TokenInput():
            return Call(Name("keras.ops.not_equal"), (Name("inputs"), 0))
        case nodes.NumericInput(mask_value=value):
            differs = Call(Name("keras.ops.not_equal"), (Name("inputs"), value))
            return Call(Name("keras.ops.any"), (differs,), (("axis", -1),))
        case _:
            assert_never(entrance)


def _applied(layer: nodes.Layer, variable: Name) -> Call:
    if isinstance(layer, nodes.Pooling) and layer.masked:
        return Call(Name(f"masked_{layer.statistic}"), (variable, Name("mask")))
    if isinstance(layer, nodes.Residual):
        return Call(_layer(layer), (Items((variable, Name("skip"))),))
    return Call(_layer(layer), (variable,))


def _input(entrance: nodes.Input) -> Call:
    shape = Items(entrance.shape, fixed=True)
    match entrance:
        case nodes.TokenInput():
            return _call("keras.Input", shape=shape, dtype="int32", name="inputs")
        case nodes.NumericInput():
            return _call("keras.Input", shape=shape, name="inputs")
        case _:
            assert_never(entrance)


def _layer(layer: nodes.Layer) -> Call:
    match layer:
        case nodes.Embedding():
            return _embedding(layer)
        case nodes.Recurrent():
            return _recurrent(layer)
        case nodes.Repeat():
            return _make("RepeatVector", (layer.steps,), {}, layer.name)
        case nodes.LayerNorm():
            return _make("LayerNormalization", (), {"epsilon": layer.epsilon}, layer.name)
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
        "embeddings_initializer": _embedding_initializer(layer.initializer),
        "mask_zero": layer.masked,
        "trainable": layer.trainable,
    }
    return _make("Embedding", (layer.vocabulary, layer.dim), arguments, layer.name)


def _recurrent(layer: nodes.Recurrent) -> Call:
    type_, arguments = _cell(layer.cell, bias=layer.bias)
    arguments = {
        "return_sequences": layer.return_sequences,
        **arguments,
        "dropout": layer.dropout,
        "recurrent_dropout": layer.recurrent_dropout,
        "kernel_initializer": _initializer(layer.kernel_initializer),
        "recurrent_initializer": _initializer(layer.recurrent_initializer),
        **_bias(layer),
    }
    if layer.merge is None:
        return _make(type_, (layer.units,), arguments, layer.name)
    one_way = _make(type_, (layer.units,), arguments)
    return _make("Bidirectional", (one_way,), {"merge_mode": layer.merge}, layer.name)


def _cell(cell: nodes.Cell, *, bias: bool) -> tuple[str, Arguments]:
    match cell:
        case nodes.SimpleRNN(activation=activation):
            return "SimpleRNN", {"activation": activation}
        case nodes.LSTM():
            unit = cell.forget_bias == 1.0 or not bias
            return "LSTM", {**_activations(cell), "unit_forget_bias": unit}
        case nodes.GRU():
            return "GRU", {**_activations(cell), "reset_after": cell.reset_after}
        case _:
            assert_never(cell)


def _activations(cell: nodes.LSTM | nodes.GRU) -> Arguments:
    return {"activation": cell.activation, "recurrent_activation": cell.recurrent_activation}


def _dense(layer: nodes.Dense) -> Call:
    arguments: Arguments = {
        "activation": None if layer.activation == "linear" else layer.activation,
        "kernel_initializer": _initializer(layer.kernel_initializer),
        **_bias(layer),
    }
    return _make("Dense", (layer.units,), arguments, layer.name)


def _bias(layer: nodes.Recurrent | nodes.Dense) -> Arguments:
    if not layer.bias:
        return {"use_bias": False}
    return {"bias_initializer": _initializer(layer.bias_initializer)}


def _make(
    type_: str, sizes: tuple[Expression, ...], arguments: Arguments, name: str | None = None
) -> Call:
    named: Arguments = {"name": name} if name else {}
    defaults = DEFAULTS.get(type_, {})
    return call(f"keras.layers.{type_}", sizes, {**arguments, **named}, defaults)


def _embedding_initializer(initializer: nodes.Initializer) -> Expression:
    # Keras's word "uniform" is U(-0.05, 0.05): RandomUniform's own default bounds.
    if initializer == nodes.Uniform(0.05):
        return "uniform"
    return _initializer(initializer)


def _initializer(initializer: nodes.Initializer) -> Expression:
    match initializer:
        case nodes.GlorotUniform():
            return "glorot_uniform"
        case nodes.HeUniform():
            return "he_uniform"
        case nodes.LecunUniform():
            return "lecun_uniform"
        case nodes.Orthogonal():
            return "orthogonal"
        case nodes.Uniform(limit):
            return _call("keras.initializers.RandomUniform", minval=-limit, maxval=limit)
        case nodes.Normal(stddev):
            return _call("keras.initializers.RandomNormal", mean=0.0, stddev=stddev)
        case nodes.Constant(value):
            return _constant(value)
        case _:
            assert_never(initializer)


def _constant(value: float) -> Expression:
    words: dict[float, Expression] = {0.0: "zeros", 1.0: "ones"}
    return words.get(value) or _call("keras.initializers.Constant", value=value)


def _call(function: str, **kwargs: Expression) -> Call:
    return Call(Name(function), (), tuple(kwargs.items()))


def _forget_biases(network: nodes.Network) -> Iterator[Statement]:
    """Yield what sets the forget gates that no argument of Keras's LSTM can set.

    ``unit_forget_bias`` knows 1 alone; without it the forget gate is drawn like the others.
    """
    for layer in network.layers:
        for param in params(layer):
            for _, value in param.gate_values:
                if value != 1.0 and param.initializer != nodes.Constant(value):
                    yield Evaluate(
                        Call(Name("set_forget_bias"), (_lstm(layer.name, param.name), value))
                    )


def _lstm(layer: str, param: str) -> Expression:
    direction, dot, _ = param.rpartition(".")
    found = Call(Name("model.get_layer"), (layer,))
    return Attribute(found, f"{direction}_layer") if dot else found
