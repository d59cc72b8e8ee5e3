"""HDF5 files read as data: hard links alone, nothing outside the file, no more than it holds."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.errors import BackendError, UsageError, brief
from rnnspec.importing.keras.hdf5.stream import BrokenError, Stream
from rnnspec.version import ways_to_install

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from rnnspec.backends.slots import Array
    from rnnspec.importing.keras.hdf5.objects import Dataset, Group

_MOST_NAMES = 100_000
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class StoredArray:
    """An array in a file: its name there, and its shape; ``read`` returns it."""

    name: str
    shape: tuple[int, ...]
    read: Callable[[], Array]


class Hdf5:
    """An open HDF5 file.

    Args:
        path: the file, for messages.
        stream: its bytes.
        size: their number.
        whole: the size of the file at ``path``, from which the bytes may have been unpacked.

    Raises:
        BackendError: pyfive is not installed.
        UsageError: it is no HDF5 file, or a broken one.
    """

    def __init__(self, path: Path, stream: BinaryIO | bytearray, size: int, whole: int) -> None:
        try:
            from rnnspec.importing.keras.hdf5.objects import Objects
        except ImportError as error:
            ways = ways_to_install("import", "pyfive")
            raise BackendError(f"HDF5 files are read with pyfive: {ways}") from error
        self.path = path
        self._count = 0
        with self._reading():
            self._objects = Objects(Stream(stream, size, whole))
            self.root = self._objects.root()

    def wrong(self, message: str) -> UsageError:
        """Return the error that the file is not as expected."""
        return UsageError(message, str(self.path))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn what pyfive raises over a broken file into UsageError."""
        try:
            yield
        except UsageError:
            raise
        # pyfive lets out what broken bytes make of unpack, decode, lookups and assertions.
        except Exception as error:
            told = isinstance(error, BrokenError | NotImplementedError | OSError)
            reason = f": {brief(error)}" if told and str(error) else ""
            message = f"expected an HDF5 file, received another or a broken one{reason}"
            raise self.wrong(message) from error

    def attribute(self, group: Group, name: str) -> str | list[str] | None:
        """Return an attribute as text or a list of texts, or None if there is none."""
        if name not in group.attributes:
            return None
        with self._reading():
            text = self._objects.text(group.attributes[name])
        if text is None:
            raise self.wrong(f"attribute {name}: expected text")
        return text

    def states(self, group: Group, *names: str) -> bool:
        """True if a group has one of these attributes."""
        return any(name in group.attributes for name in names)

    def names(self, group: Group, attribute: str) -> list[str]:
        """Return a list of names, which Keras splits if it is long (``layer_names0``, ...)."""
        names = self.attribute(group, attribute)
        if names is None:
            names, at = [], 0
            while isinstance(part := self.attribute(group, f"{attribute}{at}"), list):
                names, at = names + part, at + 1
        if not isinstance(names, list):
            raise self.wrong(f"attribute {attribute}: expected a list of names")
        return names

    def inside(self, group: Group, path: str) -> Group | Dataset | None:
        """Return the item at ``path`` from a group, or None; links to elsewhere are refused."""
        from rnnspec.importing.keras.hdf5.objects import Group

        item: Group | Dataset | None = group
        for part in filter(None, path.split("/")):
            if not isinstance(item, Group) or part not in item.links:
                return None
            item = self._at(item.links[part], path)
        return item

    def _at(self, address: int | None, path: str) -> Group | Dataset | None:
        if address is None:
            raise self.wrong(f"{path}: expected a group or an array, received a link")
        with self._reading():
            return self._objects.at(address)

    def group(self, group: Group, path: str) -> Group | None:
        """Return the group that ``path`` leads to from another one, or None."""
        from rnnspec.importing.keras.hdf5.objects import Group

        item = self.inside(group, path)
        if item is None or isinstance(item, Group):
            return item
        raise self.wrong(f"{path}: expected a group, received an array")

    def array(self, item: Group | Dataset, name: str) -> StoredArray:
        """Return an array, which is read later.

        Raises:
            UsageError: it is none of floating-point numbers, or claims more than the file holds.
        """
        from rnnspec.importing.keras.hdf5.datasets import UnreadableError, numbers_of
        from rnnspec.importing.keras.hdf5.objects import Dataset

        if not isinstance(item, Dataset):
            raise self.wrong(f"{name}: expected an array, received another object")
        with self._reading():
            try:
                numbers = numbers_of(self._objects.stream, item)
            except UnreadableError as error:
                raise self.wrong(f"{name}: {error}") from None

        def read() -> Array:
            with self._reading():
                return numbers.read()

        return StoredArray(name, numbers.shape, read)

    def arrays(self, group: Group, path: str, depth: int = 0) -> Iterator[tuple[str, Dataset]]:
        """Yield the path and the array of everything below a group."""
        from rnnspec.importing.keras.hdf5.objects import Group

        for key, address in group.links.items():
            self._count += 1
            if self._count > _MOST_NAMES or depth > _DEEPEST:
                raise self.wrong(f"{path}: expected fewer names or levels, received a cycle")
            inner = f"{path}/{key}" if path else key
            with self._reading():
                self._objects.stream.charge(len(inner))
            item = self._at(address, inner)
            if isinstance(item, Group):
                yield from self.arrays(item, inner, depth + 1)
            elif item is not None:
                yield inner, item
