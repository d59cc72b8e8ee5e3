"""IR -> ONNX source: one graph in ONNX's textual syntax."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.contract import Emitter
from rnnspec.backends.onnx.graph import (
    Builder,
    GraphSource,
    OnnxGraph,
    OnnxValue,
    taken_names,
    write_body,
    write_signature,
)
from rnnspec.backends.onnx.layers import Layers, has_begin, is_next_state, is_pooled
from rnnspec.backends.onnx.slots import (
    BATCH_SIZE,
    BEGIN,
    FIRST_STEPS,
    FORM,
    GIVEN,
    INPUT,
    LEAST_STEPS,
    NAMED,
    STREAMS,
    VOCABULARY,
    after,
    key_about,
    stepwise_reason,
    weights,
)
from rnnspec.backends.onnx.verbs import depends_on_length
from rnnspec.errors import Refusal, listed
from rnnspec.ir import cells, nodes, text
from rnnspec.ir.equations import Equations
from rnnspec.ir.expand import FIELDS
from rnnspec.ir.fields import Fields
from rnnspec.ir.forms import held_values, states
from rnnspec.ir.notation import describe
from rnnspec.ir.params import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rnnspec.backends.contract import SourceOptions
    from rnnspec.backends.onnx.slots import Weight
    from rnnspec.ir.forms import Form, State

OPSET, IR_VERSION = 18, 8
"""The first opset in which all of it can be said, and the oldest version of files for it."""

_MOST_BYTES = 2**31 - 2**24
"""A protocol buffer holds less than 2 GiB; a part is left for the graph, of up to 2,000 layers."""

_WIDTH = 80
"""The most characters of a line of equations."""

_AFTER_BEGIN = (
    "A chunk of steps. NAME_begin.onnx gives the states before the first chunk, and each NAME_next "
    "is given as NAME with the next chunk."
)
_STEP_SUMMARY = (
    "A chunk of steps. The states before the first chunk are zeros, and each NAME_next is given as "
    "NAME with the next chunk."
)
"""The documentation in a file in step form, with and without a file that begins."""

_STATES = (
    "Recurrent.attention StepAttention.asked_as StepAttention.asks Recurrent.backward "
    "Recurrent.initial"
)
_FINAL_STATE = Fields(f"{cells.FIELDS.names} Pooling.backward {_STATES}")


def source_fields(
    network: nodes.Network, node: nodes.Layer | nodes.Network, form: Form
) -> Iterator[Fields]:
    """Yield the tables of the fields that the source of a node is written from."""
    match node:
        case nodes.Network():
            yield Fields("Network.outputs Network.result Network.streams")
        case nodes.Recurrent():
            # A fused operator is written only if it stands for all fields.
            if stepwise_reason(node):
                yield Fields(f"{cells.FIELDS.names} {_STATES}")
            if form != "step" and is_pooled(network, node):
                yield _FINAL_STATE
        case nodes.Pooling(statistic="last") if form != "step":
            yield _FINAL_STATE
        case _:
            yield FIELDS


def emit(network: nodes.Network, form: Form, _options: SourceOptions) -> GraphSource:
    """Return the source of a network: a graph named after it, without its weights.

    In step form, it may have another one, which computes the states before the first chunk.
    """
    stepped, builder = form == "step", Builder()
    layers = Layers(builder, network, stepped=stepped)
    layers.add()
    layers.add_results()
    network_states = states(network) if stepped else ()
    axes = _step_axes(network, stepped=stepped)
    outputs = tuple(_output_values(network, axes))
    results = {value.name for value in outputs}
    graph = OnnxGraph(
        name=network.name,
        inputs=(
            *(_input_value(network, network_input, axes) for network_input in layers.inputs),
            *(_first_value(state, axes) for state in network_states),
        ),
        outputs=(
            *outputs,
            *(
                _state_value(state, axes, after(state.name))
                for state in network_states
                # A chunk does not change a memory, and a given state is a result too.
                if state.kind not in ("value", "mask") and after(state.name) not in results
            ),
        ),
        blocks=builder.finish(),
    )
    begins = stepped and has_begin(network)
    return replace(
        _write(network, builder, graph),
        docstring=(
            *text.signature(network, chunks=stepped),
            *(_describe_states(network, axes) if stepped else ()),
            *_describe_cells(network),
        ),
        summary=(_AFTER_BEGIN if begins else _STEP_SUMMARY) if stepped else "",
        metadata=(
            *_frozen(network, graph),
            *(((FORM, "step"),) if stepped else ()),
            *(((STREAMS, str(len(layers.inputs))),) if stepped and len(layers.inputs) > 1 else ()),
            *(((BEGIN, "true"),) if begins else ()),
            *(((NAMED, str(len(outputs)) if stepped else "true"),) if network.outputs else ()),
            *(
                (f"{GIVEN} {network_input.name}", "true")
                for network_input in network.inputs
                if any(network_input.name == state.name for state in network_states)
            ),
            *(
                (f"{FIRST_STEPS} {state.name}", str(state.first_shape[0]))
                for state in network_states
                if state.first_shape != state.shape
            ),
            *_steps_needed(network, layers.inputs),
            *_vocabularies(network, layers.inputs, stepped=stepped),
        ),
        begin=_emit_begin(network) if begins else None,
    )


def _emit_begin(network: nodes.Network) -> GraphSource:
    """Return the source of the graph that is run once, before the first chunk."""
    builder = Builder()
    layers = Layers(builder, network, stepped=False, once=True)
    axes = _step_axes(network, stepped=True)
    inputs = tuple(_input_value(network, network_input, axes) for network_input in layers.inputs)
    layers.add()
    layers.add_first_states()
    graph = OnnxGraph(
        name=f"{network.name}_begin",
        inputs=inputs or (OnnxValue("int64", (1,), BATCH_SIZE),),
        outputs=tuple(_first_value(state, axes) for state in layers.first_states),
        blocks=builder.finish(),
    )
    by_batch = "" if inputs else f" Its input {BATCH_SIZE} is the number of sequences."
    return replace(
        _write(network, builder, graph),
        title=f"{graph.name}.onnx, a file of its own, which is run once before the first chunk.",
        comment="",
        docstring=(f"It gives the states that {network.name}.onnx then takes.{by_batch}",),
        summary="Run once, before the first chunk: it gives the states that this takes.",
        metadata=(
            *_frozen(network, graph),
            (FORM, BEGIN),
            *_steps_needed(network, layers.inputs),
            *_vocabularies(network, layers.inputs, stepped=True),
        ),
    )


def _write(network: nodes.Network, builder: Builder, graph: OnnxGraph) -> GraphSource:
    """Return the source of a graph with the arrays that it takes."""
    return GraphSource(
        title=text.title(network),
        comment=text.comment(network),
        docstring=(),
        entry=network.name,
        signature=write_signature(graph),
        body=write_body(graph),
        weights=tuple(
            OnnxValue("float", shape, name) for name, shape, _ in _arrays(network, graph)
        ),
        constants=tuple(builder.constants.values()),
        summary="",
        metadata=(),
        opset=OPSET,
        ir_version=IR_VERSION,
    )


def _arrays(network: nodes.Network, graph: OnnxGraph) -> list[Weight]:
    """Return the arrays that a graph takes."""
    taken = taken_names(graph)
    return [weight for weight in weights(network) if weight[0] in taken]


def _frozen(network: nodes.Network, graph: OnnxGraph) -> Iterator[tuple[str, str]]:
    for name, _, trainable in _arrays(network, graph):
        if not trainable:
            yield f"frozen {name}", "true"


def _steps_needed(
    network: nodes.Network, inputs: Iterable[nodes.Input]
) -> Iterator[tuple[str, str]]:
    """Yield the smallest numbers of steps: ONNX Runtime pools a part of a window too."""
    by_input, arguments = nodes.least_steps_by_input(network), network.arguments(INPUT)
    for sequence in _sequences(inputs):
        least = by_input[sequence.name]
        if sequence.steps is None and least > 1:
            yield key_about(LEAST_STEPS, arguments[sequence.name]), str(least)


def _vocabularies(
    network: nodes.Network, inputs: Sequence[nodes.Input], *, stepped: bool
) -> Iterator[tuple[str, str]]:
    """Yield the sizes of vocabularies.

    The type of an input does not tell it, and ONNX Runtime takes a negative token for one from the
    end of the vocabulary.
    """
    arguments = network.arguments(INPUT)
    for network_input in inputs:
        if isinstance(network_input, nodes.TokenInput | nodes.LabelInput):
            name = arguments[network_input.name]
            if stepped or name != INPUT:
                yield key_about(VOCABULARY, name), str(network_input.vocabulary)


def _sequences(inputs: Iterable[nodes.Input]) -> list[nodes.SequenceInput]:
    return [
        network_input
        for network_input in inputs
        if isinstance(network_input, nodes.TokenInput | nodes.NumericInput)
    ]


def _input_value(
    network: nodes.Network, network_input: nodes.Input, axes: Mapping[str, str]
) -> OnnxValue:
    dims = (axes[network_input.name] if size is None else size for size in network_input.shape)
    name = network.arguments(INPUT)[network_input.name]
    match network_input:
        case nodes.TokenInput() | nodes.LabelInput():
            return OnnxValue("int64", ("batch", *dims), name)
        case nodes.NumericInput() | nodes.VectorInput():
            return OnnxValue("float", ("batch", *dims), name)
        case _:
            assert_never(network_input)


def _output_values(network: nodes.Network, axes: Mapping[str, str]) -> Iterator[OnnxValue]:
    for name, layer in network.results.items():
        dims = (axes[layer.name] if size is None else size for size in layer.output)
        yield OnnxValue("float", ("batch", *dims), name or layer.name)


def _step_axes(network: nodes.Network, *, stepped: bool) -> dict[str, str]:
    """Return the name of the open number of steps of each input and layer.

    ONNX Runtime takes axes of one name for equal, and other runtimes may.
    """

    def first(name: str) -> str:
        while equal[name] != name:
            name = equal[name]
        return name

    steps = {sequence.name: sequence.steps for sequence in _sequences(network.inputs)}
    values = (*network.layers, *network.ports.values())
    steps |= {value.name: value.output[0] for value in values if len(value.output) > 1}
    equal = {name: name for name in steps}
    equal |= {name: port.layer for name, port in network.ports.items() if name in steps}
    equal |= {name: network.streams[0] for name in network.streams if steps.get(name, 0) is None}
    for layer, names in zip(network.layers, nodes.sources(network).values(), strict=True):
        match layer:
            case nodes.Conv() | nodes.WindowPooling() if not layer.window.keeps_steps:
                continue
            case nodes.Append():
                continue
            case nodes.Repeat():
                alike = names[1:]
            case _:
                alike = tuple(nodes.paced_by(layer, names))
        for name in alike:
            if steps.get(layer.name, 0) is None and steps.get(name, 0) is None:
                equal[first(layer.name)] = first(name)
    inputs = dict[str, str]()
    for sequence in _sequences(network.inputs):
        if sequence.steps is None:
            inputs.setdefault(first(sequence.name), sequence.name)
    results = [layer.name for layer in network.results.values()]
    if stepped:
        results += [state.layer for state in held_values(network)]
    results = [name for name in results if steps.get(name, 0) is None]
    others = {first(name): name for name in results if first(name) not in inputs}
    texts = {
        group: "steps" if len(inputs) == 1 else f"{name}_steps" for group, name in inputs.items()
    }
    texts |= {
        group: "output_steps" if len(others) == 1 else f"{name}_steps"
        for group, name in others.items()
    }
    return {name: texts[first(name)] for name in steps if first(name) in texts}


def _state_value(state: State, axes: Mapping[str, str], name: str) -> OnnxValue:
    dims = (axes[state.layer] if size is None else size for size in state.shape)
    return OnnxValue("bool" if state.kind == "mask" else "float", ("batch", *dims), name)


def _first_value(state: State, axes: Mapping[str, str]) -> OnnxValue:
    """Return a state before a chunk, which may have fewer steps before the first one."""
    value = _state_value(state, axes, state.name)
    if state.first_shape == state.shape:
        return value
    batch, _, *others = value.dims
    return replace(value, dims=(batch, f"{state.name}_steps", *others))


def _describe_states(network: nodes.Network, axes: Mapping[str, str]) -> Iterator[str]:
    """Yield comment lines about the states and their shapes."""
    given = {
        network_input.name
        for network_input in network.inputs
        if isinstance(network_input, nodes.VectorInput)
    }
    if has_begin(network):
        where = f"given before the first chunk by {network.name}_begin.onnx, whose source is below"
    else:
        where = "zeros before the first chunk"
    yield f"States by name, {where}; each has an output NAME_next:"
    for state in states(network):
        line = (
            f"- {state.name}: ({', '.join(map(str, _state_value(state, axes, state.name).dims))})"
        )
        if state.kind == "mask":
            line += ", true at the real steps, which has no output: it stays as it is"
        elif state.kind == "value":
            line += ", which has no output: it stays as it is"
        elif state.name in given:
            line += ", first the input of this name"
        elif state.first_shape != state.shape:
            line += f", first of {state.first_shape[0]} steps"
        yield line


def _describe_cells(network: nodes.Network) -> Iterator[str]:
    """Yield comment lines with the equations of cells, each with the layers that have it."""
    layers_of = dict[tuple[str, Equations], list[str]]()
    for layer in network.layers:
        if isinstance(layer, nodes.Recurrent) and isinstance(layer.cell, nodes.EquationCell):
            cell = layer.cell.name, layer.cell.equations
            layers_of.setdefault(cell, []).append(layer.name)
    for (name, equations), names in layers_of.items():
        yield f"Equations of {name}, the cell of {listed(names)}:"
        yield from (f"- {line}" if line[0] != " " else line for line in describe(equations, _WIDTH))


def refusals(network: nodes.Network, form: Form) -> tuple[Refusal, ...]:
    """Return a refusal if the arrays are too large for one file, and of some windows.

    In step form, no layer can have the name of an output.
    """
    others = _taken_names(network) if form == "step" else _padded_windows(network)
    return (*_too_large(network), *others)


def _padded_windows(network: nodes.Network) -> Iterator[Refusal]:
    """Yield a refusal of each padding that depends on a length that auto_pad cannot find."""
    for layer in network.layers:
        if not isinstance(layer, nodes.Windowed):
            continue
        window = layer.window
        if not depends_on_length(window, layer.input[0]):
            continue
        # ONNX Runtime refuses the first, and takes negative padding in the second.
        if window.dilation > 1:
            reason = "in ONNX Runtime, no 'auto_pad' has a dilation"
        elif window.stride > window.size:
            reason = "in ONNX Runtime, 'auto_pad' is wrong for a stride longer than the window"
        else:
            continue
        reason = f"{reason}, and padding: same depends on the length; set 'input.length'"
        yield Refusal(layer.name, "padding", reason)


def _too_large(network: nodes.Network) -> Iterator[Refusal]:
    # Not the number of parameters, which has no second biases.
    size = 4 * sum(prod(shape) for _, shape, _ in weights(network))
    if size < _MOST_BYTES:
        return
    largest = max(network.layers, key=count)
    key = "vocabulary" if isinstance(largest, nodes.Embedding) else "units"
    reason = (
        f"the arrays have {size / 2**30:.1f} GiB together, and an ONNX file holds less than 2 GiB"
    )
    yield Refusal(largest.name, key, reason)


def _taken_names(network: nodes.Network) -> Iterator[Refusal]:
    """Yield a refusal of each name that something else has in step form."""
    owners = {after(state.name): state.layer for state in states(network)}
    arrays = {name for name, *_ in weights(network)}
    for name in (*(layer.name for layer in network.layers), *network.ports):
        if owner := owners.get(name):
            reason = f"in step form, the next state of {owner} has this name"
            yield Refusal(name, "name", reason)
    names = [network_input.name for network_input in network.inputs]
    names += [name for name, of in network.results.items() if not is_next_state(of, name)]
    for name in names:
        if owner := owners.get(name):
            reason = f"in step form, its next state has the name {name}, as an input or output has"
            yield Refusal(owner, "name", reason)
    for state in states(network):
        if state.name in owners or {state.name, after(state.name)} & arrays:
            reason = f"in step form, no other value can have the name of its state {state.name}"
            yield Refusal(state.layer, "type", reason)


def stepwise(network: nodes.Network) -> dict[str, str]:
    """Return the layers that run step by step, and the key that no fused operator can honour."""
    recurrent = [layer for layer in network.layers if isinstance(layer, nodes.Recurrent)]
    return {layer.name: reason for layer in recurrent if (reason := stepwise_reason(layer))}


EMITTER = Emitter(
    emit=emit,
    fields=source_fields,
    refusals=refusals,
    stepwise=stepwise,
    begins=has_begin,
)
