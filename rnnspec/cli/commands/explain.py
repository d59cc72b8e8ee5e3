"""``rnnspec explain``: print the page of a code, or the list of all codes."""

from __future__ import annotations

import sys

from rnnspec import pages
from rnnspec.errors import UsageError


def show(code: str) -> None:
    """Print the page of ``code``, formatted on a terminal, otherwise as Markdown.

    Raises:
        UsageError: the code is unknown.
    """
    text = pages.page(_known(code))
    if not sys.stdout.isatty():
        print(text, end="")
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))


def list_all() -> None:
    """Print every code with its title, one per line."""
    for code in pages.codes():
        print(pages.page(code).partition("\n")[0].removeprefix("# "))


def _known(code: str) -> str:
    codes, upper = pages.codes(), code.strip().upper()
    if upper in codes:
        return upper
    from rnnspec.wording import nearest, quoted

    word = nearest(code, map(str.lower, codes))
    hint = f"did you mean {word.upper()!r}?" if word else "'rnnspec explain' lists all codes"
    raise UsageError(f"unknown code {quoted(code)}; {hint}")
