"""Tensors of a checkpoint: where their numbers are in the file, and the array they make."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.torch.checkpoint.pickled import Global, Made, Persistent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.slots import Array

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
class Tensor:
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
        found: Array = np.ndarray(self.shape, dtype, storage, start, strides)
        if self.type == BFLOAT16:
            return (found.astype(np.uint32) << 16).view(np.float32)
        return found


def tensor_of(value: Any) -> Tensor | None:
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


def _tensor(stored: Any, dtype: Any, offset: Any, shape: Any, stride: Any) -> Tensor:
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
    return Tensor(key, type_, offset, sizes, steps)


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
