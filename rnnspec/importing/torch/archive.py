"""The files of ``torch.save``: their two formats, and the tensors in them."""

from __future__ import annotations

import math
import mmap
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.errors import UsageError, brief
from rnnspec.files.regular import opened
from rnnspec.importing.torch.pickled import Global, Made, Persistent, PickleError, read_pickle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from rnnspec.backends.slots import Array


BFLOAT16 = "bfloat16"
_TYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
    "float32": "<f4",
    "float64": "<f8",
    "float16": "<f2",
    BFLOAT16: BFLOAT16,
}
"""NumPy's type for each storage class and dtype of PyTorch."""

_MOST_AXES = 16
_LARGEST = 2**48
_REBUILD = "torch._utils._rebuild_tensor"
_PARAMETERS = (
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
)


class TensorError(Exception):
    """A tensor that cannot be read; the text says what was expected and received."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A view of a storage: ``offset``, ``shape`` and ``stride`` count elements, not bytes."""

    key: str
    type: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def floating(self) -> bool:
        """True if its numbers are floating-point numbers."""
        return self.type == BFLOAT16 or np.dtype(self.type).kind == "f"

    @property
    def size(self) -> int:
        """The number of bytes of its elements."""
        return math.prod(self.shape) * item_size(self.type)

    def array(self, storage: memoryview) -> Array:
        """Return the array, bfloat16 as float32; ``storage`` has the bytes of the whole storage.

        Raises:
            TensorError: the storage is too short for it, or has fewer elements than it.
        """
        dtype = np.dtype("<u2" if self.type == BFLOAT16 else self.type)
        last = sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        needed = (self.offset + last + 1) * dtype.itemsize if math.prod(self.shape) else 0
        # With a stride of 0 the last element is near, however many there are.
        if max(needed, self.size) > len(storage):
            way_out = "; save a copy of it: tensor.clone()" if needed <= len(storage) else ""
            message = (
                f"expected at least {max(needed, self.size):,} bytes of numbers, "
                f"received {len(storage):,}{way_out}"
            )
            raise TensorError(message)
        strides = tuple(step * dtype.itemsize for step in self.stride)
        start = self.offset * dtype.itemsize if needed else 0
        array: Array = np.ndarray(self.shape, dtype, storage, start, strides)
        if self.type == BFLOAT16:
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array


def tensor_of(value: Any) -> StoredTensor | None:
    """Return the tensor that an object of a pickle stands for, or None.

    Raises:
        TensorError: it stands for a tensor of an unknown type or of an impossible shape.
    """
    # Once, because a parameter has a tensor and no other parameter.
    if isinstance(value, Made) and value.name in _PARAMETERS and value.args:
        value = value.args[0]
    match value:
        case Made(name="torch._utils._rebuild_tensor_v3", args=args) if len(args) >= 7:
            stored, offset, shape, stride, _, _, dtype = args[:7]
            return _tensor(stored, dtype, offset, shape, stride)
        case Made(name=name, args=(stored, offset, shape, stride, *_)) if name in (
            _REBUILD,
            f"{_REBUILD}_v2",
        ):
            return _tensor(stored, None, offset, shape, stride)
        case Made(name=name) if name.startswith("torch._utils._rebuild"):
            raise TensorError(f"expected a dense tensor of numbers, received {name}")
        case _:
            return None


def _tensor(stored: Any, dtype: Any, offset: Any, shape: Any, stride: Any) -> StoredTensor:
    match stored:
        case Persistent(id=("storage", Global() as kind, str() as key, *_)):
            type_ = storage_type(dtype if isinstance(dtype, Global) else kind)
        case _:
            raise TensorError("expected the storage of a tensor, received another object")
    sizes, steps = tuple(_sizes(shape)), tuple(_sizes(stride))
    if len(sizes) != len(steps) or not _is_size(offset):
        raise TensorError("expected a tensor with as many strides as axes")
    # Without its empty axes, which NumPy does not consider either.
    if math.prod(max(size, 1) for size in sizes) >= _LARGEST:
        raise TensorError("expected the shape of a tensor that fits in memory")
    return StoredTensor(key, type_, offset, sizes, steps)


def item_size(type_: str) -> int:
    """Return the bytes of one element."""
    return 2 if type_ == BFLOAT16 else np.dtype(type_).itemsize


def storage_type(kind: Global) -> str:
    """Return NumPy's type for a storage class or a dtype.

    Raises:
        TensorError: NumPy has none.
    """
    type_ = _TYPES.get(kind.name.rpartition(".")[2])
    if type_ is None:
        raise TensorError(f"expected numbers that NumPy has, received {kind.name}")
    return type_


def _sizes(value: Any) -> Iterator[int]:
    if isinstance(value, Made):  # torch.Size((2, 3))
        value = value.args[0] if value.args else ()
    if not isinstance(value, tuple) or len(value) > _MOST_AXES or not all(map(_is_size, value)):
        raise TensorError("expected the shape of a tensor, a tuple of integers of at least 0")
    yield from value


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


_MAGIC = 0x1950A86A20F9469CFC6C
_LONGEST_PICKLE = 2**28
_FREE_PICKLE = 2**20
MOST_TIMES, FREE = 8, 2**26
"""The most bytes that are read: so many times the size of the file, and so many more."""
_ZIP = b"PK\x03\x04"
_LOCAL_HEADER = struct.Struct("<4s22xHH")


@dataclass(frozen=True, slots=True)
class Archive:
    """The object that was saved, as data, and the bytes of each storage by its key."""

    content: Any
    storages: Mapping[str, memoryview]
    file: mmap.mmap

    def storage(self, key: str) -> memoryview:
        """Return the bytes of a storage; those that were read before leave the memory.

        Raises:
            TensorError: there is no such storage.
        """
        if hasattr(self.file, "madvise"):  # not on Windows
            self.file.madvise(mmap.MADV_DONTNEED)
        try:
            return self.storages[key]
        except LookupError:
            raise TensorError(f"expected the storage {brief(key)}, which is missing") from None


@contextmanager
def archive(path: Path) -> Iterator[Archive]:
    """Yield the archive of ``torch.save`` in a file; its storages are read when they are used.

    Raises:
        UsageError: the file cannot be read, or is none of PyTorch's formats.
    """
    with opened(path) as (stream, size):
        if not size:
            raise UsageError("expected a checkpoint of PyTorch, received an empty file", str(path))
        # Arrays that are still in use keep the mapping open.
        file = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        view = memoryview(file)
        try:
            zipped = bytes(view[:4]) == _ZIP
            content, storages = _read_zip(stream, view) if zipped else _read_pickles(file, view)
        except MemoryError:  # no fault of the file, whose parts are no larger than it
            raise
        # Besides BadZipFile, zipfile lets out what broken headers lead to.
        except Exception as error:
            message = f"expected a checkpoint of PyTorch: {brief(error)}"
            raise UsageError(message, str(path)) from error
        yield Archive(content, storages, file)


Parts = tuple[Any, Mapping[str, memoryview]]
"""The object that was saved, and the bytes of each storage by its key."""


def _read_zip(stream: BinaryIO, view: memoryview) -> Parts:
    with zipfile.ZipFile(stream) as members:
        infos = {info.filename: info for info in members.infolist()}
        if len(infos) < len(members.infolist()):  # readers differ in which of two they take
            raise PickleError("expected members with a name each, received two of one name")
        pickles = [name for name in infos if name.endswith("/data.pkl") or name == "data.pkl"]
        if any("/code/" in name or name.endswith("constants.pkl") for name in infos):
            message = "received a TorchScript program; save the state_dict() of its module instead"
            raise PickleError(message)
        if len(pickles) != 1:
            raise PickleError("received a zip archive that torch.save did not write")
        root = pickles[0].removesuffix("data.pkl")
        parts = _Members(view, MOST_TIMES * len(view) + FREE)
        order = infos.get(f"{root}byteorder")
        if order is not None and bytes(parts.read(order)[:16]).strip() != b"little":
            raise PickleError("expected little-endian numbers, received big-endian ones")
        pickle = infos[pickles[0]]
        # Each opcode takes a hundred times its size in memory, so a pickle may not grow much.
        longest = min(_LONGEST_PICKLE, pickle.compress_size + _FREE_PICKLE)
        if pickle.file_size > longest:
            raise PickleError(f"expected a pickle of at most {longest:,} bytes")
        content = read_pickle(BytesIO(parts.read(pickle)))
        start = f"{root}data/"
        storages = {
            name.removeprefix(start): parts.read(info)
            for name, info in infos.items()
            if name.startswith(start)
        }
    return content, storages


@dataclass(slots=True)
class _Members:
    """The members of a zip archive; ``left`` is how many bytes may still be inflated."""

    view: memoryview
    left: int

    def read(self, info: zipfile.ZipInfo) -> memoryview:
        """Return the bytes of a member, a part of the file if it is not compressed."""
        head = self.view[info.header_offset : info.header_offset + _LOCAL_HEADER.size]
        magic, name, extra = _LOCAL_HEADER.unpack(head)
        start = info.header_offset + _LOCAL_HEADER.size + name + extra
        stored = info.compress_type == zipfile.ZIP_STORED
        length = info.file_size if stored else info.compress_size
        content = self.view[start : start + length]
        if magic != _ZIP or len(content) != length:
            raise PickleError(f"member {brief(info.filename)} is cut short")
        return content if stored else self._inflate(content, info)

    def _inflate(self, packed: memoryview, info: zipfile.ZipInfo) -> memoryview:
        # torch.save compresses nothing, but torch.load reads what others have compressed since.
        if info.compress_type != zipfile.ZIP_DEFLATED:
            raise PickleError(f"member {brief(info.filename)} is compressed in an unknown way")
        self.left -= info.file_size
        if self.left < 0:
            raise PickleError("its members are too large for the size of the file")
        # One more than declared, as 0 would be no limit.
        content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, info.file_size + 1)
        if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
            raise PickleError(f"member {brief(info.filename)} is broken")
        return memoryview(content)


def _read_pickles(stream: mmap.mmap, view: memoryview) -> Parts:
    if read_pickle(stream) != _MAGIC:
        raise PickleError("received a pickle that torch.save did not write")
    for _ in range(2):  # the protocol's version, and what system wrote the file
        read_pickle(stream)
    stored = list[Any]()
    content = read_pickle(stream, stored)
    keys = read_pickle(stream)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise PickleError("expected the keys of the storages, a list of strings")
    # The size of an element is in the pickle alone, at the tensors that use a storage.
    sizes = dict(_element_sizes(stored))
    storages, at = dict[str, memoryview](), stream.tell()
    for key in keys:
        (number,) = struct.unpack("<q", view[at : at + 8])
        length = number * sizes.get(key, 4)
        storages[key] = view[at + 8 : at + 8 + length]
        if number < 0 or len(storages[key]) != length:
            raise PickleError("a storage is cut short")
        at += 8 + length
    return content, storages


def _element_sizes(persistent: list[Any]) -> Iterator[tuple[str, int]]:
    for reference in persistent:
        match reference:
            case ("storage", Global() as kind, str() as key, *_):
                yield key, item_size(storage_type(kind))
            case _:  # the source of a pickled module
                continue
