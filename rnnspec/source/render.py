"""Render a source to text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnnspec.source.code import Module
from rnnspec.source.environment import environment
from rnnspec.source.linebreaks import break_lines

if TYPE_CHECKING:
    from pathlib import Path

    from rnnspec.backends.expressions import Text


def render(source: Text | Module, templates: Path) -> str:
    """Return the text of a generated file, with one line break at the end.

    ``templates`` is the folder that contains the templates.
    """
    found = environment(templates)
    if isinstance(source, Module):
        # Until every part is written as code.
        unwritten: Any = source.parts
        parts = [
            part
            if isinstance(part, str)
            else found.get_template(part.template).render(dict(part.values)).strip("\n")
            for part in unwritten
        ]
        text = found.get_template(source.template).render(source=source, parts=parts)
        return break_lines(text.rstrip("\n")) + "\n"
    parts = [
        found.get_template(part.template).render(dict(part.values)).strip("\n")
        for part in source.parts
    ]
    return (
        found.get_template(source.template).render(source=source, parts=parts).rstrip("\n") + "\n"
    )
