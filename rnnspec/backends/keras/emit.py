"""IR -> Keras source: a function that returns a functional model, or a ``Sequential``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.contract import Emitter
from rnnspec.backends.keras.backend import engine
from rnnspec.backends.keras.cells import is_by_equation, with_distinct_cells
from rnnspec.backends.keras.initial import initialize_by_default
from rnnspec.backends.keras.layers import (
    is_layer,
    is_rounded,
    make_activation,
    make_embedding,
    make_layer,
    make_masking,
    make_query,
    make_recurrent,
    make_scale,
    make_scaling,
    make_scorer,
    parts_of,
)
from rnnspec.backends.keras.parts import BodyVerbs, parts
from rnnspec.errors import Refusal
from rnnspec.ir import core, initializers, nodes, text
from rnnspec.ir.expand import expand, running
from rnnspec.ir.fields import Fields
from rnnspec.ir.forms import states, states_of
from rnnspec.ir.nodes import layer_activations
from rnnspec.ir.params import params
from rnnspec.source.code import Code, Module, code, function, lines, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.backends.contract import SourceOptions
    from rnnspec.ir.forms import Form

_PURPOSES: dict[Form, str] = {
    "training": "with initial weights",
    "inference": "for inference; its weights are to be loaded",
    "step": "in step form; its weights are to be loaded",
}
_LONGEST_SEQUENTIAL = 100
"""The most layers in a ``Sequential``: loading one rebuilds it after each layer, in O(n^2) time."""
_MOST_OPERATIONS = 4
"""The most operations, one after the other, beside a layer of Keras with a mask."""
_OF_RESULT = 2
"""The operations of a result of a recipe, one after the other, on an average."""
_SEQUENTIAL = Fields("Dropout.variational")
_FIELDS: dict[Form, Fields] = {
    "training": Fields(
        "Network.outputs Node.source Dropout.variational Pooling.backward Dense.tied"
    ),
    "inference": Fields("Network.outputs Node.source Pooling.backward Dense.tied"),
    "step": Fields("Network.outputs Node.source Pooling.backward Dense.tied"),
}
"""The fields that the source of each form is written from."""
SHALLOW = 250
"""The most layers that leave most of Python's recursion limit, 1,000, to the caller."""


def emit(network: nodes.Network, form: Form, _options: SourceOptions) -> Module:
    """Return the source of a network: a function ``build_model``."""
    network = with_distinct_cells(network)
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
        title=text.title(network),
        comment=text.comment(network),
        entry="build_model",
        parts=(
            *parts(network, form, sets_forget_bias=bool(forget_biases)),
            function(
                code("build_model() -> keras.Model"),
                _make_model(network, form, forget_biases),
                describes=described,
            ),
        ),
        imports=tuple(_imports(network, is_deep=deep > 0)),
        before_loading=("import sys", limit) if deep else (),
    )


def _imports(network: nodes.Network, *, is_deep: bool) -> Iterator[str]:
    if is_deep:
        yield "import sys"
    by_equation = any(map(is_by_equation, network.layers))
    if by_equation:
        yield "from typing import Any, ClassVar"
    if is_deep or by_equation:
        yield ""
    yield "import keras"
    activations = [
        activation
        for layer in network.layers
        if not is_by_equation(layer)
        for activation in layer_activations(layer)
    ]
    if "legacy_hard_sigmoid" in activations or any(map(is_rounded, activations)):
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
                    state.shape,
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
    assignment = code("model = {}", model)
    yield _raise_limit(deep, assignment) if deep else assignment
    yield forget_biases
    yield code("return model")


def recursion(network: nodes.Network) -> int:
    """Return the increase of Python's recursion limit that Keras needs to build the model.

    Keras walks a model from its output to its input by recursion, one call for each layer or
    operation. Source: https://github.com/keras-team/keras/issues/15596.
    """
    calls = len(network.layers)
    for layer in network.layers:
        if isinstance(layer, nodes.Composed):
            calls += _OF_RESULT * len(tuple(expand(layer, "inference")))
        elif _needs_mask(layer):
            calls += _MOST_OPERATIONS
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
        network.input.steps is None
        and len(network.layers) <= _LONGEST_SEQUENTIAL
        and all(map(is_layer, network.layers))
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
    yield _make_input(network.input)
    if isinstance(network.input, nodes.NumericInput) and network.input.mask_value is not None:
        yield make_masking(network.input.mask_value)
    yield from map(make_layer, network.layers)


def _connect(network: nodes.Network, form: Form) -> Iterator[Code]:
    """Yield the statements that compute ``x``, and in step form the new states, from ``inputs``."""
    graph = _Graph(network, form)
    yield from graph.start()
    for layer in network.layers:
        yield from graph.connect(layer)


class _Graph:
    """A functional model: the variables of the layers so far.

    ``x`` is the output of the layer before, ``mask`` is true at real steps, and ``skip`` is the
    input of the next residual. An output that is used later has a variable of its own.
    """

    def __init__(self, network: nodes.Network, form: Form) -> None:
        self.network = network
        self.form = form
        self.kept = nodes.kept_outputs(network)
        self.sources = nodes.sources(network)
        self.starts = {layer.start for layer in network.layers if isinstance(layer, nodes.Residual)}
        self.tied = {layer.tied for layer in network.layers if isinstance(layer, nodes.Dense)}
        self.previous, self.current = nodes.INPUT, code("inputs")
        # Keras passes a mask on by itself, until a window takes it away. In step form, layers get
        # states too, and Keras passes a mask on only to a layer that gets a single tensor.
        self.says_mask = form == "step"

    def start(self) -> Iterator[Code]:
        """Yield the statements before the first layer."""
        network_input = self.network.input
        if self.masking is not None:
            yield from _compare_padding(network_input)
            yield code("x = {}(inputs)", make_masking(self.masking))
            yield from self._keep(nodes.INPUT)
        if (
            network_input.masked
            if self.form == "step"
            else any(map(_needs_mask, self.network.layers))
        ):
            yield code("mask = {}", _mask(network_input))

    @property
    def masking(self) -> float | None:
        """The padding of features, unless the first layer does without it and a mask."""
        first = self.network.layers[0]
        if isinstance(first, nodes.Conv | nodes.WindowPooling):
            return None
        match self.network.input:
            case nodes.NumericInput(mask_value=value):
                return value
            case _:
                return None

    def connect(  # noqa: PLR0912 - a branch for each kind of layer
        self, layer: nodes.Layer
    ) -> Iterator[Code]:
        """Yield the statements that compute a layer."""
        taken = [self._variable(name) for name in self.sources[layer.name]]
        x = taken[0]
        if layer.name in self.starts:
            yield code("skip = {}", x)
        match layer:
            case nodes.Embedding() if layer.name in self.tied:
                yield code("embedding = {}", make_embedding(layer, reversible=True))
                yield code("x = embedding({})", x)
            case nodes.Recurrent():
                run = self._step_recurrent if self.form == "step" else self._recurrent
                yield from run(layer, x)
            case nodes.Conv():
                yield from self._conv(layer, x)
            case nodes.WindowPooling():
                yield from self._window_pooling(layer, x)
            case nodes.BatchNorm():
                yield code("x = {}({})", make_layer(layer), listed(x, self._mask_argument(layer)))
            case nodes.Pooling() if self.form == "step" and states_of(layer):
                yield from _step_pooling(layer, x)
            case nodes.Pooling() if not is_layer(layer):
                yield from _pool(layer, x)
            case nodes.Attention():
                yield from _attend(layer, x)
            case nodes.LastSteps():
                last = code("{}[:, -{!r}:]", x, layer.count)
                # A sequence that is too short has no such shape, and is refused.
                reshape = layer.input[0] is None
                yield (
                    code("x = {}({})", make_layer(layer), last) if reshape else code("x = {}", last)
                )
            case nodes.Dense(tied=str()):
                yield from _project_tied(layer, x)
            case nodes.Activate(activation="legacy_hard_sigmoid"):
                # Not the layer for an activation of a layer: a Pipeline drops the mask.
                yield code("x = {}({})", make_scaling(layer.name), x)
                hard_sigmoid = make_activation("hard_sigmoid", parts_of(layer)["hard_sigmoid"])
                yield code("x = {}(x)", hard_sigmoid)
            case nodes.Normalize():
                yield code("x = l2_normalized({})", x)
            case nodes.Composed():
                yield from _compose(layer, x)
                # Functions pass no mask on.
                self.says_mask |= layer.masked
            case nodes.Residual():
                yield code("x = {}([{}, skip])", make_layer(layer), x)
            case nodes.Join():
                yield code("x = {}([{}])", make_layer(layer), listed(*taken))
            case _:
                yield code("x = {}({})", make_layer(layer), x)
        yield from self._keep(layer.name)

    def _keep(self, name: str) -> Iterator[Code]:
        """Make ``x`` the output of a layer, and yield the statement that keeps it for later."""
        self.previous, self.current = name, code("x")
        if name in self.kept:
            yield code("{}_out = x", code("{}", name))

    def _variable(self, name: str) -> Code:
        """Return the variable with the output of an earlier layer."""
        if name == self.previous:
            return self.current
        if name == nodes.INPUT and self.masking is None:
            return code("inputs")
        return code("{}_out", code("{}", name))

    def _mask_argument(self, layer: nodes.Recurrent | nodes.BatchNorm) -> Code:
        return code("mask=mask") if self.says_mask and layer.masked else Code()

    def _recurrent(self, layer: nodes.Recurrent, x: Code) -> Iterator[Code]:
        yield code("x = {}({})", make_recurrent(layer), listed(x, self._mask_argument(layer)))

    def _step_recurrent(self, layer: nodes.Recurrent, x: Code) -> Iterator[Code]:
        names = [state.name for state in states_of(layer)]
        yield code(
            "{}, {} = {}({})",
            # Not the output if it is the last one, which is zeros after a chunk of padding alone.
            "x" if layer.return_sequences else "_",
            listed(*names),
            make_recurrent(layer, returns_states=True),
            listed(
                x,
                self._mask_argument(layer),
                code("initial_state=[{}]", listed(*_given_states(layer))),
            ),
        )
        if not layer.return_sequences:
            yield code("x = {}", names[0])

    def _conv(self, layer: nodes.Conv, x: Code) -> Iterator[Code]:
        conv, variables, *before = layer, {"x": x}, *expand(layer, self.form)
        if self.form == "step" and (states := states_of(layer)):
            variables |= {state.name: code("states[{!r}]", state.name) for state in states}
            # The steps before are there already.
            conv = replace(layer, window=replace(layer.window, padding="valid"))
        yield from BodyVerbs(variables=variables).statements(before[:-1])
        yield code("x = {}({})", make_layer(conv), variables.get("x") or code("x"))
        yield from self._pass_window(layer)

    def _window_pooling(self, layer: nodes.WindowPooling, x: Code) -> Iterator[Code]:
        match layer:
            case nodes.WindowPooling(masked=False):
                yield code("x = {}({})", make_layer(layer), x)
            case nodes.WindowPooling(statistic="average"):
                yield code("x = masked_average({}, {}, mask)", make_layer(layer), x)
                yield from self._pass_window(layer)
            case _:
                yield code("x = {}(fill_padding({}, mask, -3e38))", make_layer(layer), x)
                yield from self._pass_window(layer)
                # What later layers would compute with such a number is not finite.
                yield code("x = fill_padding(x, mask, 0)")

    def _pass_window(self, layer: nodes.Conv | nodes.WindowPooling) -> Iterator[Code]:
        """Yield the statement that makes the mask that of the windows, if it is used again."""
        if not layer.masked:
            return
        self.says_mask = True
        behind = self.network.layers[self.network.layers.index(layer) + 1 :]
        used = any(getattr(other, "masked", False) for other in behind)
        window = layer.window
        if window.keeps_steps or not (used or _needs_fill(layer)):
            return
        start = code("{!r}", window.anchor) if window.anchor else Code()
        stride = code(":{!r}", window.stride) if window.stride > 1 else Code()
        yield code("mask = mask[:, {}:{}]", start, stride)


def _needs_fill(layer: nodes.Layer) -> bool:
    """True if a layer gives padded steps a value that no later layer may compute with."""
    return isinstance(layer, nodes.WindowPooling) and layer.masked and layer.statistic == "max"


def _needs_mask(layer: nodes.Layer) -> bool:
    """True if a layer is computed with the mask in a variable."""
    alone = nodes.Recurrent | nodes.BatchNorm
    return getattr(layer, "masked", False) and not isinstance(layer, alone | nodes.Embedding)


def _connected(network: nodes.Network, form: Form) -> Code:
    if network.outputs:
        joined = nodes.kept_outputs(network)
        named = (
            code(
                "{!r}: {}",
                name,
                code("{}_out", code("{}", layer)) if layer in joined else code("x"),
            )
            for name, layer in network.outputs
        )
        return code("keras.Model(inputs, {{{}}}, name={!r})", listed(*named), network.name)
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
        yield f"    {state.name}: (batch, {', '.join(map(str, state.shape))})"


def _given_states(layer: nodes.Layer) -> list[Code]:
    return [code("states[{!r}]", state.name) for state in states_of(layer)]


def _pool(layer: nodes.Pooling, x: Code) -> Iterator[Code]:
    """Yield the statements of a statistic of all steps that no layer of Keras computes."""
    if layer.masked and layer.statistic in ("mean", "max"):
        yield code("x = masked_{}({}, mask)", layer.statistic, x)
        return
    result, *_ = expand(layer, "inference")
    # The functions of final states return zeros themselves if no step is real.
    yield from BodyVerbs(variables={"x": x}).statements([result])


def _attend(layer: nodes.Attention, x: Code) -> Iterator[Code]:
    """Yield the statements that reduce the steps to their weighted mean."""
    scores = x
    if layer.units is not None:
        yield code("scores = {}({})", make_scorer(layer, layer.units), x)
        scores = code("scores")
    yield code("scores = {}({})", make_query(layer), scores)
    _, *results = expand(layer, "inference")
    body = BodyVerbs(variables={"x": x}, softmax=parts_of(layer)["weights"])
    yield from body.statements(result for result in results if result.name != "real")


def _compose(layer: nodes.Composed, x: Code) -> Iterator[Code]:
    """Yield the statements of a recipe that ends in a product with an array, plus another one."""
    scale, offset = params(layer)
    scales = {core.Param(layer.name, scale.name): make_scale(layer, scale, offset)}
    yield from BodyVerbs(variables={"x": x}, scales=scales).statements(expand(layer, "inference"))


def _project_tied(layer: nodes.Dense, x: Code) -> Iterator[Code]:
    """Yield the statements that project ``x`` by the transpose of the embedding."""
    yield code("x = embedding({}, reverse=True)", x)
    names = parts_of(layer)
    if layer.bias:
        bias = replace(layer, tied=None, activation="linear")
        yield code("# A dense layer without features has only its bias.")
        if len(layer.input) > 1:
            yield code("bias = {}(x[:1, :1, :0])", make_layer(bias))
        else:
            # oneDNN, in TensorFlow, ends the process at a product of two such matrices.
            yield code("bias = {}(x[:1, None, :0])[:, 0]", make_layer(bias))
        yield code("x = keras.layers.Add(name={!r})([x, bias])", names["logits"])
    if layer.activation != "linear":
        yield code("x = {}(x)", make_activation(layer.activation, names["activation"]))


def _step_pooling(layer: nodes.Pooling, variable: Code) -> Iterator[Code]:
    names = [state.name for state in states_of(layer)]
    states = _given_states(layer)
    if layer.statistic == "sum":
        total, _ = running(layer)
        body = BodyVerbs(variables={"x": variable, "total": states[0]})
        yield code("{} = {}", names[0], body.write(total.value))
        yield code("x = {}", names[0])
        return
    pooled = code(
        "running_{}({})", layer.statistic, listed(variable, "mask" if layer.masked else "", *states)
    )
    if layer.statistic == "mean":
        yield code("x, {} = {}", listed(*names), pooled)
    else:
        # The maximum is a state itself.
        yield code("{} = {}", listed(*names), pooled)
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


def refusals(network: nodes.Network, form: Form) -> tuple[Refusal, ...]:  # noqa: ARG001
    """Return every setting that Keras, on the engine it is set to run on, does not support."""
    return tuple(_refusals(network))


def _refusals(network: nodes.Network) -> Iterator[Refusal]:
    names = {layer.name for layer in network.layers}
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
    return any(map(is_by_equation, network.layers))


EMITTER = Emitter(emit=emit, fields=source_fields, refusals=refusals, needs_source=needs_source)
