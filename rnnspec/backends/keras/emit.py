"""IR -> Keras source: a function that returns a functional model, or a ``Sequential``."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.contract import Emitter
from rnnspec.backends.keras.layers import (
    apply_layer,
    initialize_by_default,
    make_layer,
    make_masking,
    make_recurrent,
    pools_masked,
    takes_last_step,
)
from rnnspec.backends.keras.parts import parts
from rnnspec.ir import initializers, nodes, text
from rnnspec.ir.forms import states, states_of
from rnnspec.ir.nodes import layer_activations
from rnnspec.ir.params import params
from rnnspec.source.code import Code, Module, code, function, lines, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.ir.forms import Form

_PURPOSES: dict[Form, str] = {
    "training": "with initial weights",
    "inference": "for inference; its weights are to be loaded",
    "step": "in step form; its weights are to be loaded",
}
_LONGEST_SEQUENTIAL = 100
"""The most layers in a ``Sequential``: loading one rebuilds it after each layer, in O(n^2) time."""
SHALLOW = 250
"""The most layers that leave most of Python's recursion limit, 1,000, to the caller."""


def emit(network: nodes.Network, form: Form) -> Module:
    """Return the source of a network: a function ``build_model``."""
    if form != "training":
        network = initialize_by_default(network)
    forget_biases = lines(_set_forget_biases(network))
    deep = recursion(network)
    limit = f"sys.setrecursionlimit(sys.getrecursionlimit() + {deep})"
    described = (
        f"Return {network.name} {_PURPOSES[form]}.",
        "",
        *text.signature(network, chunks=form == "step"),
        *(_describe_states(network) if form == "step" else ()),
    )
    return Module(
        template="keras/model.py.j2",
        title=text.title(network),
        comment=text.comment(network),
        entry="build_model",
        docstring=Code(),
        parts=tuple(parts(network, form, sets_forget_bias=bool(forget_biases))),
        imports=tuple(_imports(network, is_deep=deep > 0)),
        before_loading=("import sys", limit) if deep else (),
        functions=(
            function(
                code("build_model() -> keras.Model"),
                _make_model(network, form, forget_biases),
                describes=described,
            ),
        ),
    )


def _imports(network: nodes.Network, *, is_deep: bool) -> Iterator[str]:
    if is_deep:
        yield from ("import sys", "")
    yield "import keras"
    if any("legacy_hard_sigmoid" in layer_activations(layer) for layer in network.layers):
        yield "import numpy as np"


def _make_model(network: nodes.Network, form: Form, forget_biases: Code) -> Iterator[Code]:
    if form != "step" and _is_sequential(network):
        yield from _compare_padding(network.input)
        model = code("keras.Sequential([{}], name={!r})", listed(*_chain(network)), network.name)
    else:
        yield code("inputs = {}", _make_input(network.input))
        if form == "step":
            inputs = (
                code(
                    "{!r}: keras.Input(shape={!r}, name={!r})",
                    state.name,
                    (state.size,),
                    state.name,
                )
                for state in states(network)
            )
            yield code("states = {{{}}}", listed(*inputs))
        yield from _connect(network, form)
        model = _connected(network, form)
    deep = recursion(network)
    if not forget_biases and not deep:
        yield code("return {}", model)
        return
    made = code("model = {}", model)
    yield _raise_limit(deep, made) if deep else made
    yield forget_biases
    yield code("return model")


def recursion(network: nodes.Network) -> int:
    """Return the increase of Python's recursion limit that Keras needs to build the model.

    Keras walks a model from its output to its input by recursion, one call for each layer.
    Source: https://github.com/keras-team/keras/issues/15596.
    """
    return len(network.layers) if len(network.layers) > SHALLOW else 0


def _raise_limit(calls: int, statement: Code) -> Code:
    """Return a statement that runs with a recursion limit raised by ``calls``."""
    return code(
        """
        # Keras recurses once for each layer, here and in keras.saving.load_model.
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit + {calls!r})
        {statement}
        sys.setrecursionlimit(limit)
        """,
        calls=calls,
        statement=statement,
    )


def _is_sequential(network: nodes.Network) -> bool:
    """Return whether the source is a ``Sequential``: a chain of Keras's layers of any length.

    The summary of a functional model also lists the operations that compute a mask (``NotEqual``,
    ``Any``). But only a functional model refuses another number of time steps, so a spec with
    ``input.length`` needs one.
    """
    # A Sequential passes a single tensor through layers: no mask or earlier input beside it, and no
    # function or slice.
    chain = len(network.layers) <= _LONGEST_SEQUENTIAL and not any(
        isinstance(layer, nodes.Residual | nodes.Normalize)
        or pools_masked(layer)
        or takes_last_step(layer)
        for layer in network.layers
    )
    return chain and network.input.steps is None


def _chain(network: nodes.Network) -> Iterator[Code]:
    """Yield what a ``Sequential`` is made of."""
    yield _make_input(network.input)
    if isinstance(network.input, nodes.NumericInput) and network.input.mask_value is not None:
        yield make_masking(network.input.mask_value)
    yield from map(make_layer, network.layers)


def _connect(network: nodes.Network, form: Form) -> Iterator[Code]:
    """Yield the statements that compute ``x``, and in step form the new states, from ``inputs``."""
    variable = "inputs"
    if isinstance(network.input, nodes.NumericInput) and network.input.mask_value is not None:
        yield from _compare_padding(network.input)
        yield code("x = {}(inputs)", make_masking(network.input.mask_value))
        variable = "x"
    if network.input.masked if form == "step" else any(map(pools_masked, network.layers)):
        yield code("mask = {}", _mask(network.input))
    starts = {layer.start for layer in network.layers if isinstance(layer, nodes.Residual)}
    for layer in network.layers:
        if layer.name in starts:
            yield code("skip = {}", variable)
        match layer:
            case nodes.Recurrent() if form == "step":
                yield from _step_recurrent(layer, variable)
            case nodes.Pooling(statistic="mean" | "max") if form == "step":
                yield from _step_pooling(layer, variable)
            case _:
                yield code("x = {}", apply_layer(layer, variable))
        variable = "x"


def _connected(network: nodes.Network, form: Form) -> Code:
    if form != "step":
        return code("keras.Model(inputs, x, name={!r})", network.name)
    after = listed(*(code("{!r}: {}", state.name, state.name) for state in states(network)))
    return code(
        'keras.Model({{"inputs": inputs}} | states, {{"output": x, {}}}, name={!r})',
        after,
        network.name,
    )


def _compare_padding(network_input: nodes.Input) -> Iterator[Code]:
    """Yield a comment about the layer that computes the mask of features."""
    if isinstance(network_input, nodes.NumericInput) and network_input.mask_value is not None:
        yield code("# Padding is compared in the input's dtype, also under mixed precision.")


def _mask(network_input: nodes.Input) -> Code:
    """Return the mask, true at real steps, (batch, steps)."""
    match network_input:
        case nodes.TokenInput():
            return code("keras.ops.not_equal(inputs, 0)")
        case nodes.NumericInput(mask_value=value):
            return code("keras.ops.any(keras.ops.not_equal(inputs, {!r}), axis=-1)", value)
        case _:
            assert_never(network_input)


def _make_input(network_input: nodes.Input) -> Code:
    match network_input:
        case nodes.TokenInput(shape=shape):
            # The default, float32, holds integers exactly only up to 2**24.
            return code('keras.Input(shape={!r}, dtype="int32", name="inputs")', shape)
        case nodes.NumericInput(shape=shape):
            return code('keras.Input(shape={!r}, name="inputs")', shape)
        case _:
            assert_never(network_input)


def _describe_states(network: nodes.Network) -> Iterator[str]:
    """Yield docstring lines about the states, and how the model takes and returns them."""
    yield 'It takes a dict of "inputs" and the states, and returns one of "output" and new states.'
    yield "States, by name, zeros before the first chunk:"
    for state in states(network):
        yield f"    {state.name}: (batch, {state.size})"


def _given_states(layer: nodes.Layer) -> list[Code]:
    return [code("states[{!r}]", state.name) for state in states_of(layer)]


def _step_pooling(layer: nodes.Pooling, variable: str) -> Iterator[Code]:
    names = [state.name for state in states_of(layer)]
    mask = "mask" if layer.masked else ""
    pooled = code("running_{}({})", layer.statistic, listed(variable, mask, *_given_states(layer)))
    if layer.statistic == "mean":
        yield code("x, {} = {}", listed(*names), pooled)
    else:
        # The maximum is a state itself.
        yield code("{} = {}", listed(*names), pooled)
        yield code("x = {}", names[0])


def _step_recurrent(layer: nodes.Recurrent, variable: str) -> Iterator[Code]:
    names = [state.name for state in states_of(layer)]
    yield code(
        "{}, {} = {}({})",
        # Not the output if it is the last one, which is zeros after a chunk of padding alone.
        "x" if layer.return_sequences else "_",
        listed(*names),
        make_recurrent(layer, returns_states=True),
        listed(
            variable,
            # Keras passes the mask on by itself only to a layer that gets a single tensor.
            code("mask=mask") if layer.masked else "",
            code("initial_state=[{}]", listed(*_given_states(layer))),
        ),
    )
    if not layer.return_sequences:
        yield code("x = {}", names[0])


def _set_forget_biases(network: nodes.Network) -> Iterator[Code]:
    """Yield statements for forget biases that no argument of the Keras LSTM can set.

    ``unit_forget_bias`` sets only 1; without it, the forget gate is initialized like the others.
    """
    for layer in network.layers:
        for param in params(layer):
            for _, value in param.gate_values:
                # If all gates start at the same constant, the bias initializer sets it.
                if value != 1.0 and param.initializer != initializers.Constant(value):
                    # Bidirectional holds its two layers as forward_layer and backward_layer.
                    direction, dot, _ = param.name.rpartition(".")
                    lstm = code("model.get_layer({!r})", layer.name)
                    lstm = code("{}.{}", lstm, f"{direction}_layer") if dot else lstm
                    yield code("set_forget_bias({}, {!r})", lstm, value)


EMITTER = Emitter(emit=emit)
