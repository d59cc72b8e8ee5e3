"""Reading of C source that rnnspec wrote, as text: nothing is compiled or run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnspec.backends.c.arrays import declared_arrays
from rnnspec.backends.c.filled import arrays_in, empty, join, spec_in
from rnnspec.backends.contract import SourceOptions
from rnnspec.backends.kept import NamedArrays, Reader
from rnnspec.errors import UsageError
from rnnspec.files.regular import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rnnspec.backends.kept import Kept
    from rnnspec.ir.nodes import Network
    from rnnspec.slots import Array

_TARGET = re.compile(r"^ \* Target: ([\w-]+)\.$", re.MULTILINE)
_MOST_STEPS = re.compile(r"^#define \w+_MAX_STEPS (\d{1,9})\b", re.MULTILINE)
_MOST_BYTES = 2**28
"""No source that rnnspec writes is larger."""


@dataclass(frozen=True, slots=True)
class SavedSource:
    """Source with the numbers of its arrays."""

    path: Path
    text: str
    form: str
    options: SourceOptions
    tool: str = "C source of rnnspec, with the spec in it"
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
        return gather(
            NamedArrays({f"{layer}.{path}": each for (layer, path), each in arrays.items()})
        )

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
    """Return the source and the header, or the header if it has everything.

    Raises:
        UsageError: a folder has several headers.
    """
    headers = [path] if path.is_file() else sorted(path.glob("*.h"))
    if len(headers) != 1:
        raise UsageError(f"expected one header, received {len(headers)}", str(path))
    source = headers[0].with_suffix(".c")
    return (source, headers[0]) if source.exists() else (headers[0],)


def _text(path: Path) -> str:
    *source, header = files(path)
    text = _read(header)
    return join(text, _read(source[0]), header.stem) if source else text


def _read(path: Path) -> str:
    with opened(path) as (stream, size):
        if size > _MOST_BYTES:
            raise UsageError(
                f"expected at most {_MOST_BYTES:,} bytes, received {size:,}", str(path)
            )
        return stream.read().decode("utf-8", "replace")


def spec_text(path: Path) -> str:
    """Return the text of the spec in the source."""
    return spec_in(_text(path))


def saved(path: Path, network: Network) -> SavedSource:
    """Return the source in a file or a folder."""
    text = _text(path)
    if any(stored.rounded for stored in declared_arrays(text).values()):
        message = (
            "expected exact arrays, received arrays rounded to int8; import the model that it was "
            "quantized from"
        )
        raise UsageError(message, str(path))
    target, most = _TARGET.search(text), _MOST_STEPS.search(text)
    is_open = network.input.steps is None
    options = SourceOptions(
        target=target[1] if target else None,
        max_steps=int(most[1]) if most and is_open else None,
    )
    return SavedSource(path, text, "inference" if most else "step", options)


READER = Reader(recognises=recognises, files=files, spec_text=spec_text, saved=saved)
