"""The one Jinja environment: strict, with the few filters through which anything reaches text."""

from __future__ import annotations

import textwrap
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from rnnspec.codegen.layout import LINE_LENGTH, statement
from rnnspec.errors import printable


@cache
def environment() -> Environment:
    """Return the environment that finds the templates inside the installed package."""
    made = Environment(
        loader=PackageLoader("rnnspec.templates", ""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
        autoescape=False,  # noqa: S701 - what comes out is Python, not HTML
    )
    made.filters["statement"] = statement
    made.filters["comment"] = comment
    made.filters["docstring"] = docstring
    return made


def docstring(lines: tuple[str, ...], indent: int) -> str:
    """Return a docstring in its quotes; every line but the first is at ``indent``."""
    if len(lines) == 1:
        return f'"""{lines[0]}"""'
    margin = " " * indent
    body = "\n".join(margin + line if line else "" for line in lines[1:])
    return f'"""{lines[0]}\n{body}\n{margin}"""'


def comment(text: str) -> str:
    """Return free text as comment lines: the only way it may reach generated source."""
    paragraphs = [" ".join(line.split()) for line in text.splitlines()]
    lines = [
        line
        for paragraph in paragraphs
        for line in textwrap.wrap(
            printable(paragraph),
            LINE_LENGTH - 2,
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]
    return "\n".join(f"# {line}" for line in lines)
