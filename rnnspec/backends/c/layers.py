"""The functions of a network's layers: what the templates lay out of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, assert_never

from rnnspec.backends.c.arrays import resets_first
from rnnspec.backends.c.names import Activation, activation, number
from rnnspec.ir import nodes
from rnnspec.ir.cells import gates
from rnnspec.ir.params import directions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rnnspec.backends.c.arrays import Stored

CHUNK = 16
"""The number of steps for which the products with the inputs are made at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function: the macro that lays it out, and what it is given.

    ``work`` is the number of floats that it computes with. ``kernels`` are the shared functions
    that it calls, of which ``products`` have a number of gates and a block.
    """

    name: str
    kind: str
    comment: str
    layer: dict[str, Any]
    signature: str
    work: int = 0
    kernels: frozenset[str] = frozenset()
    products: frozenset[tuple[str, int, str]] = frozenset()


@dataclass(slots=True)
class Layers:
    """Makes the functions of layers, given where their arrays are."""

    network: nodes.Network
    names: Mapping[str, str]
    """The names of the layers in C."""
    arrays: dict[tuple[str, str], Stored]
    stepped: bool
    most: int
    """The largest number of steps of an input."""
    rows: str = field(init=False)

    def __post_init__(self) -> None:
        self.rows = "1" if self.stepped else "steps"

    def functions(self, layer: nodes.Layer) -> Iterator[Function]:
        """Yield the functions of a layer: one, or one for each direction."""
        match layer:
            case nodes.Recurrent():
                for prefix in directions(layer):
                    yield self._recurrent(layer, prefix)
            case nodes.Flatten():
                # The same numbers in the same order.
                return
            case _:
                yield self._function(layer)

    def _function(  # noqa: PLR0912 - a branch for each kind of layer
        self, layer: nodes.Layer
    ) -> Function:
        sequence = len(layer.input) > 1
        rows = "1" if self.stepped or not sequence else "steps"
        masked = bool(getattr(layer, "masked", False)) and not isinstance(layer, nodes.Embedding)
        match layer:
            case nodes.Embedding(dim=dim):
                table = self.arrays[layer.name, "embeddings"]
                values = {"units": dim, "table": table.symbol}
                values["scale"] = table.scale if table.rounded else ""
                return self._made(layer, "embedding", values, "const int32_t *x, size_t steps")
            case nodes.Dense():
                return self._dense(layer, rows)
            case nodes.Conv():
                return self._conv(layer, masked=masked)
            case nodes.WindowPooling():
                return self._window_pooling(layer, masked=masked)
            case nodes.BatchNorm():
                names = {"gamma": "gamma", "beta": "beta", "mean": "moving_mean"}
                names["variance"] = "moving_variance"
                return self._by_row(layer, "batch_norm", rows, names, epsilon=layer.epsilon)
            case nodes.LayerNorm():
                names = {"gamma": "gamma", "beta": "beta"}
                return self._by_row(layer, "layer_norm", rows, names, epsilon=layer.epsilon)
            case nodes.Normalize():
                return self._by_row(layer, "normalize", rows, {}, kernels={"dot"})
            case nodes.Activate():
                made = activation(layer.activation)
                return self._by_row(
                    layer, "activate", rows, {}, kernels=_kernels(made), activation=made
                )
            case nodes.Residual():
                return self._by_row(layer, "residual", rows, {}, more="const float *start")
            case nodes.Concat():
                return self._concat(layer, rows)
            case nodes.Repeat():
                values = {"units": nodes.width(layer.input), "steps": layer.steps}
                return self._made(layer, "repeat", values, "const float *x")
            case nodes.LastSteps():
                values = {"units": nodes.width(layer.input), "count": layer.count}
                return self._made(layer, "last_steps", values, "const float *x, size_t steps")
            case nodes.Pooling():
                return self._pooling(layer, masked=masked)
            case nodes.Attention():
                return self._attention(layer, masked=masked)
            case nodes.Dropout() | nodes.Flatten() | nodes.Recurrent():
                raise AssertionError(f"{layer.name} has no function of its own")
            case _:
                assert_never(layer)

    def _made(  # noqa: PLR0913 - the parts of a function
        self,
        layer: nodes.Layer,
        kind: str,
        values: dict[str, Any],
        inputs: str,
        *,
        direction: str = "",
        work: int = 0,
        kernels: frozenset[str] | set[str] = frozenset(),
        products: frozenset[tuple[str, int, str]] | set[tuple[str, int, str]] = frozenset(),
    ) -> Function:
        # In step form, a recurrent layer has its output in the state.
        output = "" if kind == "recurrent_step" else ", float *y"
        signature = f"{inputs}{output}" + (", float *work" if work else "")
        return Function(
            name=self.names[layer.name] + direction,
            kind=kind,
            comment=f"{layer.name}{direction}: {self._shapes(layer)}.",
            layer={"name": layer.name, **values},
            signature=signature,
            work=work,
            kernels=frozenset(kernels),
            products=frozenset(products),
        )

    def _shapes(self, layer: nodes.Layer) -> str:
        """Return the shapes of the input and the output: of a step, or of a whole sequence."""
        shapes = [layer.input, layer.output]
        if self.stepped:
            shapes = [shape[1:] if len(shape) > 1 else shape for shape in shapes]
        if isinstance(layer, nodes.Embedding):
            shapes[0] = (1,) if self.stepped else (None,)
        return " -> ".join(map(shape_text, shapes))

    def _symbol(self, layer: nodes.Layer, path: str) -> str:
        stored = self.arrays.get((layer.name, path))
        return stored.symbol if stored else "NULL"

    def _weights(self, layer: nodes.Layer, path: str) -> str:
        """Return the arguments of a product that are its weights."""
        stored = self.arrays[layer.name, path]
        return f"{stored.symbol}, {stored.scale}" if stored.rounded else stored.symbol

    def _block(self, layer: nodes.Layer, path: str) -> tuple[str, int]:
        """Return the block of a kernel in the names of products, and its units in whole blocks."""
        stored = self.arrays[layer.name, path]
        blocks, _, _, block = stored.parts[0]
        return f"{block}{'_int8' if stored.rounded else ''}", blocks * block

    def _kernel(self, layer: nodes.Layer, units: int, inputs: int) -> dict[str, Any]:
        """Return the values of a product with one gate."""
        block, padded = self._block(layer, "kernel")
        return {
            "units": units,
            "inputs": inputs,
            "block": block,
            "padded": padded,
            "kernel": self._weights(layer, "kernel"),
            "bias": self._symbol(layer, "bias"),
        }

    def _inputs(self, rows: str, *, masked: bool = False) -> str:
        if self.stepped and masked:
            return "int real, const float *x"
        mask = ", const unsigned char *mask" if masked else ""
        return f"const float *x{', size_t steps' if rows != '1' else ''}{mask}"

    def _dense(self, layer: nodes.Dense, rows: str) -> Function:
        made = activation(layer.activation)
        values: dict[str, Any] = {"rows": rows, "activation": made, "tied": ""}
        if layer.tied:
            bias = self._symbol(layer, "bias")
            values |= {"units": layer.units, "inputs": layer.features}
            table = self.arrays[layer.tied, "embeddings"]
            values |= {"tied": table.symbol, "scale": table.scale if table.rounded else ""}
            values |= {"bias": "" if bias == "NULL" else bias}
            kernels = {"dot_int8" if table.rounded else "dot"} | _kernels(made)
            return self._made(layer, "dense", values, self._inputs(rows), kernels=kernels)
        values |= self._kernel(layer, layer.units, layer.features)
        work = 0 if values["units"] == values["padded"] else values["padded"]
        return self._made(
            layer,
            "dense",
            values,
            self._inputs(rows),
            work=work,
            kernels=_kernels(made),
            products={("project", 1, values["block"])},
        )

    def _by_row(  # noqa: PLR0913 - what a layer of rows may have
        self,
        layer: nodes.Layer,
        kind: str,
        rows: str,
        names: dict[str, str],
        *,
        epsilon: float | None = None,
        kernels: frozenset[str] | set[str] = frozenset(),
        activation: Activation | None = None,
        more: str = "",
    ) -> Function:
        """Return the function of a layer that computes each row by itself."""
        units = nodes.width(layer.input)
        values: dict[str, Any] = {key: self._symbol(layer, path) for key, path in names.items()}
        values |= {"units": units, "rows": rows}
        values["count"] = units if rows == "1" else f"steps * {units}"
        if epsilon is not None:
            values["epsilon"] = number(epsilon)
        if activation is not None:
            values["activation"] = activation
        inputs = self._inputs(rows)
        if more:
            inputs = inputs.replace("const float *x", f"const float *x, {more}")
        mathematics = {"sqrtf"} if kind in ("batch_norm", "layer_norm", "normalize") else set()
        return self._made(layer, kind, values, inputs, kernels={*kernels, *mathematics})

    def _concat(self, layer: nodes.Concat, rows: str) -> Function:
        parts, at = list[dict[str, Any]](), 0
        for index, shape in enumerate(layer.inputs):
            width = nodes.width(shape)
            parts.append({"name": f"x{index}", "width": width, "at": at})
            at += width
        pointers = ", ".join(f"const float *{part['name']}" for part in parts)
        inputs = pointers if rows == "1" else f"{pointers}, size_t steps"
        return self._made(layer, "concat", {"units": at, "rows": rows, "parts": parts}, inputs)

    def _recurrent(self, layer: nodes.Recurrent, prefix: str) -> Function:
        block, padded = self._block(layer, f"{prefix}kernel")
        count, backward = len(gates(layer.cell)), prefix == "backward."
        cell = _cell(layer)
        gate = getattr(layer.cell, "recurrent_activation", layer.cell.activation)
        made, of_gates = activation(layer.cell.activation), activation(gate)
        fused = made.name == "tanh" and of_gates.name == "sigmoid" and cell in ("lstm", "gru")
        beside = {"simple": 0, "lstm": 1, "gru": 3, "gru_reset_first": 1}[cell]
        kept = padded * (1 + beside)
        values: dict[str, Any] = {
            "cell": cell,
            "units": layer.units,
            "inputs": layer.features,
            "block": block,
            "padded": padded,
            "gates": count,
            "chunk": CHUNK,
            "kept": kept,
            "masked": layer.masked,
            "sequences": layer.return_sequences,
            "width": nodes.width(layer.output),
            "activation": made,
            "gate": of_gates,
            "fused": fused,
            "backward": backward,
            "kernel": self._weights(layer, f"{prefix}kernel"),
            "bias": self._symbol(layer, f"{prefix}bias"),
            "recurrent": self._weights(layer, f"{prefix}recurrent_kernel"),
            "recurrent_bias": self._symbol(layer, f"{prefix}recurrent_bias"),
            "candidate": self._candidate(layer, prefix),
            "at": layer.units if backward and layer.merge == "concat" else 0,
            "combine": _COMBINED.get(layer.merge or "", "") if backward else "",
        }
        products = {("project", count, block)}
        own = (2, 1) if cell == "gru_reset_first" else (count,)
        how = "project" if cell == "gru" else "multiply"
        products |= {(how, size, block) for size in own}
        if self.stepped:
            kind, work = "recurrent_step", padded * (count + (0 if cell == "lstm" else beside))
        else:
            kind, work = "direction", kept + CHUNK * count * padded
        return self._made(
            layer,
            kind,
            values,
            ("STATE, " if self.stepped else "") + self._inputs(self.rows, masked=layer.masked),
            direction=f"_{prefix[:-1]}" if prefix else "",
            work=work,
            kernels={f"{cell}_cell"} if fused else _kernels(made) | _kernels(of_gates),
            products=products,
        )

    def _candidate(self, layer: nodes.Recurrent, prefix: str) -> str:
        """Return the arguments that are the second part of a recurrent kernel."""
        stored = self.arrays[layer.name, f"{prefix}recurrent_kernel"]
        weights = f"{stored.symbol} + {2 * stored.size // 3}"
        scale = f", {stored.scale} + {2 * stored.scales // 3}" if stored.rounded else ""
        return weights + scale if resets_first(layer) else ""

    def _windows(self, window: nodes.Window) -> dict[str, Any]:
        """Return the number of windows, and that of the steps before the first, in C."""
        stride = window.stride
        more = stride - 1 - window.anchor
        count = f"steps {'-' if more < 0 else '+'} {abs(more)}" if more else "steps"
        if stride > 1:
            count = f"({count}) / {stride}" if more else f"steps / {stride}"
        before: str | int = ""
        if window.padding == "causal":
            before = window.reach
        elif window.padding == "same" and stride == 1:
            before = window.reach // 2
        elif window.padding == "same" and window.reach:
            # Half of what the last window needs beyond the last step.
            end = f"(windows - 1) * {stride} + {window.reach + 1}"
            before = f"{end} > steps ? ({end} - steps) / 2 : 0"
        return {
            "windows": count,
            "before": before or "",
            "size": window.size,
            "stride": stride,
            "dilation": window.dilation,
            "reach": window.reach,
        }

    def _conv(self, layer: nodes.Conv, *, masked: bool) -> Function:
        window, made = layer.window, activation(layer.activation)
        values = self._kernel(layer, layer.filters, window.size * layer.features)
        values |= self._windows(window)
        values |= {"features": layer.features, "masked": masked, "activation": made}
        inside = window.padding == "valid" or not window.reach
        values["whole"] = not masked and inside and (window.dilation == 1 or not window.reach)
        padded, padding = values["padded"], values["padded"] != layer.filters
        if self.stepped:
            kind, gathered = "conv_step", bool(window.reach)
        else:
            kind, gathered = "conv", not values["whole"]
            padding = padding or (values["whole"] and window.stride > 1)
        work = values["inputs"] + padded if gathered else padded if padding else 0
        inputs = self._inputs(self.rows, masked=masked and (not self.stepped or bool(window.reach)))
        return self._made(
            layer,
            kind,
            values,
            ("STATE, " if self.stepped and window.reach else "") + inputs,
            work=work,
            kernels=_kernels(made),
            products={("project", 1, values["block"])},
        )

    def _window_pooling(self, layer: nodes.WindowPooling, *, masked: bool) -> Function:
        values = {"units": nodes.width(layer.input), "statistic": layer.statistic, "masked": masked}
        values |= self._windows(layer.window)
        return self._made(layer, "window_pooling", values, self._inputs(self.rows, masked=masked))

    def _pooling(self, layer: nodes.Pooling, *, masked: bool) -> Function:
        units = nodes.width(layer.input)
        values = {
            "units": units,
            "statistic": layer.statistic,
            "masked": masked,
            "backward": layer.backward,
            "ahead": units - layer.backward,
        }
        if not self.stepped:
            return self._made(layer, "pooling", values, self._inputs("steps", masked=masked))
        has_state = layer.statistic not in ("last", "last_step")
        inputs = self._inputs("1", masked=masked and has_state)
        inputs = f"STATE, {inputs}" if has_state else inputs
        return self._made(layer, "pooling_step", values, inputs)

    def _attention(self, layer: nodes.Attention, *, masked: bool) -> Function:
        made = activation(layer.activation)
        values: dict[str, Any] = {
            "units": layer.features,
            "hidden": layer.units or 0,
            "query": self._symbol(layer, "query"),
            "masked": masked,
            "activation": made,
        }
        kernels, products, work = {"dot", "exp"}, set[tuple[str, int, str]](), 0
        if layer.units is not None:
            kernel = self._kernel(layer, layer.units, layer.features)
            values |= {key: kernel[key] for key in ("block", "padded", "kernel", "bias")}
            kernels |= _kernels(made)
            products, work = {("project", 1, kernel["block"])}, kernel["padded"]
        steps = self.most if layer.input[0] is None else layer.input[0]
        return self._made(
            layer,
            "attention",
            values,
            self._inputs("steps", masked=masked),
            work=work + steps,
            kernels=kernels,
            products=products,
        )


_COMBINED = {"sum": "*merged + h[u]", "mul": "*merged * h[u]", "ave": "(*merged + h[u]) * 0.5f"}
"""What the backward direction leaves of both, for every merge but ``concat``."""


def _kernels(made: Activation) -> set[str]:
    return set() if made.name == "linear" else {made.function}


def _cell(layer: nodes.Recurrent) -> str:
    match layer.cell:
        case nodes.SimpleRNN():
            return "simple"
        case nodes.LSTM():
            return "lstm"
        case nodes.GRU(reset_after=reset_after):
            return "gru" if reset_after else "gru_reset_first"
        case _:
            assert_never(layer.cell)


def shape_text(shape: nodes.Shape) -> str:
    """Return a shape, in which ``steps`` stands for any number of steps."""
    return "(" + ", ".join("steps" if size is None else str(size) for size in shape) + ")"
