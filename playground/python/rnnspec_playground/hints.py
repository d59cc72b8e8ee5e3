"""Descriptions of keys, from the JSON Schema of the language, and of codes, from their pages."""

from __future__ import annotations

from typing import Any

from rnnspec import pages
from rnnspec.errors import SpecError
from rnnspec.spec.yaml.text import TextLines, blank_forbidden, decode
from rnnspec.spec.yaml.tree import grow_once
from rnnspec_playground.completions import detail
from rnnspec_playground.schemas import properties


def describe(text: str, line: int, column: int) -> dict[str, Any] | None:
    """Return the description of the key at a place, as plain data, or None if there is no key.

    ``column`` and ``end_column`` are those of the key; all are counted in characters from 1.
    """
    try:
        readable = blank_forbidden(decode(text, ""))
    except SpecError:
        return None
    tree, lines = grow_once(readable), TextLines(readable)
    for path, extent in tree.keys.items():
        span = lines.span(extent)
        if span.line == line and span.column <= column < span.end_column:
            schema = properties(path[:-1], tree.data).get(str(path[-1]))
            return schema and {
                "key": str(path[-1]),
                "detail": detail(schema),
                "description": schema["description"],
                "column": span.column,
                "end_column": span.end_column,
            }
    return None


def explain(code: str) -> str:
    """Return the page of a code as Markdown, empty if there is none."""
    return pages.page(code) if code in pages.codes() else ""
