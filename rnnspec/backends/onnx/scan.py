"""Recurrent layers whose activations no fused operator has: a ``Scan`` over the time steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.onnx.activations import activated
from rnnspec.backends.onnx.graph import Builder, Graph, Node, Value
from rnnspec.backends.onnx.names import after, array
from rnnspec.ir.forms import states_of
from rnnspec.ir.nodes import GRU, LSTM, Recurrent, SimpleRNN
from rnnspec.ir.params import directions, gates

if TYPE_CHECKING:
    from rnnspec.backends.onnx.graph import Attribute


def title(direction: str) -> str:
    """Return the prefix of the names of a direction's values."""
    return f"{direction.removesuffix('.').capitalize()}_" if direction else ""


def scanned(into: Builder, layer: Recurrent, x: str, real: str, *, stepped: bool) -> str:
    """Add a layer that runs step by step over ``x``, and return its output or final state.

    ``real`` is a value that is true at real steps, empty if all are. If ``stepped`` is true, the
    layer begins with the states that the graph is given, and names those after the last step.
    """
    scans = [_Scan(into, layer, x, real, stepped, each) for each in directions(layer)]
    both = list(map(_direction, scans))
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


@dataclass(frozen=True, slots=True)
class _Scan:
    """One direction of a layer that reads ``x``; see ``scanned``."""

    into: Builder
    layer: Recurrent
    x: str
    real: str
    stepped: bool
    direction: str

    def named(self, name: str) -> str:
        return f"{array(self.layer.name, title(self.direction))}{name}"

    @property
    def letters(self) -> tuple[str, ...]:
        """The names of the states in the body."""
        return ("H", "C") if isinstance(self.layer.cell, LSTM) else ("H",)


@dataclass(frozen=True, slots=True)
class _Step:
    """The body of a ``Scan``: the state in, the state out."""

    into: Builder
    layer: Recurrent
    prefix: str

    def weight(self, path: str) -> str:
        return array(self.layer.name, f"{self.prefix}{path}")

    def gate(self, name: str, *inputs: str, activation: str = "recurrent_activation") -> str:
        """Return an activation of the sum of two values."""
        total = self.into.add(f"{name}_Sum", "Add", *inputs)
        return activated(self.into, name, total, getattr(self.layer.cell, activation))

    def split(self, value: str, *names: str) -> None:
        self.into.node(Node(names, "Split", (value,), (("axis", -1), ("num_outputs", len(names)))))


def _direction(scan: _Scan) -> str:
    """Add the ``Scan`` of one direction, and return its output or final state."""
    into, layer, named = scan.into, scan.layer, scan.named
    into.block("A Scan, because no fused operator has these activations.")
    projected = into.add(named("Projected"), "MatMul", scan.x, named("Kernel"))
    if layer.bias:
        projected = into.add(named("Biased"), "Add", projected, named("Bias"))
    first, last = _states(scan, projected)
    sequences = (projected, scan.real) if scan.real else (projected,)
    flags: dict[str, Attribute] = {"num_scan_inputs": len(sequences)}
    if scan.direction == "backward.":
        flags |= {"scan_input_directions": (1,) * len(sequences), "scan_output_directions": (1,)}
    body = _body(layer, title(scan.direction), scan.letters, masked=bool(scan.real))
    outputs, inputs = (*last, named("Y")), (*first, *sequences)
    into.node(Node(outputs, "Scan", inputs, tuple(flags.items()), body))
    return named("Y") if layer.return_sequences else last[0]


def _states(scan: _Scan, sequence: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the values with the states before the first step, and after the last one."""
    if scan.stepped:
        names = tuple(state.name for state in states_of(scan.layer))
        return names, tuple(map(after, names))
    zeros = _zeros(scan.into, scan.named("Zero"), sequence, scan.layer.units)
    return (zeros,) * len(scan.letters), tuple(scan.named(f"Last_{n}") for n in scan.letters)


def _zeros(into: Builder, name: str, sequence: str, units: int) -> str:
    """Return the initial state, zeros of shape (batch, units)."""
    batch = into.add(f"{name}_Batch", "Shape", sequence, start=1, end=2)
    size = into.integers(f"Units_{units}", units)
    shape = into.add(f"{name}_Shape", "Concat", batch, size, axis=0)
    return into.add(name, "ConstantOfShape", shape)


def _body(layer: Recurrent, prefix: str, states: tuple[str, ...], *, masked: bool) -> Graph:
    step = _Step(Builder(), layer, prefix)
    moved = _moved(step)
    if masked:
        moved = tuple(
            step.into.add(f"{each}_Held", "Where", "Real_Now", new, each)
            for each, new in zip(states, moved, strict=True)
        )
    step.into.add("Output", "Identity", moved[0])
    width = len(gates(layer.cell)) * layer.units
    inputs = [*(Value("float", ("batch", layer.units), each) for each in states)]
    inputs.append(Value("float", ("batch", width), "Now"))
    if masked:
        inputs.append(Value("bool", ("batch", 1), "Real_Now"))
    outputs = [Value("float", ("batch", layer.units), each) for each in (*moved, "Output")]
    return Graph("Step", tuple(inputs), tuple(outputs), step.into.done())


def _moved(step: _Step) -> tuple[str, ...]:
    """Add the nodes of one step, and return the names of the new states."""
    cell, into = step.layer.cell, step.into
    match cell:
        case SimpleRNN():
            recurrent = into.add("Recurrent", "MatMul", "H", step.weight("Recurrent_Kernel"))
            return (step.gate("H_Next", "Now", recurrent, activation="activation"),)
        case LSTM():
            recurrent = into.add("Recurrent", "MatMul", "H", step.weight("Recurrent_Kernel"))
            return _lstm(step, recurrent)
        case GRU(reset_after=True):
            return _gru_reset_after(step)
        case GRU():
            return _gru_reset_before(step)
        case _:
            assert_never(cell)


def _lstm(step: _Step, recurrent: str) -> tuple[str, ...]:
    into, cell = step.into, step.layer.cell
    assert isinstance(cell, LSTM)
    step.split(into.add("Gates", "Add", "Now", recurrent), "I_In", "F_In", "G_In", "O_In")
    i, f, o = (activated(into, n, f"{n}_In", cell.recurrent_activation) for n in ("I", "F", "O"))
    candidate = activated(into, "G", "G_In", cell.activation)
    kept = into.add("C_Kept", "Mul", f, "C")
    c = into.add("C_Next", "Add", kept, into.add("C_Added", "Mul", i, candidate))
    h = into.add("H_Next", "Mul", o, activated(into, "C_Out", c, cell.activation))
    return h, c


def _gru_reset_after(step: _Step) -> tuple[str, ...]:
    into = step.into
    recurrent = into.add("Recurrent", "MatMul", "H", step.weight("Recurrent_Kernel"))
    if step.layer.bias:
        recurrent = into.add("Recurrent_Biased", "Add", recurrent, step.weight("Recurrent_Bias"))
    step.split("Now", "Z_Now", "R_Now", "G_Now")
    step.split(recurrent, "Z_H", "R_H", "G_H")
    z, r = step.gate("Z", "Z_Now", "Z_H"), step.gate("R", "R_Now", "R_H")
    return _mixed(step, z, into.add("G_Reset", "Mul", r, "G_H"))


def _gru_reset_before(step: _Step) -> tuple[str, ...]:
    into = step.into
    step.split("Now", "Z_Now", "R_Now", "G_Now")
    step.split(step.weight("Recurrent_Kernel"), "Z_U", "R_U", "G_U")
    z = step.gate("Z", "Z_Now", into.add("Z_H", "MatMul", "H", "Z_U"))
    r = step.gate("R", "R_Now", into.add("R_H", "MatMul", "H", "R_U"))
    reset = into.add("H_Reset", "Mul", r, "H")
    return _mixed(step, z, into.add("G_H", "MatMul", reset, "G_U"))


def _mixed(step: _Step, z: str, recurrent: str) -> tuple[str, ...]:
    """Return the state between the old one and the candidate: g + z (h - g)."""
    into = step.into
    candidate = step.gate("G", "G_Now", recurrent, activation="activation")
    away = into.add("G_Away", "Sub", "H", candidate)
    return (into.add("H_Next", "Add", candidate, into.add("G_Mixed", "Mul", z, away)),)
