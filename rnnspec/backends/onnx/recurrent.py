"""Recurrent layers: fused operators, or a ``Scan``.

Fused are ``RNN``, ``LSTM`` and ``GRU``. Source: https://onnx.ai/onnx/operators/onnx__LSTM.html, and
likewise for the other two. Layout 0: ONNX Runtime refuses layout 1, and other runtimes ignore it.
Padding is at the end of each sequence, as ``sequence_lens`` means it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.onnx.graph import Builder, Graph, Node, Value
from rnnspec.backends.onnx.slots import (
    BIAS,
    FUSED,
    activations,
    after,
    array,
    direction_prefix,
    stepwise_reason,
)
from rnnspec.ir.cells import gates
from rnnspec.ir.forms import states_of
from rnnspec.ir.nodes import GRU, LSTM, Recurrent, SimpleRNN
from rnnspec.ir.params import directions

if TYPE_CHECKING:
    from rnnspec.backends.onnx.graph import Attribute
    from rnnspec.backends.onnx.sequences import Padding
    from rnnspec.ir.forms import State
    from rnnspec.words import CellActivation


def add_recurrent(  # noqa: PLR0913
    into: Builder,
    layer: Recurrent,
    x: str,
    padding: Padding | None,
    *,
    stepped: bool,
    both: bool = False,
) -> str:
    """Add a layer that reads ``x``, and return its output or final state.

    If ``stepped`` is true, the layer begins with the states that the graph is given, and names
    those after the last step. If ``both`` is true, its final state is needed besides its output.
    """
    if stepwise_reason(layer):
        real = "" if padding is None else padding.is_real("sbf")
        return _add_scans(into, layer, x, real, stepped=stepped)
    if stepped:
        return _add_fused_chunk(into, layer, x, padding)
    result = array(layer.name, "Y" if layer.return_sequences else "Y_h")
    outputs = (result,) if layer.return_sequences else ("", result)
    if both:
        outputs = (result, array(layer.name, "Y_h"))
    into.node(_fused_node(layer, outputs, x, "" if padding is None else padding.lengths()))
    return _merge_directions(into, layer, result)


def _fused_node(layer: Recurrent, outputs: tuple[str, ...], x: str, *optional: str) -> Node:
    """Return the node of a fused layer that reads ``x``.

    ``optional`` are the number of real steps and the initial states; those left out are empty.
    """
    defaults: tuple[CellActivation, ...]
    match layer.cell:
        case SimpleRNN():
            operator, defaults = "RNN", ("tanh",)
        case LSTM():
            operator, defaults = "LSTM", ("sigmoid", "tanh", "tanh")
        case GRU():
            operator, defaults = "GRU", ("sigmoid", "tanh")
        case _:
            assert_never(layer.cell)
    further = [array(layer.name, BIAS) if layer.bias else "", *optional]
    while further and not further[-1]:
        further.pop()
    attributes: dict[str, Attribute] = {"hidden_size": layer.units}
    if layer.merge is not None:
        attributes["direction"] = "bidirectional"
    if isinstance(layer.cell, GRU) and layer.cell.reset_after:
        attributes["linear_before_reset"] = 1
    if activations(layer.cell) != defaults:
        functions = [FUSED[each] for each in activations(layer.cell)] * len(directions(layer))
        attributes["activations"] = tuple(name for name, _ in functions)
        # Each function takes the next value, if it takes one at all.
        if alphas := tuple(values[0] for _, values in functions if values):
            attributes["activation_alpha"] = alphas
        if betas := tuple(values[1] for _, values in functions if len(values) > 1):
            attributes["activation_beta"] = betas
    inputs = (x, array(layer.name, "W"), array(layer.name, "R"), *further)
    return Node(outputs, operator, inputs, tuple(attributes.items()))


def add_final_state(into: Builder, layer: Recurrent, name: str) -> str:
    """Add the final state of a layer whose outputs were added, named ``name``."""
    if not stepwise_reason(layer):
        last = replace(layer, name=name, return_sequences=False)
        return _merge_directions(into, last, array(layer.name, "Y_h"), array(name, "Y_h"))
    prefixes = (array(layer.name, direction_prefix(each)) for each in directions(layer))
    return into.add(name, "Concat", *(f"{prefix}Last_H" for prefix in prefixes), axis=-1)


def _merge_directions(into: Builder, layer: Recurrent, result: str, about: str = "") -> str:
    """Remove the axis of the directions, which is before that of the batch.

    ``about`` begins the name of a value between, which is that of the result by default.
    """
    if layer.merge == "concat":
        # Next to the features, both are one axis.
        order = (0, 2, 1, 3) if layer.return_sequences else (1, 0, 2)
        beside = into.add(f"{about or result}_Beside", "Transpose", result, perm=order)
        shape = into.integers(f"Joined_{len(order) - 1}", *[0] * (len(order) - 2), -1)
        return into.add(layer.name, "Reshape", beside, shape)
    axis = 1 if layer.return_sequences else 0
    at = into.integers(f"Axis_{axis}", axis)
    if layer.merge is None:
        return into.add(layer.name, "Squeeze", result, at)
    reduction = {"sum": "ReduceSum", "ave": "ReduceMean", "mul": "ReduceProd"}[layer.merge]
    return into.add(layer.name, reduction, result, at, keepdims=0)


def _add_fused_chunk(into: Builder, layer: Recurrent, x: str, padding: Padding | None) -> str:
    """Add a fused layer that begins with its states, and return its output or final state."""
    states = states_of(layer)
    first = into.integers("Axis_0", 0)
    initial = [
        into.add(array(layer.name, f"Given_{state.kind}"), "Unsqueeze", state.name, first)
        for state in states
    ]
    results = (
        array(layer.name, "Y") if layer.return_sequences else "",
        *(array(layer.name, f"Y_{state.kind}") for state in states),
    )
    lengths = "" if padding is None else padding.lengths()
    into.node(_fused_node(layer, results, x, lengths, *initial))
    for state, result in zip(states, results[1:], strict=True):
        _hand_on(into, state, result, padding)
    if layer.return_sequences:
        return into.add(layer.name, "Squeeze", results[0], into.integers("Axis_1", 1))
    return into.add(layer.name, "Identity", after(states[0].name))


def _hand_on(into: Builder, state: State, result: str, padding: Padding | None) -> None:
    """Name the state after the chunk, (batch, units), which is ``result`` with one more axis."""
    first = into.integers("Axis_0", 0)
    if padding is None:
        into.add(after(state.name), "Squeeze", result, first)
        return
    # After a sequence of length 0, ONNX Runtime returns zeros instead of the initial state.
    found = into.add(f"{result}_Found", "Squeeze", result, first)
    into.add(after(state.name), "Where", padding.exists(), found, state.name)


def _add_scans(into: Builder, layer: Recurrent, x: str, real: str, *, stepped: bool) -> str:
    """Add a layer that runs step by step over ``x``, and return its output or final state.

    ``real`` is a value that is true at real steps, empty if all are.
    """
    both = [_add_scan(into, layer, x, real, each, stepped=stepped) for each in directions(layer)]
    match layer.merge:
        case None:
            return into.add(layer.name, "Identity", *both)
        case "concat":
            return into.add(layer.name, "Concat", *both, axis=-1)
        case "sum":
            return into.add(layer.name, "Add", *both)
        case "ave":
            return into.add(layer.name, "Mean", *both)
        case "mul":
            return into.add(layer.name, "Mul", *both)
        case _:
            assert_never(layer.merge)


def _add_scan(  # noqa: PLR0913
    into: Builder, layer: Recurrent, x: str, real: str, direction: str, *, stepped: bool
) -> str:
    """Add the ``Scan`` of one direction, and return its output or final state."""
    prefix = array(layer.name, direction_prefix(direction))
    letters = ("H", "C") if isinstance(layer.cell, LSTM) else ("H",)
    into.block("A Scan, because no fused operator has these activations.")
    projected = into.add(f"{prefix}Projected", "MatMul", x, f"{prefix}Kernel")
    if layer.bias:
        projected = into.add(f"{prefix}Biased", "Add", projected, f"{prefix}Bias")
    if stepped:
        first = tuple(state.name for state in states_of(layer))
        last = tuple(map(after, first))
    else:
        # The initial state, (batch, units).
        batch = into.add(f"{prefix}Zero_Batch", "Shape", projected, start=1, end=2)
        size = into.integers(f"Units_{layer.units}", layer.units)
        shape = into.add(f"{prefix}Zero_Shape", "Concat", batch, size, axis=0)
        zeros = into.add(f"{prefix}Zero", "ConstantOfShape", shape)
        first, last = (zeros,) * len(letters), tuple(f"{prefix}Last_{each}" for each in letters)
    sequences = (projected, real) if real else (projected,)
    flags: dict[str, Attribute] = {"num_scan_inputs": len(sequences)}
    if direction == "backward.":
        flags |= {"scan_input_directions": (1,) * len(sequences), "scan_output_directions": (1,)}
    body = step_body(layer, prefix, letters, masked=bool(real))
    outputs, inputs = (*last, f"{prefix}Y"), (*first, *sequences)
    into.node(Node(outputs, "Scan", inputs, tuple(flags.items()), body))
    return f"{prefix}Y" if layer.return_sequences else last[0]


def step_body(layer: Recurrent, prefix: str, states: tuple[str, ...], *, masked: bool) -> Graph:
    """Return the body of a ``Scan`` over the steps of a layer."""
    into = Builder()
    new_states = _Step(into, layer, prefix).add()
    if masked:
        new_states = tuple(
            into.add(f"{old}_Held", "Where", "Real_Now", new, old)
            for old, new in zip(states, new_states, strict=True)
        )
    into.add("Output", "Identity", new_states[0])
    width = len(gates(layer.cell)) * layer.units
    inputs = [*(Value("float", ("batch", layer.units), each) for each in states)]
    inputs.append(Value("float", ("batch", width), "Now"))
    if masked:
        inputs.append(Value("bool", ("batch", 1), "Real_Now"))
    outputs = [Value("float", ("batch", layer.units), each) for each in (*new_states, "Output")]
    return Graph("Step", tuple(inputs), tuple(outputs), into.finish())


@dataclass(frozen=True, slots=True)
class _Step:
    """The body of a ``Scan``: the states ``H`` and ``C`` in, the new states out.

    ``Now`` is what the kernel and the bias make of the input of the step.
    """

    into: Builder
    layer: Recurrent
    prefix: str

    def add(self) -> tuple[str, ...]:
        """Add the nodes of one step, and return the names of the new states."""
        cell = self.layer.cell
        match cell:
            case SimpleRNN():
                return (self._activate("H_Next", "Now", self._recurrent(), cell.activation),)
            case LSTM():
                return self._add_lstm(cell)
            case GRU(reset_after=True):
                return self._add_gru_reset_after(cell)
            case GRU():
                return self._add_gru_reset_before(cell)
            case _:
                assert_never(cell)

    def _recurrent(self) -> str:
        return self.into.add("Recurrent", "MatMul", "H", f"{self.prefix}Recurrent_Kernel")

    def _activate(self, name: str, one: str, other: str, activation: CellActivation) -> str:
        """Return an activation of the sum of two values."""
        return self.into.activate(name, self.into.add(f"{name}_Sum", "Add", one, other), activation)

    def _split(self, value: str, *names: str) -> None:
        self.into.node(Node(names, "Split", (value,), (("axis", -1), ("num_outputs", len(names)))))

    def _add_lstm(self, cell: LSTM) -> tuple[str, ...]:
        into = self.into
        total = into.add("Gates", "Add", "Now", self._recurrent())
        self._split(total, "I_In", "F_In", "G_In", "O_In")
        i, f, o = (into.activate(n, f"{n}_In", cell.recurrent_activation) for n in ("I", "F", "O"))
        candidate = into.activate("G", "G_In", cell.activation)
        kept = into.add("C_Kept", "Mul", f, "C")
        c = into.add("C_Next", "Add", kept, into.add("C_Added", "Mul", i, candidate))
        h = into.add("H_Next", "Mul", o, into.activate("C_Out", c, cell.activation))
        return h, c

    def _add_gru_reset_after(self, cell: GRU) -> tuple[str, ...]:
        into = self.into
        recurrent = self._recurrent()
        if self.layer.bias:
            bias = f"{self.prefix}Recurrent_Bias"
            recurrent = into.add("Recurrent_Biased", "Add", recurrent, bias)
        self._split("Now", "Z_Now", "R_Now", "G_Now")
        self._split(recurrent, "Z_H", "R_H", "G_H")
        z = self._activate("Z", "Z_Now", "Z_H", cell.recurrent_activation)
        r = self._activate("R", "R_Now", "R_H", cell.recurrent_activation)
        return self._mix(cell, z, into.add("G_Reset", "Mul", r, "G_H"))

    def _add_gru_reset_before(self, cell: GRU) -> tuple[str, ...]:
        into = self.into
        self._split("Now", "Z_Now", "R_Now", "G_Now")
        self._split(f"{self.prefix}Recurrent_Kernel", "Z_U", "R_U", "G_U")
        z_recurrent = into.add("Z_H", "MatMul", "H", "Z_U")
        z = self._activate("Z", "Z_Now", z_recurrent, cell.recurrent_activation)
        r_recurrent = into.add("R_H", "MatMul", "H", "R_U")
        r = self._activate("R", "R_Now", r_recurrent, cell.recurrent_activation)
        reset = into.add("H_Reset", "Mul", r, "H")
        return self._mix(cell, z, into.add("G_H", "MatMul", reset, "G_U"))

    def _mix(self, cell: GRU, z: str, recurrent: str) -> tuple[str, ...]:
        """Add the state between the old one and the candidate: g + z (h - g)."""
        into = self.into
        candidate = self._activate("G", "G_Now", recurrent, cell.activation)
        away = into.add("G_Away", "Sub", "H", candidate)
        return (into.add("H_Next", "Add", candidate, into.add("G_Mixed", "Mul", z, away)),)
