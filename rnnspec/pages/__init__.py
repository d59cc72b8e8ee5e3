"""A page for each code: what is wrong, why, what to do, with a wrong and a right spec."""

from __future__ import annotations

from importlib.resources import files


def codes() -> tuple[str, ...]:
    """Return every code that has a page, sorted."""
    names = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(name[:-3] for name in names if name.endswith(".md")))


def page(code: str) -> str:
    """Return the page of ``code``, as Markdown.

    Raises:
        KeyError: no page has this code.
    """
    if code not in codes():
        raise KeyError(code)
    return (files(__name__) / f"{code}.md").read_text("utf-8")
