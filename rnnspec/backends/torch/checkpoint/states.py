"""The state dict in a file: found in what was saved around it, each array read when it is used."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rnnspec.backends.torch.checkpoint.archive import archive
from rnnspec.backends.torch.checkpoint.pickled import Made
from rnnspec.backends.torch.checkpoint.tensors import TensorError, tensor_of
from rnnspec.errors import UsageError, brief, listed
from rnnspec.files.headers import HeaderError, safetensors_file
from rnnspec.files.regular import opened

if TYPE_CHECKING:
    from pathlib import Path

    from rnnspec.backends.torch.checkpoint.archive import Archive
    from rnnspec.slots import Array

_RECURRENT = re.compile(r"(.*\.)?weight_[ih]h(_l\d+)?(_reverse)?")
_DEEPEST = 4
_USUAL = ("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network")
"""Keys that usually hold the state dict, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An array of a state dict; ``read`` returns it, bfloat16 as float32."""

    shape: tuple[int, ...]
    floating: bool
    read: Callable[[], Array]


@dataclass(frozen=True, slots=True)
class State:
    """The state dict of a model, and the names of what was saved beside it.

    ``others`` are the names in the state dict that have no tensor.
    """

    entries: Mapping[str, Entry]
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
                        )
                        for name, each in stored.items()
                    }
                )
            except HeaderError as error:
                raise UsageError(str(error), str(path)) from None
    else:
        with archive(path) as saved:
            try:
                yield _found(saved)
            except TensorError as error:
                raise UsageError(str(error), str(path)) from None


def is_state_dict(path: Path) -> bool:
    """Return whether a file of safetensors has the names of a state dict with recurrent layers."""
    try:
        with opened(path) as (stream, size):
            return any(map(_RECURRENT.fullmatch, safetensors_file(stream, size)[0]))
    except (UsageError, HeaderError):
        return False


def _found(saved: Archive) -> State:
    if isinstance(saved.content, Made):
        message = (
            f"received an object of class {brief(saved.content.name)}, expected a state dict; "
            "save it with torch.save(model.state_dict(), PATH)"
        )
        raise TensorError(message)
    candidates = dict(_candidates(saved.content, "", _DEEPEST, set()))
    if not candidates:
        raise TensorError(_nothing(saved.content))
    key = _chosen(candidates)
    beside = [name for name in _keys(saved.content) if name != key.partition(".")[0]] if key else []
    entries = dict(_entries(saved, candidates[key]))
    others = [name for name in _keys(candidates[key]) if name not in entries]
    return State(entries, key, tuple(beside), tuple(others))


def _keys(content: Any) -> list[str]:
    return [brief(key) for key in content] if isinstance(content, dict) else []


def _nothing(content: Any) -> str:
    wanted = "expected a state dict with a recurrent layer (weight_ih_l0, weight_hh_l0, ...)"
    if isinstance(content, list) and content and tensor_of(content[0]) is not None:
        return f"{wanted}, received a list of tensors without names"
    if isinstance(content, dict) and content:
        return f"{wanted}, received {listed(_keys(content)[:8])}"
    return f"{wanted}, received {type(content).__name__}"


def _chosen(candidates: Mapping[str, Any]) -> str:
    if len(candidates) == 1:
        return next(iter(candidates))
    for name in ("", *_USUAL):
        if name in candidates:
            return name
    raise TensorError(f"expected one state dict, received {listed(sorted(candidates))}")


def _candidates(
    content: Any, key: str, deepest: int, seen: set[int]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the mappings that have arrays of recurrent layers, by the keys that lead to them."""
    # A mapping under many keys of many mappings would take forever.
    if not isinstance(content, dict) or id(content) in seen:
        return
    seen.add(id(content))
    if any(isinstance(name, str) and _RECURRENT.fullmatch(name) for name in content):
        yield key, content
    elif deepest:
        for name, inner in content.items():
            yield from _candidates(inner, f"{key}.{name}" if key else str(name), deepest - 1, seen)


def _entries(saved: Archive, found: Mapping[str, Any]) -> Iterator[tuple[str, Entry]]:
    for name, value in found.items():
        tensor = tensor_of(value)
        if tensor is not None and isinstance(name, str):

            def read(tensor: Any = tensor) -> Array:
                array: Array = tensor.array(saved.storage(tensor.key))
                return array

            yield name, Entry(tensor.shape, tensor.floating, read)
