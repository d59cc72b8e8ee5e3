"""The reference of the codes of errors and advice: what ``rnnspec explain`` prints for each."""

from __future__ import annotations

import re
from itertools import groupby

from docs.generate.markdown import table
from rnnspec import pages

PLACES = {"E": "reference/errors.md", "L": "reference/advice.md"}
"""The page of the codes that begin with a letter."""
_HEADS = {
    "E": "# Errors by code\n\nA spec or a file with one of these is refused.\n",
    "L": "# Advice by code\n\n`rnnspec lint` gives it on valid specs.\n",
}


def code_pages() -> dict[str, str]:
    """Return a page of all errors and one of all advice, each code with its list and its text."""
    return {
        PLACES[kind]: _page(kind, list(codes))
        for kind, codes in groupby(pages.codes(), key=lambda code: code[0])
    }


def _page(kind: str, codes: list[str]) -> str:
    titles = {code: pages.page(code).partition("\n")[0].partition(": ")[2] for code in codes}
    rows = [(f"[{code}](#{code.lower()})", title) for code, title in titles.items()]
    parts = [_HEADS[kind], "`rnnspec explain CODE` prints them too.\n"]
    parts.append(table(("code", "title"), rows))
    for code, title in titles.items():
        text = re.sub(
            "^## (.*)$", r"**\1**", pages.page(code).partition("\n")[2], flags=re.MULTILINE
        )
        parts.append(f"## {code}: {title} {{ #{code.lower()} }}\n{text}")
    return "\n".join(parts)
