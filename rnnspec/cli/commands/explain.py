"""``rnnspec explain``: print the page of a code, or the list of all codes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from rnnspec.cli import completers
from rnnspec.errors import UsageError


def explain(
    code: Annotated[
        str | None,
        typer.Argument(
            metavar="CODE",
            help="Code at the end of a message, such as E301.",
            autocompletion=completers.codes,
        ),
    ] = None,
) -> None:
    """Explain the code of a message, or list all codes.

    The explanation shows a spec with the problem, and one without it.
    """
    from rnnspec import pages

    if code is None:
        for known in pages.codes():
            print(pages.page(known).partition("\n")[0].removeprefix("# "))
        return
    text = pages.page(_known_code(code, pages.codes()))
    if not sys.stdout.isatty():
        print(text, end="")
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))


def _known_code(code: str, codes: tuple[str, ...]) -> str:
    """Return a code as its page has it, or raise UsageError."""
    upper = code.strip().upper()
    if upper in codes:
        return upper
    from rnnspec.errors.wording import nearest, quoted

    word = nearest(code, map(str.lower, codes))
    hint = f"did you mean {word.upper()!r}?" if word else "'rnnspec explain' lists all codes"
    raise UsageError(f"unknown code {quoted(code)}; {hint}")
