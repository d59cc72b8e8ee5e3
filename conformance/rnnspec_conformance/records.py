"""JSON that others wrote, read as frozen dataclasses: of a suite, of results, of a tool's process.

Its text is made printable here, so whatever shows a record later (a terminal, a page, a document)
gets no escape sequence and no bidirectional control from a tool or a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from rnnspec.errors import UsageError, brief, printable
from rnnspec.files.regular import opened

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST = 2**24
"""The most bytes that are read of a document; results of all tools in all cases have 2**21."""
_INFINITE = 2**1000

Record = TypeVar("Record")


class RecordError(Exception):
    """A value of another type than its record; the text says where, and what was expected."""


def read_record(
    path: Path, kind: type[Record], version: tuple[str, int] | None = None, what: str = ""
) -> Record:
    """Return the record in a file of JSON.

    Args:
        path: the file.
        kind: the dataclass.
        version: the key and the value that say which version of the document it is.
        what: the document in words, for errors.

    Raises:
        UsageError: the file cannot be read, is too large, or has other contents.
    """
    with opened(path) as (stream, size):
        if size > _LARGEST:
            raise UsageError(f"expected at most {_LARGEST:,} bytes, received {size:,}", str(path))
        text = stream.read(_LARGEST)
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_without_duplicates)
    # ValueError: not UTF-8, not JSON, or an integer of too many digits.
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not JSON: {brief(error)}", str(path)) from None
    if version is not None and isinstance(value, dict):
        key, number = version
        received = value.get(key, number)
        if type(received) is not int or received != number:
            raise UsageError(
                f"expected version {number}, received {brief(repr(received))}", str(path)
            )
    try:
        record: Record = to_record(value, kind)
    except RecordError as error:
        raise UsageError(f"not {what}: {error}" if what else str(error), str(path)) from None
    return record


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    # Readers differ in which of two equal keys they take.
    if len(mapping) < len(pairs):
        raise ValueError("an object has a key twice")
    return mapping


def to_record(value: object, kind: Any) -> Any:
    """Return a value of JSON as a record, or as whatever the annotation ``kind`` says.

    Raises:
        RecordError: it has another type, an unknown key, or lacks one.
    """
    return _convert(value, kind, "")


def printable_lines(text: str) -> str:
    """Return a text with its line breaks, and other control characters escaped."""
    return "\n".join(map(printable, text.replace("\t", " ").split("\n")))


def _convert(value: Any, kind: Any, where: str) -> Any:
    arguments = get_args(kind)
    if is_dataclass(kind):
        return _convert_object(value, kind, where)
    match get_origin(kind):
        # An integer can be beyond every float, and the parser takes 1e999 and NaN.
        case None if kind is float and type(value) in {int, float} and abs(value) < _INFINITE:
            return float(value)
        case None if kind is not float and type(value) is kind:
            return printable_lines(value) if kind is str else value
        case origin if origin is Literal and value in arguments:
            return value
        case origin if origin is tuple and isinstance(value, list):
            return tuple(
                _convert(item, arguments[0], f"{where}[{at}]") for at, item in enumerate(value)
            )
        case origin if origin is Mapping and isinstance(value, dict):
            return {
                printable(key): _convert(item, arguments[1], _place(where, key))
                for key, item in value.items()
            }
        case origin if origin is UnionType:
            for alternative in arguments:
                try:
                    return _convert(value, alternative, where)
                except RecordError:
                    continue
        case _:
            pass
    raise _error(where, f"expected {_in_words(kind)}, received {brief(repr(value))}")


def _convert_object(value: Any, kind: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _error(where, f"expected an object, received {brief(repr(value))}")
    types = _types_of(kind)
    for key in value:
        if key not in types:
            raise _error(_place(where, key), "unknown key")
    for field in fields(kind):
        if field.default is MISSING and field.name not in value:
            raise _error(_place(where, field.name), "missing")
    values = {key: _convert(item, types[key], _place(where, key)) for key, item in value.items()}
    try:
        return kind(**values)
    except ValueError as error:  # of __post_init__
        raise _error(where, str(error)) from None


@cache
def _types_of(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _in_words(kind: Any) -> str:
    arguments = get_args(kind)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(arguments)}"
    if get_origin(kind) is UnionType:
        return " or ".join(map(_in_words, arguments))
    words = {str: "a string", int: "an integer", float: "a finite number", bool: "true or false"}
    words |= {tuple: "a list", Mapping: "an object", type(None): "null"}
    return words[get_origin(kind) or kind]


def _place(where: str, key: str) -> str:
    key = brief(key)
    return f"{where}.{key}" if where else key


def _error(where: str, message: str) -> RecordError:
    return RecordError(f"{where}: {message}" if where else message)
