"""Source -> text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.source.environment import environment

if TYPE_CHECKING:
    from rnnspec.backends.expressions import Source


def render(source: Source, templates: str) -> str:
    """Return the text of a generated file, ending in one line break.

    ``templates`` is the package that holds the templates.
    """
    found = environment(templates)
    parts = [
        found.get_template(part.template).render(dict(part.values)).strip("\n")
        for part in source.parts
    ]
    return (
        found.get_template(source.template).render(source=source, parts=parts).rstrip("\n") + "\n"
    )
