"""Capabilities that a command may need of a backend, read from its record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.errors import listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.backends.base import Backend
    from rnnspec.ir.forms import Form


@dataclass(frozen=True, slots=True)
class Need:
    """Something that a backend may lack.

    ``words`` come after "can" and "cannot". ``met`` tells whether a backend has it, and ``limit``
    returns what it has instead, if that is worth saying.
    """

    words: str
    met: Callable[[Backend], bool]
    limit: Callable[[Backend], str] = lambda _: ""


IN_WORDS: dict[Form, str] = {
    "training": "for training",
    "inference": "for inference",
    "step": "in step form",
}
"""The words for each form of source, after "source"."""


def purpose(form: Form) -> str:
    """Return the words after the name of a network in its source, none for training."""
    return "" if form == "training" else f" {IN_WORDS[form]}"


SOURCE = Need("write source", lambda backend: bool(backend.forms))
MODEL = Need("build a model", lambda backend: backend.level is not None)
OPTIMIZERS = Need("train with an optimizer of its own", lambda backend: bool(backend.optimizers))
FILES = Need("save a model", lambda backend: bool(backend.files))


def form(name: Form) -> Need:
    """Return the need to write a form of source."""
    return Need(
        f"write source {IN_WORDS[name]}",
        lambda backend: name in backend.forms,
        lambda backend: (
            f"only {listed([IN_WORDS[other] for other in backend.forms])}" if backend.forms else ""
        ),
    )


def source(name: Form | None) -> tuple[Need, ...]:
    """Return the needs to write source, in a form if one is named."""
    return (SOURCE,) if name is None else (SOURCE, form(name))


def source_ending(suffix: str) -> Need:
    """Return the need to write source into a file of an ending."""
    return Need(
        f"write source to {suffix} files",
        lambda backend: backend.ending == suffix,
        lambda backend: f"only to {backend.ending} files",
    )


def ending(suffix: str) -> Need:
    """Return the need to save a model in a single file of an ending."""
    return Need(f"write {suffix}", lambda backend: backend.suffix == suffix)


def level(name: str) -> Need:
    """Return the need to be compared up to a level."""
    return Need(
        f"be compared up to {name}",
        lambda backend: backend.reaches(name),
        lambda backend: f"only up to {backend.level}" if backend.level else "",
    )


def dtype(name: str) -> Need:
    """Return the need to be compared in a dtype."""
    return Need(
        f"be compared in {name}",
        lambda backend: name in backend.dtypes,
        lambda backend: f"only in {listed(backend.dtypes)}",
    )
