"""One page for each code of an error or advice, and their list."""

from __future__ import annotations

from itertools import groupby

from docs.generate.markdown import table
from rnnspec import pages

FOLDER = "reference/codes"
_ABOUT = {
    "E": ("Errors", "A spec or a file with one of these is refused."),
    "L": ("Advice", "`rnnspec lint` gives it on valid specs."),
}


def code_pages() -> dict[str, str]:
    """Return the list of codes, and the page of each as ``rnnspec explain`` prints it."""
    return {
        f"{FOLDER}/index.md": _index(),
        **{f"{FOLDER}/{code}.md": pages.page(code) for code in pages.codes()},
    }


def _index() -> str:
    found = ["# Codes\n", "`rnnspec explain CODE` prints each of these pages.\n"]
    for kind, codes in groupby(pages.codes(), key=lambda code: code[0]):
        rows = [(f"[{code}]({code}.md)", _title(code)) for code in codes]
        title, about = _ABOUT[kind]
        found += [f"## {title}\n", about + "\n", table(("code", "title"), rows)]
    return "\n".join(found)


def _title(code: str) -> str:
    return pages.page(code).partition("\n")[0].partition(": ")[2]
