"""Emit a class that holds a dict of arrays for each layer."""

from typing import Any

from rnnspec.backends.contract import Emitter, SourceOptions
from rnnspec.errors import Refusal
from rnnspec.ir import text
from rnnspec.ir.fields import Fields
from rnnspec.ir.forms import Form
from rnnspec.ir.nodes import Dense, Layer, Network, Recurrent, SimpleRNN
from rnnspec.ir.params import params
from rnnspec.source.code import Code, Module, code, define_class, function, listed


def emit(network: Network, _form: Form, _options: SourceOptions) -> Module:
    make, run = map(_arrays, network.layers), map(_call, network.layers)
    name = network.name.title().replace("_", "")
    return Module(
        template="model.py.j2",
        title=text.title(network),
        comment=text.comment(network),
        entry=name,
        parts=(
            define_class(
                name,
                "",
                [f"The network {network.name}.", "", *text.signature(network)],
                function(code("__init__(self) -> None"), make),
                function(code("__call__(self, x: Any) -> Any"), run, code("return x")),
            ),
        ),
    )


def _arrays(layer: Layer) -> Code:
    shapes = (code("{}={!r}", param.name, param.shape) for param in params(layer))
    return code("self.{} = make_zeros({})", layer.name, listed(*shapes))


def _call(layer: Any) -> Code:
    if isinstance(layer, Dense):
        return code("x = run_dense(x, self.{}, {!r})", layer.name, layer.activation)
    how = layer.cell.activation, layer.return_sequences
    return code("x = run_simple(x, self.{}, {!r}, {!r})", layer.name, *how)


def refusals(network: Network, _form: Form) -> tuple[Refusal, ...]:
    return tuple(refusal for layer in network.layers for refusal in _refusals(layer))


def _refusals(layer: Layer) -> list[Refusal]:
    if isinstance(layer, Dense):
        plain = isinstance(layer.activation, str)
        return [] if plain else [Refusal(layer.name, "activation", "its layers are plain")]
    if not (isinstance(layer, Recurrent) and isinstance(layer.cell, SimpleRNN)):
        return [Refusal(layer.name, "type", f"it has no {text.type_name(layer)}")]
    keys = {"bidirectional": layer.merge, "mask_value": layer.masked, "dropout": layer.dropout}
    keys["recurrent_dropout"] = layer.recurrent_dropout
    return [Refusal(layer.name, key, "its layers are plain") for key in keys if keys[key]]


EMITTER = Emitter(emit=emit, fields=lambda *_: (Fields(""),), refusals=refusals)
