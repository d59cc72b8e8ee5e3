"""IR -> C source: one header in which ``NAME_IMPLEMENTATION`` asks for the functions too."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import chain
from math import prod
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.c.arrays import block_of, stored_arrays
from rnnspec.backends.c.backend import TARGETS
from rnnspec.backends.c.body import Body
from rnnspec.backends.c.layers import Function, Layers
from rnnspec.backends.c.linebreaks import break_lines
from rnnspec.backends.c.names import HEADERS, layer_names
from rnnspec.backends.contract import Emitter
from rnnspec.errors import Refusal
from rnnspec.ir import nodes, text
from rnnspec.ir.fields import Fields
from rnnspec.ir.forms import State, states
from rnnspec.ir.params import count, counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnspec.backends.c.arrays import Stored
    from rnnspec.backends.contract import SourceOptions
    from rnnspec.ir.forms import Form

MOST_STEPS = 512
"""The longest sequence of a network of any length, unless it needs more or another is asked for."""
_MOST_PARAMETERS = 2**23
"""Each takes about 12 characters of source, which the compiler reads into memory."""
_TEST_STEPS = 8
"""The steps of the self-test, unless the network takes fewer or more."""
_MOST_STACK = 2**16
"""The bytes that a step may take of the stack."""


_FIELDS: dict[Form, Fields] = {
    "inference": Fields("Network.outputs Node.source Pooling.backward Dense.tied"),
    "step": Fields("Network.outputs Node.source Pooling.backward Dense.tied"),
}
"""The fields that the source of each form is written from."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant of the interface, with its comment."""

    name: str
    value: int
    comment: str


@dataclass(frozen=True, slots=True)
class Field:
    """A state in the structure of states, filled up to whole blocks of units."""

    name: str
    size: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """An array of the self-test: the input of a number of steps first, then the outputs."""

    name: str
    size: int
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CSource:
    """The source of a network."""

    template: str = "c/model.h.j2"
    entry: str
    title: str
    about: tuple[str, ...]
    constants: tuple[Constant, ...]
    target: str
    rounded: bool
    tests: tuple[Recorded, ...]
    states: tuple[Field, ...]
    number: str
    step_input: str
    step_output: str
    chunk_input: str
    output: tuple[str, ...]
    output_steps: str
    outputs: str
    pointers: str
    stride: str
    output_stride: str
    functions: tuple[Function, ...]
    arrays: tuple[Stored, ...]
    body: tuple[str, ...]
    kernels: tuple[str, ...]
    before_loading: tuple[str, ...] = ()

    @property
    def mathematics(self) -> bool:
        """True if the source needs the library of mathematical functions."""
        return "sqrtf" in self.kernels

    def lay_out(self, text: str) -> str:
        """Return the text of the source with lines that are not too long."""
        return break_lines(text)


def emit(network: nodes.Network, form: Form, options: SourceOptions) -> CSource:
    """Return the source of a network, in which every array is zeros."""
    stepped = form == "step"
    most = options.get("max_steps") or _most_steps(network)
    target = options.get("target", TARGETS[0])
    rounded = "quantize" in options
    names = layer_names(network)
    arrays = tuple(stored_arrays(network, target, rounded=rounded))
    by_path = {(stored.layer, stored.path): stored for stored in arrays}
    layers = Layers(network, names, by_path, stepped, most)
    functions = {layer.name: list(layers.functions(layer)) for layer in network.layers}
    body = Body(network, names, functions, most, stepped=stepped)
    lines = tuple(body.lines())
    every = tuple(chain.from_iterable(functions.values()))
    fields = tuple(_fields(network, target)) if stepped else ()
    tokens = isinstance(network.input, nodes.TokenInput)
    width = nodes.width(network.layers[-1].output)
    sequence = len(network.layers[-1].output) > 1
    return CSource(
        entry=network.name,
        title=text.title(network),
        about=tuple(_about(network, stepped=stepped)),
        constants=tuple(_constants(network, most, body.floats, stepped=stepped)),
        target=target,
        rounded=rounded,
        tests=tuple(_tests(network, body, most, stepped=stepped)),
        states=fields,
        number="int32_t" if tokens else "float",
        step_input="a token" if tokens else _numbers(_features(network)),
        step_output=_numbers(width),
        chunk_input="a token for each step" if tokens else f"steps x {_features(network)} numbers",
        output=tuple(_output_lines(network, body)),
        output_steps=_output_steps(network, body),
        pointers=", ".join(body.outputs),
        outputs=", ".join(f"float *{pointer}" for pointer in body.outputs),
        stride=_times(_features(network)),
        output_stride=f" + t{_times(width)}" if sequence else "",
        functions=tuple(_signed(function, network.name) for function in every),
        arrays=arrays,
        body=lines,
        kernels=tuple(sorted(_kernels(every))),
    )


def _kernels(functions: Sequence[Function]) -> set[str]:
    """Return the names of the shared functions that those of layers call."""
    products = {product for function in functions for product in function.products}
    names = {name for function in functions for name in function.kernels}
    return names | {f"{how}_{gates}x{block}" for how, gates, block in products}


def _signed(function: Function, entry: str) -> Function:
    return replace(function, signature=function.signature.replace("STATE", f"{entry}_state *state"))


def _features(network: nodes.Network) -> int:
    return network.input.features if isinstance(network.input, nodes.NumericInput) else 1


def _numbers(count: int) -> str:
    return f"{count} number{'s' if count > 1 else ''}"


def _times(count: int) -> str:
    return f" * {count}" if count > 1 else ""


def _most_steps(network: nodes.Network) -> int:
    # Several times the fewest: comparisons run longer sequences too.
    return network.input.steps or max(MOST_STEPS, 4 * nodes.least_steps(network))


def _about(network: nodes.Network, *, stepped: bool) -> Iterator[str]:
    # Imported here because commands that only ask for refusals need no templates.
    from rnnspec.source.render import comment

    free = (line.removeprefix("# ") for line in comment(text.comment(network)).splitlines())
    for line in (*free, *text.signature(network, chunks=stepped)):
        yield line.replace("*/", "* /").replace("/*", "/ *")


def _constants(
    network: nodes.Network, most: int, floats: int, *, stepped: bool
) -> Iterator[Constant]:
    yield Constant("OK", 0, "done")
    yield Constant("BAD_LENGTH", 1, "a status: too few or too many steps")
    match network.input:
        case nodes.TokenInput(vocabulary=vocabulary):
            yield Constant("BAD_TOKEN", 2, "a status: a token out of range")
            yield Constant("VOCABULARY", vocabulary, "tokens are from 0 to one less")
        case nodes.NumericInput(features=features):
            yield Constant("FEATURES", features, "numbers of a step")
        case _:
            assert_never(network.input)
    if not stepped:
        yield Constant("MIN_STEPS", _fewest_steps(network), "steps of the shortest sequence")
        yield Constant("MAX_STEPS", most, "steps of the longest sequence")
        yield Constant("WORKSPACE", floats, "floats that a call computes with")
    for name, layer in network.results.items():
        prefix = f"{name.upper()}_" if name else ""
        yield Constant(f"{prefix}OUTPUTS", nodes.width(layer.output), "numbers of an output")


def _tests(network: nodes.Network, body: Body, most: int, *, stepped: bool) -> Iterator[Recorded]:
    """Yield the arrays of the self-test."""
    steps = min(most, max(_fewest_steps(network), _TEST_STEPS))
    yield Recorded("x", steps * _features(network), steps)
    steps_of = _steps_of(network, steps)
    for pointer, layer in body.outputs.items():
        rows = steps_of[layer.name] if len(layer.output) > 1 else 1
        yield Recorded(pointer, rows * nodes.width(layer.output), steps if stepped else rows)


def _steps_of(network: nodes.Network, steps: int) -> dict[str, int]:
    """Return the number of steps of the output of each layer, given those of the input."""
    of_layer = {nodes.INPUT: steps}
    for layer, (source, *_) in zip(network.layers, nodes.sources(network).values(), strict=True):
        before = of_layer[source]
        match layer:
            case nodes.Repeat(steps=count) | nodes.LastSteps(count=count):
                of_layer[layer.name] = count
            case nodes.Conv(window=window) | nodes.WindowPooling(window=window):
                of_layer[layer.name] = window.count(before) or 0
            case _:
                of_layer[layer.name] = before
    return of_layer


def _fewest_steps(network: nodes.Network) -> int:
    exact = any(isinstance(layer, nodes.Flatten) for layer in network.layers)
    return network.input.steps if exact and network.input.steps else nodes.least_steps(network)


def _output_lines(network: nodes.Network, body: Body) -> Iterator[str]:
    for name, layer in network.results.items():
        pointer, width = f"y_{name}" if name else "y", nodes.width(layer.output)
        sizes = [str(width)]
        if len(layer.output) > 1:
            steps = body.steps[layer.name]
            known = steps.isdigit() or steps == "steps"
            sizes.insert(0, steps if known else f"{network.name.upper()}_OUTPUT_STEPS(steps)")
        yield f"{pointer} is {' x '.join(sizes)} number{'' if sizes == ['1'] else 's'}."


def _output_steps(network: nodes.Network, body: Body) -> str:
    """Return the number of steps of an output in those of the input, empty if it is no other."""
    for layer in network.results.values():
        if len(layer.output) > 1 and layer.name in body.expressions:
            return body.expressions[layer.name]
    return ""


def _fields(network: nodes.Network, target: str) -> Iterator[Field]:
    of_layer = {layer.name: layer for layer in network.layers}
    for state in states(network):
        yield Field(state.name, _padded(state, of_layer[state.layer], target), state.shape)


def _padded(state: State, layer: nodes.Layer, target: str) -> int:
    if not isinstance(layer, nodes.Recurrent):
        return prod(state.shape)
    block = block_of(layer.units, target)
    return -(-layer.units // block) * block


def refusals(network: nodes.Network, form: Form) -> tuple[Refusal, ...]:
    """Return every setting that the source cannot say."""
    found = list(_clashes(network))
    total = counts(network).total
    if total > _MOST_PARAMETERS:
        largest = max(network.layers, key=count)
        key = "vocabulary" if isinstance(largest, nodes.Embedding) else "units"
        reason = f"{total:,} parameters are too many for source; at most {_MOST_PARAMETERS:,} fit"
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


def _too_large_for_stack(network: nodes.Network) -> Iterator[Refusal]:
    names = layer_names(network)
    arrays = {(stored.layer, stored.path): stored for stored in stored_arrays(network, "portable")}
    layers = Layers(network, names, arrays, stepped=True, most=1)
    refused = any(
        isinstance(layer, nodes.Attention | nodes.Flatten | nodes.WindowPooling | nodes.LastSteps)
        for layer in network.layers
    )
    if refused:
        return
    functions = {layer.name: list(layers.functions(layer)) for layer in network.layers}
    body = Body(network, names, functions, 1, stepped=True)
    list(body.lines())
    if 4 * body.floats > _MOST_STACK:
        largest = max(network.layers, key=lambda layer: max(layer.output[-1] or 0, 1))
        reason = (
            f"in step form, a step would take {4 * body.floats:,} bytes of the stack; "
            f"at most {_MOST_STACK:,} are taken"
        )
        yield Refusal(largest.name, "units", reason)


EMITTER = Emitter(
    emit=emit,
    fields=lambda _network, _node, form: (_FIELDS[form],),
    refusals=refusals,
    longest=lambda options: options.get("max_steps"),
)
