"""The nodes of each layer of a network, except for the recurrent ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.onnx.graph import FLOAT
from rnnspec.backends.onnx.recurrent import add_final_state, add_recurrent
from rnnspec.backends.onnx.sequences import TO_END, Sequences
from rnnspec.backends.onnx.slots import after, array, output_name
from rnnspec.ir import nodes
from rnnspec.ir.forms import states_of

if TYPE_CHECKING:
    from rnnspec.backends.onnx.graph import Attribute, Builder
    from rnnspec.backends.onnx.sequences import Axes, Padding
    from rnnspec.ir.forms import State

_LOWEST = -3.4028234663852886e38
"""The lowest number of float32, which is no maximum over real steps."""

_SEQUENCE = 2
"""The rank of the shape of one sample that is a sequence."""

_Pointwise = (
    nodes.Dense
    | nodes.BatchNorm
    | nodes.LayerNorm
    | nodes.Activate
    | nodes.Concat
    | nodes.Residual
    | nodes.Normalize
)


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
                    # The last inputs of a chunk have the axes of their state.
                    axes = "bsf" if self.stepped and states_of(layer) else "bfs"
                case nodes.Pooling() | nodes.Attention() | nodes.Flatten() | nodes.LastSteps():
                    axes = "bsf"
                case _:
                    pass
        return axes if axes == "sbf" else "bsf"

    def _axes(self, layer: nodes.Layer, *, features_last: bool = False) -> Axes:
        """Return the axes in which a layer takes its input, if it takes any."""
        if len(layer.input) < _SEQUENCE:
            return "bf"
        axes = self.sequences.axes(self.sources[layer.name][0])
        if not features_last or axes[-1] == "f":
            return axes
        return "sbf" if self.ahead[layer.name] == "sbf" else "bsf"

    def _take(self, layer: nodes.Layer, axes: Axes) -> str:
        return self.sequences.take(self.sources[layer.name][0], axes)

    def _put(self, layer: nodes.Layer, axes: Axes) -> None:
        """Remember the output of a layer that leaves steps where they are."""
        padding = self.sequences.padding(self.sources[layer.name][0])
        vector = len(layer.output) < _SEQUENCE
        name = layer.name if vector else output_name(layer.name, axes)
        self.sequences.put(layer.name, "bf" if vector else axes, name, None if vector else padding)

    def _padding(self, layer: nodes.Layer) -> Padding | None:
        """Return the padding that a layer has to skip."""
        masked = getattr(layer, "masked", False)
        return self.sequences.padding(self.sources[layer.name][0]) if masked else None

    def _add_layer(self, layer: nodes.Layer) -> None:
        """Add the nodes of a layer."""
        into, name = self.into, layer.name
        match layer:
            case nodes.Embedding():
                tokens = self.sequences.axes(nodes.INPUT)
                axes: Axes = "sbf" if tokens == "sb" else "bsf"
                x = self._take(layer, tokens)
                into.add(output_name(name, axes), "Gather", array(name, "W"), x)
                self._put(layer, axes)
            case nodes.Recurrent():
                self._add_recurrent(layer)
            case nodes.Repeat():
                x, first = self._take(layer, "bf"), into.integers("Axis_0", 0)
                once = into.add(array(name, "Once"), "Unsqueeze", x, first)
                shape = into.integers(f"Repeat_{layer.steps}", layer.steps, 1, 1)
                self.sequences.put(name, "sbf", into.add(name, "Expand", once, shape))
            case nodes.Conv():
                self._add_conv(layer)
            case nodes.WindowPooling():
                self._add_window_pooling(layer)
            case nodes.Pooling():
                self._add_pooling(layer)
            case nodes.Attention():
                self._add_attention(layer)
            case nodes.Flatten():
                into.add(name, "Flatten", self._take(layer, "bsf"), axis=1)
                self._put(layer, "bf")
            case nodes.LastSteps():
                self._add_last_steps(layer)
            case nodes.Dropout():
                raise AssertionError("networks for inference have no dropout")
            case _:
                self._add_pointwise(layer)

    def _add_pointwise(self, layer: _Pointwise) -> None:
        """Add the nodes of a layer that computes each step, or a vector, by itself."""
        into, name = self.into, layer.name
        axes = self._axes(layer)
        match layer:
            case nodes.Dense():
                axes = self._add_dense(layer)
            case nodes.BatchNorm():
                axes = self._add_batch_norm(layer)
            case nodes.LayerNorm():
                axes = self._axes(layer, features_last=True)
                x, scale, bias = self._take(layer, axes), array(name, "Scale"), array(name, "B")
                result, epsilon = output_name(name, axes), layer.epsilon
                into.add(result, "LayerNormalization", x, scale, bias, epsilon=epsilon)
            case nodes.Activate():
                x, along = self._take(layer, axes), axes.index("f") - len(axes)
                into.activate(output_name(name, axes), x, layer.activation, along)
            case nodes.Concat():
                parts = [self.sequences.take(part, axes) for part in layer.of]
                along = axes.index("f") - len(axes)
                into.add(output_name(name, axes), "Concat", *parts, axis=along)
            case nodes.Residual():
                (start,) = self.sources[layer.start]
                x, before = self._take(layer, axes), self.sequences.take(start, axes)
                into.add(output_name(name, axes), "Add", x, before)
            case nodes.Normalize():
                x, last = self._take(layer, axes), into.integers("Axis_last", -1)
                norm = into.add(array(name, "Norm"), "ReduceL2", x, last)
                # LpNormalization has no such limit.
                least = into.scalar("Least_Norm", 1e-12)
                into.add(name, "Div", x, into.add(array(name, "Limited"), "Max", norm, least))
            case _:
                assert_never(layer)
        self._put(layer, axes)

    def _add_recurrent(self, layer: nodes.Recurrent) -> None:
        name, padding = layer.name, self._padding(layer)
        add_recurrent(
            self.into,
            layer,
            self._take(layer, "sbf"),
            padding,
            stepped=self.stepped,
            both=name in self.with_final_state,
        )
        self._put(layer, "sbf")

    def _add_dense(self, layer: nodes.Dense) -> Axes:
        into, name, axes = self.into, layer.name, self._axes(layer, features_last=True)
        x, result = self._take(layer, axes), output_name(name, axes)
        kernel, bias, plain = (
            array(layer.tied or name, "W"),
            array(name, "B"),
            layer.activation == "linear",
        )
        total = result if plain else array(name, "Sum")
        biases = (bias,) if layer.bias else ()
        if axes == "bf" and layer.tied:
            into.add(total, "Gemm", x, kernel, *biases, transB=1)
        elif axes == "bf" and layer.bias:
            into.add(total, "Gemm", x, kernel, bias)
        else:
            if layer.tied:
                # The vectors of the embedding are the columns of the kernel.
                kernel = into.add(array(name, "Kernel"), "Transpose", kernel, perm=(1, 0))
            product = into.add(array(name, "Product") if layer.bias else total, "MatMul", x, kernel)
            if layer.bias:
                into.add(total, "Add", product, bias)
        if not plain:
            into.activate(result, total, layer.activation)
        return axes

    def _add_conv(self, layer: nodes.Conv) -> None:
        into, name, window = self.into, layer.name, layer.window
        padding = self._padding(layer)
        options = _window_options(window, layer.input[0])
        if self.stepped and (states := states_of(layer)):
            x = self._join_last_inputs(layer, states[0], padding)
            # They are in place of zeros before the chunk.
            options.pop("pads")
        else:
            x = self._take(layer, "bfs")
            if padding is not None:
                real, zero = padding.is_real("bfs"), into.scalar("Zero", 0.0)
                x = into.add(array(name, "Kept"), "Where", real, x, zero)
        plain, result = layer.activation == "linear", output_name(name, "bfs")
        biases = (array(name, "B"),) if layer.bias else ()
        total = result if plain else array(name, "Sum")
        into.add(total, "Conv", x, array(name, "W"), *biases, **options)
        if not plain:
            into.activate(result, total, layer.activation, axis=1)
        padding_after = None if padding is None else padding.after(name, window)
        self.sequences.put(name, "bfs", result, padding_after)

    def _join_last_inputs(self, layer: nodes.Conv, state: State, padding: Padding | None) -> str:
        """Add the last inputs of the chunk before and of this one, and return all of them."""
        into, name = self.into, layer.name
        x = self._take(layer, "bsf")
        if padding is not None:
            real, zero = padding.is_real("bsf"), into.scalar("Zero", 0.0)
            x = into.add(array(name, "Kept"), "Where", real, x, zero)
        joined = into.add(array(name, "Joined"), "Concat", state.name, x, axis=1)
        start = into.integers(f"Last_{layer.window.reach}", -layer.window.reach)
        end, steps = into.integers("To_End", TO_END), into.integers("Axis_1", 1)
        into.add(after(state.name), "Slice", joined, start, end, steps)
        return into.add(array(name, "Windows"), "Transpose", joined, perm=(0, 2, 1))

    def _add_window_pooling(self, layer: nodes.WindowPooling) -> None:
        into, name, window = self.into, layer.name, layer.window
        padding, x = self._padding(layer), self._take(layer, "bfs")
        options = {"kernel_shape": (window.size,)} | _window_options(window, layer.input[0])
        operator = "MaxPool" if layer.statistic == "max" else "AveragePool"
        result = output_name(name, "bfs")
        if padding is None:
            into.add(result, operator, x, **options)
            self.sequences.put(name, "bfs", result)
            return
        padding_after = padding.after(name, window)
        if layer.statistic == "max":
            zero, lowest = into.scalar("Zero", 0.0), into.scalar("Lowest", _LOWEST)
            x = into.add(array(name, "Kept"), "Where", padding.is_real("bfs"), x, lowest)
            highest = into.add(array(name, "Highest"), operator, x, **options)
            # Windows of padding alone are padding, but must not overflow in what follows.
            into.add(result, "Where", padding_after.is_real("bfs"), highest, zero)
        else:
            zero = into.scalar("Zero", 0.0)
            x = into.add(array(name, "Kept"), "Where", padding.is_real("bfs"), x, zero)
            total = into.add(array(name, "Total"), operator, x, **options)
            # Both are divided by the same number of steps.
            share = into.add(array(name, "Share"), operator, padding.share(), **options)
            least = into.scalar(f"Least_{window.size}", 1 / window.size)
            into.add(result, "Div", total, into.add(array(name, "Limited"), "Max", share, least))
        self.sequences.put(name, "bfs", result, padding_after)

    def _add_batch_norm(self, layer: nodes.BatchNorm) -> Axes:
        into, name, axes = self.into, layer.name, self._axes(layer)
        if axes != "bf" and self.ahead[name] == "bfs":
            axes = "bfs"
        x, result = self._take(layer, axes), output_name(name, axes)
        arrays = (array(name, path) for path in ("Scale", "B", "Mean", "Var"))
        if axes in ("bf", "bfs"):
            into.add(result, "BatchNormalization", x, *arrays, epsilon=layer.epsilon)
        else:
            # The operator takes features as the second axis.
            flat = into.integers(f"Rows_{nodes.width(layer.input)}", -1, nodes.width(layer.input))
            rows = into.add(array(name, "Rows"), "Reshape", x, flat)
            rows = into.add(
                array(name, "Normal"), "BatchNormalization", rows, *arrays, epsilon=layer.epsilon
            )
            into.add(result, "Reshape", rows, into.add(array(name, "Shape"), "Shape", x))
        return axes

    def _add_last_steps(self, layer: nodes.LastSteps) -> None:
        into, axes = self.into, self._axes(layer)
        # Unlike a Slice, it refuses a sequence that is shorter.
        start, zero = into.scalar(f"Last_{layer.count}", -layer.count), into.scalar("First", 0)
        steps = into.add(array(layer.name, "Places"), "Range", start, zero, into.scalar("One", 1))
        x = self._take(layer, axes)
        into.add(output_name(layer.name, axes), "Gather", x, steps, axis=axes.index("s"))
        self._put(layer, axes)

    def _add_attention(self, layer: nodes.Attention) -> None:
        into, name, axes = self.into, layer.name, self._axes(layer, features_last=True)
        x, padding, axis = self._take(layer, axes), self._padding(layer), axes.index("s")
        hidden = x
        if layer.units is not None:
            product = into.add(array(name, "Product"), "MatMul", x, array(name, "W"))
            total = into.add(array(name, "Sum"), "Add", product, array(name, "B"))
            hidden = into.activate(array(name, "Hidden"), total, layer.activation)
        score = into.add(array(name, "Score"), "MatMul", hidden, array(name, "Query"))
        if padding is not None:
            zero, lowest = into.scalar("Zero", 0.0), into.scalar("Lowest", _LOWEST)
            real = padding.is_real(axes)
            score = into.add(array(name, "Real_Score"), "Where", real, score, lowest)
            # So that a sequence of padding alone gives zeros.
            x = into.add(array(name, "Kept"), "Where", real, x, zero)
        weight = into.add(array(name, "Weight"), "Softmax", score, axis=axis)
        weighted = into.add(array(name, "Weighted"), "Mul", weight, x)
        _reduce_steps(into, name, "ReduceSum", weighted, axis)
        self._put(layer, axes)

    def _add_pooling(self, layer: nodes.Pooling) -> None:
        into, name, axes = self.into, layer.name, self._axes(layer)
        x, padding, axis = self._take(layer, axes), self._padding(layer), axes.index("s")
        masked = padding is not None and layer.statistic != "last"
        zero = into.scalar("Zero", 0.0) if masked else ""
        match layer.statistic:
            case "mean" | "sum" if self.stepped:
                _add_running_sum(into, layer, x, axes, padding)
            case "max" if self.stepped:
                _add_running_max(into, layer, x, axes, padding)
            case "mean" | "sum" if padding is not None:
                x = into.add(array(name, "Kept"), "Where", padding.is_real(axes), x, zero)
                if layer.statistic == "sum":
                    _reduce_steps(into, name, "ReduceSum", x, axis)
                else:
                    least = into.scalar("Least", 1.0)
                    total = _reduce_steps(into, array(name, "Total"), "ReduceSum", x, axis)
                    steps = into.add(array(name, "Steps"), "Max", padding.count(), least)
                    into.add(name, "Div", total, steps)
            case "mean" | "sum":
                operator = "ReduceMean" if layer.statistic == "mean" else "ReduceSum"
                _reduce_steps(into, name, operator, x, axis)
            case "max" if padding is not None:
                lowest = into.scalar("Lowest", _LOWEST)
                real = into.add(array(name, "Kept"), "Where", padding.is_real(axes), x, lowest)
                highest = _reduce_steps(into, array(name, "Highest"), "ReduceMax", real, axis)
                # A sequence of padding alone gives zeros.
                exists = into.add(array(name, "Exists"), "Greater", padding.count(), zero)
                into.add(name, "Where", exists, highest, zero)
            case "max":
                _reduce_steps(into, name, "ReduceMax", x, axis)
            case "last" if not self.stepped:
                add_final_state(into, self.recurrent[self.sources[name][0]], name)
            case "last" | "last_step":
                into.add(name, "Gather", x, into.scalar("Last", -1), axis=axis)
            case _:
                assert_never(layer.statistic)
        self._put(layer, axes)


def with_final_state(network: nodes.Network) -> set[str]:
    """Return the recurrent layers whose final state is taken beside their output."""
    sources = nodes.sources(network)
    return {
        sources[layer.name][0]
        for layer in network.layers
        if isinstance(layer, nodes.Pooling) and layer.statistic == "last"
    }


def _window_options(window: nodes.Window, steps: int | None) -> dict[str, Attribute]:
    """Return the attributes of a convolution or a pooling of windows that are not the default."""
    options: dict[str, Attribute] = {}
    if window.stride > 1:
        options["strides"] = (window.stride,)
    if window.dilation > 1:
        options["dilations"] = (window.dilation,)
    if depends_on_length(window, steps):
        options["auto_pad"] = "SAME_UPPER"
    elif any(added := window.added(steps or 1)):
        options["pads"] = added
    return options


def depends_on_length(window: nodes.Window, steps: int | None) -> bool:
    """Return whether the number of steps to add is only known when the graph runs."""
    return steps is None and window.padding == "same" and window.stride > 1 and window.reach > 0


def _reduce_steps(into: Builder, name: str, operator: str, x: str, axis: int) -> str:
    return into.add(name, operator, x, into.integers(f"Axis_{axis}", axis), keepdims=0)


def _add_running_sum(
    into: Builder, layer: nodes.Pooling, x: str, axes: Axes, padding: Padding | None
) -> None:
    """Add the sum or the mean over all steps so far."""
    name, (total, *counts) = layer.name, (state.name for state in states_of(layer))
    if padding is not None:
        zero = into.scalar("Zero", 0.0)
        x = into.add(array(name, "Kept"), "Where", padding.is_real(axes), x, zero)
    chunk = _reduce_steps(into, array(name, "Chunk"), "ReduceSum", x, axes.index("s"))
    total = into.add(after(total), "Add", total, chunk)
    if not counts:
        into.add(name, "Identity", total)
        return
    steps = _count_steps(into, layer, x, axes.index("s"), padding)
    if padding is not None:
        steps = into.add(array(name, "Least"), "Max", steps, into.scalar("Least", 1.0))
    into.add(name, "Div", total, steps)


def _add_running_max(
    into: Builder, layer: nodes.Pooling, x: str, axes: Axes, padding: Padding | None
) -> None:
    """Add the maximum over all steps so far."""
    name, (value, count) = layer.name, (state.name for state in states_of(layer))
    zero, lowest = into.scalar("Zero", 0.0), into.scalar("Lowest", _LOWEST)
    if padding is not None:
        x = into.add(array(name, "Kept"), "Where", padding.is_real(axes), x, lowest)
    chunk = _reduce_steps(into, array(name, "Chunk"), "ReduceMax", x, axes.index("s"))
    # Before the first real step, the zeros are no maximum.
    begun = into.add(array(name, "Begun"), "Greater", count, zero)
    before = into.add(array(name, "Before"), "Where", begun, value, lowest)
    highest = into.add(array(name, "Highest"), "Max", before, chunk)
    steps = _count_steps(into, layer, x, axes.index("s"), padding)
    exists = into.add(array(name, "Exists"), "Greater", steps, zero)
    into.add(after(value), "Where", exists, highest, zero)
    into.add(name, "Identity", after(value))


def _count_steps(
    into: Builder, layer: nodes.Pooling, x: str, axis: int, padding: Padding | None
) -> str:
    """Return the number of real steps so far, (batch, 1)."""
    name, (count,) = layer.name, (state.name for state in states_of(layer) if state.kind == "count")
    if padding is not None:
        number = padding.count()
    else:
        steps = into.add(array(name, "Steps"), "Shape", x, start=axis, end=axis + 1)
        number = into.add(array(name, "Steps_Float"), "Cast", steps, to=FLOAT)
    return into.add(after(count), "Add", count, number)
