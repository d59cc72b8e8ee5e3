"""The source of a network in C, as the template lays it out, and its interface."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rnnspec.backends.c.arrays import Stored
    from rnnspec.backends.c.body import Seen
    from rnnspec.backends.c.layers import Function
    from rnnspec.backends.c.steps import SharedLength
    from rnnspec.ir.nodes import Shape

_COLUMNS = 100
_LONG = re.compile(r'^(?!#| +/\*)[^"\n]{101,}$', re.MULTILINE)
_BLANK = re.compile(r"(?<=\{)\n{2,}|\n{2,}(?= *\})")


@dataclass(frozen=True, slots=True)
class Limits:
    """The most bytes of a statement, and of all stack frames beside what a step computes with.

    They are above what was measured of the gallery and of random specs.
    """

    compiler: str
    statement: int
    frames: int


_LIMITS = {
    "portable": Limits("gcc -O3, x86-64", 400, 4096),
    "avx2": Limits("gcc -O3 -mavx2 -mfma", 400, 3072),
    "avx512": Limits("gcc -O3 -march=x86-64-v4", 400, 6144),
    "cortex-m": Limits("gcc -O2, Cortex-M4F", 28, 640),
}


@dataclass(frozen=True, slots=True)
class BlobArray:
    """An array in the file beside the source, in bytes from its beginning."""

    number: str
    symbol: str
    at: int
    size: int
    comment: str

    @property
    def bytes(self) -> int:
        """The bytes that it takes."""
        return self.size * (1 if self.number == "int8_t" else 4)

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.at + self.bytes

    def place(self, entry: str) -> str:
        """Return its address: any bytes may be read as int8."""
        if self.number == "int8_t":
            return f"((const int8_t *){entry}_blob + {self.at})"
        return f"({entry}_blob + {self.at // 4})"


@dataclass(frozen=True, slots=True)
class Blob:
    """The file beside the source: arrays that each begin where a cache line does, and its size."""

    arrays: tuple[BlobArray, ...]
    size: int

    @staticmethod
    def of(arrays: Iterable[Stored]) -> Blob:
        """Place arrays in their order."""
        places, at = list[BlobArray](), 0
        for stored in arrays:
            for symbol, size in stored.sizes.items():
                number = stored.number if symbol == stored.symbol else "float"
                comment = stored.comment if symbol == stored.symbol else ""
                places.append(BlobArray(number, symbol, at, size, comment))
                at = -(-places[-1].end // _LINE) * _LINE
        return Blob(tuple(places), at)


_LINE = 64
"""The bytes of a cache line, and of the widest vector registers."""


@dataclass(frozen=True, slots=True)
class InterfaceConstant:
    """A constant of the interface, with its comment."""

    name: str
    value: int
    comment: str


@dataclass(frozen=True, slots=True)
class Field:
    """A state in the structure of states.

    ``size`` is enough for the largest number of steps, if it may have fewer; ``steps`` is then the
    member that has their number, and the shape begins with None.
    """

    name: str
    size: int
    shape: Shape
    first_shape: Shape
    number: str = "float"
    steps: str = ""

    @property
    def about(self) -> str:
        """What the comment beside it says."""
        text = ", ".join(str(size or self.steps) for size in self.shape)
        return f"({text}){', 0 at padding' if self.number != 'float' else ''}"

    @property
    def most(self) -> int:
        """The largest number of steps, if it may have fewer."""
        return self.size // prod(size or 1 for size in self.shape)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the structure of states: an array, or a number if its size is 0."""

    name: str
    number: str
    size: int
    about: str

    @property
    def declaration(self) -> str:
        """Its declaration."""
        return f"{self.number} {self.name}{f'[{self.size}]' if self.size else ''}"


@dataclass(frozen=True, slots=True)
class InputParameter:
    """An input as a parameter.

    ``size`` is the number of elements of a step, or of a vector. ``length`` is the number of steps,
    None of a vector. A ``label`` is passed by value.
    """

    name: str
    symbol: str
    number: str
    size: int
    length: SharedLength | None
    vocabulary: int | None
    label: bool = False

    @property
    def declaration(self) -> str:
        """The declaration of the parameter."""
        return f"int32_t {self.symbol}" if self.label else f"const {self.number} *{self.symbol}"

    @property
    def of_step(self) -> str:
        """What there is at each step, or of the whole sequence."""
        if self.vocabulary is None:
            return _numbers(self.size)
        return "a label" if self.label else "a token"

    @property
    def about(self) -> str:
        """What there is of all steps."""
        if self.length is None:
            return self.of_step
        steps = self.length.symbol
        if self.vocabulary is None:
            return f"{steps} x {self.size} numbers"
        return f"a token for each {'step' if steps == 'steps' else f'of {steps} steps'}"


@dataclass(frozen=True, slots=True)
class Recorded:
    """An array of the self-test: the inputs first, then what each pointer gets."""

    pointer: str
    symbol: str
    number: str
    size: int


@dataclass(frozen=True, slots=True)
class OutputParameter:
    """An output: its pointer, the constant with its size, and its sizes as expressions in C.

    ``delay`` is the number of steps before it, in step form.
    """

    pointer: str
    constant: str
    width: int
    sizes: tuple[str, ...]
    delay: int
    delay_constant: str

    @property
    def is_sequence(self) -> bool:
        """True if it has time steps."""
        return len(self.sizes) > 1

    @property
    def of_step(self) -> str:
        """What a step gives."""
        return _numbers(self.width)

    @property
    def of_chunk(self) -> str:
        """What several steps give."""
        if self.delay and self.is_sequence:
            return f"{self.of_step} for each step after the first {self.delay_constant}"
        return f"{'steps x ' if self.is_sequence else ''}{self.of_step}"

    @property
    def row_of_chunk(self) -> str:
        """Where a step of a chunk puts it."""
        if not self.is_sequence:
            return self.pointer
        times = f" * {self.width}" if self.width > 1 else ""
        if not self.delay:
            return f"{self.pointer} + t{times}"
        waited = f"(t > wait{self.delay} ? t - wait{self.delay} : 0)"
        return f"{self.pointer} + {waited}{times}"


@dataclass(frozen=True, slots=True)
class OutputSteps:
    """A macro for the steps of the outputs of layers, in those of an input."""

    name: str
    parameter: str
    value: str
    layers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CSource:
    """The source of a network.

    ``inputs`` are those of the only function, in step form of the one that begins a sequence;
    ``streams`` are those that come in chunks.
    """

    template: str = "c/model.h.j2"
    entry: str
    title: str
    about: tuple[str, ...]
    constants: tuple[InterfaceConstant, ...]
    target: str
    rounded: bool
    named: bool
    test_steps: Mapping[str, int]
    tests: tuple[Recorded, ...]
    stepped: bool
    states: tuple[Field, ...]
    delay: int
    inputs: tuple[InputParameter, ...]
    streams: tuple[InputParameter, ...]
    workspace: int
    stack: int
    outputs: tuple[OutputParameter, ...]
    output_steps: tuple[OutputSteps, ...]
    functions: tuple[Function, ...]
    arrays: tuple[Stored, ...]
    begin: tuple[str, ...]
    body: tuple[str, ...]
    block: tuple[str, ...]
    """The body of a function of a few steps, layer by layer, if there is one in step form."""
    block_steps: int
    """The most steps that it takes."""
    seen: tuple[Seen, ...]
    kernels: tuple[str, ...]
    widths: tuple[int, ...]
    """The widths of the groups of columns of all matrices, the widest first."""
    masks: bool
    is_blob: bool
    before_loading: tuple[str, ...] = ()

    @property
    def calls(self) -> str:
        """The templates of the functions that a program calls."""
        return "chunks" if self.stepped else "run"

    @property
    def memory_of_calls(self) -> str:
        """What a program gives each call to write to, beside the outputs."""
        return "state" if self.stepped else "workspace"

    @property
    def all_inputs(self) -> tuple[InputParameter, ...]:
        """All inputs, those that come in chunks last."""
        return (*self.inputs, *self.streams)

    @property
    def stream_declarations(self) -> str:
        """The declarations of the inputs that come in chunks."""
        return ", ".join(stream.declaration for stream in self.streams)

    @property
    def is_aligned(self) -> bool:
        """True if arrays begin where cache lines do; a Cortex-M has none that matter."""
        return self.target != "cortex-m"

    @property
    def lengths(self) -> tuple[SharedLength, ...]:
        """The numbers of steps that are parameters, in their order."""
        lengths = (argument.length for argument in self.inputs)
        return tuple(dict.fromkeys(length for length in lengths if length is not None))

    @property
    def parameters(self) -> tuple[str, ...]:
        """The declarations of the inputs, each number of steps behind the last that has it."""
        parameters = list[str]()
        for argument in self.inputs:
            parameters.append(argument.declaration)
            if argument.length and argument.length.inputs[-1] == argument.name:
                parameters.append(f"size_t {argument.length.symbol}")
        return tuple(parameters)

    @property
    def test_arguments(self) -> tuple[str, ...]:
        """What the self-test passes for the parameters."""
        arguments = list[str]()
        for argument in self.inputs:
            symbol = f"{self.entry}_test_{argument.symbol}"
            arguments.append(f"{symbol}[0]" if argument.label else symbol)
            if argument.length and argument.length.inputs[-1] == argument.name:
                arguments.append(str(self.test_steps[argument.name]))
        return tuple(arguments)

    @property
    def members(self) -> tuple[Member, ...]:
        """The members of the structure of states, in order."""
        members = list[Member]()
        for state in self.states:
            members.append(Member(state.name, state.number, state.size, state.about))
            counts = {member.name for member in members}
            if state.steps and state.steps not in counts:
                members.append(Member(state.steps, "size_t", 0, f"at most {state.most}"))
        if self.delay:
            about = f"taken so far, at most {self.delay}"
            members.append(Member("steps", "float", 0, about))
        return tuple(members)

    @property
    def begins(self) -> bool:
        """True if a sequence begins with a call that takes something."""
        return bool(self.inputs or self.workspace)

    @property
    def delays(self) -> tuple[int, ...]:
        """The numbers of steps before the first rows of outputs."""
        delays = (output.delay for output in self.outputs if output.is_sequence and output.delay)
        return tuple(dict.fromkeys(delays))

    @property
    def merges(self) -> bool:
        """True if a backward direction is merged into the output of the forward one."""
        return any("merge" in function.parameters for function in self.functions)

    @property
    def attends(self) -> bool:
        """True if a layer attends to a memory."""
        return any("memory" in function.parameters for function in self.functions)

    @property
    def blob(self) -> Blob:
        """The file beside the source."""
        return Blob.of(self.arrays)

    @property
    def checksum(self) -> str:
        """The symbol of the checksum of the file beside the source."""
        return f"{self.entry}_blob_checksum"

    def memory(self, implementation: str) -> tuple[str, ...]:
        """Return lines on the memory that a program needs, given the text of the functions."""
        limits = _LIMITS[self.target]
        numbers = [
            size * (1 if array.rounded and symbol == array.symbol else 4)
            for array in self.arrays
            for symbol, size in array.sizes.items()
        ]
        line = _LINE if self.is_aligned else 1
        sizes = [-(-size // line) * line for size in numbers]
        tests = sum(4 * recorded.size for recorded in self.tests)
        declared = len(self.tests) + (0 if self.is_blob else len(sizes))
        code = limits.statement * (implementation.count(";") - declared)
        state = f", and {self.state_bytes:,} for a state" if self.stepped else ""
        stack = 4 * self.stack + limits.frames
        bounds = f"at most {-(-code // 100) * 100:,} bytes, and {stack:,} of the stack"
        return (
            f"Memory: {sum(sizes):,} bytes of arrays, {tests:,} for the self-test{state}.",
            f"Code: {bounds}, without libraries ({limits.compiler}).",
        )

    @property
    def state_bytes(self) -> int:
        """The size of the structure of states with pointers of 64 bits: others are no larger."""
        size, widest = 0, 1
        for member in self.members:
            width = {"float": 4, "size_t": 8}.get(member.number, 1)
            size = -(-size // width) * width + width * max(member.size, 1)
            widest = max(widest, width)
        return -(-size // widest) * widest

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


def _numbers(count: int) -> str:
    return f"{count} number{'s' if count > 1 else ''}"
