"""Render a source to text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.source.code import Code, Module
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
        parts = tuple(
            p
            if isinstance(p, str)
            else found.get_template(p.template).render(dict(p.values)).strip("\n")
            for p in source.parts
        )
        text = found.get_template(source.template).render(source=source, parts=parts)
        return break_lines(text.rstrip("\n")) + "\n"
    parts = [
        break_lines(part)
        if isinstance(part, Code)
        else found.get_template(part.template).render(dict(part.values)).strip("\n")
        for part in source.parts
    ]
    return (
        found.get_template(source.template).render(source=source, parts=parts).rstrip("\n") + "\n"
    )
