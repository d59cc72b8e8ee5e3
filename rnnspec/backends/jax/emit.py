"""IR -> JAX source: one ``nnx.Module`` of Flax."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING

from rnnspec.backends.contract import Emitter
from rnnspec.backends.jax.backend import JAX
from rnnspec.backends.jax.calls import RecurrentCalls
from rnnspec.backends.jax.cells import (
    ACTIVATIONS,
    LOCALS,
    class_name,
    direction_path,
    draws_bias,
    draws_uniformly,
    make_initializer,
    mask_refusals,
)
from rnnspec.backends.jax.parts import attend, embedding_of, parts, pooling_classes
from rnnspec.backends.jax.slots import slots
from rnnspec.backends.needs import purpose
from rnnspec.errors import Refusal
from rnnspec.ir import cells, core, nodes
from rnnspec.ir.cells import with_distinct_cells
from rnnspec.ir.expand import X, expand, of_all_steps
from rnnspec.ir.fields import ATTENTION, SCALING, Fields, shared_refusals
from rnnspec.ir.forms import streamed
from rnnspec.ir.params import directions
from rnnspec.ir.text import composed_class
from rnnspec.source.code import Code, Module, call, code, function, listed
from rnnspec.source.composed import attention_layer
from rnnspec.source.layers import walked_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rnnspec.backends.contract import SourceOptions
    from rnnspec.ir.forms import Form
    from rnnspec.ir.params import Param
    from rnnspec.source.code import Literal

# Some defaults are missing on purpose, because those of other frameworks differ: the padding of a
# convolution, the stride of a pooling, the variance and the epsilon of a norm are always written.
DEFAULTS: Mapping[str, Mapping[str, Literal]] = MappingProxyType(
    {
        "nnx.Linear": {"use_bias": True},
        "nnx.Conv": {"strides": 1, "kernel_dilation": 1, "use_bias": True},
        "nnx.BatchNorm": {"use_running_average": False, "use_scale": True, "use_bias": True},
        "nnx.LayerNorm": {"use_scale": True, "use_bias": True},
        "nnx.Dropout": {"broadcast_dims": ()},
    }
)
"""The default arguments of Flax's modules; a test compares them with Flax."""

_GRAPH = (
    "Network.outputs Network.result Network.streams Node.source Node.shares Pooling.backward "
    "Dense.tied AttentionPooling.bias AttentionPooling.query "
    f"{SCALING} {ATTENTION}"
)
_FIELDS: dict[Form, Fields] = {
    "training": Fields(f"{_GRAPH} Dropout.variational"),
    "inference": Fields(_GRAPH),
    "step": Fields(_GRAPH),
}
"""The fields that the source of each form is written from."""
_CELL_FIELDS = Fields(
    f"{cells.FIELDS.names} Recurrent.attention StepAttention.asked_as StepAttention.asks "
    "Recurrent.backward Recurrent.initial"
)


def emit(network: nodes.Network, form: Form, _options: SourceOptions) -> Module:
    """Return the source of a network: an ``nnx.Module`` named after it."""
    walk = JaxWalk(network, form)
    imports = []
    options = {option for class_ in walk.cell_classes.values() for option in class_.options}
    attentions = (layer for layer in network.layers if isinstance(layer, nodes.AttentionPooling))
    scores = any(
        layer.units or (layer.activation != "linear" and not layer.query) for layer in attentions
    )
    if scores or not options.isdisjoint(("activation", "recurrent_activation")):
        imports.append("from collections.abc import Callable")
    if form == "training" and draws_uniformly(network):
        imports.append("from functools import partial")
    return walk.write_module(
        f"The network {network.name}{purpose(form)}.",
        parts=parts(network, form, walk),
        imports=imports,
    )


class JaxWalk(RecurrentCalls):
    """The walk that writes Flax."""

    imports = ("import jax", "import jax.numpy as jnp", "from flax import nnx")
    reserved_names = JAX.reserved_names
    array = "jax.Array"
    space = "jnp"
    axis = "axis"
    keep = "keepdims=True"
    softmax = "jax.nn.softmax"
    method = "__call__"
    module = "nnx.Module"
    not_in_class = LOCALS
    # Shapes are known while JAX traces, so the check costs nothing when the model runs.
    checked_forms = ("training", "inference", "step")
    losses = MappingProxyType(
        {
            "sigmoid": "optax.sigmoid_binary_cross_entropy",
            "softmax": "optax.softmax_cross_entropy",
        }
    )
    about_logits = "Return the output, or ``logits`` for ``{}``."

    def create(self, modules: Code) -> Iterator[Code]:
        """Yield ``__init__``."""
        if self.form == "training":
            yield function(code("__init__(self, *, rngs: nnx.Rngs) -> None"), modules)
        else:
            # Modules of Flax cannot be made without, and what they draw is replaced.
            rngs = code("rngs = nnx.Rngs(0)") if "rngs=rngs" in modules else Code()
            yield function(code("__init__(self) -> None"), rngs, modules)

    def hold(self, param: Param, *sizes: Code) -> Code:
        """Return a variable, which is zeros but for training."""
        shape = code("({},)" if len(sizes) == 1 else "({})", listed(*sizes))
        make, arguments = code("jnp.zeros"), listed(shape, "jnp.float32")
        if self.form == "training":
            make = make_initializer(param.initializer)
            arguments = listed(code("rngs.params()"), arguments)
        class_ = "nnx.Param" if param.trainable else "nnx.Variable"
        return code("self.{} = {}({}({}))", param.name, class_, make, arguments)

    def generator(self) -> Code:
        """Return the generators of a composed layer, which only source for training draws from."""
        return code("rngs: nnx.Rngs") if self.form == "training" else Code()

    def embedding(self, layer: nodes.Embedding) -> Code:
        """Return an embedding; the class of a frozen one draws nothing but for training."""
        arguments: dict[str, Code] = {}
        if self.form == "training":
            arguments["embedding_init"] = make_initializer(layer.initializer)
        if self.form == "training" or layer.trainable:
            arguments["rngs"] = code("rngs")
        class_ = "nnx.Embed" if layer.trainable else "FrozenEmbed"
        return code(
            "self.{} = {}",
            self.attribute(layer.name),
            _make(class_, layer.vocabulary, layer.dim, **arguments),
        )

    def dropout(self, layer: nodes.Dropout) -> Code:
        """Return a dropout with its generator."""
        one_mask = (1,) if layer.variational else ()
        dropout = _make("nnx.Dropout", layer.rate, broadcast_dims=one_mask, rngs=code("rngs"))
        return code("self.{} = {}", self.attribute(layer.name), dropout)

    def layer_norm(self, layer: nodes.LayerNorm) -> Code:
        """Return a layer normalization with its epsilon."""
        # The fast variance, E[x^2] - E[x]^2, loses half of the digits.
        norm = _make(
            "nnx.LayerNorm",
            nodes.width(layer.input),
            epsilon=layer.epsilon,
            use_scale=layer.scale,
            use_bias=layer.offset,
            use_fast_variance=False,
            rngs=code("rngs"),
        )
        return code("self.{} = {}", self.attribute(layer.name), norm)

    def dense(self, layer: nodes.Dense) -> Code:
        """Return a linear layer; with a tied kernel and no bias, it has no arrays of its own."""
        if layer.tied is None:
            arguments = {"use_bias": layer.bias, **self._drawn(layer)}
            linear = _make("nnx.Linear", layer.features, layer.units, **arguments)
            return code("self.{} = {}", self.attribute(layer.name), linear)
        if not layer.bias:
            return Code()
        draws = self.form == "training" and draws_bias(layer)
        arguments = {"rngs": code("rngs")} if draws else {}
        return code(
            "self.{} = {}",
            self.attribute(layer.name),
            _make("TiedLinear", layer.units, **arguments),
        )

    def _drawn(self, layer: nodes.Dense | nodes.Conv) -> dict[str, Code | Literal]:
        """Return the arguments of a layer of Flax that say how its arrays are drawn."""
        arguments: dict[str, Code | Literal] = {}
        if self.form == "training":
            arguments["kernel_init"] = make_initializer(layer.kernel_initializer)
            if layer.bias and draws_bias(layer):
                arguments["bias_init"] = make_initializer(layer.bias_initializer)
        return {**arguments, "rngs": code("rngs")}

    def project_tied(self, layer: nodes.Dense) -> Code:
        """Return ``x`` times the transpose of an embedding, plus the bias."""
        assert layer.tied is not None, "of the caller"
        if layer.bias:
            return code(
                "self.{}({}, self.{})",
                self.attribute(layer.name),
                self.x,
                self.attribute(layer.tied),
            )
        return attend(
            self.x, f"self.{self.attribute(layer.tied)}", embedding_of(self.network, layer)
        )

    def conv(self, layer: nodes.Conv) -> Code:
        """Return a convolution; in step form, the states are the steps before a chunk."""
        window = layer.window
        is_chunk = self.form_of(layer) == "step"
        padding = code("{!r}", "VALID") if is_chunk else _padding(window)
        arguments: dict[str, Code | Literal] = {
            "kernel_size": window.size,
            "strides": window.stride,
            "padding": padding,
            "kernel_dilation": window.dilation,
            "use_bias": layer.bias,
            **self._drawn(layer),
        }
        module = _make("nnx.Conv", layer.features, layer.filters, **arguments)
        return code("self.{} = {}", self.attribute(layer.name), module)

    def run_conv(self, layer: nodes.Conv) -> Iterator[Code]:
        """Yield the call of a convolution, with zeros for padding, and with its state."""
        *before, _ = expand(layer, self.form_of(layer))
        yield from self._unless_zeros(layer, before)
        yield self.call(layer.owner)

    def run_window_pooling(self, layer: nodes.WindowPooling) -> Iterator[Code]:
        """Yield the statements that pool windows."""
        return self._unless_zeros(layer, of_all_steps(expand(layer, self.form_of(layer))))

    def _unless_zeros(
        self, layer: nodes.Windowed, results: Iterable[core.Result]
    ) -> Iterator[Code]:
        """Yield the statements of results, leaving out zeros where padding is zeros already."""
        inputs = {network_input.name for network_input in self.network.inputs}
        is_zeros = inputs.issuperset(self._sources[layer.name])
        for result in results:
            match result.value:
                case core.Fill(core.Column() | core.Name(), core.Name("x"), 0.0) if is_zeros:
                    pass
                case _:
                    yield from self.statements([result])

    def write(  # noqa: PLR0912 - a branch for each verb
        self, value: core.Expression
    ) -> Code:
        """Return an expression, also of windows."""
        match value:
            case core.Combine("divide", x, core.Combine("maximum", core.Length(vector), 1e-12)) if (
                x == vector
            ):
                return code("l2_normalized({})", self.write(x))
            case core.Param(_, name):
                return code("self.{}[...]", name)
            case core.Scores(queries, keys, core.Param(_, name), activation):
                # One vector for each query and each key.
                sums = code("{}[:, :, None] + {}[:, None]", *map(self.write, (queries, keys)))
                if activation == "linear":
                    return code("({}) @ self.{}[:, 0]", sums, name)
                return code("{} @ self.{}[:, 0]", self.activate(activation, sums), name)
            case core.Flatten(x):
                return code("{x}.reshape({x}.shape[0], -1)", x=self.write(x))
            case core.Repeat(core.EarlierOutput(), 1):
                return super().write(value)
            case core.Repeat(x, number):
                step = code("jnp.expand_dims({}, 1)", self.write(x))
                count = code("{!r}", number) if isinstance(number, int) else self.write(number)
                return code("jnp.repeat({}, {}, axis=1)", step, count)
            case core.Spread(vector, x):
                return code("jnp.tile({}, ({}.shape[0], 1))", self.write(vector), self.write(x))
            case core.Pick(end, x, mask):
                real = self.write(mask)
                step = code("{}.argmax(axis=1)", real)
                if end == "last":
                    step = code("{m}.shape[1] - 1 - {m}[:, ::-1].argmax(axis=1)", m=real)
                return code("{x}[jnp.arange({x}.shape[0]), {}]", step, x=self.write(x))
            case core.PoolWindows(how, x, window, adds, mask=None):
                arguments = code(
                    "({!r},), strides=({!r},), padding={}",
                    window.size,
                    window.stride,
                    _padding(window),
                )
                steps = self.write(x)
                if how == "max":
                    return code("nnx.max_pool({}, {})", steps, arguments)
                own_steps = adds or window.padding == "valid"
                rest = "" if own_steps else code("count_include_pad=False")
                is_real = x == core.Name("real")
                steps = code("real.astype({}.dtype)", self.x) if is_real else steps
                return code("nnx.avg_pool({})", listed(steps, arguments, rest))
            case core.Fill(core.Combine("greater", x, limit), _, zero) if limit == -inf:
                return code(
                    "jnp.where(jnp.isneginf({x}), {}, {x})", self.write(zero), x=self.write(x)
                )
            case _:
                return super().write(value)

    def batch_norm(self, layer: nodes.BatchNorm) -> Code:
        """Return a batch normalization, which in source for inference is always in inference."""
        arguments: dict[str, Code | Literal] = {"use_running_average": True}
        if self.form == "training":
            # The fast variance, E[x^2] - E[x]^2, loses half of the digits.
            arguments = {"momentum": layer.momentum, "use_fast_variance": False}
        norm = _make(
            "nnx.BatchNorm",
            nodes.width(layer.input),
            epsilon=layer.epsilon,
            use_scale=layer.scale,
            use_bias=layer.offset,
            **arguments,
            rngs=code("rngs"),
        )
        return code("self.{} = {}", self.attribute(layer.name), norm)

    def run_batch_norm(self, layer: nodes.BatchNorm) -> Iterator[Code]:
        """Yield the call of a batch normalization, over the real steps."""
        over = Code()
        if layer.masked:
            over = code("mask=norm_mask({})", self.mask)
        yield self.call(layer.owner, over)

    def attention(self, layer: nodes.AttentionPooling) -> Code:
        """Return a module of a generated class, which scores the steps and weights them."""
        arguments: dict[str, Code] = {}
        sizes: tuple[int, ...] = (nodes.width(layer.input),)
        if layer.units is not None:
            sizes = (*sizes, layer.units)
        elif layer.query:
            return Code()
        if layer.units is not None or layer.activation != "linear":
            arguments["activation"] = self._function(layer.activation)
        arguments["rngs"] = code("rngs")
        classes = pooling_classes(self.network).items()
        (name,) = (name for name, layers in classes if layer in layers)
        module = _make(name, *sizes, **arguments)
        return code("self.{} = {}", self.attribute(layer.name), module)

    def _function(self, activation: nodes.Activation) -> Code:
        """Return an activation as a function."""
        if isinstance(activation, str):
            return code("{}", ACTIVATIONS[activation] or "jax.nn.identity")
        return code("lambda x: {}", self.activate(activation, code("x")))

    def run_attention(self, layer: nodes.AttentionPooling) -> Iterator[Code]:
        """Yield the call of the module, or the recipe of an attention without arrays."""
        query = Code()
        if layer.query:
            yield from self.need((layer.query,))
            query = self.output(layer.query)
            if layer.units is None:
                yield from self.statements(expand(layer, self.form_of(layer)))
                return
        yield self.call(layer.owner, self.mask if layer.masked else "", query)

    def recurrent(self, layer: nodes.Recurrent) -> Code:
        """Return a layer of a generated class, or one for each direction."""
        class_ = self.cell_classes[class_name(layer)]
        one_way: dict[str, Code] = {}
        for direction in directions(layer):
            arguments = class_.arguments(layer)
            if direction == "backward." or layer.backward:
                arguments["reverse"] = True
            arguments |= self._modules_of_attention(layer)
            if self.form == "training":
                arguments["rngs"] = code("rngs")
            key = direction_path(direction).removesuffix(".")
            one_way[key] = _make(class_.name, layer.features, layer.units, **arguments)
        module = one_way[""] if layer.merge is None else _make("nnx.Dict", **one_way)
        return code("self.{} = {}", self.attribute(layer.name), module)

    def _modules_of_attention(self, layer: nodes.Recurrent) -> dict[str, Code]:
        """Return the arguments with which a recurrent layer attends to a memory."""
        if (module := attention_layer(layer)) is None or (attention := layer.attention) is None:
            return {}
        arguments = {"attention": self.make_composed(module)}
        if attention.projects:
            size, drawn = layer.query_size, dict[str, Code]()
            if self.form == "training":
                drawn["kernel_init"] = make_initializer(layer.kernel_initializer)
            drawn["rngs"] = code("rngs")
            query = _make("nnx.Linear", size, attention.size, use_bias=False, **drawn)
            arguments = {"query": query, **arguments}
        return arguments

    def convert_input(self, source: nodes.Input, x: Code) -> Code:
        """Return the statement that makes integers real numbers, if nothing with arrays does."""
        if isinstance(source, nodes.TokenInput | nodes.LabelInput):
            return Code()
        takers = [
            layer for layer in self.network.layers if source.name in self._sources[layer.name]
        ]
        plain: tuple[type[nodes.Node], ...] = (nodes.WindowPooling, nodes.Activate)
        plain += (nodes.Attention,)
        if not self.flows:
            plain += (nodes.Joined, nodes.Residual, nodes.Pooling, nodes.Repeat, nodes.Normalize)
        has_arrays = not any(isinstance(layer, plain) for layer in takers)
        # A first state has the dtype of the states after it.
        if has_arrays and not isinstance(source, nodes.VectorInput):
            return Code()
        return code("{x} = {x}.astype({})", self._dtype(x), x=x)

    def _dtype(self, x: Code) -> Code:
        """Return the dtype of ``x`` after a layer with arrays."""
        # A cell by equation may have no array.
        recurrent = (e for e in self.network.layers if isinstance(e, nodes.Recurrent))
        first = next(filter(slots, (*recurrent, *self.network.layers)), None)
        if first is None:
            return code("jnp.result_type({})", x)
        slot = next((other for other in slots(first) if other.module is None), slots(first)[0])
        array = code("self.{}.{}", slot.module or self.attribute(first.name), Code(slot.path))
        return code("jnp.result_type({}, {}.dtype)", x, array)

    def assign(self, name: str, value: core.Expression) -> Iterator[Code]:
        """Yield the statements of a value, several for a maximum or minimum over the steps."""
        if not isinstance(value, core.Reduce) or value.how not in ("max", "min"):
            yield from super().assign(name, value)
            return
        steps = self.x
        if value.x != X:
            yield self.give(self.write(value.x), name)
            steps = code("{}", name)
        # The gradient of jnp.max looks for the values that are equal to the result. Where XLA
        # computes them a second time, as after a layer normalization, it finds none or others. JAX
        # had the same fault in jnp.maximum: https://github.com/jax-ml/jax/issues/40564.
        yield code("# Not x.{}, whose gradient depends on how XLA rounds.", value.how)
        yield code("step = {}.arg{}(axis=1, keepdims=True)", steps, value.how)
        yield self.give(code("jnp.take_along_axis({}, step, axis=1).squeeze(1)", steps), name)

    def pool(self, layer: nodes.Pooling) -> Iterator[Code]:
        """Yield the statements of a statistic over all steps."""
        main = self._sources[layer.name][0]
        # None for an input.
        before = next((other for other in self.network.layers if other.name == main), None)
        # A final state is at the last and at the first step, because it stays as it is at padding.
        stays = isinstance(before, nodes.Recurrent) and not before.first_states
        is_state = layer.statistic == "last" and stays
        return super().pool(replace(layer, masked=False) if is_state else layer)

    def activate(self, activation: nodes.Activation, value: Code) -> Code:
        """Return a variable after an activation, which is not linear."""
        match activation:
            case nodes.LeakyRelu(slope=slope):
                return code("jax.nn.leaky_relu({}, {!r})", value, slope)
            case nodes.ClippedRelu(limit=limit):
                return code("jnp.clip({}, 0, {!r})", value, limit)
            case _:
                return code("{}({})", ACTIVATIONS[activation], value)

    def state_dtype(self, x: Code) -> Code:
        """Return the dtype of the states."""
        # Tokens are integers, and a mixed precision has states of the wider dtype.
        return code("dtype = {}", self._dtype(x))

    def zeros(self, shape: Code) -> Code:
        """Return a state of zeros."""
        return code("jnp.zeros(({}), dtype)", shape)


def _padding(window: nodes.Window) -> Code:
    """Return the argument for the steps that a window adds."""
    if isinstance(window.padding, str):
        return code("{!r}", window.padding.upper())
    return code("({!r},)", window.padding)


def _make(class_: str, /, *positional: Literal, **arguments: Code | Literal) -> Code:
    return call(class_, *positional, _defaults=DEFAULTS.get(class_), **arguments)


_ARGUMENTS = Fields(
    "Node.name Node.input Node.source Recurrent.units Recurrent.merge Recurrent.dropout"
    " Recurrent.recurrent_dropout Recurrent.return_sequences Recurrent.backward Node.shares"
    " Recurrent.state_names"
    " Recurrent.initial Recurrent.kernel_initializer StepAttention.over StepAttention.keys"
    " StepAttention.width StepAttention.size StepAttention.scale StepAttention.asks"
    " Recurrent.recurrent_initializer Recurrent.bias_initializer SimpleRNN.activation"
    " LSTM.activation LSTM.recurrent_activation LSTM.forget_bias GRU.activation"
    " Attention.over Attention.keys Attention.memory Attention.scale Attention.heads"
    " GRU.recurrent_activation AttentionPooling.units AttentionPooling.activation"
    " AttentionPooling.query Dense.units Dense.activation Dense.kernel_initializer"
)
"""The fields that the generated classes take as arguments where their layers differ."""


def _shared_convs(network: nodes.Network) -> Iterator[Refusal]:
    """Yield a refusal of each convolution that is called in chunks, and before them."""
    in_chunks = streamed(network)
    for layer in network.layers:
        is_apart = (layer.name in in_chunks) != (layer.owner in in_chunks)
        if isinstance(layer, nodes.Conv) and layer.window.reach and is_apart:
            reason = f"{layer.owner} adds other steps before the first chunk than in chunks"
            yield Refusal(layer.name, "shares", reason)


def refusals(network: nodes.Network, form: Form) -> tuple[Refusal, ...]:
    """Return each setting that a class of several layers does not take."""
    network = with_distinct_cells(network, class_name)
    attentions = pooling_classes(network).items()
    classes: list[tuple[str, nodes.Layer]] = [
        *((name, layer) for name, layers in attentions for layer in layers),
        *(
            (class_name(layer), layer)
            for layer in network.layers
            if isinstance(layer, nodes.Recurrent)
        ),
    ]
    scored = filter(None, map(attention_layer, network.layers))
    classes += ((composed_class(layer), layer) for layer in scored if layer.additive)
    tied = [("TiedLinear", layer) for layer in nodes.tied_layers(network)]
    return (
        *shared_refusals([*classes, *tied], _ARGUMENTS),
        *mask_refusals(network),
        *(_shared_convs(network) if form == "step" else ()),
    )


EMITTER = Emitter(
    arrange=lambda network, _form: with_distinct_cells(network, class_name),
    emit=emit,
    fields=lambda _network, node, form: (
        _CELL_FIELDS if isinstance(node, nodes.Recurrent) else walked_fields(node, _FIELDS[form]),
    ),
    refusals=refusals,
)
