"""HDF5 files read as data: hard links alone, nothing outside the file, no more than it holds."""

from __future__ import annotations

import contextlib
import math
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.keras.foreign.stored.arrays import Stored
from rnnspec.backends.keras.foreign.stored.trial import begun
from rnnspec.errors import BackendError, UsageError, brief

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rnnspec.backends.keras.foreign.stored.trial import Trial
    from rnnspec.slots import Array

_LARGEST_ATTRIBUTE = 2**26
_MOST_NAMES = 100_000
_DEEPEST = 8
_RATIO = 1_100
"""The most that deflate can compress; more is a file that claims numbers it does not hold."""


class Hdf5:
    """An open HDF5 file; ``path`` names it in errors."""

    def __init__(self, path: Path, root: Any) -> None:
        self.path = path
        self.root = root
        self._count = 0

    def wrong(self, message: str) -> UsageError:
        """Return the error that the file is not as expected."""
        return UsageError(message, str(self.path))

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what h5py raises over a broken file into UsageError."""
        try:
            yield
        except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
            message = f"expected an HDF5 file, received another or a broken one: {brief(error)}"
            raise self.wrong(message) from error

    def attribute(self, group: Any, name: str) -> Any:
        """Return an attribute as text, a list of texts, or None if there is none."""
        with self.reading():
            return self._attribute(group, name)

    def _attribute(self, group: Any, name: str) -> Any:
        if name not in group.attrs:
            return None
        held = group.attrs.get_id(name)
        # Text of variable length is as long as the file has it.
        if math.prod(held.shape or ()) * held.dtype.itemsize > _LARGEST_ATTRIBUTE:
            raise self.wrong(f"attribute {name}: expected at most {_LARGEST_ATTRIBUTE:,} bytes")
        value = group.attrs[name]
        if isinstance(value, np.ndarray):
            return [_text(each) for each in value.ravel().tolist()]
        return _text(value)

    def states(self, group: Any, *names: str) -> bool:
        """Return whether a group has one of these attributes."""
        with self.reading():
            return any(name in group.attrs for name in names)

    def names(self, group: Any, attribute: str) -> list[str]:
        """Return a list of names, which Keras splits if it is long (``layer_names0``, ...)."""
        found = self.attribute(group, attribute)
        if found is None:
            found, at = [], 0
            while isinstance(part := self.attribute(group, f"{attribute}{at}"), list):
                found, at = found + part, at + 1
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise self.wrong(f"attribute {attribute}: expected a list of names")
        return found

    def inside(self, group: Any, path: str) -> Any | None:
        """Return what ``path`` leads to from a group, or None; links to elsewhere are refused."""
        with self.reading():
            return self._inside(group, path)

    def _inside(self, group: Any, path: str) -> Any | None:
        import h5py

        found = group
        for part in filter(None, path.split("/")):
            if not isinstance(found, h5py.Group) or part in (".", ".."):
                return None
            link = found.get(part, getlink=True)
            if link is None:
                return None
            if not isinstance(link, h5py.HardLink):
                raise self.wrong(f"{path}: expected a group or an array, received a link")
            found = found[part]
        return found

    def stored(self, found: Any, name: str) -> Stored:
        """Return an array, which is read later.

        Raises:
            UsageError: it is none of floating-point numbers, or claims more than the file holds.
        """
        with self.reading():
            return self._stored(found, name)

    def _stored(self, found: Any, name: str) -> Stored:
        import h5py

        if not isinstance(found, h5py.Dataset) or found.shape is None:
            raise self.wrong(f"{name}: expected an array, received another object")
        if found.dtype.kind != "f":
            raise self.wrong(f"{name}: expected floating-point numbers, received {found.dtype}")
        if found.is_virtual or found.external:
            raise self.wrong(f"{name}: expected an array in this file, received one elsewhere")
        size = math.prod(found.shape) * found.dtype.itemsize
        held = found.id.get_storage_size()
        if size > held and (found.chunks is None or size > held * _RATIO):
            raise self.wrong(
                f"{name}: expected {size:,} bytes for {found.shape}, received {held:,}"
            )

        def read() -> Array:
            with self.reading():
                array: Array = found[()]
            return array

        return Stored(name, tuple(map(int, found.shape)), read)

    def arrays(self, group: Any, path: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
        """Yield the path and the array of everything below a group."""
        import h5py

        with self.reading():
            keys = list(islice(group, _MOST_NAMES))
        for key in keys:
            self._count += 1
            if self._count > _MOST_NAMES or depth > _DEEPEST:
                raise self.wrong(f"{path}: expected fewer names or levels, received a cycle")
            inner = f"{path}/{key}" if path else key
            found = self.inside(group, key)
            if isinstance(found, h5py.Group):
                yield from self.arrays(found, inner, depth + 1)
            elif found is not None:
                yield inner, found


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


@contextmanager
def opened(path: Path, tried: Trial | None, inside: Path | None = None) -> Iterator[Hdf5]:
    """Yield an open file.

    Args:
        path: the file, for messages.
        tried: the trial of the file; None if it has not begun.
        inside: where the file is if it was unpacked from ``path``.

    Raises:
        BackendError: h5py is not installed.
        UsageError: it is no HDF5 file, or a broken one.
    """
    try:
        import h5py
    except ImportError as error:
        raise BackendError("HDF5 files are read with h5py: pip install h5py") from error
    made = Hdf5(path, None)
    with contextlib.ExitStack() as stack:
        trial = tried or stack.enter_context(begun(inside or path))
        if trial is None:
            raise made.wrong("expected an HDF5 file, received another or a broken one: an archive")
        if problem := trial.problem():
            raise made.wrong(problem)
        with made.reading():
            made.root = stack.enter_context(h5py.File(inside or path, "r"))
        yield made
