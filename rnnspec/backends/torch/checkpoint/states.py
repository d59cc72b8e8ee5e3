"""The state dict in a file: found in what was saved around it, each array read when it is used."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rnnspec.backends.torch.checkpoint.archive import archive
from rnnspec.backends.torch.checkpoint.pickled import Made
from rnnspec.backends.torch.checkpoint.tensors import TensorError, tensor_of
from rnnspec.errors import UsageError, brief, few
from rnnspec.files.arrays import HeaderError, safetensors_file
from rnnspec.files.regular import opened

if TYPE_CHECKING:
    from pathlib import Path

    from rnnspec.backends.torch.checkpoint.archive import Archive
    from rnnspec.backends.torch.checkpoint.tensors import Tensor
    from rnnspec.slots import Array

_RECURRENT = re.compile(r"(.*\.)?weight_[ih]h(_l[0-9]+)?(_reverse)?")
_DEEPEST = 4
WANTED = "expected a state dict with a recurrent layer (weight_ih_l0, weight_hh_l0, ...)"
_USUAL = ("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network")
"""Keys that usually hold the state dict, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An array of a state dict; ``read`` returns it, bfloat16 as float32.

    ``size`` is the number of bytes of its elements in a file.
    """

    shape: tuple[int, ...]
    floating: bool
    read: Callable[[], Array]
    size: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """The state dict of a model, and the names of what was saved beside it.

    ``others`` are the names in the state dict that have no tensor. ``size`` is that of the file.
    """

    entries: Mapping[str, Entry]
    size: int
    key: str = ""
    beside: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


@contextmanager
def state(path: Path) -> Iterator[State]:
    """Yield the state dict in a file of ``torch.save`` or of safetensors.

    Raises:
        UsageError: the file cannot be read, or has no state dict of recurrent layers, or several.
    """
    if path.suffix.lower() == ".safetensors":
        with opened(path) as (stream, size):
            try:
                stored = safetensors_file(stream, size)[0]
                yield State(
                    {
                        name: Entry(
                            each.shape,
                            each.dtype.kind == "f" or each.type == "BF16",
                            partial(each.view, stream),
                            math.prod(each.shape) * each.dtype.itemsize,
                        )
                        for name, each in stored.items()
                    },
                    size,
                )
            except HeaderError as error:
                raise UsageError(str(error), str(path)) from None
    else:
        with archive(path) as saved:
            try:
                yield _find_state(saved)
            except TensorError as error:
                raise UsageError(str(error), str(path)) from None


def is_state_dict(path: Path) -> bool:
    """Return whether a file of safetensors has the names of a state dict with recurrent layers."""
    try:
        with opened(path) as (stream, size):
            return any(map(_RECURRENT.fullmatch, safetensors_file(stream, size)[0]))
    except (UsageError, HeaderError):
        return False


def _find_state(saved: Archive) -> State:
    if isinstance(saved.content, Made):
        message = (
            f"received an object of class {brief(saved.content.name)}, expected a state dict; "
            "save it with torch.save(model.state_dict(), PATH)"
        )
        raise TensorError(message)
    candidates = dict(_candidates(saved.content, (), set()))
    if not candidates:
        raise TensorError(_nothing(saved.content))
    path = _chosen(candidates)
    beside = [name for name in _keys(saved.content) if name != path[0]] if path else []
    entries = dict(_entries(saved, candidates[path]))
    others = [name for name in _keys(candidates[path]) if name not in entries]
    return State(entries, len(saved.file), _joined(path), tuple(beside), tuple(others))


def _keys(content: Any) -> list[str]:
    return list(content) if isinstance(content, dict) else []


def _nothing(content: Any) -> str:
    if isinstance(content, list) and content and tensor_of(content[0]) is not None:
        return f"{WANTED}, received a list of tensors without names"
    if isinstance(content, dict) and content:
        return f"{WANTED}, received {few(_keys(content))}"
    return f"{WANTED}, received {type(content).__name__}"


def _joined(path: tuple[str, ...]) -> str:
    return ".".join(map(brief, path))


def _chosen(candidates: Mapping[tuple[str, ...], Any]) -> tuple[str, ...]:
    if len(candidates) == 1:
        return next(iter(candidates))
    for path in ((), *((name,) for name in _USUAL)):
        if path in candidates:
            return path
    raise TensorError(f"expected one state dict, received {few(sorted(map(_joined, candidates)))}")


def _candidates(
    content: Any, path: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield the mappings that have arrays of recurrent layers, by the keys that lead to them."""
    # A mapping under many keys of many mappings would take forever.
    if not isinstance(content, dict) or id(content) in seen:
        return
    seen.add(id(content))
    if any(map(_RECURRENT.fullmatch, content)):
        yield path, content
    elif len(path) < _DEEPEST:
        # The keys are not joined here: one of them can be as long as the file.
        for name, inner in content.items():
            yield from _candidates(inner, (*path, name), seen)


def _entries(saved: Archive, found: Mapping[str, Any]) -> Iterator[tuple[str, Entry]]:
    for name, value in found.items():
        try:
            tensor = tensor_of(value)
        except TensorError as error:
            raise TensorError(f"{brief(name)}: {error}") from None
        if tensor is not None:
            read = partial(_read, saved, name, tensor)
            yield name, Entry(tensor.shape, tensor.floating, read, tensor.size)


def _read(saved: Archive, name: str, tensor: Tensor) -> Array:
    try:
        return tensor.array(saved.storage(tensor.key))
    except TensorError as error:
        raise TensorError(f"{brief(name)}: {error}") from None
