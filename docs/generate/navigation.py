"""The configuration of the site, with the generated pages in its navigation."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import yaml

from docs.generate.repository import site_address
from rnnspec import __version__


def configuration(text: str, places: Collection[str], repository: str | None = None) -> str:
    """Return ``mkdocs.yml`` with each folder in ``nav`` replaced by its generated pages.

    ``places`` are all files of the site. An entry for a folder without files is left out. The name
    of the site has the version, and pages link to the ``repository`` if there is one.
    """
    config = yaml.safe_load(text)
    config["site_name"] += f" {__version__}"
    if repository:
        # Not repo_url: the theme would ask api.github.com for its stars on every page.
        link = {"icon": "fontawesome/brands/github", "link": repository, "name": "Repository"}
        config["extra"] = {**config.get("extra", {}), "social": [link]}
        config["site_url"] = site_address(repository)
    config["nav"] = _entries(config["nav"], places)
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


def _entries(nav: list[Any], places: Collection[str]) -> list[Any]:
    return [expanded for entry in nav if (expanded := _entry(entry, places)) is not None]


def _entry(entry: Any, places: Collection[str]) -> Any:
    match entry:
        case dict():
            ((title, value),) = entry.items()
            if isinstance(value, list):
                return {title: _entries(value, places)}
            if value.endswith("/"):
                return {title: pages} if (pages := _folder(value, places)) else None
            return entry
        case _:
            return entry


def _folder(folder: str, places: Collection[str]) -> list[str] | str | None:
    """Return the pages in a folder, its index first, or its ``index.html`` if it is an app."""
    if f"{folder}index.html" in places:
        return f"{folder}index.html"
    pages = [place for place in places if place.startswith(folder) and place.endswith(".md")]
    return sorted(pages, key=lambda page: (not page.endswith("/index.md"), page)) or None
