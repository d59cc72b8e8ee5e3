"""The masks of a Keras model: those that Keras passes on by itself, and those in variables.

Keras adds a mask to the output of an embedding or a masking layer, and passes it on from layer to
layer, but not through functions and windows. It joins masks with "or", where a step of a join is
padding if it is so in one part. A mask that Keras does not pass on as it is has a variable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.ir import nodes
from rnnspec.ir.forms import held_values
from rnnspec.source.code import Code, code

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rnnspec.ir.forms import Form

Mask = frozenset[nodes.Origin]
"""What tells real steps: a step is real if it is so in all of them."""
_NO_MASK: Mask = frozenset()
_OTHER: Mask = frozenset([("", 0, 0)])
"""A mask of Keras that tells other steps."""


class Masks:
    """The masks of some layers of a network, which have all inputs that they depend on.

    ``inputs`` has the variable of each input of the network. A single input has one mask at a time,
    called ``mask``, unless layers go back to an earlier one. ``held`` has the masks of memories in
    the step form, in which the model before the first chunk has computed them.
    """

    def __init__(
        self,
        network: nodes.Network,
        form: Form,
        layers: Sequence[nodes.Layer],
        inputs: Mapping[str, Code],
    ) -> None:
        self.network, self.form, self.layers, self.inputs = network, form, layers, inputs
        self.is_chain = network.takes_one_array
        states = (state for state in held_values(network) if state.kind == "mask")
        self.memories = {state.layer: code("states[{!r}]", state.name) for state in states}
        self.held = self.memories if form == "step" else {}
        self.sources = nodes.sources(network)
        self.real = {name: frozenset(mask) for name, mask in nodes.masks(network).items()}
        self.passed = self._passed()
        self.owners: dict[Mask, str] = {}
        self.inputs = {name: x for name, x in inputs.items() if name not in self.held}
        for name in (*self.inputs, *(layer.name for layer in layers)):
            self.owners.setdefault(self.of(name), name)
        self.needed = self._needed()
        self.is_single = self.is_chain and self._is_in_order()

    def of(self, name: str) -> Mask:
        """Return the mask of an input or of the output of a layer, empty if it has no padding."""
        return self.real.get(name, _NO_MASK)

    def variable(self, name: str) -> Code:
        """Return the variable with the mask of an input or of the output of a layer."""
        if name in self.held:
            return self.held[name]
        return code("mask" if self.is_single else f"{self.owners[self.of(name)]}_mask")

    def argument(self, layer: nodes.Layer) -> Code:
        """Return the argument for a mask that Keras does not pass on to a layer, or empty code."""
        source = self.sources[layer.name][0]
        return code("mask={}", self.variable(source)) if self._is_explicit(layer) else Code()

    def before(self) -> Iterator[Code]:
        """Yield the statements that compute the masks of inputs."""
        for network_input in self.network.inputs:
            if network_input.name in self.inputs and self.of(network_input.name) in self.needed:
                yield code(
                    "{} = {}", self.variable(network_input.name), self._compare(network_input)
                )

    def after(self, layer: nodes.Layer) -> Iterator[Code]:
        """Yield the statement that computes the mask of windows or of a join, if it is needed."""
        mask = self.of(layer.name)
        if mask not in self.needed or self.owners[mask] != layer.name:
            return
        variables = [self.variable(name) for name in self._parents(layer)]
        if isinstance(layer, nodes.Windowed):
            window, (variable,) = layer.window, variables
            start = code("{!r}", window.anchor) if window.anchor else Code()
            stride = code(":{!r}", window.stride) if window.stride > 1 else Code()
            value = code("{}[:, {}:{}]", variable, start, stride)
        else:
            value, *others = variables
            for other in others:
                value = code("keras.ops.logical_and({}, {})", value, other)
        yield code("{} = {}", self.variable(layer.name), value)

    def _compare(self, network_input: nodes.Input) -> Code:
        """Return the mask of an input, true at real steps, (batch, steps)."""
        variable = self.inputs[network_input.name]
        match network_input:
            case nodes.NumericInput(mask_value=float() as value):
                different = code("keras.ops.not_equal({}, {!r})", variable, value)
                return code("keras.ops.any({}, axis=-1)", different)
            case _:
                return code("keras.ops.not_equal({}, 0)", variable)

    def _passed(self) -> dict[str, Mask]:
        """Return the masks that Keras passes on with outputs."""
        by_name = {layer.name: layer for layer in self.network.layers}
        passed = {
            network_input.name: self.of(network_input.name)
            for network_input in self.network.inputs
            if network_input.name in self.inputs and has_masking(self.network, network_input)
        }
        for layer in self.layers:
            sources = self.sources[layer.name]
            masks = [passed.get(name, _NO_MASK) for name in sources]
            match layer:
                case nodes.Embedding():
                    passes = masks_zero(self.network, by_name[layer.owner])
                    mask = self.of(layer.name) if passes else _NO_MASK
                case nodes.Recurrent():
                    keeps = _takes_one(layer) and not layer.backward and self.form != "step"
                    mask = masks[0] if keeps and masks[0] == self.of(sources[0]) else _NO_MASK
                case nodes.Residual(start=start):
                    first = passed.get(self.sources[start][0], _NO_MASK)
                    mask = _joined("add", [masks[0], first])
                case nodes.Join(how="concat" | "add" | "multiply" as how):
                    mask = _joined(how, masks)
                case nodes.Dense(tied=None) | nodes.BatchNorm() | nodes.LayerNorm():
                    mask = masks[0]
                case nodes.Dropout() | nodes.Activate():
                    mask = masks[0]
                case _:
                    mask = _NO_MASK
            passed[layer.name] = mask if len(layer.output) > 1 else _NO_MASK
        return passed

    def _is_explicit(self, layer: nodes.Layer) -> bool:
        """True if a layer of Keras gets its mask as an argument."""
        match layer:
            case nodes.Recurrent(masked=True):
                # Keras passes a mask on only to a layer that gets a single tensor.
                alone = self.form != "step" and _takes_one(layer)
            case nodes.BatchNorm(masked=True):
                alone = True
            case _:
                return False
        source = self.sources[layer.name][0]
        return not alone or self.passed.get(source, _NO_MASK) != self.of(source)

    def _uses(self, layer: nodes.Layer) -> Iterator[str]:
        """Yield the layers and inputs whose masks a layer takes from variables."""
        if computes_with_mask(layer) or self._is_explicit(layer):
            yield self.sources[layer.name][0]
        attention = nodes.attention_of(layer)
        if attention and attention.masked and attention.over not in self.held:
            yield attention.over

    def _parents(self, layer: nodes.Layer) -> list[str]:
        """Return the sources of a layer whose masks its own mask is made of."""
        names = self.sources[layer.name]
        if not isinstance(layer, nodes.Joined):
            return [names[0]]
        masks = {self.of(name): name for name in reversed(names) if name in self.real}
        whole = [name for mask, name in masks.items() if not any(mask < other for other in masks)]
        return whole[::-1]

    def _needed(self) -> set[Mask]:
        """Return the masks in variables, with those that they are computed from."""
        needed = {self.of(name) for layer in self.layers for name in self._uses(layer)}
        if self.form != "step" and len(self.inputs) < len(self.network.inputs):
            needed |= {self.of(name) for name in self.memories}
        if self.form == "step" and self.is_chain:
            needed.add(self.of(self.network.input.name))
        for layer in reversed(self.layers):
            if self.of(layer.name) in needed:
                needed.update(self.of(name) for name in self._parents(layer))
        return needed - {_NO_MASK}

    def _is_in_order(self) -> bool:
        """True if no layer takes a mask of before another one was computed."""
        current = self.of(self.network.inputs[0].name)
        for layer in self.layers:
            own, before = self.of(layer.name), self.of(self.sources[layer.name][0])
            is_new = own in self.needed and self.owners[own] == layer.name
            if any(self.of(name) != current for name in self._uses(layer)) or (
                is_new and before != current
            ):
                return False
            current = own if is_new else current
        return True


def has_masking(network: nodes.Network, network_input: nodes.Input) -> bool:
    """True if a masking layer computes the padding of features: a layer takes it from there."""
    if not isinstance(network_input, nodes.NumericInput) or not network_input.masked:
        return False
    taken = nodes.sources(network)
    readers = [layer for layer in network.layers if network_input.name in taken[layer.name]]
    # These fill padding themselves.
    return not all(isinstance(layer, nodes.Windowed) for layer in readers)


def masks_zero(network: nodes.Network, table: nodes.Layer) -> bool:
    """True if an embedding of Keras makes a mask: all that share its vectors have padding."""
    tables = (layer for layer in network.layers if isinstance(layer, nodes.Embedding))
    shared = [other for other in tables if table.name in (other.name, other.shares)]
    return all(layer.masked for layer in shared)


def computes_with_mask(layer: nodes.Layer) -> bool:
    """True if functions compute a layer with a mask, which layers of Keras get as an argument."""
    # What an attention leaves out is padding of its memory.
    others = nodes.Recurrent | nodes.BatchNorm | nodes.Embedding | nodes.Attention
    return getattr(layer, "masked", False) and not isinstance(layer, others)


def _takes_one(layer: nodes.Recurrent) -> bool:
    """True if a layer of Keras is called with a single tensor."""
    return not layer.first_states and layer.attention is None


def _joined(how: str, masks: Sequence[Mask]) -> Mask:
    """Return the mask that a layer of Keras passes on from several arrays."""
    if len(set(masks)) == 1:
        return masks[0]
    # To Concatenate, each step of an array without a mask is real.
    return _OTHER if how == "concat" or all(masks) else _NO_MASK
