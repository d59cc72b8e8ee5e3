"""The body of ``__init__``: one module for each layer that has state."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.expressions import (
    Assign,
    Call,
    Expression,
    Name,
    Statement,
    call,
)
from rnnspec.backends.jax.cells import cell_classes, class_name, direction_path
from rnnspec.backends.jax.defaults import DEFAULTS
from rnnspec.backends.jax.initial import initializer
from rnnspec.ir import initializers, nodes
from rnnspec.ir.params import directions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rnnspec.backends.jax.cells import CellClass
    from rnnspec.ir.forms import Form

_RNGS = Name("rngs")


def modules(network: nodes.Network, form: Form) -> tuple[Statement, ...]:
    """Return the statements that create every module."""
    classes = cell_classes(network, form)
    made = [each for layer in network.layers for each in _module(layer, classes, form)]
    if form == "training" or not any(map(_is_stock, network.layers)):
        return tuple(made)
    # Modules of Flax cannot be made without, and what they draw is replaced.
    return (Assign("rngs", Call(Name("nnx.Rngs"), (0,))), *made)


def _is_stock(layer: nodes.Layer) -> bool:
    if isinstance(layer, nodes.Embedding):
        return layer.trainable
    return isinstance(layer, nodes.Dense | nodes.LayerNorm)


def _module(
    layer: nodes.Layer, classes: Mapping[str, CellClass], form: Form
) -> Iterator[Statement]:
    target = f"self.{layer.name}"
    match layer:
        case nodes.Embedding():
            yield Assign(target, _embedding(layer, form))
        case nodes.Recurrent():
            yield Assign(target, _recurrent(layer, classes[class_name(layer)], form))
        case nodes.Dropout():
            yield Assign(target, _make("nnx.Dropout", layer.rate, rngs=_RNGS))
        case nodes.Dense():
            said = {"use_bias": layer.bias, **_drawn(layer, form), "rngs": _RNGS}
            yield Assign(target, _make("nnx.Linear", layer.features, layer.units, **said))
        case nodes.LayerNorm():
            # The fast variance, E[x^2] - E[x]^2, loses half of the digits.
            said = {"epsilon": layer.epsilon, "use_fast_variance": False, "rngs": _RNGS}
            yield Assign(target, _make("nnx.LayerNorm", nodes.width(layer.input), **said))
        case nodes.Pooling() | nodes.Repeat() | nodes.Residual() | nodes.Normalize():
            pass
        case _:
            assert_never(layer)


def _embedding(layer: nodes.Embedding, form: Form) -> Call:
    class_ = "nnx.Embed" if layer.trainable else "FrozenEmbed"
    said: dict[str, Expression] = {}
    if form == "training":
        said["embedding_init"] = initializer(layer.initializer)
    if form == "training" or layer.trainable:
        said["rngs"] = _RNGS
    return _make(class_, layer.vocabulary, layer.dim, **said)


def _drawn(layer: nodes.Dense, form: Form) -> dict[str, Expression]:
    if form != "training":
        return {}
    found = {"kernel_init": initializer(layer.kernel_initializer)}
    # The default of nnx.Linear.
    if layer.bias and layer.bias_initializer != initializers.Constant(0.0):
        found["bias_init"] = initializer(layer.bias_initializer)
    return found


def _recurrent(layer: nodes.Recurrent, class_: CellClass, form: Form) -> Call:
    def made(*, reverse: bool) -> Call:
        said = {**class_.arguments(layer), **({"reverse": True} if reverse else {})}
        if form == "training":
            said["rngs"] = _RNGS
        return _make(class_.name, layer.features, layer.units, **said)

    if layer.merge is None:
        return made(reverse=False)
    both = [
        (direction_path(each).removesuffix("."), made(reverse=each == "backward."))
        for each in directions(layer)
    ]
    return Call(Name("nnx.Dict"), (), tuple(both))


def _make(class_: str, *positional: Expression, **arguments: Expression) -> Call:
    return call(class_, positional, arguments, DEFAULTS.get(class_, {}))
