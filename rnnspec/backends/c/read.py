"""Reading of C source that rnnspec wrote, as text: nothing is compiled or run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnspec.backends.c.filled import arrays_in, empty, join, spec_in
from rnnspec.backends.kept import NamedArrays, Reader
from rnnspec.errors import UsageError
from rnnspec.files.regular import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rnnspec.backends.kept import Kept
    from rnnspec.ir.nodes import Network
    from rnnspec.slots import Array

_MOST_BYTES = 2**28
"""No source that rnnspec writes is larger."""


@dataclass(frozen=True, slots=True)
class SavedSource:
    """Source with the numbers of its arrays."""

    path: Path
    text: str
    tool: str = "C source of rnnspec, with the spec in it"
    form: str = ""
    left_out: tuple[str, ...] = ()

    def gather(self, gather: Callable[[Kept], Mapping[str, Array]]) -> Mapping[str, Array]:
        """Return the canonical arrays.

        Raises:
            UsageError: they are others, or no numbers.
        """
        try:
            arrays = arrays_in(self.text)
        except ValueError as error:
            raise UsageError(f"expected numbers in its arrays: {error}", str(self.path)) from None
        return gather(NamedArrays({f"{layer}.{path}": each for (layer, path), each in arrays.items()}))

    def problem(self, text: str, fresh: Callable[[], Any]) -> str:  # noqa: ARG002
        """Return why this is not the source of a spec but for its numbers, empty if it is."""
        changed = "it was changed, or another version of rnnspec wrote it"
        return "" if empty(self.text) == text else f"it is not the source of the spec: {changed}"

    def unlike(self, text: str, fresh: Callable[[], Any]) -> tuple[str, ...]:  # noqa: ARG002
        """Return no reason: it is source of ours."""
        return ()


def recognises(path: Path) -> bool:
    """Return whether a path is a header, or a folder with one."""
    return path.suffix == ".h" if path.is_file() else bool(list(path.glob("*.h")))


def files(path: Path) -> tuple[Path, ...]:
    """Return the header, and the source beside it if there is one.

    Raises:
        UsageError: a folder has several headers.
    """
    headers = [path] if path.is_file() else sorted(path.glob("*.h"))
    if len(headers) != 1:
        raise UsageError(f"expected one header, received {len(headers)}", str(path))
    source = headers[0].with_suffix(".c")
    return (headers[0], source) if source.exists() else (headers[0],)


def _text(path: Path) -> str:
    header, *source = map(_read, files(path))
    return join(header, source[0], files(path)[0].stem) if source else header


def _read(path: Path) -> str:
    with opened(path) as (stream, size):
        if size > _MOST_BYTES:
            raise UsageError(f"expected at most {_MOST_BYTES:,} bytes, received {size:,}", str(path))
        return stream.read().decode("utf-8", "replace")


def spec_text(path: Path) -> str:
    """Return the text of the spec in the source."""
    return spec_in(_text(path))


def saved(path: Path, network: Network) -> SavedSource:  # noqa: ARG001 - the text says enough
    """Return the source in a file or a folder."""
    return SavedSource(path, _text(path))


READER = Reader(recognises=recognises, files=files, spec_text=spec_text, saved=saved)
