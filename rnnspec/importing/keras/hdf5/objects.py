"""Groups, attributes and arrays in an HDF5 file: their headers, as pyfive parses them.

Only what pyfive parses without looking at its own sizes is used of it: not its groups and
attributes, where one text can be referred to a thousand times.
Source: https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from struct import unpack_from
from typing import TYPE_CHECKING, Any

from pyfive.btree import BTreeV1Groups, BTreeV2AttrNames, BTreeV2GroupNames
from pyfive.dataobjects import DataObjects
from pyfive.misc_low_level import FractalHeap, GlobalHeap, Heap, SymbolTable

from rnnspec.importing.keras.hdf5.stream import BrokenError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.importing.keras.hdf5.stream import Stream

NOWHERE = 2**64 - 1
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_LONGEST_NAME = 2**12
_TEXT = 32  # what a text costs besides its bytes; the array that it names takes more
# The types of messages in a header.
_SPACE, _LINKS, _TYPE, _LINK, _EXTERNAL, _LAYOUT, _FILTERS = 1, 2, 3, 6, 7, 8, 11
_ATTRIBUTE, _SYMBOLS, _ATTRIBUTES = 12, 17, 21
_SHARED = 2  # the message is elsewhere


@dataclass(frozen=True, slots=True)
class Attribute:
    """The messages of an attribute, and its bytes."""

    type: bytes
    space: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Group:
    """The addresses of what is in a group by name, None for links to elsewhere."""

    links: dict[str, int | None]
    attributes: dict[str, Attribute]


@dataclass(frozen=True, slots=True)
class Dataset:
    """The messages of an array, the numbers of its filters, and whether it is in other files."""

    type: bytes
    space: bytes
    layout: bytes
    filters: tuple[int, ...]
    external: bool


class Objects:
    """The objects of a file by address, each parsed once."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._parsed: dict[int, Group | Dataset | None] = {}
        self._heaps: dict[int, dict[int, bytes]] = {}

    def root(self) -> Group:
        """Return the group of everything."""
        head = self.stream.read(min(96, self.stream.size))
        version = head[8] if head.startswith(_SIGNATURE) and len(head) > 68 else None
        match version:
            case 0 | 1:
                # Version 1 has four bytes more before the addresses.
                sizes, base, end, root = head[13:15], 24, 40, 64
                places = [at + 4 * version for at in (base, end, root)]
            case 2 | 3:
                sizes, places = head[9:11], [12, 28, 36]
            case _:
                raise BrokenError("it does not begin as one")
        base, end, root = (unpack_from("<Q", head, at)[0] for at in places)
        if sizes != b"\x08\x08" or base:
            raise BrokenError("its addresses are not of 8 bytes from its beginning")
        if end > self.stream.size:
            raise BrokenError(f"it is cut short: expected {end:,} bytes")
        match self.at(root):
            case Group() as group:
                return group
            case _:
                raise BrokenError("it has no groups")

    def at(self, address: int) -> Group | Dataset | None:
        """Return the object at an address, None if it is neither a group nor an array."""
        if address not in self._parsed:
            self._parsed[address] = self._parse(address)
        return self._parsed[address]

    def _parse(self, address: int) -> Group | Dataset | None:
        with self.stream.header():
            header = DataObjects(self.stream, address)
        kinds = {message["type"] for message in header.msgs}
        if _SPACE in kinds:
            return _dataset(header)
        if kinds & {_SYMBOLS, _LINKS, _LINK}:
            links = dict(self._links(header))
            return Group(dict(sorted(links.items())), dict(self._attributes(header)))
        return None

    def _links(self, header: Any) -> Iterator[tuple[str, int | None]]:
        for kind, data in _messages(header):
            if kind == _SYMBOLS:
                yield from self._symbols(*unpack_from("<QQ", data))
            elif kind == _LINK:
                yield _link(data)
            elif kind == _LINKS:
                # The largest creation index is there if the first flag is set.
                heap, tree = unpack_from("<QQ", data, 10 if data[1] & 1 else 2)
                if heap != NOWHERE:
                    records = BTreeV2GroupNames(self.stream, tree).iter_records()
                    yield from map(_link, self._dense(heap, records))

    def _symbols(self, tree: int, heap: int) -> Iterator[tuple[str, int | None]]:
        """Yield the links of a group as HDF5 has them up to version 1.6."""
        names = Heap(self.stream, heap).data
        for address in BTreeV1Groups(self.stream, tree).symbol_table_addresses():
            for entry in SymbolTable(self.stream, address).entries:
                start = entry["link_name_offset"]
                end = names.index(b"\x00", start, start + _LONGEST_NAME)
                self.stream.charge(end - start)
                # The second type of entry is a link by name.
                place = None if entry["cache_type"] == 2 else entry["object_header_address"]
                yield names[start:end].decode("utf-8", "replace"), place

    def _dense(self, heap: int, records: Iterator[Any]) -> Iterator[bytes]:
        """Yield the messages that records of an index refer to."""
        held = FractalHeap(self.stream, heap)
        for record in records:
            data = held.get_data(record["heapid"])
            if data is None:
                raise BrokenError("an index refers to nothing")
            self.stream.charge(len(data))
            yield data

    def _attributes(self, header: Any) -> Iterator[tuple[str, Attribute]]:
        for kind, data in _messages(header):
            if kind == _ATTRIBUTE:
                yield _attribute(data)
            elif kind == _ATTRIBUTES:
                heap, tree = unpack_from("<QQ", data, 4 if data[1] & 1 else 2)
                if heap != NOWHERE:
                    records = BTreeV2AttrNames(self.stream, tree).iter_records()
                    yield from map(_attribute, self._dense(heap, records))

    def text(self, attribute: Attribute) -> str | list[str] | None:
        """Return the text or the texts of an attribute, None if it is no text."""
        shape = shape_of(attribute.space)
        if shape is None or len(attribute.type) < 8:
            return None
        number, value = math.prod(shape), attribute.value
        if not number:
            return []  # of any type: h5py writes an empty list as numbers
        match attribute.type[0] & 15, attribute.type[1] & 15:
            case 3, _:
                (width,) = unpack_from("<I", attribute.type, 4)
                _check(number * width, value)
                parts = [value[at * width : (at + 1) * width] for at in range(number)]
            case 9, 1:
                _check(number * 16, value)
                parts = [
                    self._elsewhere(*unpack_from("<IQI", value, 16 * at)) for at in range(number)
                ]
            case _:
                return None
        texts = []
        for part in parts:
            self.stream.charge(len(part) + _TEXT)
            texts.append(part.rstrip(b"\x00").decode("utf-8", "replace"))
        return texts if shape else texts[0]

    def _elsewhere(self, length: int, heap: int, index: int) -> bytes:
        """Return a text of any length, of which an attribute has the place in a heap."""
        if not length:
            return b""
        if heap not in self._heaps:
            self._heaps[heap] = GlobalHeap(self.stream, heap).objects
        data = self._heaps[heap].get(index, b"")
        _check(length, data)
        return data[:length]


def _messages(header: Any) -> Iterator[tuple[int, bytes]]:
    """Yield the type and the bytes of the messages in a header."""
    for message in header.msgs:
        start = message["offset_to_message"]
        if not message["flags"] & _SHARED:
            yield message["type"], header.msg_data[start : start + message["size"]]


def _dataset(header: Any) -> Dataset:
    messages = dict(_messages(header))
    filters = tuple(message["filter_id"] for message in header.filter_pipeline or ())
    return Dataset(
        type=messages.get(_TYPE, b""),
        space=messages.get(_SPACE, b""),
        layout=messages.get(_LAYOUT, b""),
        filters=filters,
        external=_EXTERNAL in messages,
    )


def _link(data: bytes) -> tuple[str, int | None]:
    flags, at = data[1], 2
    hard = not flags & 8 or data[at] == 0
    # The type of the link, its place in the order of creation, and its character set.
    at += (1 if flags & 8 else 0) + (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
    width = 1 << (flags & 3)
    start = at + width
    end = start + int.from_bytes(data[at:start], "little")
    _check(end + 8 if hard else end, data)
    name = data[start:end].decode("utf-8", "replace")
    return name, unpack_from("<Q", data, end)[0] if hard else None


def _attribute(data: bytes) -> tuple[str, Attribute]:
    version, flags, *sizes = unpack_from("<BBHHH", data)
    if version not in (1, 2, 3):
        raise BrokenError(f"an attribute has the version {version}")
    at, parts = 9 if version == 3 else 8, list[bytes]()
    for size in sizes:
        parts.append(data[at : at + size])
        at += size + (-size % 8 if version == 1 else 0)
    name, type_, space = parts
    # Both may be elsewhere.
    if version > 1 and flags & 3:
        type_ = b""
    return name.rstrip(b"\x00").decode("utf-8", "replace"), Attribute(type_, space, data[at:])


def shape_of(space: bytes) -> tuple[int, ...] | None:
    """Return the shape of a dataspace, None if it has no elements and no shape."""
    match space[:1]:
        case b"\x01":
            start = 8
        case b"\x02":
            start = 4
            if space[3] == 2:
                return None
        case _:
            raise BrokenError("a shape is missing")
    return tuple(unpack_from(f"<{space[1]}Q", space, start))


def _check(size: int, data: bytes) -> None:
    if size > len(data):
        raise BrokenError(f"it claims {size:,} bytes where it has {len(data):,}")
