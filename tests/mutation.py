"""Faults planted in the source of one backend, or in the places where it keeps its arrays."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from rnnspec import pipeline
from rnnspec.backends import Backend, get

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rnnspec.backends.slots import Slot
    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Layer
    from rnnspec.pipeline import Generated, Program

    Edits = Sequence[tuple[str, str]]


@contextmanager
def source_edited(backend: str, edits: Edits, *, everywhere: bool = True) -> Iterator[None]:
    """Replace text in all source that ``backend`` generates; each edit must change it.

    Without ``everywhere``, one edit that changes one source is enough.
    """
    generate = pipeline.generate
    edited = 0

    def planted(
        program: Program, of: Backend, form: Form | None = None, *options: Any
    ) -> Generated:
        nonlocal edited
        generated = generate(program, of, form, *options)
        text = generated.text
        if of.name != backend:
            return generated
        for old, new in edits:
            assert old in text or not everywhere, f"{old!r} is not in:\n{text}"
            edited += old in text
            text = text.replace(old, new)
        return replace(generated, text=text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "generate", planted)
        yield
    assert edited, f"no source of {backend} was edited"


@contextmanager
def slots_edited(backend: str, layer: str, said: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Make ``backend`` claim another place or layout for some arrays of ``layer``."""
    table = get(backend).slots
    slots = table.slots
    edited = 0

    def planted(of: Layer) -> tuple[Slot, ...]:
        nonlocal edited
        told = slots(of)
        faults = said if of.name == layer else {}
        wrong = tuple(replace(slot, **faults.get(slot.param, {})) for slot in told)
        edited += wrong != told
        return wrong

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{get(backend).package}.slots.SLOTS", replace(table, slots=planted))
        yield
    assert edited, f"nothing of {layer} was asked for, or nothing of it changed"
