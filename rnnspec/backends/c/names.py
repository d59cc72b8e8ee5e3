"""Names and literals in C, where parameters, variables, functions and arrays share a name space."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING, get_args

from rnnspec.ir import nodes
from rnnspec.ir.params import directions, params
from rnnspec.words import Activation as Word

if TYPE_CHECKING:
    from collections.abc import Iterator


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


SHARED = re.compile(
    r"run|step|chunk|reset|state|self_test|farther|dot(?:_int8)?|bits|float|by_sign|limit"
    r"|short_expm1|negative_expm1|exp|tanh|sigmoid|lstm_cell|gru_cell"
    r"|(?:multiply|project)_\dx\d+(?:_int8)?"
    rf"|{'|'.join(activation(name).function for name in get_args(Word) if name != 'linear')}"
    r"|leaky_relus|clipped_relus"
)
"""The functions, without the name of the network, that a source may have beside its layers'."""

HEADERS = frozenset(
    {"alloca", "assert", "complex", "ctype", "endian", "errno", "features", "fenv", "float"}
    | {"inttypes", "iso646", "limits", "locale", "malloc", "math", "memory", "newlib", "setjmp"}
    | {"signal", "stdalign", "stdarg", "stdatomic", "stdbit", "stdbool", "stdckdint", "stddef"}
    | {"stdint", "stdio", "stdlib", "stdnoreturn", "string", "strings", "tgmath", "threads"}
    | {"time", "uchar", "unistd", "wchar", "wctype", "xlocale"}
)
"""Headers of C and of its libraries, which ``#include`` would not find behind one of ours."""

# Words of C and C++ that can be two names of ours; those that end in _t are reserved by POSIX.
_WORDS = re.compile(
    r"\w+_t|(?:static|const|dynamic|reinterpret)_cast|static_assert|thread_local"
    r"|(?:and|or|xor|not)_eq|co_(?:await|return|yield)"
)


def pointers(network: nodes.Network) -> dict[str, nodes.Layer]:
    """Return the layer of each output by the name of its pointer."""
    return {f"y_{name}" if name else "y": layer for name, layer in network.results.items()}


def layer_names(network: nodes.Network) -> dict[str, str]:
    """Return what each layer is called in C: its name, with a number if that is taken."""
    names, start = dict[str, str](), f"{network.name}_"
    taken = {*pointers(network), *(f"{start}test_{name}" for name in ("x", *pointers(network)))}

    def is_taken(name: str) -> bool:
        own = name.removeprefix(start)
        shared = own != name and SHARED.fullmatch(own)
        return bool(name in taken or shared or _WORDS.fullmatch(name))

    for layer in network.layers:
        own = layer.name
        for candidate in chain([own], (f"{own}_{number}" for number in count(2))):
            symbols = set(_symbols(layer, candidate, start))
            if not any(map(is_taken, symbols)):
                break
        names[own] = candidate
        taken |= symbols
    return names


def _symbols(layer: nodes.Layer, name: str, start: str) -> Iterator[str]:
    """Yield the variables, the functions and the arrays of a layer that is called ``name``."""
    yield from (f"{name}_out", f"{name}_steps")
    prefixes = directions(layer) if isinstance(layer, nodes.Recurrent) else ("",)
    yield from (f"{start}{name}_{prefix[:-1]}" if prefix else start + name for prefix in prefixes)
    for param in params(layer):
        array = f"{start}{name}_{param.name.replace('.', '_')}"
        yield from (array, f"{array}_scale")
