"""Pieces of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

UNSEARCHED = "data-search-exclude"
"""The attribute of a heading whose section the search leaves out."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with one line per row."""
    lines = [head, ["---"] * len(head), *([cell(value) for value in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(text: str) -> str:
    """Return text that stays inside one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def fence(language: str, text: str) -> str:
    """Return a fenced block of code."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def tab(title: str, text: str) -> str:
    """Return a tab; consecutive tabs share one place on the page."""
    inside = "".join(f"    {line}\n" if line else "\n" for line in text.splitlines())
    return f'=== "{title}"\n\n{inside}\n'


def figure(alternative: str, path: str, page: str = "") -> str:
    """Return a picture for each scheme of the site, which leads to a page, or to its own file."""
    # One link around both: the theme hides one of them, and a link without content has no name.
    light, other = f"{path}#only-light", f"{dark(path)}#only-dark"
    return f"[![{alternative}]({light})![{alternative}]({other})]({page or path})"


def dark(path: str) -> str:
    """Return the place of the picture for dark pages."""
    return path.replace(".svg", "-dark.svg")


def replace_between(page: str, begin: str, end: str, text: str) -> str:
    """Return a page with another text between two lines."""
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"expected {begin.strip()} and {end.strip()} in the page")
    return f"{before}{begin}\n{text.strip()}\n\n{end}{after}"
