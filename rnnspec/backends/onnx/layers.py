"""The layers of a network as nodes: the order of axes of each, and its idiom or its recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.onnx.recurrent import add_final_state, add_recurrent
from rnnspec.backends.onnx.sequences import Sequences
from rnnspec.backends.onnx.slots import array, output_name, slots
from rnnspec.backends.onnx.verbs import Recipe
from rnnspec.ir import core, nodes
from rnnspec.ir.expand import SKIP, X
from rnnspec.ir.forms import states_of

if TYPE_CHECKING:
    from rnnspec.backends.onnx.graph import Builder
    from rnnspec.backends.onnx.sequences import Axes


class Layers:
    """The layers of a network, as they are added to the graph.

    If ``stepped`` is true, the graph takes a chunk of steps and the states before it.
    """

    def __init__(self, into: Builder, network: nodes.Network, *, stepped: bool) -> None:
        self.into = into
        self.network = network
        self.stepped = stepped
        self.sources = nodes.sources(network)
        self.sequences = Sequences(into)
        self.ahead: dict[str, Axes] = {}
        self.recurrent = {
            layer.name: layer for layer in network.layers if isinstance(layer, nodes.Recurrent)
        }
        self.arrays = {
            core.Param(layer.name, slot.param): array(layer.name, slot.path)
            for layer in network.layers
            for slot in slots(layer)
        }
        self.with_final_state = set() if stepped else with_final_state(network)

    def add(self) -> None:
        """Add all nodes; an output without a name of its own has that of the last layer."""
        into, network, sequences = self.into, self.network, self.sequences
        axes = self._look_ahead()
        sequences.begin(network.input, axes)
        for layer in network.layers:
            self._add_layer(layer)
        for name, source in network.outputs:
            order = sequences.axes(source)
            into.add(name, "Identity", sequences.take(source, order if order == "bf" else "bsf"))
        if network.outputs or sequences.axes(layer.name) == "bf":
            return
        # The name of the last layer is that of the output, which has other axes.
        if sequences.axes(layer.name) == "sbf":
            x = into.rename(layer.name, array(layer.name, "Steps"))
            into.block()
            if (padding := sequences.padding(layer.name)) is not None:
                x = padding.move_back(layer.name, x)
            into.add(layer.name, "Transpose", x, perm=(1, 0, 2))
        else:
            into.rename(sequences.take(layer.name, "bsf"), layer.name)

    def _look_ahead(self) -> Axes:
        """Find the axes that the layers after each one need, and return those at the beginning."""
        axes: Axes = "bsf"
        for layer in reversed(self.network.layers):
            self.ahead[layer.name] = axes
            match layer:
                case nodes.Recurrent():
                    axes = "sbf"
                case nodes.Conv() | nodes.WindowPooling():
                    axes = self._window_axes(layer)
                case nodes.Pooling() | nodes.Attention() | nodes.Flatten() | nodes.LastSteps():
                    axes = "bsf"
                case _:
                    pass
        return axes if axes == "sbf" else "bsf"

    def _axes(self, layer: nodes.Layer) -> Axes:
        """Return the axes in which a layer takes its input."""
        axes, ahead = self.sequences.axes(self.sources[layer.name][0]), self.ahead[layer.name]
        match layer:
            case nodes.Recurrent():
                return "sbf"
            case nodes.Conv() | nodes.WindowPooling():
                return self._window_axes(layer)
            case nodes.Flatten():
                return "bsf"
            case nodes.BatchNorm() if axes != "bf" and ahead == "bfs":
                return "bfs"
            case nodes.Dense() | nodes.LayerNorm() | nodes.Attention() | nodes.Composed() if (
                axes == "bfs"
            ):
                return "sbf" if ahead == "sbf" else "bsf"
            case _:
                return axes

    def _window_axes(self, layer: nodes.Layer) -> Axes:
        # The last inputs of a chunk have the axes of their state.
        return "bsf" if self.stepped and states_of(layer) else "bfs"

    def _add_layer(self, layer: nodes.Layer) -> None:
        """Add the nodes of a layer: an idiom of recurrent ones, or what its recipe says."""
        into, name, sequences = self.into, layer.name, self.sequences
        source, axes = self.sources[name][0], self._axes(layer)
        padding = sequences.padding(source)
        x = sequences.take(source, axes)
        skipped = padding if getattr(layer, "masked", False) else None
        is_vector = len(layer.output) == 1
        after = None if is_vector else padding
        match layer:
            case nodes.Recurrent():
                both = name in self.with_final_state
                add_recurrent(into, layer, x, skipped, stepped=self.stepped, both=both)
                sequences.put(name, "bf" if is_vector else axes, name, after)
                return
            case nodes.Pooling(statistic="last") if not self.stepped:
                add_final_state(into, self.recurrent[source], name)
                sequences.put(name, "bf", name)
                return
            case nodes.Conv() | nodes.WindowPooling():
                after = padding.after(name, layer.window) if padding else None
                output_axes: Axes = "bfs"
            case nodes.Embedding() | nodes.Repeat():
                output_axes = "bsf" if axes == "bs" else "sbf"
            case _:
                output_axes = "bf" if is_vector else axes
        values: dict[core.Expression, str] = {X: x}
        if isinstance(layer, nodes.Residual):
            values[SKIP] = sequences.take(self.sources[layer.start][0], axes)
        if isinstance(layer, nodes.Join):
            values |= {core.EarlierOutput(part): sequences.take(part, axes) for part in layer.of}
        result = output_name(name, output_axes)
        Recipe(
            into=into,
            layer=layer,
            values=values,
            arrays=self.arrays,
            axes=axes,
            output_axes=output_axes,
            padding=skipped,
            padding_after=after,
            stepped=self.stepped,
        ).add(result)
        sequences.put(name, output_axes, result, after)


def with_final_state(network: nodes.Network) -> set[str]:
    """Return the recurrent layers whose final state is taken beside their output."""
    sources = nodes.sources(network)
    return {
        sources[layer.name][0]
        for layer in network.layers
        if isinstance(layer, nodes.Pooling) and layer.statistic == "last"
    }
