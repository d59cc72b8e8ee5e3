"""IR -> JAX source: one ``nnx.Module`` of Flax."""

from __future__ import annotations

from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from rnnspec.backends.contract import Emitter
from rnnspec.backends.jax.cells import (
    ACTIVATIONS,
    cell_classes,
    class_name,
    direction_path,
    draws_uniformly,
    make_initializer,
)
from rnnspec.backends.jax.parts import parts
from rnnspec.backends.needs import purpose
from rnnspec.ir import initializers, nodes, text
from rnnspec.ir.forms import states_of
from rnnspec.ir.params import directions
from rnnspec.source.code import Code, Module, call, code, docstring, function, listed
from rnnspec.source.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rnnspec.backends.jax.cells import CellClass
    from rnnspec.ir.forms import Form
    from rnnspec.source.code import Literal
    from rnnspec.words import Activation

# nnx.LayerNorm is missing on purpose: its variance and epsilon are always written.
DEFAULTS: Mapping[str, Mapping[str, Literal]] = MappingProxyType({"nnx.Linear": {"use_bias": True}})
"""The default arguments of Flax's modules; a test compares them with Flax."""


def emit(network: nodes.Network, form: Form) -> Module:
    """Return the source of a network: an ``nnx.Module`` named after it."""
    walk = JaxWalk(network, form)
    imports = []
    options = {option for class_ in walk.cell_classes.values() for option in class_.options}
    if not options.isdisjoint(("activation", "recurrent_activation")):
        imports.append("from collections.abc import Callable")
    if form == "training" and draws_uniformly(network):
        imports.append("from functools import partial")
    return Module(
        template="jax/model.py.j2",
        title=text.title(network),
        comment=text.comment(network),
        entry=text.class_name(network),
        docstring=docstring(
            (
                f"The network {network.name}{purpose(form)}.",
                "",
                *text.signature(network, chunks=form == "step"),
                *walk.describe_states(),
            )
        ),
        parts=tuple(parts(network, form)),
        imports=tuple(imports),
        functions=walk.functions(),
    )


class JaxWalk(Walk):
    """The walk that writes Flax."""

    array = "jax.Array"
    axis = "axis"
    method = "__call__"
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

    def embedding(self, layer: nodes.Embedding) -> Code:
        """Return an embedding; the class of a frozen one draws nothing but for training."""
        arguments: dict[str, Code] = {}
        if self.form == "training":
            arguments["embedding_init"] = make_initializer(layer.initializer)
        if self.form == "training" or layer.trainable:
            arguments["rngs"] = code("rngs")
        class_ = "nnx.Embed" if layer.trainable else "FrozenEmbed"
        return code(
            "self.{} = {}", layer.name, _make(class_, layer.vocabulary, layer.dim, **arguments)
        )

    def dropout(self, layer: nodes.Dropout) -> Code:
        """Return a dropout with its generator."""
        return code("self.{} = nnx.Dropout({!r}, rngs=rngs)", layer.name, layer.rate)

    def layer_norm(self, layer: nodes.LayerNorm) -> Code:
        """Return a layer normalization with its epsilon."""
        # The fast variance, E[x^2] - E[x]^2, loses half of the digits.
        return code(
            "self.{} = nnx.LayerNorm({!r}, epsilon={!r}, use_fast_variance=False, rngs=rngs)",
            layer.name,
            nodes.width(layer.input),
            layer.epsilon,
        )

    def dense(self, layer: nodes.Dense) -> Code:
        """Return a linear layer."""
        arguments: dict[str, Code | Literal] = {"use_bias": layer.bias}
        if self.form == "training":
            arguments["kernel_init"] = make_initializer(layer.kernel_initializer)
            # The default of nnx.Linear.
            if layer.bias and layer.bias_initializer != initializers.Constant(0.0):
                arguments["bias_init"] = make_initializer(layer.bias_initializer)
        arguments["rngs"] = code("rngs")
        linear = _make("nnx.Linear", layer.features, layer.units, **arguments)
        return code("self.{} = {}", layer.name, linear)

    @cached_property
    def cell_classes(self) -> dict[str, CellClass]:
        """The generated classes by name."""
        return cell_classes(self.network, self.form)

    def recurrent(self, layer: nodes.Recurrent) -> Code:
        """Return a layer of a generated class, or one for each direction."""
        class_ = self.cell_classes[class_name(layer)]
        one_way: dict[str, Code] = {}
        for direction in directions(layer):
            arguments = class_.arguments(layer)
            if direction == "backward.":
                arguments["reverse"] = True
            if self.form == "training":
                arguments["rngs"] = code("rngs")
            key = direction_path(direction).removesuffix(".")
            one_way[key] = _make(class_.name, layer.features, layer.units, **arguments)
        made = one_way[""] if layer.merge is None else _make("nnx.Dict", **one_way)
        return code("self.{} = {}", layer.name, made)

    def where_real(self, otherwise: float) -> Code:
        """Return ``x`` with another value at padded steps."""
        return code("jnp.where(jnp.expand_dims(mask, -1), x, {!r})", otherwise)

    def run(self, layer: nodes.Recurrent) -> Iterator[Code]:
        """Yield the call of a layer, or of both of its directions."""
        arguments = listed("x", "mask" if layer.masked else "")
        if layer.merge is None:
            yield code("x = self.{}({})", layer.name, arguments)
            return
        for name, direction in zip(("ahead", "back"), directions(layer), strict=True):
            path = direction_path(direction).removesuffix(".")
            yield code("{} = self.{}.{}({})", name, layer.name, path, arguments)
        yield code("x = {}", self.merge(code("ahead"), code("back"), layer.merge))

    def run_chunk(self, layer: nodes.Recurrent) -> Iterator[Code]:
        """Yield the call of a layer with its states."""
        names = [state.name for state in states_of(layer)]
        state = listed(*names)
        if isinstance(layer.cell, nodes.LSTM):
            state = code("({})", state)
        yield code(
            "{}, {} = self.{}({})",
            "x" if layer.return_sequences else "_",
            state,
            layer.name,
            listed("x", "mask" if layer.masked else "", state),
        )
        if not layer.return_sequences:
            yield code("x = {}", names[0])

    def repeat(self, layer: nodes.Repeat) -> Code:
        """Return ``x`` repeated as a sequence."""
        return code("jnp.repeat(jnp.expand_dims(x, 1), {!r}, axis=1)", layer.steps)

    def normalize(self) -> Code:
        """Return ``x`` divided by its Euclidean norm."""
        return code("l2_normalized(x)")

    def pool_mean(self, *, masked: bool) -> Code:
        """Return the statements that compute the mean over the steps."""
        if not masked:
            return code("x = x.mean(axis=1)")
        return code(
            """
            steps = jnp.maximum(mask.sum(axis=1, keepdims=True), 1)
            x = {}.sum(axis=1) / steps
            """,
            self.where_real(0),
        )

    def pool_max(self, *, masked: bool) -> Code:
        """Return the statements that compute the maximum over the steps."""
        # The gradient of jnp.max looks for the values that are equal to the result. Where XLA
        # computes them a second time, as after a layer normalization, it finds none or others. JAX
        # had the same fault in jnp.maximum: https://github.com/jax-ml/jax/issues/40564.
        highest = code(
            """
            # Not x.max, whose gradient depends on how XLA rounds.
            step = x.argmax(axis=1, keepdims=True)
            x = jnp.take_along_axis(x, step, axis=1).squeeze(1)
            """
        )
        if not masked:
            return highest
        return code(
            """
            x = {}
            {}
            x = jnp.where(mask.any(axis=1, keepdims=True), x, 0)
            """,
            self.where_real(-3e38),
            highest,
        )

    def activate(self, activation: Activation) -> Code:
        """Return ``x`` after an activation."""
        match activation:
            case "exponential":
                return code("jnp.exp(x)")
            case "softmax" | "log_softmax":
                return code("jax.nn.{}(x)", activation)
            case _:
                return code("{}(x)", ACTIVATIONS[activation])

    def concatenate(self, ahead: Code, back: Code) -> Code:
        """Return two arrays joined along the features."""
        return code("jnp.concatenate([{}, {}], axis=-1)", ahead, back)

    def state_dtype(self) -> Code:
        """Return the dtype of the states."""
        first = next(layer for layer in self.network.layers if isinstance(layer, nodes.Recurrent))
        # Tokens are integers, and a mixed precision has states of the wider dtype.
        return code("dtype = jnp.result_type(x, self.{}.kernel.dtype)", first.name)

    def zeros(self, shape: Code) -> Code:
        """Return a state of zeros."""
        return code("jnp.zeros(({}), dtype)", shape)


def _make(class_: str, *positional: Literal, **arguments: Code | Literal) -> Code:
    return call(class_, *positional, defaults=DEFAULTS.get(class_), **arguments)


EMITTER = Emitter(emit=emit)
