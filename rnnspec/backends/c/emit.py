"""IR -> C source: one header in which ``NAME_IMPLEMENTATION`` asks for the functions too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.c.arrays import block_of, stored_arrays
from rnnspec.backends.c.backend import TARGETS
from rnnspec.backends.c.body import Body
from rnnspec.backends.c.layers import Layers
from rnnspec.backends.c.names import HEADERS, layer_names
from rnnspec.backends.contract import Emitter
from rnnspec.errors import Refusal
from rnnspec.ir import cells, nodes, text
from rnnspec.ir.fields import Fields
from rnnspec.ir.forms import State, states
from rnnspec.ir.params import count, counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.backends.c.arrays import Stored
    from rnnspec.backends.c.body import Seen
    from rnnspec.backends.c.layers import Function
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
_COLUMNS = 100
_LONG = re.compile(r"^(?!#| +/\*).{101,}$", re.MULTILINE)
_BLANK = re.compile(r"(?<=\{)\n{2,}|\n{2,}(?= *\})")


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
    """An array of the self-test: the input first, then what each pointer gets."""

    pointer: str
    symbol: str
    number: str
    size: int


@dataclass(frozen=True, slots=True)
class Result:
    """An output of a whole sequence: its pointer, and its sizes as expressions in C."""

    pointer: str
    sizes: tuple[str, ...]


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
    test_steps: int
    tests: tuple[Recorded, ...]
    states: tuple[Field, ...]
    number: str
    step_input: str
    step_output: str
    chunk_input: str
    outputs: tuple[Result, ...]
    output_steps: str
    stride: str
    output_stride: str
    functions: tuple[Function, ...]
    arrays: tuple[Stored, ...]
    body: tuple[str, ...]
    seen: tuple[Seen, ...]
    kernels: tuple[str, ...]
    before_loading: tuple[str, ...] = ()

    @property
    def stepped(self) -> bool:
        """True if the source is in step form."""
        return bool(self.states)

    @property
    def merges(self) -> bool:
        """True if a backward direction is merged into the output of the forward one."""
        return any("merge" in function.parameters for function in self.functions)

    @property
    def width(self) -> int:
        """The width of the longest definition of a constant, without its comment."""
        return max(
            len(f"#define {self.entry}_{constant.name} {constant.value}")
            for constant in self.constants
        )

    def lay_out(self, text: str) -> str:
        """Return the text of the source: long lines go on after a comma or a word of a comment."""
        text = _BLANK.sub("\n", re.sub(r"\n{3,}", "\n\n", text))
        return _LONG.sub(lambda match: "\n".join(_broken(match[0])), text)


def emit(network: nodes.Network, form: Form, options: SourceOptions) -> CSource:
    """Return the source of a network, in which every array is zeros."""
    stepped = form == "step"
    most = options.get("max_steps") or _most_steps(network)
    target = options.get("target", TARGETS[0])
    rounded = "quantize" in options
    names = layer_names(network)
    arrays = tuple(stored_arrays(network, target, rounded=rounded))
    by_path = {place: stored for stored in arrays for place in stored.places}
    layers = Layers(network, by_path, stepped, target, most)
    body = Body(network, names, layers)
    lines = tuple(body.lines())
    fields = tuple(_fields(network, target)) if stepped else ()
    test_steps = min(most, max(_fewest_steps(network), _TEST_STEPS))
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
        test_steps=test_steps,
        tests=tuple(_tests(network, body, test_steps)),
        states=fields,
        number=_number(network),
        step_input="a token" if tokens else _numbers(_features(network)),
        step_output=_numbers(width),
        chunk_input="a token for each step" if tokens else f"steps x {_features(network)} numbers",
        outputs=tuple(_results(network, body)),
        output_steps=_output_steps(network, body),
        stride=_times(_features(network)),
        output_stride=f" + t{_times(width)}" if sequence else "",
        functions=layers.finished(),
        arrays=arrays,
        body=lines,
        seen=tuple(body.seen),
        kernels=tuple(sorted(layers.kernels)),
    )


def _broken(line: str) -> list[str]:
    """Return the lines of one that is too long."""
    code = line.lstrip(" ")
    margin = " " * (len(line) - len(code))
    if code.startswith("/*"):
        pieces, indent = code.replace(" */", "\0*/").split(" "), margin + "   "
    else:
        place = r"(?<=,) " if "," in code else r" (?=\+ )"
        pieces, indent = re.split(place, code), margin + " " * 8
    lines = [margin + pieces[0]]
    for piece in pieces[1:]:
        if len(lines[-1]) + 1 + len(piece) <= _COLUMNS:
            lines[-1] += f" {piece}"
        else:
            lines.append(indent + piece)
    lines[-1] = lines[-1].replace("\0", " ")
    return lines


def _number(network: nodes.Network) -> str:
    """Return the type of an input."""
    return "int32_t" if isinstance(network.input, nodes.TokenInput) else "float"


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


def _tests(network: nodes.Network, body: Body, steps: int) -> Iterator[Recorded]:
    """Yield the arrays of the self-test."""
    start = f"{network.name}_test_"
    yield Recorded("x", f"{start}x", _number(network), steps * _features(network))
    steps_of = _steps_of(network, steps)
    for pointer, layer in body.outputs.items():
        rows = steps_of[layer.name] if len(layer.output) > 1 else 1
        size = rows * nodes.width(layer.output)
        yield Recorded(pointer, f"{start}{pointer}", "float", size)


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


def _results(network: nodes.Network, body: Body) -> Iterator[Result]:
    for pointer, layer in body.outputs.items():
        sizes = [str(nodes.width(layer.output))]
        if len(layer.output) > 1:
            steps = body.steps[layer.name]
            known = steps.isdigit() or steps == "steps"
            sizes.insert(0, steps if known else f"{network.name.upper()}_OUTPUT_STEPS(steps)")
        yield Result(pointer, tuple(sizes))


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
    (size,) = state.shape
    block = block_of(size, target)
    return -(-size // block) * block


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
    stored_as = stored_arrays(network, TARGETS[0])
    arrays = {place: stored for stored in stored_as for place in stored.places}
    refused = any(
        isinstance(layer, nodes.Attention | nodes.Flatten | nodes.WindowPooling | nodes.LastSteps)
        for layer in network.layers
    )
    if refused:
        return
    body = Body(network, names, Layers(network, arrays, stepped=True, target=TARGETS[0], most=1))
    body.lines()
    if 4 * body.floats > _MOST_STACK:
        largest = max(network.layers, key=lambda layer: max(layer.output[-1] or 0, 1))
        reason = (
            f"in step form, a step would take {4 * body.floats:,} bytes of the stack; "
            f"at most {_MOST_STACK:,} are taken"
        )
        yield Refusal(largest.name, "units", reason)


EMITTER = Emitter(
    emit=emit,
    fields=lambda _network, node, form: (
        cells.FIELDS if isinstance(node, nodes.Recurrent) else _FIELDS[form],
    ),
    refusals=refusals,
    longest=lambda options: options.get("max_steps"),
)
