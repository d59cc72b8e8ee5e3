"""IR -> Keras source: a functional model, or a ``Sequential``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.contract import Stock
from rnnspec.backends.expressions import (
    Assign,
    Binary,
    Call,
    Comment,
    Evaluate,
    Function,
    Items,
    Name,
    Return,
    Source,
    Statement,
)
from rnnspec.backends.keras import initial
from rnnspec.backends.keras.forms import (
    PURPOSES,
    is_sequential,
    pools_masked,
    recursion,
)
from rnnspec.backends.keras.initial import forget_biases
from rnnspec.backends.keras.layers import (
    applied,
    input_of,
    layer_of,
    mask_of,
    masking,
    padding_comment,
)
from rnnspec.backends.keras.parts import parts
from rnnspec.backends.keras.steps import about_states, given_states, stepped, stepped_model
from rnnspec.ir import nodes, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rnnspec.errors import Refusal
    from rnnspec.ir.forms import Form

    Apply = Callable[[nodes.Layer, Name], Iterator[Statement]]

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
        parts=tuple(parts(network, form, sets_forget_bias=bool(set_later))),
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
                    *text.signature(network, chunks=form == "step"),
                    *(about_states(network) if form == "step" else ()),
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
    if form == "step":
        yield Assign("inputs", input_of(network.input))
        yield given_states(network)
        yield from _layers(network, stepped, masks=network.input.masked)
        model = stepped_model(network)
    elif is_sequential(network, form):
        model = _sequential(network)
        yield from padding_comment(network.input)
    else:
        yield Assign("inputs", input_of(network.input))
        yield from _layers(network, _plain, masks=any(map(pools_masked, network.layers)))
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
    made = [input_of(network.input), *masking(network.input), *map(layer_of, network.layers)]
    return Call(Name("keras.Sequential"), (Items(tuple(made)),), (("name", network.name),))


def _plain(layer: nodes.Layer, variable: Name) -> Iterator[Statement]:
    yield Assign("x", applied(layer, variable))


def _layers(network: nodes.Network, apply: Apply, *, masks: bool) -> Iterator[Statement]:
    variable = Name("inputs")
    for made in masking(network.input):
        yield from padding_comment(network.input)
        yield Assign("x", Call(made, (variable,)))
        variable = _X
    if masks:
        yield Assign("mask", mask_of(network.input))
    starts = {layer.start for layer in network.layers if isinstance(layer, nodes.Residual)}
    for layer in network.layers:
        if layer.name in starts:
            yield Assign("skip", variable)
        yield from apply(layer, variable)
        variable = _X
