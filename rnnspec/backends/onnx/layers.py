"""The layers of a network as nodes: the order of axes of each, and its idiom or its recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.onnx.attention import contexts_of
from rnnspec.backends.onnx.graph import BOOL
from rnnspec.backends.onnx.recurrent import RecurrentRun, add_final_state, add_last, add_recurrent
from rnnspec.backends.onnx.sequences import Sequences
from rnnspec.backends.onnx.slots import (
    BATCH,
    BATCH_SIZE,
    INPUT,
    after,
    array,
    output_name,
    slot_array,
    slots,
)
from rnnspec.backends.onnx.verbs import Recipe
from rnnspec.ir import core, nodes
from rnnspec.ir.expand import SKIP, X
from rnnspec.ir.forms import held_values, states, states_of, streamed

if TYPE_CHECKING:
    from rnnspec.backends.onnx.graph import Builder
    from rnnspec.backends.onnx.sequences import Axes
    from rnnspec.ir.forms import State


class Layers:
    """The layers of a network, as they are added to the graph.

    If ``stepped`` is true, the graph takes a chunk of steps and the states before it. If ``once``
    is true, it computes what does not depend on the chunks.
    """

    def __init__(
        self, into: Builder, network: nodes.Network, *, stepped: bool, once: bool = False
    ) -> None:
        self.into = into
        self.network = network
        self.stepped, self.once = stepped, once
        self.sources = nodes.sources(network)
        self.sequences = Sequences(into)
        self.layers, self.inputs = list(network.layers), list(network.inputs)
        if stepped or once:
            in_chunks = streamed(network)
            self.layers = [
                layer for layer in network.layers if (layer.name in in_chunks) == stepped
            ]
            taken = {*network.streams} if stepped else _taken_once(network)
            self.inputs = [
                network_input for network_input in network.inputs if network_input.name in taken
            ]
        self.ahead: dict[str, Axes] = {}
        self.held_masks: dict[str, str] = {}
        self.recurrent = {
            layer.name: layer for layer in self.layers if isinstance(layer, nodes.Recurrent)
        }
        self.arrays = {
            core.Param(layer.name, slot.param): slot_array(layer, slot)
            for layer in network.layers
            for slot in slots(layer)
        }
        pooled = (name for name, layer in self.recurrent.items() if is_pooled(network, layer))
        self.pooled = set() if stepped else set(pooled)
        self.finals: dict[str, set[str]] = {name: set() for name in self.recurrent}
        ports = [port for port in network.ports.values() if port.layer in self.finals]
        for port in ports:
            self.finals[port.layer] |= {port.state} if port.state else set()
        self.with_contexts = {port.layer for port in ports if not port.state}
        self.read = _read_outputs(network)
        self.ports_before = _ports_before(network)
        self.batch = "" if self.inputs else BATCH_SIZE

    def add(self) -> None:
        """Add all nodes; an output without a name of its own has that of the last layer."""
        self._begin()
        own = {layer.name: layer for layer in self.layers}
        for layer in self.network.layers:
            for port in self.ports_before[layer.name]:
                if port.layer in own:
                    self._add_port(port)
            if not self.stepped:
                self._learn(layer)
            if layer.name in own:
                self._add_layer(layer)
        for port in self.ports_before[""]:
            if port.layer in own:
                self._add_port(port)

    def _learn(self, layer: nodes.Layer) -> None:
        """Add the first states that are arrays of a layer, for each sequence."""
        for vector in nodes.learned_of(layer):
            array_of = self.arrays[core.Param(layer.owner, vector.param)]
            self.spread(vector.name, array_of, vector.size)
            self.sequences.put(vector.name, "bf", vector.name)

    def add_results(self) -> None:
        """Add the nodes of the outputs, behind all layers."""
        into, network, sequences = self.into, self.network, self.sequences
        for name, source in network.outputs:
            order = sequences.axes(source)
            value = sequences.take(source, order if order == "bf" else "bsf")
            # A state that is passed on has the name already.
            if value != name:
                into.add(name, "Identity", value)
        if network.outputs:
            return
        last = network.last
        if sequences.axes(last) == "bf":
            value = sequences.take(last, "bf")
            if value != last:
                into.add(last, "Identity", value)
            return
        # The name of the last layer is that of the output, which has other axes.
        if sequences.axes(last) == "sbf":
            # Some layers count their steps under the first name.
            names = (array(last, path) for path in ("Steps", "All_Steps"))
            x = into.rename(last, next(name for name in names if not into.has(name)))
            into.block()
            if (padding := sequences.padding(last)) is not None:
                x = padding.move_back(last, x)
            into.add(last, "Transpose", x, perm=(1, 0, 2))
        else:
            into.rename(sequences.take(last, "bsf"), last)

    def add_first_states(self) -> None:
        """Add the states before the first chunk, but those that are inputs."""
        self.into.block()
        values = first_values(self.network)
        for state in self.first_states:
            source = values.get(state.name)
            if source is None:
                zero = self.into.scalar("Zero", 0.0)
                self.spread(state.name, zero, *(size or 0 for size in state.first_shape))
            elif state.kind == "mask":
                padding = self.sequences.padding(source)
                assert padding is not None
                self.into.add(state.name, "Cast", padding.real_in("bs"), to=BOOL)
            else:
                value = self.sequences.take(source, _axes_of(state))
                self.into.add(state.name, "Identity", value)

    @property
    def first_states(self) -> list[State]:
        """The states before the first chunk, but those that are inputs."""
        values = first_values(self.network)
        return [state for state in states(self.network) if values.get(state.name) != state.name]

    def _begin(self) -> None:
        """Take the inputs, and the values that were computed once."""
        network, sequences = self.network, self.sequences
        needs = self._look_ahead()
        if self.stepped:
            for state in held_values(network):
                if state.kind == "mask":
                    self.held_masks[state.layer] = state.name
                else:
                    sequences.put(state.layer, _axes_of(state), state.name)
        masks, masked_by = nodes.masks(network), nodes.masked_by(network)
        sources = {name for layer in self.layers for name in masked_by.get(layer.name, ())}
        if self.once:
            sources |= {state.layer for state in held_values(network) if state.kind == "mask"}
        padded = {name for source in sources for name, *_ in masks.get(source, ())}
        arguments = network.arguments(INPUT)
        for network_input in self.inputs:
            name = network_input.name
            axes: Axes = "sbf" if needs.get(name) == "sbf" else "bsf"
            prefix = network.prefix(name, "_")
            sequences.begin(network_input, arguments[name], axes, prefix, padded=name in padded)

    def _look_ahead(self) -> dict[str, Axes]:
        """Return the axes in which each input and output is needed first."""
        needs = self.ahead
        masks = nodes.masks(self.network)
        for layer in reversed(self.layers):
            axes = needs.setdefault(layer.name, "bsf")
            names = self.sources[layer.name][:1]
            match layer:
                case nodes.Recurrent():
                    axes = "sbf"
                case nodes.Conv() | nodes.WindowPooling():
                    axes = self._window_axes(layer)
                case (
                    nodes.Pooling()
                    | nodes.AttentionPooling()
                    | nodes.Flatten()
                    | nodes.LastSteps()
                    | nodes.Transpose()
                    | nodes.Attention()
                ):
                    axes = "bsf"
                case nodes.Append():
                    names, axes = self.sources[layer.name], "bsf"
                case nodes.Join():
                    names = self.sources[layer.name]
                    if len({masks.get(name) for name in self._sequences_of(layer)}) > 1:
                        axes = "bsf"
                case _:
                    pass
            needs.update(dict.fromkeys(names, axes))
        return needs

    def _sequences_of(self, join: nodes.Join) -> list[str]:
        """Return the names of the sequences in a join."""
        return [name for name, shape in zip(join.of, join.inputs, strict=True) if len(shape) > 1]

    def _axes(self, layer: nodes.Layer) -> Axes:
        """Return the axes in which a layer takes its input."""
        source = self.sources[layer.name][0]
        axes, ahead = self.sequences.axes(source), self.ahead[layer.name]
        padding = self.sequences.padding
        match layer:
            case nodes.Recurrent():
                return "sbf"
            case nodes.Conv() | nodes.WindowPooling():
                return self._window_axes(layer)
            case nodes.Flatten() | nodes.Transpose() | nodes.Append() | nodes.Attention():
                # One query is a sequence of one step.
                return "bsf"
            case nodes.Pooling(statistic="last" | "first_step") if not self.stepped or states_of(
                layer
            ):
                return "bsf"
            case nodes.Pooling(statistic="last_step") if padding(source) is not None:
                return "bsf"
            case nodes.BatchNorm() if axes != "bf" and ahead == "bfs":
                return "bfs"
            case (
                nodes.Dense() | nodes.LayerNorm() | nodes.AttentionPooling() | nodes.ComposedNode()
            ) if axes == "bfs":
                return "sbf" if ahead == "sbf" else "bsf"
            case nodes.Residual():
                # Steps that are moved have another order behind other padding.
                skipped = self.sources[layer.start][0]
                return axes if padding(source) is padding(skipped) else "bsf"
            case nodes.Joined():
                if not (parts := self._sequences_of(layer)):
                    return "bf"
                alike = len({id(padding(name)) for name in parts}) == 1
                first = self.sequences.axes(parts[0]) if alike else "bsf"
                # Arrays go with the last axis.
                is_turned = first == "bfs" and isinstance(layer, nodes.LearnedFormula)
                return "bsf" if is_turned else first
            case _:
                return axes

    def _window_axes(self, layer: nodes.Layer) -> Axes:
        # The last inputs of a chunk have the axes of their state.
        return "bsf" if self.stepped and states_of(layer) else "bfs"

    def _add_layer(self, layer: nodes.Layer) -> None:
        """Add the nodes of a layer: an idiom, or what its recipe says."""
        into, name, sequences = self.into, layer.name, self.sequences
        source = self.sources[name][0]
        match layer:
            case nodes.Recurrent():
                padding = sequences.padding(source)
                run = RecurrentRun(
                    x=sequences.take(source, "sbf"),
                    padding=padding if layer.masked else None,
                    stepped=self.stepped,
                    first={
                        state: sequences.take(vector, "bf")
                        for state, vector in layer.first_states.items()
                        if not self.stepped
                    },
                    finals=frozenset(self.finals[name]),
                    pooled=name in self.pooled,
                    with_output=name in self.read,
                    with_contexts=name in self.with_contexts,
                    memory=self._memory(layer.attention) if layer.attention else {},
                )
                add_recurrent(into, layer, run)
                if layer.return_sequences:
                    sequences.put(name, "sbf", name, padding)
                else:
                    sequences.put(name, "bf", name)
            case nodes.Pooling(statistic="last") if source in self.pooled:
                padding = sequences.padding(source) if layer.masked else None
                add_last(into, self.recurrent[source], padding, name)
                sequences.put(name, "bf", name)
            case _:
                self._add_recipe(layer)

    def _add_port(self, port: nodes.Port) -> None:
        """Add the nodes of a value beside the output of a layer."""
        into, name, sequences = self.into, port.name, self.sequences
        if not port.state:
            into.add(name, "Identity", contexts_of(self.recurrent[port.layer]))
            sequences.put(name, "sbf", name, sequences.padding(port.layer))
        elif self.stepped:
            # It is the state after the chunk, which is there.
            sequences.put(name, "bf", after(f"{port.layer}_{port.state}"))
        else:
            add_final_state(into, self.recurrent[port.layer], port.state, name)
            sequences.put(name, "bf", name)

    def spread(self, name: str, value: str, *sizes: int) -> str:
        """Return a value of these sizes for each sequence, named ``name``."""
        into = self.into
        if not self.batch:
            first = self.network.arguments(INPUT)[self.inputs[0].name]
            self.batch = into.add(BATCH, "Shape", first, start=0, end=1)
        about = "_".join(map(str, sizes))
        shape = array(name, "Shape")
        into.add(shape, "Concat", self.batch, into.integers(f"Sizes_{about}", *sizes), axis=0)
        return into.add(name, "Expand", value, shape)

    def _memory(
        self, attention: nodes.Attention | nodes.StepAttention
    ) -> dict[core.Expression, str]:
        """Return what the recipe of an attention takes of its memory, with each step in place."""
        into, sequences, over = self.into, self.sequences, attention.over
        keys = core.EarlierOutput(attention.keys)
        values: dict[core.Expression, str] = {
            core.EarlierOutput(over): sequences.take(over, "bsf"),
            keys: sequences.take(attention.keys, "bsf"),
        }
        heads = attention.heads if isinstance(attention, nodes.Attention) else 1
        if not attention.additive and heads == 1:
            values[core.Transpose(keys)] = name = array(attention.keys, "Transposed")
            if not into.has(name):
                into.add(name, "Transpose", values[keys], perm=(0, 2, 1))
        if attention.masked:
            real, padding = core.Row(core.EarlierMask(over)), sequences.padding(over)
            if padding is not None:
                values[real] = padding.is_real("bfs")
            else:
                values[real] = name = array(over, "Real")
                if not into.has(name):
                    at = into.integers("Axis_1", 1)
                    into.add(name, "Unsqueeze", self.held_masks[over], at)
        return values

    def _add_recipe(self, layer: nodes.Layer) -> None:
        """Add the nodes that the recipe of a layer says."""
        name, sequences, axes = layer.name, self.sequences, self._axes(layer)
        source, *others = self.sources[name]
        padding = sequences.padding(source)
        is_vector = len(layer.output) == 1
        after = None if is_vector else padding
        values: dict[core.Expression, str] = {}
        if not isinstance(layer, nodes.Joined):
            is_one = isinstance(layer, nodes.Attention) and len(layer.input) == 1
            values[X] = sequences.take(source, "bf" if is_one else axes)
        output_axes: Axes = "bf" if is_vector else axes
        match layer:
            case nodes.Conv() | nodes.WindowPooling():
                after = padding.after(name, layer.window) if padding else None
                output_axes = "bfs"
            case nodes.Embedding():
                embedded: dict[Axes, Axes] = {"bs": "bsf", "sb": "sbf", "b": "bf"}
                output_axes = embedded[axes]
            case nodes.Repeat():
                output_axes, after = "sbf", None
                if layer.like and layer.steps is None:
                    value, like_axes = sequences.any(others[0])
                    steps = core.CountSteps(core.EarlierOutput(layer.like))
                    values[steps] = array(name, "Like")
                    at = like_axes.index("s")
                    self.into.add(values[steps], "Shape", value, start=at, end=at + 1)
            case nodes.Joined():
                after = sequences.join_paddings(layer) if isinstance(layer, nodes.Join) else None
                for part, shape in zip(layer.of, layer.inputs, strict=True):
                    order: Axes = axes if len(shape) > 1 else "bf"
                    values[core.EarlierOutput(part)] = sequences.take(part, order)
            case nodes.Residual():
                values[SKIP] = sequences.take(self.sources[layer.start][0], axes)
            case nodes.Attention():
                values |= self._memory(layer)
                padding = None
                after = sequences.padding(layer.over) if layer.is_along_memory else after
            case nodes.AttentionPooling(query=str() as query):
                values[core.EarlierOutput(query)] = sequences.take(query, "bf")
            case _:
                pass
        result = output_name(name, output_axes)
        Recipe(
            into=self.into,
            layer=layer,
            values=values,
            arrays=self.arrays,
            axes=axes,
            output_axes=output_axes,
            padding=padding if getattr(layer, "masked", False) else None,
            padding_after=after,
            stepped=self.stepped,
        ).add(result)
        sequences.put(name, output_axes, result, after)


def _axes_of(state: State) -> Axes:
    return "bf" if len(state.shape) == 1 else "bsf"


def first_values(network: nodes.Network) -> dict[str, str]:
    """Return the layer or input that each state of the step form begins as, but for zeros."""
    values = {state.name: state.layer for state in held_values(network)}
    in_chunks = streamed(network)
    for layer in network.layers:
        if isinstance(layer, nodes.Recurrent) and layer.name in in_chunks:
            for state in states_of(layer):
                if state.kind in layer.first_states:
                    values[state.name] = layer.first_states[state.kind]
    return values


def _taken_once(network: nodes.Network) -> set[str]:
    """Return the inputs that are taken before the first chunk, but those that are states."""
    in_chunks, sources = streamed(network), nodes.sources(network)
    taken = {name for state, name in first_values(network).items() if name != state}
    for layer in network.layers:
        if layer.name not in in_chunks:
            taken.update(sources[layer.name])
    return taken - in_chunks


def has_begin(network: nodes.Network) -> bool:
    """True if something is computed before the first chunk, beside zeros."""
    return any(value != state for state, value in first_values(network).items())


def _read_outputs(network: nodes.Network) -> set[str]:
    """Return the layers and inputs whose output is read, not only a final state or contexts."""
    sources = nodes.sources(network)
    read = {layer.name for layer in network.results.values()}
    for layer in network.layers:
        read.update(sources[layer.name])
        if isinstance(layer, nodes.Residual):
            read.add(sources[layer.start][0])
    return read


def _ports_before(network: nodes.Network) -> dict[str, list[nodes.Port]]:
    """Return the ports to add before each layer, and after all: where they are first taken.

    One that is an output too comes right behind its layer.
    """
    result = dict[str, list[nodes.Port]]()
    results = {network.last, *(name for _, name in network.outputs)}
    waiting, behind = dict(network.ports), list[nodes.Port]()
    for layer in network.layers:
        taken = [waiting.pop(name) for name in network.sources[layer.name] if name in waiting]
        result[layer.name] = [*behind, *taken]
        behind = [port for port in waiting.values() if port.layer == layer.name]
        behind = [waiting.pop(port.name) for port in behind if port.name in results]
    result[""] = behind
    return result


def is_next_state(value: nodes.Layer | nodes.Port, name: str) -> bool:
    """True if a value is a state that is passed on, and a name that of the state after a chunk."""
    return isinstance(value, nodes.Port) and name == after(f"{value.layer}_{value.state}")


def is_pooled(network: nodes.Network, layer: nodes.Recurrent) -> bool:
    """True if the last output of a recurrent layer is taken, which is its final state."""
    return any(
        isinstance(reader, nodes.Pooling) and reader.statistic == "last"
        for reader in network.readers.get(layer.name, ())
    )
