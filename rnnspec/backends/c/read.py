"""Reading of C source that rnnspec wrote, as data: no text of a file is compiled or run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

from rnnspec.backends.c.arrays import stored_arrays
from rnnspec.backends.c.backend import TARGETS
from rnnspec.backends.c.filled import (
    arrays_in,
    fill,
    recorded_in,
    spec_in,
    split,
    unpack_blob,
    version_in,
)
from rnnspec.backends.c.source import Blob, CSource
from rnnspec.backends.c.steps import free_lengths
from rnnspec.backends.contract import SourceOptions
from rnnspec.backends.model_files import FileReader, NamedArrays
from rnnspec.errors import UsageError, brief
from rnnspec.files.regular import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rnnspec.backends.model_files import Gather
    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Network
    from rnnspec.slots import Array
    from rnnspec.source.code import Source

Key = TypeVar("Key")

_WHOLE = re.compile(r"\n#ifdef \w+_IMPLEMENTATION\n", re.ASCII)
_TARGET = re.compile(r"\n \* Target: ([\w-]+)\.\n", re.ASCII)
_RUN = re.compile(r"\nint \w+_run\(", re.ASCII)
_ROUNDED = re.compile(
    r"\n(?:(?:\w+_ALIGNED )?static const |#define \w+ \(\(const )int8_t ", re.ASCII
)
_IN_BLOB = re.compile(r"\nextern const float \w+_blob\[", re.ASCII)
_MOST_BYTES = 2**28
"""No source that rnnspec writes is larger."""


@dataclass(frozen=True, eq=False)
class SavedSource:
    """Source with the numbers of its arrays, in one file or two.

    ``texts`` are those of the files by their paths, with the implementation in the last one.
    ``blob`` is the file with the arrays if they are not in the text.
    """

    network: Network
    texts: Mapping[Path, str]
    form: Form
    options: SourceOptions
    blob: Path | None = None
    tool: str = "C source of rnnspec, with the spec in it"
    left_out: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def gather(self, gather: Gather) -> Mapping[str, Array]:
        """Return the canonical arrays.

        Raises:
            UsageError: they are others, or no numbers.
        """
        arrays = self._arrays.items()
        return gather(NamedArrays({f"{layer}.{path}": array for (layer, path), array in arrays}))

    @cached_property
    def _arrays(self) -> dict[tuple[str, str], Array]:
        if self.blob:
            return self._arrays_in(self.blob)
        layout = stored_arrays(self.network, self.options.get("target", TARGETS[0]))
        return self._numbers(lambda filled: arrays_in(filled, layout))

    def _arrays_in(self, blob: Path) -> dict[tuple[str, str], Array]:
        """Return the canonical arrays in the file beside the source."""
        layout = tuple(stored_arrays(self.network, self.options.get("target", TARGETS[0])))
        with opened(blob) as (stream, size):
            if size != (expected := Blob.of(layout).size):
                message = f"expected {expected:,} bytes, received {size:,}"
                raise UsageError(f"{message}: it is not of the source beside it", str(blob))
            return unpack_blob(stream.read(), layout)

    def _numbers(self, read: Callable[[str], dict[Key, Array]]) -> dict[Key, Array]:
        path, filled = list(self.texts.items())[-1]
        try:
            return read(filled)
        except ValueError as error:
            raise UsageError(f"expected the numbers of its arrays: {error}", str(path)) from None

    def written(self, text: str, source: Source) -> str:
        """Return source with the numbers and the spec of the files.

        Raises:
            UsageError: the files have no such arrays.
        """
        assert isinstance(source, CSource)
        recorded = self._numbers(lambda filled: recorded_in(filled, source))
        texts = list(self.texts.values())
        return fill(
            text, source, self._arrays, recorded, spec_in(texts[-1]), version=version_in(texts[0])
        )

    def problem(self, text: str, fresh: Callable[[], Any]) -> str:  # noqa: ARG002
        """Return the first line in which the files differ from what is written, if there is one.

        Every byte is compared: the text that is compiled is the one that was written anew, and it
        is that of the files.
        """
        parts = split(text, self.network.name) if len(self.texts) > 1 else (text,)
        for (path, received), expected in zip(self.texts.items(), parts, strict=True):
            if received != expected:
                place = f"{path.name}, " if len(parts) > 1 else ""
                return place + _first_difference(expected, received)
        return ""

    def unlike(self, text: str, fresh: Callable[[], Any]) -> tuple[str, ...]:  # noqa: ARG002
        """Return no reason: it is source of ours."""
        return ()


def _first_difference(expected: str, received: str) -> str:
    lines = zip_longest(expected.split("\n"), received.split("\n"))
    number, (one, other) = next(
        (number, pair) for number, pair in enumerate(lines, 1) if pair[0] != pair[1]
    )
    texts = [repr(brief(line)) if line else "no text" for line in (one, other)]
    return (
        f"line {number}: expected {texts[0]}, received {texts[1]}: it is not the source of "
        "the spec in it; it was changed, or another version of rnnspec wrote it"
    )


def recognises(path: Path) -> bool:
    """True if a path is a header, or a folder with one."""
    return any(path.glob("*.h")) if path.is_dir() else path.suffix == ".h"


def files(path: Path) -> tuple[Path, ...]:
    """Return the source and the header, behind the arrays, or the header if it has everything.

    Raises:
        UsageError: a folder has several headers.
    """
    headers = sorted(path.glob("*.h")) if path.is_dir() else [path]
    if len(headers) != 1:
        raise UsageError(f"expected one header, received {len(headers)}", str(path))
    source = headers[0].with_suffix(".c")
    blob = source.with_suffix(".bin")
    beside = [blob] if blob.exists() and source.exists() else []
    return (*beside, source, headers[0]) if source.exists() else (headers[0],)


def _texts(path: Path) -> dict[Path, str]:
    """Return the text of the header, and of the source if it has the implementation."""
    *source, header = (each for each in files(path) if each.suffix != ".bin")
    texts = {header: _read(header)}
    # A header that has everything may be beside the source that includes it.
    if _WHOLE.search(texts[header]):
        return texts
    return texts | {path: _read(path) for path in source}


def _read(path: Path) -> str:
    with opened(path) as (stream, size):
        if size > _MOST_BYTES:
            raise UsageError(
                f"expected at most {_MOST_BYTES:,} bytes, received {size:,}", str(path)
            )
        content = stream.read(_MOST_BYTES)
    try:
        # Git may write other line endings when it checks out a file.
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"expected text in UTF-8, received other bytes: {error}", str(path)
        ) from None


def spec_text(path: Path) -> str:
    """Return the text of the spec in the source."""
    return spec_in(list(_texts(path).values())[-1])


def saved(path: Path, network: Network) -> SavedSource:
    """Return the source in a file or a folder.

    What it says of its form and options is taken at its word: other source would be another text.
    """
    texts = _texts(path)
    if any(_ROUNDED.search(text) for text in texts.values()):
        message = (
            "expected exact arrays, received arrays rounded to int8; import the model that it was "
            "quantized from"
        )
        raise UsageError(message, str(path))
    interface = next(iter(texts.values())).partition("\n#ifdef __cplusplus\n")
    # A description, which comes before the target, may have such a line.
    targets = [name for name in _TARGET.findall(interface[0]) if name in TARGETS]
    options: dict[str, str | int] = {}
    if targets:
        options["target"] = targets[-1]
    form: Form = "inference" if _RUN.search(interface[2]) else "step"
    for length in free_lengths(network, form)[:1]:
        constant = rf"\n#define \w+_{length.prefix}MAX_STEPS +(\d{{1,9}}) "
        if most := re.search(constant, interface[2], re.ASCII):
            options["max_steps"] = int(most[1])
    blob = None
    if _IN_BLOB.search(list(texts.values())[-1]):
        options["weights"], blob = "blob", files(path)[0]
        if blob.suffix != ".bin":
            raise UsageError(
                "expected the file of arrays beside it, received none",
                str(blob.with_suffix(".bin")),
            )
    return SavedSource(network, texts, form, options, blob)


READER = FileReader(recognises=recognises, files=files, spec_text=spec_text, saved=saved)
