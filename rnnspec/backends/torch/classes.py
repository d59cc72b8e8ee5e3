"""The generated classes for recurrent layers that run step by step.

A setting that all layers of a class share is part of the class; the others are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rnnspec.backends.torch.plan import plan_of, stack_of
from rnnspec.backends.torch.slots import attributes
from rnnspec.ir import nodes
from rnnspec.ir.text import composed_class
from rnnspec.source.code import Code, code, listed
from rnnspec.source.composed import attention_layer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from rnnspec.source.code import Literal
    from rnnspec.words import CellActivation

ACTIVATIONS: dict[CellActivation, str] = {
    "tanh": "torch.tanh",
    "sigmoid": "torch.sigmoid",
    "relu": "torch.relu",
    "hard_sigmoid": "hard_sigmoid",
    "legacy_hard_sigmoid": "legacy_hard_sigmoid",
    "linear": "",
    "softsign": "nn.functional.softsign",
    "softplus": "softplus",
    "elu": "nn.functional.elu",
    "selu": "nn.functional.selu",
    "silu": "nn.functional.silu",
}
"""The function of each activation, empty for the identity."""


@dataclass(frozen=True, slots=True)
class CellClass:
    """A class that runs a cell step by step.

    ``options`` are its arguments beside the sizes, ``sequences`` tells whether ``all``, ``some`` or
    ``none`` of its layers return their whole sequence, ``drops_input`` whether one has a dropout of
    its input within the cell, and ``gives_contexts`` whether other layers take the contexts of one.
    """

    name: str
    first: nodes.Recurrent
    options: tuple[str, ...]
    sequences: str
    drops_input: bool
    gives_contexts: bool

    @classmethod
    def of(
        cls, name: str, layers: Sequence[nodes.Recurrent], with_contexts: Collection[str]
    ) -> CellClass:
        """Return the class of some layers, which have the same kind of cell."""
        kind, dropped = sequences(layers), any(layer.dropout for layer in layers)
        is_standard = not isinstance(layers[0].cell, nodes.EquationCell)
        differing = {
            key: len({_activation(layer, key) for layer in layers}) > 1
            for key in (_KEYS if is_standard else ())
        }
        # Recurrent dropout is part of the name of a class, so the first layer stands for all.
        options = {
            **differing,
            "dropout": dropped and plan_of(layers[0]).drops_input,
            "recurrent_dropout": layers[0].recurrent_dropout > 0,
            "return_sequences": kind == "some",
        }
        names = tuple(key for key, is_option in options.items() if is_option)
        gives_contexts = any(layer.name in with_contexts for layer in layers)
        return cls(name, layers[0], names, kind, options["dropout"], gives_contexts)

    @property
    def modules(self) -> dict[str, Code]:
        """The arguments that are modules, with which a layer attends to another, by name."""
        attention = attention_layer(self.first)
        if self.first.attention is None or attention is None:
            return {}
        query = {"query": code("nn.Linear")} if self.first.attention.projects else {}
        return {**query, "attention": code("{}", composed_class(attention))}

    @property
    def memory(self) -> tuple[str, ...]:
        """The arguments of the method with what a layer attends to."""
        attention = self.first.attention
        if attention is None:
            return ()
        return ("keys", "memory", *(["memory_mask"] if attention.masked else []))

    @property
    def asking(self) -> str:
        """The call that gives the context of a query in the equations of a cell."""
        query = "self.query({})" if "query" in self.modules else "{}"
        arguments = ", ".join((f"{query}.unsqueeze(1)", *self.memory))
        return f"self.attention({arguments}).squeeze(1)"

    def attend(self, state: Code) -> Code:
        """Return the statements in a step that make the context, given the state before it."""
        return code(
            """
            query = {}.unsqueeze(1)
            context = self.attention({}).squeeze(1)
            """,
            code("self.query({})", state) if "query" in self.modules else state,
            listed("query", *self.memory),
        )

    @property
    def sizes(self) -> tuple[tuple[str, int], ...]:
        """The sizes of a cell by equations beside its units, of its first layer."""
        cell = self.first.cell
        return cell.sizes if isinstance(cell, nodes.EquationCell) else ()

    def activation(self, key: str) -> str:
        """Return the name of an activation: a function, or an attribute if layers differ."""
        return f"self.{key}" if key in self.options else ACTIVATIONS[_activation(self.first, key)]

    def arguments(self, layer: nodes.Recurrent) -> dict[str, Code | Literal]:
        """Return the arguments that make one of the layers."""
        sizes: dict[str, Code | Literal] = {}
        if isinstance(layer.cell, nodes.EquationCell):
            sizes |= {attributes(layer.cell)[name]: size for name, size in layer.cell.sizes}
        return sizes | {key: _value(layer, key) for key in self.options}


def cell_classes(network: nodes.Network) -> dict[str, CellClass]:
    """Return the classes of the layers that are run step by step, by name."""
    by_class: dict[str, list[nodes.Recurrent]] = {}
    for layer in recurrent_modules(network):
        if not plan_of(layer).is_fused:
            by_class.setdefault(plan_of(layer).class_, []).append(layer)
    of = {port.layer for port in network.ports.values() if not port.state}
    return {name: CellClass.of(name, layers, of) for name, layers in sorted(by_class.items())}


def wrapped(network: nodes.Network) -> list[nodes.Recurrent]:
    """Return the layers that are wrapped in a module that handles padding."""
    return [layer for layer in recurrent_modules(network) if plan_of(layer).is_wrapped]


def sequences(layers: Sequence[nodes.Recurrent]) -> str:
    """Return ``all``, ``some`` or ``none``: how many layers return their whole sequence."""
    returns = {layer.return_sequences for layer in layers}
    return "some" if len(returns) > 1 else "all" if returns == {True} else "none"


def recurrent_modules(network: nodes.Network) -> Iterator[nodes.Recurrent]:
    """Yield the lowest layer of each recurrent module, with the top layer's output."""
    tops = {
        stack.name: layer.return_sequences
        for layer in network.layers
        if isinstance(layer, nodes.Recurrent) and (stack := stack_of(layer))
    }
    for layer in network.layers:
        stack = stack_of(layer)
        if isinstance(layer, nodes.Recurrent) and (stack is None or stack.index == 0):
            top = tops.get(layer.name, layer.return_sequences)
            # A module with states returns all outputs and the last states.
            yield replace(layer, return_sequences=top or plan_of(layer).has_states)


_KEYS = ("activation", "recurrent_activation")


def _activation(layer: nodes.Recurrent, key: str) -> CellActivation:
    if key == "activation" or isinstance(layer.standard_cell, nodes.SimpleRNN):
        return layer.standard_cell.activation
    return layer.standard_cell.recurrent_activation


def _value(layer: nodes.Recurrent, key: str) -> Code | Literal:
    match key:
        case "dropout":
            return layer.dropout
        case "recurrent_dropout":
            return layer.recurrent_dropout
        case "return_sequences":
            return layer.return_sequences
        case _:
            function = ACTIVATIONS[_activation(layer, key)]
            return code("{}", function) if function else code("nn.Identity()")
