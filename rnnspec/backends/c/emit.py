"""IR -> C source: one header in which ``NAME_IMPLEMENTATION`` asks for the functions too."""

from __future__ import annotations

import re
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Literal, assert_never

from rnnspec.backends.c.arrays import stored_arrays
from rnnspec.backends.c.backend import MOST_IN_TEXT, TARGETS
from rnnspec.backends.c.body import BLOCK, Body, is_by_layer
from rnnspec.backends.c.layers import Layers
from rnnspec.backends.c.names import HEADERS, input_symbols, layer_names
from rnnspec.backends.c.source import (
    CSource,
    Field,
    InputParameter,
    InterfaceConstant,
    OutputParameter,
    OutputSteps,
    Recorded,
)
from rnnspec.backends.c.steps import delays, held_memories, lengths, step_counts
from rnnspec.backends.contract import Emitter
from rnnspec.errors import Refusal, UsageError
from rnnspec.ir import cells, expand, nodes, text
from rnnspec.ir.fields import Fields
from rnnspec.ir.forms import held_values, states, streamed
from rnnspec.ir.params import count, counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rnnspec.backends.c.arrays import Stored
    from rnnspec.backends.c.steps import SharedLength
    from rnnspec.backends.contract import SourceOptions
    from rnnspec.ir.forms import Form

_MOST_PARAMETERS = 2**28
"""Programs address 2 GB of data, unless they are compiled otherwise."""
_TEST_STEPS = 8
"""The steps of the self-test, unless the network takes fewer or more."""
_MOST_STACK = 2**16
"""The bytes that a step may take of the stack."""

_FIELDS = Fields(f"Network.outputs Network.result Network.streams {expand.FIELDS.names}")
"""The fields that the source of each form is written from: all but cells are from recipes."""
_CELL_FIELDS = Fields(
    f"{cells.FIELDS.names} Recurrent.attention StepAttention.asked_as StepAttention.asks "
    "Recurrent.backward Recurrent.initial"
)
"""The fields of recurrent layers, each a function of its own."""


def emit(network: nodes.Network, form: Form, options: SourceOptions) -> CSource:
    """Return the source of a network, in which every array is zeros."""
    stepped = form == "step"
    target = options.get("target", TARGETS[0])
    rounded = "quantize" in options
    arrays = tuple(stored_arrays(network, target, rounded=rounded))
    limits = lengths(network, options.get("max_steps"))
    begin, body, block = _bodies(network, arrays, target, limits, stepped=stepped)
    begin_lines = tuple(begin.lines()) if begin and _is_computed(network) else ()
    block_lines = tuple(block.lines()) if block else ()
    lines = tuple(body.lines())
    layers = body.shared
    test_steps = {
        name: min(length.most, max(length.least, _TEST_STEPS))
        for length in limits
        for name in length.inputs
    }
    symbols = input_symbols(network)
    arguments = {
        network_input.name: _argument(network_input, symbols[network_input.name], limits)
        for network_input in network.inputs
    }
    streams = tuple(
        replace(stream, length=replace(stream.length, symbol="steps")) if stream.length else stream
        for stream in (arguments.pop(name) for name in (network.streams if stepped else ()))
    )
    if begin_lines or not stepped:
        read = {word for line in begin_lines or lines for word in re.findall(r"\w+", line)}
        unused = tuple(
            f"(void){argument.symbol}; /* its steps count, not what they hold */"
            for argument in arguments.values()
            if argument.symbol not in read
        )
        begin_lines, lines = (
            ((*unused, *begin_lines), lines) if stepped else ((), (*unused, *lines))
        )
    inputs = (*arguments.values(), *streams)
    results = tuple(_results(network, body))
    whole = begin if begin and not begin.stepped else None
    return CSource(
        entry=network.name,
        title=text.title(network),
        about=tuple(_about(network, stepped=stepped)),
        constants=tuple(_constants(network, whole or body, stepped=stepped)),
        target=target,
        rounded=rounded,
        named=not network.takes_one_array,
        test_steps=test_steps,
        tests=tuple(_tests(inputs, results, network, body, test_steps)),
        stepped=stepped,
        states=tuple(_fields(network, limits)) if stepped else (),
        delay=max(body.delays.values(), default=0),
        inputs=tuple(arguments.values()),
        streams=streams,
        workspace=whole.floats if whole else 0,
        stack=max(part.floats for part in (begin, body, block) if part) if stepped else 0,
        outputs=results,
        output_steps=tuple(_output_steps(network, body)),
        functions=layers.finished(),
        arrays=arrays,
        begin=begin_lines,
        body=lines,
        block=block_lines,
        block_steps=BLOCK,
        seen=tuple(body.seen),
        kernels=tuple(sorted(layers.kernels)),
        widths=tuple(sorted(layers.widths, reverse=True)),
        masks=layers.masks,
        is_blob=options.get("weights") == "blob",
    )


def _bodies(
    network: nodes.Network,
    arrays: tuple[Stored, ...],
    target: str,
    limits: tuple[SharedLength, ...],
    *,
    stepped: bool,
) -> tuple[Body | None, Body, Body | None]:
    """Return the functions: of whole sequences, or what begins one, a step, and several steps."""
    names = layer_names(network)
    by_path = {place: stored for stored in arrays for place in stored.places}
    if not stepped:
        layers = Layers(network, by_path, target=target, stepped=False, whole=True)
        return None, Body(network, names, layers, limits), None
    streams = streamed(network)
    by_layer = target != "cortex-m" and is_by_layer(network)
    if by_layer:
        scratch = Layers(network, by_path, target=target, stepped=False, whole=True)
        block = Body(network, names, scratch, limits, "block")
        block.lines()
        by_layer = 4 * block.floats <= _MOST_STACK
    whole = by_layer or any(
        isinstance(node, nodes.SequenceInput) or len(getattr(node, "output", ())) > 1
        for node in (*network.inputs, *network.layers)
        if node.name not in streams
    )
    first = Layers(network, by_path, target=target, stepped=not whole, whole=whole)
    # The functions of both are in one file.
    parts: tuple[Literal["begin", "step", "block"], ...] = ("begin", "step", "block")

    def bodies() -> tuple[Body, Body, Body]:
        layers = (replace(first), replace(first, stepped=True), replace(first))
        begin, step, block = (
            Body(network, names, own, limits, part) for own, part in zip(layers, parts, strict=True)
        )
        return begin, step, block

    if not by_layer:
        return (*bodies()[:2], None)
    # A function has the parameters that any call needs, also those of a part that comes later.
    for part in bodies()[0 if _is_computed(network) else 1 :]:
        part.lines()
    return bodies()


def _is_computed(network: nodes.Network) -> bool:
    """Return whether anything is known before the first chunk, but for zeros."""
    streams = streamed(network)
    inputs_and_layers = (*network.inputs, *network.layers)
    return bool(network.learned) or any(layer.name not in streams for layer in inputs_and_layers)


def _argument(
    network_input: nodes.Input, symbol: str, limits: tuple[SharedLength, ...]
) -> InputParameter:
    """Return the parameter of an input."""
    name = network_input.name
    length = next((length for length in limits if name in length.inputs), None)
    match network_input:
        case nodes.TokenInput(vocabulary=vocabulary):
            return InputParameter(name, symbol, "int32_t", 1, length, vocabulary)
        case nodes.NumericInput(features=features) | nodes.VectorInput(features=features):
            return InputParameter(name, symbol, "float", features, length, None)
        case nodes.LabelInput(vocabulary=vocabulary):
            return InputParameter(name, symbol, "int32_t", 1, None, vocabulary, label=True)
        case _:
            assert_never(network_input)


def _about(network: nodes.Network, *, stepped: bool) -> Iterator[str]:
    # Imported here because commands that only ask for refusals need no templates.
    from rnnspec.source.render import comment

    free = (line.removeprefix("# ") for line in comment(text.comment(network)).splitlines())
    for line in (*free, *text.signature(network, chunks=stepped)):
        yield line.replace("*/", "* /").replace("/*", "/ *")


def _constants(network: nodes.Network, body: Body, *, stepped: bool) -> Iterator[InterfaceConstant]:
    """Yield the constants; ``body`` is the function that takes whole sequences, if one does."""
    sequences = any(
        isinstance(network_input, nodes.SequenceInput) for network_input in network.inputs
    )
    tokens = [
        kind
        for kind, type_ in (("token", nodes.TokenInput), ("label", nodes.LabelInput))
        if any(isinstance(network_input, type_) for network_input in network.inputs)
    ]
    yield InterfaceConstant("OK", 0, "done")
    if sequences:
        yield InterfaceConstant("BAD_LENGTH", 1, "a status: too few or too many steps")
    if tokens:
        yield InterfaceConstant("BAD_TOKEN", 2, f"a status: a {' or '.join(tokens)} out of range")
    waits = delays(network) if stepped else {}
    if any(waits.values()):
        yield InterfaceConstant("NO_OUTPUT", 3, "a status: an output needs more steps")
    for network_input in network.inputs:
        yield _size_of(network_input, network.prefix(network_input.name, "_").upper())
    if not body.stepped:
        for length in body.lengths:
            yield InterfaceConstant(
                f"{length.prefix}MIN_STEPS", length.least, "steps of the shortest sequence"
            )
            yield InterfaceConstant(
                f"{length.prefix}MAX_STEPS", length.most, "steps of the longest sequence"
            )
        yield InterfaceConstant("WORKSPACE", body.floats, "floats that a call computes with")
    for name, layer in network.results.items():
        prefix = f"{name.upper()}_" if name else ""
        yield InterfaceConstant(
            f"{prefix}OUTPUTS", nodes.width(layer.output), "numbers of an output"
        )
        if delay := waits.get(layer.name, 0):
            yield InterfaceConstant(
                f"{prefix}DELAY", delay, "steps of a sequence before the first output"
            )


def _size_of(network_input: nodes.Input, prefix: str) -> InterfaceConstant:
    """Return the constant with the size of an input."""
    match network_input:
        case nodes.TokenInput(vocabulary=vocabulary):
            return InterfaceConstant(
                f"{prefix}VOCABULARY", vocabulary, "tokens are from 0 to one less"
            )
        case nodes.LabelInput(vocabulary=vocabulary):
            return InterfaceConstant(
                f"{prefix}VOCABULARY", vocabulary, "labels are from 0 to one less"
            )
        case nodes.NumericInput(features=features):
            return InterfaceConstant(f"{prefix}FEATURES", features, "numbers of a step")
        case nodes.VectorInput(features=features):
            return InterfaceConstant(f"{prefix}FEATURES", features, "numbers of a sequence")
        case _:
            assert_never(network_input)


def _tests(
    arguments: tuple[InputParameter, ...],
    results: tuple[OutputParameter, ...],
    network: nodes.Network,
    body: Body,
    steps: Mapping[str, int],
) -> Iterator[Recorded]:
    """Yield the arrays of the self-test."""
    start = f"{network.name}_test_"
    for argument in arguments:
        size = steps.get(argument.name, 1) * argument.size
        yield Recorded(argument.symbol, f"{start}{argument.symbol}", argument.number, size)
    steps_of = _steps_of(network, steps)
    for result in results:
        layer = body.outputs[result.pointer]
        rows = steps_of[layer.name] if result.is_sequence else 1
        yield Recorded(result.pointer, f"{start}{result.pointer}", "float", rows * result.width)


def _steps_of(network: nodes.Network, steps: Mapping[str, int]) -> dict[str, int]:
    """Return the number of steps of each input and layer, given those of the inputs."""
    steps_of = dict[str, int]()
    for name, known in step_counts(network).items():
        match known:
            case int():
                steps_of[name] = known
            case (of, first, every):
                steps_of[name] = -(-(steps[of] - first) // every)
    return steps_of


def _output_steps(network: nodes.Network, body: Body) -> Iterator[OutputSteps]:
    """Yield the macros of outputs whose steps are others than those of an input."""
    names = dict[str, list[str]]()
    for name, layer in network.results.items():
        if len(layer.output) > 1 and layer.name in body.expressions:
            names.setdefault(body.expressions[layer.name], []).append(name)
    for value, outputs in names.items():
        layers = tuple(network.results[name].name for name in outputs)
        count = body.counts[layers[0]]
        length = body.lengths[0] if isinstance(count, int) else body.length_of[count[0]]
        prefix = f"{outputs[0].upper()}_" if len(names) > 1 else ""
        yield OutputSteps(f"{prefix}OUTPUT_STEPS", length.symbol, value, layers)


def _results(network: nodes.Network, body: Body) -> Iterator[OutputParameter]:
    upper = network.name.upper()
    macros = {
        name: f"{upper}_{macro.name}({macro.parameter})"
        for macro in _output_steps(network, body)
        for name in macro.layers
    }
    for name, (pointer, layer) in zip(network.results, body.outputs.items(), strict=True):
        sizes = [str(nodes.width(layer.output))]
        if len(layer.output) > 1:
            sizes.insert(0, macros.get(layer.name, body.steps[layer.name]))
        prefix = f"{name.upper()}_" if name else ""
        yield OutputParameter(
            pointer,
            f"{upper}_{prefix}OUTPUTS",
            nodes.width(layer.output),
            tuple(sizes),
            body.delays.get(layer.name, 0),
            f"{upper}_{prefix}DELAY",
        )


def _fields(network: nodes.Network, limits: tuple[SharedLength, ...]) -> Iterator[Field]:
    of_layer = {layer.name: layer for layer in network.layers}
    held = {state.name for state in held_values(network)}
    memories = held_memories(network)
    most = _steps_of(network, {name: limit.most for limit in limits for name in limit.inputs})
    for state in states(network):
        layer = None if state.name in held else of_layer[state.layer]
        of_steps = most.get(state.layer, 1)
        size = prod(of_steps if size is None else size for size in state.shape)
        number = "unsigned char" if state.name in held and state.kind == "mask" else "float"
        steps, shape = memories.get(state.layer, "") if layer is None else "", state.shape
        # There may be fewer than the spec says.
        shape = (None, *shape[1:]) if steps else shape
        yield Field(state.name, size, shape, state.fewer or shape, number, steps)


def refusals(network: nodes.Network, form: Form) -> tuple[Refusal, ...]:
    """Return every setting that the source cannot say."""
    found = [*_clashes(network), *_open_sums(network)]
    total = counts(network).total
    if total > _MOST_PARAMETERS:
        largest = max(network.layers, key=count)
        key = "vocabulary" if isinstance(largest, nodes.Embedding) else "units"
        reason = (
            f"{total:,} parameters are too many for a program; at most {_MOST_PARAMETERS:,} fit"
        )
        found.append(Refusal(largest.name, key, reason))
    elif form == "step":
        found.extend(_too_large_for_stack(network))
    return tuple(found)


def _clashes(network: nodes.Network) -> Iterator[Refusal]:
    """Yield a refusal of a name that cannot be another one: files and outputs are the user's."""
    if network.name in HEADERS:
        reason = "in C, a header of the standard library has this name"
        yield Refusal(network.name, "name", reason)
    if network.outputs and re.fullmatch(r"y(?:_\w+)?", network.name):
        yield Refusal(network.name, "name", "in C, the outputs have names that begin so")


def _open_sums(network: nodes.Network) -> Iterator[Refusal]:
    """Yield a refusal of each sum of numbers of steps that no macro of one of them gives."""
    for layer in network.layers:
        if isinstance(layer, nodes.Append):
            of_any = [shape for shape in layer.inputs if len(shape) > 1 and shape[0] is None]
            if len(of_any) > 1:
                reason = "in C, only one of them may have any number of steps: write a length"
                yield Refusal(layer.name, "of", reason)


def _too_large_for_stack(network: nodes.Network) -> Iterator[Refusal]:
    arrays = tuple(stored_arrays(network, TARGETS[0]))
    begin, body, _ = _bodies(network, arrays, TARGETS[0], lengths(network), stepped=True)
    for part in (begin, body):
        if part is None or not part.stepped:
            continue
        part.lines()
        if 4 * part.floats > _MOST_STACK:
            largest = max(network.layers, key=lambda layer: max(layer.output[-1] or 0, 1))
            reason = (
                f"in step form, a step would take {4 * part.floats:,} bytes of the stack; "
                f"at most {_MOST_STACK:,} are taken"
            )
            yield Refusal(largest.name, "units", reason)


def _complete(network: nodes.Network, options: SourceOptions) -> SourceOptions:
    """Return the options of files: large networks have their arrays beside the source.

    Raises:
        UsageError: there would be no such file, or it cannot be beside the source.
    """
    if options.get("weights") == "blob" and not counts(network).total:
        raise UsageError("weights: expected text for a network without arrays, received blob")
    if "single_header" in options:
        if options.get("weights") == "blob":
            raise UsageError("weights: expected text for a single header, received blob")
        return options
    if "weights" in options or counts(network).total <= MOST_IN_TEXT:
        return options
    return {**options, "weights": "blob"}


EMITTER = Emitter(
    complete=_complete,
    emit=emit,
    fields=lambda _network, node, _form: (
        _CELL_FIELDS if isinstance(node, nodes.Recurrent) else _FIELDS,
    ),
    refusals=refusals,
    longest=lambda options: options.get("max_steps"),
)
