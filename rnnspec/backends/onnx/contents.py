"""ONNX files as protobuf messages, checked first; their large arrays stay in the file.

A file is mapped into memory and its fields are walked before protobuf sees it: a file of a few
megabytes can hold millions of messages, each of which takes a hundred times its size in memory, and
protobuf copies what it reads. What it reads here has the numbers of large arrays left out.
"""

from __future__ import annotations

import math
import mmap
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.errors import BackendError, UsageError, brief
from rnnspec.files.regular import opened
from rnnspec.version import ways_to_install

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.backends.slots import Array

_MOST_FIELDS = 2**19
"""The most fields of all messages in a file, far above what recurrent networks need."""
_MOST_BYTES = 2**27
"""The most memory of all fields without the numbers of large arrays."""
_MOST_FILES = 64
"""The most files with external data: each one that is mapped takes a file descriptor."""
_DEEPEST = 40
"""The most messages inside each other; a body of a loop takes three."""
_LARGE = 2**12
"""The fewest bytes of raw data that stay in the file."""
_RAW_DATA = 9
_VARINT, _LENGTH_DELIMITED = 0, 2
_WIRES = {_VARINT: 0, 1: 8, _LENGTH_DELIMITED: 0, 5: 4}
"""The bytes of fields that have no length of their own, by their type in a file."""
_MOST_AXES = 32  # as in NumPy 1

_TYPES = {
    "FLOAT": ("<f4", "float_data"),
    "DOUBLE": ("<f8", "double_data"),
    "FLOAT16": ("<f2", "int32_data"),
    "BFLOAT16": ("<u2", "int32_data"),
    "INT8": ("<i1", "int32_data"),
    "INT16": ("<i2", "int32_data"),
    "INT32": ("<i4", "int32_data"),
    "INT64": ("<i8", "int64_data"),
    "UINT8": ("<u1", "int32_data"),
    "UINT16": ("<u2", "int32_data"),
    "UINT32": ("<u4", "uint64_data"),
    "UINT64": ("<u8", "uint64_data"),
    "BOOL": ("<u1", "int32_data"),
}
"""The NumPy dtype of raw data and the field of other data, by the names of ONNX's types."""
_FIELDS = sorted({name for _, name in _TYPES.values()} | {"string_data"})


class UnreadableArrayError(Exception):
    """An array that cannot be read; the text says what was expected and received."""


class _BrokenError(Exception):
    """Bytes that are no message."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The message of an ONNX file; ``array`` returns the arrays in it.

    ``proto`` is a ``ModelProto`` in which the raw data of large arrays is replaced: by ``mark``,
    and where it lies in ``data``.
    """

    path: Path
    proto: Any
    data: memoryview
    mark: bytes
    _files: dict[str, memoryview] = field(default_factory=dict)

    @property
    def writer(self) -> str:
        """The tool that wrote the file with its version, empty if the file names none."""
        return f"{as_text(self.proto.producer_name)} {as_text(self.proto.producer_version)}".strip()

    def array(self, tensor: Any) -> Array:
        """Return the array of a ``TensorProto``, a view of the file if it is large.

        Raises:
            UnreadableArrayError: its numbers, their type or their number are wrong, or it has
                none.
        """
        kind = type_name(tensor.data_type)
        if kind not in _TYPES:
            raise UnreadableArrayError(f"expected floats or integers, received {kind.lower()}")
        dims = tuple(tensor.dims)
        if len(dims) > _MOST_AXES or min(dims, default=0) < 0:
            raise UnreadableArrayError(f"expected the sizes of axes, received {brief(list(dims))}")
        stored, field_name = np.dtype(_TYPES[kind][0]), _TYPES[kind][1]
        filled = [name for name in _FIELDS if len(getattr(tensor, name))]
        external = tensor.data_location != 0 or len(tensor.external_data)
        if len(filled) + tensor.HasField("raw_data") + bool(external) > 1:
            raise UnreadableArrayError("expected its numbers once, received them in several fields")
        if tensor.HasField("segment"):
            raise UnreadableArrayError("expected all of its numbers, received a segment")
        count = math.prod(dims)
        if external or tensor.HasField("raw_data"):
            raw = self._external(tensor) if external else self._raw(tensor)
            if len(raw) != count * stored.itemsize:
                message = f"expected {count * stored.itemsize:,} bytes for {_shape(dims)}"
                raise UnreadableArrayError(f"{message}, received {len(raw):,}")
            flat = np.frombuffer(raw, stored)
        else:
            if filled not in ([], [field_name]):
                raise UnreadableArrayError(
                    f"expected numbers in {field_name}, received {filled[0]}"
                )
            flat = _convert_numbers(getattr(tensor, field_name), count, dims, stored)
        if kind == "BOOL":
            flat = flat != 0
        elif kind == "BFLOAT16":
            flat = flat.view(_bfloat16())
        return flat.reshape(dims)

    def fill(self, tensor: Any) -> None:
        """Put the numbers of a ``TensorProto`` that are elsewhere into it.

        Raises:
            UnreadableArrayError: they cannot be read.
        """
        if tensor.data_location or len(tensor.external_data):
            tensor.raw_data = bytes(self._external(tensor))
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
        elif tensor.HasField("raw_data"):
            tensor.raw_data = bytes(self._raw(tensor))

    def _raw(self, tensor: Any) -> bytes | memoryview:
        raw: bytes = tensor.raw_data
        if not raw.startswith(self.mark):
            return raw
        place = raw[len(self.mark) :]
        begin, end = int.from_bytes(place[:8], "little"), int.from_bytes(place[8:], "little")
        return self.data[begin:end]

    def _external(self, tensor: Any) -> memoryview:
        """Return numbers that are in another file."""
        keys = {str(entry.key): entry.value for entry in tensor.external_data}
        location = keys.get("location", "")
        data = self._files.get(location) if isinstance(location, str) else None
        if data is None:
            data = self._files[location] = self._other_file(location)
        offset, length = (_number(keys, name) for name in ("offset", "length"))
        begin = offset or 0
        end = len(data) if length is None else begin + length
        if not begin <= end <= len(data):
            message = f"expected bytes {begin:,} to {end:,} of {brief(location)}"
            raise UnreadableArrayError(f"{message}, received a file of {len(data):,}")
        return data[begin:end]

    def _other_file(self, location: object) -> memoryview:
        expected = "expected numbers in this file or in a file of its folder"
        if not isinstance(location, str) or not location:
            raise UnreadableArrayError(f"{expected}, received no path of one")
        # As on every system, so that a file means the same on each.
        parts = re.split(r"[/\\]", location)
        if "" in parts or ".." in parts or ":" in location or "\0" in location:
            raise UnreadableArrayError(f"{expected}, received the path {brief(location)}")
        if len(self._files) >= _MOST_FILES:
            raise UnreadableArrayError(
                f"expected numbers in at most {_MOST_FILES} files, received more"
            )
        folder = self.path.parent
        try:
            return _map(folder.joinpath(*parts), inside=folder)
        except UsageError as error:
            raise UnreadableArrayError(
                f"its numbers are in {brief(location)}: {error.message}"
            ) from error


def load(path: Path) -> Contents:
    """Return the message of an ONNX file.

    Raises:
        BackendError: the package ``onnx`` is not installed.
        UsageError: the file cannot be read, or is larger or deeper than those of networks are.
    """
    try:
        import onnx
    except ImportError as error:
        ways = ways_to_install("onnx", "onnx")
        raise BackendError(f"reading ONNX files needs onnx: {ways}") from error
    from google.protobuf.message import DecodeError

    data = _map(path)
    # No number in a file can be taken for it.
    walk = _Walk(str(path), data, secrets.token_bytes(16))
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(b"".join(walk.shrink(0, len(data), proto.DESCRIPTOR)))
    except (_BrokenError, DecodeError) as error:
        raise UsageError("expected an ONNX file, received other bytes", str(path)) from error
    if not proto.graph.node:
        raise UsageError("expected an ONNX file, received one without a graph", str(path))
    return Contents(path, proto, data, walk.mark)


def as_text(value: str | bytes) -> str:
    """Return a text of a file, which is bytes if it is not UTF-8."""
    return value if isinstance(value, str) else bytes(value).decode(errors="backslashreplace")


def type_name(number: int) -> str:
    """Return ONNX's name of a type of numbers."""
    from onnx import TensorProto

    known: Mapping[int, str] = {value: name for name, value in TensorProto.DataType.items()}
    return known.get(number, f"type {number}")


def _map(path: Path, inside: Path | None = None) -> memoryview:
    with opened(path, inside) as (stream, size):
        if size >= 2**31 and inside is None:
            message = f"expected an ONNX file below 2 GiB, received {size:,} bytes"
            raise UsageError(message, str(path))
        # An empty file cannot be mapped.
        content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        return memoryview(content)


class _Walk:
    """A walk over the fields of a file, which counts them."""

    def __init__(self, source: str, data: memoryview, mark: bytes) -> None:
        self.mark = mark
        self._source = source
        self._data = data
        self._fields = 0
        self._bytes = 0
        self._kinds: dict[str, dict[int, Any]] = {}

    def shrink(self, begin: int, end: int, message: Any, depth: int = 1) -> list[Any]:
        """Return the bytes of a message in pieces, its large arrays replaced by their places.

        Raises:
            _BrokenError: the bytes are no message.
            UsageError: it is too large or too deep.
        """
        if depth > _DEEPEST:
            raise self._too_much(f"{_DEEPEST} messages inside each other")
        kinds, data = self._kinds_of(message), self._data
        pieces, copied, at = list[Any](), begin, begin
        while at < end:
            start = at
            key, at = self._varint(at, end)
            self._count(fields=1)
            number, wire = key >> 3, key & 7
            if not number or wire not in _WIRES:
                raise _BrokenError
            if wire == _LENGTH_DELIMITED:
                length, content = self._varint(at, end)
                at, kind = content + length, kinds.get(number, 1)
                new: list[Any] = []
                if at > end:
                    raise _BrokenError
                if not isinstance(kind, int):
                    new = self.shrink(content, at, kind, depth + 1)
                elif length >= _LARGE and number == _RAW_DATA and message.name == "TensorProto":
                    new = [self.mark, content.to_bytes(8, "little"), at.to_bytes(8, "little")]
                else:
                    self._count(size=kind * length)
                if new:
                    size = sum(map(len, new))
                    pieces += [data[copied:start], _varint(key), _varint(size), *new]
                    copied = at
            elif wire == _VARINT:
                _, at = self._varint(at, end)
            else:
                at += _WIRES[wire]
        if at != end:
            raise _BrokenError
        # A message in which nothing is replaced is copied with the one around it.
        return [*pieces, data[copied:end]] if pieces or depth == 1 else []

    def _count(self, fields: int = 0, size: int = 0) -> None:
        self._fields += fields
        self._bytes += size
        if self._fields > _MOST_FIELDS:
            raise self._too_much(f"{_MOST_FIELDS:,} fields")
        if self._bytes > _MOST_BYTES:
            raise self._too_much(f"{_MOST_BYTES:,} bytes beside the raw data of arrays")

    def _too_much(self, what: str) -> UsageError:
        message = f"expected an ONNX file of a recurrent network, received more than {what}"
        return UsageError(message, self._source)

    def _kinds_of(self, message: Any) -> dict[int, Any]:
        """Return by number the messages of fields, or how costly a byte of a field is."""
        kinds = self._kinds.get(message.name)
        if kinds is None:
            kinds = self._kinds[message.name] = {}
            for member in message.fields:
                # A packed integer can take one byte in the file, and an object in Python.
                costs = {
                    member.CPPTYPE_STRING: 1,
                    member.CPPTYPE_FLOAT: 2,
                    member.CPPTYPE_DOUBLE: 2,
                }
                kinds[member.number] = member.message_type or costs.get(member.cpp_type, 16)
        return kinds

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            if at >= end:
                break
            byte = self._data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, at
        raise _BrokenError


def _varint(value: int) -> bytes:
    """Return a number as protobuf writes it."""
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    return bytes([*written, value])


def _convert_numbers(
    numbers: Any, count: int, dims: tuple[int, ...], stored: np.dtype[Any]
) -> Array:
    """Return numbers of a field of their own as an array, whose type is that of raw data."""
    if len(numbers) != count:
        message = f"expected {count:,} numbers for {_shape(dims)}"
        raise UnreadableArrayError(f"{message}, received {len(numbers):,}")
    if stored.kind == "f" and stored.itemsize > 2:
        return np.fromiter(numbers, stored, count)
    # The bits of float16 are in integers.
    integers = np.dtype("<u2") if stored.kind == "f" else stored
    limits = np.iinfo(integers)
    if count and not limits.min <= min(numbers) <= max(numbers) <= limits.max:
        raise UnreadableArrayError(
            f"expected integers of {8 * integers.itemsize} bits, received larger ones"
        )
    return np.fromiter(numbers, integers, count).view(stored)


def _bfloat16() -> Any:
    try:
        from ml_dtypes import bfloat16
    except ImportError as error:
        message = "numbers in bfloat16 need ml_dtypes: pip install ml_dtypes"
        raise UnreadableArrayError(message) from error
    return bfloat16


def _shape(dims: tuple[int, ...]) -> str:
    return brief(f"({', '.join(map(str, dims))})")


def _number(keys: Mapping[str, object], name: str) -> int | None:
    """Return a number among the keys of external data."""
    value = keys.get(name)
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch("[0-9]{1,19}", value):
        return int(value)
    raise UnreadableArrayError(f"expected {name} as a number of bytes, received {brief(value)}")
