"""Render a source to text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.source.code import Module
from rnnspec.source.environment import environment
from rnnspec.source.linebreaks import break_lines

if TYPE_CHECKING:
    from pathlib import Path

    from rnnspec.source.code import Source


def render(source: Source, templates: Path) -> str:
    """Return the text of a generated file, with one line break at the end.

    ``templates`` is the folder that contains the templates.
    """
    template = environment(templates).get_template(source.template)
    text = template.render(source=source).rstrip("\n") + "\n"
    return break_lines(text) if isinstance(source, Module) else text
