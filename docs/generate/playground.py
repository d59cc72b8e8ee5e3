"""The links of the playground: within the site, or, where it stands alone, to the repository."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from docs.generate.repository import address

_PAGES = {"Tutorial": "tutorial/first", "Language": "reference/language"}
_NAV = re.compile(r"(<nav [^>]*>).*?(?=</nav>)")


def links(repository: str | None, *, in_site: bool) -> str:
    """Return the links as HTML, to the repository too once it has an address."""
    return "".join(
        # In another tab, so that the text in the editor stays.
        f'<a href="{target}" target="_blank" rel="noopener">{title}</a>'
        for title, target in _targets(repository, in_site=in_site)
    )


def _targets(repository: str | None, *, in_site: bool) -> Iterator[tuple[str, str]]:
    for title, page in _PAGES.items():
        if in_site:
            yield title, f"../{page}.html"
        elif repository:
            yield title, f"{repository}/blob/main/docs/{page}.md"
    if repository:
        yield "Repository", repository


def link_to_site(page: Path) -> None:
    """Make the playground's page link to the site that it is in."""
    inside = links(address(), in_site=True)
    text = _NAV.sub(lambda nav: nav[1] + inside, page.read_text(encoding="utf-8"))
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.stdout.write(links(address(), in_site=False))
