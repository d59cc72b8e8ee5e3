"""Names and literals in C, where parameters, variables, functions and arrays share a name space.

No function has the name of an array.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING

from rnnspec.ir import nodes
from rnnspec.ir.params import params

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rnnspec.ir.params import Param


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation: the name of its function, and what it takes beside the numbers."""

    name: str
    argument: str = ""

    @property
    def function(self) -> str:
        """The name of the function, which takes many numbers unless it is one of a vector."""
        if self.over_features:
            return self.name
        return f"{self.name}es" if self.name.endswith("s") else f"{self.name}s"

    @property
    def more(self) -> str:
        """What follows the number of elements in a call."""
        return f", {self.argument}" if self.argument else ""

    @property
    def over_features(self) -> bool:
        """True if it is not one of each element."""
        return self.name in ("softmax", "log_softmax")


def number(value: float) -> str:
    """Return the shortest literal of the float that is nearest to a value."""
    single = struct.pack("f", value)
    texts = (f"{value:.{digits}g}" for digits in range(1, 10))
    text = next(text for text in texts if struct.pack("f", float(text)) == single)
    return f"{text if '.' in text or 'e' in text else text + '.0'}f"


def activation(value: nodes.Activation) -> Activation:
    """Return an activation as its function takes it."""
    match value:
        case nodes.LeakyRelu(slope=slope):
            return Activation("leaky_relu", number(slope))
        case nodes.ClippedRelu(limit=limit):
            return Activation("clipped_relu", number(limit))
        case _:
            return Activation(value)


def loop(index: str, number: str, lines: list[str]) -> Iterator[str]:
    """Yield lines for each value of an index."""
    yield f"for (size_t {index} = 0; {index} < {number}; ++{index}) {{"
    yield from indented(lines)
    yield "}"


def indented(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines behind four spaces, but for empty ones."""
    return (f"    {line}" if line else "" for line in lines)


_KEYWORDS = frozenset(
    {"auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else"}
    | {"enum", "extern", "float", "for", "goto", "if", "inline", "int", "long", "register"}
    | {"restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch", "typedef"}
    | {"union", "unsigned", "void", "volatile", "while", "alignas", "alignof", "and", "asm"}
    | {"bitand", "bitor", "bool", "catch", "class", "compl", "concept", "constexpr", "decltype"}
    | {"delete", "explicit", "export", "false", "friend", "mutable", "namespace", "new", "noexcept"}
    | {"not", "nullptr", "operator", "or", "private", "protected", "public", "requires", "template"}
    | {"this", "thread_local", "throw", "true", "try", "typeid", "typename", "using", "virtual"}
    | {"wchar_t", "xor", "linux", "unix", "i386"}
    | {"t", "u", "at", "x", "x_t", "size_t", "int8_t", "logf", "sqrtf", "fabsf", "fmaf"}
    | {"memcpy", "memset"}
)
"""Words of C and C++, macros of gcc, and what functions with equations call their variables."""


def own_name(name: str) -> str:
    """Return the name of a variable in equations as it is in C."""
    # Capitals may be a macro.
    is_macro = name.isupper() and re.search("[A-Z]{2}", name)
    return f"{name}_" if name in _KEYWORDS or name.startswith("_") or is_macro else name


HEADERS = frozenset(
    {"alloca", "assert", "complex", "ctype", "endian", "errno", "features", "fenv", "float"}
    | {"inttypes", "iso646", "limits", "locale", "malloc", "math", "memory", "newlib", "setjmp"}
    | {"signal", "stdalign", "stdarg", "stdatomic", "stdbit", "stdbool", "stdckdint", "stddef"}
    | {"stdint", "stdio", "stdlib", "stdnoreturn", "string", "strings", "tgmath", "threads"}
    | {"time", "uchar", "unistd", "wchar", "wctype", "xlocale"}
)
"""Headers of C and of its libraries, which ``#include`` would not find behind one of ours."""


def pointers(network: nodes.Network) -> dict[str, nodes.Layer | nodes.Port]:
    """Return what each output is by the name of its pointer."""
    return {f"y_{name}" if name else "y": layer for name, layer in network.results.items()}


_OWN = frozenset(
    {"i", "k", "r", "t", "y", "largest", "mask", "real", "state", "steps", "work", "workspace"}
    | {"int32_t", "uint8_t", "NULL", "errno", "stdin", "stdout", "stderr", "x"}
)
"""Variables of the functions that take inputs, and macros that a program may have."""


def input_symbols(network: nodes.Network) -> dict[str, str]:
    """Return what each input is called in C: its name if that is free, or x without a name."""
    symbols = network.arguments("x")
    taken = {*pointers(network), *_OWN, *_sizes_of_inputs(network)}
    for name in (network_input.name for network_input in network.named_inputs):
        own = own_name(name)
        # Functions have names that begin so, here and where a library calls them.
        own = f"{own}_" if own.startswith((f"{network.name}_", "rnnspec_")) else own
        candidates = chain([own, f"{own}_"], (f"{own}_{number}" for number in count(2)))
        symbols[name] = next(symbol for symbol in candidates if symbol not in taken)
        taken.add(symbols[name])
    return symbols


def _sizes_of_inputs(network: nodes.Network) -> set[str]:
    """Return the variables beside the inputs that have names."""
    return {
        f"{network_input.name}{end}"
        for network_input in network.named_inputs
        for end in ("_steps", "_mask")
    }


_KERNEL = re.compile(
    r"self_test|by_sign|split_exp|negative_expm1|dot_int8|output_steps"
    r"|(?:product(?:_rows)?|columns?)(?:_int8)?(?:_at|_v3|_v4)?"
    r"|(?:(?:legacy_)?hard_sigmoid|leaky_relu|clipped_relu)s?|log_softmax"
)
"""Functions that every source may have, and that an array with any name could clash with."""


def layer_names(network: nodes.Network) -> dict[str, str]:
    """Return what each layer is called in C: its name, with a number if that is taken."""
    names, start = dict[str, str](), f"{network.name}_"
    public = (*input_symbols(network).values(), *pointers(network))
    taken = {*public, *(f"{start}test_{name}" for name in public)}
    taken |= _sizes_of_inputs(network)
    for value in (*network.layers, *network.ports.values()):
        own = value.name
        for candidate in chain([own], (f"{own}_{number}" for number in count(2))):
            symbols = set(_symbols(value, candidate, start))
            if taken.isdisjoint(symbols) and not any(
                _KERNEL.fullmatch(symbol.removeprefix(start)) for symbol in symbols
            ):
                break
        names[own] = candidate
        taken |= symbols
    return names


def _symbols(value: nodes.Layer | nodes.Port, name: str, start: str) -> Iterator[str]:
    """Yield the variables and the arrays of what is called ``name``."""
    yield from (f"{name}_out", f"{name}_steps", f"{name}_before", f"{name}_mask")
    if isinstance(value, nodes.Port):
        return
    if nodes.attention_of(value):
        yield f"{name}_memory"
    for param in params(value):
        array = array_symbol(start, name, param)
        yield from (array, f"{array}_scale")


def array_symbol(start: str, layer: str, param: Param) -> str:
    """Return what an array of a layer is called."""
    path = param.name.replace(".", "_")
    # The scales of another array, or an array beside the cell, may have the name of a parameter.
    is_like = path.endswith("_scale") or param.name.startswith(("attention_", "initial_"))
    return f"{start}{layer}_{path}{'_' if is_like else ''}"
