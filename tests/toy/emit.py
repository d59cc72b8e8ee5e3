"""Emit a class that holds a dict of arrays for each layer."""

from typing import Any

from rnnspec.backends.contract import Stock
from rnnspec.backends.expressions import Assign, Call, Function, Items, Name, Return, Source
from rnnspec.errors import Refusal
from rnnspec.ir import text
from rnnspec.ir.forms import Form
from rnnspec.ir.nodes import Dense, Layer, Network, Recurrent, SimpleRNN
from rnnspec.ir.params import params


def emit(network: Network, _form: Form) -> Source:
    made, run = map(_arrays, network.layers), map(_call, network.layers)
    functions = (
        Function("__init__", "self", "None", ("Make arrays of zeros.",), (*made,)),
        Function("__call__", "self, x: Any", "Any", ("Run a batch.",), (*run, Return(Name("x")))),
    )
    title, comment = text.title(network), text.comment(network)
    entry = network.name.title().replace("_", "")
    docstring = (f"The network {network.name}.", "", *text.signature(network))
    return Source("model.py.j2", title, comment, entry, docstring, (), (), functions)


def _arrays(layer: Layer) -> Assign:
    shapes = tuple((param.name, Items(param.shape, fixed=True)) for param in params(layer))
    return Assign(f"self.{layer.name}", Call(Name("zeros"), (), shapes))


def _call(layer: Any) -> Assign:
    given = Name("x"), Name(f"self.{layer.name}")
    if isinstance(layer, Dense):
        return Assign("x", Call(Name("dense"), (*given, layer.activation)))
    how = layer.cell.activation, layer.return_sequences
    return Assign("x", Call(Name("simple"), (*given, *how)))


def refusals(network: Network, _form: Form) -> tuple[Refusal, ...]:
    return tuple(refusal for layer in network.layers for refusal in _refusals(layer))


def _refusals(layer: Layer) -> list[Refusal]:
    if isinstance(layer, Dense):
        return []
    if not (isinstance(layer, Recurrent) and isinstance(layer.cell, SimpleRNN)):
        return [Refusal(layer.name, "type", f"it has no {text.type_name(layer)}")]
    keys = {"bidirectional": layer.merge, "mask_value": layer.masked, "dropout": layer.dropout}
    keys["recurrent_dropout"] = layer.recurrent_dropout
    return [Refusal(layer.name, key, "its layers are plain") for key in keys if keys[key]]


def arranged(network: Network, _form: Form) -> Network:
    return network


def stepwise(network: Network) -> dict[str, str]:
    return {}


def stock(network: Network) -> tuple[Stock, ...]:
    return ()
