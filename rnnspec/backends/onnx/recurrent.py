"""Recurrent layers: fused operators, or a ``Scan``.

Fused are ``RNN``, ``LSTM`` and ``GRU``. Source: https://onnx.ai/onnx/operators/onnx__LSTM.html, and
likewise for the other two. Layout 0: ONNX Runtime refuses layout 1, and other runtimes ignore it.
Padding is at the end of each sequence, as ``sequence_lens`` means it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.onnx.attention import StepContext, contexts_of
from rnnspec.backends.onnx.equations import EquationSteps
from rnnspec.backends.onnx.graph import Builder, OnnxNode
from rnnspec.backends.onnx.slots import (
    BIAS,
    FUSED,
    activations,
    after,
    array,
    direction_prefix,
    stepwise_reason,
)
from rnnspec.ir.forms import states_of
from rnnspec.ir.nodes import GRU, LSTM, EquationCell, Recurrent, SimpleRNN
from rnnspec.ir.params import directions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.backends.onnx.graph import Attribute
    from rnnspec.backends.onnx.sequences import Padding
    from rnnspec.ir import core
    from rnnspec.ir.forms import State
    from rnnspec.words import CellActivation, Merge


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentRun:
    """What a recurrent layer reads, and what of it is read.

    ``x`` is its input, and ``padding`` what it skips. ``first`` has the vectors that states begin
    with, by state, with both directions side by side. ``finals`` are the states that are read after
    the last step. If ``pooled`` is true, the last output is read too, which is zeros if no step is
    real; ``with_output`` is true if the output itself is. If ``stepped`` is true, the layer begins
    with the states that the graph is given, and names those after the last step. ``memory`` has the
    values that an attention takes, and ``with_contexts`` is true if the contexts are read.
    """

    x: str
    padding: Padding | None
    stepped: bool
    first: Mapping[str, str] = field(default_factory=dict)
    finals: frozenset[str] = frozenset()
    pooled: bool = False
    with_output: bool = True
    with_contexts: bool = False
    memory: Mapping[core.Expression, str] = field(default_factory=dict)


def add_recurrent(into: Builder, layer: Recurrent, run: RecurrentRun) -> None:
    """Add a layer: its output or final state, and the states that are read."""
    if stepwise_reason(layer):
        _add_scans(into, layer, run)
        return
    padding = run.padding
    if run.stepped:
        _add_fused_chunk(into, layer, run)
        return
    output, *_ = (name for name, _ in layer.states)
    ends = run.with_output and not layer.return_sequences
    finals = run.finals | ({output} if ends else set())
    raw = finals | ({output} if run.pooled else set())
    all_steps = run.with_output and layer.return_sequences
    results = [array(layer.name, "Y") if all_steps else ""]
    results += [array(layer.name, f"Y_{name}") if name in raw else "" for name, _ in layer.states]
    if not any(results):
        # Nothing takes what it computes.
        return
    while not results[-1]:
        results.pop()
    initial = {name: _stack_directions(into, layer, name, run.first[name]) for name in run.first}
    lengths = "" if padding is None else padding.lengths()
    optional = (lengths, *(initial.get(name, "") for name, _ in layer.states))
    into.node(_fused_node(layer, tuple(results), run.x, *optional))
    if padding is not None:
        for name in sorted(finals & initial.keys()):
            # After a sequence of length 0, ONNX Runtime returns zeros instead of the first state.
            computed, held = array(layer.name, f"Y_{name}"), _final(layer, name)
            into.add(held, "Where", padding.exists(), computed, initial[name])
    if run.with_output:
        _merge_directions(into, layer, results[0] if all_steps else _final(layer, output))


def _final(layer: Recurrent, state: str) -> str:
    """Return the name of a final state of a fused layer, (directions, batch, units)."""
    is_held = layer.masked and state in layer.first_states
    return array(layer.name, f"Y_{state}{'_Held' if is_held else ''}")


def _stack_directions(into: Builder, layer: Recurrent, state: str, vector: str) -> str:
    """Return a first state, (batch, directions * units), as (directions, batch, units)."""
    name = array(layer.name, f"Given_{state}")
    if layer.merge is None:
        return into.add(name, "Unsqueeze", vector, into.integers("Axis_0", 0))
    beside = into.add(f"{name}_Beside", "Reshape", vector, into.integers("Directions", 0, 2, -1))
    return into.add(name, "Transpose", beside, perm=(1, 0, 2))


def _fused_node(layer: Recurrent, outputs: tuple[str, ...], x: str, *optional: str) -> OnnxNode:
    """Return the node of a fused layer that reads ``x``.

    ``optional`` are the number of real steps and the initial states; those left out are empty.
    """
    defaults: tuple[CellActivation, ...]
    match layer.standard_cell:
        case SimpleRNN():
            operator, defaults = "RNN", ("tanh",)
        case LSTM():
            operator, defaults = "LSTM", ("sigmoid", "tanh", "tanh")
        case GRU():
            operator, defaults = "GRU", ("sigmoid", "tanh")
        case _:
            assert_never(layer.standard_cell)
    further = [array(layer.owner, BIAS) if layer.bias else "", *optional]
    while further and not further[-1]:
        further.pop()
    attributes: dict[str, Attribute] = {"hidden_size": layer.units}
    if layer.merge is not None:
        attributes["direction"] = "bidirectional"
    elif layer.backward:
        attributes["direction"] = "reverse"
    if isinstance(layer.standard_cell, GRU) and layer.standard_cell.reset_after:
        attributes["linear_before_reset"] = 1
    cell_functions = activations(layer.standard_cell)
    if cell_functions != defaults:
        functions = [FUSED[name] for name in cell_functions] * len(directions(layer))
        attributes["activations"] = tuple(name for name, _ in functions)
        # ONNX does not say whether a function that takes no number has one in the lists. For ONNX
        # Runtime it has none, for others it has: if it is that of another one, both read the same.
        for place, key in enumerate(("activation_alpha", "activation_beta")):
            if numbers := [values[place] for _, values in functions if len(values) > place]:
                attributes[key] = tuple(
                    values[place] if len(values) > place else numbers[0] for _, values in functions
                )
    inputs = (x, array(layer.owner, "W"), array(layer.owner, "R"), *further)
    return OnnxNode(outputs, operator, inputs, tuple(attributes.items()))


def add_last(into: Builder, layer: Recurrent, padding: Padding | None, name: str) -> str:
    """Add the last output of a layer that was added, named ``name``: zeros if no step is real."""
    (state, _), *_ = layer.states
    if not stepwise_reason(layer):
        last = replace(layer, name=name, return_sequences=False)
        return _merge_directions(
            into, last, array(layer.name, f"Y_{state}"), array(name, f"Y_{state}")
        )
    ends = [_last(layer, way, state) for way in directions(layer)]
    if padding is None or not layer.first_states:
        return into.add(name, "Concat", *ends, axis=-1)
    held = into.add(array(name, "Held"), "Concat", *ends, axis=-1)
    return into.add(name, "Where", padding.exists(), held, into.scalar("Zero", 0.0))


def add_final_state(into: Builder, layer: Recurrent, state: str, name: str) -> str:
    """Add a final state of a layer that was added, named ``name``, directions side by side."""
    if stepwise_reason(layer):
        ends = [_last(layer, way, state) for way in directions(layer)]
        return into.add(name, "Concat", *ends, axis=-1)
    merge: Merge | None = None if layer.merge is None else "concat"
    last = replace(layer, name=name, return_sequences=False, merge=merge)
    return _merge_directions(into, last, _final(layer, state), array(name, f"Y_{state}"))


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


def _add_fused_chunk(into: Builder, layer: Recurrent, run: RecurrentRun) -> None:
    """Add a fused layer that begins with its states."""
    states, padding = states_of(layer), run.padding
    all_steps = run.with_output and layer.return_sequences
    first = into.integers("Axis_0", 0)
    initial = [
        into.add(array(layer.name, f"Given_{state.kind}"), "Unsqueeze", state.name, first)
        for state in states
    ]
    results = (
        array(layer.name, "Y") if all_steps else "",
        *(array(layer.name, f"Y_{state.kind}") for state in states),
    )
    lengths = "" if padding is None else padding.lengths()
    into.node(_fused_node(layer, results, run.x, lengths, *initial))
    for state, result in zip(states, results[1:], strict=True):
        _hand_on(into, state, result, padding)
    if all_steps:
        into.add(layer.name, "Squeeze", results[0], into.integers("Axis_1", 1))
    elif run.with_output:
        into.add(layer.name, "Identity", after(states[0].name))


def _hand_on(into: Builder, state: State, result: str, padding: Padding | None) -> None:
    """Name the state after the chunk, (batch, units), which is ``result`` with one more axis."""
    first = into.integers("Axis_0", 0)
    if padding is None:
        into.add(after(state.name), "Squeeze", result, first)
        return
    # After a sequence of length 0, ONNX Runtime returns zeros instead of the initial state.
    computed = into.add(f"{result}_Found", "Squeeze", result, first)
    into.add(after(state.name), "Where", padding.exists(), computed, state.name)


def _add_scans(into: Builder, layer: Recurrent, run: RecurrentRun) -> None:
    """Add a layer that runs step by step."""
    first = dict[str, tuple[str, ...]]()
    for name, vector in run.first.items():
        first[name] = (vector,)
        if layer.merge is not None:
            ways = map(direction_prefix, directions(layer))
            first[name] = tuple(array(layer.name, f"{way}Given_{name}") for way in ways)
            into.node(OnnxNode(first[name], "Split", (vector,), (("axis", -1), ("num_outputs", 2))))
    both = [
        _add_scan(into, layer, run, way, {name: ways[number] for name, ways in first.items()})
        for number, way in enumerate(directions(layer))
    ]
    operators = {None: "Identity", "sum": "Add", "ave": "Mean", "mul": "Mul"}
    if not run.with_output:
        return
    if layer.merge == "concat":
        into.add(layer.name, "Concat", *both, axis=-1)
    else:
        into.add(layer.name, operators[layer.merge], *both)


def _add_scan(
    into: Builder, layer: Recurrent, run: RecurrentRun, direction: str, given: Mapping[str, str]
) -> str:
    """Add the ``Scan`` of one direction, and return its output or final state."""
    real = "" if run.padding is None else run.padding.is_real("sbf")
    with_output = run.with_output and (run.stepped or layer.return_sequences)
    prefix = array(layer.name, direction_prefix(direction))
    context, reason = None, ""
    if layer.attention:
        context = StepContext(layer, layer.attention, run.memory, into.constants, run.with_contexts)
        reason = "attends to another sequence"
    has = "equations" if isinstance(layer.cell, EquationCell) else "activations"
    into.block(f"A Scan, because no fused operator {reason or f'has these {has}'}.")
    owner = array(layer.owner, direction_prefix(direction))
    steps = EquationSteps(into, layer, prefix, owner, run.x)
    sequences = [name for name, *_ in steps.sequences]
    body = steps.body(masked=bool(real), with_output=with_output, context=context)
    every = steps.before.name("Every", layer.states[0][0])
    last = tuple(_last(layer, direction, name) for name, _ in layer.states)
    if run.stepped:
        first = tuple(state.name for state in states_of(layer))
        last = tuple(map(after, first))
    else:
        first = _add_first_states(into, layer, prefix, sequences[0], given)
    sequences += [real] if real else []
    flags: dict[str, Attribute] = {"num_scan_inputs": len(sequences)}
    if layer.backward or direction == "backward.":
        flags["scan_input_directions"] = (1,) * len(sequences)
    results = [every] if with_output else []
    results += [contexts_of(layer)] if run.with_contexts else []
    if "scan_input_directions" in flags and results:
        flags["scan_output_directions"] = (1,) * len(results)
    into.node(OnnxNode((*last, *results), "Scan", (*first, *sequences), tuple(flags.items()), body))
    return every if layer.return_sequences else last[0]


def _add_first_states(
    into: Builder, layer: Recurrent, prefix: str, sequence: str, given: Mapping[str, str]
) -> tuple[str, ...]:
    """Add the first states that are zeros, (batch, size), and return one for each state."""
    zeros = dict[int, str]()
    for state, size in layer.states:
        if size in zeros or state in given:
            continue
        batch = f"{prefix}Zero_Batch"
        if not zeros:
            into.add(batch, "Shape", sequence, start=1, end=2)
        end = "" if size == layer.units else f"_{size}"
        units = into.integers(f"Units_{size}", size)
        shape = into.add(f"{prefix}Zero_Shape{end}", "Concat", batch, units, axis=0)
        name = f"{prefix}Zero{end}"
        # Not ConstantOfShape, whose zeros tract takes for float64.
        zeros[size] = into.add(name, "Expand", into.scalar("Zero", 0.0), shape)
    return tuple(given.get(state) or zeros[size] for state, size in layer.states)


def _last(layer: Recurrent, direction: str, state: str) -> str:
    """Return the name of a state of a ``Scan`` after its last step."""
    return array(layer.name, f"{direction_prefix(direction)}Last_{state}")
