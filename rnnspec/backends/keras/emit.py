"""IR -> Keras source: a functional model, or a ``Sequential``."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.base import Stock
from rnnspec.backends.expressions import (
    LAST_STEP,
    Assign,
    Binary,
    Call,
    Comment,
    Evaluate,
    Expression,
    Function,
    Index,
    Items,
    Name,
    Return,
    Source,
    Statement,
    call,
)
from rnnspec.backends.keras import initial
from rnnspec.backends.keras.defaults import DEFAULTS
from rnnspec.backends.keras.forms import (
    PURPOSES,
    is_sequential,
    pools_masked,
    recursion,
    takes_last_step,
)
from rnnspec.backends.keras.initial import embedding_initializer, forget_biases, initializer_of
from rnnspec.backends.keras.parts import parts
from rnnspec.ir import nodes, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.backends.base import Form
    from rnnspec.errors import Refusal
    from rnnspec.words import Activation

Arguments = dict[str, Expression]

_X = Name("x")


def emit(network: nodes.Network, form: Form) -> Source:
    """Return the source of a network: a function ``build_model``."""
    if form != "training":
        network = initial.by_default(network)
    set_later = tuple(forget_biases(network))
    deep = recursion(network)
    limit = f"sys.setrecursionlimit(sys.getrecursionlimit() + {deep})"
    return Source(
        template="keras/model.py.j2",
        title=text.title(network),
        comment=text.comment(network),
        entry="build_model",
        docstring=(),
        parts=tuple(parts(network, sets_forget_bias=bool(set_later))),
        imports=("import sys",) if deep else (),
        before_loading=("import sys", limit) if deep else (),
        functions=(
            Function(
                name="build_model",
                arguments="",
                returns="keras.Model",
                docstring=(
                    f"Return {network.name} {PURPOSES[form]}.",
                    "",
                    *text.signature(network),
                ),
                body=tuple(_body(network, form, set_later)),
            ),
        ),
    )


def refusals(network: nodes.Network, form: Form) -> tuple[Refusal, ...]:  # noqa: ARG001
    """Return no refusals: Keras can honour every key."""
    return ()


def arranged(network: nodes.Network, form: Form) -> nodes.Network:  # noqa: ARG001
    """Return the network unchanged: Keras has a layer for each."""
    return network


def stepwise(network: nodes.Network) -> dict[str, str]:  # noqa: ARG001 - the layers are Keras's own
    """Return no layers: Keras runs each layer itself."""
    return {}


def stock(network: nodes.Network) -> tuple[Stock, ...]:  # noqa: ARG001 - the layers are Keras's own
    """Return no layers: the source uses the layers of Keras."""
    return ()


def _body(
    network: nodes.Network, form: Form, set_later: tuple[Statement, ...]
) -> Iterator[Statement]:
    if is_sequential(network, form):
        model = _sequential(network)
        yield from _padding_comment(network.input)
    else:
        yield Assign("inputs", _input(network.input))
        yield from _layers(network)
        model = Call(Name("keras.Model"), (Name("inputs"), _X), (("name", network.name),))
    deep = recursion(network)
    if not set_later and not deep:
        yield Return(model)
        return
    yield from _deeper(deep, Assign("model", model)) if deep else (Assign("model", model),)
    yield from set_later
    yield Return(Name("model"))


def _deeper(calls: int, statement: Statement) -> Iterator[Statement]:
    """Yield a statement that runs with a recursion limit raised by ``calls``."""
    limit, set_limit = Name("limit"), Name("sys.setrecursionlimit")
    yield Comment("Keras recurses once for each layer, here and in keras.saving.load_model.")
    yield Assign("limit", Call(Name("sys.getrecursionlimit")))
    yield Evaluate(Call(set_limit, (Binary(limit, "+", calls),)))
    yield statement
    yield Evaluate(Call(set_limit, (limit,)))


def _sequential(network: nodes.Network) -> Call:
    made = [_input(network.input), *_masking(network.input), *map(_layer, network.layers)]
    return Call(Name("keras.Sequential"), (Items(tuple(made)),), (("name", network.name),))


def _layers(network: nodes.Network) -> Iterator[Statement]:
    variable = Name("inputs")
    for masking in _masking(network.input):
        yield from _padding_comment(network.input)
        yield Assign("x", Call(masking, (variable,)))
        variable = _X
    if any(map(pools_masked, network.layers)):
        yield Assign("mask", _mask(network.input))
    starts = {layer.start for layer in network.layers if isinstance(layer, nodes.Residual)}
    for layer in network.layers:
        if layer.name in starts:
            yield Assign("skip", variable)
        yield Assign("x", _applied(layer, variable))
        variable = _X


def _masking(network_input: nodes.Input) -> Iterator[Call]:
    if isinstance(network_input, nodes.NumericInput) and network_input.mask_value is not None:
        # Without a dtype, a policy of mixed precision casts the steps before they are compared.
        dtype = Call(Name("keras.config.floatx"))
        yield _make(
            "Masking", (), {"mask_value": network_input.mask_value, "dtype": dtype}, "masking"
        )


def _padding_comment(network_input: nodes.Input) -> Iterator[Statement]:
    if isinstance(network_input, nodes.NumericInput) and network_input.mask_value is not None:
        yield Comment("Padding is compared in the input's dtype, also under mixed precision.")


def _mask(network_input: nodes.Input) -> Call:
    """Return the mask, true at real steps, (batch, steps)."""
    match network_input:
        case nodes.TokenInput():
            return Call(Name("keras.ops.not_equal"), (Name("inputs"), 0))
        case nodes.NumericInput(mask_value=value):
            differs = Call(Name("keras.ops.not_equal"), (Name("inputs"), value))
            return Call(Name("keras.ops.any"), (differs,), (("axis", -1),))
        case _:
            assert_never(network_input)


def _applied(layer: nodes.Layer, variable: Name) -> Call | Index:
    if takes_last_step(layer):
        return Index(variable, LAST_STEP)
    if pools_masked(layer):
        return Call(Name(f"masked_{layer.statistic}"), (variable, Name("mask")))
    if isinstance(layer, nodes.Normalize):
        return Call(Name("l2_normalized"), (variable,))
    if isinstance(layer, nodes.Residual):
        return Call(_layer(layer), (Items((variable, Name("skip"))),))
    return Call(_layer(layer), (variable,))


def _input(network_input: nodes.Input) -> Call:
    shape = Items(network_input.shape, fixed=True)
    match network_input:
        case nodes.TokenInput():
            # The default, float32, holds integers exactly only up to 2**24.
            return _call("keras.Input", shape=shape, dtype="int32", name="inputs")
        case nodes.NumericInput():
            return _call("keras.Input", shape=shape, name="inputs")
        case _:
            assert_never(network_input)


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


def _recurrent(layer: nodes.Recurrent) -> Call:
    type_, arguments = _cell(layer.cell, bias=layer.bias)
    arguments = {
        "return_sequences": layer.return_sequences,
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
