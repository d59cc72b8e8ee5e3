"""Pages of the codes: the problem, its cause, its fix, and a wrong and a right example."""

from __future__ import annotations

from importlib.resources import files


def codes() -> tuple[str, ...]:
    """Return the codes of all pages, sorted."""
    names = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(name[:-3] for name in names if name.endswith(".md")))


def page(code: str) -> str:
    """Return the page of ``code`` as Markdown.

    Raises:
        KeyError: there is no page for ``code``.
    """
    # The code may come from the command line, and must not lead to another file.
    if code not in codes():
        raise KeyError(code)
    return (files(__name__) / f"{code}.md").read_text("utf-8")
