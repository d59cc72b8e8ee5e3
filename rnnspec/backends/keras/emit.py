"""IR -> Keras source: a function that returns a functional model, or a ``Sequential``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.contract import Emitter
from rnnspec.backends.keras.attention import attending_layers
from rnnspec.backends.keras.backend import engine
from rnnspec.backends.keras.cells import is_by_equation
from rnnspec.backends.keras.formulas import formulas, write_formula
from rnnspec.backends.keras.graph import FunctionalModel
from rnnspec.backends.keras.initial import initialize_by_default
from rnnspec.backends.keras.layers import (
    compare_padding,
    layer_name,
    make_layer,
    make_masking,
    parts_of,
)
from rnnspec.backends.keras.parts import parts
from rnnspec.errors import Refusal
from rnnspec.ir import initializers, nodes, text
from rnnspec.ir.cells import with_distinct_cells
from rnnspec.ir.expand import expand
from rnnspec.ir.fields import ATTENTION, SCALING, Fields
from rnnspec.ir.forms import held_values, states, streamed
from rnnspec.ir.nodes import layer_activations
from rnnspec.ir.params import params
from rnnspec.source.code import Code, Module, code, function, lines, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rnnspec.backends.contract import SourceOptions
    from rnnspec.ir.forms import Form, State

_PURPOSES: dict[Form, str] = {
    "training": "with initial weights",
    "inference": "for inference; its weights are to be loaded",
    "step": "in step form; its weights are to be loaded",
}
_LONGEST_SEQUENTIAL = 100
"""The most layers in a ``Sequential``: loading one rebuilds it after each layer, in O(n^2) time."""
_MOST_OPERATIONS = 4
"""The most operations, one after the other, of a recipe of one or two results."""
_OF_RESULT = 2
"""The operations of a result of a recipe, one after the other, on an average."""
_SEQUENTIAL = Fields(f"Dropout.variational Recurrent.state_names {SCALING}")
_GRAPH = (
    "Network.outputs Network.result Network.streams Node.source Node.shares Recurrent.attention "
    "StepAttention.asked_as StepAttention.asks "
    "Recurrent.backward Recurrent.initial Recurrent.state_names Pooling.backward "
    "AttentionPooling.bias AttentionPooling.query Repeat.like Dense.tied "
    f"{SCALING} {ATTENTION}"
)
_FIELDS: dict[Form, Fields] = {
    "training": Fields(f"{_GRAPH} Dropout.variational"),
    "inference": Fields(_GRAPH),
    "step": Fields(_GRAPH),
}
"""The fields that the source of each form is written from."""
SHALLOW = 250
"""The most layers that leave most of Python's recursion limit, 1,000, to the caller."""


def emit(network: nodes.Network, form: Form, _options: SourceOptions) -> Module:
    """Return the source of a network: a function ``build_model``."""
    network = with_distinct_cells(network)
    if form != "training":
        network = initialize_by_default(network)
    model = tuple(_model(network, form))
    classes = [write_formula(network, *formula, form) for formula in formulas(network)]
    needed = (*parts(network, form, lines(model, classes)), *classes)
    deep = recursion(network)
    limit = f"sys.setrecursionlimit(sys.getrecursionlimit() + {deep})"
    return Module(
        title=text.title(network),
        comment=text.comment(network),
        entry="build_model",
        parts=(*needed, *model),
        imports=tuple(_imports(network, lines(model, needed), is_deep=deep > 0)),
        before_loading=("import sys", limit) if deep else (),
    )


def _model(network: nodes.Network, form: Form) -> Iterator[Code]:
    """Yield the function of a model, behind that of its first states if it has one."""
    if form == "step" and has_begin(network):
        yield from _begin(network)
    described = (
        f"Return {network.name} {_PURPOSES[form]}.",
        "",
        *text.signature(network, chunks=form == "step"),
        *(_describe_states(network) if form == "step" else ()),
    )
    body = _make_model(network, form, lines(_set_forget_biases(network)))
    yield function(code("build_model() -> keras.Model"), body, describes=described)


def _begin(network: nodes.Network) -> Iterator[Code]:
    """Yield the function of the model that computes the first states."""
    others = [
        f'"{network_input.name}"'
        for network_input in network.inputs
        if network_input.name not in network.streams
    ]
    several = len(network.streams) > 1
    first = f'a dict of the first chunk of "{network.streams[0]}"' if several else "the first chunk"
    about = (
        f"Return the model that computes the states of {network.name} before the first chunk.",
        "",
        f"It takes a dict of {', '.join(others)}."
        if others
        else f"It takes {first}, which only tells the number of sequences.",
    )
    yield function(code("build_begin() -> keras.Model"), _make_begin(network), describes=about)


def _imports(network: nodes.Network, source: Code, *, is_deep: bool) -> Iterator[str]:
    if is_deep:
        yield "import sys"
    by_equation = any(map(is_by_equation, network.layers))
    annotates = by_equation or bool(attending_layers(network))
    if annotates:
        if any(
            attention.asked_as
            for attention in map(nodes.attention_of, network.layers)
            if isinstance(attention, nodes.StepAttention)
        ):
            yield "from collections.abc import Callable"
        yield "from typing import Any, ClassVar" if by_equation else "from typing import Any"
    if is_deep or annotates:
        yield ""
    yield "import keras"
    if re.search(r"(?<![\w.])np\.", source):
        yield "import numpy as np"


def _make_model(network: nodes.Network, form: Form, forget_biases: Code) -> Iterator[Code]:
    if form == "step":
        body, model = _make_step(network)
    elif _is_sequential(network):
        body = [*compare_padding(network.input)]
        model = code("keras.Sequential([{}], name={!r})", listed(*_chain(network)), network.name)
    else:
        body, model = _make_whole(network, form)
    yield from body
    deep = recursion(network)
    if not forget_biases and not deep:
        yield code("return {}", model)
        return
    assignment = code("model = {}", model)
    yield _raise_limit(deep, assignment) if deep else assignment
    yield forget_biases
    yield code("return model")


def recursion(network: nodes.Network) -> int:
    """Return the increase of Python's recursion limit that Keras needs to build the model.

    Keras walks a model from its output to its input by recursion, one call for each layer or
    operation. Source: https://github.com/keras-team/keras/issues/15596.
    """
    calls = len(network.layers) + len(network.learned)
    for layer in network.layers:
        if not make_layer(layer):
            calls += max(_MOST_OPERATIONS, _OF_RESULT * len(tuple(expand(layer, "inference"))))
    return calls if calls > SHALLOW else 0


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
    """True if the source is a ``Sequential``: a chain of Keras's layers of any length.

    The summary of a functional model also lists the operations that compute a mask (``NotEqual``,
    ``Any``). But only a functional model refuses another number of time steps, so a spec with
    ``input.length`` needs one.
    """
    # A Sequential passes a single tensor through layers: no mask or earlier output beside it, and
    # no function or slice.
    return (
        network.takes_one_array
        and network.input.steps is None
        and len(network.layers) <= _LONGEST_SEQUENTIAL
        and all(map(make_layer, network.layers))
        and all(len(names) == 1 for names in network.sources.values())
        and not any(any(_SEQUENTIAL.missing(node)) for node in (network, *network.layers))
    )


def source_fields(
    network: nodes.Network, _node: nodes.Layer | nodes.Network, form: Form
) -> tuple[Fields, ...]:
    """Return the table of the fields that the source of a form is written from."""
    is_sequential = form != "step" and _is_sequential(network)
    return (_FIELDS[form], _SEQUENTIAL) if is_sequential else (_FIELDS[form],)


def _chain(network: nodes.Network) -> Iterator[Code]:
    """Yield the layers of a ``Sequential``."""
    yield _make_input(network.input, "inputs")
    if isinstance(network.input, nodes.NumericInput) and network.input.mask_value is not None:
        yield make_masking(network.input.mask_value, "masking")
    yield from filter(None, map(make_layer, network.layers))


def _make_input(network_input: nodes.Input, name: str) -> Code:
    """Return an input of a model."""
    match network_input:
        case nodes.TokenInput(shape=shape) | nodes.LabelInput(shape=shape):
            # The default, float32, holds integers exactly only up to 2**24.
            return code('keras.Input(shape={!r}, dtype="int32", name={!r})', shape, name)
        case nodes.NumericInput(shape=shape) | nodes.VectorInput(shape=shape):
            return code("keras.Input(shape={!r}, name={!r})", shape, name)
        case _:
            assert_never(network_input)


@dataclass(frozen=True)
class _Inputs:
    """The inputs of a model in the variable ``inputs``: one, or a dictionary of those with names.

    ``made`` is the value of the variable, ``named`` a dictionary in any case, and ``values`` has
    the expression of each input.
    """

    made: Code
    named: Code
    values: Mapping[str, Code]

    @classmethod
    def of(cls, network: nodes.Network, inputs: Sequence[nodes.Input]) -> _Inputs:
        """Return some inputs of a network."""
        variable = code("inputs")
        if network.takes_one_array:
            (only,) = inputs
            named = _dictionary({"inputs": variable})
            return cls(_make_input(only, "inputs"), named, {only.name: variable})
        made = {
            network_input.name: _make_input(network_input, network_input.name)
            for network_input in inputs
        }
        return cls(_dictionary(made), variable, {name: code("inputs[{!r}]", name) for name in made})

    def write(self) -> Code:
        """Return the statement that makes them."""
        return code("inputs = {}", self.made)


def _make_whole(network: nodes.Network, form: Form) -> tuple[list[Code], Code]:
    """Return the statements of a functional model, and the call that makes it."""
    inputs = _Inputs.of(network, network.inputs)
    graph = FunctionalModel(network, form, network.layers, inputs.values)
    body = [inputs.write(), *graph.statements()]
    results = {name: graph.value(layer.name) for name, layer in network.results.items()}
    outputs = _dictionary(results) if network.outputs else results[""]
    return body, code("keras.Model(inputs, {}, name={!r})", outputs, network.name)


def _dictionary(values: Mapping[str, Code]) -> Code:
    return code(
        "{{{}}}", listed(*(code("{!r}: {}", name, value) for name, value in values.items()))
    )


# Step form


def _make_step(network: nodes.Network) -> tuple[list[Code], Code]:
    """Return the statements of a model that takes a chunk with states, and the call of it."""
    in_chunks, before = streamed(network), states(network)
    inputs = _Inputs.of(
        network,
        [network_input for network_input in network.inputs if network_input.name in in_chunks],
    )
    held = held_values(network)
    made = {state.name: _make_state(state, is_mask=_is_mask(state, held)) for state in before}
    fixed = {state.name: code("states[{!r}]", state.name) for state in held}
    memories = {state.layer: fixed[state.name] for state in held if state.kind == "value"}
    layers = [layer for layer in network.layers if layer.name in in_chunks]
    graph = FunctionalModel(network, "step", layers, {**inputs.values, **memories})
    body = [inputs.write(), code("states = {}", _dictionary(made)), *graph.statements()]
    after = {state.name: fixed.get(state.name) or code("{}", state.name) for state in before}
    results = {name or "output": graph.value(layer.name) for name, layer in network.results.items()}
    model = code(
        "keras.Model({} | states, {}, name={!r})",
        inputs.named,
        _dictionary(results | after),
        network.name,
    )
    return body, model


def _is_mask(state: State, held: Sequence[State]) -> bool:
    """True if a state is the mask of a memory; the state of a cell may have the same name."""
    return state.kind == "mask" and state in held


def _make_state(state: State, *, is_mask: bool) -> Code:
    """Return the input of a state, with any number of steps if it has fewer at first."""
    shape = state.shape if state.fewer is None else (None, *state.shape[1:])
    dtype = code('dtype="bool"') if is_mask else Code()
    arguments = listed(code("shape={!r}", shape), dtype, code("name={!r}", state.name))
    return code("keras.Input({})", arguments)


def has_begin(network: nodes.Network) -> bool:
    """True if a model computes the first states: some of them are not zeros."""
    in_chunks = streamed(network)
    return (
        len(network.inputs) > len(network.streams)
        or bool(network.learned)
        or any(layer.name not in in_chunks for layer in network.layers)
        or any(state.fewer is not None and state.fewer[0] for state in states(network))
    )


def _make_begin(network: nodes.Network) -> Iterator[Code]:
    """Yield the statements of the model that computes the states before the first chunk."""
    in_chunks = streamed(network)
    # Without another input, the first chunk tells the number of sequences.
    others = [
        network_input for network_input in network.inputs if network_input.name not in in_chunks
    ] or network.inputs[:1]
    inputs = _Inputs.of(network, others)
    layers = [layer for layer in network.layers if layer.name not in in_chunks]
    graph = FunctionalModel(network, "inference", layers, inputs.values)
    body = [*graph.statements()]
    by_name = {layer.name: layer for layer in network.layers}
    first, zeros = dict[str, Code](), code("zero")
    held, padded = held_values(network), nodes.masks(network)
    for state in states(network):
        layer = by_name.get(state.layer)
        vector = layer.first_states.get(state.kind) if isinstance(layer, nodes.Recurrent) else None
        vector = state.layer if state in held else vector
        if _is_mask(state, held):
            first[state.name] = graph.masks.variable(state.layer)
        elif vector is not None:
            is_copy = len(state.shape) > 1 and vector in padded
            copied = code("keras.ops.copy({})" if is_copy else "{}", graph.value(vector))
            first[state.name] = copied
        elif len(state.shape) == 1:
            first[state.name] = code("keras.ops.tile({}, (1, {!r}))", zeros, state.size)
        else:
            column = code("keras.ops.expand_dims({}, 1)", zeros)
            first[state.name] = code(
                "keras.ops.tile({}, (1, {!r}, {!r}))", column, *state.first_shape
            )
    yield inputs.write()
    yield from body
    if any("(zero" in text for text in first.values()):
        yield code("zero = {}", graph.one("zeros_like", others[0].name))
    if any("ops.copy(" in text for text in first.values()):
        yield code("# A copy has no mask of Keras, with which the model of a step would warn.")
    yield code(
        "return keras.Model(inputs, {}, name={!r})", _dictionary(first), f"{network.name}_begin"
    )


def _describe_states(network: nodes.Network) -> Iterator[str]:
    """Yield docstring lines about the states, and how the model takes and returns them."""
    arguments = network.arguments("inputs")
    chunks = ", ".join(f'"{arguments[name]}"' for name in network.streams)
    outputs = "the outputs" if network.outputs else '"output"'
    takes = f"It takes a dict of {chunks} and the states"
    yield f"{takes}, and returns one of {outputs} and new states."
    held = held_values(network)
    if has_begin(network):
        yield "States, by name, which the model of build_begin returns before the first chunk:"
    else:
        yield "States, by name, zeros before the first chunk:"
    for state in states(network):
        first = "" if state.fewer is None else f", {state.fewer[0]} steps at first"
        sizes = ", ".join("steps" if size is None else str(size) for size in state.shape)
        what = ", true at real steps" if _is_mask(state, held) else first
        yield f"    {state.name}: (batch, {sizes}){what}"


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
                    lstm = code("model.get_layer({!r})", layer_name(layer))
                    lstm = code("{}.{}", lstm, f"{direction}_layer") if dot else lstm
                    # One that attends has the cell in its cell.
                    lstm = code("{}.cell", lstm) if nodes.attention_of(layer) else lstm
                    yield code("set_forget_bias({}, {!r})", lstm, value)


def refusals(network: nodes.Network, form: Form) -> tuple[Refusal, ...]:
    """Return every setting that Keras, on the engine it is set to run on, does not support."""
    # A model in step form returns its outputs and the states in one dict.
    taken = {state.name for state in states(network)} if form == "step" else set()
    reason = "in Keras, a state has the name of this output"
    same = (Refusal(name, "heads", reason) for name in network.results if name in taken)
    return (*same, *_refusals(network))


def _refusals(network: nodes.Network) -> Iterator[Refusal]:
    names = {*network.learned, *(layer.name for layer in network.layers)}
    for network_input in network.named_inputs:
        if (name := f"{network_input.name}_masking") in names:
            reason = f"in Keras, the masking of {network_input.name} is a layer of this name"
            yield Refusal(name, "name", reason)
    for name in sorted(nodes.turned(network)):
        reason = "a layer of Keras reads in one direction, and another layer shares it"
        yield Refusal(name, "direction", reason)
    for layer in network.layers:
        for role, name in parts_of(layer).items():
            if name in names:
                reason = f"in Keras, the {role} of {layer.name} are a layer of this name"
                yield Refusal(name, "name", reason)
        if any(isinstance(a, nodes.LeakyRelu) and a.slope < 0 for a in layer_activations(layer)):
            yield Refusal(layer.name, "activation", "LeakyReLU of Keras takes no negative slope")
        match layer:
            case nodes.Conv(window=window) if window.stride > 1 and window.dilation > 1:
                reason = "Conv1D of Keras takes a stride or a dilation, not both"
                yield Refusal(layer.name, "dilation", reason)
            case nodes.WindowPooling(statistic="average") if _repeats_last(layer):
                reason = "on PyTorch, Keras counts the last step twice if it adds one more after"
                yield Refusal(layer.name, "padding", f"{reason} it than before the first")
            case nodes.BatchNorm(masked=True, input=(_, 1)) if engine() != "tensorflow":
                reason = "only on TensorFlow does Keras normalize a single feature with a mask"
                yield Refusal(layer.name, "type", reason)
            case nodes.InstanceNorm(scale=False, offset=True):
                reason = "no layer of Keras adds an offset to features without a scale"
                yield Refusal(layer.name, "scale", reason)
            case _:
                pass


def _repeats_last(layer: nodes.WindowPooling) -> bool:
    """True if the engine may take the last step for one that a window adds."""
    steps = layer.input[0]
    if engine() != "torch" or layer.window.padding != "same":
        return False
    # Even if a length needs none, another one does.
    before, after = (0, 1) if steps is None else layer.window.added(steps)
    return before != after and layer.window.size > 1


def needs_source(network: nodes.Network) -> bool:
    """True if the model has classes of its source."""
    own = any(map(is_by_equation, network.layers)) or any(formulas(network))
    return own or bool(attending_layers(network))


EMITTER = Emitter(
    emit=emit,
    fields=source_fields,
    refusals=refusals,
    needs_source=needs_source,
    begins=has_begin,
)
