"""Names that generated source uses and neither defines nor imports."""

from __future__ import annotations

import builtins
import re
import symtable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_BUILT_IN = frozenset(dir(builtins)) | {"__class__", "__file__", "__name__"}


def undefined_names(text: str, ending: str) -> list[str]:
    """Return the names that source in a file with an ending uses without a definition.

    In Python these are variables, functions and classes; in C functions, and in ONNX values.
    """
    match ending:
        case ".py":
            used = _globals_used(symtable.symtable(text, "source", "exec"), set(_BUILT_IN))
        case ".h":
            used = _functions_called(text)
        case ".onnx.txt":
            used = _values_taken(text)
        case _:
            return []
    return sorted(set(used))


def _globals_used(table: symtable.SymbolTable, defined: set[str]) -> Iterator[str]:
    """Yield the names that no scope from a table to the module defines."""
    if table.get_type() == "module":
        names = table.get_symbols()
        defined |= {e.get_name() for e in names if e.is_assigned() or e.is_imported()}
    for symbol in table.get_symbols():
        is_global = symbol.is_global() or table.get_type() == "module"
        if is_global and symbol.is_referenced() and symbol.get_name() not in defined:
            yield symbol.get_name()
    for inner in table.get_children():
        yield from _globals_used(inner, defined)


_NO_CODE_OF_C = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:[^\"\\\n]|\\.)*\"", re.DOTALL)
_DEFINED_IN_C = re.compile(
    r"""^[ \t]*\#[ \t]*define[ \t]+(\w+)            # a macro
    |^(?:[A-Za-z_]\w*[ \t\n*]+)+(\w+)[ \t]*[(\[=;]  # a function or an array, outside of functions
    |^\}[ \t]*(\w+);                               # a type
    |^typedef\b[^;{]*\b(\w+);""",
    re.VERBOSE | re.MULTILINE,
)
_CALLED_IN_C = re.compile(r"\b([A-Za-z_]\w*)[ \t]*\(")
_OF_C = frozenset(
    """
    __asm__ __attribute__ __builtin_constant_p __builtin_cpu_supports __has_include aligned
    target target_clones visibility defined for if return sizeof switch while
    expf fabsf fmaf log1pf logf memcmp memcpy memmove memset sqrtf
    """.split()  # noqa: SIM905 - names side by side are easier to check
)
"""What looks like a call, and the functions of the headers that source includes."""


def _functions_called(text: str) -> Iterator[str]:
    """Yield the functions that C calls and does not define."""
    code = _NO_CODE_OF_C.sub(" ", text)
    defined = {name for match in _DEFINED_IN_C.finditer(code) for name in match.groups() if name}
    defined |= _OF_C
    yield from (name for name in _CALLED_IN_C.findall(code) if name not in defined)


_NO_CODE_OF_ONNX = re.compile(r'#[^\n]*|""|"(?:[^"\\\n]|\\.)+"')
_NAME = r"[A-Za-z_][\w.]*"
_DECLARED_IN_ONNX = re.compile(rf"\b(?:[a-z]+[0-9]*)(?:\[[^\]]*\])? ({_NAME})(?= *[,)=\n])")
_GIVEN_IN_ONNX = re.compile(
    rf"^[ \t]*((?:\"\"|{_NAME})(?:,\s+(?:\"\"|{_NAME}))*)\s+=\s", re.MULTILINE
)
_TAKEN_IN_ONNX = re.compile(rf"[A-Za-z>] \(((?:\"\"|{_NAME})(?:,\s*(?:\"\"|{_NAME}))*)\)")


def _values_taken(text: str) -> Iterator[str]:
    """Yield the values that nodes of ONNX take and nothing gives."""
    # An empty name stays: it is an input or an output that is left out.
    code = _NO_CODE_OF_ONNX.sub(lambda match: match[0] if match[0] == '""' else "", text)
    given = {name for names in _GIVEN_IN_ONNX.findall(code) for name in re.split(r",\s+", names)}
    given |= {"", *_DECLARED_IN_ONNX.findall(code)}
    for names in _TAKEN_IN_ONNX.findall(code):
        yield from (name for name in re.split(r",\s*", names) if name.strip('"') not in given)
