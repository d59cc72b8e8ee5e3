"""The variables in a method that computes a network: of inputs, outputs, states and masks."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from rnnspec.ir import nodes
from rnnspec.ir.expand import expand
from rnnspec.ir.forms import states, streamed
from rnnspec.source.code import Code, code
from rnnspec.words import POOLING_FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from rnnspec.ir.forms import Form

LOCALS = frozenset(
    """
    ahead back batch deviation dict dtype first float found hidden int jax jnp last len list logits
    mask max mean nn nnx range real rows scores self sequences share skip square state states step
    steps super torch total tuple type variance weights x zeros zip
    """.split()  # noqa: SIM905 - names side by side are easier to check
)
"""Names in methods that a value with the name of a layer must not hide."""


def kept_values(
    network: nodes.Network, layers: Iterable[nodes.Layer], results: Iterable[str]
) -> frozenset[str]:
    """Return the names of the layers and inputs whose value is used later than by the next layer.

    ``layers`` are computed one after the other, and ``results`` are used after the last one.
    """
    taken, current = nodes.sources(network), network.inputs[0].name
    kept = set(results)
    for layer in layers:
        main, *others = taken[layer.name]
        # A join takes each of its parts where it is; another layer has its input in ``x``.
        in_place = (current,) if isinstance(layer, nodes.Joined) else ()
        kept.update(name for name in others if name not in in_place)
        kept.update(name for name in (main,) if name != current)
        current = layer.name
    return frozenset(kept)


@dataclass(frozen=True)
class Masks:
    """The masks of a network, by the layers that use them.

    They are in one variable, ``mask``, if the network has one input and its layers need one mask
    after the other. ``names`` has the variable of each mask otherwise.
    """

    network: nodes.Network
    taken: Collection[str]

    @cached_property
    def origins(self) -> dict[str, tuple[nodes.Origin, ...]]:
        """The origins of the mask of each input and layer."""
        return nodes.masks(self.network)

    @cached_property
    def is_one(self) -> bool:
        """True if one variable is enough."""
        if len(self.network.inputs) > 1:
            return False
        (only,) = self.network.inputs
        current = ((only.name, 0, 1),)
        for layer in self.network.layers:
            if any(origins != current for origins in self._needed.get(layer.name, ())):
                return False
            if isinstance(layer, nodes.Windowed):
                ((name, first, every),), window = current, layer.window
                current = ((name, first + every * window.anchor, every * window.stride),)
        return True

    @cached_property
    def _needed(self) -> dict[str, list[tuple[nodes.Origin, ...]]]:
        """The origins of each mask that a layer uses, by the name of the layer."""
        return {
            layer: [self.origins[name] for name in names]
            for layer, names in nodes.masked_by(self.network).items()
        }

    @cached_property
    def _all_needed(self) -> set[tuple[nodes.Origin, ...]]:
        return {origins for several in self._needed.values() for origins in several}

    def uses(self, network_input: nodes.Input) -> bool:
        """True if the mask of an input tells the real steps of a layer that uses a mask."""
        origins = (origin for needed in self._all_needed for origin in needed)
        return any(name == network_input.name for name, _, _ in origins)

    @cached_property
    def names(self) -> dict[tuple[nodes.Origin, ...], str]:
        """The variable of each mask that a layer uses, of the inputs first."""
        result: dict[tuple[nodes.Origin, ...], str] = {}
        for name, origins in self.origins.items():
            is_input = origins == ((name, 0, 1),)
            if origins not in result and (origins in self._all_needed or is_input):
                variable = f"{name}_mask"
                while variable in self.taken:
                    variable += "_out"
                result[origins] = variable
        return result

    def variable(self, name: str) -> str:
        """Return the variable of the mask of an input, or of the output of a layer."""
        return "mask" if self.is_one else self.names.get(self.origins.get(name, ()), "mask")

    def after(self, layer: nodes.Layer) -> str:
        """Return the variable of the mask that is first that of this layer, empty if none is."""
        origins = self.origins.get(layer.name, ())
        if self.is_one or origins not in self.names:
            return ""
        first = next(name for name, of in self.origins.items() if of == origins)
        return self.names[origins] if first == layer.name else ""

    def write(self, layer: str) -> Code:
        """Return the mask of a layer, given variables for the masks of the inputs."""
        parts = []
        for name, first, every in self.origins[layer]:
            steps = f"{first or ''}:{f':{every}' if every > 1 else ''}"
            index = Code(f"[:, {steps}]" if steps != ":" else "")
            parts.append(code("{}{}", self.names[(name, 0, 1),], index))
        return Code(" & ".join(parts))


@dataclass
class MethodScope:
    """A method that is written: its inputs, and the variables of what is computed so far.

    ``entries`` has the variable in which each input is prepared, and ``current`` is the input or
    layer whose output is in ``x``. ``masks`` has the variables of masks that are states. ``like``
    tells the number of sequences.
    """

    inputs: Sequence[nodes.Input] = ()
    entries: dict[str, Code] = field(default_factory=dict)
    values: dict[str, Code] = field(default_factory=dict)
    current: str = ""
    masks: dict[str, Code] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    like: Code = field(default_factory=Code)


def recipe_names(layers: Iterable[nodes.Layer], form: Form) -> set[str]:
    """Return the names that recipes give to their results, but for those that users chose."""
    return {
        result.name
        for layer in layers
        if not isinstance(layer, nodes.Joined)
        for result in expand(layer, form)
    }


def variables(
    network: nodes.Network, form: Form, in_source: Collection[str], suffix: str
) -> dict[str, str]:
    """Return the variable of each input and layer by its name, and of states as ``layer.state``.

    Those of inputs and layers are their names with a ``suffix``.
    """
    in_chunks = streamed(network)
    taken, result = set[str](LOCALS.union(in_source, POOLING_FUNCTIONS)), dict[str, str]()
    # An attention is a class, in which its names hide nothing.
    inside = (layer for layer in network.layers if not isinstance(layer, nodes.Composed))
    taken.update(recipe_names(inside, form))
    if form == "step":
        taken.update(state.name for state in states(network))
    recurrent = [layer for layer in network.layers if isinstance(layer, nodes.Recurrent)]
    for layer in recurrent:
        taken.update(f"{way}_{state}" for way in ("ahead", "back") for state, _ in layer.states)

    def add(key: str, name: str) -> None:
        while name in taken:
            name += "_out"
        taken.add(name)
        result[key] = name

    for network_input in network.inputs:
        add(network_input.name, f"{network_input.name}{suffix}")
    values = (value.name for value in network.values if not isinstance(value, nodes.Port))
    for name in (*values, *network.ports):
        add(name, f"{name}{suffix}")
    for layer in recurrent:
        for state, _ in layer.states:
            key, name = f"{layer.name}.{state}", f"{layer.name}_{state}"
            if form == "step" and layer.name in in_chunks:
                result[key] = name
            else:
                add(key, name)
    return result
